"""What decides about the outcome of the filters: their sections, and the files these name.

A list, a model or an evaluation set is part of a work unit's identity by its content: a changed
file judges its documents again.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from contracts import storage
from contracts.config import Config, Json, as_tree


@runtime_checkable
class NamesFiles(Protocol):
    """A section whose outcome depends on files."""

    def input_files(self) -> tuple[str, ...]:
        """URLs of the files, in a fixed order."""


def sections_identity(sections: Sequence[Config | None]) -> list[Json]:
    """The sections as plain values, each with the sha256 of its files.

    Raises:
        DataError: a file is missing.
    """
    return [None if section is None else _identity(section) for section in sections]


def _identity(section: Config) -> Json:
    files = section.input_files() if isinstance(section, NamesFiles) else ()
    tree = as_tree(section)
    return [tree, {url: storage.sha256_of(url) for url in files}] if files else tree
