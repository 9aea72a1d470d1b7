"""Compiled helpers: a small C library, built in the set-up where there is a compiler.

Each helper has a twin in Python that gives the same output; `library()` is None where the
library was not built, and callers then take the twin. C holds no state and no Python objects:
arrays go in, arrays come out, and ctypes releases the GIL for the call.
"""

import ctypes
import logging
from functools import cache
from pathlib import Path

ABI = 2
"""What `headwater_abi` of a library that fits this code returns."""

logger = logging.getLogger(__name__)


@cache
def library() -> ctypes.CDLL | None:
    """The compiled library; None where there is none that fits (said once, as a warning)."""
    candidates = sorted(Path(__file__).parent.glob("_native*.so"))
    for path in candidates:
        try:
            found = ctypes.CDLL(str(path))
            found.headwater_abi.restype = ctypes.c_int32
            abi = found.headwater_abi()
        except (OSError, AttributeError) as error:
            logger.warning(
                "native library %s cannot be loaded (%s): slower Python runs", path, error
            )
            continue
        if abi == ABI:
            return found
        logger.warning(
            "native library %s has abi %d, this code needs %d: slower Python runs; build it again "
            "with `pip install -e .`",
            path,
            abi,
            ABI,
        )
    if not candidates:
        logger.warning(
            "native library is not built: slower Python runs, with the same output; install a C "
            "compiler and run `pip install -e .`"
        )
    return None
