"""The data job through its doors: what a run leaves behind, what a rerun does, what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import webdataset

from contracts.config import load_config
from contracts.errors import ConfigError, DataError
from contracts.shard_reader import ShardReader
from contracts.shards import read_manifest, verify_shard
from contracts.tokenizer import load_tokenizer
from data_pipeline.chain import WrittenGroup
from data_pipeline.check import derived_facts, facts_text
from data_pipeline.config import DataConfig
from data_pipeline.document_index import read_index
from data_pipeline.documents import read_documents, read_drops
from data_pipeline.manifests import counts_of, place, require_all_bytes, require_evaluation
from data_pipeline.pipeline import job_identity, planned_inputs, run_job
from data_pipeline.progress import ProgressFile
from data_pipeline.sources.warc_writer import write_pages
from data_pipeline.stages.map import MapTask, map_unit
from data_pipeline.stages.record_work import UnitWork
from tests.data_job import shard_hashes, write_config, write_input
from tests.datasets import make_tokenizer


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    write_input(folder / "in")
    config = write_config(folder / "job.yaml", folder=folder / "in", output_dir=folder / "out")
    result = run_job(load_config(DataConfig, config))
    assert result.report is not None
    return config


def output_of(path: Path) -> Path:
    return path.parent / "out"


def ledger_times(output_dir: Path) -> dict[str, int]:
    return {
        f"{file.parent.name}/{file.name}": file.stat().st_mtime_ns
        for file in (output_dir / "ledger").glob("*/*.json")
    }


def test_the_manifests_list_shards_that_verify_and_stock_webdataset_reads(path: Path) -> None:
    train = read_manifest(str(output_of(path) / "train"))
    validation = read_manifest(str(output_of(path) / "validation"))
    assert train.dataset_id == validation.dataset_id
    assert set(train.sources) == set(validation.sources) == {"web", "notes"}
    for manifest in (train, validation):
        for shard in manifest.shards:
            verify_shard(manifest, shard)
    assert load_tokenizer(train.tokenizer_url).spec == train.tokenizer
    rows = 0
    urls = [train.shard_url(shard) for shard in train.shards]
    for sample in webdataset.WebDataset(urls, shardshuffle=False).decode():
        assert sample["tokens.npy"].shape[1] == train.seq_len + 1
        rows += len(sample["tokens.npy"])
    assert rows == train.num_samples


def test_what_came_in_was_kept_or_dropped(path: Path) -> None:
    counts = read_manifest(str(output_of(path) / "train")).counts
    dropped = sum(sum(reasons.values()) for reasons in counts["dropped"].values())
    assert counts["in"] == 6 * 30 == counts["kept"] + dropped
    assert counts["dropped"]["dedup"]["exact"] == 5
    assert counts["dropped"]["length"]["too_few_words"] > 0
    index = read_index(str(output_of(path)))
    kept = [s for file in index.files for s in read_documents(index.url(file.path))]
    drops = [s for f in index.files for p in f.drops_paths for s in read_drops(index.url(p))]
    assert (len(kept), len(drops)) == (counts["kept"], dropped)
    assert "length.num_words" in kept[0].measures


def test_rows_and_documents_hold_the_same_text(path: Path) -> None:
    output_dir = output_of(path)
    index = read_index(str(output_dir))
    texts = {
        stored.document.doc_id: stored.document.text
        for file in index.files
        for stored in read_documents(index.url(file.path))
    }
    manifest = read_manifest(str(output_dir / "train"))
    tokenizer = load_tokenizer(manifest.tokenizer_url)
    with ShardReader(manifest, manifest.shards[0]) as reader:
        spans = reader.spans(0)
        document = reader.documents(0)[int(spans.documents[0])]
        text = tokenizer.decode(reader.row(0)[: int(spans.lengths[0])])
    assert texts[document["doc_id"]].startswith(text)


def test_a_finished_job_does_nothing(path: Path) -> None:
    before = ledger_times(output_of(path))
    assert run_job(load_config(DataConfig, path)).report is None
    assert ledger_times(output_of(path)) == before


def test_the_number_of_workers_changes_nothing(path: Path, tmp_path: Path) -> None:
    overrides = [f"output_dir={tmp_path / 'out'}", "runner.num_workers=2"]
    run_job(load_config(DataConfig, path, overrides))
    assert shard_hashes(tmp_path / "out") == shard_hashes(output_of(path))


def test_from_documents_gives_the_same_bytes_without_the_sources(
    path: Path, tmp_path: Path
) -> None:
    overrides = [
        "from=documents",
        f"documents_dir={output_of(path)}",
        f"output_dir={tmp_path / 'out'}",
    ]
    away = (path.parent / "in").rename(path.parent / "away")
    try:
        run_job(load_config(DataConfig, path, overrides))
    finally:
        away.rename(path.parent / "in")
    assert shard_hashes(tmp_path / "out") == shard_hashes(output_of(path))
    assert not (tmp_path / "out" / "documents").exists()


@pytest.mark.parametrize(
    "override", ["filters.length.min_words=3", "dedup.exact=false", "sources.web.files=[/other]"]
)
def test_from_documents_refuses_a_store_made_by_other_sections(path: Path, override: str) -> None:
    config = load_config(DataConfig, path)
    changed = load_config(DataConfig, path, ["from=documents", override])
    both = rf"{config.documents_sha256}.*{changed.documents_sha256}.*from=sources"
    with pytest.raises(ConfigError, match=both):
        run_job(changed)


def test_a_job_from_documents_in_the_same_folder_is_the_same_job(tmp_path: Path) -> None:
    write_input(tmp_path / "in", num_files=1)
    path = write_config(tmp_path / "j.yaml", folder=tmp_path / "in", output_dir=tmp_path / "out")
    run_job(load_config(DataConfig, path))
    assert run_job(load_config(DataConfig, path, ["from=documents"])).report is None
    other = "shards.seq_len=32"
    assert run_job(load_config(DataConfig, path, ["from=documents", other])).report is not None
    assert run_job(load_config(DataConfig, path, [other])).report is None


def test_a_finished_job_whose_documents_are_gone_makes_them_again(tmp_path: Path) -> None:
    write_input(tmp_path / "in", num_files=1)
    path = write_config(tmp_path / "j.yaml", folder=tmp_path / "in", output_dir=tmp_path / "out")
    run_job(load_config(DataConfig, path))
    before = shard_hashes(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "documents")
    assert run_job(load_config(DataConfig, path)).report is not None
    assert read_index(str(tmp_path / "out")).files
    assert shard_hashes(tmp_path / "out") == before


def test_another_model_under_the_same_path_is_another_job(path: Path, tmp_path: Path) -> None:
    model = tmp_path / "my.model"
    made = output_of(path) / "tokenizer" / "tokenizer.model"
    model.write_bytes(made.read_bytes())
    overrides = [
        "from=documents",
        f"documents_dir={output_of(path)}",
        f"output_dir={tmp_path / 'out'}",
        f"tokenizer={{kind: existing, path: {model}}}",
    ]
    config = load_config(DataConfig, path, overrides)
    assert run_job(config).report is not None
    assert run_job(config).report is None
    model.write_bytes(make_tokenizer().model)
    assert run_job(config).report is not None
    found = read_manifest(str(tmp_path / "out" / "train")).tokenizer.sha256
    assert found == make_tokenizer().spec.sha256


def test_an_earlier_store_that_grew_is_looked_at_again(path: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    shutil.copytree(output_of(path) / "signatures", earlier / "signatures")
    (earlier / "documents").mkdir()
    (earlier / "documents" / "index.json").write_text("{}")
    config = load_config(DataConfig, path, [f"dedup.against=[{earlier}]"])
    inputs = planned_inputs(config)
    before = job_identity(config, inputs)
    assert job_identity(config, inputs) == before
    (earlier / "documents" / "index.json").write_text('{"files": []}')
    assert job_identity(config, inputs) != before


def test_what_nothing_was_extracted_from_is_shown_as_it_came(tmp_path: Path) -> None:
    write_input(tmp_path / "in", num_files=1)
    body = "<html><body><script>" + "caf\u00e9 " * 1000 + "</script></body></html>"
    with (tmp_path / "pages.warc.gz").open("wb") as stream:
        write_pages(stream, [("https://example.org/empty", body.encode())], isbn="pages")
    source = f"{{kind: common_crawl, name: pages, files: [{tmp_path}/pages.warc.gz]}}"
    path = write_config(tmp_path / "j.yaml", folder=tmp_path / "in", output_dir=tmp_path / "out")
    config = load_config(DataConfig, path, [f"sources=[{source}]"])
    [planned] = planned_inputs(config).units
    work = UnitWork(
        unit=planned.unit,
        source=planned.source,
        extractor=config.extractor,
        filters=config.filters,
        dedup=config.dedup,
    )
    task = MapTask(config.output_dir, planned.map_id, work, config.limits)
    outcome = map_unit(task, ProgressFile(config.output_dir, task.unit_id))
    drops = next(name for name in outcome.outputs if "drops" in name)
    [stored] = read_drops(f"{config.output_dir}/{drops}")
    assert stored.drop.stage == "extract"
    assert stored.text_sample == body[:2000]


def test_the_report_is_logged_as_text_wherever_the_output_stands(tmp_path: Path) -> None:
    write_input(tmp_path / "in", num_files=1)
    path = write_config(tmp_path / "j.yaml", folder=tmp_path / "in", output_dir=tmp_path / "out")
    run_job(load_config(DataConfig, path, ["tracking={kind: jsonl}"]))
    journal = (tmp_path / "out" / "tracking.jsonl").read_text()
    entries = [json.loads(line) for line in journal.splitlines()]
    names = {entry["name"] for entry in entries if entry["event"] == "text"}
    assert names == {"config.yaml", "report.json", "report.html", "DATA_CARD.md"}
    assert all(entry["event"] != "artifact" for entry in entries)


def test_a_changed_section_redoes_only_the_stages_it_concerns(tmp_path: Path) -> None:
    write_input(tmp_path / "in", num_files=2)
    path = write_config(tmp_path / "j.yaml", folder=tmp_path / "in", output_dir=tmp_path / "out")
    run_job(load_config(DataConfig, path))
    before = ledger_times(tmp_path / "out")
    run_job(load_config(DataConfig, path, ["shards.seq_len=32"]))
    after = ledger_times(tmp_path / "out")
    changed = {name.partition("/")[0] for name, _ in set(before.items()) ^ set(after.items())}
    assert changed == {"write", "job"}
    manifest = read_manifest(str(tmp_path / "out" / "train"))
    assert manifest.seq_len == 32
    assert {s.path for s in manifest.shards} == {
        p.name for p in (tmp_path / "out" / "train").glob("*.tar")
    }
    run_job(load_config(DataConfig, path, ["tokenizer.vocab_size=350", "shards.seq_len=32"]))
    redone = {
        name.partition("/")[0]
        for name, _ in set(after.items()) ^ set(ledger_times(tmp_path / "out").items())
    }
    assert redone == {"tokenizer", "write", "job"}


def test_a_later_job_does_not_repeat_what_an_earlier_one_has(path: Path, tmp_path: Path) -> None:
    overrides = [f"output_dir={tmp_path / 'out'}", f"dedup.against=[{output_of(path)}]"]
    with pytest.raises(DataError, match=r"source 'web': every document was dropped"):
        run_job(load_config(DataConfig, path, overrides))


def test_a_file_that_two_sources_name_is_kept_once_for_each_id(tmp_path: Path) -> None:
    write_input(tmp_path / "in", num_files=2)
    path = write_config(tmp_path / "j.yaml", folder=tmp_path / "in", output_dir=tmp_path / "out")
    twice = f"sources.web.files=[{tmp_path}/in/web-*.jsonl, {tmp_path}/in/./web-00.jsonl]"
    run_job(load_config(DataConfig, path, [twice]))
    index = read_index(str(tmp_path / "out"))
    kept = [s for f in index.files for s in read_documents(index.url(f.path))]
    assert len({s.document.doc_id for s in kept}) == len(kept)


def test_a_source_without_held_out_text_is_an_error_that_says_what_to_do(
    path: Path, tmp_path: Path
) -> None:
    overrides = [f"output_dir={tmp_path / 'out'}", "split.validation_fraction=0.0001"]
    with pytest.raises(
        DataError,
        match=r"source 'web': its validation split is empty with \d+ documents.*change validation",
    ):
        run_job(load_config(DataConfig, path, overrides))
    assert not (tmp_path / "out" / "train" / "manifest.json").exists()


def test_too_many_unreadable_records_fail_the_job(path: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("no json\n" * 20)
    overrides = [f"output_dir={tmp_path / 'out'}", f"sources.notes.files=[{broken}]"]
    with pytest.raises(
        DataError,
        match=r"source 'notes': 20 of 20 pages could not be read, more than max_drop_rate",
    ):
        run_job(load_config(DataConfig, path, overrides))


def test_from_documents_without_a_store_is_refused(path: Path, tmp_path: Path) -> None:
    overrides = [f"output_dir={tmp_path / 'out'}", "from=documents"]
    with pytest.raises(DataError, match=r"documents/index\.json is missing.*from=sources first"):
        run_job(load_config(DataConfig, path, overrides))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema_version": 9, "files": []}', r"schema_version is 9"),
        ("[]", r"is not the index of a document store"),
    ],
)
def test_another_index_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "index.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_index(str(tmp_path))


def test_counts_that_do_not_add_up_are_an_error(path: Path) -> None:
    index = read_index(str(output_of(path)))
    first = replace(index.files[0], num_in=index.files[0].num_in + 1)
    wrong = replace(index, files=(first, *index.files[1:]))
    with pytest.raises(
        DataError, match=r"181 records came in, but \d+ kept and \d+ dropped are 180"
    ):
        counts_of(wrong)


def test_text_that_did_not_reach_the_shards_is_an_error(path: Path) -> None:
    index = read_index(str(output_of(path)))
    shards = {
        split: read_manifest(str(output_of(path) / split)).shards
        for split in ("train", "validation")
    }
    groups = [
        WrittenGroup(
            source, "u", {k: tuple(s for s in v if s.source == source) for k, v in shards.items()}
        )
        for source in index.sources
    ]
    config = load_config(DataConfig, path)
    require_all_bytes(index, groups)
    require_evaluation(index, groups, config.split)
    short = [replace(groups[0], shards=groups[0].shards | {"train": ()}), *groups[1:]]
    with pytest.raises(
        DataError, match=r"source 'web': \d+ bytes of text were kept, the shards hold"
    ):
        require_all_bytes(index, short)
    with pytest.raises(DataError, match=r"source 'web': its train split is empty"):
        require_evaluation(index, short, config.split)


def test_check_tells_and_touches_nothing(path: Path, tmp_path: Path) -> None:
    config = load_config(DataConfig, path, [f"output_dir={tmp_path / 'out'}"])
    facts = derived_facts(config)
    assert facts["sources"]["web"]["units"] == 4
    assert facts["sources"]["web"]["done"] == 0
    assert "source web" in facts_text(facts)
    assert json.loads(json.dumps(facts)) == facts
    assert not (tmp_path / "out").exists()
    assert derived_facts(load_config(DataConfig, path))["sources"]["web"]["done"] == 4
    stored = derived_facts(load_config(DataConfig, path, ["from=documents"]))
    assert stored["sources"]["web"]["documents"] > 0


def test_check_renders_no_python_docs(path: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    text = path.read_text(encoding="utf-8")
    docs = f"sources:\n  - {{kind: python_docs, name: docs, cache_dir: {cache}}}"
    job = tmp_path / "job.yaml"
    job.write_text(text.replace("sources:", docs, 1), encoding="utf-8")
    facts = derived_facts(load_config(DataConfig, job))
    assert facts["sources"]["docs"] == {"state": "not rendered yet"}
    assert facts["sources"]["web"]["units"] == 4
    assert "state not rendered yet" in facts_text(facts)
    assert not cache.exists()


def test_placing_a_file_twice_is_placing_it_once(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a").write_bytes(np.arange(3).tobytes())
    for _ in range(2):
        place(str(tmp_path), "work/a", "train/a")
    assert [p.name for p in (tmp_path / "train").iterdir()] == ["a"]


def test_a_dataset_for_evaluation_alone_has_no_train_split(tmp_path: Path) -> None:
    write_input(tmp_path / "in", num_files=1)
    path = write_config(tmp_path / "j.yaml", folder=tmp_path / "in", output_dir=tmp_path / "out")
    run_job(load_config(DataConfig, path))
    run_job(load_config(DataConfig, path, ["split.validation_fraction=1.0"]))
    assert list((tmp_path / "out" / "train").iterdir()) == []
    assert read_manifest(str(tmp_path / "out" / "validation")).num_samples > 0


def test_files_of_two_jobs_that_were_mixed_are_noticed(tmp_path: Path) -> None:
    write_input(tmp_path / "in", num_files=1)
    path = write_config(tmp_path / "j.yaml", folder=tmp_path / "in", output_dir=tmp_path / "out")
    run_job(load_config(DataConfig, path))
    record = next((tmp_path / "out" / "ledger" / "publish").glob("*.json"))
    tree = json.loads(record.read_text())
    tree["result"]["num_kept"] += 1
    record.write_text(json.dumps(tree))
    next((tmp_path / "out" / "ledger" / "job").glob("*.json")).unlink()
    with pytest.raises(DataError, match=r"30 records came in, but .* remove work/ and ledger/"):
        run_job(load_config(DataConfig, path))
