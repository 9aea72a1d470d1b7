"""Small datasets of synthetic text, made by the rooms of the data pipeline, for any test."""

import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from contracts import storage
from contracts.shards import ShardInfo, ShardManifest, write_manifest
from contracts.tokenizer import MODEL_NAME, Tokenizer, save_tokenizer
from data_pipeline.packing import pack
from data_pipeline.records import Document, Origin, make_doc_id
from data_pipeline.sections import SplitConfig, sections_of
from data_pipeline.shard_writer import ShardsConfig, write_shards
from data_pipeline.tokenization import (
    SampleConfig,
    TrainTokenizerConfig,
    sample_documents,
    tokenise,
    train_tokenizer,
)

_VOCABULARY = (
    "river water stone bridge mill wheel grain flour bread oven fire smoke sky cloud rain field "
    "horse cart road market coin trade letter ship harbour rope sail wind north winter snow ice "
    "lamp window table chair paper ink word story song drum night morning garden apple root seed"
)
WORDS = _VOCABULARY.split()


def make_text(seed: int, num_words: int) -> str:
    """Sentences and paragraphs of English-like words: predictable enough for a model to learn."""
    rng = random.Random(seed)
    words: list[str] = []
    place = rng.randrange(len(WORDS))
    for number in range(num_words):
        # Mostly the next word of the list, so that there is something to learn.
        follows = rng.random() < 0.8
        place = (place + 1) % len(WORDS) if follows else rng.randrange(len(WORDS))
        ending = "" if rng.random() > 0.12 else rng.choice((".", ".\n\n", ",", f" {number}."))
        words.append(WORDS[place] + ending)
    return " ".join(words)


def make_documents(source: str, num_documents: int, *, num_words: int = 30) -> list[Document]:
    """Documents of a source; lengths vary from a few words to twice `num_words`."""
    documents = []
    for number in range(num_documents):
        rng = random.Random(f"{source}/{number}")
        text = make_text(rng.randrange(1 << 30), rng.randint(3, 2 * num_words))
        documents.append(
            Document(
                doc_id=make_doc_id(source, str(number)),
                source=source,
                uri=f"https://{source}.example/{number}",
                text=text,
                origin=Origin(f"{source}.txt", number),
            )
        )
    return documents


@lru_cache(maxsize=4)
def make_tokenizer(vocab_size: int = 384) -> Tokenizer:
    """A BPE tokenizer of the synthetic text."""
    config = TrainTokenizerConfig(vocab_size=vocab_size, num_threads=1, sample=SampleConfig())
    documents = make_documents("tokenizer", 100)
    return Tokenizer(train_tokenizer(sample_documents(documents, config.sample), config))


def make_dataset(  # noqa: PLR0913 - what a test may want to vary
    folder: Path,
    *,
    sources: Sequence[str] = ("web",),
    num_documents: int = 60,
    seq_len: int = 32,
    vocab_size: int = 384,
    validation_fraction: float = 0.2,
    rows_per_chunk: int = 8,
    chunks_per_shard: int = 4,
) -> Path:
    """Write `train/` and `validation/` (each with manifest.json) and `tokenizer/` under `folder`.

    Each source has `num_documents` documents; at the defaults some 150 rows a source and several
    shards. Returns `folder`. The same arguments give the same bytes.
    """
    tokenizer = make_tokenizer(vocab_size)
    save_tokenizer(tokenizer, str(folder / "tokenizer"))
    row_tokens = seq_len + 1
    shards_config = ShardsConfig(
        seq_len=seq_len,
        chunk_tokens=rows_per_chunk * row_tokens,
        shard_tokens=chunks_per_shard * rows_per_chunk * row_tokens,
    )
    split_config = SplitConfig(validation_fraction=validation_fraction)
    for split in ("train", "validation"):
        shards: list[ShardInfo] = []
        for source in sources:
            sections = sections_of(make_documents(source, num_documents), split, split_config)
            rows = pack(
                tokenise(sections, tokenizer), seq_len=seq_len, eot_id=tokenizer.spec.eot_id
            )
            shards += write_shards(
                rows, folder=str(folder / split), prefix=source, config=shards_config
            )
        _write_manifest(folder, split, tokenizer, seq_len, shards)
    return folder


def _write_manifest(
    folder: Path, split: str, tokenizer: Tokenizer, seq_len: int, shards: list[ShardInfo]
) -> None:
    num_samples = sum(shard.num_samples for shard in shards)
    manifest = ShardManifest(
        dataset_id="synthetic",
        split=split,
        seq_len=seq_len,
        token_dtype=tokenizer.spec.token_dtype,
        tokenizer=tokenizer.spec,
        tokenizer_path=f"../tokenizer/{MODEL_NAME}",
        shards=tuple(shards),
        counts={"in": num_samples, "kept": num_samples, "dropped": {}},
        config_sha256="0" * 64,
        code_version="test",
    )
    write_manifest(manifest, storage.join(str(folder), split, "manifest.json"))
