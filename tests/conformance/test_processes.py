"""Whatever an adapter does, the runner says what it did and goes on: each way of crashing, on good files and bad."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from qemb_conformance import processes
from qemb_conformance.adapters import EachTime, Staying
from qemb_conformance.errors import UsageError

GOOD = '{"error": "invalid.dim"}'
TIME_IS_UP = 0.7
"""Seconds given to adapters that never answer."""


@pytest.fixture
def adapter(tmp_path):
    """The command line of a Python program."""

    def write(body):
        path = tmp_path / "adapter.py"
        path.write_text(f"import json, os, signal, subprocess, sys, time\n{body}\n", encoding="utf-8")
        return f"python {path}"

    return write


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file.qemb"
    path.write_bytes(b"\x89QEMB" + bytes(1 << 20))
    return path


CRASHES = {
    "signal": ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
    "exit-code": ("print('{}'); sys.exit(3)", "exit code 3"),
    "exit-127": ("sys.exit(127)", "exit code 127"),
    "exception": ("raise RuntimeError", "exit code 1, and its output is bad: there is no output"),
    "silence": ("", "there is no output"),
    "no-json": ("print('vectors: 1, 2')", "no JSON"),
    "two-values": ("print('{} {}')", "no JSON"),
    "not-utf8": ('sys.stdout.buffer.write(b\'{"a": "\\xff"}\')', "byte 7 is not UTF-8"),
    "byte-order-mark": ("sys.stdout.buffer.write(b'\\xef\\xbb\\xbf{}')", "no JSON"),
    "array": ("print('[]')", "its output is no object"),
    "key-twice": ("""print('{"header": {"dim": "1", "dim": "1"}}')""", "the key 'dim' twice"),
    "integer": ("""print('{"counts": [7]}')""", "the number 7"),
    "float": ("""print('{"vectors": [[0.5]]}')""", "the number 0.5"),
    "true": ("""print('{"vectors": true}')""", "true"),
    "null": ("""print('{"metadata": null}')""", "null"),
    "nan": ("""print('{"vectors": [[NaN]]}')""", "NaN is not JSON"),
    "deep": ("print('[' * 100_000 + ']' * 100_000)", "it nests too deep"),
    "error-missing": ("print('{}'); sys.exit(1)", 'exit code 1 without {"error": "..."}'),
    "error-no-string": ("""print('{"error": 7}'); sys.exit(1)""", 'exit code 1 without {"error": "..."}'),
    "error-twice": ("""print('{"error": "a", "error": "a"}'); sys.exit(1)""", "the key 'error' twice"),
    "feature-missing": ("""print('{"error": "zstd"}'); sys.exit(2)""", 'exit code 2 without {"unsupported": "..."}'),
}


@pytest.mark.parametrize(("body", "word"), CRASHES.values(), ids=CRASHES)
def test_crashes(adapter, file, body, word):
    outcome = EachTime(adapter(body), 30).decode(file)
    assert outcome.kind == "crash"
    assert word in outcome.word


def test_no_answer(adapter, file):
    outcome = EachTime(adapter("print('{}', flush=True); time.sleep(1000)"), TIME_IS_UP).decode(file)
    assert (outcome.kind, outcome.word, outcome.timed_out) == ("crash", f"no answer within {TIME_IS_UP} s", True)


@pytest.mark.parametrize("pipe", ["stdout", "stderr"])
def test_floods_end(adapter, file, monkeypatch, pipe):
    monkeypatch.setattr(processes, "MAX_OUTPUT", 1 << 20)
    command = adapter(f"while True: sys.{pipe}.write('x' * 65536)")
    outcome = EachTime(command, 30 if pipe == "stdout" else TIME_IS_UP).decode(file)
    assert outcome.kind == "crash"
    assert outcome.word.startswith("more than" if pipe == "stdout" else "no answer")
    assert len(outcome.complaint) <= processes.MAX_COMPLAINT


def test_much_on_standard_error_is_no_crash_and_both_its_ends_are_kept(adapter, file):
    body = f"sys.stderr.write('the beginning' + 'x' * 3_000_000 + 'the end'); print('{GOOD}'); sys.exit(1)"
    outcome = EachTime(adapter(body), 30).decode(file)
    assert (outcome.kind, outcome.word) == ("error", "invalid.dim")
    assert outcome.complaint.startswith("the beginningx")
    assert outcome.complaint.endswith("xthe end")
    assert len(outcome.complaint) == processes.MAX_COMPLAINT


def test_output_that_is_bad_is_shown(adapter, file):
    assert EachTime(adapter("print('hello')"), 30).decode(file).word.endswith("; it printed 'hello'")
    assert EachTime(adapter("print('a' * 81)"), 30).decode(file).word.endswith(f"; it printed '{'a' * 80}'...")
    (outcome,) = ask(adapter(f"{LOOP}\n    print('row 1', flush=True)"), file, 1)
    assert outcome.word.endswith("; it printed 'row 1'")


@pytest.mark.parametrize("first", ["", "sys.stdin.close()", "os.close(0)", "sys.stdin.buffer.read(10)"])
def test_input_that_is_not_read_is_no_crash(adapter, file, first):
    outcome = EachTime(adapter(f"{first}\nprint('{GOOD}'); sys.exit(1)"), 30).decode(file)
    assert (outcome.kind, outcome.word) == ("error", "invalid.dim")


def test_errors_may_carry_anything_else(adapter, file):
    body = """print('{"error": "invalid.dim", "offset": 48, "exact": true, "seen": [1.5, null]}'); sys.exit(1)"""
    assert EachTime(adapter(body), 30).decode(file).word == "invalid.dim"


CHILD = "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'], start_new_session={alone})"


@pytest.mark.parametrize("alone", [False, True])
def test_a_child_that_holds_the_output_open(adapter, file, tmp_path, alone):
    body = f"{CHILD.format(alone=alone)}\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
    outcome = EachTime(adapter(f"{body}print('{GOOD}', flush=True); os._exit(1)"), 30).decode(file)
    assert (outcome.kind, outcome.word) == ("error", "invalid.dim")
    pid = int(Path(tmp_path, "pid").read_text())
    if alone:  # out of reach, and not waited for
        os.kill(pid, 9)
    else:
        assert _is_gone(pid)


def _is_gone(pid):
    """Whether a process has ended; a zombie that nobody has fetched yet has."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


# --- one process for many files ---------------------------------------------------------------------------------------


def ask(command, file, times, timeout=30):
    adapter = Staying(command, timeout)
    try:
        return [adapter.decode(file) for _ in range(times)]
    finally:
        adapter.close()


LOOP = """
assert sys.argv[1:] == ["--jsonl"]
for number, line in enumerate(sys.stdin):
    file = json.loads(line)["file"]
"""


def test_one_process_answers_many(adapter, file):
    body = f"""{LOOP}
    assert open(file, "rb").read(5) == b"\\x89QEMB"
    print(json.dumps({{"exit": "1", "output": {{"error": f"{{number}}", "offset": 7}}}}), flush=True)"""
    assert [outcome.word for outcome in ask(adapter(body), file, 3)] == ["0", "1", "2"]


LINES = {
    "no-json": ("exit 0", "no JSON"),
    "no-object": ("[]", "its line is not"),
    "no-exit": ('{"output": {}}', "its line is not"),
    "exit-integer": ('{"exit": 0, "output": {}}', 'the "exit" of its line is no string'),
    "number": ('{"exit": "0", "output": {"counts": [7]}}', "the number 7"),
    "key-twice": ('{"exit": "0", "output": {}, "output": {}}', "the key 'output' twice"),
    "no-output": ('{"exit": "0"}', "its output is no object"),
    "no-error": ('{"exit": "1", "output": {}}', 'without {"error"'),
    "other-code": ('{"exit": "3", "output": {}}', "exit code 3"),
}


@pytest.mark.parametrize(("line", "word"), LINES.values(), ids=LINES)
def test_bad_lines(adapter, file, line, word):
    (outcome,) = ask(adapter(f"{LOOP}\n    print({line!r}, flush=True)"), file, 1)
    assert outcome.kind == "crash"
    assert word in outcome.word


def test_one_that_dies_is_started_again(adapter, file):
    body = f"""{LOOP}
    if number == 1:
        os.kill(os.getpid(), signal.SIGABRT)
    print('{{"exit": "1", "output": {{"error": "invalid.dim"}}}}', flush=True)"""
    outcomes = ask(adapter(body), file, 4)
    assert [outcome.kind for outcome in outcomes] == ["error", "crash", "error", "crash"]
    assert outcomes[1].word == "killed by SIGABRT"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("sys.exit(0)", "it ended before it was told to"),
        ("sys.stderr.write('out of memory'); sys.exit(1)", "it ended with exit code 1"),
        ("sys.exit(9)", "exit code 9"),
    ],
)
def test_one_that_ends_early(adapter, file, body, word):
    (outcome,) = ask(adapter(body), file, 1)
    assert (outcome.kind, outcome.word) == ("crash", word)
    assert outcome.complaint in {"", "out of memory"}


@pytest.mark.parametrize("body", ["time.sleep(1000)", f"{LOOP}\n    time.sleep(1000)", "os.close(1); time.sleep(1000)"])
def test_one_that_says_nothing(adapter, file, body):
    outcomes = ask(adapter(body), file, 2, TIME_IS_UP)
    assert {outcome.kind for outcome in outcomes} == {"crash"}
    hint = "; does the adapter know --jsonl, and does it flush?"
    assert all(outcome.word.endswith(hint) == outcome.timed_out for outcome in outcomes)


def test_one_that_has_answered_knows_how(adapter, file):
    body = f"{LOOP}\n    time.sleep(1000 * number); print(json.dumps({{'exit': '1', 'output': {GOOD}}}), flush=True)"
    answer, silence = ask(adapter(body), file, 2, 5)
    assert (answer.kind, silence.word) == ("error", "no answer within 5 s")


def test_lines_that_nobody_asked_for(adapter, file):
    reply = '{"exit": "1", "output": {"error": "invalid.dim"}}'
    body = f"{LOOP}\n    for _ in range(100_000): print({reply!r})\n    sys.stdout.flush()"
    staying = Staying(adapter(body), 30)
    outcomes = [staying.decode(file)]
    while staying._session._lines.empty():  # the next line is there: it comes without being asked for
        time.sleep(0.01)
    outcomes += [staying.decode(file), staying.decode(file)]
    staying.close()
    assert [outcome.kind for outcome in outcomes] == ["error", "crash", "error"]
    assert outcomes[1].word == "it printed a line that nobody asked for"


def test_a_line_without_end(adapter, file, monkeypatch):
    monkeypatch.setattr(processes, "MAX_OUTPUT", 1 << 20)
    (outcome,) = ask(adapter("while True: sys.stdout.write('x' * 65536)"), file, 1)
    assert outcome.kind == "crash"
    assert outcome.word.startswith("more than")


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["", "  ", "no-such-program-anywhere", "'open"])
def test_commands_that_cannot_be_run(command):
    with pytest.raises(UsageError):
        processes.command_line(command)


@pytest.mark.parametrize("command", ["cat < x", "cat >x", "cat 2>&1", "cat | cat", "true && cat", "A_1=2 cat"])
def test_what_only_a_shell_understands_is_refused(command):
    with pytest.raises(UsageError, match="no shell runs"):
        processes.command_line(command)
    assert processes.command_line(f"sh -c '{command}'") == ["sh", "-c", command]


def test_a_program_that_is_not_executable(file):
    with pytest.raises(UsageError, match="is not executable"):
        processes.command_line(str(file))


def test_python_is_the_one_that_runs_the_runner():
    assert processes.command_line("python 'a b.py' --x") == [sys.executable, "a b.py", "--x"]


def test_the_file_is_the_standard_input(adapter, file):
    body = "data = sys.stdin.buffer.read()\nprint(json.dumps({'tokens': [str(len(data)), data[:5].hex()]}))"
    assert EachTime(adapter(body), 30).decode(file).answer == {"tokens": [str(5 + (1 << 20)), "8951454d42"]}
