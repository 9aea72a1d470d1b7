"""Text to tokens: the sample a tokenizer is trained from, its training, and its use.

The sample is the documents with the lowest keyed hashes of their doc_id, as many as reach
`sample_bytes`. Each unit keeps its own lowest ones and the lowest of all units' are the lowest of
all documents, so the sample depends on neither the order of arrival nor on how documents were
parted into units.

SentencePiece is fed pieces without tabs (it skips any sentence that holds one) and without control
pieces: `<s>` or `<0x0A>` standing literally in text are spelled with ordinary pieces.
"""

import hashlib
import heapq
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import sentencepiece as spm
from pydantic import Field, PositiveInt

from contracts.config import Config
from contracts.errors import ConfigError
from contracts.tokenizer import Tokenizer, load_tokenizer
from data_pipeline.records import Document, Section, TokenArray, TokenizedDocument

_PIECE_CHARACTERS = (
    16_384  # of a training "sentence"; words are counted, so where it ends hardly matters
)
_BATCH_CHARACTERS = 1 << 20  # encoded in one call
_TOO_LARGE = re.compile(r"value <= (\d+)")
_TOO_SMALL = re.compile(r"smaller than required_chars\. \d+ vs (\d+)")


class SampleConfig(Config):
    """Which text a tokenizer is trained from."""

    seed: int = 0
    """Key of the hash that chooses the documents."""
    sample_bytes: PositiveInt = 67_108_864
    """UTF-8 bytes of text at which the sample is full; held in memory by each unit that samples."""
    document_bytes: PositiveInt = 1_048_576
    """UTF-8 bytes; a longer document gives one contiguous piece of this size."""


class TrainTokenizerConfig(Config):
    """A SentencePiece model trained on the kept documents."""

    kind: Literal["train"] = "train"
    model_type: Literal["bpe", "unigram"] = "bpe"
    """`unigram` trains far slower, and its result depends on num_threads."""
    vocab_size: PositiveInt = 32_000
    """Pieces, with 256 bytes and 3 control pieces."""
    byte_fallback: Literal[True] = True
    """A character outside the vocabulary is spelled in UTF-8 bytes; without it text could not be
    given back."""
    character_coverage: Annotated[float, Field(gt=0, le=1)] = 0.9995
    """Share of the sample's characters that get a piece of their own."""
    num_threads: PositiveInt = 2
    """Threads of the training; part of the identity because sums of floats depend on it."""
    sample: SampleConfig = SampleConfig()
    """Which text is trained on."""


class ExistingTokenizerConfig(Config):
    """A SentencePiece model made before."""

    kind: Literal["existing"] = "existing"
    path: str
    """URL of the `.model` file."""


TokenizerConfig = Annotated[
    TrainTokenizerConfig | ExistingTokenizerConfig, Field(discriminator="kind")
]


@dataclass(frozen=True, order=True)
class SampledText:
    """One document's contribution to the sample; the order is that of the keyed hash."""

    key: str
    """32 hex digits."""
    doc_id: str
    text: str


def sampled_text(document: Document, config: SampleConfig) -> SampledText:
    """What a document would give to the sample: its text, or a piece of a long one."""
    key = _keyed_hash(config.seed, "sample", document.doc_id)
    data = document.text.encode()
    if len(data) <= config.document_bytes:
        return SampledText(key, document.doc_id, document.text)
    places = len(data) - config.document_bytes + 1
    start = int(_keyed_hash(config.seed, "place", document.doc_id), 16) % places
    piece = data[start : start + config.document_bytes].decode(errors="ignore")  # half characters
    return SampledText(key, document.doc_id, piece)


def _keyed_hash(seed: int, use: str, doc_id: str) -> str:
    return hashlib.blake2b(f"{use}\0{seed}\0{doc_id}".encode(), digest_size=16).hexdigest()


def lowest_texts(texts: Iterable[SampledText], sample_bytes: int) -> list[SampledText]:
    """The texts of lowest key, sorted: the fewest that reach `sample_bytes` together, or all.

    Of parts of a whole, the lowest of each part's lowest are the lowest of the whole. Holds at most
    `sample_bytes` and two texts.
    """
    kept: list[tuple[int, int, SampledText]] = []  # a heap whose top has the highest key
    total = 0
    for text in texts:
        size = len(text.text.encode())
        heapq.heappush(kept, (-int(text.key, 16), size, text))
        total += size
        while total - kept[0][1] >= sample_bytes:
            total -= heapq.heappop(kept)[1]
    return sorted(item[2] for item in kept)


def sample_documents(documents: Iterable[Document], config: SampleConfig) -> list[SampledText]:
    """What one unit contributes to the tokenizer's sample."""
    return lowest_texts(
        (sampled_text(document, config) for document in documents), config.sample_bytes
    )


def merge_samples(
    samples: Iterable[Iterable[SampledText]], config: SampleConfig
) -> list[SampledText]:
    """The sample of all units together, the same for any number and order of units."""
    return lowest_texts((text for sample in samples for text in sample), config.sample_bytes)


def train_tokenizer(sample: Sequence[SampledText], config: TrainTokenizerConfig) -> bytes:
    """A SentencePiece model; identical bytes for an identical sample and config.

    Raises:
        ConfigError: the sample has too few words, or too many characters, for vocab_size.
    """
    model = io.BytesIO()
    try:
        spm.SentencePieceTrainer.train(
            sentence_iterator=_training_pieces(sample),
            model_writer=model,
            model_type=config.model_type,
            vocab_size=config.vocab_size,
            byte_fallback=config.byte_fallback,
            character_coverage=config.character_coverage,
            num_threads=config.num_threads,
            normalization_rule_name="identity",
            split_digits=True,
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True,
            max_sentence_length=4 * _PIECE_CHARACTERS,
            input_sentence_size=0,
            shuffle_input_sentence=False,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=-1,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        raise _training_error(error, sample, config) from error
    return model.getvalue()


def _training_pieces(sample: Sequence[SampledText]) -> Iterator[str]:
    """The sample in pieces that SentencePiece accepts: short, without tabs."""
    for item in sample:
        for part in item.text.split("\t"):
            for start in range(0, len(part), _PIECE_CHARACTERS):
                yield part[start : start + _PIECE_CHARACTERS]


def _training_error(
    error: Exception, sample: Sequence[SampledText], config: TrainTokenizerConfig
) -> ConfigError:
    size = sum(len(item.text.encode()) for item in sample)
    place = f"tokenizer.vocab_size={config.vocab_size}"
    given = f"the sample of {len(sample)} documents, {size} bytes"
    if found := _TOO_LARGE.search(str(error)):
        return ConfigError(
            f"{place}: {given}, gives at most {found[1]} pieces; "
            f"set vocab_size to {found[1]} or less, or give more text"
        )
    if found := _TOO_SMALL.search(str(error)):
        return ConfigError(
            f"{place}: {given}, has {found[1]} different characters, bytes and control pieces; "
            f"set vocab_size to more than {found[1]}, or character_coverage "
            f"below {config.character_coverage}"
        )
    return ConfigError(f"{place}: no tokenizer can be trained from {given}: {error}")


def tokenise(
    sections: Iterable[Section], tokenizer: Tokenizer, *, num_threads: int = 1
) -> Iterator[TokenizedDocument]:
    """Token ids of sections, in order, each ending in end of text; the same for any num_threads."""
    for batch in _batches(sections):
        rows = tokenizer.encode_batch([section.text for section in batch], num_threads=num_threads)
        for section, row in zip(batch, rows, strict=True):
            document = section.document
            yield TokenizedDocument(
                doc_id=document.doc_id,
                section=section.number,
                source=document.source,
                uri=document.uri,
                origin=document.origin,
                tokens=_ended(row, tokenizer.spec.eot_id),
                num_bytes=section.num_bytes,
            )


def _ended(ids: TokenArray, eot_id: int) -> TokenArray:
    """Ids with end of text behind them; `np.append` takes three times as long."""
    tokens = np.empty(len(ids) + 1, dtype=ids.dtype)
    tokens[:-1] = ids
    tokens[-1] = eot_id
    return tokens


def _batches(sections: Iterable[Section]) -> Iterator[list[Section]]:
    batch: list[Section] = []
    size = 0
    for section in sections:
        batch.append(section)
        size += len(section.text)
        if size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def resolve_tokenizer(config: ExistingTokenizerConfig) -> Tokenizer:
    """The tokenizer of a model made before.

    Raises:
        DataError: the file is missing, is not a SentencePiece model, or has no end-of-text piece.
    """
    return load_tokenizer(config.path)
