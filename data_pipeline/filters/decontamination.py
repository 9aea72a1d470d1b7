"""Refuses documents that hold text of evaluation sets, so that what is measured was not learned.

Brown et al. 2020 (GPT-3), appendix C: a document that shares a run of 13 words with an evaluation
item, case and punctuation aside, is contaminated. Two rules of our own make it usable on sets of
all kinds. An item shorter than that is looked for as a whole, down to `min_item_words`; a shorter
one could be anybody's sentence and is not looked for. And a run that many items of the sets share
is part of the questions' form, not of an item, and is not looked for (the paper does so with runs
that many documents share). Deviation: the paper cuts the run and 200 characters around it out of
the document; here the document is dropped, for what stands around a test item is often the next.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from contracts import storage
from contracts.config import Config
from contracts.errors import ConfigError
from data_pipeline.filters.entry_files import versions
from data_pipeline.filters.eval_sets import name_of, passages_of
from data_pipeline.filters.protocol import AT_LEAST, Rule
from data_pipeline.filters.text_view import TextView
from data_pipeline.normal_text import (
    HashArray,
    NgramHashes,
    normal_bytes,
    shingle_hashes,
    split_unspaced,
)
from data_pipeline.records import Measures, Verdict

logger = logging.getLogger(__name__)

TABLE_BITS = 24
"""The table of the hashes' low bits that is asked first takes two to this many bytes."""
SMALL_TABLE_BITS = 18
"""The same, for few hashes."""


class DecontaminationConfig(Config):
    """Which evaluation sets, and what counts as holding one of their items."""

    kind: Literal["decontamination"] = "decontamination"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all."""
    eval_files: tuple[str, ...] = Field(min_length=1)
    """Globs of the sets' files, `.jsonl` or `.txt`, `.gz` or not; a file is a set."""
    fields: tuple[str, ...] = ()
    """Fields of a JSON line that hold text; empty: the usual shapes are known."""
    ngram_words: PositiveInt = 13
    """Words in a row that a document and an item must share."""
    min_item_words: PositiveInt = 8
    """A passage of at least so many words, but fewer than `ngram_words`, is looked for whole."""
    max_items: PositiveInt | None = 10
    """A run of words in more items is part of the questions' form; None: all are looked for."""
    min_hits: PositiveInt = 1
    """Runs of words found from which a document is refused."""

    def input_files(self) -> tuple[str, ...]:
        """The sets' files.

        Raises:
            ConfigError: a glob matches none.
        """
        found: dict[str, None] = {}
        for pattern in self.eval_files:
            urls = storage.list_files(pattern)
            if not urls:
                raise ConfigError(
                    f"filters.decontamination.eval_files: no file matches {pattern!r}; check the "
                    "path (a folder needs a glob, as in eval/*.jsonl)"
                )
            found.update(dict.fromkeys(urls))
        return tuple(found)

    def build(self) -> "Decontamination":
        """The filter."""
        return Decontamination(self)


class Decontamination:
    """Runs of words of a document that stand in evaluation sets."""

    stage = "decontamination"

    def __init__(self, config: DecontaminationConfig) -> None:
        self._config = config
        self._index: _Index | None = None
        self.rules = (Rule("num_hits", AT_LEAST, float(config.min_hits), "eval_set"),)

    def measure(self, view: TextView) -> dict[str, float | str]:
        if self._index is None:
            self._index = _index(self._config, versions(self._config.input_files()))
        hits = self._index.hits(view.word_hashes)
        if not hits:
            return {"num_hits": 0.0, "eval_set": "", "ngram": ""}
        eval_set = max(hits, key=lambda name: len(hits[name]))
        place, n = hits[eval_set][0]
        words = split_unspaced(view.normal.decode()).split()[place : place + n]
        num_hits = float(sum(map(len, hits.values())))
        return {"num_hits": num_hits, "eval_set": eval_set, "ngram": " ".join(words)}

    def decide(self, measures: Measures) -> Verdict:
        if float(measures["num_hits"]) < self._config.min_hits:
            return Verdict(True, self.stage)
        return Verdict(False, self.stage, str(measures["eval_set"]), measures["ngram"])


class _Runs:
    """Runs of words of one length, sorted by their hashes; a table of bits is asked first."""

    def __init__(self, hashes: HashArray, sets: npt.NDArray[np.uint16], table_bits: int) -> None:
        self._hashes, self._sets = hashes, sets
        self._bits = table_bits
        self._table = np.zeros(1 << table_bits, dtype=np.bool_)
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
        if not len(likely):
            return likely, self._sets[:0]
        wanted = hashes[likely]
        places = np.minimum(np.searchsorted(self._hashes, wanted), len(self._hashes) - 1)
        found = self._hashes[places] == wanted
        return likely[found], self._sets[places[found]]


@dataclass(frozen=True)
class _Index:
    """All runs of words that are looked for."""

    names: Sequence[str]
    """Of the sets."""
    runs: Mapping[int, _Runs]
    """By length: the passages cut in runs, and the short ones whole."""
    heads: _Runs
    """First words of the short ones: these are looked for before the whole."""
    longest: int
    head_words: int

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


# A memo of a pure function of the files' versions: units of one process share the index.
@lru_cache(maxsize=2)
def _index(config: DecontaminationConfig, files: tuple[tuple[str, str], ...]) -> _Index:
    names = list(dict.fromkeys(name_of(url) for url, _ in files))
    found = _Passages(config)
    for url, _ in files:
        found.add(passages_of(url, config.fields), names.index(name_of(url)))
    runs = found.runs()
    logger.info(
        "decontamination sets=%d items=%d passages_too_short=%d runs=%d",
        len(names),
        found.num_items,
        found.num_too_short,
        sum(map(len, runs.values())),
    )
    return _Index(names, runs, found.heads(), config.ngram_words, found.head_words)


class _Passages:
    """Collects the runs of words of all passages."""

    def __init__(self, config: DecontaminationConfig) -> None:
        self._config = config
        self.head_words = min(config.min_item_words, config.ngram_words)
        self._parts: dict[int, list[tuple[HashArray, int, int]]] = defaultdict(list)
        self._heads: list[HashArray] = []
        self.num_items = 0
        self.num_too_short = 0

    def add(self, items: Iterable[list[str]], number: int) -> None:
        """The items of one set."""
        for passages in items:
            self.num_items += 1
            for passage in passages:
                words = shingle_hashes(normal_bytes(passage), 1)
                n = min(self._config.ngram_words, len(words))
                if n < self.head_words:
                    self.num_too_short += 1
                    continue
                ngrams = NgramHashes(words)
                self._parts[n].append((ngrams.of(n), self.num_items, number))
                if n < self._config.ngram_words:
                    self._heads.append(ngrams.of(self.head_words)[:1])

    def heads(self) -> _Runs:
        """First words of the passages that are looked for whole."""
        hashes = np.unique(np.concatenate([*self._heads, np.zeros(0, dtype=np.uint64)]))
        return _Runs(hashes, np.zeros(len(hashes), dtype=np.uint16), SMALL_TABLE_BITS)

    def runs(self) -> dict[int, _Runs]:
        """By length, without those that too many items share."""
        return {n: self._runs(parts) for n, parts in sorted(self._parts.items())}

    def _runs(self, parts: list[tuple[HashArray, int, int]]) -> _Runs:
        sizes = [len(hashes) for hashes, _, _ in parts]
        hashes = np.concatenate([hashes for hashes, _, _ in parts])
        items = np.repeat(np.array([item for _, item, _ in parts], dtype=np.int64), sizes)
        sets = np.repeat(np.array([number for _, _, number in parts], dtype=np.uint16), sizes)
        order = np.lexsort((items, hashes))
        hashes, items, sets = hashes[order], items[order], sets[order]
        is_new = np.concatenate([[True], hashes[1:] != hashes[:-1]])
        is_other_item = is_new | np.concatenate([[True], items[1:] != items[:-1]])
        starts = np.flatnonzero(is_new)
        num_items = np.add.reduceat(is_other_item.astype(np.int64), starts)
        if self._config.max_items is not None:
            starts = starts[num_items <= self._config.max_items]
        bits = TABLE_BITS if len(starts) > 1 << (SMALL_TABLE_BITS - 4) else SMALL_TABLE_BITS
        return _Runs(hashes[starts], sets[starts], bits)
