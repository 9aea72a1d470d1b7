"""The Ray runner: results, broken workers, errors, and a cluster that is not there."""

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from contracts.errors import DataError, LaunchError
from data_pipeline.runner import RayRunnerConfig, RetryConfig, Runner, StageWork, TaskResult
from data_pipeline.runner.ray import RayRunner
from tests.data_job import run_verb, write_config, write_input

ArgumentT = TypeVar("ArgumentT")


def square(number: int) -> int:
    return number * number


def dies_once(folder: str) -> int:
    mark = Path(folder) / "died"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


def flaky(folder: str) -> int:
    """Fails twice with a network error, then succeeds."""
    tries = len(list(Path(folder).iterdir()))
    (Path(folder) / str(tries)).touch()
    if tries < 2:
        raise ConnectionResetError(errno.ECONNRESET, "reset")
    return tries


def unreachable(number: int) -> int:
    raise ConnectionResetError(errno.ECONNRESET, f"reset {number}")


def torn(number: int) -> int:
    raise DataError(f"{number} is torn; mend it")


def values(runner: Runner, work: StageWork[ArgumentT, int]) -> list[int]:
    """What the tasks gave, in the order of the tasks."""
    found = [item for item in runner.run(work) if isinstance(item, TaskResult)]
    return [item.value for item in sorted(found, key=lambda item: item.index)]


@pytest.fixture(scope="module")
def runner() -> Iterator[RayRunner]:
    retry = RetryConfig(max_attempts=3, backoff_seconds=0.0)
    found = RayRunnerConfig(num_workers=2, max_in_flight=3, retry=retry).build()
    yield found
    found.close()


def test_each_task_gives_its_result_and_few_are_in_flight(runner: RayRunner) -> None:
    found = dict(enumerate(values(runner, StageWork("s", square, list(range(10))))))
    assert found == {number: number * number for number in range(10)}


def test_a_killed_worker_is_replaced(runner: RayRunner, tmp_path: Path) -> None:
    assert values(runner, StageWork("s", dies_once, [str(tmp_path)])) == [1]


def test_network_trouble_is_tried_again_and_at_last_fails_loudly(
    runner: RayRunner, tmp_path: Path
) -> None:
    assert values(runner, StageWork("s", flaky, [str(tmp_path)])) == [2]
    with pytest.raises(LaunchError, match=r"failed 3 times, the limit .*ConnectionResetError"):
        list(runner.run(StageWork("s", unreachable, [1])))


def test_an_error_of_the_data_arrives_as_it_was_raised(runner: RayRunner) -> None:
    with pytest.raises(DataError, match="7 is torn; mend it"):
        list(runner.run(StageWork("s", torn, [7])))


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_input(tmp_path / "in", num_files=1)
    config = write_config(
        tmp_path / "job.yaml", folder=tmp_path / "in", output_dir=tmp_path / "out"
    )
    done = run_verb("run", config, "runner={kind: ray, address: nowhere}")
    assert done.returncode == 1
    assert "runner.address=nowhere: Ray cannot be joined or started" in done.stderr
    assert "Traceback" not in done.stderr
