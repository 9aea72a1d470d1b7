"""Honours what a page says against its use: robots directives, text-and-data-mining reservations.

Two places speak for a page: its response's headers and its own meta tags, which source and
extractor put into the document's metadata. Read here are robots directives (`noai`, `noimageai`,
`noindex`, `noml`; RFC 9309 knows only robots.txt, these forms are custom) and the W3C's TDM
Reservation Protocol (TDMRep, final report 2024, sections 6.2 and 6.3). Not read, for they are not
part of a page: robots.txt, which the crawler obeys, and `/.well-known/tdmrep.json`.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

from contracts.config import Config
from data_pipeline.filters.protocol import AT_LEAST, Rule, first_broken
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Measures, Verdict

Signal = Literal["noai", "noml", "noimageai", "noindex", "tdm_reservation"]

STAGE = "opt_out"
ROBOTS = ("http.x-robots-tag", "meta.robots")
"""Metadata that hold robots directives: lines of `directive, agent: directive, ...`."""
RESERVATION = ("http.tdm-reservation", "meta.tdm-reservation")
"""Metadata that hold TDMRep's reservation: `1` is reserved, `0` is not."""
_DIRECTIVES = ("noai", "noml", "noimageai", "noindex")
_WITH_VALUE = frozenset(
    {"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"}
)
"""Directives that have a colon of their own: what stands before it is no agent."""


class OptOutConfig(Config):
    """Which signals are honoured; all are recorded."""

    honour: bool = True
    """Whether a page that says no is dropped; false: only recorded."""
    signals: tuple[Signal, ...] = ("noai", "noml", "tdm_reservation")
    """What counts as no. `noimageai` speaks of pictures, `noindex` of search results: only
    recorded unless named here."""
    agents: tuple[str, ...] = ("headwater", "ccbot")
    """Agents (lower case) whose directives are meant for us, beside those for everyone: this
    program, and the crawler that fetched the page."""

    def build(self) -> "OptOut":
        """The filter."""
        return OptOut(self)


class OptOut:
    """Signals of a page's head against its use."""

    stage = STAGE
    thresholds = frozenset({"honour", "signals"})

    def __init__(self, config: OptOutConfig) -> None:
        self._agents = frozenset(agent.lower() for agent in config.agents) | {"*", ""}
        honoured = config.signals if config.honour else ()
        self.rules = tuple(Rule(signal, AT_LEAST, 1.0, signal, "signals") for signal in honoured)

    def measure(self, view: TextView) -> dict[str, float | str]:
        said = set(self._directives(view.metadata)) if view.metadata else set()
        reserved = any(view.metadata.get(name, "").strip() == "1" for name in RESERVATION)
        found: dict[str, float | str] = {name: float(name in said) for name in _DIRECTIVES}
        return found | {"tdm_reservation": float(reserved)}

    def _directives(self, metadata: Mapping[str, str]) -> Iterator[str]:
        for name in ROBOTS:
            for line in metadata.get(name, "").splitlines():
                yield from (word for agent, word in directives(line) if agent in self._agents)

    def decide(self, measures: Measures) -> Verdict:
        return first_broken(self.stage, self.rules, measures)


def directives(line: str) -> Iterator[tuple[str, str]]:
    """(agent, directive) pairs of one robots line, lower case; agent is empty for everyone's.

    An agent's name holds for all that follows it: `a: noai, nofollow, b: noindex`.
    """
    agent = ""
    for part in line.lower().split(","):
        name, colon, rest = part.partition(":")
        if colon and name.strip() not in _WITH_VALUE:
            agent, part = name.strip(), rest
        if word := part.strip():
            yield agent, word
