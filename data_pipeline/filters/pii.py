"""Masks personal data in a document's text: e-mail addresses, IP addresses, telephone numbers.

It stands behind the verdict and before deduplication. Behind, so that the filters judge the text
its author wrote and a changed placeholder re-judges nothing; before, so that the signatures, by
which later jobs find duplicates, are those of the text that is stored, and pages that differ only
in what is masked count as one. A dropped document's sample is masked too. Not touched: addresses
(`uri`) and metadata, which go into no shard's tokens.

Cheap tests come first: a page without `@`, dotted numbers and long digit runs is not searched.
"""

from dataclasses import dataclass

from contracts.config import Config
from data_pipeline.filters.pii_emails import find_emails
from data_pipeline.filters.pii_ips import find_ips
from data_pipeline.filters.pii_phones import find_phones
from data_pipeline.filters.pii_shape import shape_of
from data_pipeline.records import Measures

STAGE = "pii"


class PiiConfig(Config):
    """What is masked, and by what; None: that kind is left as it is."""

    email: str | None = "[EMAIL]"
    """Placeholder of an e-mail address."""
    ip: str | None = "[IP]"
    """Placeholder of a public IP address; private, reserved and documentation ones stay."""
    phone: str | None = "[PHONE]"
    """Placeholder of a telephone number."""
    sources: tuple[str, ...] | None = None
    """Names of the sources whose texts are masked; None: all."""

    def build(self) -> "PiiMasker":
        """What masks."""
        return PiiMasker(self)


@dataclass(frozen=True)
class Masked:
    """A text without personal data, and how much was masked."""

    text: str
    measures: Measures
    """`num_emails`, `num_ips`, `num_phones`."""


class PiiMasker:
    """Puts placeholders in the place of personal data."""

    def __init__(self, config: PiiConfig) -> None:
        self._sources = None if config.sources is None else frozenset(config.sources)
        self._config = config

    def applies_to(self, source: str) -> bool:
        """Whether texts of this source are masked."""
        return self._sources is None or source in self._sources

    def mask(self, text: str) -> Masked:
        """The text with each finding replaced; e-mail first, then IP, then telephone."""
        config = self._config
        shape = shape_of(text)
        emails = find_emails(text, shape) if config.email is not None else []
        if emails:
            text = _replaced(text, emails, config.email)
            shape = shape_of(text)
        ips = find_ips(text, shape) if config.ip is not None else []
        if ips:
            text = _replaced(text, ips, config.ip)
            shape = shape_of(text)
        phones = find_phones(text, shape) if config.phone is not None else []
        text = _replaced(text, phones, config.phone)
        found = {"num_emails": emails, "num_ips": ips, "num_phones": phones}
        return Masked(text, {name: float(len(spans)) for name, spans in found.items()})


def _replaced(text: str, spans: list[tuple[int, int]], placeholder: str | None) -> str:
    if not spans:
        return text
    parts: list[str] = []
    at = 0
    for start, end in spans:
        parts += [text[at:start], placeholder or ""]
        at = end
    return "".join([*parts, text[at:]])
