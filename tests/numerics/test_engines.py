"""Every engine, ZeRO stage and split of the batch gives the same losses, on 1 and 2 ranks.

fp32 on the CPU. Tolerance 1e-5 in the loss (about 4 nats) and 1e-5 relative in the gradient's norm:
sums are taken in another order in each case, and six steps carry the differences on. bf16 is held
to 0.03 of fp32's loss: three digits of a number about 4.
"""

import json

import pytest

from tests.ranks import run_ranks

TOLERANCE = 1e-5
BF16_TOLERANCE = 0.03
REFERENCE = "torch:0:8:fp32"
ONE_RANK = [REFERENCE, "torch:0:2:fp32", "torch:0:1:fp32"] + [
    f"deepspeed:{stage}:{size}:fp32" for stage in range(4) for size in (8, 2)
]
TWO_RANKS = ["torch:0:4:fp32", "torch:0:1:fp32"] + [
    f"deepspeed:{stage}:{size}:fp32" for stage in range(4) for size in (4, 2, 1)
]
TWO_RANKS_BF16 = [f"deepspeed:{stage}:2:bf16" for stage in (1, 2, 3, 0)] + ["torch:0:2:bf16"]
Losses = dict[str, list[tuple[float, float]]]


def results(world_size: int, cases: list[str]) -> Losses:
    output = run_ranks(["-m", "tests.numerics.engine_losses", *cases], world_size)
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    found = [json.loads(line.removeprefix("RESULT ")) for line in lines]
    assert [item["case"] for item in found] == cases
    return {item["case"]: item["seen"] for item in found}


@pytest.fixture(scope="module")
def one_rank() -> Losses:
    return results(0, ONE_RANK)


@pytest.fixture(scope="module")
def two_ranks() -> Losses:
    return results(2, TWO_RANKS + TWO_RANKS_BF16)


def test_reference_learns_and_its_norm_is_that_before_clipping(one_rank: Losses) -> None:
    seen = one_rank[REFERENCE]
    assert seen[0][0] - seen[-1][0] > 0.05
    assert seen[0][1] > 0.5  # gradient_clipping


def require_equal(reference: Losses, found: Losses, cases: list[str]) -> None:
    for case in cases:
        for step, (expected, seen) in enumerate(
            zip(reference[REFERENCE], found[case], strict=True)
        ):
            assert seen[0] == pytest.approx(expected[0], abs=TOLERANCE), (case, step)
            assert seen[1] == pytest.approx(expected[1], rel=TOLERANCE), (case, step)


def test_one_rank_agrees_for_any_engine_stage_and_split(one_rank: Losses) -> None:
    require_equal(one_rank, one_rank, ONE_RANK)


def test_two_ranks_agree_for_any_engine_stage_and_split(
    one_rank: Losses, two_ranks: Losses
) -> None:
    require_equal(one_rank, two_ranks, TWO_RANKS)


def test_bf16_stays_near_fp32(one_rank: Losses, two_ranks: Losses) -> None:
    for case in TWO_RANKS_BF16:
        for expected, seen in zip(one_rank[REFERENCE], two_ranks[case], strict=True):
            assert seen[0] == pytest.approx(expected[0], abs=BF16_TOLERANCE), case
