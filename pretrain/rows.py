"""Packed rows made into a Batch: tokens, targets, and which document each belongs to.

Below the rooms, because training and evaluation read rows alike. Knows nothing of order, ranks or
steps.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from contracts.errors import ConfigError, DataError
from contracts.shard_reader import ShardReader
from contracts.shards import ShardManifest
from contracts.tokenizer import Tokenizer, load_tokenizer, require_same_tokenizer
from pretrain.records import IGNORE_INDEX, Batch

MAX_VOCAB_PADDING = 128
"""A model's vocabulary may be rounded up to a multiple of this for speed; more is a mistake."""
Segments = npt.NDArray[np.int32]


def require_fit(manifest: ShardManifest, *, seq_len: int, vocab_size: int) -> None:
    """Refuse data that the run's model was not made for.

    Raises:
        DataError: seq_len, vocab_size or the dtype of the tokens disagree with the run.
    """
    spec = manifest.tokenizer
    where = manifest.where or manifest.dataset_id
    if manifest.seq_len != seq_len:
        raise DataError(
            f"{where}: seq_len is {manifest.seq_len}, the run's is {seq_len}; set the model's "
            "seq_len "
            f"to {manifest.seq_len}, or run `data_pipeline repack` with seq_len={seq_len}"
        )
    if not 0 <= vocab_size - spec.vocab_size < MAX_VOCAB_PADDING:
        raise DataError(
            f"{where}: vocab_size of its tokenizer is {spec.vocab_size}, the model's is "
            f"{vocab_size}; "
            f"set model.vocab_size={spec.vocab_size} (or up to {MAX_VOCAB_PADDING - 1} more, as "
            "padding)"
        )
    if manifest.token_dtype != spec.token_dtype:
        raise DataError(
            f"{where}: token_dtype is {manifest.token_dtype}, a vocabulary of {spec.vocab_size} "
            "has "
            f"{spec.token_dtype}; run the data job again"
        )


class RowTable:
    """All rows of a manifest by one number, over its shards in order."""

    def __init__(self, manifest: ShardManifest, *, sources: Sequence[str] | None = None) -> None:
        self.manifest = manifest
        chosen = [s for s in manifest.shards if sources is None or s.source in sources]
        self.shards = tuple(shard for shard in chosen if shard.num_samples)
        self._ends = np.cumsum([shard.num_samples for shard in self.shards], dtype=np.int64)
        self._readers = threading.local()

    @property
    def num_rows(self) -> int:
        """Rows of all shards."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def locate(self, row: int) -> tuple[int, int]:
        """(number of the shard, row in it)."""
        shard = int(np.searchsorted(self._ends, row, side="right"))
        return shard, row - (int(self._ends[shard - 1]) if shard else 0)

    def reader(self, shard: int) -> ShardReader:
        """The open shard; each thread has its own, since a remote stream has one position."""
        opened: dict[int, ShardReader] | None = getattr(self._readers, "opened", None)
        if opened is None:
            opened = self._readers.opened = {}
        if shard not in opened:
            opened[shard] = ShardReader(self.manifest, self.shards[shard])
        return opened[shard]

    def sample_id(self, row: int) -> str:
        """`<shard path>:<row in the shard>`."""
        shard, local = self.locate(row)
        return f"{self.shards[shard].path}:{local}"


Pick = tuple[RowTable, int]
"""A table and the number of one of its rows."""


def segments_of(picks: Sequence[Pick]) -> Segments:
    """Document of each token: (B, seq_len + 1) int32, 1, 2, ... in each row, 0 for padding."""
    width = picks[0][0].manifest.seq_len + 1
    steps: Segments = np.zeros((len(picks), width + 1), dtype=np.int32)
    for place, (table, row) in enumerate(picks):
        shard, local = table.locate(row)
        spans = table.reader(shard).spans(local)
        numbers = np.arange(1, len(spans.positions) + 1, dtype=np.int32)
        steps[place, spans.positions] += numbers
        steps[place, spans.positions + spans.lengths] -= numbers
    return np.cumsum(steps[:, :-1], axis=1, dtype=np.int32)


class BatchMaker:
    """Rows in, Batch out."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        documents_masked: bool = True,
        pin_memory: bool = False,
    ) -> None:
        self._token_bytes = tokenizer.token_bytes()
        self._documents_masked = documents_masked
        self._pin_memory = pin_memory

    def batch(self, picks: Sequence[Pick], *, num_counted: int | None = None) -> Batch:
        """One Batch of rows, in the order given.

        Args:
            picks: table and row number of each.
            num_counted: rows from this one on have no targets (they fill a batch up); None: all
                count.
        """
        tokens = np.stack([_tokens(table, row) for table, row in picks])  # (B, T + 1)
        segments = segments_of(picks)  # (B, T + 1)
        is_counted = np.ones(segments[:, 1:].shape, dtype=bool)
        if num_counted is not None:
            is_counted[num_counted:] = False
        ids = tuple(table.sample_id(row) for table, row in picks)
        return self.from_arrays(tokens, segments, is_counted, sample_ids=ids)

    def from_arrays(
        self,
        tokens: npt.NDArray[Any],
        segments: Segments,
        is_counted: npt.NDArray[np.bool_],
        *,
        sample_ids: tuple[str, ...] = (),
    ) -> Batch:
        """One Batch of tokens in memory.

        Args:
            tokens: (B, T + 1) of any integer type.
            segments: (B, T + 1) document of each token in its row, 0 for padding.
            is_counted: (B, T) false where a target is not to count.
            sample_ids: name of each row.
        """
        if not self._documents_masked:
            segments = np.minimum(segments, 1)
        is_target = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] > 0) & is_counted
        ids = tokens.astype(np.int64)
        targets = np.where(is_target, ids[:, 1:], IGNORE_INDEX)  # (B, T)
        return Batch(
            input_ids=self._tensor(ids[:, :-1]),
            targets=self._tensor(targets),
            segment_ids=self._tensor(segments[:, :-1]),
            num_targets=int(is_target.sum()),
            num_bytes=float(self._token_bytes[targets[is_target]].sum()),
            sample_ids=sample_ids,
        )

    def _tensor(self, array: npt.NDArray[np.int64] | Segments) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor.pin_memory() if self._pin_memory else tensor


def _tokens(table: RowTable, row: int) -> npt.NDArray[np.uint16] | npt.NDArray[np.uint32]:
    shard, local = table.locate(row)
    return table.reader(shard).row(local)


def tokenizer_of(manifests: Sequence[ShardManifest]) -> Tokenizer:
    """The one tokenizer of all manifests, checked against its fingerprint.

    Raises:
        DataError: manifests disagree, or the model file beside them is another; with both
            fingerprints.
    """
    if not manifests:
        raise ConfigError("no manifest given, so there is no tokenizer; list at least one")
    first = manifests[0]
    for manifest in manifests[1:]:
        require_same_tokenizer(
            first.tokenizer, manifest.tokenizer, where=f"{manifest.where} beside {first.where}"
        )
    tokenizer = load_tokenizer(first.tokenizer_url)
    require_same_tokenizer(first.tokenizer, tokenizer.spec, where=first.tokenizer_url)
    return tokenizer
