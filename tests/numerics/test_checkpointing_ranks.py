"""Activation checkpointing under DeepSpeed on two ranks: same losses, gradients by their norm."""

import json

import pytest

from tests.numerics.checkpointing_losses import KINDS
from tests.ranks import run_ranks


def test_every_kind_gives_the_losses_of_none_at_zero_2_and_3() -> None:
    output = run_ranks(["-m", "tests.numerics.checkpointing_losses", "2", "3"], 2)
    found = [
        json.loads(line.removeprefix("RESULT "))
        for line in output.splitlines()
        if line.startswith("RESULT ")
    ]
    assert [(item["stage"], item["kind"]) for item in found] == [
        (stage, kind) for stage in ("2", "3") for kind in KINDS
    ]
    expected = found[0]["seen"]
    assert expected[0] > expected[-2]  # it does learn
    for item in found:
        assert item["seen"] == pytest.approx(expected, rel=1e-5), (item["stage"], item["kind"])
