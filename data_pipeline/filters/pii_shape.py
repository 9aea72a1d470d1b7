"""What a text looks like where personal data may stand, so that most texts are not searched.

The shape has one byte for each character, so that a place in it is a place in the text: `0` digits,
`h` hexadecimal letters but `a`; `a`, `t`, `.`, `:` and `@` themselves, `(` opening brackets, `-`
what may part digits, and blanks for all else. Characters beyond Latin-1 may part digits too.
"""

_OPENING = b"([{"
_PARTING = b" )/-+\xa0?"
"""`?` also stands for all characters beyond Latin-1."""
_AT_WORDS = {**dict.fromkeys(b"tT", ord("t")), **dict.fromkeys(b"aA\xe4", ord("a"))}


def _class(byte: int) -> int:
    if byte in b"0123456789":
        return ord("0")
    if byte in b"bcdefBCDEF":
        return ord("h")
    if byte in b".:@":
        return byte
    if byte in _OPENING:
        return ord("(")
    return ord("-") if byte in _PARTING else _AT_WORDS.get(byte, ord(" "))


_CLASSES = bytes(map(_class, range(256)))


def shape_of(text: str) -> bytes:
    """(len(text),) the class of each character."""
    return text.encode("latin-1", "replace").translate(_CLASSES)


def apart(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of (begin, end) in order, those that do not overlap one that is kept."""
    kept: list[tuple[int, int]] = []
    for span in spans:
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept
