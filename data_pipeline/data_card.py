"""The data card: what a dataset is, where it comes from and what was done to it, as Markdown.

The fields are those that Gebru et al. 2021, "Datasheets for Datasets", ask of composition,
collection and preprocessing, as far as a job knows them; what it cannot know is said by
`report.known_gaps` and by each source's `licence`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from contracts import storage
from contracts.config import Config, Json, as_tree
from data_pipeline.config import DataConfig
from data_pipeline.report import ReportData
from data_pipeline.report.numbers import percent
from data_pipeline.report.safety import NAMES
from data_pipeline.sources import SourceConfig

CARD_NAME = "DATA_CARD.md"
_LANGUAGES_SHOWN = 20
_NOT_PLACES = frozenset({"kind", "name", "licence"})


def data_card(config: DataConfig, data: ReportData) -> str:
    """The card of a finished job."""
    blocks = (
        _summary(config, data),
        _sources(config, data),
        _languages(data),
        _filters(config, data),
        _safety(config, data),
        _duplicates(config, data),
        _removed(data),
        _shards(config, data),
        _gaps(config, data),
        _origin(data),
    )
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def write_card(config: DataConfig, data: ReportData) -> None:
    """Commit DATA_CARD.md beside the shards."""
    url = storage.join(config.output_dir, CARD_NAME)
    storage.write_bytes(url, data_card(config, data).encode())


def _summary(config: DataConfig, data: ReportData) -> Iterator[str]:
    tokens = sum(split.num_tokens for split in data.splits)
    text_bytes = sum(source.num_bytes for source in data.sources)
    yield f"# Data card: {_inline(data.title)}"
    yield ""
    yield (
        f"{data.num_kept:,} documents ({percent(data.num_kept, data.num_in)} of {data.num_in:,} "
        f"read), {text_bytes:,} bytes of text, {tokens:,} tokens, from {len(config.sources)} "
        f"source{'s' * (len(config.sources) != 1)}. Every document that was read was kept or "
        "dropped for a reason that is counted below; each token can be traced to its record "
        "(`python -m data_pipeline inspect`)."
    )


def _sources(config: DataConfig, data: ReportData) -> Iterator[str]:
    yield "## Sources"
    yield ""
    rows = []
    by_name = {source.name: source for source in data.sources}
    for section in config.sources:
        name = section.source_name
        found = by_name.get(name)
        period = data.periods.get(name)
        rows.append(
            (
                name,
                section.kind,
                section.licence or "not stated",
                f"{period.first[:10]} to {period.last[:10]}" if period else "not recorded",
                f"{found.num_in:,}" if found else "0",
                f"{found.num_kept:,}" if found else "0",
                f"{sum(found.num_tokens.values()):,}" if found else "0",
            )
        )
    yield from _table(("source", "kind", "licence", "fetched", "read", "kept", "tokens"), rows)
    yield ""
    for section in config.sources:
        yield f"- **{_inline(section.source_name)}**: {_place(section)}"


def _place(section: SourceConfig) -> str:
    """Where a source's files are: its settings but name and licence."""
    tree = {k: v for k, v in as_tree(section).items() if k not in _NOT_PLACES and v is not None}
    return ", ".join(f"{name} {_code(value)}" for name, value in tree.items())


def _languages(data: ReportData) -> Iterator[str]:
    yield "## Languages"
    yield ""
    if not data.by_language:
        yield "Not identified."
        return
    groups = data.by_language[:_LANGUAGES_SHOWN]
    rows = [
        (
            "unknown" if group.name == "–" else group.name,
            f"{group.num_in:,}",
            f"{group.num_kept:,}",
            percent(group.num_kept, group.num_in),
            f"{group.num_bytes:,}",
        )
        for group in groups
    ]
    yield from _table(("language", "read", "kept", "share", "bytes kept"), rows)
    rest = data.by_language[_LANGUAGES_SHOWN:]
    if rest:
        yield ""
        kept = sum(group.num_kept for group in rest)
        yield f"{len(rest)} more languages, {kept:,} documents kept."


def _filters(config: DataConfig, data: ReportData) -> Iterator[str]:
    yield "## Text and filters"
    yield ""
    yield f"Main text of web pages by {_settings(config.extractor)}."
    for section in config.filters:
        dropped = sum(data.dropped.get(section.kind, {}).values())
        yield ""
        share = percent(dropped, data.num_in)
        yield f"### `{section.kind}`: {dropped:,} dropped ({share} of all read)"
        yield ""
        rows = [
            (f"`{name}`", _code(value), _described(section, name))
            for name, value in as_tree(section).items()
            if name != "kind"
        ]
        yield from _table(("setting", "value", "meaning"), rows)


def _safety(config: DataConfig, data: ReportData) -> Iterator[str]:
    yield "## Opt-out, personal data, evaluation sets"
    yield ""
    yield from _opt_out(config, data)
    yield ""
    yield from _personal_data(config, data)
    yield ""
    sets = [section for section in config.filters if section.kind == "decontamination"]
    if not sets:
        yield "Evaluation sets: the texts were not compared with any."
        return
    hits = ", ".join(f"`{name}` {count:,}" for name, count in data.safety.eval_sets.items())
    dropped = sum(data.dropped.get("decontamination", {}).values())
    yield (
        f"Evaluation sets: documents that hold text of one, by set: {hits or 'none'}; {dropped:,} "
        "dropped for it, any others for an earlier reason. Items too short to be told from "
        "anybody's text are not looked for."
    )


def _opt_out(config: DataConfig, data: ReportData) -> Iterator[str]:
    section = config.opt_out
    said = ", ".join(f"`{name}` {count:,}" for name, count in data.safety.signals.items())
    dropped = sum(data.dropped.get("opt_out", {}).values())
    honoured = ", ".join(f"`{name}`" for name in section.signals) if section.honour else "none"
    yield (
        f"Opt-out: signals honoured: {honoured or 'none'}; to everyone or to "
        f"{', '.join(f'`{agent}`' for agent in section.agents)}. Pages that say so: "
        f"{said or 'none'}; {dropped:,} dropped. Read are `X-Robots-Tag` and TDMRep headers and "
        "meta tags, not robots.txt, which is the crawler's."
    )


def _personal_data(config: DataConfig, data: ReportData) -> Iterator[str]:
    if config.pii is None:
        yield "Personal data: nothing was masked."
        return
    found = data.safety
    masked = ", ".join(f"{NAMES.get(name, name)} {n:,}" for name, n in found.masked.items())
    yield (
        f"Personal data: masked in {found.num_masked:,} kept documents ({masked or 'none'}), "
        "before deduplication. Found by form alone: names and postal addresses stay, and so do "
        "addresses of pages in the document table."
    )
    yield ""
    rows = [
        (f"`{name}`", _code(value), _described(config.pii, name))
        for name, value in as_tree(config.pii).items()
    ]
    yield from _table(("setting", "value", "meaning"), rows)


def _settings(section: Config) -> str:
    tree = as_tree(section)
    kind = tree.pop("kind", "")
    return f"`{kind}` (" + ", ".join(f"{name} {_code(value)}" for name, value in tree.items()) + ")"


def _described(section: Config, name: str) -> str:
    """A field's own docstring: its meaning and, of a threshold, its source."""
    return (type(section).model_fields[name].description or "").replace("\n", " ")


def _duplicates(config: DataConfig, data: ReportData) -> Iterator[str]:
    dropped = data.dropped.get("dedup", {})
    yield "## Duplicates"
    yield ""
    counted = ", ".join(f"{reason} {count:,}" for reason, count in dropped.items()) or "none"
    yield f"Removed: {counted}. Settings:"
    yield ""
    yield from _table(
        ("setting", "value", "meaning"),
        [
            (f"`{name}`", _code(value), _described(config.dedup, name))
            for name, value in as_tree(config.dedup).items()
        ],
    )


def _removed(data: ReportData) -> Iterator[str]:
    yield "## What was removed, and why"
    yield ""
    rows = [
        (stage, reason, f"{count:,}", percent(count, data.num_in))
        for stage, reasons in data.dropped.items()
        for reason, count in reasons.items()
    ]
    if rows:
        yield from _table(("stage", "reason", "documents", "share of all read"), rows)
    else:
        yield "Nothing."
    if data.other_records:
        others = ", ".join(f"{kind} {count:,}" for kind, count in data.other_records.items())
        yield ""
        yield f"Records that are no pages, counted beside them: {others}."


def _shards(config: DataConfig, data: ReportData) -> Iterator[str]:
    yield "## Shards"
    yield ""
    rows = [
        (
            split.name,
            f"{split.num_shards:,}",
            f"{split.num_samples:,}",
            f"{split.num_tokens:,}",
            f"{split.num_bytes:,}",
        )
        for split in data.splits
    ]
    yield from _table(("split", "shards", "rows", "tokens", "bytes of text"), rows)
    spec = data.tokenizer
    yield ""
    yield (
        f"Rows of {data.seq_len:,} inputs; tokenizer {spec.kind}, {spec.vocab_size:,} pieces, "
        f"sha256 `{spec.sha256}`. {config.split.validation_fraction:.2%} of the documents (of long "
        "ones: of their sections) are held out for evaluation, chosen by a hash of the document's "
        "id, after deduplication."
    )


def _gaps(config: DataConfig, data: ReportData) -> Iterator[str]:
    yield "## Known gaps"
    yield ""
    for gap in (*config.report.known_gaps, *_found_gaps(config, data)):
        yield f"- {gap}"


def _found_gaps(config: DataConfig, data: ReportData) -> Iterator[str]:
    """What the job itself can say is missing or unknown."""
    unread = data.dropped.get("read", {})
    if unread:
        counted = ", ".join(f"{reason} {count:,}" for reason, count in unread.items())
        yield f"Not readable, and so not judged: {counted}."
    for file in data.unread_files:
        what = "left out" if file.kind == "left_out" else "read in part only"
        yield f"`{file.url}` of `{file.source}` was {what}: {_inline(file.error)}."
    for section in config.sources:
        if section.licence is None:
            yield (
                f"No licence is stated for `{section.source_name}`: its texts belong to their "
                "publishers; set `licence` of the source where there is one."
            )
        if section.source_name not in data.periods:
            yield f"The records of `{section.source_name}` carry no date of fetching."
    if not any(section.kind == "language" for section in config.filters):
        yield "Languages were not identified."
    yield (
        "Filters are heuristics: good pages were lost and poor ones kept; the samples in "
        "`report.html` show both."
    )


def _origin(data: ReportData) -> Iterator[str]:
    yield "## How to make it again"
    yield ""
    yield "The config beside this file (`config.yaml`) and the same inputs give the same bytes."
    yield ""
    for name, value in data.facts.items():
        yield f"- {name}: `{value}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(_inline(cell) for cell in row) + " |"


def _inline(text: str) -> str:
    """Text that cannot end its table cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _code(value: Json) -> str:
    """A setting's value: names and paths in quotes of code."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_code(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return ", ".join(_code(item) for item in value) or "none"
    if isinstance(value, str):
        return f"`{value}`"
    return "off" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
