"""A web server on the loopback that misbehaves as it is told, one answer after another."""

import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"<!DOCTYPE html><html><body>We are working on it.</body></html>"


@dataclass(frozen=True)
class Mood:
    """How one request is answered."""

    status: int = 0
    """Instead of the file; 0: the file."""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_after: int | None = None
    """Bytes of the body after which the connection ends."""
    resets: bool = False
    """It ends by a reset, which may swallow what was sent."""
    knows_ranges: bool = True
    says_length: bool = True
    added_length: int = 0
    """How much longer the file is said to be than it is."""
    version: str = "1"


@dataclass
class WebServer:
    """The files, the moods of the next answers (the last one stays), and what was asked."""

    files: dict[str, bytes]
    url: str = ""
    moods: list[Mood] = field(default_factory=lambda: [Mood()])
    ranges: list[tuple[str, str]] = field(default_factory=list)
    """Path and Range header of each request."""

    def next_mood(self) -> Mood:
        return self.moods.pop(0) if len(self.moods) > 1 else self.moods[0]


class _Server(ThreadingHTTPServer):
    """The socket, and what it serves."""

    daemon_threads = True
    served: WebServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        served = self.server.served
        asked = self.headers.get("Range", "")
        served.ranges.append((self.path, asked))
        mood = served.next_mood()
        data = served.files.get(self.path)
        if mood.status or data is None:
            self._answer(mood.status or 404, mood, mood.body)
            return
        total = len(data) + mood.added_length
        found = re.match(r"bytes=(\d+)-(\d+)", asked) if mood.knows_ranges else None
        if found is None:
            self._answer(200, mood, data, total)
            return
        first, last = int(found[1]), min(int(found[2]), total - 1)
        if first >= total:
            self._answer(416, Mood(headers={"Content-Range": f"bytes */{total}"}), b"")
            return
        place = {"Content-Range": f"bytes {first}-{last}/{total}"}
        placed = replace(mood, headers=place | mood.headers)
        self._answer(206, placed, data[first : last + 1], last + 1 - first)

    def _answer(self, status: int, mood: Mood, body: bytes, length: int | None = None) -> None:
        length = len(body) if length is None else length
        self.send_response(status)
        headers = {"ETag": f'"{mood.version}"'} | mood.headers
        if mood.says_length:
            headers["Content-Length"] = str(length)
        for name, value in headers.items():
            self.send_header(name, value)
        self.close_connection = not mood.says_length or length != len(body)
        self.end_headers()
        self.wfile.write(body[: mood.cut_after])
        if mood.cut_after is not None:
            self._cut(mood)

    def _cut(self, mood: Mood) -> None:
        self.wfile.flush()
        self.close_connection = True
        if mood.resets:  # closing with no time to linger
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            self.close_connection = True  # the reader, or the mood, ended the connection

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@contextmanager
def web_server(files: dict[str, bytes]) -> Iterator[WebServer]:
    """Serve the files (by path, as `/a.warc.gz`) for as long as the block lasts."""
    served = WebServer(files)
    http = _Server(("127.0.0.1", 0), _Handler)
    http.served = served
    served.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
