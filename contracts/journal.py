"""The local record of a tracked run: one JSON object a line, appended as things happen.

What a tracker is told goes here first, so a call costs a line in a local file and nothing waits
for a server; what ships it to one reads behind. The file is the buffer, so it survives an outage,
a crash and a kill.
"""

import json
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

Entry = dict[str, Any]
"""`event`, `time_ms`, and the values of that event."""


class Journal:
    """Appends entries, and reads them back from a byte offset. Any thread may call it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._is_broken = False

    def append(self, event: str, values: Mapping[str, Any]) -> None:
        """One entry at the end; a full or read-only disk costs a warning, once, not an error."""
        entry = {"event": event, "time_ms": time.time_ns() // 1_000_000, **values}
        line = json.dumps(entry, ensure_ascii=False, default=str) + "\n"
        try:
            with self._lock, self.path.open("ab") as stream:
                stream.write(line.encode())
        except OSError as error:
            if not self._is_broken:
                logger.warning(
                    "tracking journal=%s cannot be written, so metrics are lost: %s; the run "
                    "goes on",
                    self.path,
                    error,
                )
            self._is_broken = True

    def create(self) -> None:
        """Make the folder, and end a line that a killed process left torn."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, self.path.open("a+b") as stream:
            if stream.tell():
                stream.seek(-1, 2)
                if stream.read(1) != b"\n":
                    stream.write(b"\n")

    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def read(self, offset: int, *, max_bytes: int) -> list[tuple[int, Entry]]:
        """Whole entries from `offset` on, each with the offset behind it."""
        with self.path.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(max_bytes)
            end = data.rfind(b"\n") + 1
            if not end and len(data) == max_bytes:
                data += stream.readline()  # one entry longer than the limit
                end = data.rfind(b"\n") + 1
        entries = []
        for line in data[:end].splitlines(keepends=True):
            offset += len(line)
            entries.append((offset, _parsed(line)))
        return entries


def metric_series(path: Path) -> dict[str, dict[int, float]]:
    """Every metric of a journal, name -> step -> value; of a step logged twice, the later value.

    Steps are in increasing order. A journal that is not there gives nothing.
    """
    journal = Journal(path)
    series: dict[str, dict[int, float]] = {}
    size = journal.size_bytes()
    for _, entry in journal.read(0, max_bytes=size) if size else ():
        if entry["event"] == "metrics":
            for name, value in entry["values"].items():
                series.setdefault(name, {})[int(entry["step"])] = float(value)
    return {name: dict(sorted(points.items())) for name, points in series.items()}


def _parsed(line: bytes) -> Entry:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    return entry if isinstance(entry, dict) and "event" in entry else {"event": "torn"}
