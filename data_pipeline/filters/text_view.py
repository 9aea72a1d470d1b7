"""One text, taken apart once for all filters: words, lines, paragraphs and repetition of n-grams.

Each part is made when first asked for and kept. A word is what stands between blanks, punctuation
included; in scripts written without blanks (Han, kana, Thai, Lao, Khmer, Burmese) every character
is a word, so that a page in them has a length at all. Nothing here knows of thresholds.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from data_pipeline.records import Document

IntArray = npt.NDArray[np.int64]

# Blocks whose scripts put no blanks between words: Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = (
    "\u0e01-\u0e5b\u0e81-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNSPACED_CHARACTER = re.compile(f"([{_UNSPACED}])")
_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")

TERMINAL_PUNCTUATION = (
    *(".", "!", "?", '"', "\u2026", "\u201c", "\u201d", "\u2019", "\u00bb", "\u00ab", "\u203a"),
    *("\u3002", "\uff01", "\uff1f", "\uff0e", "\uff61", "\u300d", "\u300f"),  # East Asian
    *("\u061f", "\u06d4", "\u0964", "\u0965", "\u1362", "\u104b", "\u17d4"),
)
"""Ends of a sentence, and closing quotation marks: those of C4 and their likes in other scripts."""


def split_words(text: str) -> list[str]:
    """The words of a text; a character of a script without blanks is a word of its own."""
    if not text.isascii() and _UNSPACED_CHARACTER.search(text):
        text = _UNSPACED_CHARACTER.sub(r" \1 ", text)
    return text.split()


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
    """Repetition of word n-grams of one length, as fractions of the characters of all words."""

    top: float
    """Characters covered by the most frequent n-gram; 0 where none stands twice."""
    duplicate: float
    """Characters covered by n-grams that stood before."""


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
        return np.fromiter(map(len, self.words), dtype=np.int64, count=len(self.words))

    @cached_property
    def word_ids(self) -> IntArray:
        """(N,) number of each word in order of first appearance: equal numbers are equal words."""
        table: dict[str, int] = {}
        number = [table.setdefault(word, len(table)) for word in self.words]
        return np.array(number, dtype=np.int64)

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
        ended = sum(line.endswith(TERMINAL_PUNCTUATION) for line in self.lines)
        return _ratio(ended, len(self.lines))

    def fraction_of_words(self, number: float) -> float:
        """`number` / words; 0 of none."""
        return _ratio(number, len(self.words))

    def fraction_of_lines(self, number: float) -> float:
        """`number` / lines; 0 of none."""
        return _ratio(number, len(self.lines))

    @cached_property
    def ngram_repetition(self) -> dict[int, NgramRepetition]:
        """Repetition of word n-grams for n = 2 to 10.

        An n-gram can stand twice only where its first n - 1 words do, so each length looks only at
        the places the one before left over: the first is a sort of all pairs, the rest is short.
        """
        lengths, ids = self.word_lengths, self.word_ids
        num_words, num_characters = len(ids), int(lengths.sum())
        found = {n: NgramRepetition(0.0, 0.0) for n in range(2, 11)}
        places = np.arange(num_words)
        groups = ids
        for n in range(2, 11):
            inside = places + n <= num_words
            places, groups = places[inside], groups[inside]
            keys = groups * num_words + ids[places + n - 1]
            _, first, groups, counts = np.unique(
                keys, return_index=True, return_inverse=True, return_counts=True
            )
            if not len(counts) or counts.max() < 2:
                break
            is_repeat = np.ones(len(places), dtype=bool)
            is_repeat[first] = False
            top = _covered(places[groups == _top(counts, places[first], n, lengths)], n, lengths)
            duplicate = _covered(places[is_repeat], n, lengths)
            found[n] = NgramRepetition(top / num_characters, duplicate / num_characters)
            recurring = counts[groups] > 1
            places, groups = places[recurring], groups[recurring]
        return found


def _top(counts: IntArray, first: IntArray, n: int, lengths: IntArray) -> int:
    """The most frequent n-gram; of equals the longest, then the earliest."""
    best = np.flatnonzero(counts == counts.max())
    ends = np.concatenate([[0], np.cumsum(lengths)])
    characters = ends[first[best] + n] - ends[first[best]]
    return int(best[np.lexsort((first[best], -characters))[0]])


def _covered(places: IntArray, n: int, lengths: IntArray) -> int:
    """Characters of the words inside n-grams at `places`, overlaps counted once."""
    change = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.add.at(change, places, 1)
    np.add.at(change, places + n, -1)
    return int(lengths[np.cumsum(change[:-1]) > 0].sum())
