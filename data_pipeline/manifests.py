"""The end of a data job: shards under their final names, then the manifests, which make them count.

Shards stand as `train/<source>-NNNNN.tar`, numbered over all groups of a source. The manifest of an
earlier dataset in the folder goes first and the new ones come last, so no manifest ever names a
shard that is not the one it was written for.
"""

import contextlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace

import fsspec

from contracts import storage
from contracts.config import Json, fingerprint
from contracts.errors import DataError
from contracts.shards import MANIFEST_NAME, ShardInfo, ShardManifest, write_manifest
from contracts.tokenizer import MODEL_NAME, TokenizerSpec
from data_pipeline.chain import WrittenGroup
from data_pipeline.document_index import DocumentIndex
from data_pipeline.ledger import remove_other_files
from data_pipeline.sections import TRAIN, VALIDATION, SplitConfig

TOKENIZER_FOLDER = "tokenizer"


@dataclass(frozen=True)
class Provenance:
    """What a manifest says of the job that wrote it."""

    config_sha256: str
    code_version: str
    tracker_run_id: str | None


def require_documents(index: DocumentIndex) -> None:
    """Refuse a source of which nothing is left.

    Raises:
        DataError: naming the source and what to do.
    """
    for source in index.sources:
        if not any(file.num_kept for file in index.of_source(source)):
            raise DataError(
                f"source {source!r}: every document was dropped; look at the drops under work/ "
                "(`inspect CONFIG.yaml uri=...`), then loosen the filters or remove the source"
            )


def require_evaluation(
    index: DocumentIndex, groups: Sequence[WrittenGroup], split: SplitConfig
) -> None:
    """Refuse a dataset in which a source has nothing to be evaluated on, or nothing to train on.

    Raises:
        DataError: naming the source and what to do.
    """
    for source in index.sources:
        num_kept = sum(file.num_kept for file in index.of_source(source))
        for name in (VALIDATION, TRAIN):
            if name == TRAIN and split.validation_fraction == 1:
                continue
            if not any(group.shards[name] for group in groups if group.source == source):
                raise DataError(
                    f"source {source!r}: its {name} split is empty with {num_kept} documents, "
                    f"split.validation_fraction={split.validation_fraction} and "
                    f"split.section_bytes={split.section_bytes}; change validation_fraction, "
                    "lower section_bytes so that long documents are divided, or give it more"
                )


def require_all_bytes(index: DocumentIndex, groups: Sequence[WrittenGroup]) -> None:
    """Prove that the shards hold every byte of the kept documents.

    Raises:
        DataError: naming the source with both numbers.
    """
    for source in index.sources:
        kept = sum(file.text_bytes for file in index.of_source(source))
        written = sum(
            shard.num_bytes
            for group in groups
            if group.source == source
            for infos in group.shards.values()
            for shard in infos
        )
        if kept != written:
            raise DataError(
                f"source {source!r}: {kept} bytes of text were kept, the shards hold {written}; "
                "the files under work/ do not belong together: remove work/ and ledger/, run again"
            )


def commit_dataset(
    output_dir: str,
    index: DocumentIndex,
    groups: Sequence[WrittenGroup],
    *,
    seq_len: int,
    tokenizer: TokenizerSpec,
    provenance: Provenance,
) -> dict[str, ShardManifest]:
    """Place the shards, then write the manifests; by split, without a split that is empty.

    Args:
        output_dir: the job's folder.
        index: the documents behind the shards, for the counts.
        groups: what was written.
        seq_len: inputs of a row.
        tokenizer: the shards' tokenizer.
        provenance: where they come from.
    """
    named = {split: _named(groups, split) for split in (VALIDATION, TRAIN)}
    content: list[Json] = [[s.source, s.sha256] for infos in named.values() for _, s in infos]
    dataset_id = fingerprint([tokenizer.sha256, seq_len, content])[:16]
    manifests = {
        split: ShardManifest(
            dataset_id=dataset_id,
            split=split,
            seq_len=seq_len,
            token_dtype=tokenizer.token_dtype,
            tokenizer=tokenizer,
            tokenizer_path=f"../{TOKENIZER_FOLDER}/{MODEL_NAME}",
            shards=tuple(shard for _, shard in infos),
            counts=counts_of(index),
            config_sha256=provenance.config_sha256,
            code_version=provenance.code_version,
            tracker_run_id=provenance.tracker_run_id,
        )
        for split, infos in named.items()
        if infos
    }
    for split in named:
        _remove(storage.join(output_dir, split, MANIFEST_NAME))
        kept = final_paths(manifests[split]) if split in manifests else []
        remove_other_files([split], kept, output_dir)
    for split, infos in named.items():
        for written, shard in infos:
            place(output_dir, f"work/write/{written.path}", f"{split}/{shard.path}")
            place(output_dir, f"work/write/{written.index_path}", f"{split}/{shard.index_path}")
    for split, manifest in manifests.items():
        write_manifest(manifest, storage.join(output_dir, split, MANIFEST_NAME))
    return manifests


def final_paths(manifest: ShardManifest) -> list[str]:
    """Files of a split, relative to the output folder, without its manifest."""
    return [
        f"{manifest.split}/{name}"
        for shard in manifest.shards
        for name in (shard.path, shard.index_path)
    ]


def counts_of(index: DocumentIndex) -> dict[str, object]:
    """`in`, `kept`, `dropped` and `other_records` of the whole job.

    Raises:
        DataError: they do not add up.
    """
    dropped: dict[str, dict[str, int]] = {}
    for file in index.files:
        for stage, reasons in file.dropped.items():
            place_of_stage = dropped.setdefault(stage, {})
            for reason, count in reasons.items():
                place_of_stage[reason] = place_of_stage.get(reason, 0) + count
    num_in = sum(file.num_in for file in index.files)
    num_kept = sum(file.num_kept for file in index.files)
    num_dropped = sum(sum(reasons.values()) for reasons in dropped.values())
    if num_in != num_kept + num_dropped:
        raise DataError(
            f"{num_in} records came in, but {num_kept} kept and {num_dropped} dropped are "
            f"{num_kept + num_dropped}; remove work/ and ledger/ and run again"
        )
    others: dict[str, int] = {}
    for file in index.files:
        for kind, count in file.other_records.items():
            others[kind] = others.get(kind, 0) + count
    return {"in": num_in, "kept": num_kept, "dropped": dropped, "other_records": others}


def _named(groups: Sequence[WrittenGroup], split: str) -> list[tuple[ShardInfo, ShardInfo]]:
    """Each shard as it was written, and under its final name."""
    numbers: dict[str, int] = {}
    pairs = []
    for group in groups:
        for shard in group.shards[split]:
            number = numbers.get(group.source, 0)
            numbers[group.source] = number + 1
            name = f"{group.source}-{number:05d}"
            pairs.append((shard, replace(shard, path=f"{name}.tar", index_path=f"{name}.idx.npy")))
    return pairs


def place(output_dir: str, path: str, final_path: str) -> None:
    """Let a file stand under its final name too: by a hard link where that is possible."""
    source, target = storage.join(output_dir, path), storage.join(output_dir, final_path)
    if not storage.is_local(output_dir):
        fs, remote = fsspec.core.url_to_fs(source)
        fs.copy(remote, fsspec.core.url_to_fs(target)[1])
        return
    old, new = storage.local_path(source), storage.local_path(target)
    new.parent.mkdir(parents=True, exist_ok=True)
    partial = new.with_name(f".{new.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        os.link(old, partial)
    except OSError:  # a file system without links
        partial.unlink(missing_ok=True)
        with old.open("rb") as stream, storage.atomic_write(target) as out:
            shutil.copyfileobj(stream, out)
        return
    partial.replace(new)
    partial.unlink(missing_ok=True)  # rename does nothing when both are one file already


def _remove(url: str) -> None:
    if storage.is_local(url):
        storage.local_path(url).unlink(missing_ok=True)
        return
    fs, path = fsspec.core.url_to_fs(url)
    with contextlib.suppress(FileNotFoundError):
        fs.rm(path)
