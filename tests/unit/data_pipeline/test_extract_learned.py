"""The learned extractor: what it keeps, how text comes out, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.extract.block_text import rendered
from data_pipeline.extract.learned import (
    MODEL_PATH,
    BlockExtractor,
    LearnedConfig,
    block_scanner,
    read_model,
    serialised,
)
from data_pipeline.extract.page_shape import PageTooDeepError
from data_pipeline.native.block_scores import Trees, block_scores
from data_pipeline.native.html_features import FEATURES

SENTENCE = "The river rises in the hills, turns at the mill and runs to the sea past the old town. "
PAGE = (
    "<html lang=en><head><title>Rivers of the north - The Gazette</title></head><body>"
    "<nav class=menu><ul><li><a href=/>Home</a><li><a href=/n>News</a><li><a href=/s>Sport</a>"
    "</ul></nav><article><h1>Rivers of the north</h1>"
    f"<p>{SENTENCE * 4}</p><h2>The <i>upper</i> run</h2>"
    f"<p>{SENTENCE * 3}<br>{SENTENCE}</p><p>{SENTENCE * 5}</p></article>"
    "<div id=comments><h3>3 comments</h3>"
    "<p class=comment>I have never been to that part of the country, but I should like to.</p>"
    "</div><footer class=footer><a href=/imprint>Imprint</a> <a href=/privacy>Privacy</a></footer>"
)


def all_text(page: str) -> str:
    scanned = block_scanner().scan(serialised(page), 2000)
    assert scanned is not None
    return rendered(scanned, np.ones(len(scanned.blocks), np.bool_))


def test_main_text_is_kept_and_menus_footers_and_comments_go() -> None:
    text = LearnedConfig().main_text(PAGE)
    assert text.count("The river rises") == 13
    assert "\n\nThe upper run\n\n" in text
    for other in ("Home", "Sport", "Imprint", "never been"):
        assert other not in text


@pytest.mark.parametrize("page", ["", "<", "<p>", "plain", "<svg><p>x", '<a b="=">'])
def test_any_page_gives_some_text(page: str) -> None:
    assert isinstance(LearnedConfig().main_text(page), str)


def test_lists_tables_code_and_lines_keep_their_shape() -> None:
    page = (
        "<h2>What to\n take</h2><ul><li>bread<li><p>cheese</p><p>old</p></ul>"
        "<p>Then  go.<br>Or stay."
        "<table><tr><th>Day<th>Hours<tr><td>one<td>7<br>or 8</table>"
        "<pre>\n  if x &lt; 1:\n\n    y()  \n</pre>"
    )
    assert all_text(page) == (
        "What to take\n\n- bread\n- cheese\nold\n\nThen go.\nOr stay.\n\n"
        "Day | Hours\none | 7 or 8\n\n  if x < 1:\n\n    y()"
    )


def test_a_layout_table_is_no_row() -> None:
    page = "<table><tr><td><p>left</p><p>more</p><td><p>right</p></table>"
    assert all_text(page) == "left\n\nmore\n\nright"


def test_two_line_breaks_part_paragraphs() -> None:
    assert all_text("<div>one<br>\n<br>two<br>three</div>") == "one\n\ntwo\nthree"


def test_a_quote_in_a_broken_attribute_name_ends_nothing() -> None:
    assert all_text('<a href="/x" title="a"b">one</a><p>two') == "one\n\ntwo"


def test_a_page_whose_text_is_only_in_json_ld_gives_that() -> None:
    body = json.dumps({"@type": "NewsArticle", "articleBody": f"<p>{SENTENCE * 3}&amp; so on"})
    text = LearnedConfig().main_text(f'<body><script type="application/ld+json">{body}</script>')
    assert text == f"{SENTENCE * 3}& so on"
    assert LearnedConfig().main_text('<script>"articleBody": "\\q"</script>') == ""


@pytest.mark.parametrize("is_native", [True, False])
def test_deep_pages_are_refused_fast(is_native: bool) -> None:
    extractor = BlockExtractor(read_model(MODEL_PATH), is_native=is_native)
    with pytest.raises(PageTooDeepError, match="elements nest deeper than max_depth=2000"):
        extractor.main_text("<div>" * 200_000, 2000)


def test_a_model_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(MODEL_PATH.read_text().replace('"schema_version": 1', '"schema_version": 9'))
    with pytest.raises(ValueError, match="schema_version 9, this code reads 1"):
        read_model(path)


def test_a_model_of_unknown_features_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(MODEL_PATH.read_text().replace('"links_share"', '"colour"'))
    with pytest.raises(ValueError, match=r"unknown features \['colour'\]; train the model again"):
        read_model(path)


@pytest.mark.parametrize(
    "node",
    [
        pytest.param([9, 0, -1, -1], id="column"),
        pytest.param([0, 0, 0, -1], id="circle"),
        pytest.param([0, 0, -3, -1], id="leaf"),
        pytest.param([0, 0, 1, -1], id="child"),
    ],
)
def test_unsound_trees_are_refused(node: list[int]) -> None:
    nodes, leaves = np.array([node], np.int32), np.array([1, 2], np.int32)
    with pytest.raises(ValueError, match="a column, child or leaf lies outside, or a child before"):
        Trees(nodes, leaves, np.zeros(1, np.int32), 4)


def test_rows_of_another_width_are_refused() -> None:
    rows = np.zeros((2, len(FEATURES) - 1), np.int32)
    with pytest.raises(ValueError, match=f"the trees were made for {len(FEATURES)}"):
        block_scores(rows, read_model(MODEL_PATH).trees)


def test_compiled_and_python_trees_agree() -> None:
    rows = np.random.default_rng(3).integers(-5, 1500, (50, len(FEATURES))).astype(np.int32)
    trees = read_model(MODEL_PATH).trees
    assert np.array_equal(block_scores(rows, trees), block_scores(rows, trees, is_native=False))
