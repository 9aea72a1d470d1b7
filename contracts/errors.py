"""The errors a user can meet, one class for each kind of cause.

Each message says what failed, the value, the limit or expectation, where, and what to do.
"""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_CONFIG = 2
EXIT_QUARANTINED = 3
"""Done, but with files that could not be read: quarantine.json of the output folder names them."""
EXIT_STOPPED = 75  # EX_TEMPFAIL of sysexits.h: stopped cleanly, resume me


class HeadwaterError(Exception):
    """Any failure whose message is meant for the user; shown without a traceback."""


class ConfigError(HeadwaterError, ValueError):
    """What the user gave is wrong: a field, a file name, a combination."""


class DataError(HeadwaterError):
    """What a file held is wrong: torn, of another format, or of another tokenizer."""


class CheckpointError(HeadwaterError):
    """A checkpoint is missing, torn, or does not fit this run."""


class TrainingDiverged(HeadwaterError):  # noqa: N818 - a state of the run, not a fault of the program
    """The loss or the gradient norm is no longer finite."""


class LaunchError(HeadwaterError):
    """Another program could not be started, or ended badly."""
