import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import DataError
from data_pipeline import documents
from data_pipeline.documents import (
    StoredDocument,
    StoredDrop,
    document_writer,
    drop_writer,
    read_documents,
    read_drops,
)
from data_pipeline.records import Document, Drop, Measures, Origin, make_doc_id


def stored(number: int, measures: Measures | None = None) -> StoredDocument:
    document = Document(
        doc_id=make_doc_id("web", str(number)),
        source="web",
        uri=f"https://example.org/{number}",
        text=f"Text {number}: é \U0001f600\n\nnext paragraph",
        origin=Origin("a.warc.gz", 100 * number, 90),
        language="en",
        language_score=0.75,
        metadata={"title": "T", "author": "A"},
    )
    return StoredDocument(document, measures or {"gopher.num_words": 3.0, "url.host": "example"})


def test_documents_come_back_in_order_with_all_they_had(tmp_path: Path) -> None:
    url = str(tmp_path / "documents" / "a.parquet")
    given = [stored(i) for i in range(10)]
    with document_writer(url) as writer:
        for document in given:
            writer.add(document)
        assert writer.num_documents == 10
    assert list(read_documents(url)) == given


def test_a_file_of_no_documents_can_be_read(tmp_path: Path) -> None:
    url = str(tmp_path / "a.parquet")
    with document_writer(url):
        pass
    assert list(read_documents(url)) == []


def test_many_row_groups_are_one_stream(tmp_path: Path) -> None:
    url = str(tmp_path / "a.parquet")
    count = documents.ROW_GROUP_ROWS + 5
    with document_writer(url) as writer:
        for i in range(count):
            writer.add(stored(i))
    assert [s.document.uri for s in read_documents(url)][-1].endswith(f"/{count - 1}")


def write(url: Path, given: Iterable[StoredDocument]) -> None:
    with document_writer(str(url)) as writer:
        for document in given:
            writer.add(document)


def test_nothing_stands_when_writing_fails(tmp_path: Path) -> None:
    def torn() -> Iterator[StoredDocument]:
        yield stored(1)
        raise RuntimeError("torn")

    with pytest.raises(RuntimeError, match="torn"):
        write(tmp_path / "a.parquet", torn())
    assert list(tmp_path.iterdir()) == []


def test_a_measure_that_comes_up_late_is_refused(tmp_path: Path) -> None:
    given = [stored(i) for i in range(documents.ROW_GROUP_ROWS)] + [stored(0, {"new": 1.0})]
    with pytest.raises(DataError, match=r"measure\.new.*came up after the columns were fixed"):
        write(tmp_path / "a.parquet", given)


def test_drops_keep_a_sample_of_the_text_and_the_measures(tmp_path: Path) -> None:
    url = str(tmp_path / "drops.parquet")
    of_text = stored(1)
    drop = Drop("1", "gopher", "too_few_words", 3.0, "web", "u", Origin("f", 1, 2))
    with drop_writer(url, measures=of_text.measures) as writer:
        writer.add(StoredDrop.of(Drop("2", "read", "no_uri")))
        writer.add(StoredDrop.of(drop, of_text.document, of_text.measures))
    second, first = read_drops(url)
    assert first.drop.value == "3.0"
    assert first.text_sample.startswith("Text 1")
    assert first.measures == of_text.measures
    assert (second.drop.reason, second.drop.value, second.text_sample) == ("no_uri", None, "")


def test_what_is_not_a_store_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"no parquet at all")
    with pytest.raises(DataError, match=r"a\.parquet is not a document store file.*remove it"):
        list(read_documents(str(path)))


def test_documents_can_be_read_without_their_measures(tmp_path: Path) -> None:
    given = [stored(i) for i in range(documents.BATCH_ROWS + 3)]
    write(tmp_path / "a.parquet", given)
    found = list(read_documents(str(tmp_path / "a.parquet"), measures=False))
    assert [item.document for item in found] == [item.document for item in given]
    assert not any(item.measures for item in found)


def test_measures_that_only_some_have_come_back_as_they_were(tmp_path: Path) -> None:
    given = [
        stored(0, {"a": 1.0, "b": "x"}),
        stored(1, {"b": "y"}),
        stored(2, {"a": float("nan"), "c": 0.0}),
        stored(3, {"d": 2.0}),
    ]
    write(tmp_path / "a.parquet", given)
    found = [item.measures for item in read_documents(str(tmp_path / "a.parquet"))]
    assert [list(measures) for measures in found] == [["a", "b"], ["b"], ["a", "c"], ["d"]]
    assert math.isnan(float(found[2]["a"]))
    assert [found[0], found[1], found[3]] == [given[n].measures for n in (0, 1, 3)]


def test_a_table_of_something_else_is_named_with_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"doc_id": ["1"], "text": ["a"]}), path)
    with pytest.raises(DataError, match=r"not a document store file: the columns \['language', "):
        list(read_documents(str(path)))
