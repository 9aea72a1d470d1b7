"""Lines that a host repeats: which are found, and what is left of a text."""

import numpy as np
import pytest

from data_pipeline.dedup.boilerplate import (
    BoilerplateConfig,
    RepeatedLines,
    line_key,
    line_rows,
    without_lines,
)
from data_pipeline.dedup.rows import sorted_rows
from data_pipeline.normal_text import normalized

CONFIG = BoilerplateConfig(min_documents=3, min_share=0.5, min_characters=10)
NOTICE = "All rights reserved by nobody."


def found(pages: list[tuple[str, str, int]], piece: int = 1000) -> set[tuple[int, int]]:
    rows = sorted_rows(np.concatenate([line_rows(*page, CONFIG) for page in pages]))
    pieces = [rows[i : i + piece] for i in range(0, len(rows), piece)]
    return {
        (int(unit), int(line))
        for part in RepeatedLines(CONFIG).found(pieces)
        for unit, line in part.tolist()
    }


def key(host: str, line: str) -> int:
    return line_key(host, normalized(line))


@pytest.mark.parametrize("piece", [1, 2, 3, 1000])
def test_a_line_on_many_pages_of_one_host_is_found_in_each_of_its_units(piece: int) -> None:
    pages = [("a.org", f"Page number {i} of many.\n{NOTICE}\nshort", i % 2) for i in range(4)]
    pages += [("b.org", f"{NOTICE}\nAnother page here.", 5), ("b.org", NOTICE, 6)]
    pages += [("c.org", f"{NOTICE if i < 3 else ''}\nText of page {i}.", 7) for i in range(8)]
    assert found(pages, piece) == {(0, key("a.org", NOTICE)), (1, key("a.org", NOTICE))}


def test_a_line_counts_once_a_page_and_whatever_its_typography() -> None:
    pages = [("a.org", f"{NOTICE}\n{NOTICE}\n{NOTICE}", 0)]
    assert found(pages) == set()
    pages = [("a.org", text, 0) for text in (NOTICE, NOTICE.upper(), f"  «{NOTICE}»  ")]
    assert found(pages) == {(0, key("a.org", NOTICE))}


def test_a_text_without_the_lines_keeps_its_paragraphs() -> None:
    text = f"First paragraph.\n\n{NOTICE}\n\nSecond paragraph.\n{NOTICE}"
    lines = {key("a.org", NOTICE)}
    assert without_lines("a.org", text, lines, CONFIG) == (
        "First paragraph.\n\nSecond paragraph.",
        2,
    )
    assert without_lines("b.org", text, lines, CONFIG) == (text, 0)
