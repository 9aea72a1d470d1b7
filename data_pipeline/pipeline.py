"""The data job: plan -> map -> dedup -> publish -> tokenizer -> write -> manifests -> report.

Each stage is a list of tasks; those whose ledger record stands are not run again. So a job that was
stopped, killed or given another config does only what is missing, and a finished one does nothing.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from contracts import storage
from contracts.config import as_tree, to_yaml
from contracts.errors import ConfigError
from contracts.shards import MANIFEST_NAME
from contracts.tokenizer import MODEL_NAME, load_tokenizer, save_tokenizer
from contracts.tracking import Tracker, build_tracker, flattened
from data_pipeline.chain import (
    WrittenGroup,
    make_tokenizer_model,
    map_units,
    publish_identity,
    publish_units,
    tokenizer_identity,
    write_groups,
)
from data_pipeline.config import DataConfig
from data_pipeline.data_card import CARD_NAME, write_card
from data_pipeline.dedup.key_index import INDEX_PATH as KEY_INDEX_PATH
from data_pipeline.document_index import (
    INDEX_PATH,
    SCHEMA_VERSION,
    DocumentIndex,
    read_index,
    write_index,
)
from data_pipeline.duplicates import dedup_identity, keep_keys
from data_pipeline.filters import FilterChain
from data_pipeline.job_report import Finished, report_data, report_metrics, throughput_metrics
from data_pipeline.ledger import Ledger, job_lock, remove_other_files, sweep_leftovers, unit_id
from data_pipeline.manifests import (
    TOKENIZER_FOLDER,
    Provenance,
    commit_dataset,
    final_paths,
    require_all_bytes,
    require_documents,
    require_evaluation,
)
from data_pipeline.plan import PlannedUnit, plan_units
from data_pipeline.quarantine import Quarantined, any_left_out, read_quarantine
from data_pipeline.report import JSON_NAME, PAGE_NAME, ReportData, write_report
from data_pipeline.stage_runner import StageRunner

logger = logging.getLogger(__name__)

RUN_ID_PATH = "tracker_run_id.json"
CONFIG_PATH = "config.yaml"


@dataclass(frozen=True)
class JobResult:
    """How a job ended."""

    output_dir: str
    report: ReportData | None
    """None when the job was finished before, and nothing was to do."""
    tracker_page: str | None
    quarantined: tuple[Quarantined, ...] = ()
    """Files that were left out or cut short."""


def run_job(config: DataConfig) -> JobResult:
    """Run a data job, or what is missing of it.

    Raises:
        HeadwaterError: what a file, the config or the machine gave does not work; the message says
            what to do. Run again, the job goes on where it ended.
    """
    FilterChain(config.filters)  # refuses filters that clash, before anything is read
    with job_lock(config.output_dir):
        swept = sweep_leftovers(config.output_dir)
        if swept:
            logger.info("removed %d half-written files of tasks that were killed", swept)
        ledger = Ledger(config.output_dir)
        inputs = planned_inputs(config)
        job_id = job_identity(config, inputs)
        if ledger.find("job", job_id) is not None:
            logger.info("job=%s is finished in %s: nothing to do", job_id, config.output_dir)
            return JobResult(config.output_dir, None, None, read_quarantine(config.output_dir))
        storage.write_bytes(ledger.url(CONFIG_PATH), to_yaml(config).encode())
        with tracked(config) as tracker:
            report = make_dataset(config, inputs, ledger, tracker=tracker, job_id=job_id)
        quarantined = read_quarantine(config.output_dir) if inputs.index is None else ()
        return JobResult(config.output_dir, report, tracker.page, quarantined)


@dataclass(frozen=True)
class Inputs:
    """What a job starts from: work units to read, or a store of documents."""

    units: tuple[PlannedUnit, ...]
    index: DocumentIndex | None
    """The store, when the job starts from documents."""


def planned_inputs(config: DataConfig) -> Inputs:
    """List the sources, or read the index of the store that the job starts from.

    Raises:
        ConfigError: the store was made by other sections than this config has.
        DataError: there is nothing to read.
    """
    if config.start_from == "sources":
        return Inputs(tuple(plan_units(config)), None)
    folder = config.documents_dir or config.output_dir
    index = read_index(folder)
    if index.config_sha256 != config.documents_sha256:
        raise ConfigError(
            f"from=documents: the store in {folder} was made with other sources, extractor, "
            f"limits, filters or dedup (sha256 over these sections: {index.config_sha256}) than "
            f"this config has ({config.documents_sha256}); set them as {folder}/{CONFIG_PATH} has "
            "them, or run with from=sources"
        )
    return Inputs((), index)


def job_identity(config: DataConfig, inputs: Inputs) -> str:
    """Name of the job by all that decides about its outputs.

    A job over a store in its own folder has the name of the job that made the store.
    """
    if inputs.index is not None:
        store_ids = [file.unit_id for file in inputs.index.files]
        has_store = config.documents_dir in {None, config.output_dir}
    else:
        dedup_id = dedup_identity(config.dedup, [unit.map_id for unit in inputs.units])
        store_ids = [publish_identity(unit, dedup_id) for unit in inputs.units]
        has_store = True
    return unit_id(
        "job",
        config.data_sha256,
        tokenizer_identity(config.tokenizer),
        list(store_ids),
        SCHEMA_VERSION if has_store else None,
    )


def make_dataset(
    config: DataConfig, inputs: Inputs, ledger: Ledger, *, tracker: Tracker, job_id: str
) -> ReportData:
    """The chain: each line is a stage, or a proof about the stages before it."""
    with running(config, ledger) as stages:
        index = inputs.index or make_documents(config, inputs.units, stages)
        require_documents(index)
        model_path = make_tokenizer_model(config, index, stages)
        groups = write_groups(config, index, model_path, stages)
        require_evaluation(index, groups, config.split)
        require_all_bytes(index, groups)
        finished = commit(config, index, groups, model_path=model_path, tracker=tracker)
        report = report_data(config, finished, stages)
        write_report(report, config.output_dir)
        write_card(config, report)
        log_report(report, stages, tracker, config.output_dir)
    if inputs.index is not None or not any_left_out(config.output_dir):
        outputs = final_outputs(finished, config.output_dir)
        ledger.commit("job", job_id, outputs=outputs, result={"num_kept": report.num_kept})
    ledger.forget("job", keep={job_id})  # without a record the next run tries what was left out
    stages.forget_others()
    sweep_leftovers(config.output_dir)  # of attempts that were cancelled
    return report


def make_documents(
    config: DataConfig, units: Sequence[PlannedUnit], stages: StageRunner
) -> DocumentIndex:
    """Read, filter, deduplicate and publish: the document store."""
    mapped = map_units(config, units, stages)
    index = publish_units(config, mapped, stages)
    keys = keep_keys(config.dedup, index, stages)
    kept = [path for file in index.files for path in (file.path, file.signatures_path)]
    kept += [*keys, INDEX_PATH, KEY_INDEX_PATH] if keys else [INDEX_PATH]
    remove_other_files(["documents", "signatures", "keys"], kept, config.output_dir)
    write_index(index, config.output_dir)
    return index


def commit(
    config: DataConfig,
    index: DocumentIndex,
    groups: Sequence[WrittenGroup],
    *,
    model_path: str,
    tracker: Tracker,
) -> Finished:
    """Tokenizer, shards and manifests under their final names."""
    tokenizer = load_tokenizer(storage.join(config.output_dir, model_path))
    save_tokenizer(tokenizer, storage.join(config.output_dir, TOKENIZER_FOLDER))
    spec = tokenizer.spec
    provenance = Provenance(config.data_sha256, code_version(), tracker.run_id)
    manifests = commit_dataset(
        config.output_dir,
        index,
        groups,
        seq_len=config.shards.seq_len,
        tokenizer=spec,
        provenance=provenance,
    )
    facts = {
        "dataset_id": next(iter(manifests.values())).dataset_id,
        "config_sha256": provenance.config_sha256,
        "code_version": provenance.code_version,
        "tokenizer_sha256": spec.sha256,
        "tracker_run_id": provenance.tracker_run_id or "none",
        "output_dir": config.output_dir,
    }
    return Finished(index, manifests, spec, facts)


def final_outputs(finished: Finished, output_dir: str) -> list[str]:
    """All files that a finished job consists of, relative to its folder."""
    paths = [f"{TOKENIZER_FOLDER}/{MODEL_NAME}", JSON_NAME, PAGE_NAME, CARD_NAME]
    for split, manifest in finished.manifests.items():
        paths += [*final_paths(manifest), f"{split}/{MANIFEST_NAME}"]
    index = finished.index
    if index.where == output_dir:
        files = [path for file in index.files for path in (file.path, file.signatures_path)]
        paths += [INDEX_PATH, *files]
    return paths


@contextmanager
def running(config: DataConfig, ledger: Ledger) -> Iterator[StageRunner]:
    """The runner, for as long as the block lasts."""
    runner = config.runner.build()
    try:
        yield StageRunner(ledger, runner)
    finally:
        runner.close()


@contextmanager
def tracked(config: DataConfig) -> Iterator[Tracker]:
    """The job's run in the tracker; a job that goes on goes on in the same run."""
    place = storage.join(config.output_dir, RUN_ID_PATH)
    earlier = json.loads(storage.read_bytes(place)) if storage.exists(place) else None
    tracker = build_tracker(
        config.tracking,
        output_dir=config.output_dir,
        run_name=config.title,
        resume_run_id=earlier,
    )
    status = "FAILED"
    try:
        storage.write_bytes(place, json.dumps(tracker.run_id).encode())
        tracker.log_params(flattened(as_tree(config)))
        tracker.set_tags({"kind": "data", "config_sha256": config.data_sha256})
        yield tracker
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        tracker.close(status=status)


def log_report(report: ReportData, stages: StageRunner, tracker: Tracker, output_dir: str) -> None:
    """The job's figures and pages to the tracker."""
    tracker.log_metrics(0, report_metrics(report) | throughput_metrics(stages.reports))
    tracker.log_text(report.config_yaml, CONFIG_PATH)
    for name in (JSON_NAME, PAGE_NAME, CARD_NAME):
        tracker.log_text(storage.read_bytes(storage.join(output_dir, name)).decode(), name)


def code_version() -> str:
    """Version of this program."""
    try:
        return version("headwater")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
