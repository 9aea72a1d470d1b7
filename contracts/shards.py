"""What one split of a tokenised dataset is on disk: `manifest.json` and the shards it lists.

A shard is a tar of chunks. A chunk is one WebDataset sample of three members, which stock
`WebDataset(...).decode()` turns into arrays:

    <key>.tokens.npy      (n, seq_len + 1) uint16|uint32   packed rows
    <key>.spans.npy       (S, 5) int32                     columns: SPAN_COLUMNS
    <key>.documents.json  list of S' objects               the documents that the spans point at

Beside each shard lies `<shard>.idx.npy`, (num_chunks, 6) int64 with INDEX_COLUMNS: where in the tar
the
three members' data begin, so that any row is one seek. docs/formats.md is the full description.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from contracts import storage
from contracts.errors import DataError
from contracts.tokenizer import TokenizerSpec

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
SPAN_COLUMNS = ("row", "position", "length", "document", "offset")
"""Row in the chunk; first token in the row; tokens; index in documents.json; place of that first
token in the document."""
INDEX_COLUMNS = (
    "num_rows",
    "tokens_offset",
    "num_spans",
    "spans_offset",
    "documents_bytes",
    "documents_offset",
)
"""Counts, and byte offsets in the tar of the first byte behind each .npy header (of the JSON text
for documents)."""


@dataclass(frozen=True)
class ShardInfo:
    """One tar of packed rows of one source."""

    path: str
    """Relative to the manifest's folder, or a full URL."""
    source: str
    num_samples: int
    """Packed rows."""
    num_tokens: int
    """Distinct document tokens: a token that two rows share counts once, padding never."""
    num_targets: int
    """Tokens that count as a target when documents do not see each other."""
    num_bytes: int
    """UTF-8 bytes of the text behind the tokens."""
    size_bytes: int
    sha256: str
    rows_per_chunk: int
    """Rows of every chunk but the last: row r is in chunk r // rows_per_chunk."""
    index_path: str
    index_sha256: str
    group: int = 0
    """Write group within the source; packing starts anew in each, in the order of the shards."""


@dataclass(frozen=True)
class ShardManifest:
    """One split (`train` or `validation`) of a dataset."""

    dataset_id: str
    split: str
    seq_len: int
    """Inputs of a row; the row holds seq_len + 1 tokens."""
    token_dtype: str
    tokenizer: TokenizerSpec
    tokenizer_path: str
    """The SentencePiece model, relative to the manifest's folder, or a full URL."""
    shards: tuple[ShardInfo, ...]
    counts: dict[str, Any]
    """`in`, `kept`, `dropped` {stage: {reason: count}} and `other_records` {type: count} of the
    data job,
    over all splits."""
    config_sha256: str
    code_version: str
    tracker_run_id: str | None = None
    """The data job's run in the tracker; None without one."""
    schema_version: int = SCHEMA_VERSION
    where: str = field(default="", compare=False)
    """URL this manifest was read from; not written."""

    @property
    def num_samples(self) -> int:
        """Packed rows of all shards."""
        return sum(shard.num_samples for shard in self.shards)

    @property
    def num_tokens(self) -> int:
        """Distinct document tokens of all shards."""
        return sum(shard.num_tokens for shard in self.shards)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, in the order of their first shard."""
        return tuple(dict.fromkeys(shard.source for shard in self.shards))

    @property
    def folder(self) -> str:
        """URL of the folder the manifest stands in."""
        return self.where.rpartition("/")[0] or "."

    @property
    def sha256(self) -> str:
        """Identity of the data: tokenizer, seq_len and every shard; not counts, not code."""
        return storage.sha256_of_bytes(
            json.dumps(
                [
                    self.tokenizer.sha256,
                    self.seq_len,
                    self.token_dtype,
                    [[s.source, s.num_samples, s.sha256] for s in self.shards],
                ]
            ).encode()
        )

    def shard_url(self, shard: ShardInfo) -> str:
        """Where a shard's tar is."""
        return storage.join(self.folder, shard.path)

    def index_url(self, shard: ShardInfo) -> str:
        """Where a shard's chunk index is."""
        return storage.join(self.folder, shard.index_path)

    @property
    def tokenizer_url(self) -> str:
        """Where the tokenizer model is."""
        return storage.join(self.folder, self.tokenizer_path)


def write_manifest(manifest: ShardManifest, url: str) -> None:
    """Commit a manifest; the last write of a data job, so what it names exists."""
    tree = asdict(manifest)
    del tree["where"]
    storage.write_bytes(url, (json.dumps(tree, indent=1, ensure_ascii=False) + "\n").encode())


def read_manifest(url: str) -> ShardManifest:
    """The manifest of a file or of a folder that holds a `manifest.json`.

    Raises:
        DataError: there is none, it is not one, or it is of another schema version.
    """
    if not url.endswith(".json"):
        url = storage.join(url, MANIFEST_NAME)
    try:
        tree = json.loads(storage.read_bytes(url))
        version = tree.get("schema_version")
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{url}: schema_version is {version!r}, this program reads {SCHEMA_VERSION}; "
                "make the shards again, or use the release that wrote them"
            )
        tree["tokenizer"] = TokenizerSpec.from_json(tree["tokenizer"])
        tree["shards"] = tuple(ShardInfo(**shard) for shard in tree["shards"])
        return ShardManifest(**tree, where=url)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{url} is not a shard manifest: {error}; it is written by the data job"
        ) from error


def verify_shard(manifest: ShardManifest, shard: ShardInfo) -> None:
    """Compare a shard's and its index's bytes with the checksums.

    Raises:
        DataError: naming the file with both checksums.
    """
    pairs = (
        (manifest.shard_url(shard), shard.sha256),
        (manifest.index_url(shard), shard.index_sha256),
    )
    for url, expected in pairs:
        found = storage.sha256_of(url)
        if found != expected:
            raise DataError(
                f"{url}: sha256 is {found}, the manifest says {expected}; "
                "the file was changed or torn: restore it, or remove it and run the data job again"
            )
