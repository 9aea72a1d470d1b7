"""Loaded by the server of page processes alone, so that its children need not do it each anew.

Libraries that load lazily, what they set up at their first page, models, and the tables of the
characters that most pages have: a quarter of a second, which would be paid for every unit. The one
module that works when it is imported: a server that forks has no other moment for it.
"""

from data_pipeline.dedup import DedupConfig
from data_pipeline.dedup.minhash import MinHashConfig
from data_pipeline.extract import BalancedConfig, FastConfig, LearnedConfig
from data_pipeline.filters import FilterChain, OptOutConfig, PiiConfig
from data_pipeline.filters.gopher_quality import GopherQualityConfig
from data_pipeline.filters.language import LanguageConfig
from data_pipeline.filters.word_list import WordListConfig
from data_pipeline.records import Document, Origin
from data_pipeline.stages import isolation  # noqa: F401 - what the children run

_PAGE = "<html><body><div><article><p>A page to begin with.</p></article></div></body></html>"
_BLOCKS = (*range(0x0A), 0x0E, 0x1E, *range(0x20, 0x28), *range(0x30, 0x34), *range(0x4E, 0xA0))
"""Latin to Hindi, Thai, punctuation, Japanese and Chinese: tables are filled in blocks of 256."""
_TEXT = "A text to begin with: " + "".join(chr((block << 8) + 0x41) for block in _BLOCKS)


def _work_once() -> None:
    """What is done with a page, by each part that sets something up."""
    for extractor in (FastConfig(), LearnedConfig(), BalancedConfig()):
        extractor.main_text(_PAGE)
    filters = (LanguageConfig(), GopherQualityConfig(), WordListConfig())
    document = Document("", "", "", _TEXT, Origin("", 0))
    FilterChain(filters, OptOutConfig(), PiiConfig()).judge(document)
    DedupConfig(minhash=MinHashConfig()).build().signature(document)


_work_once()
