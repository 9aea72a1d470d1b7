"""The order in which a page's charset is looked for, and what wrong labels and bytes do."""

import codecs

import pytest

from data_pipeline.extract.charset import charset_of, codec_of, decoded

WORD = "Grüße, żółw, Ελλάδα"


def meta(label: str) -> bytes:
    return f'<html><head><meta charset="{label}"></head><body>'.encode()


def test_the_header_goes_before_meta_before_mark_before_detector() -> None:
    text = "Grüße".encode("windows-1252")
    assert charset_of(meta("utf-8") + text, "windows-1252") == "cp1252"
    assert charset_of(codecs.BOM_UTF8 + meta("iso-8859-2") + text, None) == "iso8859-2"
    assert charset_of(codecs.BOM_UTF8 + b"<p>" + text, None) == "utf-8"
    assert charset_of("<p>Grüße</p>".encode(), None) == "utf-8"


@pytest.mark.parametrize("label", ["", " ", "none", "utf-42", "charset", "\ud800", "x" * 500])
def test_a_label_that_means_nothing_is_passed_over(label: str) -> None:
    assert charset_of(meta("windows-1250") + b"\x9c", label) == "cp1250"


def test_an_unknown_meta_label_leaves_it_to_the_bytes() -> None:
    assert decoded(meta("klingon") + "Grüße".encode(), None).endswith("Grüße")


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("ISO-8859-1", "cp1252"),
        (" latin1 ", "cp1252"),
        ("gb2312", "gbk"),
        ("UTF8", "utf-8"),
        ("shift_jis", "shift_jis"),
        ("base64", None),
        ("rot13", None),
        (None, None),
    ],
)
def test_labels_mean_what_browsers_take_them_for(label: str | None, codec: str | None) -> None:
    assert codec_of(label) == codec


@pytest.mark.parametrize(
    "tag",
    [
        b"<meta charset=windows-1251>",
        b"<META CHARSET = 'windows-1251' />",
        b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">',
        b'<?xml version="1.0" encoding="windows-1251"?>',
        b'<!-- <meta charset="utf-8"> --><meta charset="windows-1251">',
    ],
)
def test_meta_tags_are_found_as_pages_write_them(tag: bytes) -> None:
    assert decoded(tag + "<p>Привет".encode("windows-1251"), None).endswith("Привет")


def test_a_meta_tag_that_can_be_read_is_not_utf_16() -> None:
    assert decoded(meta("utf-16") + WORD.encode(), None).endswith(WORD)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-8"])
def test_byte_order_marks(codec: str) -> None:
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
    data = mark.get(codec, codecs.BOM_UTF8) + f"<p>{WORD}".encode(codec)
    assert decoded(data, None) == f"<p>{WORD}"


def test_unlabelled_bytes_go_to_the_detector() -> None:
    russian = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5
    assert decoded(russian.encode("windows-1251"), None) == russian
    japanese = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 5
    assert decoded(japanese.encode("euc-jp"), None) == japanese


@pytest.mark.parametrize("header", [None, "utf-8", "utf-16", "shift_jis", "gb18030", "utf-7"])
def test_any_bytes_become_text_that_can_be_written(header: str | None) -> None:
    dirty = b"<p>a\x00b\xff\xfe\xc3\x28\xed\xa0\x80\xd8\x00c" + bytes(range(256)) * 3
    text = decoded(dirty, header)
    assert "\0" not in text
    assert text.encode().decode() == text


def test_bad_bytes_are_replaced_and_the_rest_kept() -> None:
    assert decoded(b"<p>a\xffb\x00c", "utf-8") == "<p>a\ufffdbc"
