"""Refuses documents by where they come from: the scheme and host of their URI, not their text."""

from typing import Literal
from urllib.parse import urlsplit

from contracts.config import Config
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Measures, Verdict


class UrlConfig(Config):
    """Allowed schemes and blocked hosts."""

    kind: Literal["url"] = "url"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all (books have no web address: name the crawls)."""
    allowed_schemes: tuple[str, ...] | None = ("http", "https")
    """Lower case; None: any."""
    blocked_hosts: tuple[str, ...] = ()
    """Host names; each stands for its subdomains too."""

    def build(self) -> "Url":
        """The filter."""
        return Url(self)


class Url:
    """Scheme and host against lists."""

    stage = "url"

    def __init__(self, config: UrlConfig) -> None:
        schemes = config.allowed_schemes
        self._schemes = None if schemes is None else frozenset(s.lower() for s in schemes)
        self._blocked = frozenset(host.lower().strip(".") for host in config.blocked_hosts)

    def measure(self, view: TextView) -> dict[str, float | str]:
        try:
            parts = urlsplit(view.uri)
            return {"scheme": parts.scheme, "host": (parts.hostname or "").strip(".")}
        except ValueError:  # an address such as `http://[::1`: it has neither
            return {"scheme": "", "host": ""}

    def decide(self, measures: Measures) -> Verdict:
        scheme, host = str(measures["scheme"]), str(measures["host"])
        if self._schemes is not None and scheme not in self._schemes:
            return Verdict(False, self.stage, "scheme_not_allowed", scheme)
        labels = host.split(".")
        if any(".".join(labels[i:]) in self._blocked for i in range(len(labels))):
            return Verdict(False, self.stage, "blocked_host", host)
        return Verdict(True, self.stage)
