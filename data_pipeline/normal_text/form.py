"""The normal form in which texts are compared: case, punctuation and spacing make no difference.

Unicode NFKC, case folded, and each run of anything but letters, digits and their marks as one
blank. Spelling makes a difference.
"""

import re
import unicodedata
from functools import cache

from data_pipeline.native.code_points import code_points
from data_pipeline.native.text_normal import is_built, normal_form
from data_pipeline.normal_text.table import NormalForms

# Signs that belong to the letter before them but are no word characters to `re`: combining accents,
# Hebrew and Arabic points, vowel signs of the Indic scripts, Thai, Lao, Tibetan, Burmese and Khmer.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a"
    "\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0900-\u0963"
    "\u0981-\u0d83\u0dca-\u0ddf\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd"
    "\u0f71-\u0f84\u102b-\u103e\u17b6-\u17d3"
)
_ALL_MARKS = range(0x300, 0x1800)
_BLANKS = ("\u00a0", "\u2026", "\u2011", "\u202f")
_WORD = re.compile(rf"[\w{_MARKS}]+")
_WORD_WITHOUT_MARKS = re.compile(r"\w+")
_MARK = re.compile(f"[{_MARKS}]")


@cache
def _normal_forms() -> NormalForms:
    return NormalForms(frozenset(filter(_MARK.match, map(chr, _ALL_MARKS))))


def normal_bytes(text: str) -> bytes:
    """`normalized` in UTF-8: compiled where that is built and no combining mark stands in it."""
    found = None
    if is_built():
        forms = _normal_forms()
        codes = code_points(text)
        forms.cover(codes)
        found = normal_form(codes, forms.forms, forms.expansions)
    return normalized(text).encode() if found is None else found


def normalized(text: str) -> str:
    """The form of a text that case, punctuation and spacing do not change; idempotent."""
    if text.isascii():
        return " ".join(_WORD_WITHOUT_MARKS.findall(text.lower().replace("_", " ")))
    # Most pages hold no other characters that NFKC changes, and those become blanks in any case.
    for character in _BLANKS:
        text = text.replace(character, " ")
    text = _composed(_composed(text).casefold())
    pattern = _WORD if _MARK.search(text) else _WORD_WITHOUT_MARKS
    return " ".join(pattern.findall(text.replace("_", " ")))


def _composed(text: str) -> str:
    return text if unicodedata.is_normalized("NFKC", text) else unicodedata.normalize("NFKC", text)
