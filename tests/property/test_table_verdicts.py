"""A table of measures is judged by column as each row is judged alone."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import DataError
from data_pipeline.filters import (
    C4Config,
    FilterChain,
    FineWebConfig,
    GopherQualityConfig,
    GopherRepetitionConfig,
    LanguageConfig,
    LengthConfig,
    OptOutConfig,
    TextView,
    UrlConfig,
)
from data_pipeline.filters.table_verdicts import JudgingFilter, table_verdicts
from data_pipeline.records import Document, Measures, Origin, Verdict

CHAIN = FilterChain(
    [
        UrlConfig(blocked_hosts=("bad.example",), sources=("web",)),
        LanguageConfig(languages=("en", "de"), min_score=0.3),
        LengthConfig(min_words=2, sources=("web", "notes")),
        GopherRepetitionConfig(),
        GopherQualityConfig(min_words=4, max_words=40),
        C4Config(min_sentences=1),
        FineWebConfig(),
    ],
    OptOutConfig(),
)
TEXTS = st.lists(
    st.sampled_from(["the", "of", "und", "word.", "\n", "1", "#", "{", "...", "\u5b69"]),
    max_size=60,
).map(" ".join)
DOCUMENTS = st.builds(
    lambda text, source, host: Document(
        "0" * 32, source, f"https://{host}/", text, Origin("file", 0)
    ),
    TEXTS,
    st.sampled_from(["web", "notes", "books"]),
    st.sampled_from(["a.bad.example", "good.example"]),
)


def judged(sources: list[str], measures: list[Measures]) -> list[Verdict]:
    names = sorted({name for row in measures for name in row})
    columns = {name: pa.chunked_array([[row.get(name) for row in measures]]) for name in names}
    found = table_verdicts(CHAIN.filters, pa.table({"source": sources}), columns)
    return [
        Verdict(True, "filter") if code < 0 else Verdict(False, *found.reasons[code])
        for code in found.codes.tolist()
    ]


@given(st.lists(DOCUMENTS, min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_table_is_judged_as_its_rows_are(documents: list[Document]) -> None:
    alone = [CHAIN.judge(document) for document in documents]
    together = judged([d.source for d in documents], [j.measures for j in alone])
    assert [(v.keep, v.stage, v.reason) for v in together] == [
        (j.verdict.keep, j.verdict.stage, j.verdict.reason) for j in alone
    ]


class Odd:
    """A filter that decides by more than rules."""

    stage = "odd"

    def measure(self, view: TextView) -> dict[str, float | str]:
        return {"length": float(len(view.text))}

    def decide(self, measures: Measures) -> Verdict:
        if float(measures["length"]) % 2:
            return Verdict(False, self.stage, "odd_length")
        return Verdict(True, self.stage)


def test_a_filter_without_rules_is_asked_row_by_row() -> None:
    table = pa.table({"source": ["a", "b", "a"]})
    lengths = {"odd.length": pa.chunked_array([[1.0, 1.0, 2.0]])}
    found = table_verdicts([JudgingFilter(Odd(), frozenset({"a"}))], table, lengths)
    assert found.codes.tolist() == [0, -1, -1]
    assert found.reasons == (("odd", "odd_length"),)


def test_a_measure_that_was_not_taken_is_named() -> None:
    with pytest.raises(DataError, match=r"source 'web' has no measure 'opt_out.noai'"):
        judged(["web"], [{"length.num_words": 3.0}])
