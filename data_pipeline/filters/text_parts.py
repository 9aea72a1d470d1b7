"""The parts of a text: words, lines, paragraphs, and the characters that the rules look for.

A word is what stands between blanks, punctuation included; in scripts written without blanks (Han,
kana, Thai, Lao, Khmer, Burmese) every character is a word, so that a page in them has a length.
"""

import re

# Blocks whose scripts put no blanks between words: Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = (
    "\u0e01-\u0e5b\u0e81-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
UNSPACED_CHARACTER = re.compile(f"([{_UNSPACED}])")
"""A character that is a word."""
LETTER = re.compile(r"[^\W\d_]")
"""What makes a word an alphabetic one."""
_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")

TERMINAL_PUNCTUATION = frozenset(
    '.!?"\u2026\u201c\u201d\u2019\u00bb\u00ab\u203a'
    "\u3002\uff01\uff1f\uff0e\uff61\u300d\u300f"  # East Asian
    "\u061f\u06d4\u0964\u0965\u1362\u104b\u17d4"  # others
)
"""Ends of a sentence, and closing quotation marks: those of C4 and their likes in other scripts."""
SENTENCE_ENDS = frozenset(".!?\u2026\u3002\uff01\uff1f\u0964\u061f\u06d4")
"""What ends the last word of a sentence, before CLOSING marks."""
CLOSING = "\"')]\u201c\u201d\u2019\u00bb\u00ab"
"""Marks that may stand behind the end of a sentence."""
BULLETS = ("\u2022", "\u2023", "\u25aa", "\u25cf", "\u25e6", "\u2043", "\u25b6", "\u00b7", "*", "-")
"""Characters that open an item of a list."""
ELLIPSES = ("...", "\u2026")
"""What stands for words left out."""
STRIPPED = ".,;:!?\"'()[]\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2013\u2014\u2026"
"""Marks around a word that are not of it."""


def split_words(text: str) -> list[str]:
    """The words of a text; a character of a script without blanks is a word of its own."""
    return _spaced(text).split()


def has_fewer_words(text: str, number: int) -> bool:
    """Whether `split_words` gives fewer than `number`; a long text is not split to its end."""
    return number > 0 and len(_spaced(text).split(None, number - 1)) < number


def _spaced(text: str) -> str:
    if text.isascii() or not UNSPACED_CHARACTER.search(text):
        return text
    return UNSPACED_CHARACTER.sub(r" \1 ", text)


def split_lines(text: str) -> list[str]:
    """Lines that hold more than blanks, stripped."""
    return [line for line in map(str.strip, text.split("\n")) if line]


def split_paragraphs(text: str) -> list[str]:
    """Stretches between blank lines, stripped."""
    stripped = map(str.strip, _PARAGRAPH_BREAK.split(text))
    return [paragraph for paragraph in stripped if paragraph]


def ends_in_punctuation(line: str) -> bool:
    """Whether a stripped line, not empty, ends a sentence or a quotation."""
    return line[-1] in TERMINAL_PUNCTUATION


def ends_sentence(word: str) -> bool:
    """Whether a word is the last of a sentence."""
    return not word[-1].isalnum() and word.rstrip(CLOSING)[-1:] in SENTENCE_ENDS


def has_letter(word: str) -> bool:
    """Whether a word holds a letter of any script."""
    return word.isalpha() or LETTER.search(word) is not None


def speaks_of_javascript(line: str) -> bool:
    """Whether a line holds the word, as warnings to switch it on do."""
    return "javascript" in line.lower()
