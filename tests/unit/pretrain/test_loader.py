"""Batches of the loader, and what it refuses."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from contracts.config import validated
from contracts.errors import ConfigError, DataError
from contracts.shard_reader import ShardReader
from contracts.shards import ShardManifest, read_manifest, write_manifest
from contracts.tokenizer import TokenizerSpec
from pretrain.loader import BatchPlan, Loader, LoaderConfig
from pretrain.records import IGNORE_INDEX
from pretrain.rows import BatchMaker, tokenizer_of
from pretrain.sample_order import MAX_ROWS, Part, SampleOrder
from tests.datasets import make_dataset, make_tokenizer

SEQ_LEN = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(
        tmp_path_factory.mktemp("data"), sources=("web", "books"), num_documents=20, seq_len=SEQ_LEN
    )


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(
        tmp_path_factory.mktemp("other"), sources=("news",), num_documents=15, seq_len=SEQ_LEN
    )


def config_of(*folders: Path, **fields: object) -> LoaderConfig:
    return LoaderConfig.model_validate(
        {
            "train": [{"manifest": str(folder / "train")} for folder in folders],
            "seq_len": SEQ_LEN,
            **fields,
        }
    )


def build(config: LoaderConfig, plan: BatchPlan | None = None, *, vocab_size: int = 384) -> Loader:
    return config.build(plan or BatchPlan(0, 1, 4, 8), seed=0, vocab_size=vocab_size)


def changed(folder: Path, out: Path, **fields: object) -> Path:
    """A copy of the manifest of `folder`, with other fields, that still finds its shards."""
    manifest = read_manifest(str(folder / "train"))
    shards = tuple(
        replace(s, path=manifest.shard_url(s), index_path=manifest.index_url(s))
        for s in manifest.shards
    )
    given = {"shards": shards, "tokenizer_path": manifest.tokenizer_url, **fields}
    (out / "train").mkdir(parents=True)
    write_manifest(replace(manifest, **given), str(out / "train" / "manifest.json"))  # type: ignore[arg-type] # any field
    return out


def test_targets_stay_inside_their_document(folder: Path) -> None:
    manifest = read_manifest(str(folder / "train"))
    batch = next(build(config_of(folder)).batches(build(config_of(folder)).fresh_state()))
    for place, sample_id in enumerate(batch.sample_ids):
        path, _, row = sample_id.rpartition(":")
        shard = next(s for s in manifest.shards if s.path == path)
        with ShardReader(manifest, shard) as reader:
            tokens, spans = reader.row(int(row)).astype(np.int64), reader.spans(int(row))
        expected = np.full(SEQ_LEN, IGNORE_INDEX)
        segments = np.zeros(SEQ_LEN + 1, dtype=np.int32)
        for number, (first, length) in enumerate(
            zip(spans.positions.tolist(), spans.lengths.tolist(), strict=True), start=1
        ):
            segments[first : first + length] = number
            expected[first : first + length - 1] = tokens[first + 1 : first + length]
        assert batch.input_ids[place].tolist() == tokens[:-1].tolist()
        assert batch.targets[place].tolist() == expected.tolist()
        assert batch.segment_ids[place].tolist() == segments[:-1].tolist()
    assert batch.num_targets == int((batch.targets != IGNORE_INDEX).sum())
    table = make_tokenizer().token_bytes()
    assert batch.num_bytes == table[batch.targets[batch.targets != IGNORE_INDEX].numpy()].sum()
    assert (batch.input_ids.dtype, batch.segment_ids.dtype) == (torch.int64, torch.int32)


def test_an_epoch_counts_the_targets_of_the_manifest(folder: Path) -> None:
    manifest = read_manifest(str(folder / "train"))
    loader = build(config_of(folder), BatchPlan(0, 1, 1, 1))
    batches = islice(loader.batches(loader.fresh_state()), manifest.num_samples)
    assert sum(b.num_targets for b in batches) == sum(s.num_targets for s in manifest.shards)


def test_rows_as_one_text_have_targets_across_documents(folder: Path) -> None:
    maker_config = config_of(folder)
    loader = maker_config.build(
        BatchPlan(0, 1, 4, 4), seed=0, vocab_size=384, documents_masked=False
    )
    masked = build(maker_config, BatchPlan(0, 1, 4, 4))
    one = next(loader.batches(loader.fresh_state()))
    apart = next(masked.batches(masked.fresh_state()))
    assert one.sample_ids == apart.sample_ids
    assert one.num_targets > apart.num_targets
    assert int(one.segment_ids.max()) == 1


def test_state_counts_whole_steps_handed_out_not_what_is_read_ahead(folder: Path) -> None:
    loader = build(config_of(folder, num_workers=2, prefetch_batches=6), BatchPlan(0, 1, 2, 8))
    batches = loader.batches(loader.fresh_state())
    consumed = []
    for _ in range(8):
        next(batches)
        consumed.append(loader.state().samples_consumed)
    assert consumed == [0, 0, 0, 8, 8, 8, 8, 16]


def test_another_seed_is_another_order_and_the_section_comes_first(folder: Path) -> None:
    config = config_of(folder)
    ids = []
    for seed in (0, 0, 1):
        loader = config.build(BatchPlan(0, 1, 8, 8), seed=seed, vocab_size=384)
        ids.append(next(loader.batches(loader.fresh_state())).sample_ids)
    assert ids[0] == ids[1] != ids[2]
    own = config_of(folder, seed=1).build(BatchPlan(0, 1, 8, 8), seed=0, vocab_size=384)
    assert next(own.batches(own.fresh_state())).sample_ids == ids[2]


def test_a_mixture_draws_by_weight_and_knows_its_epochs(folder: Path, other_folder: Path) -> None:
    config = LoaderConfig.model_validate(
        {
            "train": [
                {"manifest": str(folder / "train"), "weight": 3.0},
                {"manifest": str(other_folder / "train"), "weight": 1.0},
            ],
            "seq_len": SEQ_LEN,
        }
    )
    loader = build(config, BatchPlan(0, 1, 8, 8))
    batches = loader.batches(loader.fresh_state())
    ids = [i for batch in islice(batches, 10) for i in batch.sample_ids]
    assert sum(i.startswith("news") for i in ids) == 20
    assert loader.epochs == pytest.approx(80 / loader.order.num_rows)


def test_a_padded_vocabulary_is_accepted(folder: Path) -> None:
    build(config_of(folder), vocab_size=511)


def test_sizes_that_do_not_divide_are_refused_with_the_arithmetic(folder: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"global_batch_size=10 is not a multiple of micro_batch_size x dp_world_size = "
        r"2 x 3 = 6; change either",
    ):
        build(config_of(folder), BatchPlan(0, 3, 2, 10))


def test_a_state_of_other_data_is_refused(folder: Path, other_folder: Path) -> None:
    loader = build(config_of(folder))
    state = loader.fresh_state()
    other = build(config_of(other_folder)).fresh_state()
    with pytest.raises(DataError, match=f"saved manifests {other.manifests_sha256}, seed 0"):
        loader.batches(other)
    with pytest.raises(DataError, match=r"seed 9.*now manifests .* seed 0"):
        loader.batches(replace(state, seed=9))
    with pytest.raises(DataError, match="epoch 5; now"):
        loader.batches(replace(state, epoch=5))


def test_rows_of_another_length_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"seq_len is 16, the run's is 32.*repack.*seq_len=32"):
        build(config_of(folder, seq_len=32))


@pytest.mark.parametrize("vocab_size", [383, 512])
def test_a_model_of_another_vocabulary_is_refused(folder: Path, vocab_size: int) -> None:
    with pytest.raises(
        DataError, match=rf"vocab_size of its tokenizer is 384, the model's is {vocab_size}"
    ):
        build(config_of(folder), vocab_size=vocab_size)


def test_tokens_of_the_wrong_type_are_refused(folder: Path, tmp_path: Path) -> None:
    wrong = changed(folder, tmp_path, token_dtype="uint32")
    with pytest.raises(DataError, match="token_dtype is uint32, a vocabulary of 384 has uint16"):
        build(config_of(wrong))


def test_manifests_of_two_tokenizers_are_refused_with_both_fingerprints(
    folder: Path, tmp_path: Path
) -> None:
    spec = make_tokenizer().spec
    wrong = changed(folder, tmp_path, tokenizer=replace(spec, sha256="f" * 64))
    with pytest.raises(DataError, match=f"expected sha256 {spec.sha256}.*found sha256 {'f' * 64}"):
        build(config_of(folder, wrong))


def test_data_of_another_tokenizer_than_the_configs_is_refused_with_both(folder: Path) -> None:
    spec = make_tokenizer().spec
    given = config_of(folder).model_dump() | {"tokenizer_sha256": "d" * 64}
    with pytest.raises(DataError, match=f"is {'d' * 64}, found sha256 {spec.sha256}"):
        build(LoaderConfig.model_validate(given))
    build(LoaderConfig.model_validate(given | {"tokenizer_sha256": spec.sha256}))


def test_a_tokenizer_file_that_is_not_the_manifests_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    spec = TokenizerSpec.from_json({**make_tokenizer().spec.as_json(), "sha256": "e" * 64})
    wrong = changed(folder, tmp_path, tokenizer=spec)
    with pytest.raises(DataError, match=rf"tokenizer.model: tokenizer differs.*{'e' * 64}"):
        build(config_of(wrong))


def test_an_empty_manifest_is_refused(folder: Path, tmp_path: Path) -> None:
    empty = changed(folder, tmp_path, shards=())
    with pytest.raises(DataError, match=r"manifest.json: no rows; leave it out of data.train"):
        build(config_of(empty))


def test_no_manifest_is_refused() -> None:
    with pytest.raises(ConfigError, match="train"):
        validated(LoaderConfig, {"train": [], "seq_len": 8}, where="test")
    with pytest.raises(ConfigError, match="no manifest given"):
        tokenizer_of([])


def part(digest: str = "a", rows: int = 3, weight: float | None = None) -> Part:
    return Part(digest * 64, rows, weight)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "lists no manifest"),
        ([part(), part("b", weight=1.0)], r"weights \[None, 1.0\]: give one to every manifest"),
        ([part(), part()], r"lists the same data twice \(manifest sha256 \['aaaaaaaaaaaa'"),
        (
            [part(rows=MAX_ROWS + 1)],
            f"has {MAX_ROWS + 1} rows, the order of samples is exact up to",
        ),
        ([part(weight=1e-9), part("b", weight=1.0)], "number 0 is too far from the rest"),
        ([part(weight=1e9), part("b", weight=1.0)], "number 0 is too far from the rest"),
    ],
)
def test_mixtures_that_make_no_order_are_refused(parts: list[Part], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SampleOrder(parts, seed=0)


def test_a_fault_while_reading_ahead_reaches_the_trainer(folder: Path, tmp_path: Path) -> None:
    manifest = read_manifest(str(folder / "train"))
    gone = tuple(
        replace(s, path=str(tmp_path / "gone.tar"), index_path=manifest.index_url(s))
        for s in manifest.shards
    )
    wrong = changed(folder, tmp_path / "copy", shards=gone)
    loader = build(config_of(wrong, num_workers=1))
    with pytest.raises(DataError, match=r"gone.tar cannot be mapped"):
        next(loader.batches(loader.fresh_state()))


def test_the_first_pass_is_not_in_the_order_of_the_files(folder: Path) -> None:
    manifest: ShardManifest = read_manifest(str(folder / "train"))
    loader = build(config_of(folder))
    rows = loader.order.at(np.arange(manifest.num_samples)).rows
    assert (np.diff(rows) == 1).mean() < 0.1


def test_rows_that_only_fill_up_a_batch_have_no_targets() -> None:
    maker = BatchMaker(make_tokenizer())
    tokens = np.full((2, 5), 7)
    batch = maker.from_arrays(
        tokens, np.ones((2, 5), dtype=np.int32), np.array([[True] * 4, [False] * 4])
    )
    assert batch.num_targets == 4
    assert batch.targets[1].tolist() == [IGNORE_INDEX] * 4
    assert batch.sample_ids == ()
