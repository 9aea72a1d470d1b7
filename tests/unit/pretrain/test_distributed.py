"""The world as a launcher describes it, and the stop signal."""

import pytest
import torch

from contracts.errors import ConfigError
from pretrain.distributed import World
from tests.ranks import LAUNCHER_VARIABLES, run_ranks

LAUNCHED = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHER_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def set_environment(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_without_a_launcher_there_is_one_process_and_no_group() -> None:
    world = World.from_environment()
    assert (world.rank, world.dp_rank, world.world_size, world.backend) == (0, 0, 1, "none")
    with world:
        assert world.sum(3) == 3
        assert world.gather("a") == ["a"]
        assert world.broadcast("b") == "b"
        assert torch.equal(world.sum_tensor(torch.ones(2)), torch.ones(2))
        world.barrier()


def test_ranks_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, LAUNCHED)
    if torch.cuda.is_available() and torch.cuda.device_count() < 2:
        pytest.skip("a second GPU is needed for local rank 1")
    world = World.from_environment(local_rank=1)
    assert (world.rank, world.local_rank, world.world_size) == (1, 1, 2)
    assert not world.is_main


def test_disagreeing_local_rank_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, LAUNCHED)
    with pytest.raises(ConfigError, match=r"--local_rank=0 disagrees with LOCAL_RANK=1"):
        World.from_environment(local_rank=0)


def test_local_rank_without_a_launcher_is_refused() -> None:
    with pytest.raises(ConfigError, match="environment lacks RANK, LOCAL_RANK, WORLD_SIZE"):
        World.from_environment(local_rank=0)


def test_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, {"RANK": "0", "LOCAL_RANK": "0"})
    with pytest.raises(ConfigError, match="environment lacks WORLD_SIZE though RANK, LOCAL_RANK"):
        World.from_environment()


def test_word_for_a_rank_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, LAUNCHED | {"RANK": "one"})
    with pytest.raises(ConfigError, match="RANK='one' of the environment is not a whole number"):
        World.from_environment()


def test_rank_beyond_the_world_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, LAUNCHED | {"RANK": "2"})
    with pytest.raises(ConfigError, match="RANK=2 is not within WORLD_SIZE=2"):
        World.from_environment()


def test_two_ranks_agree() -> None:
    script = """
import os, signal, torch
from pretrain.distributed import World
from pretrain.stop_signal import StopSignal
with World.from_environment() as world, StopSignal(world) as stop:
    assert world.sum(world.rank + 1) == 3
    assert world.gather(world.rank) == [0, 1]
    assert world.broadcast(f"from {world.rank}") == "from 0"
    assert world.sum_tensor(torch.ones(2)).tolist() == [2, 2]
    assert not stop.requested()
    if world.rank == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.requested()
    print("agreed")
"""
    assert run_ranks(["-c", script], 2).count("agreed") == 2
