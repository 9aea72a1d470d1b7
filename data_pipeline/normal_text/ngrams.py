"""Hashes of the words of a normal form, and of runs of them.

A word's hash is a polynomial in its bytes, mixed by a finalizer, and that of a run of words (a
shingle, an n-gram) one in its words' hashes; in scripts without blanks each character is a word.
"""

import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from data_pipeline.native import text_normal

HashArray = npt.NDArray[np.uint64]

_BASE = 0x9E3779B97F4A7C15
_INVERSE_BASE = pow(_BASE, -1, 1 << 64)

# Thai, Lao, Burmese, Khmer, kana, Han: no blanks between words, so each character is a word.
_UNSPACED = re.compile(
    "([\u0e01-\u0e5b\u0e81-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\U00020000-\U0003ffff])"
)
_LEADS_OF_THREE_BYTES_OR_MORE = bytes(range(0xE0, 0xF8))


def shingle_hashes(normal: bytes, ngram_words: int) -> HashArray:
    """(max(0, N - n + 1),) one hash for each run of `ngram_words` words of a normal form."""
    if text_normal.is_built():
        return text_normal.shingle_hashes(normal, ngram_words)
    return python_shingle_hashes(normal, ngram_words)


def python_shingle_hashes(normal: bytes, ngram_words: int) -> HashArray:
    """`shingle_hashes` without the compiled helper; the twin of native/text_normal.c."""
    words = _word_hashes(normal)
    num_shingles = len(words) - ngram_words + 1
    if num_shingles <= 0:
        return np.zeros(0, dtype=np.uint64)
    hashes = np.zeros(num_shingles, dtype=np.uint64)
    for i in range(ngram_words):
        hashes *= np.uint64(_BASE)
        hashes += words[i : i + num_shingles]
    return mix(hashes)


def _word_hashes(normal: bytes) -> HashArray:
    """(N,) of each word the sum of its bytes times falling powers of the base, mixed."""
    # Unspaced scripts take three bytes or four in UTF-8, which few other normalised texts have.
    if len(normal.translate(None, _LEADS_OF_THREE_BYTES_OR_MORE)) < len(normal):
        normal = b" ".join(_UNSPACED.sub(r" \1 ", normal.decode()).encode().split())
    if not normal:
        return np.zeros(0, dtype=np.uint64)
    octets = np.frombuffer(normal, dtype=np.uint8).astype(np.uint64)
    blanks = np.flatnonzero(octets == ord(" "))
    starts, ends = np.concatenate([[0], blanks + 1]), np.concatenate([blanks, [len(octets)]])
    scaled = octets * _powers(_INVERSE_BASE, len(octets))
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(scaled, dtype=np.uint64)])
    return mix((sums[ends] - sums[starts]) * _powers(_BASE, len(octets))[ends - 1])


def _powers(base: int, number: int) -> HashArray:
    """(number,) base**0 to base**(number - 1) modulo 2**64."""
    factors = np.full(number, base, dtype=np.uint64)
    factors[:1] = 1
    return np.cumprod(factors, dtype=np.uint64)


def mix(values: HashArray) -> HashArray:
    """Spread each bit over all 64 (the finalizer of MurmurHash3, Appleby 2011)."""
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xFF51AFD7ED558CCD)
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))


class NgramHashes:
    """Hashes of runs of any number of words; each word is hashed once.

    A run's hash is a polynomial in its words' hashes, not mixed again: made to look runs up, not to
    draw from.
    """

    def __init__(self, words: HashArray) -> None:
        """From (N,) hashes of single words, as `shingle_hashes(normal, 1)` gives them."""
        room = max(64, 1 << (len(words) + 1).bit_length())
        scaled = words * _powers_kept(_INVERSE_BASE, room)[: len(words)]
        self._sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(scaled)])
        self._powers = _powers_kept(_BASE, room)

    def of(self, n: int) -> HashArray:
        """(max(0, N - n + 1),) one hash for each run of n words, in order."""
        return self._of(slice(0, max(0, len(self._sums) - n)), n)

    def at(self, places: npt.NDArray[np.int64], n: int) -> HashArray:
        """(P,) of the runs of n words that begin at `places`, none of which leaves the text."""
        return self._of(places, n)

    def _of(self, first: slice | npt.NDArray[np.int64], n: int) -> HashArray:
        hashes: HashArray = (self._sums[n:][first] - self._sums[first]) * self._powers[first]
        return hashes


@lru_cache(maxsize=64)
def _powers_kept(base: int, number: int) -> HashArray:
    powers = _powers(base, number)
    powers.flags.writeable = False
    return powers


def split_unspaced(normal: str) -> str:
    """A normal form in which each character of a script without blanks stands alone."""
    octets = normal.encode()
    if len(octets.translate(None, _LEADS_OF_THREE_BYTES_OR_MORE)) == len(octets):
        return normal
    return " ".join(_UNSPACED.sub(r" \1 ", normal).split())
