"""Files of a source as work units: globs resolved, files named, big ones cut in byte ranges.

A file is named by its path below the folder of its glob, the part before the first wildcard (a
plain name: its folder), so that names, and with them ids and shards, do not depend on where the
input lies: `/data/a/books/*.txt` and `s3://bucket/books/*.txt` give the same ones.
"""

import itertools
import os
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path

from contracts import storage
from contracts.errors import DataError
from contracts.remote_requests import RemoteConfig
from data_pipeline.records import WorkUnit

WILDCARDS = "*?["


def files_matching(patterns: Sequence[str], *, where: str) -> dict[str, str]:
    """URL and path of all files that the globs name, each once, in the order of the globs.

    Raises:
        DataError: a glob matches no file, or two files have one path.
    """
    paths: dict[str, str] = {}
    for pattern in patterns:
        urls = storage.list_files(pattern)
        if not urls:
            raise DataError(
                f"{where}: no file matches {pattern!r}; check the path (a folder needs a "
                f"glob, as in {storage.join(pattern, '*')})"
            )
        for url in urls:
            place = str(Path(url).absolute()) if storage.is_local(url) else url
            paths.setdefault(place, _path_below(place, _folder_of(pattern, url)))
    require_own_paths(paths, where=where)
    return paths


def require_own_paths(paths: Mapping[str, str], *, where: str) -> None:
    """Refuse two files that would give their records the same ids.

    Raises:
        DataError: with both URLs.
    """
    first_url: dict[str, str] = {}
    for url, path in paths.items():
        other = first_url.setdefault(path, url)
        if other != url:
            raise DataError(
                f"{where}: {other} and {url} are both called {path!r} below the folders of their "
                "globs, so their records would have the same ids; give each folder its own "
                "source with its own name, or one glob from a folder above both"
            )


def _folder_of(pattern: str, url: str) -> str:
    """The part of a glob before its first wildcard, down to the last slash."""
    is_plain = url == pattern.removeprefix("file://")
    cut = (
        len(pattern)
        if is_plain
        else min((pattern.find(c) for c in WILDCARDS if c in pattern), default=len(pattern))
    )
    return pattern[: pattern.rfind("/", 0, cut) + 1]


def _path_below(url: str, folder: str) -> str:
    if storage.is_local(url):
        return os.path.relpath(url, Path(folder.removeprefix("file://")).expanduser())
    place, below = (name.partition("://")[2].strip("/") for name in (url, folder))
    return posixpath.relpath(place, below or ".")


def units_of_file(
    source: str,
    url: str,
    path: str,
    unit_bytes: int | None,
    *,
    remote: RemoteConfig | None = None,
) -> list[WorkUnit]:
    """One file as units of about `unit_bytes`; None: one unit.

    Args:
        source: the source's name.
        url: the file.
        path: what `Origin.path` will say.
        unit_bytes: a range holds the records that begin in it.
        remote: how a file behind HTTP is asked for; None: the defaults.
    """
    info = storage.file_info(url, remote)
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
        DataError: a glob matches no file, or two files have one path.
    """
    found = files_matching(patterns, where=f"source {source}")
    return [
        unit for url, path in found.items() for unit in units_of_file(source, url, path, unit_bytes)
    ]
