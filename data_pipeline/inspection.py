"""For the eye: a document of the store, or a packed row as text with the source of each part."""

from collections.abc import Iterator
from dataclasses import dataclass

from contracts import storage
from contracts.errors import ConfigError, DataError
from contracts.shard_reader import ShardReader
from contracts.shards import ShardInfo, ShardManifest, read_manifest
from contracts.tokenizer import Tokenizer, load_tokenizer
from data_pipeline.document_index import DocumentIndex, read_index
from data_pipeline.documents import StoredDocument, StoredDrop, read_documents, read_drops

SELECTORS = ("doc_id", "uri", "row")


@dataclass(frozen=True)
class Selection:
    """What to look at."""

    by: str
    """One of SELECTORS."""
    value: str


def parse_selection(text: str) -> Selection | None:
    """`doc_id=...`, `uri=...` or `row=<split>/<shard>:<row>`; None for anything else."""
    by, separator, value = text.partition("=")
    return Selection(by, value) if separator and by in SELECTORS else None


def inspected(output_dir: str, selection: Selection) -> Iterator[str]:
    """Lines of text about what was selected.

    Raises:
        ConfigError: the selection names no row of this dataset.
        DataError: no such document, kept or dropped.
    """
    if selection.by == "row":
        yield from row_lines(output_dir, selection.value)
        return
    index = read_index(output_dir)
    found = False
    for stored in _kept(index, selection):
        found = True
        yield from document_lines(stored)
    for drop in _dropped(index, selection):
        found = True
        yield from drop_lines(drop)
    if not found:
        raise DataError(
            f"{selection.by}={selection.value}: no such document among the kept and the dropped "
            f"of {output_dir}; doc_ids and uris stand in its documents/*.parquet"
        )


def _kept(index: DocumentIndex, selection: Selection) -> Iterator[StoredDocument]:
    for file in index.files:
        for stored in read_documents(index.url(file.path)):
            if getattr(stored.document, selection.by) == selection.value:
                yield stored


def _dropped(index: DocumentIndex, selection: Selection) -> Iterator[StoredDrop]:
    for file in index.files:
        for url in map(index.url, file.drops_paths):
            if storage.exists(url):
                yield from (
                    stored
                    for stored in read_drops(url)
                    if getattr(stored.drop, selection.by) == selection.value
                )


def document_lines(stored: StoredDocument) -> Iterator[str]:
    """A kept document: what is known of it, what was measured, its text."""
    document = stored.document
    yield f"doc_id    {document.doc_id}"
    yield f"source    {document.source}"
    yield f"uri       {document.uri}"
    yield f"origin    {document.origin.path} at {document.origin.offset}"
    if document.language is not None:
        yield f"language  {document.language} ({document.language_score or 0.0:.2f})"
    for name, value in sorted(document.metadata.items()):
        yield f"{name:<9} {value}"
    for name, measure in sorted(stored.measures.items()):
        yield f"  {name} = {measure:.6g}" if isinstance(measure, float) else f"  {name} = {measure}"
    yield ""
    yield document.text


def drop_lines(stored: StoredDrop) -> Iterator[str]:
    """A dropped document: where and why, what was measured, how its text begins."""
    drop = stored.drop
    yield f"doc_id    {drop.doc_id}"
    yield f"source    {drop.source}"
    yield f"uri       {drop.uri}"
    value = "" if drop.value is None else f" ({drop.value})"
    yield f"dropped   {drop.stage}: {drop.reason}{value}"
    for name, measure in sorted(stored.measures.items()):
        yield f"  {name} = {measure:.6g}" if isinstance(measure, float) else f"  {name} = {measure}"
    yield ""
    yield stored.text_sample


def row_lines(output_dir: str, place: str) -> Iterator[str]:
    """A packed row as text, part by part, each with the document it comes from.

    Args:
        output_dir: of the data job.
        place: `<split>/<shard>:<row>`, as in `train/web-00000:17`; `.tar` may be left out.

    Raises:
        ConfigError: the place is not of that form, or names no shard or row.
    """
    path, _, number = place.rpartition(":")
    split, _, name = path.partition("/")
    if not (split and name and number.isdecimal()):
        raise ConfigError(
            f"row={place}: expected <split>/<shard>:<row>, for example train/web-00000:17"
        )
    manifest = read_manifest(storage.join(output_dir, split))
    shard = _shard_named(manifest, name)
    row = int(number)
    if row >= shard.num_samples:
        raise ConfigError(
            f"row={place}: {shard.path} has {shard.num_samples} rows, 0 to {shard.num_samples - 1}"
        )
    tokenizer = load_tokenizer(manifest.tokenizer_url)
    with ShardReader(manifest, shard) as reader:
        yield from _parts(reader, row, tokenizer)


def _shard_named(manifest: ShardManifest, name: str) -> ShardInfo:
    for shard in manifest.shards:
        if shard.path in (name, f"{name}.tar"):
            return shard
    known = ", ".join(shard.path for shard in manifest.shards[:10])
    raise ConfigError(f"shard {name!r} is not in the {manifest.split} split, which has: {known}")


def _parts(reader: ShardReader, row: int, tokenizer: Tokenizer) -> Iterator[str]:
    tokens, spans, documents = reader.row(row), reader.spans(row), reader.documents(row)
    end = 0
    columns = (spans.positions, spans.lengths, spans.documents, spans.offsets)
    for position, length, number, offset in zip(*columns, strict=True):
        document = documents[number]
        origin = document["origin"]
        end = int(position + length)
        yield (
            f"--- tokens {position} to {end} · doc_id {document['doc_id']} section "
            f"{document['section']}, from its token {offset} of {document['num_tokens']}"
        )
        yield f"--- {document['uri']} · {origin['path']} at {origin['offset']}"
        yield tokenizer.decode(tokens[position:end])
    if end < len(tokens):
        yield f"--- tokens {end} to {len(tokens)}: padding"
