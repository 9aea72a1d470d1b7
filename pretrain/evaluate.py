"""Held-out loss, bits per byte and perplexity: the same figures at any number of ranks.

Rows are put into batches before they are dealt to ranks, so a batch has the same rows however many
ranks there are; sums are fp64. Each rank runs the same number of forward passes (the missing ones
on rows without targets), because a partitioned model needs all ranks in each.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from contracts import storage
from contracts.config import Config
from contracts.errors import ConfigError, DataError
from contracts.shards import ShardManifest, read_manifest
from contracts.tokenizer import Tokenizer, require_same_tokenizer
from contracts.wikitext import detokenised, num_original_tokens
from pretrain.distributed import World
from pretrain.records import Batch, EvalReport
from pretrain.rows import BatchMaker, RowTable, Segments, require_fit
from pretrain.sample_order import permuted

logger = logging.getLogger(__name__)


class ManifestEvalConfig(Config):
    """Held-out rows of a data job, per source and together."""

    kind: Literal["manifest"] = "manifest"
    name: str = "validation"
    """Under which metrics are logged: `eval/<name>/loss`, and per source
    `eval/<name>/<source>/loss`."""
    manifest: str
    """The folder or file of a manifest: a data job's `validation`."""
    max_rows: PositiveInt | None = 512
    """Rows of each source, drawn by hash; null: all."""


class TextEvalConfig(Config):
    """A plain text file, as one document."""

    kind: Literal["text"] = "text"
    name: str
    """Under which metrics are logged."""
    path: str
    """The file, UTF-8."""
    max_bytes: PositiveInt | None = None
    """Cut the text behind the last whole line within so many bytes; null: all of it."""
    stride_tokens: PositiveInt | None = None
    """Tokens a window moves on; fewer than seq_len give each target more context and cost more
    time. Null: seq_len, so windows do not overlap."""


class WikitextEvalConfig(Config):
    """WikiText perplexity per original word, from `wiki.valid.tokens`; never to be trained on."""

    kind: Literal["wikitext"] = "wikitext"
    name: str = "wikitext2"
    """Under which metrics are logged."""
    path: str
    """`wiki.valid.tokens` or `wiki.test.tokens`; detokenised by contracts/wikitext.py."""
    max_bytes: PositiveInt | None = None
    """As for a text."""
    stride_tokens: PositiveInt | None = None
    """As for a text."""


EvalDatasetConfig = Annotated[
    ManifestEvalConfig | TextEvalConfig | WikitextEvalConfig, Field(discriminator="kind")
]


class EvalConfig(Config):
    """What a run is measured on, every `eval_every_steps`."""

    datasets: tuple[EvalDatasetConfig, ...] = ()
    """Held-out data; none: no evaluation."""
    micro_batch_size: PositiveInt = 8
    """Rows in one forward pass on one rank."""
    sources_without_eval: tuple[str, ...] = ()
    """Sources that are trained on and known to have no held-out rows; others without any are an
    error."""

    def build(
        self,
        tokenizer: Tokenizer,
        *,
        seq_len: int,
        vocab_size: int,
        documents_masked: bool = True,
        trained_sources: Sequence[str] = (),
    ) -> "Evaluator":
        """The evaluator, with every data set opened and checked.

        Args:
            tokenizer: of the run.
            seq_len: input tokens of a row.
            vocab_size: of the model.
            documents_masked: as in training.
            trained_sources: each must have held-out rows where any manifest is evaluated.

        Raises:
            ConfigError: two data sets have one name.
            DataError: a data set is missing, empty, or does not fit the run.
        """
        names = [dataset.name for dataset in self.datasets]
        if len(set(names)) < len(names):
            raise ConfigError(f"eval.datasets: names {names} are not all different; set `name`")
        maker = BatchMaker(tokenizer, documents_masked=documents_masked)
        sets: list[EvalSet] = []
        manifests: list[ShardManifest] = []
        for dataset in self.datasets:
            if isinstance(dataset, ManifestEvalConfig):
                manifest = read_manifest(dataset.manifest)
                require_fit(manifest, seq_len=seq_len, vocab_size=vocab_size)
                require_same_tokenizer(tokenizer.spec, manifest.tokenizer, where=manifest.where)
                manifests.append(manifest)
                sets += _sets_of_manifest(dataset, manifest, maker)
            else:
                sets.append(_set_of_text(dataset, tokenizer, maker, seq_len=seq_len))
        if manifests:
            self._require_all_sources(manifests, trained_sources)
        return Evaluator(sets, micro_batch_size=self.micro_batch_size)

    def _require_all_sources(
        self, manifests: Sequence[ShardManifest], trained_sources: Sequence[str]
    ) -> None:
        found = {s.source for manifest in manifests for s in manifest.shards if s.num_samples}
        missing = sorted(set(trained_sources) - found - set(self.sources_without_eval))
        if missing:
            raise DataError(
                f"no held-out rows of source {', '.join(missing)} in "
                f"{', '.join(manifest.where for manifest in manifests)}, though it is trained on; "
                "raise the data job's validation fraction, or list it in eval.sources_without_eval"
            )


class ScoredModel(Protocol):
    """What evaluation needs of an engine."""

    @property
    def device(self) -> torch.device:
        """Where batches go."""
        ...

    def __call__(self, *args: Tensor) -> Tensor:
        """The model's forward pass."""
        ...

    def evaluating(self) -> AbstractContextManager[None]:
        """No gradients and evaluation mode within."""
        ...


@dataclass(frozen=True)
class EvalSet:
    """Rows that make one figure."""

    dataset_id: str
    group: str
    """Sets of one group are also reported together, under this name; empty: alone."""
    num_rows: int
    batch_of: Callable[[Sequence[int], int], Batch]
    """(row numbers, how many of them count) -> Batch."""
    num_words: int | None = None
    """Tokens of the original text, for perplexity per word."""


@dataclass(frozen=True)
class _Sums:
    nll: float = 0.0
    num_targets: float = 0.0
    num_bytes: float = 0.0

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.nll + other.nll,
            self.num_targets + other.num_targets,
            self.num_bytes + other.num_bytes,
        )

    def over_ranks(self, world: World) -> "_Sums":
        return _Sums(world.sum(self.nll), world.sum(self.num_targets), world.sum(self.num_bytes))


class Evaluator:
    """Scores a model on every set; all ranks call it together."""

    def __init__(self, sets: Sequence[EvalSet], *, micro_batch_size: int) -> None:
        self.sets = tuple(sets)
        self._micro_batch_size = micro_batch_size

    def evaluate(
        self,
        engine: ScoredModel,
        objective: Callable[[Any, Batch], Tensor],
        world: World,
        *,
        step: int,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> list[EvalReport]:
        """One report for each set, and one for each group of more than one.

        Args:
            engine: the model, on this rank's device.
            objective: `(model, batch) -> nll_sum`.
            world: shares out the batches and sums the results.
            step: completed optimizer steps, for the reports.
            is_stopped: asked before each batch, on every rank with the same answer; then there
                are no reports.
        """
        reports = []
        groups: dict[str, list[_Sums]] = {}
        with engine.evaluating():
            for eval_set in self.sets:
                sums = self._score(eval_set, engine, objective, world, is_stopped=is_stopped)
                if sums is None:
                    logger.warning("step=%d evaluation broken off: a signal asks to stop", step)
                    return []
                reports.append(_report(eval_set.dataset_id, sums, step, eval_set.num_words))
                groups.setdefault(eval_set.group, []).append(sums)
        for group, parts in groups.items():
            if group:
                reports.append(_report(group, sum(parts, _Sums()), step, None))
        return reports

    def _score(
        self,
        eval_set: EvalSet,
        engine: ScoredModel,
        objective: Callable[[Any, Batch], Tensor],
        world: World,
        *,
        is_stopped: Callable[[], bool],
    ) -> _Sums | None:
        sums = _Sums()
        for rows, num_counted in self._deal(eval_set.num_rows, world):
            if is_stopped():
                return None
            batch = eval_set.batch_of(rows, num_counted)
            nll = objective(engine, batch.to(engine.device))
            if num_counted:
                sums += _Sums(float(nll.item()), batch.num_targets, batch.num_bytes)
        return sums.over_ranks(world)

    def _deal(self, num_rows: int, world: World) -> Iterator[tuple[list[int], int]]:
        """This rank's batches: row numbers, always as many, and how many of them count."""
        size = self._micro_batch_size
        num_batches = -(-num_rows // size)
        for turn in range(-(-num_batches // world.dp_world_size)):
            number = turn * world.dp_world_size + world.dp_rank
            rows = list(range(number * size, min((number + 1) * size, num_rows)))
            num_counted = len(rows)
            rows += [num_rows - 1] * (size - num_counted)
            yield rows, num_counted


def _report(dataset_id: str, sums: _Sums, step: int, num_words: int | None) -> EvalReport:
    extra = {"perplexity": _exp(sums.nll / sums.num_targets)}
    if num_words is not None:
        extra["word_perplexity"] = _exp(sums.nll / num_words)
    return EvalReport(
        step=step,
        dataset_id=dataset_id,
        loss=sums.nll / sums.num_targets,
        bits_per_byte=sums.nll / math.log(2) / max(sums.num_bytes, 1.0),
        num_targets=int(sums.num_targets),
        extra=extra,
    )


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _sets_of_manifest(
    config: ManifestEvalConfig, manifest: ShardManifest, maker: BatchMaker
) -> Iterator[EvalSet]:
    if not manifest.num_samples:
        raise DataError(
            f"{manifest.where}: no rows, so {config.name} cannot be evaluated; raise the data "
            "job's "
            "validation fraction, or leave it out of eval.datasets"
        )
    for source in manifest.sources:
        table = RowTable(manifest, sources=[source])
        if not table.num_rows:
            raise DataError(
                f"{manifest.where}: source {source} has no rows, so it cannot be evaluated; raise "
                "the data job's validation fraction"
            )
        rows = _drawn(table.num_rows, config.max_rows, key=f"eval:{manifest.sha256}:{source}")

        def batch_of(
            numbers: Sequence[int],
            num_counted: int,
            table: RowTable = table,
            rows: npt.NDArray[np.int64] = rows,
        ) -> Batch:
            picks = [(table, int(rows[number])) for number in numbers]
            return maker.batch(picks, num_counted=num_counted)

        is_alone = len(manifest.sources) == 1
        yield EvalSet(
            dataset_id=config.name if is_alone else f"{config.name}/{source}",
            group="" if is_alone else config.name,
            num_rows=len(rows),
            batch_of=batch_of,
        )


def _drawn(num_rows: int, max_rows: int | None, *, key: str) -> npt.NDArray[np.int64]:
    """Rows to evaluate on, in order: all, or as many as allowed, the same ones each time."""
    if max_rows is None or max_rows >= num_rows:
        return np.arange(num_rows)
    return np.sort(permuted(np.arange(max_rows), num_rows=num_rows, key=key))


def _set_of_text(
    config: TextEvalConfig | WikitextEvalConfig,
    tokenizer: Tokenizer,
    maker: BatchMaker,
    *,
    seq_len: int,
) -> EvalSet:
    text = _text_of(config.path, config.max_bytes)
    num_words = None
    if isinstance(config, WikitextEvalConfig):
        num_words = num_original_tokens(text)
        text = detokenised(text)
    stride = config.stride_tokens or seq_len
    if stride > seq_len:
        raise ConfigError(
            f"eval dataset {config.name}: stride_tokens={stride} is more than seq_len={seq_len}, "
            "so "
            "tokens between windows would not be scored; lower it"
        )
    windows = Windows(tokenizer.encode(text), tokenizer.spec.eot_id, seq_len, stride)
    if not windows.num_rows:
        raise DataError(
            f"{config.path}: {len(text)} characters, too few to predict anything; give a longer "
            "text"
        )

    def batch_of(numbers: Sequence[int], num_counted: int) -> Batch:
        tokens, segments, is_counted = windows.arrays(numbers)
        is_counted[num_counted:] = False
        return maker.from_arrays(tokens, segments, is_counted)

    return EvalSet(config.name, "", windows.num_rows, batch_of, num_words=num_words)


def _text_of(path: str, max_bytes: int | None) -> str:
    data = storage.read_bytes(path)
    if max_bytes is not None and len(data) > max_bytes:
        data = data[: data.rfind(b"\n", 0, max_bytes) + 1]
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 at byte {error.start}; convert the file, e.g. with iconv"
        ) from error


class Windows:
    """One long text as overlapping rows; every token but the first counts once."""

    def __init__(self, tokens: npt.NDArray[Any], eot_id: int, seq_len: int, stride: int) -> None:
        self._tokens = tokens
        self._eot_id = eot_id
        self._seq_len = seq_len
        self._stride = stride
        targets_left = max(len(tokens) - 1 - seq_len, 0)
        self.num_rows = 0 if len(tokens) < 2 else 1 + -(-targets_left // stride)
        """Windows of the text."""

    def arrays(
        self, numbers: Sequence[int]
    ) -> tuple[npt.NDArray[np.int64], Segments, npt.NDArray[np.bool_]]:
        """Tokens (B, T + 1), segments (B, T + 1) and is_counted (B, T) of the windows."""
        shape = (len(numbers), self._seq_len + 1)
        tokens = np.full(shape, self._eot_id, dtype=np.int64)
        segments: Segments = np.zeros(shape, dtype=np.int32)
        is_counted = np.zeros((len(numbers), self._seq_len), dtype=bool)
        for place, number in enumerate(numbers):
            start = number * self._stride
            part = self._tokens[start : start + self._seq_len + 1]
            tokens[place, : len(part)] = part
            segments[place, : len(part)] = 1
            is_counted[place, self._seq_len - self._stride if number else 0 :] = True
        return tokens, segments, is_counted
