"""A fastText model small enough to write by hand: each word speaks for one label."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

MAGIC, VERSION = 793712314, 12
SUPERVISED, SOFTMAX = 3, 3
CERTAINTY = 10.0


def write_model(path: Path, words: Mapping[str, str]) -> Path:
    """A model that names the label of the words it reads.

    Args:
        path: the file.
        words: {word: label}; labels as the file has them, `__label__deu_Latn`.
    """
    labels = list(dict.fromkeys(words.values()))
    size = len(labels)
    # dim, window, epochs, minimal count, negatives, n-grams, loss, model, buckets, minn, maxn, rate
    arguments = (size, 5, 1, 1, 5, 1, SOFTMAX, SUPERVISED, 0, 0, 0, 100)
    parts = [struct.pack("<2i12id", MAGIC, VERSION, *arguments, 1e-4)]
    parts.append(struct.pack("<3i2q", len(words) + size, len(words), size, len(words), -1))
    parts += [_entry(word, is_label=False) for word in words]
    parts += [_entry(label, is_label=True) for label in labels]
    vectors = [_unit(size, labels.index(label)) for label in words.values()]
    outputs = [_unit(size, place) for place in range(size)]
    for rows in (vectors, outputs):
        parts.append(struct.pack("<?2q", False, len(rows), size))
        parts += [struct.pack(f"<{size}f", *row) for row in rows]
    path.write_bytes(b"".join(parts))
    return path


def _entry(word: str, *, is_label: bool) -> bytes:
    return word.encode() + b"\0" + struct.pack("<qb", 1, is_label)


def _unit(size: int, place: int) -> Sequence[float]:
    return [CERTAINTY if i == place else 0.0 for i in range(size)]
