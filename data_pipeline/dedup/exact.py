"""The digest of a normal form: equal means the same text."""

import xxhash


def digest(text: bytes) -> bytes:
    """(16 bytes) xxh3-128 of a text as it stands; the caller normalises."""
    return xxhash.xxh3_128_digest(text)
