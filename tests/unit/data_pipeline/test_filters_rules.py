"""Each rule refuses a text made for it, by name and value, and is silent when it is off."""

from dataclasses import dataclass
from typing import cast

import pytest

from contracts.config import Config
from data_pipeline.filters import (
    C4Config,
    FilterChain,
    FineWebConfig,
    GopherQualityConfig,
    GopherRepetitionConfig,
    LengthConfig,
    UrlConfig,
)
from data_pipeline.filters.c4_lines import C4LineRemovalConfig
from data_pipeline.filters.chain import FilterSection
from data_pipeline.filters.stop_words import STOP_WORDS
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Document, Origin

NUMBERS = [
    f"{tens}{ones}"
    for tens in ("al", "ber", "cor", "den", "er", "fos", "gan", "hul", "is", "jor", "kal", "lum")
    for ones in ("ba", "do", "fi", "gu", "ke", "li", "mo", "na", "po", "ra", "si", "tu")
]
"""144 different words."""
PROSE = "the and " + " ".join(NUMBERS)


LINES = [" ".join(NUMBERS[i : i + 12]) for i in range(0, 144, 12)]
"""12 different lines of 12 words."""


def document(text: str, uri: str = "https://example.org/", language: str | None = "en") -> Document:
    return Document("0" * 32, "web", uri, text, Origin("file", 0), language=language)


def recurring(ngram_words: int, times: int) -> str:
    """The first words `times` times, each time between others; nothing else recurs."""
    run, rest = " ".join(NUMBERS[:ngram_words]), NUMBERS[ngram_words:60]
    step = len(rest) // times
    return " ".join(f"{run} {' '.join(rest[i * step : (i + 1) * step])}" for i in range(times))


@dataclass(frozen=True)
class Case:
    """A text that breaks one rule."""

    section: type[Config]
    field: str
    text: str
    reason: str
    value: float

    @property
    def kind(self) -> str:
        return str(self.section.model_fields["kind"].default)


def quality(field: str, text: str, reason: str, value: float) -> Case:
    return Case(GopherQualityConfig, field, text, reason, value)


def repetition(name: str, text: str, value: float, reason: str | None = None) -> Case:
    return Case(GopherRepetitionConfig, f"max_{name}", text, reason or name, value)


QUALITY = [
    quality("min_words", "the and " + " ".join(NUMBERS[:47]), "too_few_words", 49),
    quality("max_words", "the and " + " ".join(NUMBERS * 700), "too_many_words", 100_802),
    quality("min_mean_word_length", "the and " + "to of a I " * 15, "short_words", 96 / 62),
    quality(
        "max_mean_word_length", "the and " + "Donaudampfschiffe " * 60, "long_words", 1026 / 62
    ),
    quality("max_hash_word_ratio", PROSE + " #" * 18, "hash_signs", 18 / 164),
    quality("max_ellipsis_word_ratio", PROSE + " a..." * 18 + " b", "ellipses", 18 / 165),
    quality("max_bullet_line_fraction", f"- {PROSE}\n- {PROSE}", "bullet_lines", 1.0),
    quality("max_ellipsis_line_fraction", f"{PROSE}\n{PROSE} ...", "ellipsis_lines", 0.5),
    quality(
        "min_alphabetic_word_fraction", PROSE + " 1234" * 40, "non_alphabetic_words", 146 / 186
    ),
    quality("min_stop_words", " ".join(NUMBERS), "too_few_stop_words", 0),
]
"""Each breaks its rule and no other of the paper's."""

REPETITION = [
    repetition("duplicate_line_fraction", "\n".join(LINES + ["x"] * 7), 6 / 19, "duplicate_lines"),
    repetition(
        "duplicate_paragraph_fraction",
        "\n\n".join([*("\n".join(LINES[i : i + 2]) for i in range(0, 12, 2)), *"xxxx"]),
        3 / 10,
        "duplicate_paragraphs",
    ),
    repetition("duplicate_line_characters", "\n".join(["y" * 30, "y" * 30, "z" * 60]), 1 / 4),
    repetition(
        "duplicate_paragraph_characters", "\n\n".join(["y" * 30, "y" * 30, "z" * 60]), 1 / 4
    ),
    *(repetition(f"top_{n}_gram", recurring(n, 20 // n), -1) for n in (2, 3, 4)),
    *(repetition(f"duplicate_{n}_grams", recurring(n, 5), -1) for n in range(5, 11)),
]

C4_AND_FINEWEB = [
    Case(C4Config, "min_sentences", 'One. "Two!" Three', "too_few_sentences", 2),
    Case(C4Config, "refuses_lorem_ipsum", "Lorem Ipsum dolor. A. B.", "lorem_ipsum", 1),
    Case(C4Config, "refuses_curly_brackets", "f() { } A. B. C.", "curly_bracket", 2),
    Case(
        C4Config, "max_unterminated_line_fraction", "Home\nIt is so.", "unterminated_lines", 1 / 2
    ),
    Case(
        C4Config,
        "max_few_word_line_fraction",
        "Two words.\nHere there are five words.",
        "few_word_lines",
        1 / 2,
    ),
    Case(
        C4Config,
        "max_javascript_line_fraction",
        "Enable JavaScript.\nA.\nB.\nC.",
        "javascript_lines",
        1 / 4,
    ),
    Case(
        FineWebConfig,
        "min_terminal_punctuation_fraction",
        "\n".join([*LINES, "This is one."]),
        "few_lines_end_in_punctuation",
        1 / 13,
    ),
    Case(
        FineWebConfig,
        "max_duplicate_line_characters",
        "\n".join(["y" * 40, "y" * 40, "z" * 80]),
        "duplicate_line_characters",
        1 / 4,
    ),
    Case(
        FineWebConfig,
        "max_short_line_fraction",
        "\n".join(["a" * 30, "b" * 30, "c" * 30, "d" * 31]),
        "short_lines",
        3 / 4,
    ),
    Case(LengthConfig, "min_words", "a b", "too_few_words", 2),
    Case(LengthConfig, "max_words", "a b", "too_many_words", 2),
    Case(LengthConfig, "max_text_bytes", "\u00e4\u00e4", "too_many_bytes", 4),
]
OFF_BY_DEFAULT = {
    "max_unterminated_line_fraction": 0.4,
    "max_few_word_line_fraction": 0.4,
    "max_javascript_line_fraction": 0.2,
    "max_text_bytes": 3,
    "max_duplicate_paragraph_fraction": 0.2,
}


def only(case: Case, threshold: object) -> FilterSection:
    """The case's config with every rule off but its own."""
    values: dict[str, object] = {}
    for name, field in case.section.model_fields.items():
        if isinstance(field.default, bool):
            values[name] = False
        elif name.startswith(("min_", "max_")) and name != "min_words_per_line":
            values[name] = None
    section = case.section(**{**values, case.field: threshold})
    return cast(FilterSection, section)


def threshold_of(case: Case) -> object:
    if case.section is LengthConfig and case.field == "max_words":
        return 1
    return OFF_BY_DEFAULT.get(case.field, case.section.model_fields[case.field].default)


@pytest.mark.parametrize(
    "case", QUALITY + REPETITION + C4_AND_FINEWEB, ids=lambda case: f"{case.kind}-{case.field}"
)
def test_each_rule_refuses_its_text_and_is_silent_when_off(case: Case) -> None:
    text = document(case.text)
    verdict = FilterChain([only(case, threshold_of(case))]).judge(text).verdict
    assert (verdict.keep, verdict.stage, verdict.reason) == (False, case.kind, case.reason)
    if case.value >= 0:
        assert verdict.value == pytest.approx(case.value)
    is_switch = isinstance(threshold_of(case), bool)
    assert FilterChain([only(case, False if is_switch else None)]).judge(text).verdict.keep


@pytest.mark.parametrize("case", QUALITY, ids=lambda case: case.reason)
def test_a_text_that_breaks_one_gopher_rule_is_refused_for_that_one(case: Case) -> None:
    config = GopherQualityConfig()
    assert FilterChain([config]).judge(document(case.text)).verdict.reason == case.reason
    others = {name: getattr(config, name) for name in type(config).model_fields}
    spared = GopherQualityConfig(**{**others, case.field: None})
    assert FilterChain([spared]).judge(document(case.text)).verdict.keep


def test_prose_breaks_no_rule_of_repetition() -> None:
    assert FilterChain([GopherRepetitionConfig()]).judge(document(PROSE)).verdict.keep


@pytest.mark.parametrize("n", range(5, 11))
def test_a_repeated_ngram_counts_once_and_without_overlap(n: int) -> None:
    # 100 words of one letter each; the first n stand again at the end.
    words = [chr(0x4E00 + i) for i in range(100)]
    text = " ".join(words + words[:n])
    repeated = TextView(document(text)).counts.ngram_repetition.duplicate
    assert repeated[n] == pytest.approx(n / (100 + n))
    assert all(repeated[longer] == 0 for longer in range(n + 1, 11))


def test_the_most_frequent_ngram_is_the_longest_of_the_equally_frequent() -> None:
    view = TextView(document("aa bb x cccc dddd y aa bb z cccc dddd"))
    assert view.counts.ngram_repetition.top == {2: pytest.approx(16 / 27), 3: 0.0, 4: 0.0}


def test_ngram_repetition_agrees_with_counting_by_hand() -> None:
    words = list("abcabcabdeabcabcabdfghijk")
    view = TextView(document(" ".join(words)))
    for n in range(5, 11):
        seen: set[tuple[str, ...]] = set()
        covered: set[int] = set()
        for i in range(len(words) - n + 1):
            ngram = tuple(words[i : i + n])
            if ngram in seen:
                covered.update(range(i, i + n))
            seen.add(ngram)
        assert view.counts.ngram_repetition.duplicate[n] == pytest.approx(len(covered) / len(words))


def test_fineweb_refuses_at_its_thresholds_and_gopher_above() -> None:
    halves = "\n".join(["y" * 40, "y" * 40])
    for config, keeps in (
        (FineWebConfig(min_terminal_punctuation_fraction=None), False),
        (GopherRepetitionConfig(max_duplicate_line_fraction=0.5), True),
    ):
        values = dict(config) | {"max_duplicate_line_characters": 0.5}
        chain = FilterChain([type(config)(**values)])
        assert chain.judge(document(halves)).verdict.keep is keeps


@pytest.mark.parametrize("language", sorted(STOP_WORDS))
def test_stop_words_of_the_documents_own_language_count(language: str) -> None:
    words = sorted(STOP_WORDS[language])[:2]
    text = " ".join([words[0], f"({words[1].upper()},", *NUMBERS])
    chain = FilterChain([GopherQualityConfig()])
    found = chain.judge(document(text, language=language)).measures
    assert found["gopher_quality.num_stop_words"] >= 2  # type: ignore[operator]


def test_stop_words_of_another_language_do_not_count() -> None:
    text = "und der die " + " ".join(NUMBERS)
    chain = FilterChain([GopherQualityConfig()])
    assert chain.judge(document(text, language="en")).verdict.reason == "too_few_stop_words"
    assert chain.judge(document(text, language="de")).verdict.keep
    assert chain.judge(document(text, language=None)).verdict.keep


def test_a_language_without_a_list_skips_stop_words_and_word_length() -> None:
    text = "".join(chr(0x4E00 + i) for i in range(80))
    judgement = FilterChain([GopherQualityConfig()]).judge(document(text, language="zh"))
    assert judgement.measures["gopher_quality.num_words"] == 80
    assert judgement.measures["gopher_quality.mean_word_length"] == 1
    assert judgement.verdict.keep


@pytest.mark.parametrize(
    ("uri", "reason", "value"),
    [
        ("ftp://example.org/a", "scheme_not_allowed", "ftp"),
        ("urn:isbn:1", "scheme_not_allowed", "urn"),
        ("http://[::1", "scheme_not_allowed", ""),
        ("https://spam.example/x", "blocked_host", "spam.example"),
        ("https://WWW.Spam.example:8080/x", "blocked_host", "www.spam.example"),
        ("https://notspam.example/x", None, None),
    ],
)
def test_urls_are_judged_by_scheme_and_host(uri: str, reason: str, value: str) -> None:
    chain = FilterChain([UrlConfig(blocked_hosts=("Spam.Example",))])
    verdict = chain.judge(document("text", uri=uri)).verdict
    assert (verdict.reason, verdict.value) == (reason, value)


def test_any_scheme_is_allowed_when_off() -> None:
    chain = FilterChain([UrlConfig(allowed_schemes=None)])
    assert chain.judge(document("text", uri="book:1")).verdict.keep


def test_line_removal_keeps_paragraphs_apart_and_can_be_narrowed() -> None:
    text = "Menu\n\nThis line has five words.\n\nShort one.\n\nAnother line of five words."
    cleaned = C4LineRemovalConfig().build().clean(document(text))
    assert cleaned.document.text == "This line has five words.\n\nAnother line of five words."
    assert (cleaned.num_lines, cleaned.num_characters) == (2, 14)
    narrow = C4LineRemovalConfig(removes_unterminated=False, min_words_per_line=None).build()
    assert narrow.clean(document(text)).document.text == text
    assert narrow.clean(document("We use JavaScript.")).document.text == ""
