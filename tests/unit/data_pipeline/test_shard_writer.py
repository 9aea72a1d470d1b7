"""Shards: stock webdataset decodes them, one seek reads any row, equal rows give equal bytes."""

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import webdataset

from contracts.shard_reader import ShardReader
from contracts.shards import INDEX_COLUMNS, ShardManifest, read_manifest, verify_shard
from data_pipeline.packing import pack
from data_pipeline.records import Origin, PackedSample, TokenizedDocument
from data_pipeline.shard_writer import ShardsConfig, write_shards
from tests.datasets import make_dataset, make_tokenizer

CONFIG = ShardsConfig(
    seq_len=7, chunk_tokens=24, shard_tokens=48
)  # 3 rows a chunk, 2 chunks a shard


def make_rows(
    num_documents: int = 12, dtype: str = "uint16", seq_len: int = 7
) -> list[PackedSample]:
    documents = []
    for number in range(num_documents):
        tokens = (np.arange(5 + 3 * (number % 5)) + 10 * number).astype(dtype)
        documents.append(
            TokenizedDocument(
                f"{number:032x}",
                0,
                "web",
                f"https://ü.example/{number}",
                Origin("f", 7),
                tokens,
                99,
            )
        )
    return list(pack(documents, seq_len=seq_len, eot_id=2))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data"), sources=("web", "books"))


@pytest.fixture(scope="module")
def manifest(dataset: Path) -> ShardManifest:
    return read_manifest(str(dataset / "train"))


def test_config_rounds_down_to_whole_rows_and_chunks() -> None:
    assert (CONFIG.rows_per_chunk, CONFIG.rows_per_shard) == (3, 6)
    tiny = ShardsConfig(seq_len=100, chunk_tokens=1, shard_tokens=1)
    assert (tiny.rows_per_chunk, tiny.rows_per_shard) == (1, 1)


def test_shards_roll_over_and_every_chunk_but_the_last_is_full(tmp_path: Path) -> None:
    rows = make_rows()
    infos = write_shards(rows, folder=str(tmp_path), prefix="web", config=CONFIG)
    assert [info.path for info in infos] == [f"web-{i:05d}.tar" for i in range(len(infos))]
    assert [info.num_samples for info in infos[:-1]] == [6] * (len(infos) - 1)
    assert sum(info.num_samples for info in infos) == len(rows)
    for info in infos:
        index = np.load(tmp_path / info.index_path)
        assert index.shape[1] == len(INDEX_COLUMNS)
        assert (index[:-1, 0] == 3).all()
        assert info.rows_per_chunk == 3


def test_counts_are_those_of_the_documents(tmp_path: Path) -> None:
    rows = make_rows()
    documents = {span.document.doc_id: span.document for row in rows for span in row.spans}.values()
    infos = write_shards(rows, folder=str(tmp_path), prefix="web", config=CONFIG)
    assert sum(i.num_tokens for i in infos) == sum(len(d.tokens) for d in documents)
    assert sum(i.num_targets for i in infos) == sum(len(d.tokens) - 1 for d in documents)
    assert sum(i.num_bytes for i in infos) == sum(d.num_bytes for d in documents)


def test_checksums_and_sizes_are_those_of_the_files(tmp_path: Path) -> None:
    for info in write_shards(make_rows(), folder=str(tmp_path), prefix="web", config=CONFIG):
        tar = (tmp_path / info.path).read_bytes()
        assert (len(tar), hashlib.sha256(tar).hexdigest()) == (info.size_bytes, info.sha256)
        index = (tmp_path / info.index_path).read_bytes()
        assert hashlib.sha256(index).hexdigest() == info.index_sha256


def test_bytes_depend_on_the_rows_alone(tmp_path: Path) -> None:
    one = write_shards(make_rows(), folder=str(tmp_path / "a"), prefix="web", config=CONFIG)
    two = write_shards(
        iter(make_rows()), folder=str(tmp_path / "b"), prefix="other", config=CONFIG, first_number=9
    )
    assert [info.sha256 for info in one] == [info.sha256 for info in two]
    assert two[0].path == "other-00009.tar"
    with tarfile.open(tmp_path / "a" / one[0].path) as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")


def test_no_rows_give_no_shards(tmp_path: Path) -> None:
    assert write_shards([], folder=str(tmp_path), prefix="web", config=CONFIG) == []
    assert not list(tmp_path.iterdir())


def test_a_failure_among_the_rows_leaves_no_torn_shard(tmp_path: Path) -> None:
    def rows():  # type: ignore[no-untyped-def]
        yield from make_rows()[:8]
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_shards(rows(), folder=str(tmp_path), prefix="web", config=CONFIG)  # type: ignore[no-untyped-call]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "web-00000.idx.npy",
        "web-00000.tar",
    ]


def test_rows_of_another_length_or_source_are_refused(tmp_path: Path) -> None:
    rows = make_rows()
    with pytest.raises(
        ValueError, match=r"a packed row has 8 tokens, expected seq_len \+ 1 = 5; pack with"
    ):
        write_shards(rows, folder=str(tmp_path), prefix="web", config=ShardsConfig(seq_len=4))
    rows[1] = replace(rows[1], source="books")
    with pytest.raises(
        ValueError, match=r"of source 'books' in a shard of 'web'; write each source"
    ):
        write_shards(rows, folder=str(tmp_path), prefix="web", config=CONFIG)


def test_stock_webdataset_decodes_all_chunks_of_all_shards(
    dataset: Path, manifest: ShardManifest
) -> None:
    urls = [str(dataset / "train" / shard.path) for shard in manifest.shards]
    chunks = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert len({chunk["__key__"] for chunk in chunks}) == len(chunks)
    assert sum(len(chunk["tokens.npy"]) for chunk in chunks) == manifest.num_samples
    for chunk in chunks:
        tokens, spans, documents = (
            chunk[name] for name in ("tokens.npy", "spans.npy", "documents.json")
        )
        assert tokens.dtype == np.uint16
        assert tokens.shape[1] == manifest.seq_len + 1
        assert spans.shape[1] == 5
        assert set(spans[:, 3].tolist()) == set(range(len(documents)))


def test_wide_vocabularies_are_kept_as_uint32(tmp_path: Path) -> None:
    (info,) = write_shards(
        make_rows(2, "uint32"), folder=str(tmp_path), prefix="web", config=CONFIG
    )
    (first, *_) = webdataset.WebDataset([str(tmp_path / info.path)], shardshuffle=False).decode()
    assert first["tokens.npy"].dtype == np.uint32


def test_the_reader_gives_each_row_and_its_parts(dataset: Path, manifest: ShardManifest) -> None:
    tokenizer = make_tokenizer()
    for shard in manifest.shards:
        verify_shard(manifest, shard)
        with tarfile.open(dataset / "train" / shard.path) as tar:
            members = [tar.extractfile(member).read() for member in tar]  # type: ignore[union-attr]
        rows = np.concatenate([np.load(io.BytesIO(data)) for data in members[0::3]])
        with ShardReader(manifest, shard) as reader:
            assert reader.num_rows == len(rows)
            for row, tokens in enumerate(rows):
                np.testing.assert_array_equal(reader.row(row), tokens)
                spans, documents = reader.spans(row), reader.documents(row)
                for place, length, number, offset in zip(
                    spans.positions, spans.lengths, spans.documents, spans.offsets, strict=True
                ):
                    is_last = offset + length == documents[number]["num_tokens"]
                    assert (tokens[place + length - 1] == tokenizer.spec.eot_id) == is_last
                assert json.loads(members[2])[0].keys() == documents[0].keys()


def test_the_reader_takes_rows_in_any_order(manifest: ShardManifest) -> None:
    shard = manifest.shards[0]
    with ShardReader(manifest, shard) as reader:
        order = np.random.default_rng(0).integers(0, reader.num_rows, 40).tolist()
        taken, segments = reader.take(order), reader.segments(order)
        for place, row in enumerate(order):
            np.testing.assert_array_equal(taken[place], reader.row(row))
            spans = reader.spans(row)
            expected = np.zeros(manifest.seq_len + 1, dtype=np.int32)
            for number, (start, length) in enumerate(
                zip(spans.positions, spans.lengths, strict=True), start=1
            ):
                expected[start : start + length] = number
            np.testing.assert_array_equal(segments[place], expected)


def test_neighbouring_rows_share_the_token_where_a_document_goes_on(
    manifest: ShardManifest,
) -> None:
    with ShardReader(manifest, manifest.shards[0]) as reader:
        shared = 0
        for before, after in pairwise(range(reader.num_rows)):
            last, first = reader.spans(before), reader.spans(after)
            ends = reader.documents(before)[last.documents[-1]]
            if last.offsets[-1] + last.lengths[-1] < ends["num_tokens"]:
                assert reader.row(before)[-1] == reader.row(after)[0]
                assert first.offsets[0] == last.offsets[-1] + last.lengths[-1] - 1
                shared += 1
            else:
                assert first.offsets[0] == 0
        assert shared > 10
