import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from contracts.errors import DataError, LaunchError
from data_pipeline.runner import LocalRunnerConfig, RetryConfig, Runner, StageWork, TaskResult
from data_pipeline.runner.ray import _run_in_folder
from data_pipeline.runner.retry import is_transient

ArgumentT = TypeVar("ArgumentT")
QUICK = RetryConfig(max_attempts=3, backoff_seconds=0.0)


def square(number: int) -> int:
    return number * number


def fail_on_two(number: int) -> int:
    if number == 2:
        raise DataError("two is torn; mend it")
    return number


def flaky(folder: str) -> int:
    """Fails twice with a network error, then succeeds."""
    tries = len(list(Path(folder).iterdir()))
    (Path(folder) / str(tries)).touch()
    if tries < 2:
        raise ConnectionResetError(errno.ECONNRESET, "reset")
    return tries


def dies_once(folder: str) -> int:
    mark = Path(folder) / "died"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


def no_space(path: str) -> int:
    raise OSError(errno.ENOSPC, "No space left on device", path)


def results(
    runner: Runner, function: Callable[[ArgumentT], int], arguments: list[ArgumentT]
) -> list[int]:
    try:
        found = list(runner.run(StageWork("stage", function, arguments)))
    finally:
        runner.close()
    assert all(isinstance(item, TaskResult) for item in found)
    assert sorted(r.index for r in found) == list(range(len(arguments)))
    done = [item for item in found if isinstance(item, TaskResult)]
    return [r.value for r in sorted(done, key=lambda r: r.index)]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_each_task_gives_its_result(num_workers: int) -> None:
    runner = LocalRunnerConfig(num_workers=num_workers).build()
    assert results(runner, square, list(range(6))) == [0, 1, 4, 9, 16, 25]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_an_error_of_the_data_ends_the_stage(num_workers: int) -> None:
    runner = LocalRunnerConfig(num_workers=num_workers).build()
    with pytest.raises(DataError, match="two is torn"):
        results(runner, fail_on_two, [1, 2, 3])


@pytest.mark.parametrize("num_workers", [1, 2])
def test_network_trouble_is_tried_again(tmp_path: Path, num_workers: int) -> None:
    runner = LocalRunnerConfig(num_workers=num_workers, retry=QUICK).build()
    assert results(runner, flaky, [str(tmp_path)]) == [2]


def test_the_last_try_fails_loudly(tmp_path: Path) -> None:
    retry = RetryConfig(max_attempts=2, backoff_seconds=0.0)
    runner = LocalRunnerConfig(retry=retry).build()
    with pytest.raises(LaunchError, match=r"failed 2 times.*max_attempts.*ConnectionResetError"):
        results(runner, flaky, [str(tmp_path)])


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    runner = LocalRunnerConfig(num_workers=2, retry=QUICK).build()
    assert results(runner, dies_once, [str(tmp_path)] * 3) == [1, 1, 1]


def test_a_node_without_the_folder_of_the_job_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"nowhere, where the job was started.*output_dir and files"
    ):
        _run_in_folder(str(tmp_path / "nowhere"), square, 2)


def test_a_full_disk_is_not_tried_again() -> None:
    runner = LocalRunnerConfig(retry=RetryConfig(backoff_seconds=60.0)).build()
    started = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        results(runner, no_space, ["/full"])
    assert time.monotonic() - started < 10


def test_which_errors_are_transient() -> None:
    assert is_transient(ConnectionResetError(errno.ECONNRESET, "reset"))
    assert is_transient(TimeoutError())
    assert not is_transient(PermissionError(errno.EACCES, "no"))
    assert not is_transient(DataError("torn"))
    assert not is_transient(ZeroDivisionError())
