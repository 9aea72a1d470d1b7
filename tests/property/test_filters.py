"""Filters are total: any text gets finite measures and a verdict that these alone give again."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.filters import (
    C4Config,
    FilterChain,
    FineWebConfig,
    GopherQualityConfig,
    GopherRepetitionConfig,
    LanguageConfig,
    LengthConfig,
    TextView,
    UrlConfig,
)
from data_pipeline.filters.c4_lines import C4LineRemovalConfig
from data_pipeline.records import Document, Origin

CHAIN = FilterChain(
    [
        UrlConfig(),
        LanguageConfig(),
        LengthConfig(),
        GopherRepetitionConfig(),
        GopherQualityConfig(),
        C4Config(line_removal=C4LineRemovalConfig()),
        FineWebConfig(),
    ]
)
ANY_CHARACTER = st.characters(codec=None, exclude_categories=())
TEXTS = st.one_of(
    st.text(ANY_CHARACTER),
    st.text(st.sampled_from("aä.\n \t。文กb-#…{\x00\u2028"), max_size=400),
    st.lists(
        st.sampled_from(["the", "and", "word.", "\n", "\n\n", "- x", "..."]), max_size=200
    ).map(" ".join),
)


def document(text: str, uri: str = "https://example.org/") -> Document:
    return Document("0" * 32, "web", uri, text, Origin("file", 0))


@given(TEXTS, st.text(ANY_CHARACTER, max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_text_is_judged(text: str, uri: str) -> None:
    judgement = CHAIN.judge(document(text, uri))
    assert all(
        isinstance(value, str) or math.isfinite(value) for value in judgement.measures.values()
    )
    assert judgement.measures.keys() == CHAIN.judge(document("")).measures.keys()
    assert CHAIN.decide_from_measures(judgement.measures, "web") == judgement.verdict
    assert CHAIN.judge(judgement.document).document == judgement.document


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_fractions_lie_between_zero_and_one(text: str) -> None:
    measures = GopherRepetitionConfig().build().measure(TextView(document(text)))
    measures |= FineWebConfig().build().measure(TextView(document(text)))
    assert all(isinstance(value, float) and 0.0 <= value <= 1.0 for value in measures.values())


@given(st.lists(st.sampled_from("abc"), max_size=60))
@settings(max_examples=100, deadline=None)
def test_ngram_repetition_is_what_counting_gives(words: list[str]) -> None:
    found = TextView(document(" ".join(words))).counts.ngram_repetition
    for n in range(5, 11):
        seen: set[tuple[str, ...]] = set()
        covered: set[int] = set()
        for i in range(len(words) - n + 1):
            ngram = tuple(words[i : i + n])
            if ngram in seen:
                covered.update(range(i, i + n))
            seen.add(ngram)
        assert math.isclose(found.duplicate[n], len(covered) / max(1, len(words)))
