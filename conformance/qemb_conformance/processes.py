"""Adapters as processes: whatever one does, the runner goes on.

An adapter may sleep, flood its output, leave its input unread, fork, or die: it runs in a process group of its own,
which is killed when it has ended or its time is up; what it prints is read up to a cap.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from qemb_conformance.errors import UsageError

MAX_OUTPUT = 1 << 26
"""Bytes on standard output beyond which an adapter has gone mad; the longest answer of the corpus is far below."""
MAX_COMPLAINT = 1 << 14
"""Bytes of standard error that are kept, half of them the first and half the last."""
_CHUNK = 1 << 16
_POLL = 0.05
_GRACE = 2.0
"""Seconds to wait for output that has been written already, once the process has ended."""
_QUOTED = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*\"""")
_FOR_A_SHELL = re.compile(r"[<>|]|&&|^\s*[A-Za-z_]\w*=")
"""What, outside of quotes, means something to a shell alone."""


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it said."""

    status: int | None
    """Exit code, a signal's number negated, or None where the time was up."""
    output: bytes = b""
    complaint: str = ""
    """What it wrote to standard error, both ends of it."""
    flooded: bool = False
    """Whether it wrote more than `MAX_OUTPUT`."""


def command_line(command: str) -> list[str]:
    """Split a command as a shell does, but run none; its first word ``python`` is the Python that runs this.

    Raises
    ------
    UsageError
        It is empty, quotes are not closed, it needs a shell, or there is no such program.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{command!r} is no command: {error}") from error
    if not words:
        raise UsageError("a command is empty")
    if shell := _FOR_A_SHELL.search(_QUOTED.sub("_", command)):
        raise UsageError(
            f"{shell[0]!r} means nothing in {command!r}, which no shell runs: quote it, or write sh -c '...'"
        )
    if words[0] == "python":
        words[0] = sys.executable
    if shutil.which(words[0]) is None and Path(words[0]).is_file():
        raise UsageError(f"{words[0]!r} is not executable: chmod +x it, or name the program that runs it: {command}")
    if shutil.which(words[0]) is None:
        raise UsageError(f"there is no program {words[0]!r}, which is to be run: {command}")
    return words


class _Drain(threading.Thread):
    """Reads a pipe to its end and closes it. Keeps ``cap`` bytes, the first or both ends; sets ``full`` for more.

    A child that left the process group may hold the pipe open as long as it likes; then it is the thread that waits.
    """

    def __init__(self, pipe: IO[bytes], cap: int, *, ends: bool) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._cap = cap
        self._ends = ends
        self._kept = bytearray()
        self.full = threading.Event()
        self.start()

    def run(self) -> None:
        """Read until the other end is closed."""
        with self._pipe, contextlib.suppress(OSError):
            while chunk := os.read(self._pipe.fileno(), _CHUNK):
                if self._ends:
                    self._kept += chunk
                    half = self._cap // 2
                    del self._kept[half : max(half, len(self._kept) - half)]
                elif len(self._kept) < self._cap:
                    self._kept += chunk
                else:
                    self.full.set()

    def data(self) -> bytes:
        """What was kept so far."""
        return bytes(self._kept)


_running: set[subprocess.Popen[bytes]] = set()


def kill_all() -> None:
    """End every adapter that runs, when the run is broken off."""
    for process in tuple(_running):
        _kill(process)


def _start(words: list[str], stdin: IO[bytes] | int, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    try:
        process = subprocess.Popen(  # noqa: S603  (running what the user names is what this is for)
            words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd, start_new_session=True
        )
    except OSError as error:
        raise UsageError(f"{words[0]} cannot be run: {error.strerror}") from error
    _running.add(process)
    return process


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    _running.discard(process)


def run_once(command: list[str], stdin: Path, timeout: float, cwd: Path | None = None) -> Ended:
    """Run a command with a file as its standard input, ``timeout`` seconds at most."""
    with stdin.open("rb") as file:
        process = _start(command, file, cwd)
    assert process.stdout is not None
    assert process.stderr is not None
    output = _Drain(process.stdout, MAX_OUTPUT, ends=False)
    complaint = _Drain(process.stderr, MAX_COMPLAINT, ends=True)
    deadline = time.monotonic() + timeout
    status: int | None = None
    try:
        while status is None and time.monotonic() < deadline and not output.full.is_set():
            # its output ends when it does, unless a child holds it open; `Popen.wait` would look 20 times a second
            output.join(min(_POLL, max(0.0, deadline - time.monotonic())))
            if output.is_alive():
                status = process.poll()
            else:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = process.wait(max(0.0, deadline - time.monotonic()))
    finally:
        _kill(process)
        process.wait()
    output.join(_GRACE)
    complaint.join(_GRACE)
    flooded = output.full.is_set() or len(output.data()) >= MAX_OUTPUT
    return Ended(status, output.data(), _text(complaint.data()), flooded)


class Session:
    """An adapter that stays: it is asked with lines of JSON and answers with lines of JSON.

    Parameters
    ----------
    command : list of str
        Its command line, ``--jsonl`` included.
    cwd : path, optional
        Where it runs.
    """

    def __init__(self, command: list[str], cwd: Path | None = None) -> None:
        self._process = _start(command, subprocess.PIPE, cwd)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._lines: queue.Queue[bytes | None] = queue.Queue(maxsize=16)  # full: a flood, which has to wait
        self._complaint = _Drain(self._process.stderr, MAX_COMPLAINT, ends=True)
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe, contextlib.suppress(OSError):
            while line := pipe.readline(MAX_OUTPUT + 1):
                self._lines.put(line)
                if len(line) > MAX_OUTPUT:
                    break
        self._lines.put(None)

    def ask(self, request: bytes, timeout: float) -> bytes | Ended:
        """Send a line and wait for the line that answers it.

        Returns
        -------
        bytes or Ended
            The answer; or how the adapter ended, where it did, or had to be ended. It is gone then.
        """
        assert self._process.stdin is not None
        if not self._lines.empty():
            early = self._lines.get()
            return self._end(self._wait()) if early is None else self._end(None, Ended(0, early))
        try:
            self._process.stdin.write(request + b"\n")
            self._process.stdin.flush()
        except OSError:
            return self._end(self._wait())
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            return self._end(None)
        if line is None:
            return self._end(self._wait())
        if len(line) > MAX_OUTPUT:
            return self._end(None, Ended(None, flooded=True))
        return line

    def _wait(self) -> int | None:
        try:
            return self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:  # it has closed its output and lives on
            return 0

    def _end(self, status: int | None, ended: Ended | None = None) -> Ended:
        self.close()
        return ended or Ended(status, complaint=_text(self._complaint.data()))

    def close(self) -> None:
        """End it, if it has not ended."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        _kill(self._process)
        self._process.wait()
        deadline = time.monotonic() + _GRACE
        while self._reader.is_alive() and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                self._lines.get(timeout=_POLL)
        self._complaint.join(_GRACE)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace").strip()
