"""What a data job's report says: counts, sizes and samples, as plain values.

Everything here adds up: what units counted is merged without looking at a document twice, and which
drops are shown depends on the hash of their doc_id alone, not on the order in which they came.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import NonNegativeInt, PositiveInt

from contracts.config import Config
from contracts.tokenizer import TokenizerSpec
from data_pipeline.records import Drop


class ReportConfig(Config):
    """What the report page shows."""

    samples_per_reason: NonNegativeInt = 10
    """Dropped documents shown as text for each stage and reason."""
    sample_characters: PositiveInt = 1200
    """Of a shown document's text; the rest is cut off."""
    num_pairs: NonNegativeInt = 12
    """Near-duplicate pairs shown side by side."""
    num_hosts: PositiveInt = 40
    """Hosts shown, those with the most documents."""
    max_host_units: PositiveInt = 1000
    """Work units whose hosts are counted: of a larger job a sample, which the page says."""
    table_documents: NonNegativeInt = 400
    """Documents in the page's own table, chosen by hash; `browse` searches all of them."""
    known_gaps: tuple[str, ...] = ()
    """What the data card says of gaps that the job cannot know, one sentence each."""


def length_bucket(length: int) -> int:
    """The power-of-two bucket of a length: b holds 2**(b - 1) to below 2**b, and 0 only 0."""
    return length.bit_length()


@dataclass(frozen=True)
class SourceReport:
    """What one source gave."""

    name: str
    num_in: int
    """Pages, books or rows read."""
    num_kept: int
    """Documents in the store."""
    num_bytes: int
    """UTF-8 bytes of the kept text."""
    num_tokens: Mapping[str, int]
    """Distinct tokens by split."""
    dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """{stage: {reason: count}}."""
    lengths: Mapping[int, int] = field(default_factory=dict)
    """Kept documents by `length_bucket` of their UTF-8 bytes."""


@dataclass(frozen=True)
class SplitReport:
    """What one split holds."""

    name: str
    num_shards: int
    num_samples: int
    """Packed rows."""
    num_tokens: int
    num_targets: int
    num_bytes: int
    """UTF-8 bytes of its text."""
    size_bytes: int
    """Of the shards on disk."""


@dataclass(frozen=True)
class StageTime:
    """How long one stage took."""

    stage: str
    seconds: float
    num_items: int
    item: str
    """What was counted: `documents`, `records`, `tokens`."""
    num_bytes: int
    """Bytes read by the stage."""
    peak_rss_bytes: int = 0
    """Most memory of one worker; 0 where it is not known."""
    num_retries: int = 0
    num_copies: int = 0
    """Second attempts of tasks that ran too long."""
    num_quarantined: int = 0


@dataclass(frozen=True)
class DropSample:
    """A dropped document for the eye."""

    stage: str
    reason: str
    doc_id: str
    source: str
    uri: str
    value: float | str | None
    text: str
    """Begin of its text; empty where it was dropped before there was one."""


@dataclass(frozen=True)
class GroupReport:
    """What became of the documents of one group: a language, a host."""

    name: str
    num_in: int
    num_kept: int
    num_bytes: int
    """UTF-8 bytes of the kept text."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """{stage/reason: count}, the most frequent first."""


@dataclass(frozen=True)
class HostsReport:
    """The hosts with the most documents."""

    hosts: tuple[GroupReport, ...] = ()
    num_hosts: int = 0
    """Different hosts that were seen."""
    num_units: int = 0
    """Work units whose hosts were counted ..."""
    of_units: int = 0
    """... of this many."""


@dataclass(frozen=True)
class TextSample:
    """The beginning of a kept document."""

    doc_id: str
    uri: str
    text: str


@dataclass(frozen=True)
class NearDuplicate:
    """A near duplicate that was dropped, beside the document it repeats."""

    dropped: DropSample
    kept: TextSample | None
    """None where the kept one stands in an earlier job's store."""


@dataclass(frozen=True)
class TableRow:
    """One document of the page's own table."""

    doc_id: str
    uri: str
    source: str
    language: str | None
    decision: str
    """`kept`, or stage/reason of the drop."""
    value: str | None
    measures: Mapping[str, float | str]


@dataclass(frozen=True)
class Period:
    """When the documents of a source were fetched; ISO 8601."""

    first: str
    last: str


@dataclass(frozen=True)
class SafetyReport:
    """What was found that a text may not be used for, or should not hold."""

    signals: Mapping[str, int] = field(default_factory=dict)
    """Pages that say it against their use, by opt-out signal, honoured or not."""
    masked: Mapping[str, int] = field(default_factory=dict)
    """Placeholders in kept documents: `emails`, `ips`, `phones`."""
    num_masked: int = 0
    """Kept documents that hold a placeholder."""
    eval_sets: Mapping[str, int] = field(default_factory=dict)
    """Documents that hold text of an evaluation set, by set, also those dropped before."""

    @staticmethod
    def merged(parts: Iterable["SafetyReport"]) -> "SafetyReport":
        """The counts of all units together, names in order."""
        signals: Counter[str] = Counter()
        masked: Counter[str] = Counter()
        eval_sets: Counter[str] = Counter()
        num_masked = 0
        for part in parts:
            for total, more in (
                (signals, part.signals),
                (masked, part.masked),
                (eval_sets, part.eval_sets),
            ):
                total.update(more)
            num_masked += part.num_masked
        in_order = [dict(sorted(total.items())) for total in (signals, masked, eval_sets)]
        return SafetyReport(in_order[0], in_order[1], num_masked, in_order[2])


@dataclass(frozen=True)
class UnreadFile:
    """A file that gave nothing, or not all."""

    source: str
    url: str
    kind: str
    """`left_out` or `cut_short`."""
    error: str
    attempts: int


@dataclass(frozen=True)
class TimelinePoint:
    """The state of the job at one moment."""

    seconds: float
    """Since the job began."""
    stage: str
    documents: int
    """Done by the stage until then."""
    num_bytes: int
    """Read by the stage until then."""
    rss_bytes: int
    """Memory of all running tasks' processes together; 0 where it is not known."""


@dataclass(frozen=True)
class ReportData:
    """Everything the report shows; `num_in = num_kept + all of dropped`."""

    title: str
    num_in: int
    num_kept: int
    dropped: Mapping[str, Mapping[str, int]]
    """{stage: {reason: count}}, stages in the order of the chain."""
    sources: tuple[SourceReport, ...]
    splits: tuple[SplitReport, ...]
    languages: Mapping[str, int]
    """Kept documents by language."""
    tokenizer: TokenizerSpec
    seq_len: int
    times: tuple[StageTime, ...]
    drop_samples: tuple[DropSample, ...]
    config_yaml: str
    other_records: Mapping[str, int] = field(default_factory=dict)
    """Records that are no pages, by type, as a WARC's requests: read, and not in `num_in`."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Where it came from: code version, config sha256, tracker run, ..."""
    by_language: tuple[GroupReport, ...] = ()
    hosts: HostsReport = HostsReport()
    near_duplicates: tuple[NearDuplicate, ...] = ()
    table: tuple[TableRow, ...] = ()
    periods: Mapping[str, Period] = field(default_factory=dict)
    """By source, where its records have dates."""
    timeline: tuple[TimelinePoint, ...] = ()
    unread_files: tuple[UnreadFile, ...] = ()
    safety: SafetyReport = SafetyReport()

    @property
    def num_dropped(self) -> int:
        """All drops."""
        return sum(sum(reasons.values()) for reasons in self.dropped.values())

    def as_json(self) -> dict[str, Any]:
        """Plain values, as they stand in report.json."""
        return {**asdict(self), "num_dropped": self.num_dropped}


class DropSampler:
    """The drops to show: of each stage and reason those with the lowest hash of their doc_id."""

    def __init__(self, config: ReportConfig) -> None:
        self._config = config
        self._lowest: dict[tuple[str, str], dict[str, DropSample]] = {}

    def wants(self, drop: Drop) -> bool:
        """Whether `add` would keep it: lets the caller look its text up only then."""
        if self._config.samples_per_reason == 0:
            return False
        kept = self._lowest.get((drop.stage, drop.reason), {})
        key = shown_order(drop.doc_id)
        return len(kept) < self._config.samples_per_reason or key < max(kept)

    def add(self, drop: Drop, text: str) -> None:
        """Take a drop with its text (cut to the configured length)."""
        if self.wants(drop):
            shown = text[: self._config.sample_characters]
            shown += "…" if len(text) > len(shown) else ""
            sample = DropSample(
                drop.stage, drop.reason, drop.doc_id, drop.source, drop.uri, drop.value, shown
            )
            self.merge([sample])

    def merge(self, samples: Iterable[DropSample]) -> None:
        """Take samples that another sampler kept."""
        for sample in samples:
            kept = self._lowest.setdefault((sample.stage, sample.reason), {})
            kept[shown_order(sample.doc_id)] = sample
            if len(kept) > self._config.samples_per_reason:
                del kept[max(kept)]

    def samples(self) -> tuple[DropSample, ...]:
        """What was kept, by stage, reason and hash."""
        return tuple(
            self._lowest[key][order]
            for key in sorted(self._lowest)
            for order in sorted(self._lowest[key])
        )


def shown_order(doc_id: str) -> str:
    """Those with the lowest are shown: the same choice at any order and number of units."""
    return hashlib.blake2b(f"shown\0{doc_id}".encode(), digest_size=16).hexdigest()


def add_counts(
    total: Mapping[str, Mapping[str, int]], more: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """Two drop counts {stage: {reason: count}} as one; stages of `total` come first."""
    added = {stage: dict(reasons) for stage, reasons in total.items()}
    for stage, reasons in more.items():
        place = added.setdefault(stage, {})
        for reason, count in reasons.items():
            place[reason] = place.get(reason, 0) + count
    return added
