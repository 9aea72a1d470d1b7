"""Deduplication through whole jobs: later crawls, addresses, boilerplate, and any layout."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from contracts.config import load_config
from contracts.storage import sha256_of
from data_pipeline.config import DataConfig
from data_pipeline.dedup.key_index import INDEX_PATH
from data_pipeline.document_index import read_index
from data_pipeline.documents import read_documents, read_drops
from data_pipeline.pipeline import run_job
from tests.data_job import WORDS

CONFIG = """
output_dir: {output_dir}
sources: [{{kind: jsonl, name: {name}, files: [{folder}/*.jsonl]}}]
extractor: {{kind: resiliparse}}
tokenizer: {{kind: train, vocab_size: 400}}
shards: {{seq_len: 64, chunk_tokens: 2048, shard_tokens: 4096}}
split: {{validation_fraction: 0.2, section_bytes: 2000}}
runner: {{kind: local}}
tracking: {{kind: none}}
"""


def text(seed: int, num_words: int = 120) -> str:
    return " ".join(random.Random(seed).choices(WORDS.split(), k=num_words))


def write_pages(folder: Path, pages: dict[str, str], *, num_files: int = 3) -> Path:
    folder.mkdir(parents=True)
    for number in range(num_files):
        lines = [
            json.dumps({"id": url, "url": url, "text": page})
            for url, page in list(pages.items())[number::num_files]
        ]
        (folder / f"{number}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def run(tmp_path: Path, name: str, pages: dict[str, str], *overrides: str) -> Path:
    folder = tmp_path / f"in-{name}"
    if not folder.exists():
        write_pages(folder, pages)
    path = tmp_path / f"{name}.yaml"
    output_dir = tmp_path / f"out-{name}"
    path.write_text(CONFIG.format(output_dir=output_dir, folder=folder, name=name))
    run_job(load_config(DataConfig, path, list(overrides)))
    return output_dir


def kept(output_dir: Path) -> dict[str, str]:
    index = read_index(str(output_dir))
    return {
        stored.document.uri: stored.document.text
        for file in index.files
        for stored in read_documents(index.url(file.path))
    }


def dropped(output_dir: Path) -> dict[str, str]:
    index = read_index(str(output_dir))
    return {
        stored.drop.uri: f"{stored.drop.stage}/{stored.drop.reason}"
        for file in index.files
        for path in file.drops_paths
        for stored in read_drops(index.url(path))
    }


def pages_of(host: str, seeds: range) -> dict[str, str]:
    return {f"https://{host}/{seed}": text(seed) for seed in seeds}


@pytest.mark.parametrize("has_keys", [True, False])
def test_later_crawls_repeat_nothing_of_earlier_ones(tmp_path: Path, has_keys: bool) -> None:
    option = f"dedup.keep_keys={str(has_keys).lower()}"
    first = run(tmp_path, "a", pages_of("a.org", range(40)), option)
    assert len(kept(first)) == 40
    assert (first / INDEX_PATH).exists() == has_keys
    before = {path: sha256_of(str(path)) for path in first.rglob("*.parquet")}

    copies = {f"https://b.org/{n}": text(n) for n in range(0, 40, 4)}
    near = {f"https://near.org/{n}": text(n) + " and two more" for n in range(1, 40, 4)}
    again = {f"http://www.a.org/{n}/": text(1000 + n) for n in (2, 6)}
    own = pages_of("b.org", range(100, 130))
    against = f"dedup.against=[{first}]"
    second = run(tmp_path, "b", copies | near | again | own, option, against)
    assert kept(second).keys() == own.keys()
    reasons = Counter(dropped(second).values())
    assert reasons == {"dedup/exact": 10, "dedup/minhash": 10, "dedup/url": 2}

    mixed = {f"https://c.org/{n}": text(n) for n in (0, 3, 101, 110)}
    fresh = pages_of("c.org", range(200, 230))
    third = run(tmp_path, "c", mixed | fresh, option, f"dedup.against=[{first}, {second}]")
    assert kept(third).keys() == fresh.keys()
    # What is published stands as it stood.
    assert {path: sha256_of(str(path)) for path in first.rglob("*.parquet")} == before


def test_the_layout_changes_no_byte(tmp_path: Path) -> None:
    pages = {f"https://a.org/{n}": text(n, 20) for n in range(2200)}
    pages |= {f"https://b.org/{n}": text(n, 20) for n in range(0, 2200, 30)}
    first = run(tmp_path, "a", pages)
    assert not (first / "ledger" / "repeats").exists()  # a small search is one task
    other = tmp_path / "other"
    run(tmp_path, "a", pages, f"output_dir={other}", "dedup.memory_bytes=4194304")
    assert (other / "ledger" / "repeats").exists()
    for folder in ("documents", "signatures", "train", "validation"):
        names = [path.relative_to(first) for path in (first / folder).rglob("*") if path.is_file()]
        assert names
        for name in names:
            if name.name != "manifest.json":
                assert sha256_of(str(first / name)) == sha256_of(str(other / name))


def test_lines_that_a_host_repeats_are_removed_from_its_pages_alone(tmp_path: Path) -> None:
    notice = "This notice stands on each page of the host and says nothing new."
    pages = {f"https://a.org/{n}": f"{text(n)}\n\n{notice}" for n in range(30)}
    pages |= {f"https://b.org/{n}": f"{text(100 + n)}\n\n{notice}" for n in range(5)}
    pages |= {"https://a.org/short": f"Few words of its own.\n\n{notice}"}
    pages |= {f"book-{n}.txt": f"{text(200 + n)}\n\n{notice}" for n in range(30)}
    output_dir = run(tmp_path, "a", pages, "dedup.boilerplate={}", "dedup.minhash=null")
    texts = kept(output_dir)
    for uri, found in texts.items():
        assert (notice in found) == (not uri.startswith("https://a.org/")), uri
        assert found == pages[uri].removesuffix(f"\n\n{notice}") or notice in found
    assert dropped(output_dir) == {"https://a.org/short": "boilerplate/too_short"}
    index = read_index(str(output_dir))
    measures = {
        stored.document.uri: stored.measures
        for file in index.files
        for stored in read_documents(index.url(file.path))
    }
    assert measures["https://a.org/1"]["boilerplate.num_lines"] == 1.0
    assert measures["https://a.org/1"]["boilerplate.num_characters"] == len(notice) + 2
    assert measures["book-1.txt"]["boilerplate.num_lines"] == 0.0
