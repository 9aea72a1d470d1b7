"""Books: EPUB, converters' text, sentence files; what is left out, and every error message."""

import io
import json
import re
import zipfile
from pathlib import Path

import pytest

from contracts.errors import ConfigError, DataError
from data_pipeline.extract import TrafilaturaConfig, build_extractor
from data_pipeline.records import Document, Drop, RawRecord
from data_pipeline.sources import BookCorpusConfig

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
)
OPF = """<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">
<metadata><dc:title>A Book</dc:title><dc:creator>Ann Author</dc:creator><dc:rights>CC0</dc:rights>
<dc:language>en</dc:language></metadata>
<manifest>{items}</manifest><spine>{spine}</spine></package>"""
PAGE = (
    '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops">'
    "<body>{body}</body></html>"
)


def epub(parts: dict[str, str], *, container: str = CONTAINER) -> bytes:
    """An EPUB of the given spine parts."""
    items = "".join(
        f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"/>'
        for name in parts
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in parts)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("OEBPS/book.opf", OPF.format(items=items, spine=spine))
        for name, body in parts.items():
            archive.writestr(f"OEBPS/{name}.xhtml", PAGE.format(body=body))
    return stream.getvalue()


def records(config: BookCorpusConfig) -> list[RawRecord | Drop]:
    source = config.build()
    return [record for unit in source.plan() for record in source.records(unit)]


def documents(config: BookCorpusConfig) -> list[Document]:
    extractor = build_extractor(TrafilaturaConfig())
    found = [extractor.extract(r) for r in records(config) if isinstance(r, RawRecord)]
    assert all(isinstance(item, Document) for item in found)
    return [item for item in found if isinstance(item, Document)]


def test_epub_gives_its_chapters_in_spine_order_without_front_and_back_matter(
    tmp_path: Path,
) -> None:
    (tmp_path / "b.epub").write_bytes(
        epub(
            {
                "titlepage": "<h1>A Book</h1>",
                "z_first": "<section><h2>One</h2><p>First <i>line</i>.</p><p>a<br/>b</p></section>",
                "a_second": 'Bare &amp; plain.<p>Second<a epub:type="noteref" href="#n">3</a>.</p>',
                "about": '<section epub:type="colophon"><p>Set in type.</p></section>',
                "end": "<p>Full Project Gutenberg License. You may copy it.</p>",
            }
        )
    )
    (book,) = documents(BookCorpusConfig(files=(str(tmp_path),)))
    assert book.text == "One\n\nFirst line.\n\na\nb\n\nBare & plain.\n\nSecond."
    assert book.metadata["title"] == "A Book"
    assert book.metadata["author"] == "Ann Author"
    assert book.metadata["licence"] == "CC0"


def test_converted_text_loses_title_page_imprint_and_licence(tmp_path: Path) -> None:
    text = "\n\n\n".join(
        [
            "A Book\n\nBy Ann Author.",
            "Imprint\n\nMade here.",
            "I\n\nIt began.",
            "II\n\nIt went on.",
            "Uncopyright\n\nNo rights.",
        ]
    )
    (tmp_path / "1__a-book.epub.txt").write_text(text)
    (book,) = documents(BookCorpusConfig(files=(str(tmp_path / "*.txt"),), licence="mine"))
    assert book.text == "I\n\nIt began.\n\nII\n\nIt went on."
    assert dict(book.metadata) == {"title": "A Book", "author": "Ann Author", "licence": "mine"}


def test_gutenberg_markers_and_header_fields(tmp_path: Path) -> None:
    text = (
        "The Project Gutenberg eBook\n\nTitle: A Book\n\nAuthor: Ann Author\n\n"
        "*** START OF THE PROJECT GUTENBERG EBOOK A BOOK ***\n\nIt was so.\n\n"
        "*** END OF THE PROJECT GUTENBERG EBOOK A BOOK ***\nlicence text"
    )
    (tmp_path / "pg.txt").write_text(text)
    (book,) = documents(BookCorpusConfig(files=(str(tmp_path / "pg.txt"),)))
    assert book.text == "It was so."
    assert book.metadata["title"] == "A Book"


def test_sentence_file_is_cut_at_headings_and_nothing_is_lost(tmp_path: Path) -> None:
    lines = [f"`` sentence number {i} goes here , '' he said .\n" for i in range(400)]
    lines[115] = "chapter ii\n"
    path = tmp_path / "books_large_p1.txt"
    path.write_text("".join(lines))
    config = BookCorpusConfig(files=(str(path),), document_bytes=6000)
    found = [r for r in records(config) if isinstance(r, RawRecord)]
    assert b"".join(r.payload for r in found).decode() == "".join(lines)
    assert found[1].payload.startswith(b"chapter ii\n")
    assert all(path.read_bytes()[r.origin.offset :].startswith(r.payload[:40]) for r in found)


def test_sentence_file_in_ranges_holds_each_line_once(tmp_path: Path) -> None:
    path = tmp_path / "books_large_p2.txt"
    path.write_text("".join(f"line {i} .\n" for i in range(5000)))
    config = BookCorpusConfig(files=(str(path),), document_bytes=4000, unit_bytes=10_000)
    assert len(config.build().plan()) > 3
    found = [r for r in records(config) if isinstance(r, RawRecord)]
    assert b"".join(r.payload for r in found) == path.read_bytes()


def test_manifest_gives_metadata(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("Text of a book.")
    manifest = tmp_path / "books.jsonl"
    manifest.write_text(json.dumps({"path": "x.txt", "title": "X", "licence": "PD"}) + "\n")
    (book,) = documents(BookCorpusConfig(manifest=str(manifest)))
    assert dict(book.metadata) == {"title": "X", "licence": "PD"}


def test_manifest_line_that_names_no_path(tmp_path: Path) -> None:
    manifest = tmp_path / "books.jsonl"
    manifest.write_text('{"title": "X"}\n')
    with pytest.raises(DataError, match="line 1: expected an object with `path`"):
        BookCorpusConfig(manifest=str(manifest)).build().plan()
    manifest.write_text("\n")
    with pytest.raises(DataError, match="lists no book"):
        BookCorpusConfig(manifest=str(manifest)).build().plan()


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("bad.epub", b"no zip", "unreadable_epub"),
        ("none.epub", epub({"cover": "<p>x</p>"}), "no_text_in_spine"),
        ("torn.epub", epub({"one": "<p>x</p>"}, container="<container/>"), "unreadable_epub"),
        ("empty.txt", b" \n\n", "empty_book"),
        ("large.txt", b"x" * 2000, "book_too_large"),
    ],
)
def test_bad_books_are_drops(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(data)
    (drop,) = records(BookCorpusConfig(files=(str(tmp_path),), max_book_bytes=1000))
    assert isinstance(drop, Drop)
    assert (drop.stage, drop.reason) == ("read", reason)


def test_files_or_manifest_is_required() -> None:
    with pytest.raises((ConfigError, ValueError), match="give either files or manifest"):
        BookCorpusConfig()


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file matches"):
        BookCorpusConfig(files=(str(tmp_path / "none"),)).build().plan()


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def test_real_books_are_the_same_in_both_forms(shared_data: Path) -> None:
    books = shared_data / "books"
    from_epub = documents(BookCorpusConfig(files=(str(books / "epub"),)))
    from_text = documents(BookCorpusConfig(name="text", files=(str(books / "epubtxt"),)))
    assert len(from_epub) == len(from_text) == 5
    by_title = {book.metadata["title"]: book for book in from_text}
    for book in from_epub:
        ours, other = shingles(book.text), shingles(by_title[book.metadata["title"]].text)
        assert len(ours & other) / len(ours | other) > 0.99
        assert book.metadata["author"] == by_title[book.metadata["title"]].metadata["author"]
        assert "Standard Ebooks" not in book.text
        assert "Uncopyright" not in by_title[book.metadata["title"]].text


def test_named_entities_of_html_are_read(tmp_path: Path) -> None:
    body = "<p>Caf&eacute;&nbsp;&mdash;&hellip; R&amp;D &lt;x&gt;&unknown; end</p>"
    (tmp_path / "b.epub").write_bytes(epub({"one": body}))
    (book,) = documents(BookCorpusConfig(files=(str(tmp_path),)))
    assert book.text.replace("\xa0", " ") == "Café —… R&D <x> end"


def test_a_corrupt_member_is_a_drop(tmp_path: Path) -> None:
    stream = io.BytesIO(epub({"one": "<p>x</p>"}))
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        info = archive.getinfo("META-INF/container.xml")
        assert info.compress_type == zipfile.ZIP_STORED
    packed = io.BytesIO()
    with zipfile.ZipFile(stream) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        first = new.getinfo("META-INF/container.xml")
    data = bytearray(packed.getvalue())
    at = first.header_offset + 30 + len(first.filename)
    data[at : at + 20] = b"\xff" * 20
    (tmp_path / "b.epub").write_bytes(bytes(data))
    (drop,) = records(BookCorpusConfig(files=(str(tmp_path),)))
    assert isinstance(drop, Drop)
    assert drop.reason == "unreadable_epub"
    assert "Error -3" in str(drop.value)


def test_only_books_are_decoded(tmp_path: Path) -> None:
    (tmp_path / "b.txt.gz").write_bytes(b"\x1f\x8b\x08")
    (drop,) = records(BookCorpusConfig(files=(str(tmp_path / "*"),)))
    assert isinstance(drop, Drop)
    assert (drop.reason, drop.value) == ("not_a_book", "b.txt.gz")


@pytest.mark.parametrize(
    ("data", "text", "charset"),
    [
        ("\ufeffCafé".encode(), "Café", None),
        ("“Café”".encode("windows-1252"), "“Café”", "windows-1252"),
        ("“Café” ".encode() + b"\xff", "“Café” \ufffd", None),
    ],
)
def test_charset_of_a_text_book(
    tmp_path: Path, data: bytes, text: str, charset: str | None
) -> None:
    (tmp_path / "b.txt").write_bytes(data)
    (book,) = documents(BookCorpusConfig(files=(str(tmp_path),)))
    assert book.text == text
    assert book.metadata.get("charset") == charset
