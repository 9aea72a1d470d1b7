"""The compiled helpers and their twins in Python give the same for any text."""

import gzip
import json
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.filters.c4_lines import C4LineRemovalConfig
from data_pipeline.filters.native_counts import NativeCounts
from data_pipeline.filters.stop_words import STOP_WORDS, stop_word_lists
from data_pipeline.filters.text_counts import PythonCounts
from data_pipeline.native import library
from data_pipeline.records import Document, Origin

pytestmark = pytest.mark.skipif(library() is None, reason="the compiled helpers are not built")

ANY_CHARACTER = st.characters(exclude_categories=["Cs"])
TELLING = (
    "a bB.\n \t\r\x0b\x1c\x85\u00a0\u2028\u3000\u4e00\u0e01\u304b"
    "-*\u2022#{}\u2026\u201d\u201c!?\"')"
    "1\u00b2\u0660_\u03a3\u0130\u00df\u0301\U0001f600\U00020000"
)
PHRASES = (
    *("the", "The", "and,", "und", "DER", "\u03a4\u0397\u03a3", "word.", "\n", "\n\n", "\n \n"),
    *("- x", "...", "....", "javascript", "JavaScript", "Lorem Ipsum", "lorem  ipsum"),
    *("\u5b69\u5b50", "(of)", "x\u00a0y", "\u0130le", "end.\u201d", "a) b", "\u2022"),
)
TEXTS = st.one_of(
    st.text(ANY_CHARACTER),
    st.text(st.sampled_from(TELLING), max_size=300),
    st.lists(st.sampled_from(PHRASES), max_size=120).map(" ".join),
    st.lists(st.sampled_from("abc"), max_size=120).map(" ".join),
    st.lists(st.sampled_from(["one line.", "two", "", " ", "three lines, many words here"])).map(
        "\n".join
    ),
)
LINE_RULES = (
    C4LineRemovalConfig(),
    C4LineRemovalConfig(removes_unterminated=False, min_words_per_line=None),
    C4LineRemovalConfig(removes_javascript=False, min_words_per_line=2),
)
COUNTED = [field.name for field in fields(NativeCounts) if not field.name.startswith("_")]


def require_equal(text: str) -> None:
    native, python = NativeCounts.of(text), PythonCounts(text)
    for name in COUNTED:
        assert getattr(native, name) == getattr(python, name), name
    for number in (0, 1, 3, 5, 30):
        assert native.num_lines_up_to(number) == python.num_lines_up_to(number)
        assert native.num_lines_below(number) == python.num_lines_below(number)
    for language in (None, "en", "de", "tr", "xx"):
        lists = stop_word_lists(language)
        assert native.num_listed_words(lists) == python.num_listed_words(lists), language
    document = Document("0" * 32, "web", "https://example.org/", text, Origin("file", 0))
    for config in LINE_RULES:
        cleaner = config.build()
        cleaned = cleaner.clean(document)
        kept, num_lines, num_characters = cleaner.cleaned_text(text)
        assert (cleaned.num_lines, cleaned.num_characters) == (num_lines, num_characters)
        assert cleaned.document.text == (kept if num_lines else text)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_any_text_is_counted_alike(text: str) -> None:
    require_equal(text)


@pytest.mark.parametrize("language", sorted(STOP_WORDS))
def test_every_stop_word_is_found_by_both(language: str) -> None:
    lists = stop_word_lists(language)
    text = " ".join(f"({word.upper()}!" for word in sorted(STOP_WORDS[language]))
    native, python = NativeCounts.of(text), PythonCounts(text)
    assert native.num_listed_words(lists) == python.num_listed_words(lists)
    assert native.num_listed_words(lists) >= len(STOP_WORDS[language]) - 2


def test_text_with_lone_surrogates_is_counted_alike() -> None:
    require_equal("a \ud800b.\n\udfff the and")


@pytest.mark.shared_data
def test_real_texts_are_counted_alike(shared_data: Path) -> None:
    for path in sorted(shared_data.glob("crawl/crawl-data/*/segments/*/wet/*.wet.gz")):
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
            for text in file.read().split("WARC/1.0\n")[::4]:
                require_equal(text)
    for line in (shared_data / "extraction-gold.jsonl").read_text().splitlines()[::10]:
        require_equal(json.dumps(json.loads(line), ensure_ascii=False, indent=1))
