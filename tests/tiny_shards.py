"""A tiny dataset on disk in the format of contracts.shards, for tests of what reads it."""

import io
import json
import tarfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sentencepiece as spm

from contracts import storage
from contracts.shards import ShardInfo, ShardManifest, write_manifest
from contracts.tokenizer import Tokenizer

TEXT = "the quick brown fox jumps over the lazy dog and runs away from the old grey wolf"


@cache
def tiny_tokenizer(vocab_size: int = 300) -> Tokenizer:
    """BPE with byte fallback over one sentence and some digits."""
    model = io.BytesIO()
    spm.SentencePieceTrainer.Train(
        sentence_iterator=iter([TEXT]),
        model_writer=model,
        vocab_size=vocab_size,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return Tokenizer(model.getvalue())


def make_tiny(
    folder: Path,
    *,
    rows: dict[str, Sequence[int]],
    seq_len: int = 8,
    rows_per_chunk: int = 4,
    seed: int = 0,
    split: str = "train",
) -> ShardManifest:
    """Write for each source shards of as many rows as asked for.

    Each row has two documents, the second one shorter, and one position of padding.
    """
    tokenizer = tiny_tokenizer()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(tokenizer.model)
    rng = np.random.default_rng(seed)
    shards = [
        _shard(folder, f"{source}-{number:05d}.tar", source, (count, seq_len, rows_per_chunk), rng)
        for source, counts in rows.items()
        for number, count in enumerate(counts)
    ]
    manifest = ShardManifest(
        dataset_id=folder.name,
        split=split,
        seq_len=seq_len,
        token_dtype="uint16",
        tokenizer=tokenizer.spec,
        tokenizer_path="tokenizer.model",
        shards=tuple(shards),
        counts={},
        config_sha256="0" * 64,
        code_version="test",
        where=str(folder / "manifest.json"),
    )
    write_manifest(manifest, str(folder / "manifest.json"))
    return manifest


def _shard(
    folder: Path, name: str, source: str, sizes: tuple[int, int, int], rng: np.random.Generator
) -> ShardInfo:
    count, seq_len, per_chunk = sizes
    width = seq_len + 1
    cut = width // 2
    index = []
    num_bytes = 0
    with tarfile.open(folder / name, "w", format=tarfile.USTAR_FORMAT) as tar:
        for chunk, start in enumerate(range(0, count, per_chunk)):
            n = min(per_chunk, count - start)
            tokens = rng.integers(4, 300, size=(n, width)).astype(np.uint16)
            tokens[:, -1] = 0
            spans = np.array(
                [
                    part
                    for row in range(n)
                    for part in (
                        (row, 0, cut, 2 * row, 0),
                        (row, cut, width - 1 - cut, 2 * row + 1, 0),
                    )
                ],
                dtype=np.int32,
            )
            documents = [{"doc_id": f"{source}-{start}-{i}", "section": 0} for i in range(2 * n)]
            places = [
                _add_npy(tar, f"{chunk:06d}.tokens.npy", tokens),
                _add_npy(tar, f"{chunk:06d}.spans.npy", spans),
                _add(tar, f"{chunk:06d}.documents.json", json.dumps(documents).encode()),
            ]
            index.append(
                (n, places[0], len(spans), places[1], len(json.dumps(documents)), places[2])
            )
            num_bytes += int(tiny_tokenizer().token_bytes()[tokens].sum())
    index_name = name.removesuffix(".tar") + ".idx.npy"
    np.save(folder / index_name, np.array(index, dtype=np.int64).reshape(-1, 6))
    return ShardInfo(
        path=name,
        source=source,
        num_samples=count,
        num_tokens=count * (width - 1),
        num_targets=count * (width - 3),
        num_bytes=num_bytes,
        size_bytes=(folder / name).stat().st_size,
        sha256=storage.sha256_of(str(folder / name)),
        rows_per_chunk=per_chunk,
        index_path=index_name,
        index_sha256=storage.sha256_of(str(folder / index_name)),
    )


def _add_npy(tar: tarfile.TarFile, name: str, array: npt.NDArray[Any]) -> int:
    stream = io.BytesIO()
    np.save(stream, array)
    return _add(tar, name, stream.getvalue()) + len(stream.getvalue()) - array.nbytes


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    start = tar.offset
    tar.addfile(info, io.BytesIO(data))
    return start + tarfile.BLOCKSIZE
