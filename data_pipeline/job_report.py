"""From the index, the manifests and the stages' times to the report's plain values."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts import storage
from contracts.config import as_tree, to_yaml
from contracts.shards import ShardManifest
from contracts.tokenizer import TokenizerSpec
from data_pipeline.config import DataConfig
from data_pipeline.document_index import DocumentIndex, StoreFile
from data_pipeline.ledger import unit_id
from data_pipeline.quarantine import read_quarantine
from data_pipeline.report import (
    DropSample,
    NearDuplicate,
    Period,
    ReportData,
    SafetyReport,
    SourceReport,
    SplitReport,
    StageTime,
    TimelinePoint,
    UnreadFile,
    add_counts,
)
from data_pipeline.stage_runner import StageRunner
from data_pipeline.stages.drop_samples import DropSamplesTask, merged_samples, sample_drops
from data_pipeline.stages.pair_texts import PairTextsTask, found_texts, pair_texts
from data_pipeline.stages.survey import Survey, SurveyTask, merged_survey, periods_of, survey_unit
from data_pipeline.timeline import StageReport, read_timeline

CHAIN = ("read", "extract")
"""Stages in front of the filters; `dedup` comes behind them."""


@dataclass(frozen=True)
class Finished:
    """What a job has made, as the report tells it."""

    index: DocumentIndex
    manifests: Mapping[str, ShardManifest]
    tokenizer: TokenizerSpec
    facts: Mapping[str, str]


def report_data(config: DataConfig, finished: Finished, stages: StageRunner) -> ReportData:
    """All that the report shows; samples of drops are chosen by the stage `drop_samples`."""
    index = finished.index
    samples = _drop_samples(config, index, stages)
    survey, periods, safety = _survey(config, index, stages)
    reports = read_timeline(config.output_dir)
    order = [*CHAIN, "opt_out", *dict.fromkeys(section.kind for section in config.filters), "dedup"]
    dropped: dict[str, dict[str, int]] = {}
    for file in index.files:
        dropped = add_counts(dropped, file.dropped)
    known = [stage for stage in order if stage in dropped]
    languages: Counter[str] = Counter()
    for file in index.files:
        languages.update(file.languages)
    return ReportData(
        title=config.title,
        num_in=sum(file.num_in for file in index.files),
        num_kept=sum(file.num_kept for file in index.files),
        dropped={stage: dropped[stage] for stage in [*known, *sorted(set(dropped) - set(known))]},
        other_records=_other_records(index),
        sources=tuple(_source_report(name, finished) for name in index.sources),
        splits=tuple(_split_report(manifest) for manifest in finished.manifests.values()),
        languages=dict(languages.most_common()),
        tokenizer=finished.tokenizer,
        seq_len=config.shards.seq_len,
        times=tuple(map(_stage_time, reports)),
        timeline=timeline_points(reports),
        unread_files=tuple(
            UnreadFile(unit.source, unit.url, unit.kind, unit.error, unit.attempts)
            for unit in read_quarantine(config.output_dir)
        ),
        drop_samples=samples,
        config_yaml=to_yaml(config),
        facts=finished.facts,
        by_language=survey.by_language,
        hosts=survey.hosts,
        near_duplicates=_near_duplicates(config, index, stages, samples),
        table=survey.table,
        periods=periods,
        safety=safety,
    )


def _other_records(index: DocumentIndex) -> dict[str, int]:
    total: Counter[str] = Counter()
    for file in index.files:
        total.update(file.other_records)
    return dict(sorted(total.items()))


def _drop_samples(
    config: DataConfig, index: DocumentIndex, stages: StageRunner
) -> tuple[DropSample, ...]:
    tasks = [
        DropSamplesTask(
            output_dir=config.output_dir,
            unit_id=unit_id("drop_samples", as_tree(config.report), file.unit_id),
            drops_urls=_drops_urls(index, file),
            report=config.report,
            num_bytes=1,
        )
        for file in index.files
    ]
    stages.run("drop_samples", sample_drops, tasks)
    return merged_samples(config.output_dir, [task.unit_id for task in tasks], config.report)


def _survey(
    config: DataConfig, index: DocumentIndex, stages: StageRunner
) -> tuple[Survey, dict[str, Period], SafetyReport]:
    tasks = [
        SurveyTask(
            output_dir=config.output_dir,
            unit_id=unit_id("survey", as_tree(config.report), file.unit_id),
            source=file.source,
            documents_url=index.url(file.path),
            drops_urls=_drops_urls(index, file),
            report=config.report,
            num_bytes=file.text_bytes,
        )
        for file in index.files
    ]
    results = stages.run("survey", survey_unit, tasks)
    dates = [(task.source, result["dates"]) for task, result in zip(tasks, results, strict=True)]
    ids = [task.unit_id for task in tasks]
    safety = SafetyReport.merged(SafetyReport(**result["safety"]) for result in results)
    return merged_survey(config.output_dir, ids, config.report), periods_of(dates), safety


def _drops_urls(index: DocumentIndex, file: StoreFile) -> tuple[str, ...]:
    """The unit's drops; the store of a job whose work was removed has none."""
    return tuple(url for url in map(index.url, file.drops_paths) if storage.exists(url))


def _near_duplicates(
    config: DataConfig,
    index: DocumentIndex,
    stages: StageRunner,
    samples: Sequence[DropSample],
) -> tuple[NearDuplicate, ...]:
    """The sampled near duplicates, each beside the document that was kept."""
    near = [s for s in samples if (s.stage, s.reason) == ("dedup", "minhash")]
    near = near[: config.report.num_pairs]
    wanted = tuple(sorted({str(sample.value) for sample in near}))
    tasks = [
        PairTextsTask(
            output_dir=config.output_dir,
            unit_id=unit_id("pair_texts", as_tree(config.report), list(wanted), file.unit_id),
            documents_url=index.url(file.path),
            doc_ids=wanted,
            max_characters=config.report.sample_characters,
            num_bytes=1,
        )
        for file in index.files
        if wanted
    ]
    stages.run("pair_texts", pair_texts, tasks)
    texts = found_texts(config.output_dir, [task.unit_id for task in tasks])
    return tuple(NearDuplicate(sample, texts.get(str(sample.value))) for sample in near)


def _source_report(name: str, finished: Finished) -> SourceReport:
    files = finished.index.of_source(name)
    dropped: dict[str, dict[str, int]] = {}
    lengths: Counter[int] = Counter()
    for file in files:
        dropped = add_counts(dropped, file.dropped)
        lengths.update({int(bucket): count for bucket, count in file.lengths.items()})
    return SourceReport(
        name=name,
        num_in=sum(file.num_in for file in files),
        num_kept=sum(file.num_kept for file in files),
        num_bytes=sum(file.text_bytes for file in files),
        num_tokens={
            split: sum(shard.num_tokens for shard in manifest.shards if shard.source == name)
            for split, manifest in finished.manifests.items()
        },
        dropped=dropped,
        lengths=dict(sorted(lengths.items())),
    )


def _split_report(manifest: ShardManifest) -> SplitReport:
    shards = manifest.shards
    return SplitReport(
        name=manifest.split,
        num_shards=len(shards),
        num_samples=manifest.num_samples,
        num_tokens=manifest.num_tokens,
        num_targets=sum(shard.num_targets for shard in shards),
        num_bytes=sum(shard.num_bytes for shard in shards),
        size_bytes=sum(shard.size_bytes for shard in shards),
    )


def _stage_time(report: StageReport) -> StageTime:
    counted = report.documents > 0
    return StageTime(
        stage=report.stage,
        seconds=report.seconds,
        num_items=report.documents if counted else report.num_tasks,
        item="documents" if counted else "units",
        num_bytes=report.read_bytes,
        peak_rss_bytes=report.peak_rss_bytes,
        num_retries=report.num_retries,
        num_copies=report.num_copies,
        num_quarantined=report.num_quarantined,
    )


def timeline_points(reports: Sequence[StageReport]) -> tuple[TimelinePoint, ...]:
    """The samples of all stages one behind the other; pauses between runs are left out."""
    points = []
    begin = 0.0
    for report in reports:
        points.append(TimelinePoint(begin, report.stage, 0, 0, 0))
        points += [
            TimelinePoint(
                begin + sample.seconds,
                report.stage,
                sample.documents,
                sample.bytes_read,
                sample.rss_bytes,
            )
            for sample in report.samples
            if sample.seconds < report.seconds
        ]
        begin += report.seconds
        last = report.samples[-1].rss_bytes if report.samples else report.peak_rss_bytes
        points.append(TimelinePoint(begin, report.stage, report.documents, report.read_bytes, last))
    return tuple(points)


def report_metrics(data: ReportData) -> dict[str, float]:
    """What the tracker gets: counts by stage and reason, tokens by source, speeds."""
    metrics: dict[str, float] = {
        "data/documents_in": data.num_in,
        "data/documents_kept": data.num_kept,
        "data/documents_dropped": data.num_dropped,
    }
    for stage, reasons in data.dropped.items():
        for reason, count in reasons.items():
            metrics[f"dropped/{stage}/{reason}"] = count
    for source in data.sources:
        for split, num_tokens in source.num_tokens.items():
            metrics[f"tokens/{source.name}/{split}"] = num_tokens
    for time in data.times:
        metrics[f"seconds/{time.stage}"] = time.seconds
    return metrics


def throughput_metrics(reports: Sequence[StageReport]) -> dict[str, float]:
    """Documents and bytes per second of each stage that ran now."""
    metrics: dict[str, float] = {}
    for report in reports:
        seconds = max(report.seconds, 1e-3)
        metrics[f"perf/{report.stage}/documents_per_second"] = report.documents / seconds
        metrics[f"perf/{report.stage}/megabytes_per_second"] = report.read_bytes / 1e6 / seconds
    return metrics
