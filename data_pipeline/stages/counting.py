"""Counts of a unit: what came in is what was kept and what was dropped."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from data_pipeline.documents import read_documents
from data_pipeline.progress import ProgressFile, Tally
from data_pipeline.records import Document, Drop
from data_pipeline.report.data import length_bucket


@dataclass(frozen=True)
class UnitCounts:
    """What went into a unit, what stays, and what was dropped where."""

    num_in: int
    """Pages, books or documents."""
    num_kept: int
    text_bytes: int
    """UTF-8 bytes of what stays."""
    dropped: dict[str, dict[str, int]]
    """{stage: {reason: count}}"""
    languages: dict[str, int]
    """What stays by language; documents without one are not counted."""
    lengths: dict[str, int]
    """What stays by `length_bucket` of its UTF-8 bytes."""
    other_records: dict[str, int]
    """Records that no one would take for a page, by type: a WARC's requests. Not in `num_in`."""

    @property
    def num_dropped(self) -> int:
        """Drops of all stages."""
        return sum(sum(reasons.values()) for reasons in self.dropped.values())

    def as_json(self) -> dict[str, Any]:
        """Plain values, as the ledger holds them."""
        return asdict(self)

    @staticmethod
    def from_json(tree: Any) -> "UnitCounts":
        """The inverse of `as_json`."""
        return UnitCounts(**{name: tree[name] for name in UnitCounts.__dataclass_fields__})


class Counting:
    """Counts of a running unit."""

    def __init__(self, progress: ProgressFile) -> None:
        self._tally = Tally()
        self._num_in = 0
        self._text_bytes = 0
        self._num_kept = 0
        self._dropped: Counter[tuple[str, str]] = Counter()
        self._languages: Counter[str] = Counter()
        self._lengths: Counter[str] = Counter()
        self._other_records: Counter[str] = Counter()
        self._progress = progress

    @property
    def bytes_read(self) -> int:
        """How far the unit was read."""
        return self._tally.bytes_read

    def read(self, bytes_read: int) -> None:
        """A record or document came in; the unit is read up to `bytes_read`."""
        self._num_in += 1
        self._tally.documents += 1
        self._tally.bytes_read = max(self._tally.bytes_read, bytes_read)
        self._progress.update(self._tally)

    def others(self, by_type: Mapping[str, int], *, bytes_read: int) -> None:
        """Records came in that no one would take for a page."""
        self._other_records.update(by_type)
        self._tally.bytes_read = max(self._tally.bytes_read, bytes_read)
        self._progress.update(self._tally)

    def kept(self, document: Document) -> None:
        """A document goes on."""
        self._num_kept += 1
        num_bytes = document.num_bytes
        self._text_bytes += num_bytes
        self._lengths[str(length_bucket(num_bytes))] += 1
        if document.language is not None:
            self._languages[document.language] += 1

    def dropped(self, drop: Drop) -> None:
        """A record or document goes no further."""
        self._dropped[drop.stage, drop.reason] += 1
        self._tally.dropped[f"{drop.stage}/{drop.reason}"] += 1

    def counts(self) -> UnitCounts:
        """The counts so far."""
        dropped: dict[str, dict[str, int]] = {}
        for (stage, reason), count in sorted(self._dropped.items()):
            dropped.setdefault(stage, {})[reason] = count
        return UnitCounts(
            num_in=self._num_in,
            num_kept=self._num_kept,
            text_bytes=self._text_bytes,
            dropped=dropped,
            languages=dict(sorted(self._languages.items())),
            lengths=dict(sorted(self._lengths.items())),
            other_records=dict(sorted(self._other_records.items())),
        )


def counted_documents(
    urls: Iterable[str], tally: Tally, progress: ProgressFile
) -> Iterator[Document]:
    """The documents of store files in order, counted in `tally` and shown by `progress`."""
    for url in urls:
        for stored in read_documents(url, measures=False):
            tally.documents += 1
            tally.bytes_read += stored.document.num_bytes
            progress.update(tally)
            yield stored.document
