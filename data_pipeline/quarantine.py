"""The list of files that a job could not read: named in `quarantine.json`, never a reason to end.

A file is left out when its task failed at every attempt, or when reading raised before the first
record: it has no ledger record, and the next run of the same command tries it again. A file whose
reading raised later is cut short: what came before counts, the rest is one drop `unreadable_file`,
and it is read again only when it changes, since it then is another unit.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from contracts import storage
from contracts.errors import DataError

QUARANTINE_NAME = "quarantine.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Quarantined:
    """One unit that gave nothing, or not all."""

    kind: Literal["left_out", "cut_short"]
    stage: str
    unit_id: str
    source: str
    url: str
    start: int
    """Offset of the unit in its file."""
    error: str
    attempts: int


def write_quarantine(units: Sequence[Quarantined], output_dir: str) -> None:
    """The list of this run, in the order of the plan; an empty one too."""
    tree = {"schema_version": SCHEMA_VERSION, "units": [asdict(unit) for unit in units]}
    text = json.dumps(tree, indent=1, ensure_ascii=False) + "\n"
    storage.write_bytes(storage.join(output_dir, QUARANTINE_NAME), text.encode())


def read_quarantine(output_dir: str) -> tuple[Quarantined, ...]:
    """The list of the last run; empty where there is none.

    Raises:
        DataError: the file is not one of ours.
    """
    url = storage.join(output_dir, QUARANTINE_NAME)
    if not storage.exists(url):
        return ()
    try:
        tree = json.loads(storage.read_bytes(url))
        if tree["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version {tree['schema_version']}, not {SCHEMA_VERSION}")
        return tuple(Quarantined(**unit) for unit in tree["units"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{url} is not a quarantine list: {error}; remove the file and run again"
        ) from error


def any_left_out(output_dir: str) -> bool:
    """Whether the last run left files out, so that the job is not finished."""
    return any(unit.kind == "left_out" for unit in read_quarantine(output_dir))
