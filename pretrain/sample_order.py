"""Which row is sample number `index` of a run: arithmetic, no list of rows and no random state.

A manifest's rows are shuffled by a keyed permutation (a Feistel network over the next power of
four, walked along its cycle until it lands inside; Black and Rogaway 2002, section 4) with a new
key each epoch. A mixture interleaves its manifests by weight with Beatty sequences: of any n
samples in a row, manifest i gets n x share_i, give or take one for each split. Both are pure
functions of the index, so any rank computes any sample, and a resume needs nothing but a count.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from contracts.errors import ConfigError

Indices = npt.NDArray[np.int64]

_ROUNDS = 6
MAX_ROWS = 3_000_000_000
"""Rows of a mixture: their square fits int64, which keeps the arithmetic exact."""
_WEIGHT_DENOMINATOR = 1 << 20


def permuted(indices: Indices, *, num_rows: int, key: str) -> Indices:
    """Rows at `indices` of the shuffled order of 0..num_rows-1 that `key` names.

    Args:
        indices: (N,) int64, each in 0..num_rows-1.
        num_rows: length of the order.
        key: any text; another key gives another order.

    Returns:
        (N,) int64; over all indices each row once.
    """
    half_bits = max(1, (max(num_rows - 1, 1).bit_length() + 1) // 2)
    digest = hashlib.blake2b(key.encode(), digest_size=8 * _ROUNDS).digest()
    round_keys = np.frombuffer(digest, dtype="<u8")
    values = _feistel(indices.astype(np.uint64), half_bits, round_keys)
    outside = np.flatnonzero(values >= num_rows)
    while len(outside):
        values[outside] = _feistel(values[outside], half_bits, round_keys)
        outside = outside[values[outside] >= num_rows]
    return values.astype(np.int64)


def _feistel(
    values: npt.NDArray[np.uint64], half_bits: int, round_keys: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    """A permutation of 0..4**half_bits-1."""
    shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> shift, values & mask
    for round_key in round_keys:
        left, right = right, left ^ (_mixed(right + round_key) & mask)
    return (left << shift) | right


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014), wrapping at 64 bits."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@dataclass(frozen=True)
class Part:
    """One manifest of a mixture."""

    sha256: str
    """Identity of its data."""
    num_rows: int
    weight: float | None
    """Relative share of the samples; None for all parts: in proportion to their rows."""


@dataclass(frozen=True)
class RowsOfParts:
    """Where samples come from: for each, the part, the epoch of that part, and the row in it."""

    parts: Indices
    epochs: Indices
    rows: Indices


class SampleOrder:
    """The endless sequence of samples of a mixture.

    A part's epoch is one pass over its rows, each exactly once; each part goes round at its own
    pace. The epoch of the mixture is as many samples as all parts have rows: without weights it is
    also one pass over every row.
    """

    def __init__(self, parts: Sequence[Part], *, seed: int) -> None:
        _refuse_unusable(parts)
        self.parts = tuple(parts)
        self.seed = seed
        self.num_rows = sum(part.num_rows for part in parts)
        self._shares = _shares_of_the_rest(parts)

    @property
    def sha256(self) -> str:
        """Identity of the order but for the seed: data and shares, in order."""
        pairs = zip(self.parts, self._shares, strict=True)
        text = repr([(part.sha256, str(share)) for part, share in pairs])
        return hashlib.sha256(text.encode()).hexdigest()

    def epoch_of(self, index: int) -> int:
        """Epoch of the mixture that holds sample `index`."""
        return index // self.num_rows

    def at(self, indices: Indices) -> RowsOfParts:
        """Part, epoch and row of each sample.

        Args:
            indices: (N,) int64, counted from the start of the run.
        """
        part_of = np.full(indices.shape, len(self.parts) - 1, dtype=np.int64)
        ordinals = indices.copy()
        rest = np.arange(len(indices))
        for number, share in enumerate(self._shares[:-1]):
            before = _floor_product(ordinals[rest], share)
            is_mine = _floor_product(ordinals[rest] + 1, share) > before
            mine, others = rest[is_mine], rest[~is_mine]
            part_of[mine] = number
            ordinals[others] -= before[~is_mine]
            ordinals[mine] = before[is_mine]
            rest = others
        return self._shuffled(part_of, ordinals)

    def _shuffled(self, part_of: Indices, ordinals: Indices) -> RowsOfParts:
        sizes = np.array([part.num_rows for part in self.parts], dtype=np.int64)
        epochs, places = np.divmod(ordinals, sizes[part_of])
        rows = np.empty_like(places)
        for number, epoch in sorted(set(zip(part_of.tolist(), epochs.tolist(), strict=True))):
            chosen = np.flatnonzero((part_of == number) & (epochs == epoch))
            part = self.parts[number]
            rows[chosen] = permuted(
                places[chosen], num_rows=part.num_rows, key=f"{self.seed}:{part.sha256}:{epoch}"
            )
        return RowsOfParts(part_of, epochs, rows)


def _refuse_unusable(parts: Sequence[Part]) -> None:
    if not parts:
        raise ConfigError("data.train lists no manifest; give at least one")
    num_rows = sum(part.num_rows for part in parts)
    if num_rows > MAX_ROWS:
        raise ConfigError(
            f"data.train has {num_rows} rows, the order of samples is exact up to {MAX_ROWS}; "
            "use longer rows (repack) or fewer manifests"
        )
    if len({part.weight is None for part in parts}) > 1:
        weights = [part.weight for part in parts]
        raise ConfigError(
            f"data.train has weights {weights}: give one to every manifest or to none"
        )
    if len({part.sha256 for part in parts}) < len(parts):
        raise ConfigError(
            "data.train lists the same data twice (manifest sha256 "
            f"{[part.sha256[:12] for part in parts]}); list it once with a larger weight"
        )


def _shares_of_the_rest(parts: Sequence[Part]) -> list[Fraction]:
    """Share of each part in what the parts before it leave over; the last takes all of it."""
    is_weighted = parts[0].weight is not None
    weights = [
        Fraction(part.num_rows) if p is None else Fraction(str(p))
        for part in parts
        for p in [part.weight]
    ]
    shares = []
    for number, weight in enumerate(weights):
        share = weight / sum(weights[number:], Fraction(0))
        if is_weighted:
            share = share.limit_denominator(_WEIGHT_DENOMINATOR)
        if share == 0 or (share == 1 and number < len(weights) - 1):
            raise ConfigError(
                f"data.train weights {[part.weight for part in parts]}: number {number} is too far "
                f"from the rest; the smallest share is 1 in {_WEIGHT_DENOMINATOR}"
            )
        shares.append(share)
    return shares


def _floor_product(values: Indices, share: Fraction) -> Indices:
    """floor(values x share), exact: the denominator's square fits int64."""
    whole, rest = np.divmod(values, share.denominator)
    result: Indices = whole * share.numerator + rest * share.numerator // share.denominator
    return result
