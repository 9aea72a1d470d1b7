from pathlib import Path

import pytest

from contracts.errors import DataError
from data_pipeline.ledger import Ledger, job_lock, sweep_leftovers, unit_id


def committed(tmp_path: Path, unit: str = "u1") -> Ledger:
    ledger = Ledger(str(tmp_path))
    work = tmp_path / "work" / "map"
    work.mkdir(parents=True, exist_ok=True)
    (work / f"{unit}.parquet").write_bytes(b"12345")
    ledger.commit("map", unit, outputs=[f"work/map/{unit}.parquet"], result={"documents": 3})
    return ledger


def test_ids_depend_on_stage_and_every_part() -> None:
    ids = {unit_id("map", {"a": 1}), unit_id("map", {"a": 2}), unit_id("publish", {"a": 1})}
    assert len(ids) == 3
    assert unit_id("map", {"a": 1, "b": 2}) == unit_id("map", {"b": 2, "a": 1})


def test_a_committed_unit_is_found_with_its_result(tmp_path: Path) -> None:
    done = committed(tmp_path).find("map", "u1")
    assert done is not None
    assert done.result == {"documents": 3}
    assert done.outputs[0].size_bytes == 5


def test_a_unit_without_record_is_to_do(tmp_path: Path) -> None:
    assert Ledger(str(tmp_path)).find("map", "u1") is None


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_unit_whose_output_is_gone_or_cut_is_to_do(tmp_path: Path, damage: str) -> None:
    ledger = committed(tmp_path)
    output = tmp_path / "work" / "map" / "u1.parquet"
    if damage == "gone":
        output.unlink()
    else:
        output.write_bytes(b"12")
    assert ledger.find("map", "u1") is None


def test_a_record_that_is_none_is_named(tmp_path: Path) -> None:
    ledger = committed(tmp_path)
    record = tmp_path / "ledger" / "map" / "u1.json"
    record.write_text("{}")
    with pytest.raises(DataError, match=r"u1\.json is not a ledger record.*remove the file"):
        ledger.find("map", "u1")


def test_units_of_an_earlier_config_are_forgotten_with_their_files(tmp_path: Path) -> None:
    committed(tmp_path, "old")
    ledger = committed(tmp_path, "new")
    assert ledger.forget("map", keep={"new"}) == 1
    assert ledger.find("map", "old") is None
    assert ledger.find("map", "new") is not None
    assert sorted(p.name for p in (tmp_path / "work" / "map").iterdir()) == ["new.parquet"]


def test_half_written_files_are_swept(tmp_path: Path) -> None:
    committed(tmp_path)
    (tmp_path / "work" / "map" / ".u2.parquet.ab12.partial").write_bytes(b"1")
    assert sweep_leftovers(str(tmp_path)) == 1
    assert [p.name for p in (tmp_path / "work" / "map").iterdir()] == ["u1.parquet"]


def test_two_jobs_cannot_hold_one_folder(tmp_path: Path) -> None:
    with (
        job_lock(str(tmp_path)),
        pytest.raises(DataError, match=r"in use by another data job \(process \d+\)"),
        job_lock(str(tmp_path)),
    ):
        pass
    with job_lock(str(tmp_path)):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataError, match=r"file/out cannot be written: Not a directory"),
        job_lock(str(tmp_path / "file" / "out")),
    ):
        pass
