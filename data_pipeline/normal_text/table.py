"""Which characters have a normal form of their own, for the compiled way to the normal form.

A character's form depends on its neighbours where a combining mark meets a letter; the others are
normalised one by one, and the text's form is theirs in a row. Twin: `form.normalized`.
"""

import unicodedata
from functools import cache

import numpy as np

from data_pipeline.native.code_points import BLOCK, CODE_POINTS, BlockTable
from data_pipeline.native.text_normal import LONGEST_EXPANSION, NOT_ALONE

_LAST_PAIR = 0x1E000
"""Behind it no character is composed of two; a test goes through the rest."""
_HANGUL_SYLLABLES = range(0xAC00, 0xD7A4)
_HANGUL_SECONDS = (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))


def is_word_character(character: str, marks: frozenset[str]) -> bool:
    """Whether it is of a word: a letter, a digit, or one of their marks."""
    return character.isalnum() or character in marks


@cache
def second_characters() -> frozenset[str]:
    """What composition joins to the character before it."""
    seconds = set(map(chr, _HANGUL_SECONDS))
    for code in range(0xC0, _LAST_PAIR):
        if code in _HANGUL_SYLLABLES:
            continue
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            seconds.add(chr(int(parts[1], 16)))
    return frozenset(seconds)


class NormalForms:
    """The forms of characters as native/text_normal.c reads them."""

    def __init__(self, marks: frozenset[str]) -> None:
        self.forms = np.zeros(CODE_POINTS, dtype=np.int32)
        self.expansions = np.zeros(1, dtype=np.int32)
        self._marks = marks
        self._table = BlockTable(self._fill)

    def cover(self, codes: bytes) -> None:
        """Fill what a text needs."""
        self._table.cover(codes)

    def _fill(self, start: int) -> None:
        expansions = self.expansions.tolist()
        for code in range(start, start + BLOCK):
            form = self._form(chr(code))
            if form is None or len(form) > LONGEST_EXPANSION:
                self.forms[code] = NOT_ALONE
            elif len(form) == 1:
                self.forms[code] = form[0]
            else:
                self.forms[code] = -2 - len(expansions)
                expansions += [len(form), *form]
        self.expansions = np.array(expansions, dtype=np.int32)

    def _form(self, character: str) -> list[int] | None:
        """The character's word characters, 0 for any other; None where neighbours count."""
        composed = unicodedata.normalize("NFKC", character)
        folded = composed.casefold()
        final = unicodedata.normalize("NFKC", folded)
        if any(map(_depends_on_neighbours, {character, composed, folded, final})):
            return None
        is_word = [is_word_character(part, self._marks) for part in final]
        if not any(is_word):
            return [0]
        return [ord(part) if held else 0 for part, held in zip(final, is_word, strict=True)]


def _depends_on_neighbours(text: str) -> bool:
    first, decomposed = text[0], unicodedata.normalize("NFKD", text)[0]
    return _is_joined(first) or (first != decomposed and _is_joined(decomposed))


def _is_joined(character: str) -> bool:
    return unicodedata.combining(character) != 0 or character in second_characters()
