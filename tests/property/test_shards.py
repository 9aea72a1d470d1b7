"""Rows through shards and back, and repacking: identical token streams for any sizes."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.shard_reader import ShardReader
from contracts.shards import ShardManifest
from contracts.tokenizer import TokenizerSpec
from data_pipeline.packing import pack
from data_pipeline.records import TokenizedDocument
from data_pipeline.repack import read_documents
from data_pipeline.shard_writer import ShardsConfig, write_shards
from tests.property.test_packing import EOT, documents_of_any_size

configs = st.builds(
    lambda seq_len, rows, chunks: ShardsConfig(
        seq_len=seq_len,
        chunk_tokens=rows * (seq_len + 1),
        shard_tokens=chunks * rows * (seq_len + 1),
    ),
    st.integers(4, 17),
    st.integers(1, 6),
    st.integers(1, 3),
)
few_documents = documents_of_any_size.map(lambda documents: documents[:6])


def write(documents: list[TokenizedDocument], config: ShardsConfig, folder: Path) -> ShardManifest:
    rows = pack(documents, seq_len=config.seq_len, eot_id=EOT, block_tokens=50)
    shards = write_shards(rows, folder=str(folder), prefix="web", config=config)
    return ShardManifest(
        dataset_id="d",
        split="train",
        seq_len=config.seq_len,
        token_dtype="uint32",
        tokenizer=TokenizerSpec("sentencepiece", "0" * 64, 100_000, EOT, 1, 0),
        tokenizer_path="",
        shards=tuple(shards),
        counts={},
        config_sha256="",
        code_version="",
        where=str(folder / "manifest.json"),
    )


def same(found: list[TokenizedDocument], expected: list[TokenizedDocument]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        assert (one.doc_id, one.section, one.uri, one.origin, one.source, one.num_bytes) == (
            other.doc_id, other.section, other.uri, other.origin, other.source, other.num_bytes,
        )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(few_documents, configs)
def test_every_row_is_read_back_by_number(
    documents: list[TokenizedDocument], config: ShardsConfig
) -> None:
    with tempfile.TemporaryDirectory() as name:
        manifest = write(documents, config, Path(name))
        rows = iter(pack(documents, seq_len=config.seq_len, eot_id=EOT))
        for shard in manifest.shards:
            with ShardReader(manifest, shard) as reader:
                for number in range(reader.num_rows):
                    row = next(rows)
                    np.testing.assert_array_equal(reader.row(number), row.tokens)
                    spans, entries = reader.spans(number), reader.documents(number)
                    np.testing.assert_array_equal(spans.lengths, row.segment_lengths)
                    assert [entries[i]["doc_id"] for i in spans.documents] == [
                        span.document.doc_id for span in row.spans
                    ]
        assert next(rows, None) is None
        assert manifest.num_tokens == sum(len(d.tokens) for d in documents)


@settings(max_examples=25, deadline=None)
@given(few_documents, configs, configs)
def test_repacking_there_and_back_gives_the_same_bytes(
    documents: list[TokenizedDocument], config: ShardsConfig, other: ShardsConfig
) -> None:
    with tempfile.TemporaryDirectory() as name:
        first = write(documents, config, Path(name, "first"))
        whole = list(read_documents(first, first.shards))
        same(whole, documents)
        there = write(whole, other, Path(name, "there"))
        assert there.shards == write(documents, other, Path(name, "direct")).shards
        back = write(list(read_documents(there, there.shards)), config, Path(name, "back"))
        assert back.shards == first.shards
