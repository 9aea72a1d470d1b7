import pytest

from contracts.config import load_config
from contracts.errors import ConfigError, DataError
from contracts.shards import read_manifest
from data_pipeline.config import DataConfig
from data_pipeline.document_index import read_index
from data_pipeline.documents import read_documents, read_drops
from data_pipeline.inspection import Selection, inspected, parse_selection
from data_pipeline.pipeline import run_job
from tests.data_job import write_config, write_input


@pytest.fixture(scope="module")
def output_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("job")
    write_input(folder / "in", num_files=2)
    path = write_config(folder / "job.yaml", folder=folder / "in", output_dir=folder / "out")
    run_job(load_config(DataConfig, path))
    return str(folder / "out")


def lines(output_dir: str, by: str, value: str) -> str:
    return "\n".join(inspected(output_dir, Selection(by, value)))


def test_selections_are_told_from_overrides() -> None:
    assert parse_selection("row=train/web-00000:1") == Selection("row", "train/web-00000:1")
    assert parse_selection("uri=https://a/?b=c") == Selection("uri", "https://a/?b=c")
    assert parse_selection("output_dir=x") is None


def test_a_kept_document_is_shown_by_id_and_by_uri(output_dir: str) -> None:
    index = read_index(output_dir)
    stored = next(read_documents(index.url(index.files[0].path)))
    for by in ("doc_id", "uri"):
        shown = lines(output_dir, by, getattr(stored.document, by))
        assert stored.document.text in shown
        assert "length.num_words" in shown


def test_a_dropped_document_is_shown_with_its_reason(output_dir: str) -> None:
    index = read_index(output_dir)
    dropped = next(read_drops(index.url(index.files[0].drops_paths[0])))
    shown = lines(output_dir, "doc_id", dropped.drop.doc_id)
    assert f"dropped   {dropped.drop.stage}: {dropped.drop.reason}" in shown
    assert dropped.text_sample in shown


def test_a_row_is_shown_as_text_with_the_source_of_each_part(output_dir: str) -> None:
    shard = read_manifest(f"{output_dir}/train").shards[0]
    first = lines(output_dir, "row", "train/web-00000:0")
    assert "--- tokens 0 to " in first
    assert "web-00.jsonl at" in first
    last = lines(output_dir, "row", f"train/web-00000.tar:{shard.num_samples - 1}")
    assert "doc_id" in last


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("train/web-00000", r"expected <split>/<shard>:<row>"),
        ("train/wob-00000:0", r"shard 'wob-00000' is not in the train split, which has: web-00000"),
        ("train/web-00000:999999", r"has \d+ rows, 0 to \d+"),
    ],
)
def test_a_row_that_is_not_there_is_refused(output_dir: str, place: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        lines(output_dir, "row", place)


def test_a_document_that_is_not_there_is_named(output_dir: str) -> None:
    with pytest.raises(DataError, match=r"doc_id=ab: no such document among the kept and the"):
        lines(output_dir, "doc_id", "ab")
