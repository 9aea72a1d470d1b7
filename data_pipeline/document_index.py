"""What a document store consists of: `documents/index.json`, written when all its files stand.

It is what `from: documents` starts with: the files in order, the drops beside them, and the counts
of the job that made them.
"""

import json
from dataclasses import asdict, dataclass

from contracts import storage
from contracts.errors import DataError

INDEX_PATH = "documents/index.json"
SCHEMA_VERSION = 2


@dataclass(frozen=True)
class StoreFile:
    """One file of documents: what one work unit of one source kept."""

    source: str
    unit_id: str
    path: str
    """Relative to the output folder."""
    signatures_path: str
    """Signatures of the same documents, relative to the output folder."""
    drops_paths: tuple[str, ...]
    """Files of the unit's drops, relative to the output folder."""
    num_in: int
    num_kept: int
    text_bytes: int
    """UTF-8 bytes of the kept texts."""
    dropped: dict[str, dict[str, int]]
    """{stage: {reason: count}}"""
    languages: dict[str, int]
    """Kept documents by language; those without one are not counted."""
    lengths: dict[str, int]
    """Kept documents by `length_bucket` of their UTF-8 bytes."""
    other_records: dict[str, int]
    """Records of the source that are no pages, by type; not in `num_in`."""
    read_bytes: int
    """Bytes of the source that the unit read."""


@dataclass(frozen=True)
class DocumentIndex:
    """The files of a store in the order of the plan."""

    files: tuple[StoreFile, ...]
    config_sha256: str
    """`DataConfig.documents_sha256` of the job that made the store."""
    where: str = ""
    """Output folder it was read from; not written."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names in order of their first file."""
        return tuple(dict.fromkeys(file.source for file in self.files))

    def of_source(self, source: str) -> list[StoreFile]:
        """The files of one source in order."""
        return [file for file in self.files if file.source == source]

    def url(self, path: str) -> str:
        """A path of the store as a URL."""
        return storage.join(self.where, path)


def write_index(index: DocumentIndex, output_dir: str) -> None:
    """Commit the index of a store whose files stand."""
    tree = {
        "schema_version": SCHEMA_VERSION,
        "config_sha256": index.config_sha256,
        "files": [asdict(file) for file in index.files],
    }
    data = (json.dumps(tree, indent=1, ensure_ascii=False) + "\n").encode()
    url = storage.join(output_dir, INDEX_PATH)
    if not storage.exists(url) or storage.read_bytes(url) != data:
        storage.write_bytes(url, data)


def read_index(output_dir: str) -> DocumentIndex:
    """The index of a finished store.

    Raises:
        DataError: there is none, or it is of another schema version.
    """
    url = storage.join(output_dir, INDEX_PATH)
    if not storage.exists(url):
        raise DataError(
            f"{url} is missing: no finished document store there; run the job with from=sources "
            "first, or set documents_dir to the output_dir of one that did"
        )
    try:
        tree = json.loads(storage.read_bytes(url))
        if tree["schema_version"] != SCHEMA_VERSION:
            raise DataError(
                f"{url}: schema_version is {tree['schema_version']!r}, this program reads "
                f"{SCHEMA_VERSION}; make the store again with from=sources"
            )
        files = [
            StoreFile(**{**file, "drops_paths": tuple(file["drops_paths"])})
            for file in tree["files"]
        ]
        config_sha256 = str(tree["config_sha256"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{url} is not the index of a document store: {error}; make the store again"
        ) from error
    return DocumentIndex(tuple(files), config_sha256, where=output_dir)
