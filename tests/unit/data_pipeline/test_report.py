"""The report: counts that add up, drops chosen by hash, a page that runs nothing."""

import base64
import hashlib
import io
import json
import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from contracts.errors import DataError
from contracts.tokenizer import TokenizerSpec
from data_pipeline.records import Drop
from data_pipeline.report import (
    DropSample,
    DropSampler,
    GroupReport,
    HostsReport,
    NearDuplicate,
    ReportConfig,
    ReportData,
    SafetyReport,
    SourceReport,
    SplitReport,
    StageTime,
    TableRow,
    TextSample,
    TimelinePoint,
    UnreadFile,
    add_counts,
    html_page,
    length_bucket,
    print_report,
    write_report,
)
from data_pipeline.report.numbers import grouped, in_bytes, in_time, percent, short
from data_pipeline.report.pairs import marked
from data_pipeline.report.timeline import timeline

HOSTILE = (
    '<script>alert(1)</script> & "quotes" <img src=https://evil.example/x.png> \u202e\ud7ff é 漢字'
)


def test_safety_counts_are_shown_and_merged() -> None:
    parts = [
        SafetyReport({"noai": 2, "noindex": 1}, {"phones": 3}, 2, {"zeta": 1}),
        SafetyReport({"noindex": 4}, {"emails": 5, "phones": 1}, 3, {"alpha": 2, "zeta": 7}),
    ]
    merged = SafetyReport.merged(parts)
    assert merged == SafetyReport.merged(reversed(parts))
    assert merged == SafetyReport(
        {"noai": 2, "noindex": 5}, {"emails": 5, "phones": 4}, 5, {"alpha": 2, "zeta": 8}
    )
    data = make_report()
    assert "Personal data" not in html_page(data)
    dropped = {"opt_out": {"noai": 2}, "decontamination": {"zeta": 6}}
    page = html_page(replace(data, safety=merged, dropped=dropped))
    assert "<td>noai</td><td>2</td><td>2</td>" in page
    assert "<td>noindex</td><td>5</td><td>0</td>" in page
    assert "Masked in 5 kept documents" in page
    assert "<td>e-mail addresses</td><td>5</td>" in page
    assert "<td>zeta</td><td>8</td><td>6</td>" in page


def make_report() -> ReportData:
    dropped = {"read": {"damaged": 2}, "gopher": {"too_few_words": 30, "few_stop_words": 8}}
    samples = tuple(
        DropSample(
            "gopher", "too_few_words", f"{i:032x}", "web", f"https://a.example/{i}", 7.0, HOSTILE
        )
        for i in range(3)
    )
    return ReportData(
        title="crawl & <books>",
        num_in=100,
        num_kept=60,
        dropped=dropped,
        sources=(
            SourceReport(
                "web", 80, 45, 45_000, {"train": 9_000, "validation": 800}, dropped, {9: 5, 12: 40}
            ),
            SourceReport("books", 20, 15, 150_000, {"train": 30_000, "validation": 900}, {}, {}),
        ),
        splits=(
            SplitReport("train", 2, 20, 39_000, 38_900, 190_000, 90_000),
            SplitReport("validation", 2, 2, 1_700, 1_690, 5_000, 9_000),
        ),
        languages={"en": 40, "de": 15, **{f"x{i}": 1 for i in range(17)}},
        tokenizer=TokenizerSpec("sentencepiece", "ab" * 32, 32_000, 2, 1, 0),
        seq_len=2048,
        times=(
            StageTime("map", 12.5, 100, "records", 2_000_000, 1 << 20, 2, 1, 0),
            StageTime("dedup", 0.0, 60, "documents", 0),
        ),
        drop_samples=samples,
        config_yaml="sources:\n- kind: <x>\n",
        facts={"code version": "abc123"},
        by_language=(
            GroupReport("en", 60, 40, 30_000, {"gopher/too_few_words": 20}),
            GroupReport("de", 20, 15, 15_000, {"gopher/few_stop_words": 5}),
            *(GroupReport(f"x{i}", 1, 1, 10) for i in range(22)),
        ),
        hosts=HostsReport((GroupReport("<b>host</b>.example", 9, 4, 100),), 7, 10, 40),
        near_duplicates=(
            NearDuplicate(samples[0], TextSample("f" * 32, "https://b.example/", "the <kept> one")),
            NearDuplicate(samples[1], None),
        ),
        table=(
            TableRow(
                "0" * 32, HOSTILE, "web", "en", "kept", None, {"gopher.x": 1.5, "y": "</script>"}
            ),
        ),
        timeline=tuple(
            TimelinePoint(float(i), "map" if i < 5 else "<write>", 10 * i, 1000 * i, 1 << 20)
            for i in range(10)
        ),
        unread_files=(UnreadFile("web", "s3://b/<x>.warc.gz", "cut_short", "torn <gzip>", 3),),
    )


class Page(HTMLParser):
    """Tags and texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_makes_no_request_and_holds_the_text_as_it_was() -> None:
    page = Page()
    page.feed(html_page(make_report()))
    names = {tag for tag, _ in page.tags}
    assert not names & {"img", "link", "iframe", "object", "form"}
    assert not any(
        key.startswith("on") or key in {"src", "href"} for _, a in page.tags for key in a
    )
    assert not re.search(r"url\(|@import", page.text)
    assert HOSTILE in page.text
    assert "crawl & <books>" in page.text
    assert "- kind: <x>" in page.text
    assert "<b>host</b>.example" in page.text


def test_page_allows_its_own_script_alone() -> None:
    text = html_page(make_report())
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in text
    page = Page()
    page.feed(text)
    assert [a.get("type") for tag, a in page.tags if tag == "script"] == ["application/json", None]


def test_rows_of_the_table_cannot_end_their_script() -> None:
    text = html_page(make_report())
    rows = re.search(r'id="document-rows">(.*?)</script>', text, re.DOTALL)
    assert rows
    assert json.loads(rows[1]) == [
        ["0" * 32, HOSTILE, "web", "en", "kept", None, {"gopher.x": 1.5, "y": "</script>"}]
    ]


def test_page_says_that_hosts_were_sampled() -> None:
    page = Page()
    page.feed(html_page(make_report()))
    assert "Counted in 10 of 40 work units" in page.text


def test_near_duplicates_mark_what_differs() -> None:
    left, right = marked("a <b> c d", "a <b> x d")
    assert left == "a &lt;b&gt; <mark>c</mark> d"
    assert right == "a &lt;b&gt; <mark>x</mark> d"


def test_timeline_needs_more_than_a_moment() -> None:
    assert timeline(()) == ""
    assert timeline([TimelinePoint(1.0, "map", 1, 1, 0)] * 5) == ""
    shown = timeline(make_report().timeline)
    assert "&lt;write&gt;" in shown
    assert shown.count("<polyline") == 6


def test_page_says_every_reason_source_and_split() -> None:
    page = Page()
    page.feed(html_page(make_report()))
    for word in (
        "damaged",
        "too_few_words",
        "few_stop_words",
        "web",
        "books",
        "validation",
        "4 others",
        "abc123",
        "2 retries, 1 second copies",
        "s3://b/<x>.warc.gz",
        "torn <gzip>",
    ):
        assert word in page.text
    assert "3 of 30" in page.text


def test_page_of_an_empty_job() -> None:
    data = replace(
        make_report(), num_in=0, num_kept=0, dropped={}, sources=(), splits=(), languages={},
        times=(), drop_samples=(), facts={}, by_language=(), hosts=HostsReport(),
        near_duplicates=(), table=(), timeline=(), unread_files=(),
    )  # fmt: skip
    assert "documents read" in html_page(data)


def test_report_files_hold_the_counts(tmp_path: Path) -> None:
    json_url, page_url = write_report(make_report(), str(tmp_path))
    tree = json.loads(Path(json_url).read_text(encoding="utf-8"))
    assert tree["num_in"] == tree["num_kept"] + tree["num_dropped"]
    assert tree["sources"][0]["lengths"] == {"9": 5, "12": 40}
    assert Path(page_url).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_counts_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    data = replace(make_report(), num_kept=59)
    with pytest.raises(
        DataError, match=r"100 records read, but 59 kept and 40 dropped make 99; .*ledger"
    ):
        write_report(data, str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_terminal_table_ends_with_what_was_kept() -> None:
    out = io.StringIO()
    print_report(make_report(), Console(file=out, width=100))
    text = out.getvalue()
    assert re.search(r"kept\s+│\s+60\s+│\s+60\.0\u202f%\s+│\s+60", text)
    assert "gopher: too_few_words" in text


def make_drop(number: int, reason: str = "short") -> Drop:
    return Drop(f"{number:032x}", "gopher", reason, 1.0, "web", f"https://a.example/{number}")


def test_drops_shown_do_not_depend_on_order_or_units() -> None:
    config = ReportConfig(samples_per_reason=4, sample_characters=3)
    drops = [make_drop(i, reason) for i in range(50) for reason in ("short", "long")]
    whole = DropSampler(config)
    for drop in drops:
        whole.add(drop, "abcdef")
    random.Random(1).shuffle(drops)
    merged = DropSampler(config)
    for start in range(0, len(drops), 7):
        unit = DropSampler(config)
        for drop in drops[start : start + 7]:
            unit.add(drop, "abcdef")
        merged.merge(unit.samples())
    assert merged.samples() == whole.samples()
    assert len(whole.samples()) == 8
    assert whole.samples()[0].text == "abc…"


def test_no_drops_are_shown_where_none_are_asked_for() -> None:
    sampler = DropSampler(ReportConfig(samples_per_reason=0))
    assert not sampler.wants(make_drop(1))
    sampler.add(make_drop(1), "text")
    sampler.merge(())
    assert sampler.samples() == ()


def test_counts_add_up_by_stage_and_reason() -> None:
    assert add_counts({"a": {"x": 1}}, {"b": {"y": 2}, "a": {"x": 3, "z": 4}}) == {
        "a": {"x": 4, "z": 4},
        "b": {"y": 2},
    }


@pytest.mark.parametrize(
    ("length", "bucket"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1023, 10), (1024, 11)]
)
def test_length_buckets_are_powers_of_two(length: int, bucket: int) -> None:
    assert length_bucket(length) == bucket


def test_numbers_are_readable() -> None:
    assert grouped(1234567) == "1\u202f234\u202f567"
    assert short(999_700) == "1\u202fM"
    assert short(12) == "12"
    assert in_bytes(512) == "512\u202fB"
    assert in_bytes(1_234_567) == "1.23\u202fMB"
    assert percent(1, 0) == "–"
    assert percent(1, 100_000) == "<0.1\u202f%"
    assert [in_time(s) for s in (1.25, 185, 7800)] == [
        "1.2\u202fs",
        "3\u202fmin 05\u202fs",
        "2\u202fh 10\u202fmin",
    ]
