"""MinHash values of a text's word shingles: documents that share most shingles share most values.

Broder 1997, "On the resemblance and containment of documents"; the banding is that of Penedo et al.
2024 (FineWeb), section 3.4: 14 bands of 8 values over shingles of 5 words meet with probability 1 -
(1 - s^8)^14, one half at a Jaccard similarity s of 0.69. Deviation: a candidate pair is a duplicate
only if the estimated similarity confirms it.

A word's hash is a polynomial in its bytes, mixed by a finalizer, and a shingle's one in its words'
hashes; in scripts without blanks each character is a word. rensa draws the values (R-MinHash), so
they are the same on every machine and in every process.
"""

import re
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, PositiveInt
from rensa import RMinHash

from contracts.config import Config
from data_pipeline.native import text_normal

HashArray = npt.NDArray[np.uint64]
BandArray = npt.NDArray[np.uint32]

HASHES = 2
"""Raised when the hashes of shingles change: such signatures cannot be compared."""
_BASE = 0x9E3779B97F4A7C15
_INVERSE_BASE = pow(_BASE, -1, 1 << 64)

# Thai, Lao, Burmese, Khmer, kana, Han: no blanks between words, so each character is a word.
_UNSPACED = re.compile(
    "([\u0e01-\u0e5b\u0e81-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\U00020000-\U0003ffff])"
)
_LEADS_OF_THREE_BYTES_OR_MORE = bytes(range(0xE0, 0xF8))


class MinHashConfig(Config):
    """Shingles, values and bands."""

    num_bands: PositiveInt = 14
    """Bands; documents are compared when all values of one band agree."""
    rows_per_band: PositiveInt = 8
    """Values in a band."""
    ngram_words: PositiveInt = 5
    """Words in a shingle; a shorter text has no near-duplicates."""
    min_similarity: Annotated[float, Field(ge=0.0, le=1.0)] = 0.7
    """Estimated Jaccard similarity from which two documents are duplicates."""
    seed: NonNegativeInt = 1
    """Chooses the hash functions; signatures of different seeds cannot be compared."""

    @property
    def num_hashes(self) -> int:
        """Values of a document."""
        return self.num_bands * self.rows_per_band

    def fingerprint(self) -> dict[str, int]:
        """What must be equal for two signatures to be comparable."""
        return {
            "num_bands": self.num_bands,
            "rows_per_band": self.rows_per_band,
            "ngram_words": self.ngram_words,
            "seed": self.seed,
            "shingle_hashes": HASHES,
            "rensa_algorithm": int(RMinHash.ALGORITHM_VERSION),
        }


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


def minhash_values(normal: bytes, config: MinHashConfig) -> BandArray:
    """(num_hashes,) MinHash values of a normal form, band after band.

    (0,) for fewer words than a shingle has.
    """
    hashes = shingle_hashes(normal, config.ngram_words)
    if not len(hashes):
        return np.zeros(0, dtype=np.uint32)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        hashes, [0, len(hashes)], config.num_hashes, config.seed
    )
    return np.array(matrix.to_rows()[0], dtype=np.uint32)
