"""A job that goes wrong is stopped early; one that is small is judged at its end."""

from pathlib import Path

import pytest

from contracts.config import load_config
from contracts.errors import ConfigError, DataError
from data_pipeline.config import DataConfig
from data_pipeline.drop_bounds import DropBounds
from data_pipeline.pipeline import run_job
from data_pipeline.stages.counting import UnitCounts
from tests.data_job import write_config, write_input


def counts(num_in: int, **dropped: dict[str, int]) -> UnitCounts:
    num_dropped = sum(sum(reasons.values()) for reasons in dropped.values())
    return UnitCounts(num_in, num_in - num_dropped, 0, dict(dropped), {}, {}, {})


def bounds(**stage_rates: float) -> DropBounds:
    return DropBounds(
        0.5, max_stage_drop_rates=stage_rates, after_pages=100, source_bytes={"web": 1000}
    )


def test_a_source_is_judged_once_it_has_given_enough_pages() -> None:
    judged = bounds()
    judged.add("web", counts(60, read={"bad_json": 60}))
    with pytest.raises(
        DataError, match=r"'web': 100 of 110 pages could not be read, .*bad_json 100"
    ):
        judged.add("web", counts(50, read={"bad_json": 40}))


def test_at_the_end_every_source_is_judged() -> None:
    judged = bounds()
    judged.add("web", counts(10, read={"bad_json": 6}))
    with pytest.raises(DataError, match="6 of 10 pages could not be read"):
        judged.require()
    fine = bounds()
    fine.add("web", counts(10, read={"bad_json": 5}))
    fine.require()


def test_a_stage_has_its_own_bound() -> None:
    judged = bounds(language=0.25)
    judged.add("web", counts(99, language={"not_wanted": 90}))
    with pytest.raises(
        DataError,
        match=r"stage language dropped 91 of 100 pages, more than max_stage_drop_rates.language=",
    ):
        judged.add("web", counts(1, language={"not_wanted": 1}))


def test_files_left_out_count_by_their_bytes() -> None:
    judged = bounds()
    judged.left_out("web", 400, "torn")
    with pytest.raises(DataError, match=r"files of 501 of its 1000 bytes .* the last one: gone"):
        judged.left_out("web", 101, "gone")


def test_a_bound_for_a_stage_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = write_config(tmp_path / "j.yaml", folder=tmp_path, output_dir=tmp_path / "out")
    with pytest.raises(ConfigError, match=r"no stage is called \['linguage'\]; this config has"):
        load_config(DataConfig, path, ["max_stage_drop_rates={linguage: 0.5}"])


def test_a_job_that_drops_too_much_ends_before_all_is_read(tmp_path: Path) -> None:
    write_input(tmp_path / "in", num_files=6)
    path = write_config(tmp_path / "j.yaml", folder=tmp_path / "in", output_dir=tmp_path / "out")
    overrides = ["max_stage_drop_rates={language: 0.5}", "drop_rates_after_pages=50"]
    with pytest.raises(DataError, match=r"source 'web': stage language dropped \d+ of 60 pages"):
        run_job(load_config(DataConfig, path, [*overrides, "filters.language.languages=[de]"]))
    assert len(list((tmp_path / "out" / "ledger" / "map").iterdir())) == 2
