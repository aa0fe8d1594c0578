"""The ``qemb`` command as a process among others: signals, pipes, full disks, closed streams, a terminal."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import qemb as codec

QEMB = shlex.join([sys.executable, "-m", "qemb_tools"])
ROW = b"w%d" + b" 1.5" * 100 + b"\n"
TARGETS = ["out.qemb", "out.txt", "out.bin", "out.h5"]


@pytest.fixture
def shell(tmp_path):
    """Run a line of bash in which ``qemb`` is the command: ``shell("qemb formats | head -1", code=0)``."""

    def run(line, code=0):
        script = f'set -o pipefail; qemb() {{ {QEMB} "$@"; }}; {line}'
        result = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert result.returncode == code, result.stdout + result.stderr
        return result

    return run


@pytest.fixture
def table(tmp_path):
    (tmp_path / "table.txt").write_bytes(b"".join(ROW % i for i in range(3000)))
    codec.write(tmp_path / "table.qemb", ["king", "queen"], np.eye(2, 100, dtype=np.float32))


def need(target):
    if target.endswith(".h5"):
        pytest.importorskip("h5py")


@pytest.mark.parametrize(
    ("target", "number"),
    [*((target, "SIGINT") for target in TARGETS), ("out.qemb", "SIGTERM"), ("out.qemb", "SIGHUP")],
)
def test_a_signal_leaves_no_file(tmp_path, signals_as_usual, target, number):
    need(target)
    command = [sys.executable, "-m", "qemb_tools", "convert", "-", target]
    number = signal.Signals[number]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(b"".join(ROW % i for i in range(20_000)))
        process.stdin.flush()
        for _ in range(200):
            if any(path.name.endswith(".part") for path in tmp_path.iterdir()):
                break
            time.sleep(0.05)
        assert list(tmp_path.iterdir())
        process.send_signal(number)
        process.stdin.close()
        error = process.stderr.read()
        assert process.wait(20) == 128 + number
    assert error == b"qemb: interrupted; no file was left unfinished\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", [*TARGETS, "out.qemb --bits 4"])
def test_a_full_disk_leaves_no_file(shell, table, tmp_path, target):
    need(target)
    before = sorted(tmp_path.iterdir())
    # a limit on the size of files fails as a full disk does, at some write in the middle
    result = shell(f"ulimit -f 20; qemb convert table.txt {target}", code=1)
    assert result.stderr == f"qemb: File too large: {target.split()[0]}; nothing was written\n"
    assert sorted(tmp_path.iterdir()) == before


def test_output_that_nobody_reads(shell, table):
    words = " king" * 5000
    result = shell(f"qemb get table.qemb {words} | head -1")
    assert result.stderr == ""


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams(shell, table, closed):
    assert shell(f"qemb formats {closed}").stderr == ""


def test_standard_input_that_is_closed(shell):
    closed = "qemb: standard input is closed; name a file, or give it one\n"
    assert shell("qemb convert - out.qemb <&-", code=2).stderr == closed


@pytest.mark.parametrize(
    "line",
    [
        "qemb convert <(cat table.txt) out.qemb",
        "qemb convert <(gzip -c table.txt) out.qemb",
        "mkfifo pipe; cat table.txt > pipe & qemb convert pipe out.qemb",
        "cat table.txt | qemb convert /dev/stdin out.qemb",
        "gzip -c table.txt | qemb convert - out.qemb",
    ],
)
def test_pipes_are_read_whole(shell, table, tmp_path, line):
    shell(line)
    with codec.open(tmp_path / "out.qemb") as embedding:
        assert list(embedding) == [f"w{i}" for i in range(3000)]


def test_word2vec_bin_from_a_pipe(shell, table, tmp_path):
    shell("qemb convert table.txt table.bin")
    hint = "if this is word2vec .bin, say --from word2vec-bin"
    assert hint in shell("cat table.bin | qemb convert - out.qemb", code=1).stderr
    shell("cat table.bin | qemb convert - out.qemb --from word2vec-bin")
    with codec.open(tmp_path / "out.qemb") as embedding:
        assert len(embedding) == 3000


@pytest.mark.parametrize("command", ["info -", "verify -", "get - king", "nearest - king", "verify /dev/stdin"])
def test_qemb_files_from_a_pipe(shell, table, command):
    answer = shell(f"cat table.qemb | qemb {command}").stdout
    assert answer == shell(f"qemb {command} < table.qemb").stdout
    assert "1.0" in answer or "queen" in answer or "good" in answer


def test_no_qemb_file_from_a_pipe(shell, table):
    assert shell("qemb info - <&-", code=2).stderr == ("qemb: standard input is closed; name a file, or give it one\n")
    assert "malformed.magic" in shell("cat table.txt | qemb info -", code=1).stderr
    assert "malformed.truncated" in shell("head -c 100 table.qemb | qemb verify -", code=1).stderr
    assert "malformed.magic" in shell("qemb verify /dev/zero", code=1).stderr
    assert "name a file" in shell("qemb index - < table.qemb", code=2).stderr


def test_urls(shell, table, tmp_path):
    pytest.importorskip("fsspec")
    url = (tmp_path / "table.qemb").as_uri()
    assert shell(f"qemb verify {url}").stdout == f"{url}: good\n"
    assert shell(f"qemb get {url} king").stdout == shell("qemb get table.qemb king").stdout
    assert "fetch the file first" in shell(f"qemb convert {url} out.txt", code=2).stderr
    assert "No such file" in shell(f"qemb info {url}.none", code=2).stderr


def test_progress_on_a_terminal(tmp_path):
    """Rows a second, and the time left where the number of rows is known; gone when it is done."""
    pty = pytest.importorskip("pty")
    termios = pytest.importorskip("termios")
    for header in (b"2000000 100\n", b""):
        master, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 100))
        command = [sys.executable, "-m", "qemb_tools", "convert", "-", "out.qemb"]
        with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=terminal) as process:
            os.close(terminal)
            shown = []
            reader = threading.Thread(target=lambda: shown.extend(iter(lambda: _read(master), b"")))  # noqa: B023
            reader.start()
            process.stdin.write(header)
            rows = b"".join(ROW % i for i in range(10_000))
            for _ in range(100):  # for as long as it takes to show something
                process.stdin.write(rows)
                process.stdin.flush()
                time.sleep(0.2)
                if shown:
                    break
            process.stdin.close()
            assert process.wait(60) == 0
        reader.join()
        os.close(master)
        text = b"".join(shown).decode()
        assert "converting" in text
        assert " rows/s]" in text
        assert ("%|" in text and "<" in text) == bool(header)
        assert re.search(r"\r +\r", text)


def _read(terminal):
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # how Linux says that the other end is closed
        return b""
