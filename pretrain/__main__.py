"""Command line: `python -m pretrain VERB CONFIG.yaml [section.field=value ...]`, or by a launcher.

A launcher puts `--local_rank=N` in front of the verb. Each verb is a function of `(words, *,
local_rank)` that takes the words behind the verb and gives the exit code; its module is imported
when it is asked for.
"""

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from contracts.errors import EXIT_BAD_CONFIG, EXIT_FAILED, ConfigError, HeadwaterError
from contracts.logs import configure_logging, rank_of_environment

logger = logging.getLogger(__name__)


VERBS: dict[str, tuple[str, str]] = {
    "train": ("pretrain.train:main", "train from the start, or from the last checkpoint"),
    "check": ("pretrain.check:main", "work out what a config means; touches nothing"),
    "debug": ("pretrain.debug:main", "look closely at the first steps, in one process"),
    "eval": ("pretrain.trained:evaluate_main", "score a trained model on held-out sets"),
    "generate": ("pretrain.trained:generate_main", "continue a prompt"),
    "export": ("pretrain.trained:export_main", "write a folder that transformers loads"),
}
"""Verb -> module:function, `function(words, *, local_rank) -> exit code`, and what it does."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """`verb`, the `words` behind it and `local_rank`; wrong usage ends the process with code 2."""
    known = "\n".join(f"  {name:10} {what}" for name, (_, what) in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="python -m pretrain",
        description="verbs:\n" + known,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="`python -m pretrain VERB --help` explains one.",
    )
    parser.add_argument("--local_rank", type=int, default=None, help="set by the launcher")
    parser.add_argument("verb", choices=tuple(VERBS), metavar="VERB")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="...")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run one verb; failures meant for the user are told without a traceback."""
    call = parse(arguments)
    configure_logging(rank=rank_of_environment())
    module, _, function = VERBS[call.verb][0].partition(":")
    try:
        verb = getattr(importlib.import_module(module), function)
        return int(verb(call.words, local_rank=call.local_rank))
    except ConfigError as error:
        logger.error("%s", error)
        return EXIT_BAD_CONFIG
    except HeadwaterError as error:
        logger.error("%s: %s", type(error).__name__, error)
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
