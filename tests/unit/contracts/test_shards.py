"""Manifests and shards: round trip, identity, and what torn or foreign files are told."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest

from contracts.errors import DataError
from contracts.shard_reader import ShardReader
from contracts.shards import read_manifest, verify_shard, write_manifest
from contracts.tokenizer import load_tokenizer
from tests.datasets import make_dataset


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data"), sources=("web", "books"))


@pytest.fixture
def dataset(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "data"))


def test_a_manifest_is_read_back(dataset: Path, tmp_path: Path) -> None:
    manifest = read_manifest(str(dataset / "train"))
    assert manifest == read_manifest(str(dataset / "train" / "manifest.json"))
    write_manifest(manifest, str(tmp_path / "again.json"))
    assert read_manifest(str(tmp_path / "again.json")) == manifest
    assert manifest.sources == ("web", "books")
    assert manifest.num_samples == sum(shard.num_samples for shard in manifest.shards)
    assert load_tokenizer(manifest.tokenizer_url).spec == manifest.tokenizer


def test_identity_is_that_of_the_data(dataset: Path) -> None:
    manifest = read_manifest(str(dataset / "train"))
    renamed = [replace(shard, path="x") for shard in manifest.shards]
    assert (
        replace(manifest, shards=tuple(renamed), code_version="x", counts={}).sha256
        == manifest.sha256
    )
    assert replace(manifest, shards=manifest.shards[::-1]).sha256 != manifest.sha256
    assert replace(manifest, seq_len=1).sha256 != manifest.sha256


def change(dataset: Path, edit: Callable[[dict[str, object]], object]) -> None:
    path = dataset / "train" / "manifest.json"
    tree = json.loads(path.read_text())
    edit(tree)
    path.write_text(json.dumps(tree))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda t: t.update(schema_version=9),
            r"manifest\.json: schema_version is 9, this program reads 1",
        ),
        (
            lambda t: t.pop("shards"),
            r"manifest\.json is not a shard manifest: 'shards'; it is written by",
        ),
        (
            lambda t: t.update(extra=1),
            r"is not a shard manifest: .*unexpected keyword argument 'extra'",
        ),
        (lambda t: t["tokenizer"].pop("sha256"), r"is not a TokenizerSpec: .*missing .*'sha256'"),
    ],
)
def test_other_manifests_are_refused(
    dataset: Path, edit: Callable[[dict[str, object]], object], message: str
) -> None:
    change(dataset, edit)
    with pytest.raises(DataError, match=message):
        read_manifest(str(dataset / "train"))


def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("[1]")
    with pytest.raises(DataError, match=r"is not a shard manifest"):
        read_manifest(str(tmp_path))
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"is not a shard manifest"):
        read_manifest(str(tmp_path))
    with pytest.raises(DataError, match=r"absent/manifest\.json cannot be opened: no such file"):
        read_manifest(str(tmp_path / "absent"))


def test_changed_bytes_are_found_by_the_checksum(dataset: Path) -> None:
    manifest = read_manifest(str(dataset / "train"))
    shard = manifest.shards[0]
    verify_shard(manifest, shard)
    path = dataset / "train" / shard.path
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        DataError, match=rf"web-00000\.tar: sha256 is \w+, the manifest says {shard.sha256}"
    ):
        verify_shard(manifest, shard)


def test_a_torn_shard_is_refused(dataset: Path) -> None:
    manifest = read_manifest(str(dataset / "train"))
    shard = manifest.shards[0]
    path = dataset / "train" / shard.path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"web-00000\.tar: \d+ bytes, the manifest says \d+"):
        ShardReader(manifest, shard)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"web-00000\.tar cannot be mapped"):
        ShardReader(manifest, shard)
    path.unlink()
    with pytest.raises(DataError, match=r"web-00000\.tar cannot be mapped: .*No such file"):
        ShardReader(manifest, shard)


def test_an_index_of_another_shard_is_refused(dataset: Path) -> None:
    manifest = read_manifest(str(dataset / "train"))
    shard = manifest.shards[0]
    path = dataset / "train" / shard.index_path
    index = np.load(path)
    np.save(path, index[:, :5])
    with pytest.raises(DataError, match=r"idx\.npy: shape \(\d+, 5\), expected \(chunks, 6\)"):
        ShardReader(manifest, shard)
    np.save(path, index[:-1])
    with pytest.raises(DataError, match=r"idx\.npy: \d+ rows, the manifest says \d+"):
        ShardReader(manifest, shard)
    path.write_bytes(b"no array")
    with pytest.raises(DataError, match=r"idx\.npy is not an index"):
        ShardReader(manifest, shard)


def test_rows_that_are_not_there_are_refused(dataset: Path) -> None:
    manifest = read_manifest(str(dataset / "train"))
    with ShardReader(manifest, manifest.shards[0]) as reader:
        for row in (-1, reader.num_rows):
            with pytest.raises(DataError, match=rf"row {row} asked for, it has rows 0 to \d+"):
                reader.row(row)
        for start, stop in ((0, 9), (3, 3), (7, 9)):
            with pytest.raises(DataError, match=rf"rows {start} to {stop} are not inside chunk 0"):
                reader.rows(start, stop)


def test_a_remote_shard_is_read_by_range(dataset: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(dataset / "train"), "/remote/train", recursive=True)
    local = read_manifest(str(dataset / "train"))
    remote = read_manifest("memory://remote/train")
    with (
        ShardReader(local, local.shards[1]) as here,
        ShardReader(remote, remote.shards[1]) as there,
    ):
        for row in (5, 0, here.num_rows - 1):
            np.testing.assert_array_equal(here.row(row), there.row(row))
            np.testing.assert_array_equal(here.spans(row).offsets, there.spans(row).offsets)
            assert here.documents(row) == there.documents(row)
    url = f"/remote/train/{remote.shards[1].path}"
    memory.pipe_file(url, memory.cat_file(url)[:600])
    with (
        ShardReader(remote, remote.shards[1]) as there,
        pytest.raises(DataError, match=r"\d+ bytes at offset \d+, expected \d+; torn shard"),
    ):
        there.rows(0, 8)
