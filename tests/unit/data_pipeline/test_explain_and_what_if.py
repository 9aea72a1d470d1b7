"""`explain` and `what-if`: what they say of a finished job, a running one, and what they refuse."""

import json
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from contracts.config import load_config
from contracts.errors import ConfigError, DataError
from data_pipeline.config import DataConfig
from data_pipeline.document_index import INDEX_PATH, read_index
from data_pipeline.documents import read_documents, read_drops
from data_pipeline.explain import Explanation, explanation_lines, explanations
from data_pipeline.inspection import Selection
from data_pipeline.pipeline import run_job
from data_pipeline.what_if import WhatIf, what_if, what_if_lines
from tests.data_job import CONFIG, run_verb, write_input

FILTERS = """filters:
  - {{kind: language, languages: [en], min_score: 0.2}}
  - {{kind: length}}
  - {{kind: gopher_quality, min_words: 60, sources: [web]}}
  - {{kind: c4, min_sentences: 1, line_removal: {{min_words_per_line: 2}}}}
  - {{kind: url_blocklist, lists: [{{name: spam, domains: [{folder}/domains]}}]}}
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a finished job."""
    folder = tmp_path_factory.mktemp("job")
    write_input(folder / "in", num_files=2)
    (folder / "in" / "domains").write_text("spam.example\n")
    start, end = CONFIG.index("filters:"), CONFIG.index("tokenizer:")
    text = CONFIG[:start] + FILTERS + CONFIG[end:]
    path = folder / "job.yaml"
    path.write_text(text.format(folder=folder / "in", output_dir=folder / "out"))
    run_job(load_config(DataConfig, path))
    return path


def counted(job: Path, *overrides: str) -> WhatIf:
    return what_if(load_config(DataConfig, job, overrides), overrides)


def explained(job: Path, by: str, value: str, *overrides: str) -> Explanation:
    (found,) = explanations(load_config(DataConfig, job, overrides), Selection(by, value))
    return found


def recorded_outcomes(output_dir: Path) -> Counter[str]:
    index = read_index(str(output_dir))
    found: Counter[str] = Counter()
    for file in index.files:
        found["kept"] += file.num_kept
        for stage, reasons in file.dropped.items():
            found.update({f"{stage}: {reason}": count for reason, count in reasons.items()})
    return found


def test_the_recorded_limits_give_the_recorded_counts(job: Path) -> None:
    found = counted(job)
    recorded = recorded_outcomes(job.parent / "out")
    assert {name: before for name, before, _ in found.outcomes()} == dict(recorded)
    assert all(before == after for _, before, after in found.outcomes())
    assert found.changes == ()
    assert (found.num_newly_kept, found.num_orphans, found.is_finished) == (0, 0, True)


@pytest.mark.parametrize(
    "overrides",
    [
        ["filters.gopher_quality.min_words=40", "filters.length.min_words=20"],
        ["filters.language.languages=[fr]"],
        ["filters.gopher_quality.sources=[]", "filters.c4.min_sentences=null"],
    ],
)
def test_counts_are_those_of_a_job_with_these_limits(job: Path, overrides: list[str]) -> None:
    found = counted(job, *overrides)
    other = [*overrides, f"output_dir={job.parent / 'other'}", "max_drop_rate=1.0"]
    config = load_config(DataConfig, job, other)
    expected: Counter[str] = Counter()
    with suppress(DataError):  # nothing is left to write
        run_job(config)
    for path in sorted((job.parent / "other" / "work" / "map").glob("*.parquet")):
        if path.name.endswith(".drops.parquet"):
            expected.update(f"{d.drop.stage}: {d.drop.reason}" for d in read_drops(str(path)))
        elif path.name.endswith(".documents.parquet"):
            expected["kept"] += sum(1 for _ in read_documents(str(path)))
    shutil.rmtree(job.parent / "other")
    counts = Counter({name: after for name, _, after in found.outcomes()})
    # Duplicates are judged as recorded; here they count as what the filters keep.
    counts["kept"] += counts.pop("dedup: exact", 0) + counts.pop("dedup: minhash", 0)
    assert +counts == +expected
    assert found.changes


def test_duplicates_whose_kept_document_goes_are_told(job: Path) -> None:
    found = counted(job, "filters.length.min_words=100", "filters.gopher_quality.min_words=100")
    assert sum(count for name, _, count in found.outcomes() if name.startswith("dedup")) == 0
    narrow = counted(job, "filters.gopher_quality.min_words=100")
    lines = "\n".join(what_if_lines(narrow))
    assert "changed  filters.gopher_quality.min_words: 60 -> 100" in lines
    # The text that each file holds stands first in web, where it is dropped now, then in notes.
    assert narrow.num_orphans == 2
    assert "2 duplicates stay dropped whose kept document is dropped now" in lines


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("filters.c4.min_words_per_line=3", r"filters\.c4\.min_words_per_line: what it changes"),
        ("filters.c4.line_removal=null", r"filters\.c4\.line_removal: what it changes was not"),
        ("filters.language.max_characters=9", r"filters\.language\.max_characters: what it"),
        ("filters.gopher_quality.sources=[web, notes]", r"filters\.gopher_quality\.sources: what"),
        ("filters.url_blocklist.lists.0.name=other", r"filters\.url_blocklist\.lists\.0\.name: wh"),
        ("filters=[{kind: fineweb}]", r"filters\.fineweb: this filter was not run"),
        ("dedup.exact=false", r"dedup\.exact=false: cannot be told from what was measured"),
        ("shards.seq_len=32", r"shards\.seq_len=32: changes no count of documents"),
        ("filters.gopher.min_words=3", r"0 elements are called 'gopher'"),
    ],
)
def test_what_was_not_measured_is_refused_by_name(job: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        counted(job, override)


def test_a_config_that_reads_otherwise_is_refused_by_name(job: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(job.read_text().replace("{kind: trafilatura}", "{kind: resiliparse}"))
    with pytest.raises(ConfigError, match=r"extractor\.\w+: what it changes was not measured"):
        counted(other)


def test_filters_can_be_left_out_and_reordered(job: Path) -> None:
    found = counted(job, "filters=[{kind: length}, {kind: language, languages: [en]}]")
    assert "filters.gopher_quality: left out" in found.changes
    assert "filters: another order, so that others name the drops" in found.changes


def test_a_folder_without_a_job_is_refused(job: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"config\.yaml is missing: no data job has run there"):
        counted(job, f"output_dir={tmp_path}")


def test_a_running_job_is_counted_as_far_as_it_is(job: Path, tmp_path: Path) -> None:
    running = tmp_path / "running"
    shutil.copytree(job.parent / "out", running)
    (running / INDEX_PATH).unlink()
    first = sorted((running / "ledger" / "map").glob("*.json"))[0]
    first.unlink()
    config = running / "config.yaml"
    config.write_text(config.read_text().replace(str(job.parent / "out"), str(running)))
    found = counted(job, f"output_dir={running}")
    assert not found.is_finished
    assert found.counts.total() == counted(job).counts.total() - 30
    lines = "\n".join(what_if_lines(found))
    assert "the job is not finished: only its finished units are counted" in lines
    for path in (running / "ledger" / "map").glob("*.json"):
        path.unlink()
    with pytest.raises(DataError, match="no work unit is finished yet"):
        counted(job, f"output_dir={running}")


def test_a_kept_document_shows_its_values_beside_the_limits(job: Path) -> None:
    index = read_index(str(job.parent / "out"))
    stored = next(read_documents(index.url(index.files[0].path)))
    for by in ("doc_id", "uri"):
        found = explained(job, by, getattr(stored.document, by))
        assert found.verdict == "kept"
        assert {check.result for check in found.checks} == {"passed"}
        assert found.checks[-1].filter == "url_blocklist"
    lines = "\n".join(explanation_lines(found))
    assert "(Rae et al. 2021, section A1.1, has 50)" in lines
    assert "< 60" in lines
    assert stored.document.text[:100] in lines


def test_a_dropped_document_shows_which_rule_refused(job: Path) -> None:
    index = read_index(str(job.parent / "out"))
    drops = (d for f in index.files for d in read_drops(index.url(f.drops_paths[0])))
    drop = next(d.drop for d in drops if d.drop.stage == "length")
    found = explained(job, "doc_id", drop.doc_id)
    assert (found.verdict, found.stage, found.reason) == ("dropped", "length", "too_few_words")
    refused = [check for check in found.checks if check.result == "refused"]
    assert refused[0].filter == "length"
    assert refused[0].refused_where == "< 50"
    assert "dropped by length: too_few_words" in "\n".join(explanation_lines(found))


def test_a_duplicate_names_what_was_kept(job: Path) -> None:
    index = read_index(str(job.parent / "out"))
    drops = [d.drop for f in index.files for d in read_drops(index.url(f.drops_paths[1]))]
    found = explained(job, "doc_id", drops[0].doc_id)
    assert (found.stage, found.value) == ("dedup", drops[0].value)
    assert found.kept_uri
    assert {check.result for check in found.checks} <= {"passed", "does not apply"}


def test_a_document_that_is_not_there_is_named(job: Path) -> None:
    with pytest.raises(DataError, match=r"doc_id=ab: no such document among the kept and the"):
        explained(job, "doc_id", "ab")


def test_lost_work_files_are_named(job: Path, tmp_path: Path) -> None:
    shutil.copytree(job.parent / "out", tmp_path / "out")
    for path in (tmp_path / "out" / "work" / "map").glob("*.documents.parquet"):
        path.unlink()
    with pytest.raises(DataError, match=r"documents\.parquet is missing: what the filters meas"):
        counted(job, f"output_dir={tmp_path / 'out'}")


@pytest.mark.parametrize("content", [b"no parquet", b""])
def test_a_torn_file_is_named(job: Path, tmp_path: Path, content: bytes) -> None:
    shutil.copytree(job.parent / "out", tmp_path / "out")
    path = sorted((tmp_path / "out" / "work" / "map").glob("*.documents.parquet"))[0]
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is not a document store file.*run the data job again"):
        counted(job, f"output_dir={tmp_path / 'out'}")
    with pytest.raises(DataError, match=r"is not a document store file.*run the data job again"):
        explained(job, "doc_id", "ab", f"output_dir={tmp_path / 'out'}")


def test_the_verbs_print_text_and_json(job: Path) -> None:
    doc_id = next(
        d.drop.doc_id
        for f in read_index(str(job.parent / "out")).files
        for d in read_drops(str(job.parent / "out" / f.drops_paths[0]))
    )
    ran = run_verb("explain", job, f"doc_id={doc_id}", "--json")
    (found,) = json.loads(ran.stdout)
    assert found["doc_id"] == doc_id
    ran = run_verb("what-if", job, "filters.length.min_words=10", "--json")
    assert json.loads(ran.stdout)["changes"] == ["filters.length.min_words: 50 -> 10"]
    ran = run_verb("explain", job, "row=train/web-00000:0")
    assert ran.returncode == 2
    assert "expected one of doc_id=... or uri=..." in ran.stderr
