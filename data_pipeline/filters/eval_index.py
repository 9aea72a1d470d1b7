"""What decontamination looks for: all runs of words of evaluation sets, and where they stand."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_pipeline.filters.eval_sets import name_of, passages_of
from data_pipeline.filters.written_passages import (
    WINDOW,
    WrittenPassage,
    WrittenPassages,
    written_form,
)
from data_pipeline.normal_text import HashArray, NgramHashes, normal_bytes, shingle_hashes

logger = logging.getLogger(__name__)

_TABLE_BITS = 24
"""The table of the hashes' low bits that is asked first takes two to this many bytes."""
_SMALL_TABLE_BITS = 18
"""The same, for few hashes."""


@dataclass(frozen=True)
class MatchRule:
    """What counts as holding an item."""

    ngram_words: int
    min_item_words: int
    min_item_characters: int
    max_items: int | None


class Runs:
    """Runs of words of one length, sorted by their hashes; a table of bits is asked first."""

    def __init__(self, hashes: HashArray, sets: npt.NDArray[np.uint16]) -> None:
        self._hashes, self._sets = hashes, sets
        is_large = len(hashes) > 1 << (_SMALL_TABLE_BITS - 4)
        self._bits = _TABLE_BITS if is_large else _SMALL_TABLE_BITS
        self._table = np.zeros(1 << self._bits, dtype=np.bool_)
        for part in (0, 1):
            self._table[self._places(hashes, part)] = True

    def _places(self, hashes: HashArray, part: int) -> npt.NDArray[np.int64]:
        """Where of the table the hashes stand, by their low bits or by those above."""
        shifted = hashes >> np.uint64(part * self._bits)
        return (shifted & np.uint64((1 << self._bits) - 1)).view(np.int64)

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, hashes: HashArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
        """Which of the hashes are among the runs, and the sets of these."""
        likely = np.flatnonzero(self._table[self._places(hashes, 0)])
        likely = likely[self._table[self._places(hashes[likely], 1)]]
        if not len(likely) or not len(self):
            return likely[:0], self._sets[:0]
        wanted = hashes[likely]
        places = np.minimum(np.searchsorted(self._hashes, wanted), len(self._hashes) - 1)
        found = self._hashes[places] == wanted
        return likely[found], self._sets[places[found]]


@dataclass(frozen=True)
class EvalIndex:
    """All that is looked for."""

    names: Sequence[str]
    """Of the sets."""
    runs: Mapping[int, Runs]
    """By length: the passages cut in runs, and the short ones whole."""
    heads: Runs
    """First words of the short ones: these are looked for before the whole."""
    longest: int
    head_words: int
    written: WrittenPassages
    """Passages without a run of words of their own."""
    not_matchable: Mapping[str, int]
    """By set, the items no passage of which is looked for; sets without one are not here."""

    def hits(self, words: HashArray) -> dict[str, list[tuple[int, int]]]:
        """By set: (first word, number of words) of each run found."""
        found: dict[str, list[tuple[int, int]]] = defaultdict(list)
        ngrams = NgramHashes(words)
        heads, _ = self.heads.find(ngrams.of(self.head_words))
        for n, runs in self.runs.items():
            if n == self.longest:
                places, sets = runs.find(ngrams.of(n))
            elif len(heads):
                starts = heads[heads + n <= len(words)]
                among, sets = runs.find(ngrams.at(starts, n))
                places = starts[among]
            else:
                continue
            for place, number in zip(places.tolist(), sets.tolist(), strict=True):
                found[self.names[number]].append((place, n))
        return found

    def written_hits(self, text: str) -> Iterator[tuple[str, str]]:
        """(set, passage) of each place where a passage stands as it is written."""
        for passage in self.written.find(text):
            yield self.names[passage.set_number], passage.text


def build_index(urls: Sequence[str], fields: Sequence[str], rule: MatchRule) -> EvalIndex:
    """The index of some sets' files; logs how many items cannot be looked for.

    Raises:
        DataError: a file has no text where it should.
    """
    names = list(dict.fromkeys(map(name_of, urls)))
    found = _Passages(rule)
    for url in urls:
        found.add(passages_of(url, fields), names.index(name_of(url)))
    runs = found.runs()
    written = found.written()
    index = EvalIndex(
        names,
        runs,
        found.heads(),
        rule.ngram_words,
        found.head_words,
        written,
        {names[number]: count for number, count in sorted(found.not_matchable().items())},
    )
    logger.info(
        "decontamination sets=%d items=%d runs=%d written_passages=%d items_not_matchable=%d %s",
        len(names),
        found.num_items,
        sum(map(len, runs.values())),
        len(written),
        sum(index.not_matchable.values()),
        " ".join(f"not_matchable.{name}={count}" for name, count in index.not_matchable.items()),
    )
    return index


class _Passages:
    """Collects the runs of words of all passages."""

    def __init__(self, rule: MatchRule) -> None:
        self._rule = rule
        self.head_words = min(rule.min_item_words, rule.ngram_words)
        self._parts: dict[int, list[tuple[HashArray, int]]] = defaultdict(list)
        self._heads: list[HashArray] = []
        self._passages: list[WrittenPassage] = []
        self._item_of: list[int] = []
        self._is_covered: npt.NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self.num_items = 0

    def add(self, items: Iterable[list[str]], number: int) -> None:
        """The items of one set."""
        for passages in items:
            for passage in passages:
                self._add_runs(passage)
                self._item_of.append(self.num_items)
                self._passages.append(WrittenPassage(passage, number))
            self.num_items += 1

    def _add_runs(self, passage: str) -> None:
        words = shingle_hashes(normal_bytes(passage), 1)
        n = min(self._rule.ngram_words, len(words))
        if n < self.head_words:
            return
        ngrams = NgramHashes(words)
        self._parts[n].append((ngrams.of(n), len(self._passages)))
        if n < self._rule.ngram_words:
            self._heads.append(ngrams.of(self.head_words)[:1])

    def heads(self) -> Runs:
        """First words of the passages that are looked for whole."""
        hashes = np.unique(np.concatenate([*self._heads, np.zeros(0, dtype=np.uint64)]))
        return Runs(hashes, np.zeros(len(hashes), dtype=np.uint16))

    def runs(self) -> dict[int, Runs]:
        """By length, without those that too many items share."""
        self._is_covered = np.zeros(len(self._passages), dtype=np.bool_)
        return {n: self._runs(parts) for n, parts in sorted(self._parts.items())}

    def _runs(self, parts: list[tuple[HashArray, int]]) -> Runs:
        hashes = np.concatenate([hashes for hashes, _ in parts])
        owners = np.repeat([passage for _, passage in parts], [len(own) for own, _ in parts])
        items = np.array(self._item_of)[owners]
        order = np.lexsort((items, hashes))
        hashes, items, owners = hashes[order], items[order], owners[order]
        is_new = np.concatenate([[True], hashes[1:] != hashes[:-1]])
        is_other_item = is_new | np.concatenate([[True], items[1:] != items[:-1]])
        starts = np.flatnonzero(is_new)
        num_items = np.add.reduceat(is_other_item.astype(np.int64), starts)
        is_own = num_items <= (self._rule.max_items or self.num_items)
        self._is_covered[owners[is_own[np.cumsum(is_new) - 1]]] = True
        starts = starts[is_own]
        sets = [self._passages[owner].set_number for owner in owners[starts].tolist()]
        return Runs(hashes[starts], np.array(sets, dtype=np.uint16))

    def written(self) -> WrittenPassages:
        """Passages left over by `runs` that are long enough to be looked for as written."""
        chosen = []
        least = self._rule.min_item_characters
        for place in np.flatnonzero(~self._is_covered).tolist():
            passage = self._passages[place]
            form = written_form(passage.text)
            if len(form.decode()) >= least and len(form) >= WINDOW:
                chosen.append(passage)
                self._is_covered[place] = True
        return WrittenPassages(chosen)

    def not_matchable(self) -> Counter[int]:
        """By number of the set, the items none of whose passages `runs` and `written` cover."""
        found = np.zeros(self.num_items, dtype=np.bool_)
        found[np.array(self._item_of, dtype=np.int64)[self._is_covered]] = True
        set_of = {
            item: passage.set_number
            for item, passage in zip(self._item_of, self._passages, strict=True)
        }
        return Counter(set_of[item] for item in np.flatnonzero(~found).tolist())
