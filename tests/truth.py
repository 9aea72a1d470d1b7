"""Crawls whose truth is known: made of Debian's documentation, read by a data job, and compared.

`make_crawl.py` of the shared data copies pages (exactly, or with another menu, date and footer)
and damages some in 21 ways; `records.jsonl.gz` beside the crawl says what each page is and what a
reader owes. `outcomes` tells what a job made of each, `Truth.check` compares the two.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from data_pipeline.dedup import normalized
from data_pipeline.document_index import read_index
from data_pipeline.documents import read_documents, read_drops

CRAWL_ID = "CC-MAIN-2026-43"
SMALL_MEGABYTES, LARGE_MEGABYTES = 30, 300
SMALL_PACKAGES = (
    *("python3.11-doc", "python3.13-doc", "postgresql-doc-15", "postgresql-doc-17"),
    *("debian-policy", "developers-reference", "debmake-doc", "maint-guide", "debian-faq"),
)
LARGE_PACKAGES = (
    *("sqlite3-doc", "python-django-doc", "python-sqlalchemy-doc", "apache2-doc", "perl-doc"),
    *("git-doc", "cmake-doc", "erlang-doc", "octave-doc", "python-sympy-doc", "r-doc-html"),
    *("python-pandas-doc", "python-scipy-doc", "libstdc++-12-doc", "libboost1.81-doc"),
    *("debian-handbook", "gimp-help-en", "gimp-help-de", "ghc-doc", "openjdk-17-doc"),
)
KEPT = "kept"
NEAR_JACCARD = 0.9
MIN_SIMILARITY = 0.7
"""True similarity from which a pair counts as alike: the estimate's limit, less its spread."""

CONFIG = """
output_dir: {output_dir}
sources:
  - {{kind: common_crawl, name: web, crawl: {{id: {crawl_id}, root: {crawl}}}, unit_bytes: 1500000}}
extractor: {{kind: resiliparse, is_main_content: false}}
filters: []
tokenizer: {{kind: train, vocab_size: 1000, sample: {{sample_bytes: 1000000}}}}
shards: {{seq_len: 512, chunk_tokens: 262144, shard_tokens: 4194304}}
split: {{validation_fraction: 0.05}}
tracking: {{kind: none}}
runner: {{kind: local}}
"""
"""Nearly all text of a page and no filter, so that it is dedup that is measured."""


def is_large() -> bool:
    """Whether `make test-data` asks for the large crawl."""
    return os.environ.get("HEADWATER_TRUTH") == "large"


def documentation(*, large: bool = False) -> list[Path]:
    """Folders of HTML, one for each Debian package, fetched by apt once and kept in the cache.

    A test that needs them is skipped, saying so, where apt cannot give them.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "headwater" / "debian"
    cache.mkdir(parents=True, exist_ok=True)
    names = SMALL_PACKAGES + LARGE_PACKAGES if large else SMALL_PACKAGES
    found = [folder for name in names if (folder := _package(cache, name)) is not None]
    if len(found) < len(names) // 2:
        pytest.skip(f"apt-get download gives {len(found)} of the packages {', '.join(names)}")
    return found


def _package(cache: Path, name: str) -> Path | None:
    """The unpacked package; an empty folder remembers one that this release does not have."""
    folder = cache / name
    if not folder.exists():
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            return None
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            done = subprocess.run(
                ["apt-get", "-q", "download", name],
                cwd=scratch,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            archives = list(Path(scratch).glob("*.deb"))
            if not archives and "Unable to locate" not in done.stderr:
                return None
            unpacked = Path(scratch) / "unpacked"
            unpacked.mkdir()
            for archive in archives:
                subprocess.run(["dpkg", "-x", str(archive), str(unpacked)], check=True)
            unpacked.rename(folder)
    return folder if any(folder.iterdir()) else None


@dataclass(frozen=True)
class Crawl:
    """A crawl on disk and what is true of its pages."""

    folder: Path
    rows: tuple[Mapping[str, Any], ...]

    def config(self, output_dir: Path) -> str:
        """YAML of a job over it."""
        return CONFIG.format(output_dir=output_dir, crawl=self.folder, crawl_id=CRAWL_ID)


def make_crawl(folder: Path, shared_data: Path, megabytes: float, *, seed: int = 1) -> Crawl:
    """A crawl with 5 % exact and 5 % near duplicates and 2 % damage, of Debian's documentation."""
    script = shared_data / "make_crawl.py"
    if not script.is_file():
        pytest.skip(f"no {script}; set HEADWATER_TEST_DATA to the folder that holds it")
    roots = documentation(large=megabytes > SMALL_MEGABYTES)
    # One folder above all packages: then each package is a host.
    pages = folder / "pages"
    pages.mkdir(parents=True)
    for root in roots:
        shutil.copytree(root, pages / root.name, ignore=_not_html)
    options = [
        "--max-mb",
        str(megabytes),
        "--max-page-mb",
        "0.08",
        "--min-words",
        "50",
        "--warcs",
        "4",
        "--segments",
        "2",
        "--seed",
        str(seed),
    ]
    options += ["--exact-dup-rate", "0.05", "--near-dup-rate", "0.05", "--corrupt-rate", "0.02"]
    options += ["--no-wet", "--jobs", str(min(2, os.cpu_count() or 1))]
    options += ["--crawl-id", CRAWL_ID]
    subprocess.run(
        [sys.executable, str(script), str(folder / "crawl"), str(pages), *options],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    shutil.rmtree(pages)
    with gzip.open(folder / "crawl" / "records.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = tuple(json.loads(line) for line in lines)
    return Crawl(folder / "crawl", rows)


def _not_html(folder: str, names: list[str]) -> set[str]:
    return {
        name
        for name in names
        if not (Path(folder) / name).is_dir() and not name.endswith((".html", ".htm", ".xhtml"))
    }


Place = tuple[str, int]


@dataclass(frozen=True)
class Outcomes:
    """What a job made of each record, by its file and offset."""

    stages: Mapping[Place, str]
    """`kept`, or `stage/reason`."""
    repeats: Mapping[Place, float]
    """Of what dedup removed, the true Jaccard similarity to the document that was kept."""


def outcomes(output_dir: Path) -> Outcomes:
    """What a job made of each record; its `work` folder stands still."""
    index = read_index(str(output_dir))
    stages: dict[Place, str] = {}
    kept_for: dict[Place, str] = {}
    for file in index.files:
        for path in file.drops_paths:
            for dropped in read_drops(index.url(path)):
                drop = dropped.drop
                if drop.origin is None:
                    continue
                place = (drop.origin.path, drop.origin.offset)
                stages[place] = f"{drop.stage}/{drop.reason}"
                if drop.stage == "dedup":
                    kept_for[place] = str(drop.value)
        for stored in read_documents(index.url(file.path)):
            origin = stored.document.origin
            stages[origin.path, origin.offset] = KEPT
    return Outcomes(stages, _similarities(output_dir, kept_for))


def _similarities(output_dir: Path, kept_for: Mapping[Place, str]) -> dict[Place, float]:
    wanted, texts = set(kept_for.values()), {}
    removed: dict[Place, str] = {}
    for path in sorted((output_dir / "work" / "map").glob("*.documents.parquet")):
        for stored in read_documents(str(path)):
            document = stored.document
            place = (document.origin.path, document.origin.offset)
            if place in kept_for:
                removed[place] = document.text
            if document.doc_id in wanted:
                texts[document.doc_id] = document.text
    return {place: jaccard(text, texts[kept_for[place]]) for place, text in removed.items()}


def jaccard(first: str, second: str) -> float:
    """True similarity of two texts: the shared part of their five-word shingles."""
    old, new = (
        {tuple(words[i : i + 5]) for i in range(max(len(words) - 4, 1))}
        for words in (normalized(text).split() for text in (first, second))
    )
    return len(old & new) / len(old | new)


@dataclass
class Truth:
    """How a job's outcomes compare with what is true of the crawl."""

    exact: Counter[bool] = field(default_factory=Counter)
    """Exact copies: is the page kept no more than once?"""
    near: Counter[bool] = field(default_factory=Counter)
    """The same of near copies with a Jaccard similarity of NEAR_JACCARD or more."""
    unique: Counter[bool] = field(default_factory=Counter)
    """Pages without copies: was one falsely removed as a duplicate?"""
    alike: Counter[str] = field(default_factory=Counter)
    """Pages that Debian's packages hold twice, removed rightly; by kind."""
    lost: list[str] = field(default_factory=list)
    """Pages that neither came out nor were dropped by a named rule."""
    uncounted: list[str] = field(default_factory=list)
    """Records owed a skip that came out, or have no drop."""
    falsely: list[str] = field(default_factory=list)
    """Unique pages that were removed as duplicates."""

    @staticmethod
    def check(crawl: Crawl, found: Outcomes) -> "Truth":
        """Compare every row of the truth."""
        truth = Truth()
        stages = found.stages
        copied = {row["of"] for row in crawl.rows if row.get("of")}
        originals = {
            row["url"]: stages.get((row["warc"], row["offset"]))
            for row in crawl.rows
            if not row.get("of")
        }
        for row in crawl.rows:
            place = (row["warc"], row["offset"])
            outcome = stages.get(place)
            truth._check_owed(row, outcome)
            if row["kind"] == "exact_dup":
                truth.exact[outcome != KEPT or originals[row["of"]] != KEPT] += 1
            elif row["kind"] == "near_dup" and row["jaccard"] >= NEAR_JACCARD:
                truth.near[outcome != KEPT or originals[row["of"]] != KEPT] += 1
            elif row["expect"] == "page" and not row.get("of") and row["url"] not in copied:
                truth._check_unique(row, outcome, found.repeats.get(place))
        return truth

    def _check_owed(self, row: Mapping[str, Any], outcome: str | None) -> None:
        line = f"{row['url']} ({row['kind']}): {outcome}"
        if row["expect"] == "page" and (outcome is None or outcome.startswith("read/")):
            self.lost.append(line)
        if row["expect"] == "skip" and outcome in {None, KEPT}:
            self.uncounted.append(line)

    def _check_unique(
        self, row: Mapping[str, Any], outcome: str | None, similarity: float | None
    ) -> None:
        is_removed = (outcome or "").startswith("dedup/")
        is_alike = similarity is not None and similarity >= MIN_SIMILARITY
        if is_alike:
            self.alike[row["kind"]] += 1
        elif is_removed:
            self.falsely.append(f"{row['url']} ({row['kind']}): {outcome}, Jaccard {similarity}")
        self.unique[is_removed and not is_alike] += 1

    @property
    def exact_recall(self) -> float:
        """Share of exact copies that were found."""
        return self.exact[True] / max(self.exact.total(), 1)

    @property
    def near_recall(self) -> float:
        """Share of near copies that were found."""
        return self.near[True] / max(self.near.total(), 1)

    @property
    def false_share(self) -> float:
        """Share of unique pages that were removed as duplicates of what is no copy of them."""
        return self.unique[True] / max(self.unique.total(), 1)

    def require(self) -> None:
        """The bars of the truth tests."""
        assert self.lost == []
        assert self.uncounted == []
        assert self.exact_recall == 1.0
        assert self.near_recall >= 0.97
        assert self.false_share < 0.001, self.falsely
