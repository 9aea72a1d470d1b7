"""Which errors pass when a task is tried again, and how often and how late it is."""

import errno

from pydantic import NonNegativeFloat, PositiveInt

from contracts.config import Config
from contracts.errors import ConfigError
from data_pipeline.runner.protocol import Failure

OUT_OF_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Errors of the machine that every task would meet: they end the job."""
LASTING_ERRNOS = OUT_OF_SPACE | {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR}
"""Errors of the system that another try does not mend."""
CLIENT_LIBRARIES = frozenset({"aiohttp", "aiobotocore", "botocore", "gcsfs"})
"""Clients of object stores whose errors are not all OSErrors; named, so that none is imported."""


class RetryConfig(Config):
    """How often broken infrastructure is tried again."""

    max_attempts: PositiveInt = 3
    """Tries of one task before it counts as failed; a node that is lost is none of them."""
    max_lost_nodes: PositiveInt = 20
    """Times that a task may lose the node under it before it counts as failed."""
    backoff_seconds: NonNegativeFloat = 2.0
    """Pause before the second try; it doubles with each further one. Other tasks go on."""

    def pause(self, num_failed: int) -> float:
        """Seconds before the next try, after so many failed ones."""
        return float(self.backoff_seconds * 2 ** max(0, num_failed - 1))


def is_transient(error: BaseException) -> bool:
    """Whether the same task may succeed when it is tried again: lost workers, network, storage."""
    if isinstance(error, Failure | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno not in LASTING_ERRNOS
    return any(cls.__module__.partition(".")[0] in CLIENT_LIBRARIES for cls in type(error).__mro__)


def ends_the_job(error: BaseException) -> bool:
    """Whether every other task would meet the same: a full disk, a bad config, not a bad file."""
    if isinstance(error, OSError):
        return error.errno in OUT_OF_SPACE
    return isinstance(error, ConfigError)
