"""Repack at its door: what it writes, what it leaves alone, what it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import ConfigError, DataError
from contracts.shards import read_manifest, verify_shard, write_manifest
from data_pipeline.repack import read_documents, repack, repack_dataset
from data_pipeline.shard_writer import ShardsConfig
from tests.datasets import make_dataset

CONFIG = ShardsConfig(seq_len=50, chunk_tokens=8 * 51, shard_tokens=32 * 51)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data"), sources=("web", "books"))


def test_repacked_shards_are_those_of_packing_at_that_length(dataset: Path, tmp_path: Path) -> None:
    manifests = repack_dataset(str(dataset), str(tmp_path / "new"), CONFIG)
    direct = make_dataset(
        tmp_path / "direct",
        sources=("web", "books"),
        seq_len=50,
        rows_per_chunk=8,
        chunks_per_shard=4,
    )
    assert [manifest.split for manifest in manifests] == ["train", "validation"]
    for manifest in manifests:
        expected = read_manifest(str(direct / manifest.split))
        assert manifest.shards == expected.shards
        assert manifest.sha256 == expected.sha256
        assert read_manifest(str(tmp_path / "new" / manifest.split)) == manifest
        for shard in manifest.shards:
            verify_shard(manifest, shard)
    assert (tmp_path / "new" / "tokenizer" / "tokenizer.model").is_file()


def test_repacking_again_does_nothing(dataset: Path, tmp_path: Path) -> None:
    url = str(dataset / "train")
    first = repack(url, str(tmp_path), CONFIG)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert repack(url, str(tmp_path), CONFIG) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times


def test_other_data_in_the_output_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"train/manifest\.json stands already .* choose another output"
    ):
        repack(str(dataset / "train"), str(dataset), CONFIG)
    repack(str(dataset / "train"), str(tmp_path), CONFIG)
    with pytest.raises(ConfigError, match=r"choose another output"):
        repack(str(dataset / "train"), str(tmp_path), ShardsConfig(seq_len=60))


def test_a_folder_without_splits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds neither train/manifest\.json nor validation"):
        repack_dataset(str(tmp_path), str(tmp_path / "new"), CONFIG)


def test_a_missing_shard_is_found_by_the_documents_that_do_not_join(dataset: Path) -> None:
    manifest = read_manifest(str(dataset / "train"))
    shards = [shard for shard in manifest.shards if shard.source == "web"]
    with pytest.raises(
        DataError, match=r"chunk 0, row 0: token \d+ of \w+ section 0 stands where token"
    ):
        list(read_documents(manifest, [shards[0], *shards[2:]]))
    with pytest.raises(
        DataError, match=r"the last document \w+ section 0 has \d+ of \d+ tokens; a shard"
    ):
        list(read_documents(manifest, shards[:1]))


def test_a_changed_shard_is_refused(dataset: Path, tmp_path: Path) -> None:
    manifest = read_manifest(str(dataset / "train"))
    first = replace(manifest.shards[0], sha256="0" * 64)
    changed = replace(manifest, shards=(first, *manifest.shards[1:]))
    url = str(dataset / "train" / "changed.json")
    write_manifest(changed, url)
    with pytest.raises(DataError, match=r"web-00000\.tar: sha256 is \w+, the manifest says 0{64}"):
        repack(url, str(tmp_path), CONFIG)
