"""`python -m benchmarks NAME [option=value ...]`: runs one benchmark and prints its ratios.

Each stands in the module of its name, whose `run(options)` returns the exit code: 0 where all bars
hold, 1 where one is missed or a peer fails to run.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from contracts.logs import configure_logging

BENCHMARKS: dict[str, str] = {
    "memory": "what the workers of a data job hold in memory, over time",
    "data": "the data job beside datatrove, NeMo Curator and parts that join",
    "dedup": "how deduplication grows: 1x, 4x and 16x documents, time and peak memory",
    "extraction": "extractors on annotated pages: F1 against pages per CPU second",
    "filters": "each filter, the chain and signatures, compiled and in Python",
    "scaling": "two workers against one, local and through Ray",
}
"""{name: what it shows}; the module is benchmarks.<name>."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark; gives its exit code."""
    names = "\n".join(f"  {name:<14}{text}" for name, text in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"{__doc__}\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=sorted(BENCHMARKS))
    parser.add_argument("options", nargs="*", metavar="option=value")
    given = parser.parse_args(arguments)
    configure_logging()
    module = importlib.import_module(f"benchmarks.{given.name}")
    code: int = module.run(dict(option.split("=", 1) for option in given.options))
    return code


if __name__ == "__main__":
    sys.exit(main())
