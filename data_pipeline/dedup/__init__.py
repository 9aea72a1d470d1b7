"""Dedup: signatures of documents, and which of them repeat others, across all sources.

Use: `config.build().signature(document)` for each document and a `signature_writer` for each work
unit; the steps of `data_pipeline.stages.search` compare them. `find_duplicates` does the same over
a table in memory: the reference that the steps are tested against.
"""

from data_pipeline.dedup.clusters import SignatureTable, find_duplicates, signature_table
from data_pipeline.dedup.config import DedupConfig
from data_pipeline.dedup.minhash import MinHashConfig
from data_pipeline.dedup.signature import Signer
from data_pipeline.dedup.signature_store import (
    copy_signatures,
    dataset_files,
    num_signatures,
    read_signatures,
    read_table,
    signature_bytes,
    signature_writer,
    write_signatures,
)
from data_pipeline.dedup.url_key import host_of, normalized_url
from data_pipeline.normal_text import normalized

__all__ = [
    "DedupConfig",
    "MinHashConfig",
    "SignatureTable",
    "Signer",
    "copy_signatures",
    "dataset_files",
    "find_duplicates",
    "host_of",
    "normalized",
    "normalized_url",
    "num_signatures",
    "read_signatures",
    "read_table",
    "signature_bytes",
    "signature_table",
    "signature_writer",
    "write_signatures",
]
