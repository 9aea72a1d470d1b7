"""Lines that stand on many pages of one host: which they are, and a text without them.

The idea is CCNet's (Wenzek et al. 2020, section 3.1: paragraphs seen before are removed) and C4's
(Raffel et al. 2020: of a repeated span only the first stays); RefinedWeb (Penedo et al. 2023) drops
lines of menus by rules. Here a line counts only within its host, on whole pages, after copies were
removed, and goes only where it stands on a large share of the host's pages: so a quotation, a
licence or a proverb that many hosts repeat stays, and so does every book, which has no host.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Annotated

import numpy as np
import xxhash
from pydantic import Field, NonNegativeInt, PositiveInt

from contracts.config import Config
from data_pipeline.dedup.rows import Rows, group_starts
from data_pipeline.normal_text import normalized

STAGE, TOO_SHORT = "boilerplate", "too_short"
LINE_COLUMNS = 3
"""Host, line and unit with a count; the line 0 counts the host's pages."""
FOUND_COLUMNS = 2
"""Unit and line."""
NUM_LINES, NUM_CHARACTERS = "boilerplate.num_lines", "boilerplate.num_characters"
MEASURES = {NUM_LINES: 0.0, NUM_CHARACTERS: 0.0}
_BLANK_LINES = re.compile(r"\n{3,}")
_U = np.uint64
_COUNT = _U((1 << 32) - 1)


class BoilerplateConfig(Config):
    """Which lines of a host are removed from its pages."""

    min_documents: Annotated[int, Field(ge=2)] = 10
    """Pages of the host on which a line stands, at least."""
    min_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3
    """Share of the host's pages on which it stands, at least."""
    min_characters: PositiveInt = 20
    """Shorter lines (normalised) stay: headings such as `See also` repeat rightly."""
    min_text_characters: NonNegativeInt = 200
    """A page of which lines were removed and less than this is left is dropped."""


def line_key(host: str, line: str) -> int:
    """A line of a host; odd, as 0 stands for the host's pages."""
    return xxhash.xxh3_64_intdigest(f"{host}\n{line}".encode("utf-8", "surrogatepass")) | 1


def host_key(host: str) -> int:
    """A host."""
    return xxhash.xxh3_64_intdigest(host.encode("utf-8", "surrogatepass"))


def keyed_lines(
    host: str, text: str, config: BoilerplateConfig
) -> Iterator[tuple[str, int | None]]:
    """Each line of a text with its key; None for what is too short to be looked at."""
    for line in text.split("\n"):
        normal = normalized(line) if len(line) >= config.min_characters else ""
        is_long = len(normal) >= config.min_characters
        yield line, line_key(host, normal) if is_long else None


def line_rows(host: str, text: str, unit: int, config: BoilerplateConfig) -> Rows:
    """(L + 1, 3) a page's different lines, and the page itself."""
    keys = {key for _, key in keyed_lines(host, text, config) if key is not None}
    rows = np.empty((len(keys) + 1, LINE_COLUMNS), dtype=np.uint64)
    rows[:, 0] = host_key(host)
    rows[0, 1], rows[1:, 1] = 0, list(keys)
    rows[:, 2] = (unit << 32) | 1
    return rows


class RepeatedLines:
    """Finds the lines to remove in sorted pieces of line rows."""

    def __init__(self, config: BoilerplateConfig) -> None:
        self._config = config
        self._open = np.zeros((0, LINE_COLUMNS), dtype=np.uint64)
        self._num_pages = 0

    def found(self, pieces: Iterable[Rows]) -> Iterator[Rows]:
        """(F, 2) unit and line, for each unit in which a line stands that is to go."""
        for rows in pieces:
            counted = _counted(np.concatenate([self._open, rows]))
            last = group_starts(counted[:, :2])[-1]
            self._open = counted[last:]
            if last:
                yield self._chosen(counted[:last])
        if len(self._open):
            yield self._chosen(self._open)

    def _chosen(self, rows: Rows) -> Rows:
        starts = group_starts(rows[:, :2])
        sizes = np.diff(np.append(starts, len(rows)))
        counts = np.add.reduceat((rows[:, 2] & _COUNT).astype(np.int64), starts)
        is_host = rows[starts, 1] == 0
        # The pages of a host stand before its lines.
        host = np.maximum.accumulate(np.where(is_host, np.arange(len(starts)), -1))
        num_pages = np.where(host < 0, self._num_pages, counts[np.maximum(host, 0)])
        self._num_pages = int(num_pages[-1])
        config = self._config
        is_found = ~is_host & (counts >= config.min_documents)
        is_found &= counts >= config.min_share * num_pages
        rows = rows[np.repeat(is_found, sizes)]
        return np.stack([rows[:, 2] >> _U(32), rows[:, 1]], axis=1)


def _counted(rows: Rows) -> Rows:
    """One row for each host, line and unit, with the sum of its counts."""
    keys = rows.copy()
    keys[:, 2] >>= _U(32)
    starts = group_starts(keys)
    counts = np.add.reduceat(rows[:, 2] & _COUNT, starts)
    counted = keys[starts]
    counted[:, 2] = (counted[:, 2] << _U(32)) | counts
    return counted


def without_lines(
    host: str, text: str, lines: Collection[int], config: BoilerplateConfig
) -> tuple[str, int]:
    """A text without its host's repeated lines, and how many were removed."""
    kept, removed = [], 0
    for line, key in keyed_lines(host, text, config):
        if key is not None and key in lines:
            removed += 1
        else:
            kept.append(line)
    if not removed:
        return text, 0
    return _BLANK_LINES.sub("\n\n", "\n".join(kept)).strip("\n"), removed
