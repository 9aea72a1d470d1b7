"""Which running tasks are so slow that a second copy of them pays.

The time that a task should take is the median of its stage's seconds per byte times its bytes. One
that has run several times as long, while workers have nothing else to do, is started once more
elsewhere (Dean and Ghemawat 2004, MapReduce, section 3.6). Whichever ends first counts.
"""

from collections.abc import Callable
from statistics import median

from pydantic import Field, NonNegativeFloat, PositiveInt

from contracts.config import Config


class StragglerConfig(Config):
    """When a task that runs too long is started a second time."""

    enabled: bool = True
    """False lets a slow task run alone, however long."""
    times_median: float = Field(default=3.0, gt=1.0)
    """A copy is started after this many times the stage's median (per byte) for such a task."""
    min_seconds: NonNegativeFloat = 30.0
    """Shorter ones are left alone."""
    min_finished: PositiveInt = 3
    """Tasks of the stage that must have ended before there is a median."""


class StragglerWatch:
    """The seconds of a stage's tasks so far."""

    def __init__(self, config: StragglerConfig, size_of: Callable[[int], int]) -> None:
        self._config = config
        self._size_of = size_of
        self._rates: list[float] = []
        self._median: float | None = None

    def finished(self, index: int, seconds: float) -> None:
        """A task ended."""
        self._rates.append(seconds / self._size_of(index))
        self._median = None

    def limit_seconds(self, index: int) -> float | None:
        """How long a task may run before a copy pays; None while that is not known."""
        if not self._config.enabled or len(self._rates) < self._config.min_finished:
            return None
        if self._median is None:
            self._median = median(self._rates)
        expected = self._median * self._size_of(index)
        return max(self._config.min_seconds, self._config.times_median * expected)
