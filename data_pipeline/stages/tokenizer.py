"""Tokenizer: each unit samples its documents, one task merges the samples and trains the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from contracts import storage
from data_pipeline.progress import ProgressFile, Tally
from data_pipeline.stages.counting import counted_documents
from data_pipeline.stages.task import Outcome, work_path
from data_pipeline.tokenization import (
    ExistingTokenizerConfig,
    SampleConfig,
    SampledText,
    TokenizerConfig,
    merge_samples,
    resolve_tokenizer,
    sample_documents,
    train_tokenizer,
)

_SCHEMA = pa.schema(
    [pa.field("key", pa.string()), pa.field("doc_id", pa.string()), pa.field("text", pa.string())]
)


@dataclass(frozen=True)
class SampleTask:
    """Choose one unit's part of the sample."""

    output_dir: str
    unit_id: str
    documents_url: str
    sample: SampleConfig
    num_bytes: int


def sample_unit(task: SampleTask, progress: ProgressFile) -> Outcome:
    """The texts of the unit with the lowest keys, as many as fill the sample."""
    tally = Tally()
    documents = counted_documents([task.documents_url], tally, progress)
    texts = sample_documents(documents, task.sample)
    path = work_path("sample", task.unit_id, "parquet")
    columns = [[getattr(text, name) for text in texts] for name in _SCHEMA.names]
    with storage.atomic_write(storage.join(task.output_dir, path)) as stream:
        pq.write_table(pa.table(columns, schema=_SCHEMA), stream, compression="zstd")
    return Outcome((path,), {"num_in": tally.documents, "num_texts": len(texts)})


@dataclass(frozen=True)
class TokenizerTask:
    """Train one model from all samples, or take an existing one."""

    output_dir: str
    unit_id: str
    sample_ids: tuple[str, ...]
    tokenizer: TokenizerConfig
    num_bytes: int


def make_tokenizer(task: TokenizerTask, progress: ProgressFile) -> Outcome:
    """The model file; the same bytes for the same documents and config."""
    del progress
    if isinstance(task.tokenizer, ExistingTokenizerConfig):
        model = resolve_tokenizer(task.tokenizer).model
    else:
        samples = (_read_sample(task.output_dir, unit) for unit in task.sample_ids)
        merged = merge_samples(samples, task.tokenizer.sample)
        model = train_tokenizer(merged, task.tokenizer)
    path = work_path("tokenizer", task.unit_id, "model")
    storage.write_bytes(storage.join(task.output_dir, path), model)
    return Outcome((path,), {"sha256": storage.sha256_of_bytes(model)})


def _read_sample(output_dir: str, unit_id: str) -> Sequence[SampledText]:
    with storage.open_read(
        storage.join(output_dir, work_path("sample", unit_id, "parquet"))
    ) as stream:
        columns = pq.read_table(stream).select(_SCHEMA.names).to_pydict().values()
    return [SampledText(*row) for row in zip(*columns, strict=True)]
