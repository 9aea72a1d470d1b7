"""The shared budget: spacing, bursts and pauses, counted over processes."""

import multiprocessing
import os
from pathlib import Path

import pytest

from contracts.errors import ConfigError
from contracts.request_budget import RequestBudget


def test_a_burst_passes_and_the_rest_is_spaced(tmp_path: Path) -> None:
    budget = RequestBudget("host.example", 10, folder=tmp_path)
    waits = [budget.wait_seconds() for _ in range(30)]
    assert waits[:9] == [0.0] * 9
    assert 1.5 < waits[-1] < 2.0
    assert waits[10:] == sorted(waits[10:])


def test_a_pause_holds_for_all(tmp_path: Path) -> None:
    RequestBudget("host.example", None, folder=tmp_path).pause(50)
    assert 49 < RequestBudget("host.example", 10, folder=tmp_path).wait_seconds() <= 50
    assert RequestBudget("other.example", 10, folder=tmp_path).wait_seconds() == 0


def take(folder: Path, num: int) -> list[float]:
    budget = RequestBudget("host.example", 10, folder=folder)
    return [budget.wait_seconds() for _ in range(num)]


def test_processes_share_it(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        of_both = pool.starmap(take, [(tmp_path, 40), (tmp_path, 40)])
    waits = [wait for waits_of_one in of_both for wait in waits_of_one]
    assert len({round(wait, 4) for wait in waits if wait}) > 30
    assert max(waits) > 4  # 80 requests at 10 a second, less the burst and the time that passes


def test_a_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    with pytest.raises(ConfigError, match="belongs to another user; remove it or set TMPDIR"):
        RequestBudget("host.example", 10, folder=tmp_path)
