"""The embedded default: the documentation that every Python carries, as a small web and a book.

`part: pages` renders the standard library with `pydoc` to HTML pages, writes them as a WARC file in
Common Crawl's record layout and reads that through `common_crawl`; `part: reference` writes the
language reference (`pydoc_data.topics`) as a text and reads it through `bookcorpus`. Nothing is
downloaded. The pages come from a process of its own with an empty environment, so that no variable
and no path of the machine gets into them; the same Python gives the same bytes.
"""

import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from contracts import storage
from contracts.errors import DataError
from data_pipeline.records import Drop, RawRecord, WorkUnit
from data_pipeline.sources.bookcorpus import BookCorpusConfig
from data_pipeline.sources.common_crawl import CommonCrawlConfig
from data_pipeline.sources.protocol import NamedSourceConfig, Source
from data_pipeline.sources.warc_writer import write_pages

logger = logging.getLogger(__name__)

RENDERER = Path(__file__).with_name("python_docs_pages.py")
RENDER_TIMEOUT_SECONDS = 600
LICENCE = "PSF-2.0"


class PythonDocsConfig(NamedSourceConfig):
    """The standard library's documentation, rendered on this machine."""

    kind: Literal["python_docs"] = "python_docs"
    part: Literal["pages", "reference"] = "pages"
    """`pages`: about 290 HTML pages in a WARC; `reference`: the language reference as one book."""
    cache_dir: str = "runs/python_docs"
    """Where the WARC and the book are written once; all nodes of a cluster must see it."""

    def build(self) -> "PythonDocs":
        """The source; nothing is rendered before `plan`."""
        return PythonDocs(self)


class PythonDocs:
    """Makes a WARC or a book where there is none, then reads it by the source of that format."""

    def __init__(self, config: PythonDocsConfig) -> None:
        self._part = config.part
        version = ".".join(str(part) for part in sys.version_info[:3])
        name = f"pydoc-{version}.warc.gz" if config.part == "pages" else f"reference-{version}.txt"
        self._url = storage.join(config.cache_dir, name)
        licence = config.licence or LICENCE
        self._reader: Source
        if config.part == "pages":
            self._reader = CommonCrawlConfig(
                name=config.source_name, licence=licence, files=(self._url,)
            ).build()
        else:
            self._reader = BookCorpusConfig(
                name=config.source_name, licence=licence, files=(self._url,)
            ).build()

    @property
    def name(self) -> str:
        """Unique in a job."""
        return self._reader.name

    @property
    def is_rendered(self) -> bool:
        """Whether `plan` finds the WARC or book already there."""
        return storage.exists(self._url)

    def plan(self) -> list[WorkUnit]:
        """The units of the WARC or book, which is made first where it is missing.

        Raises:
            DataError: pydoc failed.
        """
        if not self.is_rendered:
            if self._part == "pages":
                self._write_warc()
            else:
                storage.write_bytes(self._url, reference_text().encode())
        return self._reader.plan()

    def records(self, unit: WorkUnit) -> Iterator[RawRecord | Drop]:
        """The pages, or the book."""
        return self._reader.records(unit)

    def _write_warc(self) -> None:
        with tempfile.TemporaryDirectory(prefix="pydoc-") as folder:
            _render(Path(folder))
            pages = sorted(Path(folder).glob("*.html"))
            version = ".".join(str(part) for part in sys.version_info[:2])
            with storage.atomic_write(self._url) as stream:
                write_pages(
                    stream,
                    ((f"https://pydoc.invalid/{version}/{p.name}", p.read_bytes()) for p in pages),
                    isbn="pydoc",
                )
            logger.info("source=python_docs pages=%d file=%s", len(pages), self._url)


def _render(folder: Path) -> None:
    """Fill a folder with one HTML file a module, in an isolated process.

    Raises:
        DataError: the process failed, hung, or made no page.
    """
    logger.info("rendering the standard library's documentation with pydoc (about 20 s)")
    executable = str(getattr(sys, "_base_executable", sys.executable))
    command = (executable, "-P", "-s", "-S", str(RENDERER), str(folder))
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(  # noqa: S603 - our own file, no user input in the command
            command,
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=RENDER_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(
            f"pydoc took more than {RENDER_TIMEOUT_SECONDS} s with {executable}; "
            "try again on a machine with less load"
        ) from error
    if done.returncode or not any(folder.glob("*.html")):
        raise DataError(
            f"pydoc with {executable} ended with exit code {done.returncode}: "
            f"{done.stderr.strip()[-500:]}; is this Python's standard library complete?"
        )
    for line in done.stderr.splitlines():
        logger.info("pydoc: %s", line)


def reference_text() -> str:
    """The language reference as one text: its topics in alphabetical order.

    Raises:
        DataError: this Python was built without `pydoc_data`.
    """
    try:
        from pydoc_data.topics import topics  # not in every distribution's minimal Python
    except ImportError as error:
        raise DataError(
            "this Python has no pydoc_data.topics; install its full standard library "
            "(Debian: libpython3-stdlib) or leave out python_docs part=reference"
        ) from error
    head = "Title: The Python Language Reference\nAuthor: Python Software Foundation\n"
    return "\n\n\n".join([head, *(topics[name].strip() for name in sorted(topics))]) + "\n"
