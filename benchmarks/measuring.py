"""What a measuring process does, ours or a peer's: read its job, time its work, write its figures.

Started as `PYTHON -m MODULE JOB.json RESULT.json`, in whatever environment that PYTHON belongs to;
so this file needs the standard library alone.
"""

import hashlib
import json
import sys
import time
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

WARM_UP_CHARACTERS = 1_000_000
Job = dict[str, Any]
Figures = dict[str, Any]


class Clock:
    """Wall and processor time of a block (of this process, all its threads)."""

    def __enter__(self) -> "Clock":
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        self.wall_seconds = self.cpu_seconds = 0.0
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_seconds = time.perf_counter() - self._wall
        self.cpu_seconds = time.process_time() - self._cpu

    def figures(self, amount: float, **more: Any) -> Figures:
        """What a row reads: an amount of work, and the time it took."""
        return {
            "amount": amount,
            "wall_seconds": self.wall_seconds,
            "cpu_seconds": self.cpu_seconds,
            **more,
        }


def rows_of(job: Job) -> list[Job]:
    """The first `limit` rows of a file of JSON lines."""
    with Path(job["rows"]).open(encoding="utf-8") as stream:
        return [json.loads(line) for line, _ in zip(stream, range(job["limit"]), strict=False)]


def texts_of(job: Job) -> tuple[list[str], list[str], float]:
    """Texts to warm up with, other texts to measure with, and the megabytes of those.

    Tokenizers remember the words they have met: what is measured must be text they have not seen.
    """
    texts = [row["text"] for row in rows_of(job)]
    size = sum(map(len, texts))
    warm_up = min(size / 2, max(size / 5, WARM_UP_CHARACTERS))
    cut = 0
    while warm_up > 0 and cut < len(texts) - 1:
        warm_up -= len(texts[cut])
        cut += 1
    return texts[:cut], texts[cut:], sum(len(text.encode()) for text in texts[cut:]) / 1e6


def scored(job: Job, texts: dict[str, str], clock: Clock) -> Figures:
    """Pages and their time; the texts by URL go to a file, for the scorer."""
    Path(job["predictions"]).write_text(json.dumps(texts), encoding="utf-8")
    return clock.figures(len(texts))


def ids_sha256(rows: Iterable[Iterable[int]]) -> str:
    """One hash over the token ids of many texts."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(array("I", row).tobytes())
        digest.update(b"|")
    return digest.hexdigest()


def main(parts: dict[str, Callable[[Job], Figures]]) -> None:
    """Run the part that the job names, and write what it gives."""
    job_path, result_path = sys.argv[1:3]
    job = json.loads(Path(job_path).read_text())
    figures = parts[job["part"]](job)
    Path(result_path).write_text(json.dumps(figures))
