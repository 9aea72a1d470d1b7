"""Evaluation: sums over targets, the same figures at any world size, and what it refuses."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from contracts.errors import ConfigError, DataError
from contracts.shards import read_manifest, write_manifest
from pretrain.distributed import World
from pretrain.evaluate import EvalConfig, Evaluator, Windows
from pretrain.objectives import CausalLmConfig
from pretrain.records import Batch, EvalReport
from tests.datasets import make_dataset, make_tokenizer

SEQ_LEN = 16
VOCAB = 384


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(
        tmp_path_factory.mktemp("data"),
        sources=("web", "books"),
        num_documents=20,
        seq_len=SEQ_LEN,
        validation_fraction=0.5,
    )


def manifest_entry(folder: Path, **fields: Any) -> dict[str, Any]:
    return {"kind": "manifest", "manifest": str(folder / "validation"), **fields}


def evaluator_of(*entries: dict[str, Any], **fields: Any) -> Evaluator:
    trained = fields.pop("trained_sources", ())
    seq_len = fields.pop("seq_len", SEQ_LEN)
    config = EvalConfig.model_validate({"datasets": list(entries), **fields})
    return config.build(
        make_tokenizer(), seq_len=seq_len, vocab_size=VOCAB, trained_sources=trained
    )


@dataclass
class Scorer:
    """A model whose logits depend on the ids alone; counts its passes."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    num_passes: int = 0
    is_evaluating: bool = False

    def __call__(self, *args: Tensor) -> Tensor:
        assert self.is_evaluating
        self.num_passes += 1
        table = torch.randn(VOCAB, VOCAB, generator=torch.Generator().manual_seed(1))
        return table[args[0]]

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        self.is_evaluating = True
        yield
        self.is_evaluating = False


def evaluate(evaluator: Evaluator, world: World | None = None) -> list[EvalReport]:
    objective = CausalLmConfig().build()
    return evaluator.evaluate(Scorer(), objective, world or World.single(), step=3)


def test_reports_stand_for_each_source_and_for_all(folder: Path) -> None:
    reports = {r.dataset_id: r for r in evaluate(evaluator_of(manifest_entry(folder)))}
    assert set(reports) == {"validation", "validation/web", "validation/books"}
    parts = [reports["validation/web"], reports["validation/books"]]
    total = reports["validation"]
    manifest = read_manifest(str(folder / "validation"))
    assert total.num_targets == sum(shard.num_targets for shard in manifest.shards)
    assert total.num_targets == sum(part.num_targets for part in parts)
    nll = sum(part.loss * part.num_targets for part in parts)
    assert total.loss == pytest.approx(nll / total.num_targets)
    assert total.step == 3
    assert total.extra["perplexity"] == pytest.approx(math.exp(total.loss))
    assert set(total.metrics()) == {
        "eval/validation/loss",
        "eval/validation/bits_per_byte",
        "eval/validation/perplexity",
    }


def test_the_loss_is_the_mean_over_targets_and_bytes_are_those_of_targets(folder: Path) -> None:
    evaluator = evaluator_of(manifest_entry(folder, max_rows=None))
    nll, targets, num_bytes = 0.0, 0, 0.0
    scorer = Scorer(is_evaluating=True)
    for eval_set in evaluator.sets:
        for row in range(eval_set.num_rows):
            batch = eval_set.batch_of([row], 1)
            nll += float(CausalLmConfig().build()(scorer, batch))
            targets += batch.num_targets
            num_bytes += batch.num_bytes
    total = next(r for r in evaluate(evaluator) if r.dataset_id == "validation")
    assert total.loss == pytest.approx(nll / targets, rel=1e-6)
    assert total.bits_per_byte == pytest.approx(nll / math.log(2) / num_bytes, rel=1e-6)


def _on_ranks(evaluator: Evaluator, ranks: int) -> tuple[list[list[int]], list[int]]:
    """Row numbers that count on each rank, and the number of passes of each."""
    counted: list[list[int]] = []
    passes = []
    for rank in range(ranks):
        seen: list[int] = []

        def batch_of(rows: Sequence[int], num_counted: int, seen: list[int] = seen) -> Batch:
            seen += rows[:num_counted]
            return evaluator.sets[0].batch_of(rows, num_counted)

        recording = Evaluator([replace(evaluator.sets[0], batch_of=batch_of)], micro_batch_size=4)
        scorer = Scorer()
        world = replace(World.single(), dp_rank=rank, dp_world_size=ranks)
        recording.evaluate(scorer, CausalLmConfig().build(), world, step=0)
        counted.append(seen)
        passes.append(scorer.num_passes)
    return counted, passes


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_ranks_share_the_rows_and_make_as_many_passes(folder: Path, ranks: int) -> None:
    evaluator = evaluator_of(manifest_entry(folder))
    counted, passes = _on_ranks(evaluator, ranks)
    rows = sorted(row for rank in counted for row in rank)
    assert rows == list(range(evaluator.sets[0].num_rows))
    assert len(set(passes)) == 1


def test_max_rows_draws_the_same_rows_each_time(folder: Path) -> None:
    sets = [evaluator_of(manifest_entry(folder, max_rows=5)).sets[0] for _ in range(2)]
    ids = [eval_set.batch_of(range(5), 5).sample_ids for eval_set in sets]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 5
    assert sets[0].num_rows == 5


def test_windows_count_each_token_but_the_first_once() -> None:
    for length in (2, 5, 16, 17, 18, 40, 100):
        for stride in (4, 9, 16):
            windows = Windows(np.arange(length), 999, 16, stride)
            tokens, segments, is_counted = windows.arrays(range(windows.num_rows))
            is_target = is_counted & (segments[:, 1:] > 0)
            assert sorted(tokens[:, 1:][is_target].tolist()) == list(range(1, length))
    assert Windows(np.arange(1), 999, 16, 16).num_rows == 0


def test_wikitext_is_normalised_by_the_words_of_the_original(tmp_path: Path) -> None:
    path = tmp_path / "wiki.valid.tokens"
    path.write_text(" \n = River = \n \n The water @-@ mill , it turned . \n")
    entry = {"kind": "wikitext", "path": str(path)}
    report = evaluate(evaluator_of(entry))[0]
    nll = report.loss * report.num_targets
    num_words = 3 + 8 + 4  # and an end of sentence for each of four lines
    assert report.dataset_id == "wikitext2"
    assert report.extra["word_perplexity"] == pytest.approx(math.exp(nll / num_words))
    short = evaluate(evaluator_of(entry | {"max_bytes": 20, "name": "cut"}))[0]
    assert short.num_targets < report.num_targets


def test_the_real_wikitext_has_the_published_number_of_tokens(shared_data: Path) -> None:
    path = shared_data / "wikitext-2" / "wiki.valid.tokens"
    evaluator = evaluator_of({"kind": "wikitext", "path": str(path)})
    assert evaluator.sets[0].num_words == 217_646  # Merity et al. 2016, table 1


def test_a_text_gets_more_context_with_a_smaller_stride(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the river turned the mill wheel " * 20)
    entry = {"kind": "text", "name": "a", "path": str(path)}
    whole = evaluator_of(entry)
    strided = evaluator_of(entry | {"stride_tokens": 4})
    assert strided.sets[0].num_rows > 3 * whole.sets[0].num_rows
    assert [r.num_targets for r in evaluate(whole)] == [r.num_targets for r in evaluate(strided)]


def test_a_source_without_held_out_rows_is_an_error_unless_listed(folder: Path) -> None:
    entry = manifest_entry(folder)
    with pytest.raises(DataError, match=r"no held-out rows of source news in .*validation/manife"):
        evaluator_of(entry, trained_sources=("web", "news"))
    evaluator_of(entry, trained_sources=("web", "news"), sources_without_eval=["news"])
    evaluator_of(trained_sources=("web", "news"))  # no manifest is evaluated at all


def test_an_empty_set_is_an_error(folder: Path, tmp_path: Path) -> None:
    manifest = read_manifest(str(folder / "validation"))
    fields: dict[str, Any] = {"tokenizer_path": manifest.tokenizer_url}
    empty = replace(manifest, shards=(), **fields)
    write_manifest(empty, str(tmp_path / "validation" / "manifest.json"))
    with pytest.raises(DataError, match="no rows, so validation cannot be evaluated"):
        evaluator_of(manifest_entry(tmp_path))
    shards = (replace(manifest.shards[0], num_samples=0), *manifest.shards[1:])
    shards = tuple(s for s in shards if s.source != "web" or not s.num_samples)
    write_manifest(replace(empty, shards=shards), str(tmp_path / "validation" / "manifest.json"))
    with pytest.raises(DataError, match="source web has no rows, so it cannot be evaluated"):
        evaluator_of(manifest_entry(tmp_path))


def test_sets_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"names \['validation', 'validation'\] are not all diff"):
        evaluator_of(manifest_entry(folder), manifest_entry(folder))
    with pytest.raises(DataError, match="seq_len is 16, the run's is 8"):
        evaluator_of(manifest_entry(folder), seq_len=8)
    manifest = read_manifest(str(folder / "validation"))
    other = replace(manifest, tokenizer=replace(manifest.tokenizer, sha256="d" * 64))
    write_manifest(other, str(tmp_path / "validation" / "manifest.json"))
    with pytest.raises(DataError, match=r"tokenizer differs.*found sha256 dddd"):
        evaluator_of(manifest_entry(tmp_path))
    path = tmp_path / "text"
    entry = {"kind": "text", "name": "t", "path": str(path)}
    path.write_bytes(b"abc\xe9")
    with pytest.raises(DataError, match="not UTF-8 at byte 3"):
        evaluator_of(entry)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="0 characters, too few to predict anything"):
        evaluator_of(entry)
    path.write_text("river water")
    with pytest.raises(ConfigError, match="stride_tokens=17 is more than seq_len=16"):
        evaluator_of(entry | {"stride_tokens": 17})


def test_a_stop_breaks_it_off_without_a_report(folder: Path) -> None:
    evaluator = evaluator_of(manifest_entry(folder))
    asked = iter([False, True])
    reports = evaluator.evaluate(
        Scorer(),
        CausalLmConfig().build(),
        World.single(),
        step=3,
        is_stopped=lambda: next(asked, True),
    )
    assert reports == []
