"""Storage: what is committed is whole, what failed or was killed is invisible."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from contracts import storage
from contracts.errors import DataError


class SlotFile(AbstractBufferedFile):  # type: ignore[misc]
    """Commits at close, as an object store does."""

    def _initiate_upload(self) -> None:
        self.parts: list[bytes] = []

    def _upload_chunk(self, final: bool = False) -> bool:
        self.buffer.seek(0)
        self.parts.append(self.buffer.read())
        if final:
            self.fs.objects[self.path] = b"".join(self.parts)
        return True


class SlotFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """An object store in memory."""

    protocol = "slot"
    cachable = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.objects: dict[str, bytes] = {}

    def _open(self, path: str, mode: str = "rb", **_: Any) -> SlotFile:
        return SlotFile(self, path, mode, block_size=64)


fsspec.register_implementation("slot", SlotFileSystem, clobber=True)


def test_a_write_stands_whole_under_its_name(tmp_path: Path) -> None:
    url = str(tmp_path / "a" / "b.bin")
    with storage.atomic_write(url) as stream:
        stream.write(b"one")
        assert not storage.exists(url)
        stream.write(b"two")
    assert storage.read_bytes(url) == b"onetwo"
    storage.write_bytes(f"file://{url}", b"three")
    assert storage.read_bytes(url) == b"three"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.bin"]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    url = str(tmp_path / "b.bin")
    storage.write_bytes(url, b"old")

    def write_half() -> None:
        with storage.atomic_write(url) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert storage.read_bytes(url) == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["b.bin"]


def test_a_killed_write_is_invisible(tmp_path: Path, root: Path) -> None:
    url = str(tmp_path / "b.bin")
    storage.write_bytes(url, b"old")
    code = (
        "import sys, time\nfrom contracts import storage\n"
        f"with storage.atomic_write({url!r}) as stream:\n"
        "    stream.write(b'half'); stream.flush(); print('written', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert storage.read_bytes(url) == b"old"
    assert storage.list_files(str(tmp_path / "*")) == [url]
    storage.write_bytes(url, b"new")
    assert storage.read_bytes(url) == b"new"


def test_two_writers_of_one_name_do_not_mix(tmp_path: Path) -> None:
    url = str(tmp_path / "b.bin")
    with storage.atomic_write(url) as one, storage.atomic_write(url) as two:
        one.write(b"one" * 1000)
        two.write(b"two" * 10)
    assert storage.read_bytes(url) == b"one" * 1000


@pytest.mark.parametrize("size", [3, 500])
def test_a_failed_write_to_a_store_commits_nothing(size: int) -> None:
    objects = fsspec.filesystem("slot").objects
    objects.clear()

    def write_half() -> None:
        with storage.atomic_write("slot://bucket/half") as stream:
            stream.write(b"x" * size)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_half()
    assert objects == {}
    storage.write_bytes("slot://bucket/whole", b"x" * size)
    assert objects == {"bucket/whole": b"x" * size}


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent cannot be opened: no such file; check the path"):
        storage.open_read(str(tmp_path / "absent"))
    with pytest.raises(DataError, match=r"cannot be opened: no such file"):
        storage.open_read(str(tmp_path))
    with pytest.raises(DataError, match=r"memory://absent cannot be opened"):
        storage.open_read("memory://absent")
    for url in (str(tmp_path / "absent"), "memory://absent"):
        with pytest.raises(DataError, match=r"absent cannot be read: no such file; check the path"):
            storage.file_info(url)
        assert not storage.exists(url)


def test_version_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = storage.file_info(str(path))
    assert (first.size_bytes, first.url) == (3, str(path))
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 1))
    assert storage.file_info(str(path)).version != first.version


def test_files_are_listed_sorted_and_without_folders(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "sub/c.txt", "odd[1].txt"):
        storage.write_bytes(str(tmp_path / name), b"")
    names = [str(tmp_path / name) for name in ("a.txt", "b.txt", "odd[1].txt")]
    assert storage.list_files(str(tmp_path / "*")) == names
    assert storage.list_files(str(tmp_path / "**" / "c.txt")) == [str(tmp_path / "sub/c.txt")]
    assert storage.list_files(names[2]) == [names[2]]
    assert storage.list_files(str(tmp_path / "absent")) == []
    storage.write_bytes("memory://listed/a", b"")
    assert storage.list_files("memory://listed/*") == ["memory:///listed/a"]


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (("a", "b", "c"), "a/b/c"),
        (("a", "/b"), "/b"),
        (("s3://x/train", "web.tar"), "s3://x/train/web.tar"),
        (("s3://x/train", "../tokenizer/t.model"), "s3://x/tokenizer/t.model"),
        (("/data/train", "../tokenizer/t.model"), "/data/train/../tokenizer/t.model"),
        (("/data", "s3://x/y"), "s3://x/y"),
    ],
)
def test_urls_are_joined(parts: tuple[str, ...], joined: str) -> None:
    assert storage.join(*parts) == joined


def test_checksums(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    storage.write_bytes(str(tmp_path / "a"), data)
    expected = hashlib.sha256(data).hexdigest()
    assert storage.sha256_of(str(tmp_path / "a")) == storage.sha256_of_bytes(data) == expected
