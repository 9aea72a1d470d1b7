"""Refuses documents that hold text of evaluation sets, so that what is measured was not learned.

Brown et al. 2020 (GPT-3), appendix C: a document that shares a run of 13 words with an evaluation
item, case and punctuation aside, is contaminated. Three rules of our own make it usable on
sets of all kinds. A passage shorter than that is looked for as a whole, down to `min_item_words`. A
run that many items of the sets share is part of the questions' form, not of an item, and is not
looked for (the paper does so with runs that many documents share). And a passage left with no run,
because it has too few words or none of its own (brackets, sums), is looked for as it is written,
blanks aside, from `min_item_characters`; a shorter one could be anybody's and is only counted, in
the log, by set. Deviation: the paper cuts the run and 200 characters around it out of
the document; here the document is dropped, for what stands around a test item is often the next.
"""

from collections import Counter
from functools import lru_cache
from typing import Literal

from pydantic import Field, PositiveInt

from contracts import storage
from contracts.config import Config
from contracts.errors import ConfigError
from data_pipeline.filters.entry_files import versions
from data_pipeline.filters.eval_index import EvalIndex, MatchRule, build_index
from data_pipeline.filters.protocol import AT_LEAST, Rule
from data_pipeline.filters.text_view import TextView
from data_pipeline.filters.written_passages import WINDOW
from data_pipeline.normal_text import split_unspaced
from data_pipeline.records import Measures, Verdict

SHOWN_CHARACTERS = 200
"""Of a passage found as it is written, in the list of hits."""


class DecontaminationConfig(Config):
    """Which evaluation sets, and what counts as holding one of their items."""

    kind: Literal["decontamination"] = "decontamination"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all."""
    eval_files: tuple[str, ...] = Field(min_length=1)
    """Globs of the sets' files, `.jsonl` or `.txt`, `.gz` or not; a file is a set."""
    fields: tuple[str, ...] = ()
    """Fields of a JSON line that hold text; empty: the usual shapes are known."""
    ngram_words: PositiveInt = 13
    """Words in a row that a document and an item must share."""
    min_item_words: PositiveInt = 8
    """A passage of at least so many words, but fewer than `ngram_words`, is looked for whole."""
    min_item_characters: int = Field(default=20, ge=WINDOW)
    """A passage with no run of words to look for is looked for as written from so many characters,
    blanks aside."""
    max_items: PositiveInt | None = 10
    """A run of words in more items is part of the questions' form; None: all are looked for."""
    min_hits: PositiveInt = 1
    """Runs of words and written passages found from which a document is refused."""

    def input_files(self) -> tuple[str, ...]:
        """The sets' files.

        Raises:
            ConfigError: a glob matches none.
        """
        found: dict[str, None] = {}
        for pattern in self.eval_files:
            urls = storage.list_files(pattern)
            if not urls:
                raise ConfigError(
                    f"filters.decontamination.eval_files: no file matches {pattern!r}; check the "
                    "path (a folder needs a glob, as in eval/*.jsonl)"
                )
            found.update(dict.fromkeys(urls))
        return tuple(found)

    def build(self) -> "Decontamination":
        """The filter."""
        return Decontamination(self)


class Decontamination:
    """Runs of words of a document that stand in evaluation sets."""

    stage = "decontamination"
    thresholds = frozenset({"min_hits"})

    def __init__(self, config: DecontaminationConfig) -> None:
        self._config = config
        self._index: EvalIndex | None = None
        self.rules = (
            Rule(
                "num_hits",
                AT_LEAST,
                float(config.min_hits),
                "eval_set",
                "min_hits",
                reason_measure="eval_set",
            ),
        )

    def measure(self, view: TextView) -> dict[str, float | str]:
        if self._index is None:
            self._index = _index(self._config, versions(self._config.input_files()))
        runs = self._index.hits(view.word_hashes)
        written = list(self._index.written_hits(view.text))
        counts = Counter({name: len(places) for name, places in runs.items()})
        counts.update(name for name, _ in written)
        if not counts:
            return {"num_hits": 0.0, "eval_set": "", "ngram": ""}
        eval_set = max(counts, key=lambda name: counts[name])
        if eval_set in runs:
            place, n = runs[eval_set][0]
            shown = " ".join(split_unspaced(view.normal.decode()).split()[place : place + n])
        else:
            passage = next(text for name, text in written if name == eval_set)
            shown = " ".join(passage.split())[:SHOWN_CHARACTERS]
        return {"num_hits": float(counts.total()), "eval_set": eval_set, "ngram": shown}

    def decide(self, measures: Measures) -> Verdict:
        if float(measures["num_hits"]) < self._config.min_hits:
            return Verdict(True, self.stage)
        return Verdict(False, self.stage, str(measures["eval_set"]), measures["ngram"])


# A memo of a pure function of the files' versions: units of one process share the index.
@lru_cache(maxsize=2)
def _index(config: DecontaminationConfig, files: tuple[tuple[str, str], ...]) -> EvalIndex:
    rule = MatchRule(
        config.ngram_words, config.min_item_words, config.min_item_characters, config.max_items
    )
    return build_index([url for url, _ in files], config.fields, rule)
