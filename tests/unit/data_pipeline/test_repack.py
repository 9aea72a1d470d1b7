"""Repack at its door: what it writes, what it leaves alone, what it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import ConfigError, DataError
from contracts.shards import ShardInfo, read_manifest, verify_shard, write_manifest
from data_pipeline.packing import pack
from data_pipeline.records import Section
from data_pipeline.repack import read_documents, repack, repack_dataset
from data_pipeline.shard_writer import ShardsConfig, write_shards
from data_pipeline.tokenization import tokenise
from tests.datasets import make_dataset, make_documents, make_tokenizer

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


def test_write_groups_are_repacked_apart(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    old_config = ShardsConfig(seq_len=32, chunk_tokens=8 * 33, shard_tokens=16 * 33)
    groups = [
        [Section(d, 0, d.text, "train") for d in documents]
        for documents in (make_documents("web", 40)[:25], make_documents("web", 40)[25:])
    ]

    def write(folder: Path, config: ShardsConfig) -> list[ShardInfo]:
        shards: list[ShardInfo] = []
        for number, group in enumerate(groups):
            rows = pack(tokenise(group, tokenizer), seq_len=config.seq_len, eot_id=2)
            shards += write_shards(
                rows, folder=str(folder), prefix="web", config=config, group=number,
                first_number=len(shards),
            )  # fmt: skip
        return shards

    source = make_dataset(tmp_path / "old")
    manifest = read_manifest(str(source / "train"))
    for path in (source / "train").iterdir():
        path.unlink()
    shards = write(source / "train", old_config)
    assert {shard.group for shard in shards} == {0, 1}
    url = str(source / "train" / "manifest.json")
    write_manifest(replace(manifest, shards=tuple(shards)), url)
    new = repack(url, str(tmp_path / "new"), CONFIG)
    assert list(new.shards) == write(tmp_path / "direct", CONFIG)


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
