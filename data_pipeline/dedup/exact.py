"""The normalised form in which texts are compared, and its digest: equal means the same text.

Normal form: Unicode NFKC, case folded, and each run of anything but letters, digits and their marks
as one blank. So typography, punctuation, line breaks and capitals make no difference; spelling
does.
"""

import re
import unicodedata

import xxhash

# Signs that belong to the letter before them but are no word characters to `re`: combining accents,
# Hebrew and Arabic points, vowel signs of the Indic scripts, Thai, Lao, Tibetan, Burmese and Khmer.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a"
    "\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0900-\u0963"
    "\u0981-\u0d83\u0dca-\u0ddf\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd"
    "\u0f71-\u0f84\u102b-\u103e\u17b6-\u17d3"
)
_SEPARATORS = re.compile(rf"(?:[^\w{_MARKS}]|_)+")


def normalized(text: str) -> str:
    """The form of a text that case, punctuation and spacing do not change; idempotent."""
    if text.isascii():
        return _SEPARATORS.sub(" ", text.lower()).strip(" ")
    # Folding can undo a composition and composing can bring a capital; two rounds settle both.
    for _ in range(2):
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _SEPARATORS.sub(" ", text).strip(" ")


def digest(text: str) -> bytes:
    """(16 bytes) xxh3-128 of a text as it stands; the caller normalises."""
    return xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))
