"""The order of samples is a permutation, and steps see the same samples however work is split."""

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pretrain.loader import BatchPlan, Loader, LoaderConfig
from pretrain.sample_order import Part, SampleOrder, permuted
from tests.datasets import make_dataset

QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(
        tmp_path_factory.mktemp("data"), sources=("web", "books"), num_documents=20, seq_len=16
    )


@QUICK
@given(num_rows=st.integers(1, 5000), key=st.text(max_size=8))
def test_the_order_of_a_manifest_has_each_row_once(num_rows: int, key: str) -> None:
    order = permuted(np.arange(num_rows), num_rows=num_rows, key=key)
    assert np.array_equal(np.sort(order), np.arange(num_rows))


@QUICK
@given(start=st.integers(0, 10**15), num_rows=st.integers(1, 3 * 10**9))
def test_any_place_of_a_large_order_is_computed_alone(start: int, num_rows: int) -> None:
    places = np.arange(start, start + 5) % num_rows
    together = permuted(places, num_rows=num_rows, key="k")
    assert (together < num_rows).all()
    alone = [permuted(places[i : i + 1], num_rows=num_rows, key="k")[0] for i in range(5)]
    assert alone == together.tolist()


@QUICK
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    epochs=st.integers(1, 3),
    seed=st.integers(0, 5),
)
def test_an_epoch_without_weights_has_every_row_of_every_manifest_once(
    sizes: list[int], epochs: int, seed: int
) -> None:
    parts = [Part(f"{n:064d}", size, None) for n, size in enumerate(sizes)]
    order = SampleOrder(parts, seed=seed)
    for epoch in range(epochs):
        found = order.at(np.arange(epoch * order.num_rows, (epoch + 1) * order.num_rows))
        pairs = sorted(zip(found.parts.tolist(), found.rows.tolist(), strict=True))
        assert pairs == [(n, row) for n, size in enumerate(sizes) for row in range(size)]
        assert set(found.epochs.tolist()) == {epoch}


@QUICK
@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=4),
    weights=st.lists(st.floats(0.01, 10), min_size=4, max_size=4),
    start=st.integers(0, 10**12),
)
def test_a_mixture_keeps_its_shares_and_each_part_its_own_epochs(
    sizes: list[int], weights: list[float], start: int
) -> None:
    weights = weights[: len(sizes)]
    parts = [Part(f"{n:064d}", s, w) for n, (s, w) in enumerate(zip(sizes, weights, strict=True))]
    order = SampleOrder(parts, seed=1)
    num_samples = 400
    anywhere = order.at(np.arange(start, start + num_samples))
    for number, weight in enumerate(weights):
        expected = num_samples * weight / sum(weights)
        assert abs((anywhere.parts == number).sum() - expected) <= len(sizes) + 1
    found = order.at(np.arange(num_samples))
    for number, size in enumerate(sizes):
        mine = found.rows[found.parts == number]
        for first in range(0, len(mine) - size + 1, size):
            assert sorted(mine[first : first + size].tolist()) == list(range(size))


def _loader(folder: Path, plan: BatchPlan, *, num_workers: int = 0, prefetch: int = 1) -> Loader:
    config = LoaderConfig.model_validate(
        {
            "train": [{"manifest": str(folder / "train")}],
            "seq_len": 16,
            "num_workers": num_workers,
            "prefetch_batches": prefetch,
        }
    )
    return config.build(plan, seed=3, vocab_size=384)


def _epoch_of_all_ranks(
    folder: Path, *, ranks: int, micro: int, accum: int, workers: int
) -> list[frozenset[str]]:
    """The sample ids of each step, over all ranks, for at least an epoch."""
    size = ranks * micro * accum
    steps: list[list[str]] = []
    for rank in range(ranks):
        plan = BatchPlan(rank, ranks, micro, size)
        loader = _loader(folder, plan, num_workers=workers, prefetch=1 + workers)
        num_steps = -(-loader.order.num_rows // size)
        batches = loader.batches(loader.fresh_state())
        for step in range(num_steps):
            if rank == 0:
                steps.append([])
            for batch in islice(batches, accum):
                steps[step] += batch.sample_ids
        batches.close()  # type: ignore[attr-defined] # a generator
    assert all(len(set(step)) == len(step) for step in steps)
    return [frozenset(step) for step in steps]


@settings(max_examples=12, deadline=None)
@given(
    split=st.sampled_from([(1, 12, 1), (2, 6, 1), (3, 2, 2), (4, 1, 3), (6, 2, 1), (12, 1, 1)]),
    workers=st.integers(0, 3),
)
def test_a_step_has_the_same_samples_for_any_ranks_and_workers(
    folder: Path, split: tuple[int, int, int], workers: int
) -> None:
    ranks, micro, accum = split
    expected = _epoch_of_all_ranks(folder, ranks=1, micro=1, accum=12, workers=0)
    found = _epoch_of_all_ranks(folder, ranks=ranks, micro=micro, accum=accum, workers=workers)
    assert found == expected


@settings(max_examples=12, deadline=None)
@given(
    data=st.data(),
    workers=st.integers(0, 2),
)
def test_an_epoch_has_every_row_exactly_once(
    folder: Path, data: st.DataObject, workers: int
) -> None:
    """For any (ranks, micro-batch) whose product divides the rows; the rest of a step included."""
    rows = _loader(folder, BatchPlan(0, 1, 1, 1)).order.num_rows
    divisors = [n for n in range(1, 25) if rows % n == 0]
    per_step = data.draw(st.sampled_from(divisors))
    ranks = data.draw(st.sampled_from([n for n in divisors if per_step % n == 0]))
    counts: Counter[str] = Counter()
    for rank in range(ranks):
        plan = BatchPlan(rank, ranks, per_step // ranks, per_step)
        loader = _loader(folder, plan, num_workers=workers)
        batches = loader.batches(loader.fresh_state())
        for batch in islice(batches, rows // per_step):
            counts.update(batch.sample_ids)
        assert loader.state().samples_consumed == rows
        assert loader.state().epoch == 1
        batches.close()  # type: ignore[attr-defined] # a generator
    assert len(counts) == rows
    assert set(counts.values()) == {1}


@settings(max_examples=20, deadline=None)
@given(
    steps_before=st.integers(0, 60),
    before=st.sampled_from([(1, 8, 0), (2, 4, 1), (2, 2, 2)]),
    after=st.sampled_from([(1, 2, 1), (2, 4, 0), (4, 2, 3), (8, 1, 1)]),
)
def test_resume_is_exact_at_any_world_size_and_across_epochs(
    folder: Path, steps_before: int, before: tuple[int, int, int], after: tuple[int, int, int]
) -> None:
    ranks, micro, workers = before
    loader = _loader(folder, BatchPlan(0, ranks, micro, 8), num_workers=workers, prefetch=5)
    batches = loader.batches(loader.fresh_state())
    for _ in islice(batches, steps_before * (8 // (ranks * micro))):
        pass
    state = loader.state()
    assert state.samples_consumed == 8 * steps_before
    batches.close()  # type: ignore[attr-defined] # a generator

    ranks, micro, workers = after
    resumed: list[str] = []
    for rank in range(ranks):
        other = _loader(folder, BatchPlan(rank, ranks, micro, 8), num_workers=workers)
        for batch in islice(other.batches(state), 8 // (ranks * micro)):
            resumed += batch.sample_ids
    undisturbed = _loader(folder, BatchPlan(0, 1, 8, 8))
    batch = next(islice(undisturbed.batches(undisturbed.fresh_state()), steps_before, None))
    assert sorted(resumed) == sorted(batch.sample_ids)
