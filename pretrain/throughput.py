"""How fast a run is: tokens a second, share of the peak (MFU), where a step's time goes.

Model FLOPs are counted, not those a recomputation adds (MFU in the sense of Chowdhery et al. 2022,
appendix B), and attention is counted causally: position t sees t + 1 positions, not all T.
"""

import logging
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import PositiveFloat

from contracts.config import Config

logger = logging.getLogger(__name__)

Phase = Literal["data_wait", "forward_backward", "optimizer", "checkpoint", "eval"]
_OUTSIDE_STEPS: tuple[Phase, ...] = ("checkpoint", "eval")

DATASHEET_PEAKS = (
    ("H100 PCIe", 756e12, "NVIDIA H100 PCIe datasheet, BF16 dense"),
    ("H100 NVL", 835e12, "NVIDIA H100 NVL datasheet, BF16 dense"),
    ("H200 NVL", 835e12, "NVIDIA H200 NVL datasheet, BF16 dense"),
    ("GH200", 990e12, "NVIDIA GH200 datasheet, BF16 dense"),
    ("H200", 989e12, "NVIDIA H200 datasheet, BF16 dense"),
    ("H100 80GB HBM3", 989e12, "NVIDIA H100 SXM datasheet, BF16 dense"),
    ("A100", 312e12, "NVIDIA A100 datasheet, BF16 dense"),
)
"""Part of the device's name, FLOP/s, where the figure stands; the first that matches counts, so
that the specific stand before the general."""


@dataclass(frozen=True)
class Peak:
    """What one device could do."""

    flops_per_second: float
    source: str


class ThroughputConfig(Config):
    """How MFU is counted."""

    peak: Literal["datasheet", "measured", "none"] | PositiveFloat = "datasheet"
    """FLOP/s of one device that MFU is a share of: the datasheet's of a known GPU, a matrix product
    measured at start, none, or a number."""

    def find_peak(self, device: torch.device, dtype: torch.dtype) -> Peak | None:
        """The peak by this section, None where it is off or the device is unknown (a warning)."""
        if self.peak == "none":
            return None
        if self.peak == "measured":
            return measured_peak(device, dtype)
        if self.peak != "datasheet":
            return Peak(float(self.peak), "config: throughput.peak")
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
        peak = datasheet_peak(name, dtype)
        if peak is not None:
            return peak
        logger.warning(
            "no datasheet peak is known for device=%s dtype=%s, so perf/mfu is not logged; "
            "set throughput.peak to FLOP/s or to `measured`",
            name,
            dtype,
        )
        return None


def datasheet_peak(device_name: str, dtype: torch.dtype) -> Peak | None:
    """The datasheet's figure for half precision; None for another device, and for a part of one."""
    if dtype not in (torch.bfloat16, torch.float16) or " MIG " in device_name:
        return None
    found = (Peak(flops, where) for part, flops, where in DATASHEET_PEAKS if part in device_name)
    return next(found, None)


def measured_peak(device: torch.device, dtype: torch.dtype, *, size: int | None = None) -> Peak:
    """The best of a few rounds of square matrix products on the device, after a first one unseen.

    Args:
        device: where.
        dtype: of the factors.
        size: rows and columns; None: 8192 on a GPU, which smaller ones do not fill, else 1024.
    """
    on_gpu = device.type == "cuda"
    size = size or (8192 if on_gpu else 1024)
    products = 10 if on_gpu else 1  # starting a product and waiting for it take time of their own
    left = torch.randn(size, size, device=device).to(dtype)
    right = torch.randn(size, size, device=device).to(dtype)
    out = torch.empty_like(left)
    best = float("inf")
    for is_warm in (False, True, True, True, True, True):
        _synchronize(device)
        start = time.perf_counter()
        for _ in range(products):
            torch.mm(left, right, out=out)
        _synchronize(device)
        if is_warm:
            best = min(best, (time.perf_counter() - start) / products)
    name = str(dtype).removeprefix("torch.")
    return Peak(2 * size**3 / best, f"measured: {size} x {size} {name} matrix product")


def flops_per_token(
    num_matmul_parameters: int, *, num_layers: int, attention_width: int, seq_len: int
) -> float:
    """FLOPs of forward and backward per input token: 6 N + 6 L W (T + 1).

    A product with a weight is 2 FLOPs forward and 4 backward. Scores and their product with the
    values are 2 x 2 W FLOPs for each position seen, on average (T + 1) / 2 of them, three times
    over. Documents that do not see each other do less; it is not subtracted, as the kernel
    computes whole rows.

    Args:
        num_matmul_parameters: N: weights that are multiplied with each token: linear layers and
            the head, tied or not; not the embedding.
        num_layers: L.
        attention_width: W, num_heads x head_dim.
        seq_len: T.
    """
    return 6.0 * num_matmul_parameters + 6.0 * num_layers * attention_width * (seq_len + 1)


class Throughput:
    """Counts tokens and the time of each phase between two reports."""

    def __init__(
        self,
        *,
        flops_per_token: float,
        num_devices: int,
        peak: Peak | None,
        device: torch.device | None = None,
    ) -> None:
        self._flops_per_token = flops_per_token
        self._num_devices = num_devices
        self._peak = peak
        self._device = device or torch.device("cpu")
        self.restart()

    def restart(self) -> None:
        """Count from now on: what came before the loop, or was reported, is left out."""
        self._start = time.perf_counter()
        self._tokens = 0
        self._steps = 0
        self._seconds: dict[Phase, float] = {}
        self._events: list[tuple[Phase, torch.cuda.Event, torch.cuda.Event]] = []

    def tags(self) -> dict[str, str]:
        """What MFU is a share of, and where that figure is from."""
        if self._peak is None:
            return {}
        return {
            "mfu_peak_flops_per_second": f"{self._peak.flops_per_second:.4g}",
            "mfu_peak_source": self._peak.source,
        }

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Time spent in the block counts as `name`; on a GPU by its own clock, without waiting."""
        on_device = self._device.type == "cuda" and name in ("forward_backward", "optimizer")
        if on_device:
            before = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call] # torch's
            after = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call] # torch's
            before.record()
            yield
            after.record()
            self._events.append((name, before, after))
            return
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self._seconds[name] = self._seconds.get(name, 0.0) + spent

    def count_step(self, *, input_tokens: int) -> None:
        """One optimizer step over `input_tokens` of all ranks is done."""
        self._tokens += input_tokens
        self._steps += 1

    def metrics(self) -> dict[str, float]:
        """Rates and mean seconds per step since the last call, under the names of the tracker.

        Rates leave out the time of checkpoints and evaluations, which stand beside them.
        """
        _synchronize(self._device)
        for name, before, after in self._events:
            spent = before.elapsed_time(after) / 1000
            self._seconds[name] = self._seconds.get(name, 0.0) + spent
        outside = sum(self._seconds.get(name, 0.0) for name in _OUTSIDE_STEPS)
        elapsed = max(time.perf_counter() - self._start - outside, 1e-9)
        rate = self._tokens / elapsed
        steps = max(self._steps, 1)
        found = {
            "perf/tokens_per_second": rate,
            "perf/tokens_per_second_per_device": rate / self._num_devices,
            "perf/flops_per_second_per_device": rate * self._flops_per_token / self._num_devices,
            "perf/step_seconds": elapsed / steps,
            **memory_metrics(self._device),
        }
        for name in ("data_wait", "forward_backward", "optimizer"):
            found[f"perf/{name}_seconds"] = self._seconds.get(name, 0.0) / steps
        for name in _OUTSIDE_STEPS:
            found[f"perf/{name}_seconds"] = self._seconds.get(name, 0.0)
        if self._peak is not None:
            found["perf/mfu"] = (
                found["perf/flops_per_second_per_device"] / self._peak.flops_per_second
            )
        self.restart()
        return found


def memory_metrics(device: torch.device) -> dict[str, float]:
    """Peak resident memory of this process, and of its GPU where it has one, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    found = {"memory/peak_rss_bytes": float(peak_rss)}
    if device.type == "cuda":
        found["memory/peak_cuda_bytes"] = float(torch.cuda.max_memory_allocated(device))
    return found


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
