"""What the filters count in a text: the names, and the way of counting in Python.

`counts_of` gives the compiled way (`native_counts.py`) where it is built; both give the same
numbers. Nothing here knows of thresholds.
"""

from collections.abc import Callable, Collection
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from data_pipeline.filters.repetition import (
    NgramRepetition,
    Repetition,
    ngram_characters,
    repetition,
)
from data_pipeline.filters.text_parts import (
    BULLETS,
    ELLIPSES,
    STRIPPED,
    ends_in_punctuation,
    ends_sentence,
    has_letter,
    speaks_of_javascript,
    split_lines,
    split_paragraphs,
    split_words,
)
from data_pipeline.filters.word_lists import WordLists

IntArray = npt.NDArray[np.int64]


class TextCounts(Protocol):
    """Counts of one text; lines are those that hold more than blanks, stripped."""

    @property
    def num_bytes(self) -> int:
        """UTF-8 bytes."""

    @property
    def num_words(self) -> int:
        """Words."""

    @property
    def num_word_characters(self) -> int:
        """Characters of all words."""

    @property
    def num_alphabetic_words(self) -> int:
        """Words with at least one letter."""

    @property
    def num_sentence_ends(self) -> int:
        """Words that end a sentence."""

    @property
    def num_hash_signs(self) -> int:
        """Hash signs."""

    @property
    def num_ellipses(self) -> int:
        """Ellipses, as one character or three dots."""

    @property
    def num_curly_brackets(self) -> int:
        """Opening and closing ones."""

    @property
    def has_lorem_ipsum(self) -> bool:
        """Whether the words of placeholder text stand in it."""

    @property
    def num_lines(self) -> int:
        """Lines."""

    @property
    def num_terminated_lines(self) -> int:
        """Lines that end in terminal punctuation."""

    @property
    def num_bullet_lines(self) -> int:
        """Lines that start with a bullet."""

    @property
    def num_ellipsis_lines(self) -> int:
        """Lines that end in an ellipsis."""

    @property
    def num_javascript_lines(self) -> int:
        """Lines that speak of JavaScript."""

    @property
    def line_repetition(self) -> Repetition:
        """Repetition among lines."""

    @property
    def paragraph_repetition(self) -> Repetition:
        """Repetition among paragraphs."""

    @property
    def ngram_repetition(self) -> NgramRepetition:
        """Repetition of word n-grams."""

    def num_lines_up_to(self, num_characters: int) -> int:
        """Lines of at most so many characters."""

    def num_lines_below(self, num_words: int) -> int:
        """Lines of fewer words."""

    def num_listed_words(self, lists: WordLists) -> int:
        """Different words of the list of which most stand in the text, in any case."""


class PythonCounts:
    """Each count when it is first asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words = split_words(text)

    @cached_property
    def _numbered_words(self) -> tuple[list[str], IntArray]:
        distinct = list(dict.fromkeys(self._words))
        number = dict(zip(distinct, range(len(distinct)), strict=True))
        ids = map(number.__getitem__, self._words)
        return distinct, np.fromiter(ids, dtype=np.int64, count=len(self._words))

    @cached_property
    def _word_lengths(self) -> IntArray:
        distinct, ids = self._numbered_words
        return np.fromiter(map(len, distinct), dtype=np.int64)[ids]

    @cached_property
    def _lines(self) -> list[str]:
        return split_lines(self._text)

    @cached_property
    def num_bytes(self) -> int:
        return len(self._text.encode("utf-8", "surrogatepass"))

    @property
    def num_words(self) -> int:
        return len(self._words)

    @cached_property
    def num_word_characters(self) -> int:
        return int(self._word_lengths.sum())

    @cached_property
    def num_alphabetic_words(self) -> int:
        return self._num_words_where(has_letter)

    @cached_property
    def num_sentence_ends(self) -> int:
        return self._num_words_where(ends_sentence)

    def _num_words_where(self, holds: Callable[[str], bool]) -> int:
        distinct, ids = self._numbered_words
        fulfil = np.fromiter(map(holds, distinct), dtype=np.bool_)
        return int(fulfil[ids].sum())

    @property
    def num_hash_signs(self) -> int:
        return self._text.count("#")

    @property
    def num_ellipses(self) -> int:
        return sum(map(self._text.count, ELLIPSES))

    @property
    def num_curly_brackets(self) -> int:
        return self._text.count("{") + self._text.count("}")

    @cached_property
    def has_lorem_ipsum(self) -> bool:
        return "lorem ipsum" in self._text.lower()

    @property
    def num_lines(self) -> int:
        return len(self._lines)

    @cached_property
    def num_terminated_lines(self) -> int:
        return sum(map(ends_in_punctuation, self._lines))

    @cached_property
    def num_bullet_lines(self) -> int:
        return sum(line.startswith(BULLETS) for line in self._lines)

    @cached_property
    def num_ellipsis_lines(self) -> int:
        return sum(line.endswith(ELLIPSES) for line in self._lines)

    @cached_property
    def num_javascript_lines(self) -> int:
        if not speaks_of_javascript(self._text):
            return 0
        return sum(map(speaks_of_javascript, self._lines))

    @cached_property
    def line_repetition(self) -> Repetition:
        return repetition(self._lines)

    @cached_property
    def paragraph_repetition(self) -> Repetition:
        return repetition(split_paragraphs(self._text))

    @cached_property
    def ngram_repetition(self) -> NgramRepetition:
        covered = ngram_characters(self._numbered_words[1], self._word_lengths)
        return NgramRepetition.of(covered, self.num_word_characters)

    def num_lines_up_to(self, num_characters: int) -> int:
        return sum(len(line) <= num_characters for line in self._lines)

    def num_lines_below(self, num_words: int) -> int:
        return sum(len(split_words(line)) < num_words for line in self._lines)

    def num_listed_words(self, lists: WordLists) -> int:
        return lists.most_hits(words_present(self._numbered_words[0]))


def words_present(words: Collection[str]) -> frozenset[str]:
    """Words in lower case, without the punctuation around them."""
    return frozenset(word.strip(STRIPPED) for word in " ".join(words).lower().split())
