"""The rows of single parts: ours and the peers in turn, one process and one core each time."""

import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.corpus import Corpus
from benchmarks.crawl import Crawl
from benchmarks.end_to_end import CONFIG
from benchmarks.environments import Environment
from benchmarks.schedule import Contestant, Measured, Schedule
from benchmarks.table import Bar, Row

OWN = "benchmarks.own_parts"
JOINED = "benchmarks.peers.joined_parts"
DATATROVE = "benchmarks.peers.datatrove_parts"
MISSING = "this-environment-could-not-be-made"

EXTRACTORS = ("precise", "balanced", "fast", "learned")
MIN_LEARNED_PAGES = 300.0
MIN_READ_MEGABYTES = 140.0
MIN_RECOVERED_PAGES = 494.0
MIN_FILTERED = 1500.0
MIN_SIGNED = 2500.0
MIN_TOKENISED_MEGABYTES = 20.0
MIN_TAR_MEGABYTES = 300.0
TAR_DOCUMENTS = 20_000
TAR_DOCUMENTS_OF_WEBDATASET = 4_000
EVERYTHING = 1 << 30


@dataclass(frozen=True)
class Inputs:
    """What all rows work with."""

    schedule: Schedule
    crawl: Crawl
    corpus: Corpus
    data: Path
    """The folder of real test data."""
    environments: Mapping[str, Environment]
    stop_words: tuple[str, ...]
    language_model: str

    def ours(self, who: str, part: str, **job: Any) -> Contestant:
        """One of ours."""
        return Contestant(who, OWN, {"part": part, **job})

    def joined(self, who: str, part: str, **job: Any) -> Contestant:
        """One of the parts."""
        python = self._python("parts")
        return Contestant(who, JOINED, {"part": part, **job}, python)

    def datatrove(self, part: str, **job: Any) -> Contestant:
        """A part of datatrove."""
        return Contestant("datatrove", DATATROVE, {"part": part, **job}, self._python("datatrove"))

    def _python(self, name: str) -> str:
        found = self.environments.get(name)
        return found.python if found else MISSING

    def rows(self, file: Path, limit: int = EVERYTHING) -> dict[str, Any]:
        """Part of a job: the rows of a file."""
        return {"rows": str(file), "limit": limit}


def _filled(
    inputs: Inputs, row: Row, found: Mapping[str, Measured], minima: Mapping[str, float]
) -> Row:
    """A row of rates; `minima` are what those of ours must reach."""
    rates = {who: measured.rate(inputs.schedule.options.clock) for who, measured in found.items()}
    bars = tuple(Bar(f"{row.title}, {who}", rates[who], least) for who, least in minima.items())
    figures = tuple(measured.figure(rates[who]) for who, measured in found.items())
    return replace(row, figures=figures, bars=(*bars, *row.bars))


def reading(inputs: Inputs) -> Row:
    """WARC files to pages."""
    job = {"files": [str(path) for path in inputs.crawl.warcs]}
    found = inputs.schedule.measure(
        "warc",
        [
            inputs.ours("ours", "read", **job),
            inputs.joined("warcio (datatrove's reader)", "read_warcio", **job),
            inputs.joined("fastwarc (the limit)", "read_fastwarc", **job),
        ],
    )
    pages = {
        who: {figures["pages"] for figures in measured.figures} for who, measured in found.items()
    }
    row = Row(
        "WARC reading",
        "MB/s compressed",
        reference="warcio (datatrove's reader)",
        notes=(f"pages read: {pages}",),
    )
    return _filled(inputs, row, found, {"ours": MIN_READ_MEGABYTES})


def damage(inputs: Inputs) -> Row:
    """A WARC file damaged at one third: pages that come out."""
    job = {"file": str(inputs.corpus.damaged)}
    hit = inputs.corpus.damaged_page
    found = inputs.schedule.measure(
        "damage",
        [
            inputs.ours("ours", "damaged", **job),
            inputs.joined("warcio", "damaged_warcio", **job),
            inputs.datatrove("damaged", **job),
        ],
        repeats=1,
    )
    figures = found["ours"].figures
    losses = figures[-1]["losses"] if figures else []
    told = [loss for loss in losses if loss[0] == hit["offset"]]
    lost = hit["pages"] - (found["ours"].amount() or 0)
    ends = {
        who: measured.figures[-1]["error"]
        for who, measured in found.items()
        if measured.figures and "error" in measured.figures[-1]
    }
    counted = float(len(losses) >= lost and bool(told))
    title = f"WARC damaged at one third, of {hit['pages']}"
    scale = hit["pages"] / 495
    return Row(
        title,
        "pages recovered",
        tuple(measured.figure(measured.amount()) for measured in found.values()),
        (
            Bar(title, found["ours"].amount(), MIN_RECOVERED_PAGES * scale),
            Bar("each loss is counted with its offset", counted, 1.0),
        ),
        "datatrove",
        (
            f"told by ours: {losses}; the damaged record begins at {hit['offset']}",
            f"peers that ended with an error: {ends}",
        ),
    )


def extraction(inputs: Inputs) -> Row:
    """Decoded pages to main text: speed, and F1 on the public gold."""
    rows = inputs.rows(inputs.corpus.pages)
    found = inputs.schedule.measure(
        "extraction",
        [
            *(inputs.ours(f"ours {n}", "main_text", extractor=n, **rows) for n in EXTRACTORS),
            inputs.joined("trafilatura", "text_trafilatura", **rows),
            inputs.joined("trafilatura fast", "text_trafilatura_fast", **rows),
            inputs.joined("resiliparse", "text_resiliparse", **rows),
            inputs.datatrove("main_text", **rows),
        ],
    )
    clock = inputs.schedule.options.clock
    score = _scorer(inputs.data)
    figures = tuple(
        measured.figure(measured.rate(clock), score(measured)) for measured in found.values()
    )
    speed = found["ours learned"].rate(clock)
    bar = Bar("extraction, ours learned", speed, MIN_LEARNED_PAGES)
    note = (
        "F1 of `learned` here is on pages it was trained with; the cross-validated one and the "
        "curve: `python -m benchmarks extraction`, docs/numerics.md"
    )
    return Row("Extraction", "pages/s", figures, (bar,), "datatrove", (note,))


def _scorer(data: Path) -> Callable[[Measured], str]:
    """F1 by the test data's own scorer, over the pages that were worked on."""
    spec = importlib.util.spec_from_file_location("score_gold", data / "score_gold.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    gold = [json.loads(line) for line in (data / "extraction-gold.jsonl").open()]

    def scored(measured: Measured) -> str:
        if not measured.figures:
            return ""
        texts = json.loads(Path(measured.figures[-1]["predictions"]).read_text())
        found = module.score([entry for entry in gold if entry["url"] in texts], texts)
        return f"F1 {found['f1']:.3f} (precision {found['precision']}, recall {found['recall']})"

    return scored


def filters(inputs: Inputs) -> Row:
    """Documents through all quality filters."""
    rows = inputs.rows(inputs.corpus.documents)
    peer = {"stop_words": list(inputs.stop_words), "language_model": inputs.language_model}
    found = inputs.schedule.measure(
        "filters",
        [
            inputs.ours("ours", "filters", config=str(CONFIG), **rows),
            inputs.datatrove("filters", **peer, **rows),
        ],
    )
    kept = {w: m.figures[-1]["kept"] for w, m in found.items() if m.figures}
    note = f"kept: {kept}; ours measures every value, datatrove stops at the first refusal"
    row = Row("Filters", "documents/s", reference="datatrove", notes=(note,))
    return _filled(inputs, row, found, {"ours": MIN_FILTERED})


def signing(inputs: Inputs) -> Row:
    """Documents to MinHash signatures."""
    rows = inputs.rows(inputs.corpus.documents)
    found = inputs.schedule.measure(
        "minhash",
        [
            inputs.ours("ours (and exact digest)", "signatures", **rows),
            inputs.datatrove("signatures", **rows),
            inputs.joined("rensa alone", "signatures_rensa", **rows),
        ],
    )
    row = Row("MinHash signatures", "documents/s", reference="datatrove")
    return _filled(inputs, row, found, {"ours (and exact digest)": MIN_SIGNED})


def tokenising(inputs: Inputs) -> Row:
    """Texts to ids of the same BPE tokenizer."""
    rows = inputs.rows(inputs.corpus.texts)
    rows["tokenizer_model"] = str(inputs.corpus.tokenizer_model)
    rows["tokenizer_json"] = str(inputs.corpus.tokenizer_json)
    found = inputs.schedule.measure(
        "tokenise",
        [
            inputs.ours("ours", "tokenise", **rows),
            inputs.joined("Hugging Face tokenizers", "tokenise_huggingface", **rows),
            inputs.joined("sentencepiece", "tokenise_sentencepiece", **rows),
        ],
    )
    ids = {who: {f["ids"] for f in measured.figures} for who, measured in found.items()}
    expected = ids["sentencepiece"]
    same = [who for who, given in ids.items() if given == expected and len(given) == 1]
    bar = Bar("ids of ours equal sentencepiece's", float("ours" in same), 1.0)
    row = Row(
        "Tokenise BPE 32k",
        "MB/s",
        bars=(bar,),
        reference="Hugging Face tokenizers",
        notes=(f"same ids: {', '.join(same)}",),
    )
    return _filled(inputs, row, found, {"ours": MIN_TOKENISED_MEGABYTES})


def tars(inputs: Inputs) -> Row:
    """Tokenised documents, or texts, into tar files on disk."""
    rows = inputs.rows(inputs.corpus.documents)
    with inputs.corpus.documents.open() as stream:
        num_documents = max(1, sum(1 for _ in stream))
    repeat = max(1, TAR_DOCUMENTS // num_documents)
    few = max(1, TAR_DOCUMENTS_OF_WEBDATASET // num_documents)
    found = inputs.schedule.measure(
        "tar",
        [
            inputs.ours("ours", "tar", repeat=repeat, **rows),
            inputs.joined("webdataset, a document a sample", "tar_documents", repeat=few, **rows),
            inputs.joined("webdataset, 1M tokens a member", "tar_chunks", megabytes=100),
        ],
    )
    row = Row(
        "Tar writing",
        "MB/s",
        reference="webdataset, a document a sample",
        notes=("ours with sha256, chunk index and fsync",),
    )
    return _filled(inputs, row, found, {"ours": MIN_TAR_MEGABYTES})


ROWS: Mapping[str, Callable[[Inputs], Row]] = {
    "extraction": extraction,
    "warc": reading,
    "damage": damage,
    "filters": filters,
    "minhash": signing,
    "tokenise": tokenising,
    "tar": tars,
}
"""{name for `only`: the row}."""
