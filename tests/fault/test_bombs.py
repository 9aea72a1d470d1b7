"""Pages and archives made to burst their reader: one drop each, in little memory."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.config import load_config
from data_pipeline.config import DataConfig
from data_pipeline.documents import read_documents, read_drops
from data_pipeline.plan import plan_units
from data_pipeline.progress import ProgressFile
from data_pipeline.stages.isolation import PageLimitsConfig
from data_pipeline.stages.map import MapTask, map_unit
from data_pipeline.stages.record_work import UnitWork
from tests.data_job import write_config, write_input

MIB = 1 << 20
GOOD = b"<html><body><article>" + b"<p>The river runs to the sea past the old town.</p>" * 20
HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
LIMITS = PageLimitsConfig(page_seconds=20.0, page_memory_bytes=512 * MIB)


def gzip_of_blanks(head: bytes, num_mib: int) -> bytes:
    """A gzip member of `head` and blanks, made without compressing them all."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    begin = squeezer.compress(head) + squeezer.flush(zlib.Z_FULL_FLUSH)
    blanks = b" " * MIB
    block = squeezer.compress(blanks) + squeezer.flush(zlib.Z_FULL_FLUSH)
    crc = zlib.crc32(head)
    for _ in range(num_mib):
        crc = zlib.crc32(blanks, crc)
    tail = struct.pack("<II", crc, (len(head) + num_mib * MIB) & 0xFFFFFFFF)
    return b"\x1f\x8b\x08" + b"\0" * 7 + begin + block * num_mib + squeezer.flush() + tail


def record_head(number: int, length: int) -> bytes:
    return (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://example.org/{number}\r\n"
        f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{number:012d}>\r\n"
        "WARC-Date: 2026-01-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def member(number: int, body: bytes, *fields: bytes) -> bytes:
    """A sound record of a page, as one gzip member."""
    block = HTTP + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body
    squeezer = zlib.compressobj(6, zlib.DEFLATED, 31)
    record = record_head(number, len(block)) + block + b"\r\n\r\n"
    return squeezer.compress(record) + squeezer.flush()


def member_bomb(number: int, num_mib: int) -> bytes:
    """A record that inflates to many times what any page has."""
    http = HTTP + b"\r\n<html>"
    return gzip_of_blanks(record_head(number, len(http) + num_mib * MIB) + http, num_mib)


def members_bomb(number: int) -> bytes:
    """A body of very many empty gzip members."""
    empty = zlib.compressobj(9, zlib.DEFLATED, 31).flush()
    return member(number, empty * (8 * MIB // len(empty)), b"Content-Encoding: gzip")


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "fifty megabytes": (lambda: member(1, b"<p>text " * 6_250_000), "payload_too_large"),
    "a coded body": (
        lambda: member(1, gzip_of_blanks(b"<html>", 2048), b"Content-Encoding: gzip"),
        "payload_too_large",
    ),
    "a body coded many times": (
        lambda: member(1, gzip_of_blanks(b"<html>", 64), b"Content-Encoding: " + b"gzip, " * 9999),
        "payload_too_large",
    ),
    "a body of empty members": (lambda: members_bomb(1), "not_html"),
    "a member": (lambda: member_bomb(1, 2048), "payload_too_large"),
    "nesting": (lambda: member(1, GOOD + b"<div>" * 200_000), "page_too_deep"),
    "unknown tags": (lambda: member(1, GOOD + b"<x-y>" * 200_000), "page_too_deep"),
    "one long tag": (lambda: member(1, b"<html><a " + b"x" * 4 * MIB), "no_main_text"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_one_drop(tmp_path: Path, name: str) -> None:
    bomb, reason = BOMBS[name]
    (tmp_path / "b.warc.gz").write_bytes(member(0, GOOD) + bomb() + member(2, GOOD))
    write_input(tmp_path / "in", num_files=1)
    source = f"{{kind: common_crawl, name: pages, files: [{tmp_path}/b.warc.gz]}}"
    path = write_config(tmp_path / "j.yaml", folder=tmp_path / "in", output_dir=tmp_path / "out")
    config = load_config(DataConfig, path, [f"sources=[{source}]", "filters=[]", "extractor=fast"])
    [planned] = plan_units(config)
    work = UnitWork(
        unit=planned.unit,
        source=planned.source,
        extractor=config.extractor,
        filters=config.filters,
        dedup=config.dedup,
    )
    task = MapTask(config.output_dir, "unit", work, LIMITS)
    outcome = map_unit(task, ProgressFile(config.output_dir, "unit"))
    documents, drops = (f"{config.output_dir}/{output}" for output in outcome.outputs[:2])
    assert [stored.document.uri[-1] for stored in read_documents(documents)] == ["0", "2"]
    [stored] = read_drops(drops)
    assert (stored.drop.uri[-1:], stored.drop.reason) == ("1", reason)
    assert outcome.result["num_in"] == 3
