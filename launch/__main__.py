"""Command line: `python -m launch VERB ...`. A verb's module is imported when it is asked for."""

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from contracts.errors import EXIT_BAD_CONFIG, EXIT_FAILED, ConfigError, HeadwaterError
from contracts.logs import configure_logging

logger = logging.getLogger(__name__)

VERBS: dict[str, tuple[str, str]] = {
    "debug": ("launch.debug", "one process, no launcher: look closely at a training run"),
    "demo": ("launch.demo", "the whole path on the documentation every Python carries"),
}
"""Verb -> module with `main(words) -> exit code`, and what it does."""


def main(arguments: Sequence[str]) -> int:
    """Run one verb; failures meant for the user are told without a traceback."""
    known = "\n".join(f"  {name:10} {what}" for name, (_, what) in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="python -m launch",
        description="verbs:\n" + known,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=tuple(VERBS), metavar="VERB")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="...")
    call = parser.parse_args(arguments)
    configure_logging()
    module, _ = VERBS[call.verb]
    try:
        return int(importlib.import_module(module).main(call.words))
    except ConfigError as error:
        logger.error("%s", error)
        return EXIT_BAD_CONFIG
    except HeadwaterError as error:
        logger.error("%s: %s", type(error).__name__, error)
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
