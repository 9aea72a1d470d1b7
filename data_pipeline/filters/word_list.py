"""Refuses documents in which too many listed words stand: adult spam, insults, whatever is listed.

The share of listed words decides, as in Laurençon et al. 2022 (ROOTS), so that a report about a
matter is not taken for the matter; and, if wanted, the number of different ones. Words and phrases
are found whole, whatever their case: `sex` is not in `Sussex`. In scripts without blanks a term is
found wherever its characters stand in a row.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, model_validator

from contracts.config import Config
from data_pipeline.filters.adult_terms import ADULT_TERMS
from data_pipeline.filters.entry_files import entries, versions
from data_pipeline.filters.protocol import ABOVE, RuleSpec, first_broken, rules_of
from data_pipeline.filters.text_view import TextView
from data_pipeline.normal_text import normalized, split_unspaced
from data_pipeline.records import Measures, Verdict


class TermFileConfig(Config):
    """A file of words and phrases."""

    path: str
    """One term a line, `#` begins a comment."""
    language: str | None = None
    """ISO 639 code of the documents it is for; None: all."""


class WordListConfig(Config):
    """Which terms, and how many are too many."""

    kind: Literal["word_list"] = "word_list"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all."""
    builtin: Literal["adult"] | None = "adult"
    """The program's own short list of adult spam in eleven languages; None: files alone."""
    files: tuple[TermFileConfig, ...] = ()
    """More terms."""
    max_share: NonNegativeFloat | None = 0.01
    """Words in listed terms / words; more is refused. None: off."""
    max_distinct: NonNegativeInt | None = None
    """Different listed terms; more are refused. None: off."""

    @model_validator(mode="after")
    def _check_terms(self) -> "WordListConfig":
        if self.builtin is None and not self.files:
            raise ValueError("no terms are given; name files, or the builtin list")
        return self

    def input_files(self) -> tuple[str, ...]:
        """The files of terms."""
        return tuple(file.path for file in self.files)

    def build(self) -> "WordList":
        """The filter."""
        return WordList(self)


_RULES = (
    RuleSpec("share", ABOVE, "max_share", "listed_words"),
    RuleSpec("num_distinct", ABOVE, "max_distinct", "many_listed_terms"),
)


class WordList:
    """Listed terms in a document's words."""

    stage = "word_list"
    thresholds = frozenset(spec.field for spec in _RULES)

    def __init__(self, config: WordListConfig) -> None:
        self._config = config
        self.rules = rules_of(config, _RULES)

    def measure(self, view: TextView) -> dict[str, float | str]:
        terms = _terms(self._config, versions(self._config.input_files()), view.language)
        words = split_unspaced(view.normal.decode()).split()
        present = set(words)
        found = [(term, words.count(term)) for term in sorted(terms.words & present)]
        phrases = [phrase for phrase in terms.phrases if phrase[0] in present]
        if phrases:
            found += list(_phrases_in(f" {' '.join(words)} ", phrases))
        num_words = sum(count * (term.count(" ") + 1) for term, count in found)
        first = max(found, key=lambda item: item[1])[0] if found else ""
        return {
            "share": num_words / len(words) if words else 0.0,
            "num_matches": float(sum(count for _, count in found)),
            "num_distinct": float(len(found)),
            "most_frequent": first,
        }

    def decide(self, measures: Measures) -> Verdict:
        return first_broken(self.stage, self.rules, measures)


class _Terms:
    """Terms in the form in which they are looked for."""

    def __init__(self, terms: Iterator[str]) -> None:
        split = {tuple(split_unspaced(normalized(term)).split()) for term in terms}
        self.words = frozenset(parts[0] for parts in split if len(parts) == 1)
        self.phrases = sorted(parts for parts in split if len(parts) > 1)


# A memo of a pure function of the files' versions: units of one process share what was read.
@lru_cache(maxsize=512)
def _terms(
    config: WordListConfig, files: tuple[tuple[str, str], ...], language: str | None
) -> _Terms:
    del files  # they are in the key, so that a changed list is read again
    return _Terms(_terms_for(config, language))


def _terms_for(config: WordListConfig, language: str | None) -> Iterator[str]:
    if config.builtin is not None:
        own = ADULT_TERMS.get(language or "")
        for terms in [own] if own else ADULT_TERMS.values():
            yield from terms
    for file in config.files:
        if language is None or file.language in {None, language}:
            for block in entries(file.path):
                yield from block


def _phrases_in(padded: str, phrases: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, int]]:
    for phrase in phrases:
        joined = " ".join(phrase)
        count = padded.count(f" {joined} ")
        if count:
            yield joined, count
