"""Each filter, the whole chain and signatures: compiled helpers beside Python.

    python -m benchmarks filters [documents=FILE.jsonl] [seconds=2]

Over the main texts of the shared crawl (made once, under .benchmarks), CPU time of one core. Then
what stop words do: the share of pages kept by language with each language's own words, and with
the English ones alone. Exits 1 where a bar is missed.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.corpus import records_of
from benchmarks.crawl import shared_warcs, test_data
from benchmarks.filter_speeds import RULES, read_documents
from benchmarks.processes import ROOT
from data_pipeline.extract import BalancedConfig, build_extractor
from data_pipeline.filters import FilterChain, GopherQualityConfig, LanguageConfig, TextView
from data_pipeline.records import Document

BARS = {
    "all rules, line removal": 1500.0,
    "all rules, line removal, language": 1500.0,
    "signatures": 2500.0,
}
"""Documents a second, with the compiled helpers."""
CODE = ("benchmarks", "contracts", "data_pipeline")
MOST_FREQUENT = 8
"""Languages with a row of their own."""
MEASURE_SECONDS = 600.0


def run(options: Mapping[str, str]) -> int:
    """Measure, print, and give 0 where all bars hold."""
    given = options.get("documents")
    path = Path(given) if given else made_documents(ROOT / ".benchmarks" / "filters")
    seconds = options.get("seconds", "2")
    native = measured(ROOT, path, seconds)
    with tempfile.TemporaryDirectory() as folder:
        python = measured(without_library(Path(folder)), path, seconds)
    console = Console(file=sys.stdout)
    console.print(speed_table(native, python))
    console.print(kept_table(read_documents(path)))
    missed = [name for name, bar in BARS.items() if native[name] < bar]
    console.print(f"bars missed: {', '.join(missed)}" if missed else "all bars hold")
    return 1 if missed else 0


def made_documents(folder: Path) -> Path:
    """The main texts of the shared crawl; made once."""
    path = folder / "documents.jsonl"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        extractor = build_extractor(BalancedConfig())
        found = map(extractor.extract, records_of(shared_warcs(test_data())))
        rows = [{"uri": d.uri, "text": d.text} for d in found if isinstance(d, Document)]
        partial = path.with_suffix(".partial")
        partial.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
        partial.replace(path)
    return path


def without_library(folder: Path) -> Path:
    """A copy of the code beside which nothing was built."""
    for name in CODE:
        ignored = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


def measured(root: Path, documents: Path, seconds: str) -> dict[str, float]:
    """Documents a second by name, by the code under `root`."""
    command = [sys.executable, "-m", "benchmarks.filter_speeds", str(documents.resolve()), seconds]
    ran = subprocess.run(  # noqa: S603 - our own command
        command, cwd=root, stdout=subprocess.PIPE, text=True, timeout=MEASURE_SECONDS, check=True
    )
    found = json.loads(ran.stdout.splitlines()[-1])
    if found["is_native"] != (root == ROOT):
        raise RuntimeError(
            f"{root}: the compiled helpers are {'there' if found['is_native'] else 'not built'}; "
            "build them with `pip install -e .`"
        )
    speeds: dict[str, float] = found["speeds"]
    return speeds


def speed_table(native: Mapping[str, float], python: Mapping[str, float]) -> Table:
    """One row a filter."""
    table = Table("documents/s of one core", "compiled", "Python alone", "ratio", "bar")
    for name, speed in native.items():
        bar = f"{BARS[name]:,.0f}" if name in BARS else ""
        ratio = f"{speed / python[name]:.1f}"
        table.add_row(name, f"{speed:,.0f}", f"{python[name]:,.0f}", ratio, bar)
    return table


def kept_table(documents: Sequence[Document]) -> Table:
    """Share of pages kept by language, with their own stop words and with English ones."""
    chain = FilterChain([LanguageConfig(min_score=None), *RULES])
    counts: dict[str, Counter[str]] = {}
    for document in documents:
        for language, name in kept_by(chain, document):
            counts.setdefault(language, Counter())[name] += 1
    rest = sorted(counts, key=lambda language: -counts[language]["in"])[MOST_FREQUENT:]
    table = Table("language", "pages", *KEPT_BY)
    shown = {name: found for name, found in counts.items() if name not in rest}
    shown["others"] = sum((counts[name] for name in rest), Counter())
    shown["all"] = sum(counts.values(), Counter())
    for name, found in sorted(shown.items(), key=lambda item: item[1]["in"]):
        shares = [f"{found[column] / max(1, found['in']):.1%}" for column in KEPT_BY]
        table.add_row(name, f"{found['in']:,}", *shares)
    return table


KEPT_BY = (
    "stop-word rule, own words",
    "stop-word rule, English words",
    "all rules, own words",
    "all rules, English words",
)


def kept_by(chain: FilterChain, document: Document) -> Iterator[tuple[str, str]]:
    """(language, column) for each way in which a document is kept."""
    judged = chain.judge(document)
    language = judged.document.language or "und"
    english = TextView(replace(judged.document, language="en"))
    quality = GopherQualityConfig().build()
    as_english = {f"gopher_quality.{k}": v for k, v in quality.measure(english).items()}
    yield language, "in"
    for measures, words in (
        (judged.measures, "own"),
        ({**judged.measures, **as_english}, "English"),
    ):
        listed = bool(measures["gopher_quality.has_stop_word_list"])
        if not listed or float(measures["gopher_quality.num_stop_words"]) >= 2:
            yield language, f"stop-word rule, {words} words"
        if chain.decide_from_measures(measures, document.source).keep:
            yield language, f"all rules, {words} words"
