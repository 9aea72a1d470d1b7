"""JSON lines, parquet, plain text and WikiText: what comes out, and what is dropped and why."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from contracts.errors import ConfigError
from data_pipeline.records import Drop, RawRecord
from data_pipeline.sources import JsonlConfig, ParquetConfig, PlainTextConfig, WikitextConfig
from data_pipeline.sources.protocol import Source


def read(source: Source) -> list[RawRecord | Drop]:
    return [record for unit in source.plan() for record in source.records(unit)]


def kept(found: list[RawRecord | Drop]) -> list[RawRecord]:
    return [item for item in found if isinstance(item, RawRecord)]


ROWS = [{"text": "one", "url": "u1", "id": 7, "who": "a"}, {"text": "two"}]


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_jsonl_in_every_packing(tmp_path: Path, ending: str) -> None:
    data = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    packed = {
        ".jsonl": data,
        ".jsonl.gz": gzip.compress(data),
        ".jsonl.zst": zstandard.ZstdCompressor().compress(data[:20])
        + zstandard.ZstdCompressor().compress(data[20:]),
    }
    (tmp_path / f"x{ending}").write_bytes(packed[ending])
    config = JsonlConfig(
        files=(str(tmp_path / "*"),), id_field="id", metadata_fields=("who",), licence="CC0"
    )
    first, second = kept(read(config.build()))
    assert (first.payload, first.uri, first.record_id) == (b"one", "u1", "7")
    assert dict(first.metadata) == {"who": "a", "licence": "CC0"}
    assert second.record_id == f"x{ending}:2"
    assert second.origin.offset == 2


def test_bad_lines_are_drops_with_their_number(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n{oops\n[1]\n{"no": 1}\n\n{"text": 5}\n')
    found = read(JsonlConfig(files=(str(tmp_path / "x.jsonl"),)).build())
    drops = [item for item in found if isinstance(item, Drop)]
    assert [(d.reason, d.origin.offset if d.origin else None) for d in drops] == [
        ("invalid_json", 2),
        ("not_an_object", 3),
        ("no_text_field", 4),
        ("text_is_no_string", 6),
    ]
    assert len(kept(found)) == 1


def test_torn_gzip_gives_its_lines_and_one_drop(tmp_path: Path) -> None:
    data = gzip.compress("".join(f'{{"text": "{i}"}}\n' for i in range(5000)).encode())
    (tmp_path / "x.jsonl.gz").write_bytes(data[: len(data) // 2])
    found = read(JsonlConfig(files=(str(tmp_path / "x.jsonl.gz"),)).build())
    assert len(kept(found)) > 100
    last = found[-1]
    assert isinstance(last, Drop)
    assert last.reason == "damaged_file"


def test_parquet_rows(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": ["a", None], "url": ["u", "v"]}), tmp_path / "x.parquet")
    found = read(ParquetConfig(files=(str(tmp_path / "x.parquet"),), text_field="body").build())
    assert kept(found)[0].payload == b"a"
    assert isinstance(found[1], Drop)
    assert found[1].reason == "no_text_field"


def test_parquet_without_the_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="no column 'text', it has: body"):
        read(ParquetConfig(files=(str(tmp_path / "x.parquet"),)).build())


def test_torn_parquet_is_one_drop(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nothing")
    (drop,) = read(ParquetConfig(files=(str(tmp_path / "x.parquet"),)).build())
    assert isinstance(drop, Drop)
    assert drop.reason == "damaged_file"


def test_plain_text_is_one_document_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("alpha")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"beta"))
    (tmp_path / "c.txt").write_text("x" * 100)
    config = PlainTextConfig(files=(str(tmp_path / "*"),), max_file_bytes=50)
    found = read(config.build())
    assert [item.payload for item in kept(found)] == [b"alpha", b"beta"]
    assert isinstance(found[2], Drop)
    assert found[2].reason == "file_too_large"
    (tmp_path / "b.txt.gz").write_bytes(b"torn")
    (drop,) = [item for item in read(config.build()) if isinstance(item, Drop)][:1]
    assert drop.reason == "damaged_file"


WIKI = (
    " \n = First One = \n \n A word @-@ like <unk> , see ( 1 @,@ 000 ) .\n = = Part = = \n End .\n"
)


def test_wikitext_articles(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "wiki.test.tokens"
    path.write_text(WIKI + " = Second = \n Text .\n")
    first, second = kept(read(WikitextConfig(files=(str(path),)).build()))
    assert first.payload.decode().split("\n")[2] == "A word-like <unk>, see (1,000)."
    assert first.metadata["title"] == "First One"
    assert b"Second" in second.payload
    assert "files=wiki.test.tokens are held-out text" in caplog.text
    assert path.read_bytes()[second.origin.offset :].startswith(b" = Second")


@pytest.mark.parametrize(
    ("unknown", "line"), [("remove", "A word-like, see (1,000)."), ("drop_line", "= = Part = =")]
)
def test_wikitext_unknown_words(tmp_path: Path, unknown: str, line: str) -> None:
    path = tmp_path / "wiki.test.tokens"
    path.write_text(WIKI)
    config = WikitextConfig.model_validate({"files": (str(path),), "unknown": unknown, "name": "w"})
    (article,) = kept(read(config.build()))
    assert article.payload.decode().split("\n")[2] == line


def test_a_line_nested_too_deeply_is_a_drop(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("[" * 200_000 + '\n{"text": "a"}\n')
    drop, record = read(JsonlConfig(files=(str(tmp_path / "x.jsonl"),)).build())
    assert isinstance(drop, Drop)
    assert drop.reason == "invalid_json"
    assert isinstance(record, RawRecord)
    assert record.origin.length == 0  # its offset is a line number, so no byte length goes with it
