"""Personal data is masked; what only looks like it stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.filters import FilterChain, LengthConfig, PiiConfig
from data_pipeline.records import Document, Origin

MASKED = {
    "email": (
        "max.mustermann@web.de",
        "jane+lists@mail.co.uk",
        "o'brien@post.ie",
        "müller@straße-und-haus.de",
        "a_b-c@sub.domain.museum",
        "info (at) firma.de",
        "info[at]firma.de",
        "x@xn--bcher-kva.de",
    ),
    "ip": (
        "193.99.144.80",
        "85.13.128.7",
        "51.15.2.254",
        "2a00:1450:4001:81b::200e",
        "2606:4700:4700::1111",
    ),
    "phone": (
        "+49 (0)711 123456",
        "+49-711-123456",
        "+4971112345678",
        "0049 711 123456",
        "0711 / 123 45-67",
        "0711/1234567",
        "(030) 1234567",
        "089-12345678",
        "0171 1234567",
        "01 23 45 67 89",
        "01.23.45.67.89",
        "+33 1 23 45 67 89",
        "+33 (0)6 12 34 56 78",
        "(212) 555-1234",
        "212-555-1234",
        "212.555.1234",
        "1-800-234-5678",
        "+1 212 555 1234",
        "+1.2125551234",
        "020 7946 0958",
        "(0161) 496 0000",
        "03-1234-5678",
        "+43 1 58858 0",
        "+41 44 668 18 00",
        "+7 495 123-45-67",
        "+86 138 1234 5678",
        "+420 123 456 789",
        "+34 912 345 678",
    ),
}
BY_ITS_WORD = (
    ("Tel.: ", "12 34 56"),
    ("Telefon 0711-", ""),
    ("Tél : ", "912 345 678"),
    ("Fax ", "22 123 45 67"),
    ("Phone: ", "5551234"),
    ("Тел. ", "8 495 123 45 67"),
    ("電話：", "138 1234 5678"),
)
KEPT = (
    "x@example.com x@mail.example.org x@host.test",
    "git@github.com:org/repo.git",
    "icon@2x.png @handle user@host a@b",
    "10.0.0.1 192.168.178.1 172.16.0.9 127.0.0.1 203.0.113.5 198.51.100.7 192.0.2.1 224.0.0.251",
    "version 49.0.12.33, v12.4.1.18, Kapitel 10.2.13.4, § 12.3.4.11",
    "Chrome/49.0.12.33 and 1.2.3.4 and 8.8.8.8",
    "1.3.6.1.4.1.311 and 999.13.1.1 and 12.13.14",
    "fe80::1 2001:db8::8a2e:370:7334 ::1 std::vector<int> a::b::c 12:30:45 1:2:3:4:5:6:7",
    "01.02.2019, 2019-01-02, 1/2/2019, 31.12.2019 12:30:15, 2019-12-31 10:20:30",
    "1,234,567 and 1.234.567,89 and 1 234 567 and $1,200,000 and 10 000 000",
    "ISBN 0-306-40615-2, ISBN 978-3-16-148410-0, ISSN 0378-5955",
    "arXiv:2101.01234, arXiv 0905.1234, 0704.0001, doi:10.1000/182",
    "Order No. 0711 123456, Art.-Nr. 0711-123456, Bestell-Nr. 0711 1234567",
    "IBAN DE89 3704 0044 0532 0130 00, HRB 123456, DE 123456789",
    "3.14159265 and +3.14159265 and -0.123456789 and 0.1234 0.5678",
    "1990 1991 1992 1993 1994, 2015/2016/2017, 1914-1918, 09:30-12:00",
    "01067 Dresden, 12345-6789, 1600 1200, 01/2019 - 12/2020",
    "555-1234, (212) 555-0123, +1 212 555 0199",
    "https://a.de/0711-123456/x?id=01711234567&t=212-555-1234",
    "1234567890123456789 and 0x7fffffff and 00000000",
    "01 02 03 04 05",
    "pages 123-4567 and 10-20-30-40",
)
SENTENCES = ("Write to {} now.", "{}", "({}),", "Kontakt:\n{}\n\nmehr", "a „{}“ b")


def masked(text: str) -> str:
    return PiiConfig().build().mask(text).text


@pytest.mark.parametrize(("kind", "value"), [(k, v) for k, vs in MASKED.items() for v in vs])
def test_personal_data_is_masked_whatever_stands_around(kind: str, value: str) -> None:
    for sentence in SENTENCES:
        found = PiiConfig().build().mask(sentence.format(value))
        assert found.text == sentence.format(f"[{kind.upper()}]")
        assert sum(float(n) for n in found.measures.values()) == 1.0


@pytest.mark.parametrize(("word", "number"), BY_ITS_WORD)
def test_a_number_of_any_form_behind_its_word(word: str, number: str) -> None:
    assert masked(f"{word}{number}.") == (f"{word}[PHONE]." if number else f"{word}.")
    assert masked(f"Es waren {number}.") == f"Es waren {number}."


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_it_stays(text: str) -> None:
    found = PiiConfig().build().mask(text)
    assert found.text == text
    assert set(found.measures.values()) == {0.0}


def test_placeholders_are_chosen_or_switched_off() -> None:
    text = "a.b@web.de 193.99.144.80, 0711/1234567"
    config = PiiConfig(email="<mail>", ip=None, phone="")
    found = config.build().mask(text)
    assert found.text == "<mail> 193.99.144.80, "
    assert found.measures == {"num_emails": 1.0, "num_ips": 0.0, "num_phones": 1.0}


def test_the_chain_masks_behind_the_verdict_and_in_samples_of_drops() -> None:
    text = "Write to a.b@web.de"
    document = Document("d", "web", "https://a.example/", text, Origin("f", 0))
    kept = FilterChain([], None, PiiConfig()).judge(document)
    assert (kept.document.text, kept.measures["pii.num_emails"]) == ("Write to [EMAIL]", 1.0)
    dropped = FilterChain([LengthConfig(min_words=9)], None, PiiConfig()).judge(document)
    assert not dropped.verdict.keep
    assert dropped.document.text == "Write to [EMAIL]"
    assert dropped.measures["length.text_bytes"] == float(len(text))
    other = FilterChain([], None, PiiConfig(sources=("books",))).judge(document)
    assert other.document.text == text


@given(st.text() | st.text(alphabet="+0123456789 ()./-:@abftel,\n[\u00a0\u2013§"))
def test_masking_is_total_and_final(text: str) -> None:
    once = PiiConfig().build().mask(text)
    assert PiiConfig().build().mask(once.text).text == once.text
