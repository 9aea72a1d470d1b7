"""What a benchmark was asked for, and the measuring of contestants in turn within a time limit."""

import logging
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measuring import Figures, Job
from benchmarks.processes import ONE_THREAD, StepError, run_measurement
from benchmarks.table import Figure
from contracts.errors import ConfigError

logger = logging.getLogger(__name__)

CLOCKS = ("wall", "cpu")
ROW_SECONDS = 300.0
"""A row that has taken so long is not measured again."""


@dataclass(frozen=True)
class Options:
    """`option=value` of the command line."""

    pages: int
    """Of the crawl that goes end to end."""
    only: tuple[str, ...] = ()
    """Names of the rows to run; empty: all."""
    repeats: int = 3
    """Times that each is measured, in turn; the median counts."""
    clock: str = "wall"
    """What rows of single parts are measured by; `cpu` for a machine that is busy."""


def parsed_options(given: Mapping[str, str], *, pages: int, rows: Sequence[str]) -> Options:
    """The options of a run.

    Args:
        given: as the command line has them.
        pages: of a full run.
        rows: names that `only` may hold.

    Raises:
        ConfigError: an option, or its value, is unknown.
    """
    unknown = sorted(set(given) - {"pages", "only", "repeats", "clock"})
    if unknown:
        raise ConfigError(f"unknown options {unknown}; there are pages, only, repeats and clock")
    only = tuple(name for name in given.get("only", "").split(",") if name)
    strangers = sorted(set(only) - set(rows))
    if strangers:
        raise ConfigError(f"only={','.join(only)}: {strangers} are no rows; rows are {list(rows)}")
    clock = given.get("clock", "wall")
    if clock not in CLOCKS:
        raise ConfigError(f"clock={clock}: must be one of {list(CLOCKS)}")
    return Options(
        pages=_positive("pages", given.get("pages", str(pages))),
        only=only,
        repeats=_positive("repeats", given.get("repeats", "3")),
        clock=clock,
    )


def _positive(name: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ConfigError(f"{name}={value}: must be a whole number of 1 or more")
    return int(value)


@dataclass(frozen=True)
class Contestant:
    """One of those that are compared in a row."""

    who: str
    module: str
    job: Job
    python: str = sys.executable
    timeout: float = 240.0
    is_required: bool = True
    note: str = ""


@dataclass
class Measured:
    """What a contestant gave."""

    contestant: Contestant
    figures: list[Figures] = field(default_factory=list)
    failure: StepError | None = None

    def rate(self, clock: str) -> float | None:
        """Median amount a second; None where it failed."""
        if self.failure or not self.figures:
            return None
        rates = [
            float(found["amount"]) / max(float(found[f"{clock}_seconds"]), 1e-9)
            for found in self.figures
        ]
        return statistics.median(rates)

    def amount(self) -> float | None:
        """The amount itself, of the last time."""
        return None if self.failure or not self.figures else float(self.figures[-1]["amount"])

    def figure(self, value: float | None, note: str = "") -> Figure:
        """For the table."""
        shown = failure_note(self.failure) if self.failure else note or self.contestant.note
        is_required = self.contestant.is_required
        return Figure(self.contestant.who, value, shown, is_required)


def failure_note(failure: StepError) -> str:
    """Reason and the last line of the log."""
    last = failure.tail.strip().splitlines()[-1:]
    return ": ".join([failure.reason, *(line[:160] for line in last)])


@dataclass(frozen=True)
class Schedule:
    """Runs contestants in turn, in a folder, until a deadline."""

    options: Options
    folder: Path
    deadline: float
    """time.monotonic() at which the last step must have ended."""

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def timeout(self, wanted: float, step: str) -> float:
        """Seconds a step may take.

        Raises:
            StepError: there are none left.
        """
        left = self.left()
        if left <= 1:
            raise StepError(step, "no time left before the benchmark's limit", "")
        return min(wanted, left)

    def measure(
        self, row: str, contestants: Sequence[Contestant], repeats: int | None = None
    ) -> dict[str, Measured]:
        """Each contestant in turn, so many times; one that fails is not tried again."""
        found = {contestant.who: Measured(contestant) for contestant in contestants}
        began = time.monotonic()
        for turn in range(repeats or self.options.repeats):
            if turn and time.monotonic() - began > ROW_SECONDS:
                logger.warning("row=%s is slow: measured %d times only", row, turn)
                break
            for contestant in contestants:
                measured = found[contestant.who]
                if measured.failure is None:
                    self._measure_once(row, turn, measured)
        return found

    def _measure_once(self, row: str, turn: int, measured: Measured) -> None:
        contestant = measured.contestant
        folder = self.folder / row / f"{contestant.who.replace(' ', '_')}-{turn}"
        shutil.rmtree(folder, ignore_errors=True)
        job = {**contestant.job, "output_dir": str(folder / "out")}
        job["predictions"] = str(folder / "predictions.json")
        try:
            figures = run_measurement(
                contestant.python,
                contestant.module,
                job,
                folder=folder,
                timeout=self.timeout(contestant.timeout, f"{row} {contestant.who}"),
                environment=ONE_THREAD,
            )
        except StepError as failure:
            logger.warning("%s: %s\n%s", contestant.who, failure, failure.tail)
            measured.failure = failure
        else:
            measured.figures.append({**figures, "predictions": job["predictions"]})
            shutil.rmtree(job["output_dir"], ignore_errors=True)
            logger.info("row=%s who=%s turn=%d %s", row, contestant.who, turn, _brief(figures))


def _brief(figures: Figures) -> str:
    seconds = figures["wall_seconds"]
    return f"amount={figures['amount']:.1f} wall={seconds:.2f}s cpu={figures['cpu_seconds']:.2f}s"
