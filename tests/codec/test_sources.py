"""What a file can be opened from, and that it holds the same then; what is no file, or has no end, is refused."""

from __future__ import annotations

import io
import mmap
import os
import socket
import sys
import threading
import zipfile
from array import array

import numpy as np
import pytest

import qemb

MATRIX = np.random.default_rng(3).normal(size=(300, 12)).astype(np.float32)
TOKENS = [f"w{row}" for row in range(len(MATRIX))]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("sources") / "table.qemb"
    qemb.write(path, TOKENS, MATRIX, scheme="float32")
    return path


def same(source, **options):
    with qemb.open(source, **options) as emb:
        return list(emb) == TOKENS and np.array_equal(emb.matrix(), MATRIX) and np.array_equal(emb["w7"], MATRIX[7])


@pytest.mark.parametrize(
    "kind",
    [bytes, bytearray, memoryview, lambda data: array("B", data), lambda data: np.frombuffer(data, np.int16)],
    ids=["bytes", "bytearray", "memoryview", "array", "numpy"],
)
def test_buffers(path, kind):
    assert same(kind(path.read_bytes()))


def test_a_map_of_the_callers(path):
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert same(mapped)


def test_paths(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    for name in (path, str(path), "table.qemb", "./table.qemb"):
        for memory_map in (True, False):
            assert same(name, memory_map=memory_map)


def test_streams_are_read_from_where_they_stand(path, tmp_path):
    data = path.read_bytes()
    stream = io.BytesIO(b"before" + data)
    stream.seek(6)
    assert same(stream)
    with pytest.raises(qemb.MalformedError, match=r"0 bytes.*malformed\.truncated"):
        qemb.open(stream)
    with open(path, "rb") as file:
        assert same(file)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.qemb", data)
        with archive.open("table.qemb") as member:
            assert same(member)


class Trickle(io.RawIOBase):
    """Gives what is asked for in pieces of a few bytes, as sockets do; endless where ``filler`` is given."""

    def __init__(self, data, filler=b""):
        self.data, self.filler, self.given = data, filler, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self.data[self.given :][:101] or self.filler
        piece = piece[: len(buffer)]
        buffer[: len(piece)] = piece
        self.given += len(piece)
        return len(piece)


def test_streams_that_give_little_at_a_time(path):
    assert same(Trickle(path.read_bytes()))


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes")
def test_pipes_and_sockets(path, tmp_path):
    data = path.read_bytes()
    here, there = socket.socketpair()
    named = tmp_path / "pipe"
    os.mkfifo(named)

    def send():
        with there:
            there.sendall(data)
        named.write_bytes(data)

    sender = threading.Thread(target=send)
    sender.start()
    with here, here.makefile("rb") as stream:
        assert same(stream)
    assert same(named)
    sender.join()


def test_streams_without_end(path):
    """A byte past what the header says is the last that is read; without a header none is read past it."""
    data = path.read_bytes()
    endless = Trickle(data, b"x" * 100)
    with pytest.raises(qemb.InvalidError, match=r"invalid\.trailing_bytes"):
        qemb.open(endless)
    assert endless.given == len(data) + 1
    endless = Trickle(b"", b"x" * 100)
    with pytest.raises(qemb.MalformedError, match=r"malformed\.magic"):
        qemb.open(endless)
    assert endless.given == 64
    endless = Trickle(data[:40] + bytes(8) + data[48:], b"x" * 100)  # it says that it has no bytes at all
    with pytest.raises(qemb.MalformedError, match=r"malformed\.header_checksum"):
        qemb.open(endless)
    assert endless.given == 65


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="there is no such device")
def test_devices():
    with pytest.raises(qemb.MalformedError, match=r"malformed\.magic"):
        qemb.open("/dev/zero")
    with pytest.raises(qemb.MalformedError, match=r"0 bytes"):
        qemb.open("/dev/null")


@pytest.mark.parametrize("source", [io.StringIO("text"), 5, None, ["table.qemb"]], ids=["text", "int", "none", "list"])
def test_what_is_no_source(source):
    with pytest.raises(TypeError, match=r"binary mode|a file is opened from"):
        qemb.open(source)


def test_folders_and_missing_files(tmp_path):
    with pytest.raises(IsADirectoryError):
        qemb.open(tmp_path)
    with pytest.raises(FileNotFoundError):
        qemb.open(tmp_path / "missing.qemb", memory_map=False)


# --- URLs -----------------------------------------------------------------------------------------------------------


def test_urls(path, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/tables/table.qemb", path.read_bytes())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "table.qemb")
    for url in ("memory://tables/table.qemb", path.as_uri(), f"zip://table.qemb::{(tmp_path / 'a.zip').as_uri()}"):
        assert same(url)
        with qemb.open(url) as emb:
            assert repr(emb).startswith(f"<qemb.Embedding {url!r}")


def test_urls_that_cannot_be_read(tmp_path, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    with pytest.raises(FileNotFoundError):
        qemb.open("memory://tables/none.qemb")
    with pytest.raises(OSError, match=r"nosuch://a cannot be read: .*not known"):
        qemb.open("nosuch://a")
    fsspec.filesystem("memory").pipe("/tables/text.qemb", b"no file" * 100)
    with pytest.raises(qemb.MalformedError, match=r"malformed\.magic"):
        qemb.open("memory://tables/text.qemb")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ImportError, match=r"pip install \"qemb-format\[fsspec\]\""):
        qemb.open("memory://tables/table.qemb")


def test_a_drive_is_no_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("C://table.qemb", "a:b"):
        with pytest.raises(FileNotFoundError):
            qemb.open(name)
