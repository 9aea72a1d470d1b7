"""How input files are named: by their place below the glob's folder, wherever that lies."""

from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from contracts.errors import DataError
from data_pipeline.records import Drop, RawRecord
from data_pipeline.sources import BookCorpusConfig, CommonCrawlConfig, JsonlConfig, PlainTextConfig
from data_pipeline.sources.input_files import files_matching
from data_pipeline.sources.protocol import Source


def fill(folder: Path) -> Path:
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        (folder / name / "part-0.jsonl").write_text(f'{{"text": "of {name}"}}\n')
    return folder


def records(source: Source) -> list[RawRecord | Drop]:
    return [record for unit in source.plan() for record in source.records(unit)]


def test_the_same_file_name_in_two_folders_gives_two_documents(tmp_path: Path) -> None:
    fill(tmp_path)
    found = records(JsonlConfig(files=(str(tmp_path / "*" / "*.jsonl"),)).build())
    assert [r.record_id for r in found if isinstance(r, RawRecord)] == [
        "a/part-0.jsonl:1",
        "b/part-0.jsonl:1",
    ]


Build = Callable[[str], Source]
BUILDS: list[Build] = [
    lambda folder: JsonlConfig(files=(f"{folder}/*/*.jsonl",)).build(),
    lambda folder: PlainTextConfig(files=(f"{folder}/a/part-0.jsonl",)).build(),
    lambda folder: PlainTextConfig(files=(f"{folder}/a/*",)).build(),
    lambda folder: BookCorpusConfig(files=(f"{folder}/book.txt",)).build(),
    lambda folder: BookCorpusConfig(files=(folder,)).build(),
    lambda folder: BookCorpusConfig(manifest=f"{folder}/books.jsonl").build(),
    lambda folder: CommonCrawlConfig(files=(f"{folder}/a/*",)).build(),
]


@pytest.mark.parametrize("build", BUILDS)
def test_records_do_not_depend_on_where_the_input_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Build
) -> None:
    for folder in (tmp_path / "one", tmp_path / "other" / "deep"):
        fill(folder)
        (folder / "book.txt").write_text("Text of a book.")
        (folder / "books.jsonl").write_text('{"path": "a/part-0.jsonl"}\n{"path": "book.txt"}\n')
    first = records(build(str(tmp_path / "one")))
    assert first
    assert records(build(str(tmp_path / "other" / "deep"))) == first
    monkeypatch.chdir(tmp_path)
    assert records(build("one")) == first


def test_two_files_of_one_path_are_refused_with_both(tmp_path: Path) -> None:
    fill(tmp_path)
    globs = (str(tmp_path / "a" / "*"), str(tmp_path / "b" / "part-0.jsonl"))
    with pytest.raises(DataError, match=r"a/part-0.jsonl and .*b/part-0.jsonl .* own source"):
        JsonlConfig(files=globs).build().plan()
    (tmp_path / "books.jsonl").write_text(
        f'{{"path": "part-0.jsonl"}}\n{{"path": "{tmp_path.parent}/part-0.jsonl"}}\n'
    )
    with pytest.raises(DataError, match=r"are both called 'part-0.jsonl'"):
        BookCorpusConfig(manifest=str(tmp_path / "books.jsonl")).build().plan()


def test_a_file_that_two_globs_name_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    found = files_matching(("a/part-0.jsonl", "a/*", "**/part-0.jsonl"), where="here")
    assert list(found.values()) == ["part-0.jsonl", "b/part-0.jsonl"]
    assert all(Path(url).is_absolute() for url in found)


def test_files_of_a_store_are_named_below_their_glob() -> None:
    for name in ("x/y/1.txt", "x/z/1.txt"):
        with fsspec.open(f"memory://names/{name}", "wb") as stream:
            stream.write(b"text")
    found = files_matching(("memory://names/x/*/*.txt",), where="here")
    assert list(found.values()) == ["y/1.txt", "z/1.txt"]
    assert list(files_matching(("memory://names/x/y/1.txt",), where="here").values()) == ["1.txt"]
