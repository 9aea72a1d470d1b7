"""Learning rates as functions of the step."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from contracts.errors import ConfigError
from pretrain.schedule import (
    ConstantConfig,
    CosineConfig,
    LinearConfig,
    ScheduleConfig,
    WsdConfig,
)


@st.composite
def schedules(draw: st.DrawFn) -> tuple[ScheduleConfig, int]:
    """Any schedule, with a number of steps it fits."""
    warmup = draw(st.integers(0, 50))
    decay = draw(st.integers(1, 50))
    total = warmup + decay + draw(st.integers(0, 200))
    final = draw(st.floats(0.0, 1.0))
    shape: Literal["linear", "sqrt"] = draw(st.sampled_from(["linear", "sqrt"]))
    choices: list[ScheduleConfig] = [
        CosineConfig(warmup_steps=warmup, final_lr_fraction=final),
        LinearConfig(warmup_steps=warmup, final_lr_fraction=final),
        WsdConfig(
            warmup_steps=warmup, decay_steps=decay, final_lr_fraction=final, decay_shape=shape
        ),
        ConstantConfig(warmup_steps=warmup),
    ]
    config: ScheduleConfig = draw(st.sampled_from(choices))
    return config, total


@given(schedules(), st.floats(1e-6, 1.0))
def test_rates_rise_to_the_peak_and_fall_to_the_end(
    pair: tuple[ScheduleConfig, int], peak: float
) -> None:
    config, total = pair
    schedule = config.build(peak_lr=peak, total_steps=total)
    rates = [schedule(step) for step in range(total + 3)]
    warmup = config.warmup_steps
    end = peak * getattr(config, "final_lr_fraction", 1.0)
    assert all(min(end, rates[0]) * (1 - 1e-9) <= rate <= peak * (1 + 1e-9) for rate in rates)
    assert rates[0] > 0 or total == 0
    assert rates[warmup] == pytest.approx(peak)
    assert rates[: warmup + 1] == sorted(rates[: warmup + 1])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True) or end == pytest.approx(peak)
    assert rates[total:] == [pytest.approx(end, abs=1e-12 * peak)] * 3


@given(schedules())
def test_rates_do_not_jump(pair: tuple[ScheduleConfig, int]) -> None:
    config, total = pair
    schedule = config.build(peak_lr=1.0, total_steps=total)
    fall = getattr(config, "decay_steps", total - config.warmup_steps)
    sharpest = {"cosine": 1.58 / fall, "linear": 1 / fall, "constant": 0.0, "wsd": 1 / fall}
    is_root = getattr(config, "decay_shape", "linear") == "sqrt"
    bound = (1 / fall) ** 0.5 if is_root else sharpest[config.kind]
    bound = max(bound, 1 / (config.warmup_steps + 1))
    for step in range(total + 1):
        assert abs(schedule(step + 1) - schedule(step)) <= bound + 1e-9


def test_known_values() -> None:
    cosine = CosineConfig(warmup_steps=4, final_lr_fraction=0.1).build(peak_lr=1.0, total_steps=24)
    assert [cosine(step) for step in (0, 3, 4, 14, 24)] == pytest.approx([0.2, 0.8, 1.0, 0.55, 0.1])
    wsd = WsdConfig(warmup_steps=0, decay_steps=4).build(peak_lr=1.0, total_steps=10)
    assert [wsd(step) for step in (0, 6, 8, 9, 10)] == pytest.approx([1.0, 1.0, 0.5, 0.25, 0.0])
    root = WsdConfig(warmup_steps=0, decay_steps=4, decay_shape="sqrt")
    assert root.build(peak_lr=1.0, total_steps=10)(7) == pytest.approx(0.5)
    linear = LinearConfig(warmup_steps=0).build(peak_lr=2.0, total_steps=4)
    assert [linear(step) for step in range(5)] == pytest.approx([2.0, 1.5, 1.0, 0.5, 0.0])


def test_refuses_more_warmup_than_steps() -> None:
    with pytest.raises(ConfigError, match=r"schedule.warmup_steps=11 exceed total_steps=10"):
        CosineConfig(warmup_steps=11).build(peak_lr=1.0, total_steps=10)
    with pytest.raises(ConfigError, match=r"warmup_steps=6 \+ schedule.decay_steps=5 exceed"):
        WsdConfig(warmup_steps=6, decay_steps=5).build(peak_lr=1.0, total_steps=10)


def test_kind_chooses_the_schedule() -> None:
    adapter: TypeAdapter[ScheduleConfig] = TypeAdapter(ScheduleConfig)
    chosen = adapter.validate_python({"kind": "wsd", "warmup_steps": 1, "decay_steps": 2})
    assert isinstance(chosen, WsdConfig)
