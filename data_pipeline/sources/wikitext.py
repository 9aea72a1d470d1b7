"""WikiText files (`wiki.*.tokens`; Merity et al. 2016): articles, tokenised for word models.

A line ` = Title = ` begins an article; ` = = Section = = ` does not. With `detokenise` the blanks
around punctuation and the signs `@-@`, `@,@`, `@.@` are undone by the rules of
contracts/wikitext.py, which the evaluation uses too. `<unk>` stands for a rare word that nobody can
know any more: it is kept as these five characters, removed with the blank before it, or takes the
whole line away.
"""

import logging
import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from contracts import storage
from contracts.wikitext import detokenised
from data_pipeline.records import Drop, Origin, RawRecord, WorkUnit
from data_pipeline.sources.input_files import units_of_files
from data_pipeline.sources.protocol import NamedSourceConfig, read_drop

logger = logging.getLogger(__name__)

HELD_OUT = re.compile(r"wiki\.(valid|test)\.(raw|tokens)$")
TITLE = re.compile(r"^ ?= ([^=].*?) = ?$")
LICENCE = "CC BY-SA 3.0"


class WikitextConfig(NamedSourceConfig):
    """Files of WikiText-2 or WikiText-103."""

    kind: Literal["wikitext"] = "wikitext"
    files: tuple[str, ...] = Field(min_length=1)
    """Globs of `wiki.*.tokens`."""
    detokenise: bool = True
    """Ordinary text (true), or the file's own tokens."""
    unknown: Literal["keep", "remove", "drop_line"] = "keep"
    """What becomes of `<unk>`."""

    def build(self) -> "Wikitext":
        """The source."""
        return Wikitext(self)


class Wikitext:
    """One record an article; its origin is the byte offset of the heading."""

    def __init__(self, config: WikitextConfig) -> None:
        self._config = config

    @property
    def name(self) -> str:
        """Unique in a job."""
        return self._config.source_name

    def plan(self) -> list[WorkUnit]:
        """One unit a file; warns where the files are those that models are compared on."""
        units = units_of_files(self.name, self._config.files)
        held_out = sorted({u.path for u in units if HELD_OUT.search(u.path)})
        if held_out:
            logger.warning(
                "source=%s files=%s are held-out text: a model trained on them must not be "
                "evaluated on them",
                self.name,
                ",".join(held_out),
            )
        return units

    def records(self, unit: WorkUnit) -> Iterator[RawRecord | Drop]:
        """Each article; text before the first heading is one without a title."""
        for offset, length, title, lines in _articles(unit.url):
            origin = Origin(unit.path, offset, length)
            record_id = f"{unit.path}:{offset}"
            text = self._text(lines)
            if not text.strip():
                if title is not None:
                    yield read_drop(self.name, origin, "empty_article", record_id=record_id)
                continue
            metadata = {"licence": self._config.licence or LICENCE}
            if title is not None:
                metadata["title"] = detokenised(title) if self._config.detokenise else title
            yield RawRecord(
                record_id=record_id,
                source=self.name,
                uri=f"{unit.path}#{offset}",
                media_type="text/plain",
                payload=text.encode(),
                origin=origin,
                charset="utf-8",
                metadata=metadata,
            )

    def _text(self, lines: list[str]) -> str:
        if self._config.unknown == "drop_line":
            lines = [line for line in lines if "<unk>" not in line]
        text = "".join(lines)
        if self._config.unknown == "remove":
            text = text.replace(" <unk>", "").replace("<unk>", "")
        return detokenised(text) if self._config.detokenise else text


def _articles(url: str) -> Iterator[tuple[int, int, str | None, list[str]]]:
    """Byte offset, bytes, title and lines of each article, the heading among them."""
    offset = begin = 0
    title: str | None = None
    lines: list[str] = []
    with storage.open_read(url) as stream:
        for data in stream:
            line = data.decode("utf-8", errors="replace")
            if heading := TITLE.match(line.rstrip()):
                if lines:
                    yield begin, offset - begin, title, lines
                begin, title, lines = offset, heading[1], []
            lines.append(line)
            offset += len(data)
    if lines:
        yield begin, offset - begin, title, lines
