"""Rates, FLOPs and peaks."""

import logging
import time

import pytest
import torch

from contracts.config import validated
from contracts.errors import ConfigError
from pretrain.throughput import (
    Peak,
    Throughput,
    ThroughputConfig,
    datasheet_peak,
    flops_per_token,
    measured_peak,
    memory_metrics,
)

CPU = torch.device("cpu")


def test_flops_are_six_for_each_weight_plus_the_causal_half_of_attention() -> None:
    assert flops_per_token(1000, num_layers=0, attention_width=64, seq_len=10) == 6000
    attention = flops_per_token(0, num_layers=2, attention_width=64, seq_len=10)
    pairs_seen = sum(position + 1 for position in range(10)) / 10
    assert attention == 3 * 2 * (2 * 2 * 64) * pairs_seen


def test_metrics_count_tokens_phases_and_mfu_since_the_last_report() -> None:
    meter = Throughput(flops_per_token=100.0, num_devices=2, peak=Peak(1e6, "test"))
    with meter.phase("data_wait"):
        time.sleep(0.02)
    with meter.phase("eval"):
        time.sleep(0.1)
    meter.count_step(input_tokens=500)
    meter.count_step(input_tokens=500)
    found = meter.metrics()
    rate = found["perf/tokens_per_second"]
    assert found["perf/tokens_per_second_per_device"] == rate / 2
    assert found["perf/mfu"] == pytest.approx(rate * 100 / 2 / 1e6)
    assert found["perf/data_wait_seconds"] == pytest.approx(0.01, abs=0.005)
    assert found["perf/eval_seconds"] >= 0.1
    assert 0.01 <= found["perf/step_seconds"] < 0.1 / 2 + 0.01  # the evaluation is not in it
    assert rate == pytest.approx(1000 / (2 * found["perf/step_seconds"]))
    assert found["memory/peak_rss_bytes"] > 1e7
    again = meter.metrics()
    assert again["perf/tokens_per_second"] == 0
    assert again["perf/eval_seconds"] == 0


def test_a_phase_that_fails_is_counted_and_the_error_goes_on() -> None:
    meter = Throughput(flops_per_token=1.0, num_devices=1, peak=None)
    with pytest.raises(ValueError, match="boom"), meter.phase("checkpoint"):
        raise ValueError("boom")
    found = meter.metrics()
    assert found["perf/checkpoint_seconds"] > 0
    assert "perf/mfu" not in found


def test_a_peak_is_given_measured_or_off() -> None:
    assert ThroughputConfig(peak="none").find_peak(CPU, torch.bfloat16) is None
    given = ThroughputConfig(peak=5e12).find_peak(CPU, torch.float32)
    assert given == Peak(5e12, "config: throughput.peak")
    measured = ThroughputConfig(peak="measured").find_peak(CPU, torch.float32)
    assert measured is not None
    assert measured.flops_per_second > 1e8
    assert measured_peak(CPU, torch.float32, size=64).source == (
        "measured: 64 x 64 float32 matrix product"
    )


@pytest.mark.parametrize(
    ("name", "flops"),
    [
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA GH200 480GB", 990e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA H200 NVL", 835e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
    ],
)
def test_each_make_of_a_gpu_has_its_own_datasheet_peak(name: str, flops: float) -> None:
    found = datasheet_peak(name, torch.bfloat16)
    assert found is not None
    assert found.flops_per_second == flops
    assert datasheet_peak(name, torch.float32) is None


@pytest.mark.parametrize("name", ["NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA H100", "NVIDIA L4"])
def test_a_part_of_a_gpu_or_an_unknown_one_has_no_datasheet_peak(name: str) -> None:
    assert datasheet_peak(name, torch.bfloat16) is None


def test_a_restart_leaves_out_what_came_before() -> None:
    meter = Throughput(flops_per_token=1.0, num_devices=1, peak=None)
    with meter.phase("data_wait"):
        time.sleep(0.05)
    meter.count_step(input_tokens=500)
    meter.restart()
    meter.count_step(input_tokens=1)
    found = meter.metrics()
    assert found["perf/data_wait_seconds"] == 0
    assert found["perf/step_seconds"] < 0.05


def test_an_unknown_device_has_no_datasheet_peak_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert ThroughputConfig().find_peak(CPU, torch.float32) is None
    assert "no datasheet peak is known for device=CPU dtype=torch.float32" in caplog.text


def test_a_wrong_peak_is_refused() -> None:
    with pytest.raises(ConfigError, match="peak"):
        validated(ThroughputConfig, {"peak": "guess"}, where="test")
    with pytest.raises(ConfigError, match="peak"):
        validated(ThroughputConfig, {"peak": -1.0}, where="test")
    assert validated(ThroughputConfig, {"peak": 1.0e14}, where="test").peak == 1e14


def test_memory_is_in_bytes() -> None:
    assert set(memory_metrics(CPU)) == {"memory/peak_rss_bytes"}
