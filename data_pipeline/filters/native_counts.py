"""The counts of `text_counts.py` by the compiled helpers: one pass over a text's code points."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from data_pipeline.filters.repetition import NgramRepetition, Repetition, ratio
from data_pipeline.filters.text_counts import PythonCounts, TextCounts, words_present
from data_pipeline.filters.text_parts import (
    BULLETS,
    CLOSING,
    LETTER,
    SENTENCE_ENDS,
    STRIPPED,
    TERMINAL_PUNCTUATION,
    UNSPACED_CHARACTER,
)
from data_pipeline.filters.word_lists import WordLists
from data_pipeline.native.code_points import BLOCK, CODE_POINTS, BlockTable, code_points
from data_pipeline.native.text_stats import TextStats, can_count, listed_words, text_stats


class CharacterFlags:
    """What the compiled helpers know of characters; the bits are those of native/text.h."""

    def __init__(self) -> None:
        self.flags = np.zeros(CODE_POINTS, dtype=np.uint16)
        self.lower = np.zeros(CODE_POINTS, dtype=np.uint32)
        self._table = BlockTable(self._fill)

    def cover(self, codes: bytes) -> None:
        """Fill what a text needs."""
        self._table.cover(codes)

    def _fill(self, start: int) -> None:
        for code in range(start, start + BLOCK):
            character = chr(code)
            lower = character.lower()
            self.lower[code] = ord(lower) if len(lower) == 1 else code
            self.flags[code] = sum(bool(held) << bit for bit, held in enumerate(_held(character)))


def _held(character: str) -> tuple[object, ...]:
    lower = character.lower()
    return (
        character.isspace(),
        UNSPACED_CHARACTER.match(character),
        LETTER.match(character),
        character.isalnum(),
        character in TERMINAL_PUNCTUATION,
        character in SENTENCE_ENDS,
        character in CLOSING,
        character in BULLETS,
        character in STRIPPED,
        # A capital sigma's lower case depends on the letters around it.
        len(lower) != 1 or character == "\u03a3",
    )


@cache
def character_flags() -> CharacterFlags:
    """The table of this process."""
    return CharacterFlags()


def counts_of(text: str) -> TextCounts:
    """The counts of a text: compiled where that is built and takes a text of such a length."""
    return NativeCounts.of(text) if can_count(len(text)) else PythonCounts(text)


@dataclass(frozen=True)
class NativeCounts:
    """Counts of one text, all taken at once."""

    _text: str
    _codes: bytes
    _stats: TextStats
    num_bytes: int
    num_words: int
    num_word_characters: int
    num_alphabetic_words: int
    num_sentence_ends: int
    num_hash_signs: int
    num_ellipses: int
    num_curly_brackets: int
    has_lorem_ipsum: bool
    num_lines: int
    num_terminated_lines: int
    num_bullet_lines: int
    num_ellipsis_lines: int
    num_javascript_lines: int
    line_repetition: Repetition
    paragraph_repetition: Repetition
    ngram_repetition: NgramRepetition

    @staticmethod
    def of(text: str) -> "NativeCounts":
        """The counts of a text that `can_count` takes."""
        codes = code_points(text)
        table = character_flags()
        table.cover(codes)
        stats = text_stats(codes, table.flags)
        found = stats.counts
        return NativeCounts(
            _text=text,
            _codes=codes,
            _stats=stats,
            num_bytes=found["num_bytes"],
            num_words=found["num_words"],
            num_word_characters=found["num_word_characters"],
            num_alphabetic_words=found["num_alphabetic_words"],
            num_sentence_ends=found["num_sentence_ends"],
            num_hash_signs=found["num_hash_signs"],
            num_ellipses=found["num_ellipses"],
            num_curly_brackets=found["num_curly_brackets"],
            has_lorem_ipsum=bool(found["has_lorem_ipsum"]),
            num_lines=found["num_lines"],
            num_terminated_lines=found["num_terminated_lines"],
            num_bullet_lines=found["num_bullet_lines"],
            num_ellipsis_lines=found["num_ellipsis_lines"],
            num_javascript_lines=found["num_javascript_lines"],
            line_repetition=_repetition(found, "line"),
            paragraph_repetition=_repetition(found, "paragraph"),
            ngram_repetition=NgramRepetition.of(
                {n: found[f"characters_in_{n}_grams"] for n in range(2, 11)},
                found["num_word_characters"],
            ),
        )

    def num_lines_up_to(self, num_characters: int) -> int:
        return int(np.count_nonzero(self._stats.line_lengths <= num_characters))

    def num_lines_below(self, num_words: int) -> int:
        return int(np.count_nonzero(self._stats.line_words < num_words))

    def num_listed_words(self, lists: WordLists) -> int:
        distinct = self._stats.distinct_words
        if self._stats.counts["has_odd_lower"]:
            words = [self._text[start:end] for start, end in distinct.tolist()]
            return lists.most_hits(words_present(words))
        table = character_flags()
        hits = listed_words(self._codes, distinct, lists.listed, table.flags, table.lower)
        return lists.most_marked(hits)


def _repetition(found: Mapping[str, int], part: str) -> Repetition:
    return Repetition(
        ratio(found[f"num_repeated_{part}s"], found[f"num_{part}s"]),
        ratio(found[f"num_repeated_{part}_characters"], found[f"num_{part}_characters"]),
    )
