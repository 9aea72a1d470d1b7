"""The input of the data benchmark: the shared crawl, and pages of Debian's documentation packages.

Packages come by `apt-get download`; `make_crawl.py` of the test data makes WARC files of them, with
5 % exact and 5 % near duplicates and no damage (damage is a row of its own: the peers' readers end
silently at it, and would read fewer pages). All is cached, and named by what it is made of.
"""

import gzip
import hashlib
import json
import os
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT, StepError, run_command

PACKAGES = (
    "debian-handbook",
    "libreoffice-help-de",
    "libreoffice-help-es",
    "libreoffice-help-fr",
    "apache2-doc",
    "postgresql-doc-15",
    "python3.11-doc",
    "python-django-doc",
    "git-doc",
    "lilypond-doc-html-de",
    "developers-reference",
)
"""Prose in some twenty languages, references, tables; those a release lacks are left out."""
MADE_WARCS = 8
COPIES = 0.05
"""Share of exact, and of near duplicates."""
DOWNLOAD_SECONDS = 300.0
MAKE_SECONDS = 600.0
FULL_PAGES = 8000


@dataclass(frozen=True)
class Crawl:
    """WARC files, and what they hold."""

    folder: Path
    """`warc/*.warc.gz`, and `wet/*` of the made ones."""
    pages: int
    warc_bytes: int
    missing: tuple[str, ...]
    """What could not be had, and why."""

    @property
    def warcs(self) -> list[Path]:
        """The files, in order."""
        return sorted((self.folder / "warc").glob("*.warc.gz"))


def test_data() -> Path:
    """The folder of real test data.

    Raises:
        StepError: there is none.
    """
    place = Path(os.environ.get("HEADWATER_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (place / "make_crawl.py").exists():
        raise StepError(
            "input",
            f"{place} holds no test data (make_crawl.py, crawl/); name its folder in the "
            "environment variable HEADWATER_TEST_DATA",
            "",
        )
    return place


def shared_warcs(data: Path) -> list[Path]:
    """The four files of the shared crawl."""
    return sorted((data / "crawl").rglob("*.warc.gz"))


def made_crawl(cache: Path, num_pages: int) -> Crawl:
    """A crawl of about `num_pages` pages; made once, and again while packages were missing.

    Raises:
        StepError: the test data is missing, or make_crawl.py fails.
    """
    data = test_data()
    recipe = [*PACKAGES, str(COPIES), str(MADE_WARCS), (data / "make_crawl.py").read_text()]
    digest = hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:8]
    folder = cache / f"crawl-{num_pages}-{digest}"
    facts = folder / "crawl.json"
    if facts.exists():
        crawl = _read(facts)
        if not crawl.missing or crawl.pages >= num_pages:
            return crawl
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    found = _make(folder, cache, data, num_pages)
    facts.with_suffix(".partial").write_text(json.dumps(found))
    facts.with_suffix(".partial").replace(facts)
    return _read(facts)


def _read(facts: Path) -> Crawl:
    tree = json.loads(facts.read_text())
    return Crawl(facts.parent, **{**tree, "missing": tuple(tree["missing"])})


def _make(folder: Path, cache: Path, data: Path, num_pages: int) -> dict[str, object]:
    files = shared_warcs(data)
    num_shared = max(1, min(len(files), round(len(files) * num_pages / FULL_PAGES)))
    (folder / "warc").mkdir()
    (folder / "wet").mkdir()
    chosen = files[:num_shared]
    for number, file in enumerate(chosen):
        shutil.copy(file, folder / "warc" / f"shared-{number}.warc.gz")
    pages_of = _pages_of(data)
    shared_pages = sum(pages_of[file.relative_to(data / "crawl").as_posix()] for file in chosen)
    roots, missing = _unpacked(cache)
    pages = shared_pages
    if roots:
        pages += _make_warcs(folder, data, roots, num_pages - shared_pages)
    warc_bytes = sum(file.stat().st_size for file in (folder / "warc").iterdir())
    return {
        "pages": pages,
        "warc_bytes": warc_bytes,
        "missing": missing,
    }


def _pages_of(data: Path) -> Counter[str]:
    """Pages in each file of the shared crawl."""
    with gzip.open(data / "crawl" / "records.jsonl.gz", "rt") as stream:
        return Counter(json.loads(line)["warc"] for line in stream)


def _make_warcs(folder: Path, data: Path, roots: list[Path], num_pages: int) -> int:
    made = folder / "made"
    wanted = max(1, round(num_pages / (1 + 2 * COPIES)))
    command = [sys.executable, str(data / "make_crawl.py"), str(made), *map(str, roots)]
    command += ["--warcs", str(MADE_WARCS), "--segments", "1", "--jobs", "2", "--seed", "1"]
    command += ["--max-pages", str(wanted), "--max-page-mb", "0.6", "--min-words", "50"]
    command += ["--exact-dup-rate", str(COPIES), "--near-dup-rate", str(COPIES)]
    run_command("make_crawl", command, log=folder / "make_crawl.log", timeout=MAKE_SECONDS)
    for kind, pattern in (("warc", "*.warc.gz"), ("wet", "*.warc.wet.gz")):
        for number, file in enumerate(sorted(made.rglob(pattern))):
            file.replace(folder / kind / f"made-{number}{pattern[1:]}")
    counts = json.loads((made / "manifest.json").read_text())
    return int(counts["pages"] + counts["exact_dup"] + counts["near_dup"])


def _unpacked(cache: Path) -> tuple[list[Path], list[str]]:
    """Folders of the packages' files, and what is missing."""
    roots, missing = [], []
    for package in PACKAGES:
        root = cache / "packages" / package
        try:
            if not root.exists():
                _fetch(package, root)
            roots.append(root)
        except StepError as error:
            missing.append(f"{package} ({error.reason}: {error.tail.splitlines()[-1:]})")
    return roots, missing


def _fetch(package: str, root: Path) -> None:
    """Unpack a Debian package without installing it."""
    step, log = f"package {package}", root.parent / f"{package}.log"
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise StepError(step, f"this machine has no {tool}", "")
    download = root.parent / f"{package}.download"
    shutil.rmtree(download, ignore_errors=True)
    download.mkdir(parents=True)
    fetch = ["sh", "-c", 'cd "$1" && apt-get download "$2"', "sh", str(download), package]
    run_command(step, fetch, log=log, timeout=DOWNLOAD_SECONDS)
    for file in download.glob("*.deb"):
        unpack = ["dpkg", "-x", str(file), str(download / "files")]
        run_command(step, unpack, log=log, timeout=DOWNLOAD_SECONDS)
        file.unlink()
    (download / "files").rename(root)
    shutil.rmtree(download)
