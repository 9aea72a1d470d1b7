"""Verbs of the data job: `python -m data_pipeline <verb> CONFIG.yaml [section.field=value ...]`.

run      sources -> shards; goes on where an earlier run of the same output_dir ended
check    validates the config, lists the sources, prints what the job would do; touches nothing
inspect  prints a document (doc_id=..., uri=...) or a packed row (row=train/<shard>:<row>)
explain  every measured value of a document beside its limit (doc_id=..., uri=...), and the verdict
what-if  counts anew what other limits keep (filters.length.min_words=40), from recorded values
browse   serves the report and a search over all documents on this machine (port=8765)
repack   shards of another row length from the shards (seq_len=8192, output=FOLDER)
train-quality  the model of the filter quality_model, by a config of its own (configs/quality/)
"""

import argparse
import contextlib
import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from rich.console import Console

from contracts import storage
from contracts.config import apply_override, as_tree, load_config, validated
from contracts.errors import (
    EXIT_BAD_CONFIG,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_QUARANTINED,
    EXIT_STOPPED,
    ConfigError,
    HeadwaterError,
)
from contracts.logs import configure_logging
from data_pipeline.browse import browse_server, parse_port
from data_pipeline.check import derived_facts, facts_text
from data_pipeline.config import DataConfig
from data_pipeline.explain import explanation_json, explanation_lines, explanations
from data_pipeline.inspection import SELECTORS, Selection, inspected, parse_selection
from data_pipeline.pipeline import JobResult, run_job
from data_pipeline.quality_training import QualityTrainingConfig, train_quality
from data_pipeline.quarantine import QUARANTINE_NAME
from data_pipeline.repack import repack_dataset
from data_pipeline.report import print_report
from data_pipeline.runner import LASTING_ERRNOS
from data_pipeline.shard_writer import ShardsConfig
from data_pipeline.what_if import what_if, what_if_lines

logger = logging.getLogger("data_pipeline")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; gives the exit code of contracts.errors."""
    given = _parser().parse_args(arguments)
    configure_logging()
    signal.signal(signal.SIGTERM, _stop)
    try:
        return VERBS[given.verb](given) or EXIT_DONE
    except ConfigError as error:
        return _failed(error, EXIT_BAD_CONFIG)
    except HeadwaterError as error:
        return _failed(error, EXIT_FAILED)
    except KeyboardInterrupt:
        sys.stderr.write(
            "stopped: what was finished stays; run the same command again, it goes on from here\n"
        )
        return EXIT_STOPPED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m data_pipeline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=sorted(VERBS))
    parser.add_argument("config", metavar="CONFIG.yaml")
    parser.add_argument("overrides", nargs="*", metavar="section.field=value")
    parser.add_argument("--json", action="store_true", help="check, explain, what-if: print JSON")
    return parser


def _run(given: argparse.Namespace) -> int:
    config = load_config(DataConfig, given.config, given.overrides)
    try:
        result = run_job(config)
    except OSError as error:
        if error.errno not in LASTING_ERRNOS:
            raise
        raise HeadwaterError(
            f"output_dir {config.output_dir}: {error.strerror} "
            f"({error.filename or 'while writing'}); make room or mend the permissions, "
            "then run the same command again: it goes on from here"
        ) from error
    if result.report is None:
        sys.stdout.write(f"{result.output_dir} is finished: nothing to do\n")
        return _told_of_quarantine(result)
    console = Console()
    print_report(result.report, console)
    console.print(f"report: {result.output_dir}/report.html", soft_wrap=True)
    if result.tracker_page is not None:
        console.print(f"tracker: {result.tracker_page}", soft_wrap=True)
    return _told_of_quarantine(result)


def _told_of_quarantine(result: JobResult) -> int:
    """Name the files that could not be read; the exit code that says so."""
    if not result.quarantined:
        return EXIT_DONE
    left_out = [unit for unit in result.quarantined if unit.kind == "left_out"]
    first = result.quarantined[0]
    sys.stderr.write(
        f"done, but {len(left_out)} files were left out and "
        f"{len(result.quarantined) - len(left_out)} cut short, see "
        f"{result.output_dir}/{QUARANTINE_NAME}; the first: {first.url}: {first.error}; "
        "mend them and run the same command again: it reads those that were left out, and those "
        "that changed\n"
    )
    return EXIT_QUARANTINED


def _check(given: argparse.Namespace) -> None:
    facts = derived_facts(load_config(DataConfig, given.config, given.overrides))
    text = json.dumps(facts, indent=1) if given.json else facts_text(facts)
    sys.stdout.write(text + "\n")


def _inspect(given: argparse.Namespace) -> None:
    config, selection = _selected(given, SELECTORS)
    for line in inspected(config.output_dir, selection):
        sys.stdout.write(line + "\n")


def _selected(given: argparse.Namespace, selectors: Sequence[str]) -> tuple[DataConfig, Selection]:
    """The config, and the one thing to look at that stands among the overrides."""
    selections = [(text, parse_selection(text)) for text in given.overrides]
    chosen = [selection for _, selection in selections if selection is not None]
    if len(chosen) != 1 or chosen[0].by not in selectors:
        forms = {"doc_id": "doc_id=...", "uri": "uri=...", "row": "row=train/<shard>:<row>"}
        raise ConfigError(
            f"{given.verb}: {len(chosen)} selections given, expected one of "
            f"{' or '.join(forms[name] for name in selectors)}"
        )
    overrides = [text for text, selection in selections if selection is None]
    return load_config(DataConfig, given.config, overrides), chosen[0]


def _explain(given: argparse.Namespace) -> None:
    config, selection = _selected(given, ("doc_id", "uri"))
    found = explanations(config, selection)
    if given.json:
        _write_json([explanation_json(item) for item in found])
        return
    for item in found:
        sys.stdout.write("\n".join(explanation_lines(item)) + "\n")


def _what_if(given: argparse.Namespace) -> None:
    config = load_config(DataConfig, given.config, given.overrides)
    found = what_if(config, given.overrides)
    if given.json:
        _write_json(found.as_json())
    else:
        sys.stdout.write("\n".join(what_if_lines(found)) + "\n")


def _write_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def _browse(given: argparse.Namespace) -> None:
    own = [text for text in given.overrides if text.startswith("port=")]
    config = load_config(
        DataConfig, given.config, [text for text in given.overrides if text not in own]
    )
    with browse_server(config.output_dir, parse_port(own)) as server:
        sys.stdout.write(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends)\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):  # the way to end it
            server.serve_forever()


def _repack(given: argparse.Namespace) -> None:
    own = [text for text in given.overrides if text.partition("=")[0] in REPACK_FIELDS]
    config = load_config(
        DataConfig, given.config, [text for text in given.overrides if text not in own]
    )
    tree = as_tree(config.shards) | {"output": None}
    for text in own:
        apply_override(tree, text)
    output = tree.pop("output")
    shards = validated(ShardsConfig, tree, where="repack")
    folder = str(output or storage.join(config.output_dir, f"repacked-{shards.seq_len}"))
    for manifest in repack_dataset(config.output_dir, folder, shards):
        sys.stdout.write(
            f"{manifest.folder}: {manifest.num_samples:,} rows of {manifest.seq_len:,}, "
            f"{manifest.num_tokens:,} tokens\n"
        )


def _train_quality(given: argparse.Namespace) -> None:
    config = load_config(QualityTrainingConfig, given.config, given.overrides)
    for line in train_quality(config).lines():
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"model: {config.output}\n")


VERBS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "run": _run,
    "check": _check,
    "inspect": _inspect,
    "explain": _explain,
    "what-if": _what_if,
    "browse": _browse,
    "repack": _repack,
    "train-quality": _train_quality,
}
REPACK_FIELDS = (*ShardsConfig.model_fields, "output")


def _stop(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the job as Ctrl-C does."""
    del number, frame
    raise KeyboardInterrupt


def _failed(error: Exception, code: int) -> int:
    sys.stderr.write(f"{type(error).__name__}: {error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
