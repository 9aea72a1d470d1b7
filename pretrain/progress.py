"""The line a person reads while a run goes on: at most one every few seconds."""

import logging
import time

from pretrain.records import StepResult

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 5.0


class Progress:
    """Says where the run is; the metrics themselves go to the tracker."""

    def __init__(self, total_steps: int, first_step: int) -> None:
        self._total_steps = total_steps
        self._last_step = first_step
        self._last_time = time.monotonic()
        self._tokens = 0
        self._has_spoken = False

    def report(self, result: StepResult) -> None:
        """One step is done; it is told if it is the first, the last, or some seconds have gone."""
        self._tokens += result.input_tokens
        done = result.step + 1
        now = time.monotonic()
        elapsed = now - self._last_time
        if self._has_spoken and elapsed < PROGRESS_SECONDS and done < self._total_steps:
            return
        seconds_per_step = elapsed / max(done - self._last_step, 1)
        logger.info(
            "step=%d/%d loss=%.4f lr=%.3g grad_norm=%.3g tokens_per_second=%.0f eta=%s%s",
            done,
            self._total_steps,
            result.loss,
            result.lr,
            result.grad_norm,
            self._tokens / max(elapsed, 1e-9),
            duration(seconds_per_step * (self._total_steps - done)),
            " (skipped: fp16 overflow)" if result.skipped else "",
        )
        self._last_step, self._last_time, self._tokens = done, now, 0
        self._has_spoken = True


def duration(seconds: float) -> str:
    """`1d02h`, `3h07m`, `4m05s` or `9s`."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes_rest = divmod(minutes, 60)
    if hours >= 24:
        return f"{hours // 24}d{hours % 24:02d}h"
    if hours:
        return f"{hours}h{minutes_rest:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
