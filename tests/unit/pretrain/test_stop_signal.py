"""The stop signal on one rank; several ranks and launchers are in tests/fault."""

import os
import signal

import pytest

from pretrain.distributed import World
from pretrain.stop_signal import StopSignal


def test_handlers_come_back_where_nothing_happened() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal(World.single()) as stop:
        assert not stop.requested()
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_repeated_signals_stop_once_and_do_no_harm_afterwards(number: signal.Signals) -> None:
    before = {one: signal.getsignal(one) for one in StopSignal.SIGNALS}
    try:
        with StopSignal(World.single()) as stop:
            for _ in range(3):
                os.kill(os.getpid(), number)
            assert stop.requested()
            assert stop.received == number
        os.kill(os.getpid(), number)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
