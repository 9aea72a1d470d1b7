"""What all runners share: bounds, back-pressure, retries, copies of slow tasks, failures."""

import errno
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import ConfigError, DataError, LaunchError
from data_pipeline.runner import (
    LocalRunnerConfig,
    RetryConfig,
    StageRequest,
    StageWork,
    TaskFailed,
    TaskResult,
)
from data_pipeline.runner.local import LocalRunner
from data_pipeline.runner.stragglers import StragglerConfig, StragglerWatch

QUICK = RetryConfig(max_attempts=2, backoff_seconds=0.0)
EAGER = StragglerConfig(min_seconds=0.2, min_finished=1, times_median=2.0)


@pytest.fixture
def runner() -> Iterator[LocalRunner]:
    found = LocalRunnerConfig(num_workers=2, retry=QUICK).build()
    yield found
    found.close()


def touch(path: str) -> int:
    Path(path).touch()
    return 1


def note(path: str) -> tuple[float, float]:
    """When it began and ended."""
    began = time.monotonic()
    time.sleep(0.2)
    Path(path).touch()
    return began, time.monotonic()


def overlap(spans: list[tuple[float, float]]) -> int:
    """Most tasks that ran at one moment."""
    return max(sum(a <= moment < b for a, b in spans) for moment, _ in spans)


def slow_the_first_time(folder: str) -> str:
    """Hangs at its first attempt; `quick` ones do not."""
    mark = Path(folder) / "tried"
    if Path(folder).name == "slow" and not mark.exists():
        mark.touch()
        time.sleep(60)
    return Path(folder).name


def torn(number: int) -> int:
    if number == 1:
        raise DataError("one is torn; mend it")
    return number


def unreachable(number: int) -> int:
    if number == 1:
        raise ConnectionResetError(errno.ECONNRESET, "reset")
    return number


def no_space(number: int) -> int:
    raise OSError(errno.ENOSPC, f"No space left on device {number}")


def wrong_setting(number: int) -> int:
    raise ConfigError(f"no such model: {number}")


class NotPicklable(Exception):  # noqa: N818
    def __init__(self, a: str, b: str) -> None:
        super().__init__(a + b)


def raises_what_cannot_be_sent(number: int) -> int:
    raise NotPicklable("a", str(number))


def test_a_slow_consumer_stops_the_supply(runner: LocalRunner, tmp_path: Path) -> None:
    """Nothing is handed out while no one asks for the next result."""
    paths = [str(tmp_path / f"{number:02d}") for number in range(12)]
    results = runner.run(StageWork("s", touch, paths))
    for taken in range(1, 5):
        next(results)
        time.sleep(0.3)  # the consumer's slow work: the workers would have done all by now
        assert len(list(tmp_path.iterdir())) <= taken + 2
    assert len(list(results)) == 8


def test_tasks_that_are_too_large_together_run_one_by_one(tmp_path: Path) -> None:
    arguments = [str(tmp_path / str(number)) for number in range(4)]
    for limit, at_once in ((10, 1), (100, 2)):
        runner = LocalRunnerConfig(num_workers=2, max_in_flight_bytes=limit).build()
        work = StageWork("s", note, arguments, sizes=[20, 20, 20, 20])
        spans = [item.value for item in runner.run(work) if isinstance(item, TaskResult)]
        runner.close()
        assert len(spans) == 4
        assert overlap(spans) == at_once


def test_a_stage_asks_for_memory_and_runs_only_what_fits(tmp_path: Path) -> None:
    arguments = [str(tmp_path / str(number)) for number in range(4)]
    runner = LocalRunnerConfig(
        num_workers=2, memory_bytes=3000, stages={"big": StageRequest(memory_bytes=2000)}
    ).build()
    spans = [
        i.value for i in runner.run(StageWork("big", note, arguments)) if isinstance(i, TaskResult)
    ]
    runner.close()
    assert overlap(spans) == 1


def test_a_task_that_runs_too_long_is_started_again_and_the_first_to_end_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = [tmp_path / name for name in ("quick", "slow", "other")]
    for folder in folders:
        folder.mkdir()
    runner = LocalRunnerConfig(num_workers=2, stragglers=EAGER).build()
    began = time.monotonic()
    results = list(runner.run(StageWork("s", slow_the_first_time, [str(f) for f in folders])))
    runner.close()
    assert time.monotonic() - began < 50
    found = {item.value: item for item in results if isinstance(item, TaskResult)}
    assert set(found) == {"quick", "slow", "other"}
    assert found["slow"].num_copies == 1
    assert found["quick"].num_copies == 0
    assert "starting a copy of it" in caplog.text


def test_the_limit_of_a_task_is_a_multiple_of_the_median_by_its_bytes() -> None:
    config = StragglerConfig(min_seconds=1.0, min_finished=3, times_median=3.0)
    watch = StragglerWatch(config, [100, 100, 100, 1000].__getitem__)
    watch.finished(0, 1.0)
    watch.finished(1, 2.0)
    assert watch.limit_seconds(3) is None
    watch.finished(2, 50.0)
    assert watch.limit_seconds(3) == pytest.approx(3 * 2.0 * 10)
    assert watch.limit_seconds(0) == pytest.approx(6.0)
    off = StragglerWatch(StragglerConfig(enabled=False), lambda _: 1)
    off.finished(0, 1.0)
    assert off.limit_seconds(0) is None


def test_where_tasks_may_fail_the_others_go_on(runner: LocalRunner) -> None:
    results = list(runner.run(StageWork("s", torn, [0, 1, 2], may_fail=True)))
    failed = [item for item in results if isinstance(item, TaskFailed)]
    assert [item.index for item in failed] == [1]
    assert "one is torn" in str(failed[0].error)
    assert failed[0].num_attempts == 1
    assert {item.value for item in results if isinstance(item, TaskResult)} == {0, 2}


def test_where_tasks_may_fail_trouble_is_tried_again_before(runner: LocalRunner) -> None:
    results = list(runner.run(StageWork("s", unreachable, [0, 1, 2], may_fail=True)))
    failed = [item for item in results if isinstance(item, TaskFailed)]
    assert [(item.index, item.num_attempts) for item in failed] == [(1, 2)]
    assert isinstance(failed[0].error, LaunchError)


def test_a_full_disk_or_a_wrong_setting_ends_every_stage(runner: LocalRunner) -> None:
    with pytest.raises(OSError, match="No space left"):
        list(runner.run(StageWork("s", no_space, [0, 1], may_fail=True)))
    with pytest.raises(ConfigError, match="no such model"):
        list(runner.run(StageWork("s", wrong_setting, [0, 1], may_fail=True)))


def test_an_error_that_cannot_be_pickled_arrives_with_its_text(runner: LocalRunner) -> None:
    with pytest.raises(RuntimeError, match="NotPicklable: a1"):
        list(runner.run(StageWork("s", raises_what_cannot_be_sent, [1])))


def test_what_a_task_took_comes_with_its_result(runner: LocalRunner, tmp_path: Path) -> None:
    (item,) = runner.run(StageWork("s", note, [str(tmp_path / "a")]))
    assert isinstance(item, TaskResult)
    assert 0.15 < item.seconds < 30
    assert item.peak_rss_bytes > 10_000_000
    assert item.worker


def test_the_same_processes_serve_all_stages(runner: LocalRunner, tmp_path: Path) -> None:
    workers = set()
    for stage in ("one", "two", "three"):
        work = StageWork(stage, note, [str(tmp_path / f"{stage}{i}") for i in range(3)])
        workers |= {item.worker for item in runner.run(work) if isinstance(item, TaskResult)}
    assert len(workers) <= 2
