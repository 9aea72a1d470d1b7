"""Items of every evaluation set, planted in pages of a crawl, are found; no other page is hit."""

import html
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_pipeline.document_index import read_index
from data_pipeline.documents import read_drops
from data_pipeline.filters import DecontaminationConfig, FilterChain
from data_pipeline.normal_text import normalized
from data_pipeline.records import Document, Origin
from data_pipeline.sources.warc_writer import write_pages
from tests.data_job import run_verb

pytestmark = [pytest.mark.shared_data, pytest.mark.timeout(300)]

NUM_SETS = 31
PER_SET = 25
FILLER = 700
"""Characters of a book before a planted item, and behind it."""

CONFIG = """
output_dir: {folder}/out
sources:
  - {{kind: common_crawl, name: web, files: ["{folder}/crawl-*.warc.gz"]}}
extractor: {{kind: resiliparse, is_main_content: false}}
filters:
  - {{kind: decontamination, eval_files: ["{eval_files}"]}}
dedup: {{exact: false, minhash: null}}
tokenizer: {{kind: train, vocab_size: 400, sample: {{sample_bytes: 200000}}}}
shards: {{seq_len: 128, chunk_tokens: 16384, shard_tokens: 1048576}}
runner: {{kind: local}}
tracking: {{kind: none}}
"""


def passage_of(item: dict[str, Any]) -> str:
    """An item as a page would quote it: with the right answer."""
    if "query" in item:
        return f"{item['query']} {item['choices'][item['gold']]}"
    if "context_options" in item:
        return f"{item['context_options'][item['gold']]} {item['continuation']}"
    rest = [item.get("chain_of_thought"), item.get("continuation") or item.get("answer")]
    return " ".join([item["context"], *(text for text in rest if isinstance(text, str))])


def is_covered(passage: str) -> bool:
    """Whether the stated rule finds it: eight words, or twenty characters as written."""
    return len(normalized(passage).split()) >= 8 or len("".join(passage.split())) >= 20


@pytest.fixture(scope="module")
def passages(shared_data: Path) -> dict[str, list[str]]:
    return {
        path.stem: [passage_of(json.loads(line)) for line in path.read_text().splitlines() if line]
        for path in sorted((shared_data / "eval").glob("*/*.jsonl"))
    }


def fillers(shared_data: Path) -> Iterator[str]:
    """Pieces of books, none twice."""
    for book in sorted((shared_data / "books" / "text").glob("*.txt")):
        text = book.read_text()
        for start in range(0, len(text) - FILLER, FILLER):
            yield text[start : start + FILLER]


def page(*paragraphs: str) -> bytes:
    body = "".join(f"<p>{html.escape(text)}</p>" for text in paragraphs)
    return f"<html><body><article>{body}</article></body></html>".encode()


def test_planted_items_are_dropped_and_nothing_else(
    passages: dict[str, list[str]], shared_data: Path, tmp_path: Path
) -> None:
    filler = fillers(shared_data)
    planted: dict[str, str] = {}
    pages: list[tuple[str, bytes]] = []
    assert len(passages) == NUM_SETS
    for name, texts in passages.items():
        covered = list(filter(is_covered, texts))
        step = max(1, len(covered) // PER_SET)
        for number, text in enumerate(covered[::step]):
            url = f"https://planted.example/{name}/{number}"
            planted[url] = name
            pages.append((url, page(next(filler), text, next(filler))))
            clean = f"https://clean.example/{name}/{number}"
            pages.append((clean, page(next(filler), next(filler))))
    with (tmp_path / "crawl-0.warc.gz").open("wb") as stream:
        write_pages(stream, pages, isbn="planted")
    config = tmp_path / "job.yaml"
    eval_files = f"{shared_data}/eval/*/*.jsonl"
    config.write_text(CONFIG.format(folder=tmp_path, eval_files=eval_files))
    done = run_verb("run", config)
    assert done.returncode == 0, done.stderr
    index = read_index(str(tmp_path / "out"))
    assert sum(file.num_in for file in index.files) == len(pages)
    drops = [
        dropped.drop
        for file in index.files
        for path in file.drops_paths
        for dropped in read_drops(index.url(path))
    ]
    assert {drop.stage for drop in drops} == {"decontamination"}
    assert {drop.uri for drop in drops} == set(planted)
    # An item that stands in two sets counts for the first of them.
    named_otherwise = Counter(planted[d.uri] for d in drops if d.reason != planted[d.uri])
    assert named_otherwise.keys() <= {"lambada_openai_small", "winogender_mc_male"}
    card = (tmp_path / "out" / "DATA_CARD.md").read_text()
    assert "`gsm8k` 26, " in card.split("documents that hold text of one, by set: ")[1]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["safety"]["eval_sets"] == report["dropped"]["decontamination"]
    assert sum(report["dropped"]["decontamination"].values()) == len(planted)


def test_every_item_is_found_that_the_rule_covers(
    passages: dict[str, list[str]], shared_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chain = FilterChain([DecontaminationConfig(eval_files=(f"{shared_data}/eval/*/*.jsonl",))])

    def is_kept(text: str) -> bool:
        document = Document("d", "web", "", text, Origin("f", 0))
        return chain.judge(document).verdict.keep

    with caplog.at_level("INFO"):
        assert is_kept("Not a word of these.")
    around = next(fillers(shared_data))
    missed = Counter(
        name
        for name, texts in passages.items()
        for text in texts
        if is_covered(text) and is_kept(f"{around}\n\n{text}\n\n{around}")
    )
    assert missed == Counter()
    uncovered = {
        name: count
        for name, texts in passages.items()
        if (count := sum(not is_covered(text) for text in texts))
    }
    # Counted in the log are items no passage of which can be found, with a wrong answer neither.
    assert uncovered == {"openbook_qa": 2, "simple_arithmetic_nospaces": 702}
    assert "not_matchable.openbook_qa=1 not_matchable.simple_arithmetic_nospaces=702" in caplog.text


def test_books_and_real_text_hold_no_item(shared_data: Path) -> None:
    chain = FilterChain([DecontaminationConfig(eval_files=(f"{shared_data}/eval/*/*.jsonl",))])
    texts = sorted((shared_data / "books" / "text").glob("*.txt"))
    for path in [*texts, shared_data / "wikitext-2" / "wiki.valid.tokens"]:
        document = Document("d", "web", "", path.read_text(), Origin("f", 0))
        assert chain.judge(document).verdict.keep, path
