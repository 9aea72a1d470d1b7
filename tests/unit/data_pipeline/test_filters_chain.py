"""The chain: what it measures, which refusal it names, and judging again from stored measures."""

import math

import pytest
from pydantic import TypeAdapter

from contracts.config import Config, validated
from contracts.errors import ConfigError, DataError
from data_pipeline.filters import (
    C4Config,
    FilterChain,
    FilterConfig,
    FineWebConfig,
    GopherQualityConfig,
    GopherRepetitionConfig,
    LanguageConfig,
    LengthConfig,
    UrlConfig,
)
from data_pipeline.filters.c4_lines import C4LineRemovalConfig
from data_pipeline.records import Document, Origin, Verdict, make_doc_id

ALL = (
    UrlConfig(),
    LengthConfig(),
    GopherRepetitionConfig(),
    GopherQualityConfig(),
    C4Config(),
    FineWebConfig(),
    LanguageConfig(),
)
GERMAN = (
    "Am Morgen gingen die Kinder mit dem Hund in den Wald, weil es dort im Sommer kühl ist.\n"
    "Sie fanden einen alten Stein, auf dem ein Name stand, den niemand mehr lesen konnte!\n"
    "Der Großvater wusste, wer hier gewohnt hatte; er erzählte ihnen davon bis zum Abend.\n"
    "Was danach geschah, haben sie nie vergessen, und noch heute reden viele davon.\n"
)


def document(text: str, *, source: str = "web", uri: str = "https://example.org/a") -> Document:
    return Document(make_doc_id(source, uri), source, uri, text, Origin("file", 0))


def test_a_good_page_is_kept_with_its_language_and_all_measures() -> None:
    judgement = FilterChain(ALL).judge(document(GERMAN))
    assert judgement.verdict == Verdict(True, "filter")
    assert judgement.document.language == "de"
    assert judgement.document.language_score is not None
    assert judgement.document.language_score > 0.9
    assert judgement.document.text == GERMAN
    stages = {name.split(".")[0] for name in judgement.measures}
    assert stages == {config.kind for config in ALL}
    assert all(
        isinstance(value, str) or math.isfinite(value) for value in judgement.measures.values()
    )


def test_every_filter_measures_also_behind_a_refusal() -> None:
    kept, refused = FilterChain(ALL).judge(document(GERMAN)), FilterChain(ALL).judge(document("no"))
    assert not refused.verdict.keep
    assert refused.measures.keys() == kept.measures.keys()


def test_the_first_refusal_in_config_order_is_named() -> None:
    length, quality = LengthConfig(min_words=50), GopherQualityConfig()
    short = document("Too short.")
    assert FilterChain([length, quality]).judge(short).verdict.stage == "length"
    assert FilterChain([quality, length]).judge(short).verdict.stage == "gopher_quality"


def test_language_is_named_before_the_others_measure_wherever_it_stands() -> None:
    last = FilterChain([GopherQualityConfig(), LanguageConfig()]).judge(document(GERMAN))
    first = FilterChain([LanguageConfig(), GopherQualityConfig()]).judge(document(GERMAN))
    assert last.measures == first.measures


def test_a_filter_judges_only_the_sources_it_names() -> None:
    chain = FilterChain([LengthConfig(min_words=50, sources=("web",))])
    assert not chain.judge(document("Short.")).verdict.keep
    book = chain.judge(document("Short.", source="books"))
    assert book.verdict.keep
    assert book.measures == {}


def test_one_kind_may_stand_twice_for_different_sources() -> None:
    chain = FilterChain(
        [LengthConfig(min_words=50, sources=("web",)), LengthConfig(sources=("books",))]
    )
    assert not chain.judge(document("Short.", source="books")).verdict.keep


@pytest.mark.parametrize("sources", [None, ("web", "books")])
def test_one_kind_twice_for_the_same_source_is_refused(sources: tuple[str, ...] | None) -> None:
    with pytest.raises(ConfigError, match=r"filters\.1: a second 'length' judges the same source"):
        FilterChain([LengthConfig(sources=("web",)), LengthConfig(sources=sources)])


def test_other_thresholds_are_judged_from_stored_measures() -> None:
    judgement = FilterChain(ALL).judge(document(GERMAN))
    stricter = FilterChain([GopherQualityConfig(min_words=1000)])
    verdict = stricter.decide_from_measures(judgement.measures, "web")
    assert verdict == Verdict(False, "gopher_quality", "too_few_words", 60.0)
    assert FilterChain(ALL).decide_from_measures(judgement.measures, "web").keep


def test_measures_of_other_filters_are_refused() -> None:
    measures = FilterChain([LengthConfig()]).judge(document(GERMAN)).measures
    with pytest.raises(
        DataError, match=r"source 'web' has no measure 'c4\..*run the filters again"
    ):
        FilterChain([C4Config()]).decide_from_measures(measures, "web")


def test_removed_lines_are_counted_and_filters_see_the_rest() -> None:
    config = C4Config(line_removal=C4LineRemovalConfig(), max_unterminated_line_fraction=0.0)
    judgement = FilterChain([config, LengthConfig(min_words=None)]).judge(
        document("Home | About\n" + GERMAN + "Please enable JavaScript to see the whole page.\n")
    )
    assert judgement.verdict.keep
    assert judgement.document.text == GERMAN.strip()
    assert judgement.measures["c4.num_lines_removed"] == 2.0
    assert judgement.measures["c4.num_characters_removed"] == 59.0
    assert judgement.measures["length.num_words"] == 60.0


def test_the_registry_finds_each_filter_by_its_kind() -> None:
    class Root(Config):
        filters: tuple[FilterConfig, ...] = ()

    trees = [{"kind": config.kind} for config in ALL]
    assert validated(Root, {"filters": trees}, where="test").filters == ALL  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="does not match any of the expected tags"):
        validated(Root, {"filters": [{"kind": "gopher"}]}, where="test")
    assert TypeAdapter(FilterConfig).json_schema()
