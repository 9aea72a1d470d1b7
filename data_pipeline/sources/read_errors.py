"""Which errors of reading are the file's own damage, and which an outage that may pass.

Damage is a drop: the job goes on and the drop is kept. An outage (a reset connection, a time-out,
a full disk) goes up to the runner, which tries the unit again: no page is lost by it.
"""

import errno
import gzip
import zlib

import zstandard

BROKEN = (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError)
"""What a torn or damaged compressed stream raises while it is read."""
SAID_OF_CONTENT = frozenset({None, errno.EINVAL})
"""`errno` of the OSError by which a library refuses content; EINVAL: a torn file's bad offset."""


def raise_outage(error: BaseException) -> None:
    """Go on where an error is the file's own damage.

    Raises:
        OSError: where it came from the system or the network, if only behind the error that a
            library made of it (zipfile calls every failed read "not a zip file").
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionError | TimeoutError):
            raise cause
        if isinstance(cause, OSError) and cause.errno not in SAID_OF_CONTENT:
            raise cause
        cause = cause.__context__
