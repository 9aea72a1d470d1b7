"""Every engine, ZeRO stage and split of the batch gives the same losses, on 1 and 2 ranks.

fp32 on the CPU. Tolerance 1e-5 in the loss (about 4 nats) and 1e-5 relative in the gradient's norm:
sums are taken in another order in each case, and six steps carry the differences on.
"""

import json

import pytest

from tests.ranks import run_ranks

TOLERANCE = 1e-5
BF16_TOLERANCE = 0.03
CASES = {
    1: ["torch:0:8", "torch:0:2", "torch:0:1"]
    + [f"deepspeed:{stage}:{micro}" for stage in range(4) for micro in (8, 2)],
    2: ["torch:0:4", "torch:0:1"]
    + [f"deepspeed:{stage}:{micro}" for stage in range(4) for micro in (4, 2, 1)],
}
Losses = dict[str, list[tuple[float, float]]]


def results(precision: str, world_size: int, cases: list[str]) -> Losses:
    output = run_ranks(["-m", "tests.numerics.engine_losses", precision, *cases], world_size)
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    found = [json.loads(line.removeprefix("RESULT ")) for line in lines]
    assert [item["case"] for item in found] == cases
    return {f"{world_size}/{item['case']}": item["seen"] for item in found}


def test_fp32_losses_agree_for_any_engine_stage_split_and_number_of_ranks() -> None:
    seen = results("fp32", 0, CASES[1]) | results("fp32", 2, CASES[2])
    reference = seen["0/torch:0:8"]
    assert reference[0][0] - reference[-1][0] > 0.05  # it does learn
    assert reference[0][1] > 0.5  # the norm is given before clipping to 0.5
    for case, values in seen.items():
        for step, (expected, found) in enumerate(zip(reference, values, strict=True)):
            assert found[0] == pytest.approx(expected[0], abs=TOLERANCE), (case, step)
            assert found[1] == pytest.approx(expected[1], rel=TOLERANCE), (case, step)


def test_bf16_losses_stay_near_fp32() -> None:
    cases = [f"deepspeed:{stage}:2" for stage in range(1, 4)] + ["torch:0:2", "deepspeed:0:2"]
    exact = results("fp32", 0, ["torch:0:8"])["0/torch:0:8"]
    for case, values in results("bf16", 2, cases).items():
        for expected, found in zip(exact, values, strict=True):
            assert found[0] == pytest.approx(expected[0], abs=BF16_TOLERANCE), case
