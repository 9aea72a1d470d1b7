"""MinHash values of a text's word shingles: documents that share most shingles share most values.

Broder 1997, "On the resemblance and containment of documents"; the banding is that of Penedo et al.
2024 (FineWeb), section 3.4: 14 bands of 8 values over shingles of 5 words meet with probability 1 -
(1 - s^8)^14, one half at a Jaccard similarity s of 0.69. Deviation: a candidate pair is a duplicate
only if the estimated similarity confirms it.

rensa draws the values (R-MinHash) from the shingles' hashes, so they are the same on every machine
and in every process.
"""

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, PositiveInt
from rensa import RMinHash

from contracts.config import Config
from data_pipeline.normal_text import mix, shingle_hashes

BandArray = npt.NDArray[np.uint32]

__all__ = ["HASHES", "BandArray", "MinHashConfig", "minhash_values", "mix", "shingle_hashes"]

HASHES = 2
"""Raised when the hashes of shingles change: such signatures cannot be compared."""


class MinHashConfig(Config):
    """Shingles, values and bands."""

    num_bands: PositiveInt = 14
    """Bands; documents are compared when all values of one band agree."""
    rows_per_band: PositiveInt = 8
    """Values in a band."""
    ngram_words: PositiveInt = 5
    """Words in a shingle; a shorter text has no near-duplicates."""
    min_similarity: Annotated[float, Field(ge=0.0, le=1.0)] = 0.8
    """Estimated Jaccard similarity from which two documents are duplicates; Lee et al. 2022 (4.2)
    take 0.8. At 0.7 one in 450 pages of API documentation was lost to a page of its template."""
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
