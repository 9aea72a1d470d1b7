"""The learning rate as a pure function of the step: warm-up, then one of four shapes.

`schedule(step)` is the rate of the optimizer step numbered `step`, from 0. Warm-up rises linearly
so that step 0 already moves and step `warmup_steps` has the peak. The final rate is reached at
`total_steps`, one past the last step, and stays there.
"""

import math
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from contracts.config import Config
from contracts.errors import ConfigError

Schedule = Callable[[int], float]
"""step -> learning rate."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class CosineConfig(Config):
    """Half a cosine from the peak to the final rate (Loshchilov and Hutter 2017)."""

    kind: Literal["cosine"] = "cosine"
    warmup_steps: NonNegativeInt
    """Steps of linear rise."""
    final_lr_fraction: Fraction = 0.1
    """Final rate, as a part of the peak."""

    def build(self, *, peak_lr: float, total_steps: int) -> Schedule:
        """The schedule of a run of `total_steps`."""
        _check_fits(total_steps, warmup_steps=self.warmup_steps)
        final_lr = peak_lr * self.final_lr_fraction

        def lr(step: int) -> float:
            if step < self.warmup_steps:
                return _warmup(step, self.warmup_steps, peak_lr)
            progress = _progress(step, self.warmup_steps, total_steps)
            return _between(peak_lr, final_lr, (1 - math.cos(math.pi * progress)) / 2)

        return lr


class LinearConfig(Config):
    """A straight line from the peak to the final rate."""

    kind: Literal["linear"] = "linear"
    warmup_steps: NonNegativeInt
    """Steps of linear rise."""
    final_lr_fraction: Fraction = 0.0
    """Final rate, as a part of the peak."""

    def build(self, *, peak_lr: float, total_steps: int) -> Schedule:
        """The schedule of a run of `total_steps`."""
        _check_fits(total_steps, warmup_steps=self.warmup_steps)
        final_lr = peak_lr * self.final_lr_fraction

        def lr(step: int) -> float:
            if step < self.warmup_steps:
                return _warmup(step, self.warmup_steps, peak_lr)
            return _between(peak_lr, final_lr, _progress(step, self.warmup_steps, total_steps))

        return lr


class WsdConfig(Config):
    """Warm-up, stable, decay: the peak is held until the last steps (Hu et al. 2024, section 4)."""

    kind: Literal["wsd"] = "wsd"
    warmup_steps: NonNegativeInt
    """Steps of linear rise."""
    decay_steps: PositiveInt
    """Steps of the fall at the end of the run."""
    final_lr_fraction: Fraction = 0.0
    """Final rate, as a part of the peak."""
    decay_shape: Literal["linear", "sqrt"] = "linear"
    """Straight, or 1 - sqrt(progress) (Hägele et al. 2024, section 4)."""

    def build(self, *, peak_lr: float, total_steps: int) -> Schedule:
        """The schedule of a run of `total_steps`."""
        _check_fits(total_steps, warmup_steps=self.warmup_steps, decay_steps=self.decay_steps)
        final_lr = peak_lr * self.final_lr_fraction

        def lr(step: int) -> float:
            if step < self.warmup_steps:
                return _warmup(step, self.warmup_steps, peak_lr)
            progress = _progress(step, total_steps - self.decay_steps, total_steps)
            fallen = progress if self.decay_shape == "linear" else math.sqrt(progress)
            return _between(peak_lr, final_lr, fallen)

        return lr


class ConstantConfig(Config):
    """The peak, after warm-up, without end."""

    kind: Literal["constant"] = "constant"
    warmup_steps: NonNegativeInt = 0
    """Steps of linear rise."""

    def build(self, *, peak_lr: float, total_steps: int) -> Schedule:
        """The schedule of a run of `total_steps`."""
        _check_fits(total_steps, warmup_steps=self.warmup_steps)

        def lr(step: int) -> float:
            if step < self.warmup_steps:
                return _warmup(step, self.warmup_steps, peak_lr)
            return peak_lr

        return lr


ScheduleConfig = Annotated[
    CosineConfig | LinearConfig | WsdConfig | ConstantConfig, Field(discriminator="kind")
]
"""The registry."""


def _warmup(step: int, warmup_steps: int, peak_lr: float) -> float:
    return peak_lr * (step + 1) / (warmup_steps + 1)


def _progress(step: int, start: int, end: int) -> float:
    return min(max((step - start) / (end - start), 0.0), 1.0) if end > start else float(step >= end)


def _between(peak_lr: float, final_lr: float, fallen: float) -> float:
    return peak_lr * (1.0 - fallen) + final_lr * fallen


def _check_fits(total_steps: int, *, warmup_steps: int, decay_steps: int = 0) -> None:
    if warmup_steps + decay_steps > total_steps:
        decay = f" + schedule.decay_steps={decay_steps}" if decay_steps else ""
        raise ConfigError(
            f"schedule.warmup_steps={warmup_steps}{decay} exceed total_steps={total_steps}; "
            "shorten them or train longer"
        )
