"""Shards in, batches out: step s has the samples [s x G, (s + 1) x G) of the order.

G is the global batch size. A step sees the same set of samples at any number of ranks and any split
into micro-batches; which rank sees which is the only thing that changes. Nothing is dropped at an
epoch's end: the last step of one epoch goes on with the first samples of the next. Reading runs
ahead in threads, but batches are handed out in order and only those handed out are counted, so the
order and a resume are the same with any number of threads.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from contracts.config import Config
from contracts.errors import ConfigError, DataError
from contracts.shards import ShardManifest, read_manifest
from pretrain.records import Batch, LoaderState
from pretrain.rows import BatchMaker, Pick, RowTable, require_fit, tokenizer_of
from pretrain.sample_order import Part, SampleOrder


class MixturePartConfig(Config):
    """One dataset of the mixture."""

    manifest: str
    """A `manifest.json`, or the folder that holds one: a data job's `train`."""
    weight: PositiveFloat | None = None
    """Relative share of the samples; left out for all: in proportion to their rows."""


@dataclass(frozen=True)
class BatchPlan:
    """Which part of every step's samples one data-parallel rank reads."""

    dp_rank: int
    dp_world_size: int
    micro_batch_size: int
    global_batch_size: int

    @property
    def grad_accum_steps(self) -> int:
        """Micro-batches of one rank in one step.

        Raises:
            ConfigError: the sizes do not divide.
        """
        per_pass = self.micro_batch_size * self.dp_world_size
        if self.global_batch_size % per_pass:
            raise ConfigError(
                f"batch.global_batch_size={self.global_batch_size} is not a multiple of "
                f"micro_batch_size x dp_world_size = {self.micro_batch_size} x "
                f"{self.dp_world_size} = {per_pass}; change either size"
            )
        return self.global_batch_size // per_pass

    def first_sample(self, micro_batch: int) -> int:
        """Number, from the run's start, of the first sample of this rank's n-th micro-batch."""
        step, turn = divmod(micro_batch, self.grad_accum_steps)
        place = (turn * self.dp_world_size + self.dp_rank) * self.micro_batch_size
        return step * self.global_batch_size + place


class LoaderConfig(Config):
    """What a run trains on."""

    train: tuple[MixturePartConfig, ...] = Field(min_length=1)
    """Manifests of the training data; all of one tokenizer and one seq_len."""
    seq_len: PositiveInt
    """Input tokens of a row; the manifests must have been packed with it."""
    tokenizer_sha256: str | None = None
    """Fingerprint that the data's tokenizer must have; None: that of the first manifest, which the
    others must share."""
    seed: int | None = None
    """Seed of the order; None: the run's seed."""
    num_workers: NonNegativeInt = 1
    """Threads that read ahead, without any influence on the order; 0: the training thread."""
    prefetch_batches: PositiveInt = 4
    """Micro-batches read ahead by the threads together."""

    def build(
        self,
        plan: BatchPlan,
        *,
        seed: int,
        vocab_size: int,
        documents_masked: bool = True,
        pin_memory: bool = False,
    ) -> "Loader":
        """The loader of one rank, with every manifest read and checked.

        Args:
            plan: this rank's part of each step.
            seed: the run's seed; used where the section has none of its own.
            vocab_size: of the model.
            documents_masked: documents in one row do not see each other, so the first token of
                each is no target; false: a row is one text.
            pin_memory: for copies to a GPU that do not wait.

        Raises:
            ConfigError: sizes that do not divide, or weights that make no mixture.
            DataError: a manifest is missing, or disagrees with the run or with another.
        """
        manifests = tuple(read_manifest(part.manifest) for part in self.train)
        for manifest in manifests:
            require_fit(manifest, seq_len=self.seq_len, vocab_size=vocab_size)
        tokenizer = tokenizer_of(manifests)
        if self.tokenizer_sha256 not in (None, tokenizer.spec.sha256):
            raise DataError(
                f"{manifests[0].where}: tokenizer differs: data.tokenizer_sha256 is "
                f"{self.tokenizer_sha256}, found sha256 {tokenizer.spec.sha256}; tokenise the data "
                "with the run's tokenizer, or correct the setting"
            )
        maker = BatchMaker(tokenizer, documents_masked=documents_masked, pin_memory=pin_memory)
        return Loader(self, manifests, plan, maker, seed=seed if self.seed is None else self.seed)


class Loader:
    """Endless micro-batches of one data-parallel rank, from any state."""

    def __init__(
        self,
        config: LoaderConfig,
        manifests: tuple[ShardManifest, ...],
        plan: BatchPlan,
        maker: BatchMaker,
        *,
        seed: int,
    ) -> None:
        self.manifests = manifests
        self.tokenizer_spec = manifests[0].tokenizer
        self._config = config
        self._plan = plan
        self._grad_accum_steps = plan.grad_accum_steps
        self._maker = maker
        self._tables = [RowTable(manifest) for manifest in manifests]
        for table in self._tables:
            if not table.num_rows:
                raise DataError(
                    f"{table.manifest.where}: no rows; leave it out of data.train, or see the data "
                    "job's report for where its documents went"
                )
        self.order = SampleOrder(
            [
                Part(manifest.sha256, table.num_rows, part.weight)
                for manifest, table, part in zip(manifests, self._tables, config.train, strict=True)
            ],
            seed=seed,
        )
        self._base = 0
        self._handed_out = 0

    def fresh_state(self) -> LoaderState:
        """The state of a run that has seen nothing."""
        return self._state_at(0)

    def state(self) -> LoaderState:
        """Where the data stands after the last whole step handed out, whatever was read ahead."""
        steps = self._handed_out // self._grad_accum_steps
        return self._state_at(self._base + steps * self._plan.global_batch_size)

    def _state_at(self, samples: int) -> LoaderState:
        return LoaderState(
            self.order.sha256, self.order.seed, self.order.epoch_of(samples), samples
        )

    @property
    def epochs(self) -> float:
        """Passes over the mixture handed out so far."""
        return self.state().samples_consumed / self.order.num_rows

    def batches(self, state: LoaderState) -> Iterator[Batch]:
        """This rank's micro-batches from `state` on, without end.

        Raises:
            DataError: the state belongs to other data, another seed or another mixture.
        """
        self._require_mine(state)
        self._base, self._handed_out = state.samples_consumed, 0
        return self._counted(state.samples_consumed)

    def _require_mine(self, state: LoaderState) -> None:
        mine = self._state_at(state.samples_consumed)
        if state != mine:
            raise DataError(
                "the data of this run is not what the saved state was made with: saved "
                f"manifests {state.manifests_sha256}, seed {state.seed}, epoch {state.epoch}; now "
                f"manifests {mine.manifests_sha256}, seed {mine.seed}, epoch {mine.epoch} at "
                "sample "
                f"{state.samples_consumed}; restore data.train (paths, order, weights) and the "
                "seed, "
                "or start a new run"
            )

    def _counted(self, base: int) -> Iterator[Batch]:
        if not self._config.num_workers:
            number = 0
            while True:
                batch = self._read(base, number)
                number += 1
                self._handed_out = number
                yield batch
        pool = ThreadPoolExecutor(self._config.num_workers, thread_name_prefix="loader")
        try:
            yield from self._ahead(base, pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _ahead(self, base: int, pool: ThreadPoolExecutor) -> Iterator[Batch]:
        waiting: deque[Future[Batch]] = deque()
        number = 0
        while True:
            while len(waiting) < self._config.prefetch_batches:
                waiting.append(pool.submit(self._read, base, number + len(waiting)))
            batch = waiting.popleft().result()
            number += 1
            self._handed_out = number
            yield batch

    def _read(self, base: int, number: int) -> Batch:
        first = base + self._plan.first_sample(number)
        return self._maker.batch(self.picks(first, self._plan.micro_batch_size))

    def picks(self, first: int, count: int) -> list[Pick]:
        """Which rows samples `first` to `first + count` of the run are."""
        found = self.order.at(np.arange(first, first + count))
        pairs = zip(found.parts.tolist(), found.rows.tolist(), strict=True)
        return [(self._tables[part], row) for part, row in pairs]
