"""Dedup: signatures of documents, and which of them repeat others, across all sources.

Use: `config.build().signature(document)` for each document, `write_signatures` for each work unit,
then `find_duplicates(read_table(files, config), config)` once over all of them.
"""

from data_pipeline.dedup.clusters import SignatureTable, find_duplicates, signature_table
from data_pipeline.dedup.config import DedupConfig
from data_pipeline.dedup.minhash import MinHashConfig
from data_pipeline.dedup.signature import Signer
from data_pipeline.dedup.signature_store import (
    read_signatures,
    read_table,
    signature_bytes,
    write_signatures,
)
from data_pipeline.normal_text import normalized

__all__ = [
    "DedupConfig",
    "MinHashConfig",
    "SignatureTable",
    "Signer",
    "find_duplicates",
    "normalized",
    "read_signatures",
    "read_table",
    "signature_bytes",
    "signature_table",
    "write_signatures",
]
