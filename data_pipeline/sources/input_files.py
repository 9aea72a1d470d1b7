"""Files of a source as work units: globs resolved, big files cut in byte ranges."""

import itertools
from collections.abc import Sequence

from contracts import storage
from contracts.errors import DataError
from data_pipeline.records import WorkUnit


def files_matching(patterns: Sequence[str], *, where: str) -> list[str]:
    """URLs of all files that the globs name, each once, in the order of the globs.

    Raises:
        DataError: a glob matches no file.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        urls = storage.list_files(pattern)
        if not urls:
            raise DataError(
                f"{where}: no file matches {pattern!r}; check the path (a folder needs a "
                f"glob, as in {storage.join(pattern, '*')})"
            )
        found.update(dict.fromkeys(urls))
    return list(found)


def units_of_file(source: str, url: str, path: str, unit_bytes: int | None) -> list[WorkUnit]:
    """One file as units of about `unit_bytes`; None: one unit.

    Args:
        source: the source's name.
        url: the file.
        path: what `Origin.path` will say.
        unit_bytes: a range holds the records that begin in it.
    """
    info = storage.file_info(url)
    size = max(1, info.size_bytes)
    num_units = 1 if unit_bytes is None else max(1, round(size / unit_bytes))
    edges = [size * i // num_units for i in range(num_units + 1)]
    return [
        WorkUnit(source, url, path, start, end, end - start, info.version)
        for start, end in itertools.pairwise(edges)
    ]


def units_of_files(
    source: str, patterns: Sequence[str], unit_bytes: int | None = None
) -> list[WorkUnit]:
    """Every file of the globs as units.

    Raises:
        DataError: a glob matches no file.
    """
    return [
        unit
        for url in files_matching(patterns, where=f"source {source}")
        for unit in units_of_file(source, url, url, unit_bytes)
    ]
