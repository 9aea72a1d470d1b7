"""Extractors that fail in the ways parsers do, at pages that say so; for tests of the limits."""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from typing import Literal

from contracts.config import Config


class BadExtractorConfig(Config):
    """The page's text as it is; but the word behind `DO:` in it is done first."""

    kind: Literal["bad"] = "bad"
    max_page_bytes: int = 1 << 20
    max_depth: int = 100
    first_deed_file: str = ""
    """Where it is remembered that `DO:once` was done."""

    def main_text(self, page: str) -> str:
        deed = page.partition("DO:")[2].partition(".")[0]
        if deed == "once":
            if not os.path.exists(self.first_deed_file):  # noqa: PTH110
                os.close(os.open(self.first_deed_file, os.O_CREAT))
                os.kill(os.getpid(), signal.SIGKILL)
        elif deed:
            DEEDS[deed]()
        return page


def _spin() -> None:
    while True:
        pass


def _swallow_memory() -> None:
    held = [bytearray(1 << 20)]
    while True:
        held.append(bytearray(1 << 20))


DEEDS: dict[str, Callable[[], object]] = {
    "spin": _spin,
    "sleep": lambda: time.sleep(3600),
    "memory": _swallow_memory,
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "terminate": lambda: os.kill(os.getpid(), signal.SIGTERM),
}
