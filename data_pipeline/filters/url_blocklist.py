"""Refuses documents whose address stands in a list: by domain, host, URL prefix, or word.

The lists are plain text, in the layout of the UT1 blacklists of Toulouse, which RefinedWeb used too
(Penedo et al. 2023, section 3.1): a folder per category with files `domains` and `urls`. Their
entries are kept as 64-bit hashes in one sorted array, so that five million take 50 MB; an address
is looked up with all its domains and path prefixes at once. That an unlisted one meets a hash of
the list by chance has, at five million entries, a probability of 3e-13 for each look-up.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt
from pydantic import model_validator
from xxhash import xxh3_64_intdigest

from contracts import storage
from contracts.config import Config
from contracts.errors import ConfigError
from data_pipeline.filters.entry_files import entries, versions
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Measures, Verdict

Form = Literal["domains", "hosts", "urls", "words"]
FORMS: tuple[Form, ...] = ("domains", "hosts", "urls", "words")
"""Fields of a list, and names of the files in a category's folder; in the order of look-up."""
MAX_SEGMENTS = 8
"""Path prefixes of an address that are looked up."""
_WORD = re.compile(r"[^\W_]+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")


class BlocklistConfig(Config):
    """One category: a folder, or files by what their entries are."""

    name: str
    """The reason of a drop, as `adult`."""
    folder: str | None = None
    """Folder with files `domains`, `hosts`, `urls`, `words` (each may be missing, or end in
    `.gz`); None: only the files below."""
    domains: tuple[str, ...] = ()
    """Files of domains; each stands for its subdomains too."""
    hosts: tuple[str, ...] = ()
    """Files of hosts; each stands for itself alone."""
    urls: tuple[str, ...] = ()
    """Files of hosts with the beginning of a path, without a scheme: `a.example/forum`."""
    words: tuple[str, ...] = ()
    """Files of words that must not stand, whole, in an address's path or query."""

    @model_validator(mode="after")
    def _check_input(self) -> "BlocklistConfig":
        if self.folder is None and not any(getattr(self, form) for form in FORMS):
            raise ValueError(f"list {self.name!r} names no file; give a folder, or files")
        return self

    def files(self, form: Form) -> list[str]:
        """The files whose entries are of this form.

        Raises:
            ConfigError: the folder holds none of any form.
        """
        found = list(getattr(self, form))
        if self.folder is not None:
            place = storage.join(self.folder, form)
            found += [url for url in (place, f"{place}.gz") if storage.exists(url)]
        return found


class UrlBlocklistConfig(Config):
    """Categories of addresses that are refused."""

    kind: Literal["url_blocklist"] = "url_blocklist"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all."""
    lists: tuple[BlocklistConfig, ...]
    """The categories; the first that holds an address names the reason."""

    @model_validator(mode="after")
    def _check_names(self) -> "UrlBlocklistConfig":
        names = [entry.name for entry in self.lists]
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"lists {names}: give at least one, and each its own name")
        return self

    def input_files(self) -> tuple[str, ...]:
        """All files of all categories.

        Raises:
            ConfigError: a category has none.
        """
        found: list[str] = []
        for entry in self.lists:
            own = [url for form in FORMS for url in entry.files(form)]
            if not own:
                raise ConfigError(
                    f"filters.url_blocklist.lists.{entry.name}: folder {entry.folder} holds none "
                    f"of {', '.join(FORMS)}; check the path"
                )
            found += own
        return tuple(found)

    def build(self) -> "UrlBlocklist":
        """The filter."""
        return UrlBlocklist(self)


class UrlBlocklist:
    """An address's domains, path prefixes and words against lists."""

    stage = "url_blocklist"

    def __init__(self, config: UrlBlocklistConfig) -> None:
        self._config = config
        self._index: _Index | None = None

    def measure(self, view: TextView) -> dict[str, float | str]:
        if self._index is None:
            self._index = _index(self._config, versions(self._config.input_files()))
        keys = list(lookup_keys(view.uri))
        place = self._index.first(keys)
        if place is None:
            return {"listed_in": "", "entry": ""}
        key, category = place
        return {"listed_in": self._config.lists[category].name, "entry": keys[key][1]}

    def decide(self, measures: Measures) -> Verdict:
        listed_in = str(measures["listed_in"])
        if not any(entry.name == listed_in for entry in self._config.lists):
            return Verdict(True, self.stage)
        return Verdict(False, self.stage, listed_in, measures["entry"])


class _Index:
    """Hashes of all entries, sorted, each with the number of the first category that has it."""

    def __init__(self, hashes: npt.NDArray[np.uint64], categories: npt.NDArray[np.uint16]) -> None:
        order = np.lexsort((categories, hashes))
        self._hashes, self._categories = hashes[order], categories[order]

    def first(self, keys: list[tuple[Form, str]]) -> tuple[int, int] | None:
        """Place of the matching key of the lowest category, and that category; None: no match."""
        if not len(self._hashes) or not keys:
            return None
        wanted = np.array([_hash(form, entry) for form, entry in keys], dtype=np.uint64)
        places = np.minimum(np.searchsorted(self._hashes, wanted), len(self._hashes) - 1)
        hits = np.flatnonzero(self._hashes[places] == wanted)
        if not len(hits):
            return None
        found = self._categories[places[hits]]
        best = int(found.argmin())
        return int(hits[best]), int(found[best])


# A memo of a pure function of the files' versions: units of one process share what was read.
@lru_cache(maxsize=2)
def _index(config: UrlBlocklistConfig, files: tuple[tuple[str, str], ...]) -> _Index:
    del files  # they are in the key, so that a changed list is read again
    hashes: list[npt.NDArray[np.uint64]] = []
    categories: list[npt.NDArray[np.uint16]] = []
    for number, category in enumerate(config.lists):
        for form in FORMS:
            for url in category.files(form):
                for block in entries(url):
                    found = [_hash(form, entry) for entry in _normal_entries(form, block)]
                    hashes.append(np.array(found, dtype=np.uint64))
                    categories.append(np.full(len(found), number, dtype=np.uint16))
    return _Index(np.concatenate(hashes), np.concatenate(categories))


def _hash(form: Form, entry: str) -> int:
    return int(xxh3_64_intdigest(f"{form[0]}{entry}".encode("utf-8", "surrogatepass")))


def _normal_entries(form: Form, block: list[str]) -> list[str]:
    """Entries as `lookup_keys` gives them: lower case, no scheme, no dots or slashes around."""
    lowered = [
        _SCHEME.sub("", entry) if "://" in entry else entry for entry in map(str.lower, block)
    ]
    if form == "words":
        return lowered
    return [
        entry.strip("./") if form == "urls" else entry.partition("/")[0].strip(".")
        for entry in lowered
    ]


def lookup_keys(uri: str) -> Iterator[tuple[Form, str]]:
    """What of an address may stand in a list, with the form in which it would."""
    try:
        parts = urlsplit(uri.lower())
        host = (parts.hostname or "").strip(".")
    except ValueError:  # an address such as `http://[::1`
        return
    if not host:
        return
    labels = host.split(".")
    yield "hosts", host
    for i in range(len(labels)):
        yield "domains", ".".join(labels[i:])
    segments = [segment for segment in parts.path.split("/") if segment][:MAX_SEGMENTS]
    for name in dict.fromkeys((host, host.removeprefix("www."))):
        for i in range(len(segments) + 1):
            yield "urls", "/".join([name, *segments[:i]])
    for word in dict.fromkeys(_WORD.findall(unquote(f"{parts.path} {parts.query}"))):
        yield "words", word
