"""Signature files: what is written is read, and what cannot be compared is refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import DataError
from data_pipeline.dedup import (
    DedupConfig,
    MinHashConfig,
    find_duplicates,
    read_signatures,
    read_table,
    signature_bytes,
    signature_table,
    write_signatures,
)
from data_pipeline.records import Document, Origin, Signature

CONFIG = DedupConfig()
LONG = " ".join(map(str, range(50)))


def signatures(*texts: str, prefix: str = "") -> list[Signature]:
    signer = CONFIG.build()
    return [
        signer.signature(Document(f"{prefix}{i}", "s", "u", text, Origin("f", 0)))
        for i, text in enumerate(texts)
    ]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = signatures(LONG, "short", LONG + " more")
    url = str(tmp_path / "unit.parquet")
    write_signatures(url, written, CONFIG)
    read = read_signatures(url, CONFIG)
    assert [(s.doc_id, s.digest, s.bands.tolist()) for s in read] == [
        (s.doc_id, s.digest, s.bands.tolist()) for s in written
    ]
    assert read[0].bands.dtype == np.uint32
    assert signature_bytes(written, CONFIG) == Path(url).read_bytes()


def test_a_table_of_files_finds_what_a_table_of_signatures_does(tmp_path: Path) -> None:
    first, second = signatures(LONG, "short"), signatures(LONG + " more", "short", prefix="x")
    urls = [str(tmp_path / f"{i}.parquet") for i in range(3)]
    for url, part in zip(urls, (first, [], second), strict=True):
        write_signatures(url, part, CONFIG)
    expected = find_duplicates(signature_table([first + second], 0), CONFIG)
    assert len(expected) == 2
    assert find_duplicates(read_table(urls, CONFIG), CONFIG) == expected
    assert len(read_table([urls[1]], CONFIG)) == 0
    assert find_duplicates(read_table([], CONFIG), CONFIG) == []


def test_earlier_datasets_come_first_and_stay(tmp_path: Path) -> None:
    old, new = signatures(LONG, prefix="z"), signatures(LONG, prefix="a")
    write_signatures(str(tmp_path / "old" / "signatures" / "unit.parquet"), old, CONFIG)
    write_signatures(str(tmp_path / "new.parquet"), new, CONFIG)
    config = DedupConfig(against=(str(tmp_path / "old"),))
    duplicates = find_duplicates(read_table([str(tmp_path / "new.parquet")], config), config)
    assert [(d.doc_id, d.kept_doc_id, d.method) for d in duplicates] == [("a0", "z0", "exact")]


def test_a_dataset_without_signatures_is_refused(tmp_path: Path) -> None:
    config = DedupConfig(against=(str(tmp_path),))
    with pytest.raises(DataError, match=r"dedup\.against: .* holds no signatures/\*\.parquet"):
        read_table([], config)


def test_signatures_drawn_in_another_way_are_refused(tmp_path: Path) -> None:
    url = str(tmp_path / "unit.parquet")
    write_signatures(url, signatures(LONG), CONFIG)
    other = DedupConfig(minhash=MinHashConfig(seed=7))
    with pytest.raises(DataError, match=r'unit\.parquet holds .*"seed": 1.*draws them as .*: 7'):
        read_signatures(url, other)
    threshold = DedupConfig(minhash=MinHashConfig(min_similarity=0.9))
    assert len(read_signatures(url, threshold)) == 1


def test_other_parquet_files_and_other_files_are_refused(tmp_path: Path) -> None:
    table, text = tmp_path / "table.parquet", tmp_path / "text.parquet"
    pq.write_table(pa.table({"doc_id": ["a"]}), table)
    text.write_text("no parquet")
    with pytest.raises(DataError, match=r"holds signatures drawn as \(nothing\)"):
        read_signatures(str(table), CONFIG)
    with pytest.raises(DataError, match=r"text\.parquet is not a parquet file"):
        read_table([str(text)], CONFIG)


def test_a_torn_row_is_refused(tmp_path: Path) -> None:
    url = str(tmp_path / "unit.parquet")
    torn = [Signature("a", b"\0" * 16, np.arange(3, dtype=np.uint32))]
    write_signatures(url, torn, CONFIG)
    with pytest.raises(DataError, match="a document has 3 MinHash values, expected 0 or 112"):
        read_table([url], CONFIG)
