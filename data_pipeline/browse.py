"""Browse: the report with its table over all documents, on this machine's loopback alone.

DuckDB reads the job's parquet files where they lie; only what a search shows is read. The server
answers GET alone, binds to 127.0.0.1, and refuses requests that name another host, so that no page
of the web can ask it in the user's name.
"""

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import fsspec

from contracts import storage
from contracts.errors import ConfigError, DataError
from data_pipeline.document_index import DocumentIndex, read_index
from data_pipeline.documents import MEASURE_PREFIX
from data_pipeline.report import PAGE_NAME
from data_pipeline.report.documents_table import LIVE_OFF, LIVE_ON

HOST = "127.0.0.1"
PORT = 8765
MAX_PORT = 65_535
PAGE_ROWS = 50
MAX_TEXT = 20_000
"""Characters of a document's text that are shown."""
_BASE = ("doc_id", "uri", "source", "language", "decision", "value")

logger = logging.getLogger(__name__)


class DocumentSearch:
    """All documents of a job, kept and dropped, as one table.

    Raises:
        DataError: the job has no finished document store.
    """

    def __init__(self, output_dir: str) -> None:
        index = read_index(output_dir)
        kept = [index.url(file.path) for file in index.files]
        drops = [url for file in index.files for url in _existing(index, file.drops_paths)]
        self._database = duckdb.connect()
        self._lock = threading.Lock()
        if not storage.is_local(output_dir):
            self._database.register_filesystem(fsspec.core.url_to_fs(output_dir)[0])
        self._kept = kept
        parts = [self._part(kept, "'kept'", "NULL::VARCHAR")]
        if drops:
            parts.append(self._part(drops, "stage || '/' || reason", "value"))
        self._database.execute(f"CREATE VIEW documents AS {' UNION ALL BY NAME '.join(parts)}")
        described = self._database.execute("DESCRIBE documents").fetchall()
        self._measures = [name for name, *_ in described if name.startswith(MEASURE_PREFIX)]

    def _part(self, urls: Sequence[str], decision: str, value: str) -> str:
        files = ", ".join(_literal(url) for url in urls)
        described = self._database.execute(
            f"DESCRIBE SELECT * FROM read_parquet([{files}], union_by_name=true)"  # noqa: S608 - quoted by _literal
        ).fetchall()
        measures = [f'"{name}"' for name, *_ in described if name.startswith(MEASURE_PREFIX)]
        columns = ", ".join([*_BASE[:4], f"{decision} AS decision", f"{value} AS value", *measures])
        return f"SELECT {columns} FROM read_parquet([{files}], union_by_name=true)"  # noqa: S608 - quoted by _literal

    def page(self, wanted: Mapping[str, str]) -> dict[str, Any]:
        """The documents that fit, and how many there are.

        Args:
            wanted: any of q (part of URL, id, decision or value), decision, source, language, page.
        """
        conditions, values = ["true"], []
        if words := wanted.get("q", "").strip():
            conditions.append(
                "contains(lower(concat_ws(' ', doc_id, uri, decision, value)), lower(?))"
            )
            values.append(words)
        for name in ("source", "language"):
            if wanted.get(name):
                conditions.append(f"{name} = ?")
                values.append(wanted[name])
        decision = wanted.get("decision", "")
        if decision == "dropped":
            conditions.append("decision != 'kept'")
        elif decision:
            conditions.append("decision = ?")
            values.append(decision)
        number = wanted.get("page", "0")
        start = PAGE_ROWS * int(number) if number.isdecimal() else 0
        where = " AND ".join(conditions)
        measures = "".join(f', "{name}"' for name in self._measures)
        with self._lock:
            (total,) = self._database.execute(
                f"SELECT count(*) FROM documents WHERE {where}",  # noqa: S608 - values are bound
                values,
            ).fetchone() or (0,)
            rows = self._database.execute(
                f"SELECT {', '.join(_BASE)}{measures} FROM documents WHERE {where} "  # noqa: S608 - values are bound
                "ORDER BY uri, doc_id LIMIT ? OFFSET ?",
                [*values, PAGE_ROWS, start],
            ).fetchall()
        return {"total": total, "rows": [self._row(row) for row in rows]}

    def _row(self, row: Sequence[Any]) -> list[Any]:
        base, values = row[: len(_BASE)], row[len(_BASE) :]
        named = zip(self._measures, values, strict=True)
        measures = {k.removeprefix(MEASURE_PREFIX): v for k, v in named if v is not None}
        return [*base, measures]

    def text(self, doc_id: str) -> str:
        """The beginning of a kept document's text; empty where it was dropped."""
        files = ", ".join(_literal(url) for url in self._kept)
        with self._lock:
            found = self._database.execute(
                f"SELECT substr(text, 1, {MAX_TEXT}) FROM read_parquet([{files}]) "  # noqa: S608 - quoted by _literal
                "WHERE doc_id = ? LIMIT 1",
                [doc_id],
            ).fetchone()
        return str(found[0]) if found else ""


def _existing(index: DocumentIndex, paths: Sequence[str]) -> list[str]:
    return [url for url in map(index.url, paths) if storage.exists(url)]


def _literal(url: str) -> str:
    """A path as an SQL string."""
    return "'" + url.replace("'", "''") + "'"


def browse_server(output_dir: str, port: int = PORT) -> ThreadingHTTPServer:
    """The server, bound but not yet serving; port 0 takes any that is free.

    Raises:
        DataError: the job has no report or no document store yet.
    """
    url = storage.join(output_dir, PAGE_NAME)
    if not storage.exists(url):
        raise DataError(
            f"{url} is missing: run the data job first, it writes its report at the end"
        )
    page = storage.read_bytes(url).decode().replace(LIVE_OFF, LIVE_ON, 1).encode()
    search = DocumentSearch(output_dir)

    class Handler(_Handler):
        _page = page
        _search = search

    return ThreadingHTTPServer((HOST, port), Handler)


def parse_port(overrides: Sequence[str]) -> int:
    """The port of `port=...`, or the default.

    Raises:
        ConfigError: it is not a port.
    """
    value = overrides[-1].partition("=")[2] if overrides else str(PORT)
    if not value.isdecimal() or int(value) > MAX_PORT:
        raise ConfigError(f"browse: port={value} is not a port, a number from 0 to {MAX_PORT}")
    return int(value)


class _Handler(BaseHTTPRequestHandler):
    _page: bytes
    _search: DocumentSearch

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in {HOST, "localhost"}:
            self._answer(HTTPStatus.FORBIDDEN, {"error": "only for this machine"})
            return
        parts = urlsplit(self.path)
        wanted = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", self._page)
        elif parts.path == "/api/documents":
            self._found(lambda: self._search.page(wanted))
        elif parts.path == "/api/text":
            self._found(lambda: {"text": self._search.text(wanted.get("doc_id", ""))})
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": f"no such page: {parts.path}"})

    def _found(self, ask: Any) -> None:
        try:
            found = ask()
        except duckdb.Error as error:
            logger.warning("path=%s failed: %s", self.path, error)
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": str(error)})
            return
        self._answer(HTTPStatus.OK, found)

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)
