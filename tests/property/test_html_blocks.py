"""The compiled scanner, features and scores give what their twins in Python give, on any bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.extract.learned import MODEL_PATH, BlockExtractor, read_model, serialised
from data_pipeline.native import library
from data_pipeline.native.block_scores import block_scores
from data_pipeline.native.html_features import FEATURES, block_features
from data_pipeline.native.html_scan import PageScanner

pytestmark = pytest.mark.skipif(library() is None, reason="the C library is not built")

WORDS = {"content": (1, 700), "menu": (1 << 25, -(1 << 20)), "nav": (16, 0), "HTML": (2, 1)}
NATIVE = PageScanner(WORDS)
TWIN = PageScanner(WORDS, is_native=False)
PIECES = (
    *(b"<", b">", b"</", b"<!--", b"-->", b"<!x>", b"<?", b'"', b"'", b"=", b"/", b"&", b";"),
    *(b"<p>", b"</p>", b"<div>", b"</div>", b"<br>", b"<pre>", b"</pre>", b"<a href=x>", b"</a>"),
    *(b"<script>", b"</script>", b"<li>", b"</li>", b"<tr>", b"<td>", b"</td>", b"</tr>", b"<hr>"),
    *(b'<div class="', b'<span class="content', b'" id="nav">', b"<title>", b"</title>", b"<svg>"),
    *(
        b"</svg>",
        b"<b>",
        b"</b>",
        b"<img>",
        b"<select>",
        b"</select>",
        b"<h1>",
        b"</h1>",
        b"<html ",
    ),
    *(b'lang="de"', b' style="display:none"', b" hidden", b"&amp;", b"&nbsp;", b"&lt;", b"&quot;"),
    *(b"\xc2\xa0", b"\xc2", b"\xa0", b"\xe3\x80\x82", b"\xe2\x80\x9d", b"\xef\xbc\x8c", b"\xff"),
    *(b" ", b"\n", b"\r", b"\t", b"\x0b", b"\x0c", b"\x00", b"word", b"Menu", b"HTMLContent."),
    b"A long sentence of more than sixty characters stands here, so that it counts as good text. ",
)
markup = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=6)), max_size=60).map(
    b"".join
)


@settings(max_examples=400, deadline=None)
@given(page=markup, max_depth=st.sampled_from([1, 3, 2000]))
def test_scanner_and_features_equal_their_twins(page: bytes, max_depth: int) -> None:
    ours, twins = NATIVE.scan(page, max_depth), TWIN.scan(page, max_depth)
    if ours is None or twins is None:
        assert ours is twins
        return
    assert ours.text == twins.text
    assert (ours.title, ours.language) == (twins.title, twins.language)
    assert np.array_equal(ours.blocks, twins.blocks)
    assert np.array_equal(ours.elements, twins.elements)
    rows = block_features(ours)
    assert rows.shape == (len(ours.blocks), len(FEATURES))
    assert np.array_equal(rows, block_features(ours, is_native=False))
    trees = read_model(MODEL_PATH).trees
    assert np.array_equal(block_scores(rows, trees), block_scores(rows, trees, is_native=False))


@settings(max_examples=150, deadline=None)
@given(page=st.one_of(markup.map(lambda raw: raw.decode("utf-8", "replace")), st.text()))
def test_text_of_any_page_is_the_same_with_and_without_the_library(page: str) -> None:
    model = read_model(MODEL_PATH)
    native, twin = BlockExtractor(model), BlockExtractor(model, is_native=False)
    text = native.main_text(page, 2000)
    assert text == twin.main_text(page, 2000)
    assert text.encode("utf-8", "strict").decode() == text


@settings(max_examples=50, deadline=None)
@given(page=st.text(alphabet="<>/ab p\"'=&;", max_size=200))
def test_a_serialised_page_is_balanced(page: str) -> None:
    scanned = NATIVE.scan(serialised(page), 2000)
    assert scanned is not None
    first, end = scanned.elements[:, 3], scanned.elements[:, 4]
    assert (first <= end).all()
    assert (end <= len(scanned.blocks)).all()
