"""What an adapter says of one file: an answer, an error, that it lacks a feature; or that it crashed."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from qemb_conformance.processes import MAX_OUTPUT, Ended, Session, command_line, run_once
from qemb_conformance.strict_json import Json, JsonError, parse

if TYPE_CHECKING:
    from pathlib import Path

_SHOWN = 80
"""Characters of a bad output that are shown."""


@dataclass(frozen=True)
class Outcome:
    """How an adapter ended on a file."""

    kind: Literal["answer", "error", "unsupported", "crash"]
    word: str = ""
    """Error code, name of the feature, or in what way it crashed."""
    answer: dict[str, Json] | None = None
    complaint: str = ""
    """What it wrote to standard error, both ends of it."""
    timed_out: bool = False


class Adapter(Protocol):
    """A decoder under test. One adapter is used by one thread at a time."""

    def decode(self, file: Path) -> Outcome:
        """Give it a file."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class EachTime:
    """An adapter that is started for every file, the file its standard input."""

    def __init__(self, command: str, timeout: float, cwd: Path | None = None) -> None:
        self._command = command_line(command)
        self._timeout = timeout
        self._cwd = cwd

    def decode(self, file: Path) -> Outcome:
        """Start it with the file."""
        return judge_ending(run_once(self._command, file, self._timeout, self._cwd), self._timeout)

    def close(self) -> None:
        """Nothing is left of it."""


class Staying:
    """An adapter that is started once, with ``--jsonl``; and again where it died."""

    def __init__(self, command: str, timeout: float, cwd: Path | None = None) -> None:
        self._command = [*command_line(command), "--jsonl"]
        self._timeout = timeout
        self._cwd = cwd
        self._session: Session | None = None
        self._has_answered = False

    def decode(self, file: Path) -> Outcome:
        """Ask it for the file."""
        if self._session is None:
            self._session = Session(self._command, self._cwd)
        line = self._session.ask(json.dumps({"file": str(file.resolve())}).encode(), self._timeout)
        if isinstance(line, Ended):
            self._session = None
            return self._crash(line)
        self._has_answered = True
        return _with_output(_judge_line(line), line)

    def _crash(self, ended: Ended) -> Outcome:
        if ended.output:
            return Outcome("crash", "it printed a line that nobody asked for")
        if ended.status == 0:
            return Outcome("crash", "it ended before it was told to", complaint=ended.complaint)
        crash = _crash_of(ended, self._timeout)
        if crash is not None and crash.timed_out and not self._has_answered:
            return replace(crash, word=f"{crash.word}; does the adapter know --jsonl, and does it flush?")
        return crash or Outcome("crash", f"it ended with exit code {ended.status}", complaint=ended.complaint)

    def close(self) -> None:
        """End it."""
        if self._session is not None:
            self._session.close()
            self._session = None


def judge_ending(ended: Ended, timeout: float) -> Outcome:
    """Read what a process has said, as PROTOCOL.md has it."""
    crash = _crash_of(ended, timeout)
    if crash is not None:
        return crash
    try:
        output = parse(ended.output, values="strings" if ended.status == 0 else "any")
    except JsonError as error:
        outcome = Outcome("crash", f"exit code {ended.status}, and its output is bad: {error}")
    else:
        outcome = _judge_output(str(ended.status), output)
    return replace(_with_output(outcome, ended.output), complaint=ended.complaint)


def _with_output(outcome: Outcome, output: bytes) -> Outcome:
    """Where an output is bad, show how it begins."""
    if outcome.kind != "crash" or not output.strip():
        return outcome
    text = output.decode("utf-8", "backslashreplace").rstrip("\n")
    more = "..." if len(text) > _SHOWN else ""
    return replace(outcome, word=f"{outcome.word}; it printed {text[:_SHOWN]!r}{more}")


def _judge_line(line: bytes) -> Outcome:
    """Read a line of an adapter that stays."""
    try:
        reply = parse(line, values="any")
        if isinstance(reply, dict) and reply.get("exit") == "0":
            reply = parse(line)
    except JsonError as error:
        return Outcome("crash", f"its line is bad: {error}")
    if not isinstance(reply, dict) or "exit" not in reply:
        return Outcome("crash", 'its line is not {"exit": "0", "output": {...}}')
    status = reply["exit"]
    if not isinstance(status, str) or not status:
        return Outcome("crash", 'the "exit" of its line is no string, such as "0"')
    return _judge_output(status, reply.get("output", ""))


def _judge_output(status: str, output: Json) -> Outcome:
    """From exit code and output to what they say."""
    if not isinstance(output, dict):
        return Outcome("crash", f"exit code {status}, and its output is no object")
    if status == "0":
        return Outcome("answer", answer=output)
    key = {"1": "error", "2": "unsupported"}.get(status)
    if key is None:
        return Outcome("crash", f"exit code {status}")
    word = output.get(key)
    if not isinstance(word, str) or not word:
        return Outcome("crash", f'exit code {status} without {{"{key}": "..."}}')
    return Outcome("error" if key == "error" else "unsupported", word)


def _crash_of(ended: Ended, timeout: float) -> Outcome | None:
    """The crashes that do not depend on the output."""
    if ended.flooded:
        what = f"more than {MAX_OUTPUT >> 20} MiB of output"
    elif ended.status is None:
        what = f"no answer within {timeout:g} s"
    elif ended.status < 0:
        what = f"killed by {_signal_name(-ended.status)}"
    elif ended.status > 2:
        what = f"exit code {ended.status}"
    else:
        return None
    return Outcome("crash", what, complaint=ended.complaint, timed_out=ended.status is None and not ended.flooded)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
