"""What measuring processes share."""

import json
from pathlib import Path

from benchmarks.measuring import ids_sha256, rows_of, texts_of


def _rows(path: Path, texts: list[str]) -> dict[str, object]:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return {"rows": str(path), "limit": 100}


def test_rows_stop_at_the_limit(tmp_path: Path) -> None:
    job = _rows(tmp_path / "rows", ["a", "b", "c"])
    assert rows_of({**job, "limit": 2}) == [{"text": "a"}, {"text": "b"}]


def test_what_is_measured_was_not_seen_in_the_warm_up(tmp_path: Path) -> None:
    job = _rows(tmp_path / "rows", ["ab" * 5, "cd" * 5, "ef" * 5, "gh" * 5])
    first, others, megabytes = texts_of(job)
    assert (first, others) == (["ab" * 5, "cd" * 5], ["ef" * 5, "gh" * 5])
    assert megabytes == 20 / 1e6


def test_ids_are_told_apart_by_value_and_by_text() -> None:
    assert ids_sha256([[1, 2], [3]]) == ids_sha256([(1, 2), (3,)])
    assert ids_sha256([[1, 2], [3]]) != ids_sha256([[1], [2, 3]])
