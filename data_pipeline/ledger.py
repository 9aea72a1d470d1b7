"""Which units of work are done, so that a job that was killed does only what is missing.

A unit is named by hash(stage, inputs with their version, the config that matters, the ids of the
units before it). Its record is committed behind its outputs: a record whose outputs are all there
means done, anything else means to do. What a killed task left has no record, is never read, and is
swept away by the next run.
"""

import fcntl
import json
import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from contracts import storage
from contracts.config import Json, fingerprint
from contracts.errors import DataError

CODE_SCHEMA = 10
"""Part of each unit's id: raised when the code makes other outputs of the same inputs."""

REMOTE_THREADS = 32
"""Records of an object store that are read at once."""


def unit_id(stage: str, *parts: Json) -> str:
    """The name of a unit of work: 24 hex digits over everything its outputs depend on."""
    return fingerprint([CODE_SCHEMA, stage, *parts])[:24]


@dataclass(frozen=True)
class Output:
    """A file that a unit wrote."""

    path: str
    """Relative to the job's output folder."""
    size_bytes: int


@dataclass(frozen=True)
class Done:
    """The record of a finished unit."""

    stage: str
    unit_id: str
    outputs: tuple[Output, ...]
    result: Json
    """What the unit says of its outputs: counts, never texts."""


class Ledger:
    """The records of one output folder: `ledger/<stage>/<unit_id>.json`."""

    def __init__(self, output_dir: str) -> None:
        self.output_dir = output_dir

    def url(self, path: str) -> str:
        """A path of this job's output folder as a URL."""
        return storage.join(self.output_dir, path)

    def _record_url(self, stage: str, unit: str) -> str:
        return self.url(f"ledger/{stage}/{unit}.json")

    def find(self, stage: str, unit: str) -> Done | None:
        """The record of a unit, or None when it is still to do or an output is gone or cut.

        Raises:
            DataError: the record is not one of ours.
        """
        url = self._record_url(stage, unit)
        if not storage.exists(url):
            return None
        done = _parsed(storage.read_bytes(url), url)
        return done if all(self._is_whole(output) for output in done.outputs) else None

    def find_all(self, stage: str, units: Collection[str]) -> dict[str, Done]:
        """The records of those units that are done; looks only at records that are there.

        Raises:
            DataError: a record is not one of ours.
        """
        there = self._units_there(stage)
        wanted = [unit for unit in units if unit in there]
        if storage.is_local(self.output_dir):
            found = [self.find(stage, unit) for unit in wanted]
        else:
            with ThreadPoolExecutor(REMOTE_THREADS) as threads:  # each is a few round trips
                found = list(threads.map(partial(self.find, stage), wanted))
        return {done.unit_id: done for done in found if done is not None}

    def _units_there(self, stage: str) -> set[str]:
        """Units that have a record, by one listing."""
        url = self.url(f"ledger/{stage}")
        if not storage.is_local(url):
            names = storage.list_files(f"{url}/*.json")
        elif storage.local_path(url).is_dir():
            names = [path.name for path in storage.local_path(url).iterdir()]
        else:
            names = []
        return {name.rpartition("/")[2].removesuffix(".json") for name in names}

    def _is_whole(self, output: Output) -> bool:
        url = self.url(output.path)
        return storage.exists(url) and storage.file_info(url).size_bytes == output.size_bytes

    def commit(self, stage: str, unit: str, *, outputs: Sequence[str], result: Json) -> Done:
        """Record a unit as done; its outputs stand already. Of several attempts the first counts.

        A later attempt has written the same bytes under the same names; its record is not kept.

        Args:
            stage: the unit's stage.
            unit: its id.
            outputs: paths relative to the output folder.
            result: what the unit says of them.

        Returns:
            The record that stands: this one, or an earlier attempt's.
        """
        sizes = tuple(
            Output(path, storage.file_info(self.url(path)).size_bytes) for path in outputs
        )
        done = Done(stage, unit, sizes, result)
        text = json.dumps(asdict(done), indent=1, ensure_ascii=False)
        url = self._record_url(stage, unit)
        if storage.create(url, text.encode()):
            return done
        earlier = self.find(stage, unit)
        if earlier is not None:
            return earlier
        storage.write_bytes(url, text.encode())  # a record whose outputs were gone or cut
        return done

    def forget(self, stage: str, *, keep: Collection[str]) -> int:
        """Remove a stage's records and the work files of all units but those to keep.

        For units of an earlier config; local folders only, an object store keeps them.

        Returns:
            Number of records removed.
        """
        if not storage.is_local(self.output_dir):
            return 0
        root = storage.local_path(self.output_dir)
        stale = [path for path in (root / "ledger" / stage).glob("*.json") if path.stem not in keep]
        for path in stale:
            path.unlink()
        for path in (root / "work" / stage).glob("*"):
            if path.name.partition(".")[0] not in keep:
                path.unlink()
        return len(stale)


def _parsed(data: bytes, url: str) -> Done:
    try:
        tree = json.loads(data)
        outputs = tuple(Output(**output) for output in tree["outputs"])
        return Done(tree["stage"], tree["unit_id"], outputs, tree["result"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{url} is not a ledger record: {error}; remove the file, its unit runs again"
        ) from error


def sweep_leftovers(output_dir: str) -> int:
    """Remove what killed tasks left half written; number of files.

    Only under the job's lock. Object stores show no half-written files.
    """
    if not storage.is_local(output_dir):
        return 0
    root = storage.local_path(output_dir)
    leftovers = [*root.rglob(".*.partial"), *(root / "work" / "progress").glob("*.json")]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


@contextmanager
def job_lock(output_dir: str) -> Iterator[None]:
    """Hold an output folder: two jobs that write one would sweep each other's files.

    The system lets go of it when the process ends, however it ends. Only for local folders.

    Raises:
        DataError: another job holds it, or the folder cannot be written.
    """
    if not storage.is_local(output_dir):
        yield
        return
    folder = storage.local_path(output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise DataError(
            f"output_dir {folder} cannot be written: {error.strerror}; "
            "choose another output_dir or mend its permissions"
        ) from error
    try:
        _take(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        raise DataError(
            f"output_dir {folder} is in use by another data job (process {holder}); "
            "wait for it, end it, or choose another output_dir"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def remove_other_files(folders: Sequence[str], keep: Sequence[str], output_dir: str) -> int:
    """Remove what an earlier config left in folders of an output folder; number of files.

    Args:
        folders: relative to the output folder; looked into recursively.
        keep: paths that stay, relative to the output folder.
        output_dir: a local folder or one in an object store.
    """
    if not storage.is_local(output_dir):
        kept_urls = [storage.join(output_dir, path) for path in keep]
        places = [storage.join(output_dir, folder) for folder in folders]
        return sum(storage.remove_all_but(place, kept_urls) for place in places)
    root = storage.local_path(output_dir)
    kept = {root / path for path in keep}
    removed = 0
    for folder in folders:
        for path in (root / folder).rglob("*"):
            if path.is_file() and path not in kept:
                path.unlink()
                removed += 1
    return removed
