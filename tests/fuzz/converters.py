"""`qemb convert` and `qemb info` on damaged files of every format: each is converted, or refused in one line.

    python tests/fuzz/converters.py 100000 --seed 1            # all formats in turn
    python tests/fuzz/converters.py 5000 --format hdf5 --seconds 600
    python tests/fuzz/converters.py --replay hdf5 1234 --seed 1   # one file again, here, with its traceback

A damaged file is a pure function of its format, the seed and a number. A process of its own converts it, so that a
crash or a hang is found, too. More than 2 s, or more than 256 MB above the file's size, is a finding.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import json
import os
import random
import re
import resource
import select
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import mutate
import sources
from mutate import below, pick

SLOW, LARGE = 2.0, 256 << 20
HANGS = 60
"""Seconds after which the process is killed."""
ADDRESSES = 16 << 30
FAILURES = Path("fuzz-failures")
WITH_CODE = re.compile(r"[(, ](invalid|malformed|unsupported|limit)\.[a-z0-9_]+\)$")
NUMBERS = (b"0", b"-1", b"1", b"2147483648", b"4294967296", b"9223372036854775807", b"18446744073709551616",
           b"1000000000000", b"1e400", b"0.5", b"9" * 5000, b'"x"', b"null", b"[]", b"{}", b"[" * 30_000)  # fmt: skip


# --- damage -----------------------------------------------------------------------------------------------------------


def set_number(rng, data, others):
    """A binary number, mostly near the start, where headers are."""
    width = pick(rng, (1, 2, 4, 4, 8, 8))
    reach = len(data) if rng.random() < 0.4 else min(len(data), 512)
    if reach >= width:
        at = below(rng, reach - width + 1)
        order = pick(rng, ("little", "little", "big"))
        value = mutate.interesting(rng, int.from_bytes(data[at : at + width], order), width)
        data[at : at + width] = value.to_bytes(width, order)


def set_digits(rng, data, others):
    """A number that is written out: in JSON, in headers of text and of numpy."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(data[: 1 << 14])))
    if found:
        place = pick(rng, found)
        data[place.start() : place.end()] = pick(rng, NUMBERS)


def set_string(rng, data, others):
    """A string of JSON, or of Python."""
    found = list(re.finditer(rb"(?<=[\"'])[^\"'\x00-\x1f]{0,60}(?=[\"'])", bytes(data[: 1 << 14])))
    if found:
        place = pick(rng, found)
        names = b"", b"..", b"../../x", b"/etc/passwd", b"\\ud800", b"O", b"|O", b"F64", b"x" * 5000, b"\x00", b"a\nb"
        data[place.start() : place.end()] = pick(rng, names)


def repeat(rng, data, others):
    """A piece several times."""
    at, size = below(rng, len(data) + 1), pick(rng, (1, 4, 16, 64, 1024))
    data[at:at] = bytes(data[at : at + size]) * pick(rng, (1, 2, 16, 300))


def remove(rng, data, others):
    at = below(rng, len(data) + 1)
    del data[at : at + pick(rng, (1, 2, 4, 8, 64))]


DAMAGES = (
    mutate.flip_bit, mutate.set_byte, mutate.overwrite, mutate.truncate, mutate.extend, mutate.splice, set_number,
    set_number, set_number, set_digits, set_digits, set_string, repeat, remove,
)  # fmt: skip


def damaged(seeds, seed: int, number: int):
    """The source of this seed and number: a seed, and its files, one or more of them damaged."""
    rng = random.Random(seed << 64 | number)
    chosen = pick(rng, seeds)
    names = list(chosen.files)
    files = dict(chosen.files)
    others = [data for each in seeds for data in each.files.values()]
    name = names[0] if rng.random() < 0.7 else pick(rng, names)
    data = bytearray(files[name])
    for _ in range(pick(rng, (1, 1, 1, 2, 2, 3, 6))):
        pick(rng, DAMAGES)(rng, data, others)
    files[name] = bytes(data)
    if chosen.pack is not None:
        files[names[0]] = chosen.pack(files[names[0]])
        if rng.random() < 0.1:
            packed = bytearray(files[names[0]])
            pick(rng, DAMAGES)(rng, packed, others)
            files[names[0]] = bytes(packed)
    return chosen, files


# --- one file ---------------------------------------------------------------------------------------------------------


def run_command(*arguments: str) -> str:
    """Run the command in this process; "" where it keeps its promises, else what it did."""
    from qemb_tools.cli import main

    said, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        code = main(arguments)
    lines = [line for line in errors.getvalue().splitlines() if not line.startswith("qemb: note: ")]
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if len(lines) != (code != 0) or not all(line.startswith("qemb: ") for line in lines):
        return f"exit code {code} and the lines {lines}"
    if code == 1 and not WITH_CODE.search(lines[0]):
        return f"an error without a code: {lines[0]}"
    return "" if code == 0 else "refused"


def try_one(chosen, files: dict[str, bytes], folder: Path) -> str:
    """Convert a source in a folder: "converted", "refused", or what is wrong."""
    import qemb

    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    before = set(folder.rglob("*"))
    result = run_command("convert", chosen.path, "out.qemb", *chosen.options)
    left = set(folder.rglob("*")) - before
    if result == "":
        with qemb.open("out.qemb") as written:
            written.verify()
        result = "converted"
    elif left:
        return f"{result}, and it left {', '.join(path.name for path in left)}"
    if not result.startswith(("converted", "refused")):
        return result
    if chosen.path != ".":
        listed = run_command("info", chosen.path)
        if listed not in ("", "refused"):
            return f"info: {listed}"
    return result


def memory(field: str) -> int:
    return int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) << 10


def measured(chosen, files) -> str:
    """As `try_one`, and what it took where that was too much."""
    size = sum(map(len, files.values()))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
        before, started = memory("VmRSS"), time.process_time()
        result = try_one(chosen, files, Path(folder))
        taken, grown = time.process_time() - started, memory("VmHWM") - before - size
    if taken > SLOW:
        return f"{taken:.1f} s for {size:,} bytes ({result})"
    if grown > LARGE:
        return f"{grown >> 20} MB above {size:,} bytes ({result})"
    return result


def work(seed: int) -> None:
    """Answer numbers of files, one a line, with what happened."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    seeds = {}
    for line in sys.stdin:
        name, number = line.split()
        if name not in seeds:
            seeds[name] = list(sources.FORMATS[name]())
            try_first(seeds[name])
        try:
            result = measured(*damaged(seeds[name], seed ^ zlib.crc32(name.encode()), int(number)))
        except BaseException as error:  # noqa: BLE001 - of any kind
            place = error.__traceback__
            while place.tb_next is not None and "qemb" in place.tb_next.tb_frame.f_code.co_filename:
                place = place.tb_next
            where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}"
            result = f"{type(error).__name__} at {where}: {str(error)[:200]}"
        answers.write(json.dumps(result) + "\n")
        answers.flush()


def try_first(seeds) -> None:
    """What is not damaged has to convert; and what is imported late is there before anything is measured."""
    for chosen in seeds:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            files = dict(chosen.files)
            if chosen.pack is not None:
                files[chosen.path] = chosen.pack(files[chosen.path])
            result = try_one(chosen, files, Path(folder))
            assert result == "converted", (chosen.path, result)


# --- many files -------------------------------------------------------------------------------------------------------


class Worker:
    """A process that converts, begun again where it ended."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._process = None

    def ask(self, name: str, number: int) -> str:
        if self._process is None:
            command = [sys.executable, "-W", "ignore", __file__, "--worker", "--seed", str(self._seed)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._process.stdin.write(f"{name} {number}\n")
        self._process.stdin.flush()
        ready = select.select([self._process.stdout], [], [], HANGS)[0]
        answer = self._process.stdout.readline() if ready else ""
        if answer:
            return json.loads(answer)
        if not ready:
            self._process.kill()
        code = self._process.wait()
        self.close()
        return f"crash: the process ended with {code}" if ready else f"hang: not done after {HANGS} s"

    def close(self) -> None:
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._process = None


def run(count: int, seed: int, names: list[str], seconds: float, start: int = 0) -> collections.Counter:
    """Convert ``count`` damaged files, in turn of the formats; prints findings, and returns how many ended how."""
    outcomes: collections.Counter = collections.Counter()
    found: collections.Counter = collections.Counter()
    worker, begun = Worker(seed), time.monotonic()
    for i in range(count):
        if time.monotonic() - begun > seconds:
            break
        name, number = names[i % len(names)], start + i // len(names)
        result = worker.ask(name, number)
        good = result in ("converted", "refused")
        outcomes[name, result if good else "finding"] += 1
        if not good:
            kind = re.sub(r"\d+", "#", f"{name}: {result}")[:100]
            found[kind] += 1
            if found[kind] <= 3:
                FAILURES.mkdir(exist_ok=True)
                chosen, files = damaged(list(sources.FORMATS[name]()), seed ^ zlib.crc32(name.encode()), number)
                for file, data in files.items():
                    (FAILURES / f"{name}-{seed}-{number}-{Path(file).name}").write_bytes(data)
                print(f"{name} {number}: {result}  (qemb convert {chosen.path} {' '.join(chosen.options)})", flush=True)
        if sys.stderr.isatty() or i % 1000 == 999:
            print(f"\r{i + 1:,} of {count:,}, findings: {sum(found.values()):,}", end="", file=sys.stderr, flush=True)
    worker.close()
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=sources.FORMATS, action="append")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--start", type=int, default=0, help="the first number")
    parser.add_argument("--replay", nargs=2, metavar=("FORMAT", "NUMBER"))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.seed)
        return 0
    if arguments.replay:
        name, number = arguments.replay
        seeds = list(sources.FORMATS[name]())
        print(measured(*damaged(seeds, arguments.seed ^ zlib.crc32(name.encode()), int(number))))
        return 0
    names = arguments.format or list(sources.FORMATS)
    outcomes = run(arguments.count, arguments.seed, names, arguments.seconds, arguments.start)
    print(f"\n{'format':<14}" + "".join(f"{kind:>11}" for kind in ("converted", "refused", "finding")))
    for name in names:
        print(f"{name:<14}" + "".join(f"{outcomes[name, kind]:>11,}" for kind in ("converted", "refused", "finding")))
    if FAILURES.is_dir():
        print(f"files that failed are in {FAILURES}/")
    return int(any(kind == "finding" for _, kind in outcomes))


if __name__ == "__main__":
    sys.exit(main())
