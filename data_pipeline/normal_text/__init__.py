"""Texts in the form in which they are compared, and hashes of their words: shared by rooms."""

from data_pipeline.normal_text.form import normal_bytes, normalized
from data_pipeline.normal_text.ngrams import (
    HashArray,
    NgramHashes,
    mix,
    shingle_hashes,
    split_unspaced,
)

__all__ = [
    "HashArray",
    "NgramHashes",
    "mix",
    "normal_bytes",
    "normalized",
    "shingle_hashes",
    "split_unspaced",
]
