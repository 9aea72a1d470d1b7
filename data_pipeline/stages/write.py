"""Write: a group of document files of one source becomes packed shards of each split."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from contracts import storage
from contracts.shards import ShardInfo
from contracts.tokenizer import Tokenizer, load_tokenizer
from data_pipeline.packing import pack
from data_pipeline.progress import ProgressFile, Tally
from data_pipeline.records import Document, PackedSample
from data_pipeline.sections import TRAIN, VALIDATION, SplitConfig, sections_of
from data_pipeline.shard_writer import ShardsConfig, write_shards
from data_pipeline.stages.counting import counted_documents
from data_pipeline.stages.task import Outcome
from data_pipeline.tokenization import tokenise

SPLITS = (TRAIN, VALIDATION)
PASSES = len(SPLITS)
"""Times a group's documents are read."""


@dataclass(frozen=True)
class WriteTask:
    """Tokenise, pack and write one group."""

    output_dir: str
    unit_id: str
    source: str
    group: int
    """Number of the group in its source; its last row of each split is padded."""
    documents_urls: tuple[str, ...]
    tokenizer_url: str
    split: SplitConfig
    shards: ShardsConfig
    num_bytes: int


def write_group(task: WriteTask, progress: ProgressFile) -> Outcome:
    """Shards `work/write/<unit_id>.<split>-NNNNN.tar` and their ShardInfo by split."""
    tokenizer = load_tokenizer(task.tokenizer_url)
    tally = Tally()
    shards: dict[str, list[ShardInfo]] = {}
    for split in SPLITS:
        documents = counted_documents(task.documents_urls, tally, progress)
        shards[split] = write_shards(
            _rows(documents, split, tokenizer, task),
            folder=storage.join(task.output_dir, "work/write"),
            prefix=f"{task.unit_id}.{split}",
            config=task.shards,
            group=task.group,
        )
    files = [name for infos in shards.values() for s in infos for name in (s.path, s.index_path)]
    return Outcome(
        tuple(f"work/write/{name}" for name in files),
        {
            "num_in": tally.documents // PASSES,
            "shards": {split: [asdict(info) for info in infos] for split, infos in shards.items()},
        },
    )


def _rows(
    documents: Iterable[Document], split: str, tokenizer: Tokenizer, task: WriteTask
) -> Iterator[PackedSample]:
    sections = sections_of(documents, split, task.split)
    tokenised = tokenise(sections, tokenizer)
    return pack(tokenised, seq_len=task.shards.seq_len, eot_id=tokenizer.spec.eot_id)
