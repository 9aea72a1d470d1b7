"""What all tests share: where the real test data is, and a skip that says so."""

import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pages and books; tests that need it skip, saying so, where it is
    absent."""
    path = Path(os.environ.get("HEADWATER_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(
            f"no real test data at {path}; set HEADWATER_TEST_DATA to the folder that holds it"
        )
    return path


@pytest.fixture(autouse=True, scope="session")
def interrupts() -> None:
    """Ctrl-C acts on what tests start, also where a shell started the suite in the background.

    Such a shell has it ignored, and ignored signals are inherited.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
