"""Shards to shards of another row length, streaming, without tokenising again.

The spans say which tokens of which document a row holds, so each document is put together from its
rows (one at a time, across chunks and shards) and packed anew, group by group: the result is
byte for byte what the data job would have written at that row length. Neighbouring rows share what
they share there: the last token of a row is the first of the next where one document fills both.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts import storage
from contracts.config import as_tree, fingerprint
from contracts.errors import ConfigError, DataError
from contracts.shard_reader import ShardReader
from contracts.shards import (
    MANIFEST_NAME,
    ShardInfo,
    ShardManifest,
    read_manifest,
    verify_shard,
    write_manifest,
)
from contracts.tokenizer import MODEL_NAME, load_tokenizer, require_same_tokenizer, save_tokenizer
from data_pipeline.packing import pack
from data_pipeline.records import Origin, TokenizedDocument
from data_pipeline.shard_writer import ShardsConfig, write_shards

logger = logging.getLogger(__name__)


def repack_dataset(dataset: str, output: str, config: ShardsConfig) -> list[ShardManifest]:
    """Repack every split of a dataset folder; `output` gets the splits and the tokenizer.

    Raises:
        ConfigError: `dataset` holds no split, or `output` holds another dataset.
        DataError: a shard is torn, or its spans do not join up.
    """
    urls = [
        storage.join(dataset, split, MANIFEST_NAME)
        for split in ("train", "validation")
        if storage.exists(storage.join(dataset, split, MANIFEST_NAME))
    ]
    if not urls:
        raise ConfigError(
            f"{dataset} holds neither train/{MANIFEST_NAME} nor validation/{MANIFEST_NAME}; "
            "give the output_dir of a finished data job"
        )
    return [repack(url, output, config) for url in urls]


def repack(manifest_url: str, output: str, config: ShardsConfig) -> ShardManifest:
    """Write one split as rows of `config.seq_len` under `<output>/<split>`; gives its manifest.

    Repeating a finished repack does nothing; a killed one begins again.

    Raises:
        ConfigError: `<output>/<split>` holds other data.
        DataError: a shard is torn, or its spans do not join up.
    """
    old = read_manifest(manifest_url)
    folder = storage.join(output, old.split)
    identity = fingerprint([old.sha256, as_tree(config)])
    new_url = storage.join(folder, MANIFEST_NAME)
    if storage.exists(new_url):
        return _finished(new_url, identity)
    tokenizer = load_tokenizer(old.tokenizer_url)
    require_same_tokenizer(old.tokenizer, tokenizer.spec, where=old.tokenizer_url)
    shards: list[ShardInfo] = []
    for source in old.sources:
        shards += _repack_source(old, source, folder, config)
    save_tokenizer(tokenizer, storage.join(output, "tokenizer"))
    new = replace(
        old,
        seq_len=config.seq_len,
        tokenizer_path=f"../tokenizer/{MODEL_NAME}",
        shards=tuple(shards),
        config_sha256=identity,
        where=new_url,
    )
    write_manifest(new, new_url)
    return new


def _finished(url: str, identity: str) -> ShardManifest:
    found = read_manifest(url)
    if found.config_sha256 != identity:
        raise ConfigError(
            f"{url} stands already and was not made from this dataset with these sizes "
            f"(config_sha256 {found.config_sha256}, this repack {identity}); choose another output"
        )
    logger.info("repack is finished already: %s", url)
    return found


def _repack_source(
    manifest: ShardManifest, source: str, folder: str, config: ShardsConfig
) -> list[ShardInfo]:
    old = [shard for shard in manifest.shards if shard.source == source]
    new: list[ShardInfo] = []
    for group, members in groupby(old, key=lambda shard: shard.group):
        documents = read_documents(manifest, list(members))
        rows = pack(documents, seq_len=config.seq_len, eot_id=manifest.tokenizer.eot_id)
        new += write_shards(
            rows,
            folder=folder,
            prefix=source,
            config=config,
            group=group,
            first_number=len(new),
        )
    logger.info("repacked source=%s shards=%d to=%d", source, len(old), len(new))
    return new


def read_documents(
    manifest: ShardManifest, shards: Sequence[ShardInfo]
) -> Iterator[TokenizedDocument]:
    """The documents of one write group, whole again, in the order in which they were packed.

    Raises:
        DataError: a checksum is wrong, or a part of a document is missing.
    """
    join = _Join(manifest)
    for shard in shards:
        verify_shard(manifest, shard)
        with ShardReader(manifest, shard) as reader:
            for chunk in range(reader.num_chunks):
                yield from join.chunk(reader, shard, chunk)
    join.end()


class _Join:
    """Puts documents together from the parts that rows hold."""

    def __init__(self, manifest: ShardManifest) -> None:
        self._manifest = manifest
        self._entry: dict[str, Any] = {}
        """The document being put together; empty between two."""
        self._parts: list[npt.NDArray[Any]] = []
        self._num_tokens = 0

    def chunk(
        self, reader: ShardReader, shard: ShardInfo, chunk: int
    ) -> Iterator[TokenizedDocument]:
        """The documents that end in a chunk."""
        rows = reader.rows(*reader.chunk_rows(chunk))
        entries = reader.chunk_documents(chunk)
        for row, position, length, number, offset in reader.chunk_spans(chunk).tolist():
            self._check(entries[number], offset, shard, chunk, row)
            self._entry = entries[number]
            known = self._num_tokens - offset  # 1 where the row repeats a token, else 0
            self._parts.append(rows[row, position + known : position + length].copy())
            self._num_tokens = offset + length
            if self._num_tokens >= self._entry["num_tokens"]:
                yield self._take(shard.source)

    def _check(
        self, entry: dict[str, Any], offset: int, shard: ShardInfo, chunk: int, row: int
    ) -> None:
        expected = max(self._num_tokens - 1, 0)
        same = not self._entry or _key(entry) == _key(self._entry)
        if same and offset == expected:
            return
        wanted = _key(self._entry) if self._entry else "a new document"
        raise DataError(
            f"{self._manifest.shard_url(shard)}, chunk {chunk}, row {row}: token {offset} of "
            f"{_key(entry)} stands where token {expected} of {wanted} was expected; shards are "
            "missing from the manifest or in another order: restore it, or run the data job again"
        )

    def _take(self, source: str) -> TokenizedDocument:
        entry = self._entry
        document = TokenizedDocument(
            doc_id=entry["doc_id"],
            section=entry["section"],
            source=source,
            uri=entry["uri"],
            origin=Origin(**entry["origin"]),
            tokens=np.concatenate(self._parts),
            num_bytes=entry["num_bytes"],
        )
        self._entry, self._parts, self._num_tokens = {}, [], 0
        return document

    def end(self) -> None:
        """Nothing may be left.

        Raises:
            DataError: the last document is not whole.
        """
        if self._entry:
            raise DataError(
                f"{self._manifest.where}: the last document {_key(self._entry)} has "
                f"{self._num_tokens} of {self._entry['num_tokens']} tokens; a shard is missing "
                "behind it: restore it, or run the data job again"
            )


def _key(entry: dict[str, Any]) -> str:
    return f"{entry['doc_id']} section {entry['section']}"
