"""Files of rows and keys: what is refused, and who wins among pages of one address."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.errors import ConfigError, DataError
from data_pipeline.dedup import DedupConfig, signature_writer
from data_pipeline.dedup.key_index import INDEX_PATH, read_key_index
from data_pipeline.dedup.rows import doc_ids_of, ids_of, nodes, numbers_of, places
from data_pipeline.dedup.runs import RunSource, hash_bounds, merged, run_writer
from data_pipeline.progress import ProgressFile
from data_pipeline.records import Signature
from data_pipeline.stages.search import Earlier, Step, search, search_plan
from data_pipeline.stages.search_task import SearchTask, SignedFile
from data_pipeline.stages.search_values import duplicates_of

MEMORY = 1 << 20


def written(path: Path, rows: int = 10, memory_bytes: int = MEMORY) -> RunSource:
    numbers = np.arange(2 * rows, dtype=np.uint64).reshape(rows, 2)
    with run_writer(str(path), 2, bounds=hash_bounds(1), memory_bytes=memory_bytes) as writer:
        writer.add(numbers)
    return RunSource(str(path))


def test_more_runs_than_the_memory_has_buffers_for_are_refused(tmp_path: Path) -> None:
    source = written(tmp_path / "a.runs", rows=100, memory_bytes=4 * 16)
    with pytest.raises(
        ConfigError, match=r"memory_bytes=400000 is too small to merge 100 .* set it to 9830400 or"
    ):
        next(merged([source], 2, memory_bytes=100_000))


def test_what_is_no_file_of_runs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.runs").write_bytes(b"no rows" * 10)
    with pytest.raises(DataError, match=r"a\.runs is not a file of sorted runs: remove it"):
        next(merged([RunSource(str(tmp_path / "a.runs"))], 2, memory_bytes=MEMORY))
    source = written(tmp_path / "b.runs")
    with pytest.raises(DataError, match=r"b\.runs holds rows of 2 numbers, expected 3"):
        next(merged([source], 3, memory_bytes=MEMORY))


def test_a_file_cut_while_it_is_read_is_refused(tmp_path: Path) -> None:
    source = written(tmp_path / "a.runs", rows=1 << 16)
    pieces = merged([source], 2, memory_bytes=MEMORY)
    next(pieces)
    (tmp_path / "a.runs").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.runs is cut off: remove it and run the same command"):
        list(pieces)


def test_rows_of_a_later_search_are_shifted(tmp_path: Path) -> None:
    plain = written(tmp_path / "a.runs", rows=3)
    shifted = RunSource(plain.url, shift=(0, 100))
    found = np.concatenate(list(merged([plain, shifted], 2, memory_bytes=MEMORY)))
    assert found.tolist() == [[0, 1], [0, 101], [2, 3], [2, 103], [4, 5], [4, 105]]


def test_a_document_is_a_node_and_back() -> None:
    doc_ids = ["00" * 16, "ff" * 16, "0123456789abcdef0f1e2d3c4b5a6978"]
    numbers = places(7, 5, 3)
    found = nodes(3, ids_of(doc_ids, "f"), numbers)
    assert doc_ids_of(found) == doc_ids
    assert numbers_of(found).tolist() == numbers.tolist() == [(7 << 28) + n for n in (5, 6, 7)]


@pytest.mark.parametrize("bad", ["x" * 32, "ab", ""])
def test_an_id_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(DataError, match=rf"f: doc_id '{bad}' is not 32 hex digits"):
        ids_of(["00" * 16, bad], "f")


def test_an_index_of_keys_that_is_none_is_refused(tmp_path: Path) -> None:
    assert read_key_index(str(tmp_path)) is None
    (tmp_path / "keys").mkdir()
    (tmp_path / INDEX_PATH).write_text('{"schema_version": 1}')
    with pytest.raises(DataError, match=r"is not an index of keys: 'drawn'; remove the folder"):
        read_key_index(str(tmp_path))
    (tmp_path / INDEX_PATH).write_text('{"schema_version": 99}')
    assert read_key_index(str(tmp_path)) is None


def test_of_one_address_the_page_fetched_last_stays_but_never_against_a_published_one(
    tmp_path: Path,
) -> None:
    config = DedupConfig(minhash=None, against=("earlier",))
    pages = {
        0: [(1, "https://old.org/", "2026-05-05")],
        1: [
            (2, "https://old.org/#top", "2026-09-09"),
            (3, "http://new.org/a", "2026-01-01"),
            (4, "https://www.new.org/a/", "2026-02-02"),
            (5, "https://new.org/a", ""),
            (6, "book.txt", "2026-01-01"),
            (7, "book.txt", "2026-01-01"),
            (3, "http://new.org/a", "2026-01-01"),
        ],
    }
    files = []
    for dataset, rows in pages.items():
        url = f"{tmp_path}/{dataset}.parquet"
        with signature_writer(url, config) as writer:
            for number, uri, moment in rows:
                digest = bytes([number]) * 16
                empty = np.zeros(0, dtype=np.uint32)
                writer.add(Signature(f"{number:032x}", digest, empty), uri, moment)
        files.append(SignedFile(url, dataset, dataset, len(rows), dataset - 1))
    plan = search_plan(str(tmp_path), "id", config, files, Earlier())

    def run(_: str, function: Step, tasks: Sequence[SearchTask]) -> list[dict[str, Any]]:
        progress = ProgressFile(str(tmp_path), "x")
        return [function(task, progress).result for task in tasks]

    search(plan, run, str(tmp_path))
    found = duplicates_of(f"{tmp_path}/{plan.tables()[0]}", 0)
    assert {
        place: (int(d.doc_id, 16), int(d.kept_doc_id, 16), d.method) for place, d in found.items()
    } == {
        0: (2, 1, "url"),
        1: (3, 4, "url"),
        3: (5, 4, "url"),
        6: (3, 3, "repeated_id"),
    }
