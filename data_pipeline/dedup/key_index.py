"""`keys/`: the sorted keys of what a job kept, so that later jobs need not sort them again.

`keys/index.json` names the signature files in the order that the keys count them, how the values
were drawn, which keys there are, and the files of runs: `keys/<unit>.<ids|texts|bands>.runs`.
"""

import json
from dataclasses import asdict, dataclass

from contracts import storage
from contracts.errors import DataError
from data_pipeline.dedup.config import DedupConfig
from data_pipeline.dedup.rows import ROW_BITS
from data_pipeline.dedup.runs import RunSource
from data_pipeline.dedup.signature_store import parameters

FOLDER = "keys"
INDEX_PATH = f"{FOLDER}/index.json"
IDS, TEXTS, BANDS = "ids", "texts", "bands"
KINDS = (IDS, TEXTS, BANDS)
SCHEMA_VERSION = 1
_SHIFTS = {IDS: (0, 0, 0, 1, 0, 2), TEXTS: (0, 0, 1, 0, 2), BANDS: (0, 2)}
"""Columns that change where a dataset becomes one of several: 1 its dataset, 2 its files."""


@dataclass(frozen=True)
class KeyIndex:
    """What `keys/` of a dataset holds."""

    drawn: str
    """`parameters` of the signatures."""
    has_urls: bool
    has_digests: bool
    signatures: tuple[tuple[str, int], ...]
    """Signature files in order, relative to the output folder, and their documents."""
    units: tuple[str, ...]
    """Names of the files of runs."""

    def suits(self, config: DedupConfig) -> bool:
        """Whether the keys are all that a job of this config compares."""
        return (
            self.drawn == parameters(config)
            and (self.has_urls or not config.url)
            and (self.has_digests or not config.exact)
        )

    def sources(self, where: str, kind: str, *, dataset: int, first_file: int) -> list[RunSource]:
        """The runs of one kind, as dataset number `dataset` of several."""
        by = {0: 0, 1: dataset << 56, 2: first_file << ROW_BITS}
        shift = tuple(by[what] for what in _SHIFTS[kind])
        return [RunSource(storage.join(where, run_path(unit, kind)), shift) for unit in self.units]


def run_path(unit: str, kind: str) -> str:
    """A file of runs, relative to the output folder."""
    return f"{FOLDER}/{unit}.{kind}.runs"


def write_key_index(index: KeyIndex, output_dir: str) -> None:
    """Commit the index of keys whose files stand."""
    tree = {"schema_version": SCHEMA_VERSION, **asdict(index)}
    storage.write_bytes(storage.join(output_dir, INDEX_PATH), json.dumps(tree, indent=1).encode())


def read_key_index(output_dir: str) -> KeyIndex | None:
    """The index of a dataset's keys; None where it keeps none, or of another version.

    Raises:
        DataError: the file is not an index.
    """
    url = storage.join(output_dir, INDEX_PATH)
    if not storage.exists(url):
        return None
    try:
        tree = json.loads(storage.read_bytes(url))
        if tree.pop("schema_version") != SCHEMA_VERSION:
            return None
        return KeyIndex(
            drawn=tree["drawn"],
            has_urls=tree["has_urls"],
            has_digests=tree["has_digests"],
            signatures=tuple((str(path), int(count)) for path, count in tree["signatures"]),
            units=tuple(tree["units"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{url} is not an index of keys: {error}; remove the folder {FOLDER} there, later jobs "
            "then sort the signatures themselves"
        ) from error
