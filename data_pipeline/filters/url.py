"""Refuses documents by where they come from: the scheme and host of their URI, not their text."""

from typing import Literal
from urllib.parse import urlsplit

from contracts.config import Config
from data_pipeline.filters.protocol import Rule, first_broken, not_among
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Measures, Verdict


class UrlConfig(Config):
    """Allowed schemes and blocked hosts."""

    kind: Literal["url"] = "url"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all (books have no web address: name the crawls)."""
    allowed_schemes: tuple[str, ...] | None = ("http", "https")
    """Lower case; None: any (of no paper: what a crawl fetches)."""
    blocked_hosts: tuple[str, ...] = ()
    """Host names; each stands for its subdomains too (as the URL lists of Penedo et al. 2023,
    RefinedWeb, section 3.1)."""

    def build(self) -> "Url":
        """The filter."""
        return Url(self)


class Url:
    """Scheme and host against lists."""

    stage = "url"
    thresholds = frozenset({"allowed_schemes", "blocked_hosts"})

    def __init__(self, config: UrlConfig) -> None:
        schemes = config.allowed_schemes
        blocked = frozenset(host.lower().strip(".") for host in config.blocked_hosts)
        blocks = Rule("host", is_of, blocked, "blocked_host", "blocked_hosts")
        if schemes is None:
            self.rules: tuple[Rule, ...] = (blocks,)
        else:
            allowed = frozenset(scheme.lower() for scheme in schemes)
            allows = Rule("scheme", not_among, allowed, "scheme_not_allowed", "allowed_schemes")
            self.rules = (allows, blocks)

    def measure(self, view: TextView) -> dict[str, float | str]:
        try:
            parts = urlsplit(view.uri)
            return {"scheme": parts.scheme, "host": (parts.hostname or "").strip(".")}
        except ValueError:  # an address such as `http://[::1`: it has neither
            return {"scheme": "", "host": ""}

    def decide(self, measures: Measures) -> Verdict:
        return first_broken(self.stage, self.rules, measures)


def is_of(host: str, hosts: frozenset[str]) -> bool:
    """Whether a host is one of those named, or below one."""
    labels = host.split(".")
    return any(".".join(labels[i:]) in hosts for i in range(len(labels)))
