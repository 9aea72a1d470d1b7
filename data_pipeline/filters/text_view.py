"""One text, taken apart once for all filters: words, lines, paragraphs and repetition of n-grams.

Each part is made when first asked for and kept. A word is what stands between blanks, punctuation
included; in scripts written without blanks (Han, kana, Thai, Lao, Khmer, Burmese) every character
is a word, so that a page in them has a length at all. Nothing here knows of thresholds.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from data_pipeline.records import Document

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
TOP_NGRAMS = range(2, 5)
DUPLICATE_NGRAMS = range(5, 11)

# Blocks whose scripts put no blanks between words: Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = (
    "\u0e01-\u0e5b\u0e81-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNSPACED_CHARACTER = re.compile(f"([{_UNSPACED}])")
_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")

TERMINAL_PUNCTUATION = frozenset(
    '.!?"\u2026\u201c\u201d\u2019\u00bb\u00ab\u203a'
    "\u3002\uff01\uff1f\uff0e\uff61\u300d\u300f"  # East Asian
    "\u061f\u06d4\u0964\u0965\u1362\u104b\u17d4"  # others
)
"""Ends of a sentence, and closing quotation marks: those of C4 and their likes in other scripts."""


def split_words(text: str) -> list[str]:
    """The words of a text; a character of a script without blanks is a word of its own."""
    return _spaced(text).split()


def has_fewer_words(text: str, number: int) -> bool:
    """Whether `split_words` gives fewer than `number`; a long text is not split to its end."""
    return number > 0 and len(_spaced(text).split(None, number - 1)) < number


def _spaced(text: str) -> str:
    if text.isascii() or not _UNSPACED_CHARACTER.search(text):
        return text
    return _UNSPACED_CHARACTER.sub(r" \1 ", text)


def ends_in_punctuation(line: str) -> bool:
    """Whether a stripped line, not empty, ends a sentence."""
    return line[-1] in TERMINAL_PUNCTUATION


@dataclass(frozen=True)
class Repetition:
    """How much of a list of parts (lines, paragraphs) stood before in the same text."""

    parts_fraction: float
    """Repeated parts / parts."""
    characters_fraction: float
    """Characters in repeated parts / characters in parts."""


def repetition(parts: Sequence[str]) -> Repetition:
    """Fractions of parts equal to an earlier one, by number and by characters; 0 of nothing."""
    seen: set[str] = set()
    num_repeated = characters = characters_repeated = 0
    for part in parts:
        characters += len(part)
        if part in seen:
            num_repeated += 1
            characters_repeated += len(part)
        else:
            seen.add(part)
    return Repetition(_ratio(num_repeated, len(parts)), _ratio(characters_repeated, characters))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


@dataclass(frozen=True)
class NgramRepetition:
    """Repetition of word n-grams, as fractions of the characters of all words, by n."""

    top: Mapping[int, float]
    """n = 2 to 4: characters covered by the most frequent n-gram; 0 where none stands twice."""
    duplicate: Mapping[int, float]
    """n = 5 to 10: characters covered by n-grams that stood before."""


class TextView:
    """A document's text and what the filters derive from it, each derived once."""

    def __init__(self, document: Document) -> None:
        self.text = document.text
        self.uri = document.uri
        self.language = document.language
        self.language_score = document.language_score

    @cached_property
    def words(self) -> list[str]:
        """Words in order, punctuation included."""
        return split_words(self.text)

    @cached_property
    def word_lengths(self) -> IntArray:
        """(N,) characters of each word."""
        lengths = np.fromiter(map(len, self.distinct_words), dtype=np.int64)
        return lengths[self.word_ids]

    @cached_property
    def _numbered_words(self) -> tuple[list[str], IntArray]:
        distinct = list(dict.fromkeys(self.words))
        number = dict(zip(distinct, range(len(distinct)), strict=True))
        ids = map(number.__getitem__, self.words)
        return distinct, np.fromiter(ids, dtype=np.int64, count=len(self.words))

    @property
    def distinct_words(self) -> list[str]:
        """(V,) each word once, in order of first appearance."""
        return self._numbered_words[0]

    @property
    def word_ids(self) -> IntArray:
        """(N,) place of each word in `distinct_words`."""
        return self._numbered_words[1]

    @cached_property
    def word_counts(self) -> IntArray:
        """(V,) how often each of `distinct_words` stands."""
        return np.bincount(self.word_ids, minlength=len(self.distinct_words))

    def num_words_where(self, holds: Callable[[str], object]) -> int:
        """Words that fulfil a condition, which is asked once for each distinct word."""
        fulfil = np.fromiter(map(bool, map(holds, self.distinct_words)), dtype=np.bool_)
        return int(self.word_counts[fulfil].sum())

    @cached_property
    def lines(self) -> list[str]:
        """Lines that hold more than blanks, stripped."""
        return [line for line in map(str.strip, self.text.split("\n")) if line]

    @cached_property
    def paragraphs(self) -> list[str]:
        """Stretches between blank lines, stripped."""
        stripped = map(str.strip, _PARAGRAPH_BREAK.split(self.text))
        return [paragraph for paragraph in stripped if paragraph]

    @cached_property
    def line_repetition(self) -> Repetition:
        """Repetition among lines."""
        return repetition(self.lines)

    @cached_property
    def paragraph_repetition(self) -> Repetition:
        """Repetition among paragraphs."""
        return repetition(self.paragraphs)

    @cached_property
    def terminal_punctuation_fraction(self) -> float:
        """Lines that end a sentence / lines."""
        return self.fraction_of_lines(sum(map(ends_in_punctuation, self.lines)))

    @cached_property
    def lowered(self) -> str:
        """The text in lower case."""
        return self.text.lower()

    def fraction_of_words(self, number: float) -> float:
        """`number` / words; 0 of none."""
        return _ratio(number, len(self.words))

    def fraction_of_lines(self, number: float) -> float:
        """`number` / lines; 0 of none."""
        return _ratio(number, len(self.lines))

    @cached_property
    def ngram_repetition(self) -> NgramRepetition:
        """Repetition of word n-grams.

        An n-gram can stand twice only where the n-gram without its last word does, and only if that
        word stands twice too: each length looks only at the places the one before left over.
        """
        lengths, groups = self.word_lengths, self.word_ids
        num_words, num_characters = len(groups), max(1, int(lengths.sum()))
        top, duplicate = dict.fromkeys(TOP_NGRAMS, 0.0), dict.fromkeys(DUPLICATE_NGRAMS, 0.0)
        recurs = self.word_counts[groups] > 1
        places = np.flatnonzero(recurs)
        groups = groups[places]
        for n in (*TOP_NGRAMS, *DUPLICATE_NGRAMS):
            places, groups = _kept(places + n <= num_words, places, groups)
            places, groups = _kept(recurs[places + n - 1], places, groups)
            if not len(places):
                break
            groups, counts, first = _grouped(groups * num_words + self.word_ids[places + n - 1])
            if counts.max() < 2:
                break
            first = places[first]
            if n in top:
                is_top = groups == _top(counts, first, n, lengths)
                top[n] = _covered(places[is_top], n, lengths) / num_characters
            else:
                is_repeat = first[groups] < places
                duplicate[n] = _covered(places[is_repeat], n, lengths) / num_characters
            places, groups = _kept(counts[groups] > 1, places, groups)
        return NgramRepetition(top, duplicate)


def _kept(condition: BoolArray, places: IntArray, groups: IntArray) -> tuple[IntArray, IntArray]:
    return places[condition], groups[condition]


def _grouped(keys: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """(N,) number of each key's group of equals, and (G,) size and (G,) lowest position of each."""
    order = np.argsort(keys)
    in_order = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], in_order[1:] != in_order[:-1]]))
    counts = np.diff(np.concatenate([starts, [len(keys)]]))
    groups = np.empty(len(keys), dtype=np.int64)
    groups[order] = np.repeat(np.arange(len(starts)), counts)
    return groups, counts, np.minimum.reduceat(order, starts)


def _top(counts: IntArray, first: IntArray, n: int, lengths: IntArray) -> int:
    """The most frequent n-gram; of equals the longest, then the earliest."""
    best = np.flatnonzero(counts == counts.max())
    ends = np.concatenate([[0], np.cumsum(lengths)])
    characters = ends[first[best] + n] - ends[first[best]]
    return int(best[np.lexsort((first[best], -characters))[0]])


def _covered(places: IntArray, n: int, lengths: IntArray) -> int:
    """Characters of the words inside n-grams at `places`, overlaps counted once."""
    change = np.zeros(len(lengths) + 1, dtype=np.int64)
    change[places] += 1  # a place stands once among places, so plain indexing adds right
    change[places + n] -= 1
    return int(lengths[np.cumsum(change[:-1]) > 0].sum())
