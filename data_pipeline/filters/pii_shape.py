"""What a text looks like where numbers stand: found out once, so that most are not searched."""

_SEPARATORS = b" ()/-+"


def _class(byte: int) -> int:
    if ord("0") <= byte <= ord("9"):
        return ord("0")
    if byte == ord("."):
        return byte
    # Blanks and dashes beyond ASCII separate digits too.
    return ord("-") if byte in _SEPARATORS or byte >= 0x80 else ord(" ")


_CLASSES = bytes(map(_class, range(256)))


def shape_of(octets: bytes) -> bytes:
    """A text in UTF-8 with `0` for each digit, `.`, `-` for what may part digits, else blanks."""
    return octets.translate(_CLASSES)
