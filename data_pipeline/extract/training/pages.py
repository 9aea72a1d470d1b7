"""The pages to learn from: annotated ones of a crawl, and folders of HTML without labels."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastwarc.warc import ArchiveIterator, WarcRecordType
from tld import get_fld

from data_pipeline.extract.charset import decoded

GOLD = "extraction-gold.jsonl"
WARCS = "crawl/crawl-data/*/segments/*/warc/*.warc.gz"
NUM_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Page:
    """One page; `gold` has what must and must not be in its text, None where nobody said."""

    uri: str
    html: str
    gold: Mapping[str, Any] | None

    @property
    def fold(self) -> int:
        """The fold that the page's registered domain falls into; -1 for one without gold."""
        if self.gold is None:
            return -1
        domain = get_fld(self.uri, fail_silently=True, fix_protocol=True) or self.uri.split("/")[2]
        return zlib.crc32(domain.encode()) % NUM_FOLDS


def pages_of(data: Path, unlabelled: list[Path]) -> list[Page]:
    """The pages of the folder of test data, then those below folders of HTML files."""
    lines = (data / GOLD).read_text(encoding="utf-8").splitlines()
    gold = {entry["record_id"]: entry for entry in map(json.loads, lines)}
    pages = []
    for path in sorted(data.glob(WARCS)):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, record_types=WarcRecordType.response):
                entry = gold.get(record.record_id)
                uri = str(record.headers["WARC-Target-URI"])
                html = decoded(record.reader.read(), record.http_charset)
                pages.append(Page(uri, html, entry))
    for folder in unlabelled:
        for path in sorted(folder.rglob("*.html")):
            uri = f"file:{path.relative_to(folder)}"
            pages.append(Page(uri, decoded(path.read_bytes(), None), None))
    return pages
