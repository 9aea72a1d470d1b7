"""Files by URL, local or in an object store: open, list, commit atomically, hash.

Files behind HTTP and S3 are read by `remote_file`; all else is fsspec's. Credentials and endpoints
are fsspec's own (its configuration files and FSSPEC_* variables), never a config of ours. A commit
is visible whole or not at all: local files by fsync and rename, object stores by their own atomic
put, which fsspec does at close.
"""

import hashlib
import io
import os
import posixpath
import re
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import fsspec
from fsspec.spec import AbstractBufferedFile

from contracts.errors import DataError
from contracts.remote_file import RemoteFile, remote_facts
from contracts.remote_requests import RemoteConfig

BLOCK_BYTES = 1 << 20
SIGNED_SECONDS = 3600
"""How long an address made for one request of an S3 file holds."""
_PARTIAL = re.compile(r"\.[0-9a-f]{32}\.partial\Z")  # what a killed write leaves


@dataclass(frozen=True)
class FileInfo:
    """A file as its store lists it."""

    url: str
    size_bytes: int
    version: str
    """ETag, or modification time in ns of a local file: changes when the content does."""


def is_local(url: str) -> bool:
    """Whether `url` names a file of this machine (no scheme, or `file://`)."""
    return "://" not in url or url.startswith("file://")


def local_path(url: str) -> Path:
    """`url` as a local path; only where `is_local`."""
    assert is_local(url), url
    return Path(url.removeprefix("file://"))


def join(url: str, *parts: str) -> str:
    """`url` with path parts behind it; an absolute part or full URL replaces what is before.

    `..` is resolved in remote URLs, where a store would take it for a name.
    """
    for part in parts:
        url = part if "://" in part or part.startswith("/") else posixpath.join(url, part)
    scheme, separator, path = url.partition("://")
    if separator and ".." in path.split("/"):
        return f"{scheme}://{posixpath.normpath(path)}"
    return url


def open_read(url: str, remote: RemoteConfig | None = None) -> IO[bytes]:
    """A seekable binary stream; remote files are read in blocks as they are needed.

    Args:
        url: the file.
        remote: how one behind HTTP or S3 is read; None: the defaults.

    Raises:
        DataError: there is no such file, or its server refuses or gives something else.
    """
    try:
        if is_local(url):
            return local_path(url).open("rb")
        locate = _http_location(url)
        if locate is not None:
            file = RemoteFile(url, locate, remote or RemoteConfig())
            return io.BufferedReader(file, BLOCK_BYTES)
        stream: IO[bytes] = fsspec.open(url, "rb").open()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DataError(f"{url} cannot be opened: no such file; check the path") from error
    return stream


def _http_location(url: str) -> Callable[[], str] | None:
    """What gives the HTTP address of a file behind HTTP or S3 (signed anew); None for others."""
    if url.startswith(("http://", "https://")):
        return lambda: url
    if url.startswith("s3://"):
        fs, path = fsspec.core.url_to_fs(url)
        return lambda: str(fs.sign(path, expiration=SIGNED_SECONDS))
    return None


def exists(url: str) -> bool:
    """Whether a file or folder of that name is there."""
    if is_local(url):
        return local_path(url).exists()
    fs, path = fsspec.core.url_to_fs(url)
    return bool(fs.exists(path))


def file_info(url: str, remote: RemoteConfig | None = None) -> FileInfo:
    """Size and version of one file.

    Args:
        url: the file.
        remote: how one behind HTTP is asked for; None: the defaults.

    Raises:
        DataError: there is no such file.
    """
    try:
        if is_local(url):
            stat = local_path(url).stat()
            return FileInfo(url, stat.st_size, str(stat.st_mtime_ns))
        if url.startswith(("http://", "https://")):
            num_bytes, version = remote_facts(url, lambda: url, remote or RemoteConfig())
            return FileInfo(url, num_bytes, version)
        fs, path = fsspec.core.url_to_fs(url)
        info = fs.info(path)
    except FileNotFoundError as error:
        raise DataError(f"{url} cannot be read: no such file; check the path") from error
    version = info.get("ETag") or info.get("etag") or info.get("LastModified") or ""
    return FileInfo(url, int(info.get("size") or 0), str(version))


def list_files(pattern: str) -> list[str]:
    """URLs of the files that match a glob, sorted; a plain name gives itself where it exists."""
    if is_local(pattern):
        root = str(local_path(pattern))
        if Path(root).is_file() or not any(c in root for c in "*?["):
            return [root] if Path(root).is_file() else []
        fs, path = fsspec.core.url_to_fs(root)
        return sorted(
            name for name in fs.glob(path) if fs.isfile(name) and not _PARTIAL.search(name)
        )
    fs, path = fsspec.core.url_to_fs(pattern)
    return sorted(fs.unstrip_protocol(name) for name in fs.glob(path))


def remove_all_but(folder: str, keep: Collection[str]) -> int:
    """Remove the files of a remote folder, and of those in it, but some; number of files.

    Args:
        folder: URL in an object store.
        keep: URLs that stay.
    """
    fs, path = fsspec.core.url_to_fs(folder)
    fs.invalidate_cache()
    kept = {fsspec.core.url_to_fs(url)[1] for url in keep}
    others = [name for name in fs.find(path) if name not in kept]
    if others:
        fs.rm(others)
    return len(others)


@contextmanager
def atomic_write(url: str) -> Iterator[IO[bytes]]:
    """A stream whose content stands under `url` only when the block ends without an error."""
    if is_local(url):
        path = local_path(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
        try:
            with partial.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
            _sync_directory(path.parent)
        finally:
            partial.unlink(missing_ok=True)
        return
    handle = fsspec.open(url, "wb").open()
    try:
        yield handle
    except BaseException:
        handle.discard()
        if isinstance(handle, AbstractBufferedFile):
            handle.closed = True  # else the collector closes it, which commits what was written
        raise
    handle.close()


def create(url: str, data: bytes) -> bool:
    """Commit `data` under `url` unless something stands there: of several writers one wins.

    A power cut may undo it, never tear it.

    Returns:
        Whether this call has written it. In an object store the last writer wins, and all are
        told that they did: only for content that is the same whoever writes it.
    """
    if not is_local(url):
        if exists(url):
            return False
        write_bytes(url, data)
        return True
    path = local_path(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(partial, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if path.exists():
                return False
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return True


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(url: str, data: bytes) -> None:
    """Commit `data` under `url`."""
    with atomic_write(url) as stream:
        stream.write(data)


def read_bytes(url: str, remote: RemoteConfig | None = None) -> bytes:
    """A small file's whole content."""
    with open_read(url, remote) as stream:
        return stream.read()


def sha256_of(url: str) -> str:
    """sha256 (hex) of a file, read in blocks."""
    digest = hashlib.sha256()
    with open_read(url) as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_bytes(data: bytes) -> str:
    """sha256 (hex) of bytes in memory."""
    return hashlib.sha256(data).hexdigest()
