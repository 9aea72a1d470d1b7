"""The plain-text form of docs/formats.md, from every extractor and from books."""

import pytest

from data_pipeline.extract import (
    BalancedConfig,
    ExtractorConfig,
    FastConfig,
    PreciseConfig,
    ResiliparseConfig,
    TrafilaturaConfig,
)
from data_pipeline.extract.book import book_text
from data_pipeline.extract.page_shape import head_metadata
from data_pipeline.extract.protocol import clean_text

SENTENCE = "The river rises in the hills and runs to the sea past the old town of the valley. "
PAGE = f"""<html lang="en"><head><title>Rivers</title></head><body><div><div><article>
<h1>Rivers of the land</h1>
<p>{SENTENCE * 3}</p>
<p>After it comes<br/>a line break. {SENTENCE * 2}</p>
<h2>What they carry</h2>
<p>{SENTENCE * 2}</p>
<ul><li>First thing with some words in it</li><li>Second thing that is <b>bold</b></li></ul>
<p>{SENTENCE * 2}</p>
<ol><li>Step one of the way to the sea</li><li>Step two of the way to the sea</li></ol>
<p>{SENTENCE * 2}</p>
<table><tr><th>Name</th><th>Length</th></tr><tr><td>Rhine</td><td>1233 km</td></tr>
<tr><td>Elbe</td><td>1094 km</td></tr></table>
<p>{SENTENCE * 2}</p>
<pre><code>def flow(river):
    for drop in river:

        print(drop)
</code></pre>
<p>{SENTENCE * 2}</p>
</article></div></div></body></html>"""
# resiliparse takes a list that stands near the body for a menu; real articles stand deeper.
PARAGRAPHS = (
    "Rivers of the land",
    (SENTENCE * 3).strip(),
    f"After it comes\na line break. {SENTENCE * 2}".strip(),
    "What they carry",
    "- First thing with some words in it\n- Second thing that is bold",
    "- Step one of the way to the sea\n- Step two of the way to the sea",
    "Name | Length\nRhine | 1233 km\nElbe | 1094 km",
    "def flow(river):\n    for drop in river:\n\n        print(drop)",
)
CONFIGS: list[ExtractorConfig] = [
    FastConfig(),
    BalancedConfig(),
    PreciseConfig(),
    TrafilaturaConfig(mode="default"),
    TrafilaturaConfig(mode="recall"),
    ResiliparseConfig(is_main_content=False),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.kind}-{getattr(c, 'mode', '')}")
def test_an_extractor_gives_the_plain_form(config: ExtractorConfig) -> None:
    text = clean_text(config.main_text(PAGE))
    for paragraph in PARAGRAPHS:
        assert f"\n\n{paragraph}\n\n" in f"\n\n{text}\n\n"


def test_a_book_gives_the_plain_form() -> None:
    text = clean_text(book_text(PAGE.encode()))
    for paragraph in PARAGRAPHS:
        assert f"\n\n{paragraph}\n\n" in f"\n\n{text}\n\n"


@pytest.mark.parametrize("config", [TrafilaturaConfig(), ResiliparseConfig(is_main_content=False)])
def test_items_at_any_depth_begin_their_line(config: ExtractorConfig) -> None:
    inner = "<ul><li>An inner thing of some words</li></ul>"
    listed = f"<ul><li>An outer thing of some words{inner}</li></ul>"
    text = clean_text(config.main_text(PAGE.replace("<pre>", f"{listed}<p>{SENTENCE}</p><pre>")))
    assert "\n- An outer thing of some words\n- An inner thing of some words\n" in text


def test_a_table_in_a_books_table_is_one_row_of_the_outer_one() -> None:
    table = (
        "<table><tr><td>a</td><td><table><tr><td>b</td><td>c</td></tr></table></td></tr></table>"
    )
    assert book_text(f"<html><body><p>x</p>{table}<p>y</p></body></html>".encode()) == (
        "x\n\na | b c\n\ny"
    )


def test_empty_cells_stay_between_others() -> None:
    page = PAGE.replace("<td>1233 km</td>", "<td></td><td>long</td>")
    assert "Rhine |  | long" in clean_text(TrafilaturaConfig().main_text(page))
    assert "Rhine |  | long" in clean_text(ResiliparseConfig().main_text(page))


def test_hints_at_the_language_are_recorded() -> None:
    head = (
        '<html lang="de-AT"><head><meta property="og:locale" content="de_AT">'
        "<META HTTP-EQUIV='Content-Language' CONTENT='de'></head>"
    )
    assert head_metadata(head) == {
        "html_lang": "de-at",
        "og_locale": "de_at",
        "content_language": "de",
    }
