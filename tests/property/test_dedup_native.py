"""The compiled normal form and shingle hashes are those of Python, for any text."""

import gzip
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.native import library
from data_pipeline.native.code_points import CODE_POINTS
from data_pipeline.normal_text import normal_bytes, normalized, shingle_hashes
from data_pipeline.normal_text.ngrams import python_shingle_hashes
from data_pipeline.normal_text.table import second_characters

pytestmark = pytest.mark.skipif(library() is None, reason="the compiled helpers are not built")

TELLING = (
    "aB _.\n1\u00e4\u00df\u1e9e\u0130\u0131\u03a3\u03c2\u017f\u212a\u00bd\u2026\u2011\u00a0\ufb01"
    "\ufdfa\u0301\u0327\u0345\u0938\u094d\u093f\u0e19\u0e33\u4e00\uff21\uff9e\u30ab\uac00\u1100"
    "\u1161\u11a8\u09c7\u09be\u0f73\U0001d400\U0002f800\U00020000\ufe33"
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.sampled_from(TELLING), max_size=60),
    st.text(st.sampled_from("ab \u4e00\u0e19\u00e4"), max_size=200),
)


def require_equal(text: str) -> None:
    normal = normal_bytes(text)
    assert normal.decode() == normalized(text)
    for ngram_words in (1, 2, 5):
        hashes = shingle_hashes(normal, ngram_words)
        assert np.array_equal(hashes, python_shingle_hashes(normal, ngram_words))


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_any_text_is_normalised_and_hashed_alike(text: str) -> None:
    require_equal(text)


def test_every_character_is_normalised_alike() -> None:
    for start in (*range(0, 0x3400, 64), *range(0x3400, CODE_POINTS, 64 * 17)):
        # Apart, so that only the characters themselves count.
        text = " ".join(map(chr, range(start, start + 64)))
        assert normal_bytes(text) == normalized(text).encode(), hex(start)


def test_every_character_is_normalised_alike_behind_a_letter() -> None:
    for start in (*range(0, 0x3400, 64), *range(0xA600, 0x1F000, 64 * 5)):
        text = "".join(f"e{chr(code)}" for code in range(start, start + 64))
        assert normal_bytes(text) == normalized(text).encode(), hex(start)


def test_no_pair_is_composed_behind_those_that_are_looked_at() -> None:
    pairs = (unicodedata.decomposition(chr(code)).split() for code in range(CODE_POINTS))
    seconds = {chr(int(p[1], 16)) for p in pairs if len(p) == 2 and not p[0].startswith("<")}
    assert seconds <= second_characters()


@pytest.mark.shared_data
def test_real_texts_are_normalised_and_hashed_alike(shared_data: Path) -> None:
    for path in sorted(shared_data.glob("crawl/crawl-data/*/segments/*/wet/*.wet.gz")):
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
            for text in file.read().split("WARC/1.0\n")[::3]:
                require_equal(text)
