"""Stops a job that is going wrong, as early as that can be told.

The shares are judged with every unit that arrives, once a source has given enough pages for a
share to mean something, and at the end whatever it has given. A source whose files cannot be read
at all is judged by their bytes.
"""

from collections import Counter
from collections.abc import Mapping

from contracts.errors import DataError
from data_pipeline.sources.protocol import READ
from data_pipeline.stages.counting import UnitCounts


class DropBounds:
    """The shares of each source so far."""

    def __init__(
        self,
        max_drop_rate: float,
        *,
        max_stage_drop_rates: Mapping[str, float],
        after_pages: int,
        source_bytes: Mapping[str, int],
    ) -> None:
        self._max_drop_rate = max_drop_rate
        self._stage_rates = max_stage_drop_rates
        self._after_pages = after_pages
        self._source_bytes = source_bytes
        self._num_in: Counter[str] = Counter()
        self._dropped: dict[str, dict[str, Counter[str]]] = {}
        self._unread_bytes: Counter[str] = Counter()

    def add(self, source: str, counts: UnitCounts) -> None:
        """A unit was read.

        Raises:
            DataError: with it, the source is over a bound.
        """
        self._num_in[source] += counts.num_in
        stages = self._dropped.setdefault(source, {})
        for stage, reasons in counts.dropped.items():
            stages.setdefault(stage, Counter()).update(reasons)
        if self._num_in[source] >= self._after_pages:
            self._require(source)

    def left_out(self, source: str, num_bytes: int, error: str) -> None:
        """A unit could not be read at all.

        Raises:
            DataError: more of the source's bytes than `max_drop_rate` were left out.
        """
        self._unread_bytes[source] += num_bytes
        unread, total = self._unread_bytes[source], self._source_bytes[source]
        if unread > self._max_drop_rate * total:
            raise DataError(
                f"source {source!r}: files of {unread} of its {total} bytes could not be read, "
                f"more than max_drop_rate={self._max_drop_rate}; the last one: {error}; mend the "
                "files or their server and run the same command again, or raise max_drop_rate"
            )

    def require(self) -> None:
        """Judge all sources, however little they gave.

        Raises:
            DataError: one is over a bound.
        """
        for source in self._num_in:
            self._require(source)

    def _require(self, source: str) -> None:
        num_in = self._num_in[source]
        stages = self._dropped[source]
        refused = stages.get(READ, Counter())
        if refused.total() > self._max_drop_rate * num_in:
            raise DataError(
                f"source {source!r}: {refused.total()} of {num_in} pages could not be read, "
                f"more than max_drop_rate={self._max_drop_rate}: {_top(refused)}; look at the "
                "drops under work/map, mend the files, or raise max_drop_rate"
            )
        for stage, rate in self._stage_rates.items():
            dropped = stages.get(stage, Counter())
            if dropped.total() > rate * num_in:
                raise DataError(
                    f"source {source!r}: stage {stage} dropped {dropped.total()} of {num_in} "
                    f"pages, more than max_stage_drop_rates.{stage}={rate}: {_top(dropped)}; look "
                    "at the drops under work/map, then change the stage's settings or the bound"
                )


def _top(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(3))
