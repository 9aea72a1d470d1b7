"""Documents a second of each filter, of the whole chain and of signatures, in this process.

    python -m benchmarks.filter_speeds DOCUMENTS.jsonl SECONDS

Prints {name: documents per CPU second} as JSON. `benchmarks.filters` runs it twice: beside the
compiled helpers, and on a copy of the code that has none.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from data_pipeline.dedup import DedupConfig
from data_pipeline.filters import (
    C4Config,
    FilterChain,
    FineWebConfig,
    GopherQualityConfig,
    GopherRepetitionConfig,
    LanguageConfig,
    LengthConfig,
    UrlConfig,
)
from data_pipeline.filters.c4_lines import C4LineRemovalConfig
from data_pipeline.filters.chain import FilterSection
from data_pipeline.native import library
from data_pipeline.records import Document, Origin

WARM_UP = 50
"""Documents judged before the clock starts: tables and models are read then."""
RULES = (
    UrlConfig(),
    LengthConfig(),
    GopherRepetitionConfig(),
    GopherQualityConfig(),
    C4Config(),
    FineWebConfig(),
)
RULES_WITH_LINE_REMOVAL = tuple(
    C4Config(line_removal=C4LineRemovalConfig()) if isinstance(rule, C4Config) else rule
    for rule in RULES
)


def read_documents(path: Path) -> list[Document]:
    """Documents of a JSONL file of uri and text."""
    rows = [json.loads(line) for line in path.open(encoding="utf-8")]
    return [
        Document(f"{i:032x}", "web", row["uri"], row["text"], Origin(path.name, i))
        for i, row in enumerate(rows)
    ]


def documents_per_second(
    act: Callable[[Document], object], documents: Sequence[Document], seconds: float
) -> float:
    """The best of the passes that fit into `seconds` of this process's CPU time, three at least."""
    for document in documents[:WARM_UP]:
        act(document)
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < seconds:
        start = time.process_time()
        for document in documents:
            act(document)
        taken.append(time.process_time() - start)
    return len(documents) / min(taken)


def speeds(documents: Sequence[Document], seconds: float) -> dict[str, float]:
    """Documents a second by name."""
    sections: dict[str, Sequence[FilterSection]] = {
        **{section.kind: (section,) for section in (*RULES, LanguageConfig())},
        "c4 with line removal": (C4Config(line_removal=C4LineRemovalConfig()),),
        "all rules": RULES,
        "all rules, line removal": RULES_WITH_LINE_REMOVAL,
        "all rules, line removal, language": (LanguageConfig(), *RULES_WITH_LINE_REMOVAL),
    }
    found = {
        name: documents_per_second(FilterChain(chain).judge, documents, seconds)
        for name, chain in sections.items()
    }
    signer = DedupConfig().build()
    return found | {"signatures": documents_per_second(signer.signature, documents, seconds)}


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    documents = read_documents(Path(arguments[0]))
    found = {"is_native": library() is not None, "speeds": speeds(documents, float(arguments[1]))}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
