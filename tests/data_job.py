"""Small inputs for data jobs, and the job as a user starts it: `python -m data_pipeline`."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from contracts.storage import sha256_of
from data_pipeline.sources.warc_writer import write_pages

ROOT = Path(__file__).resolve().parent.parent
WORDS = (
    "the of and to in that was for on are with they at one have this from had by hot word but what "
    "some we can out other were all there when up use your how said an each she which do time if "
    "will way about many then them write would like so these her long make thing see him two look"
)
SHARED_TEXT = "This very sentence stands in each of the files of the input, word for word. " * 4

CONFIG = """
output_dir: {output_dir}
sources:
  - {{kind: jsonl, name: web, files: [{folder}/web-*.jsonl]}}
  - {{kind: jsonl, name: notes, files: [{folder}/notes-*.jsonl]}}
extractor: {{kind: trafilatura}}
filters:
  - {{kind: language, languages: [en], min_score: 0.2}}
  - {{kind: length}}
tokenizer: {{kind: train, vocab_size: 400}}
shards: {{seq_len: 64, chunk_tokens: 2048, shard_tokens: 4096}}
split: {{validation_fraction: 0.2, section_bytes: 2000}}
runner: {{kind: local}}
tracking: {{kind: none}}
"""


def write_input(folder: Path, *, num_files: int = 4, num_documents: int = 30) -> None:
    """Two sources of JSON lines: `num_files` of `web`, two of `notes`."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = random.Random(7)
    words = WORDS.split()
    names = [f"web-{i:02d}" for i in range(num_files)] + ["notes-00", "notes-01"]
    for name in names:
        lines = []
        for number in range(num_documents):
            text = " ".join(chosen.choices(words, k=chosen.randint(5, 200))) + "."
            if number == 7:
                text = SHARED_TEXT
            lines.append(json.dumps({"id": f"{name}-{number}", "text": text}))
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def write_crawl(folder: Path, *, num_files: int = 4, num_documents: int = 30) -> None:
    """WARC files of pages, `crawl-*.warc.gz`."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = random.Random(11)
    words = WORDS.split()
    for file in range(num_files):
        pages = []
        for number in range(num_documents):
            texts = [" ".join(chosen.choices(words, k=60)) for _ in range(chosen.randint(1, 5))]
            body = "".join(f"<p>{text}.</p>" for text in texts)
            page = f"<html><body><article><h1>Page {number}</h1>{body}</article></body></html>"
            pages.append((f"https://example.org/{file}/{number}", page.encode()))
        with (folder / f"crawl-{file:02d}.warc.gz").open("wb") as stream:
            write_pages(stream, pages, isbn=f"crawl-{file}")


def write_config(path: Path, *, folder: Path, output_dir: Path) -> Path:
    """A config over `write_input`'s files."""
    path.write_text(CONFIG.format(folder=folder, output_dir=output_dir))
    return path


def command(verb: str, config: Path, *overrides: str) -> list[str]:
    """The command line of a verb."""
    return [sys.executable, "-m", "data_pipeline", verb, str(config), *overrides]


def run_verb(
    verb: str, config: Path, *overrides: str, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """A verb run to its end."""
    return subprocess.run(
        command(verb, config, *overrides),
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def kill_when(reached: Callable[[], bool], arguments: list[str]) -> None:
    """Start the job in a process group of its own, and kill all of it once `reached`."""
    job = subprocess.Popen(
        arguments,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not reached():
        assert job.poll() is None, "the job ended before the moment to kill it"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.killpg(job.pid, signal.SIGKILL)
    assert job.wait(timeout=30) == -signal.SIGKILL


def shard_hashes(
    output_dir: Path, splits: Sequence[str] = ("train", "validation")
) -> dict[str, str]:
    """sha256 of each shard and index by its path in the output folder."""
    return {
        str(path.relative_to(output_dir)): sha256_of(str(path))
        for split in splits
        for path in sorted((output_dir / split).iterdir())
        if path.name != "manifest.json"
    }
