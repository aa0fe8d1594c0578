"""All implementations answer damaged files, and have to agree: on the verdict, on the first error, and on every value.

    python tests/fuzz/agree.py 100000 --seed 1
    python tests/fuzz/agree.py --replay DIR/1-4711.qemb

Those of the profile full give the same answer or the same error code; but where a compressed frame was damaged, whether
it is refused is left to the decoder of Zstandard (QEMB-FRM-05), and those that take it have to agree. One of the
profile structure may take a bad file for good, or say that it does not decode; what else it says has to be the same.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing.util import Finalize
from pathlib import Path

from tqdm import tqdm

sys.path.append(str(Path(__file__).parents[2] / "conformance" / "implementations" / "spec-decoder"))

import qemb_spec
from mutate import corpus, mutated
from qemb_conformance.adapters import Staying
from qemb_conformance.cases import STRUCTURE_KEYS
from qemb_conformance.differences import KEYS, compare
from qemb_conformance.implementations import build, load_implementations

ROOT = Path(__file__).parents[2]
MAX_VALUES, MAX_RAW = 1 << 14, 3 << 19
"""Values, and raw bytes of all sections, beyond which a file would keep `spec-decoder` busy: it is left out."""
REFUSED_VALUES, REFUSED_RAW = 1 << 28, 1 << 30
"""Beyond these, those of a section, PROTOCOL.md has it refused, which takes no time."""
FAULTY = "malformed.frame"
TIMEOUT = 60.0
CHUNK = 50


def frames_of(data):
    """The stored bytes of each frame of a file, those too that stand as they are; none where it does not open."""
    try:
        known = qemb_spec.read_structures(data)["known"]
    except qemb_spec.Rejected:
        return
    for entry in known.values():
        if entry["codec"] == qemb_spec.ZSTD_FRAMES:
            stored = data[entry["offset"] : entry["offset"] + entry["stored_size"]]
            table = stored[len(stored) - 16 * qemb_spec.frame_count(entry) :]
            for offset, size, _ in struct.iter_unpack("<QII", table):
                yield stored[offset : offset + size]


def is_opened(data):
    """Whether the checks of opening pass; and whether reading all of the file is too much work."""
    try:
        opened = qemb_spec.read_structures(data)
    except qemb_spec.Rejected:
        return False, False
    values = opened["header"]["rows"] * opened["header"]["dim"]
    raw = [entry["raw_size"] for entry in opened["known"].values()]
    refused = values > REFUSED_VALUES or max(raw) > REFUSED_RAW
    return True, not refused and (values > MAX_VALUES or sum(raw) > MAX_RAW)


def disagreement(implementation, expected, got):
    """How an outcome differs from one of the profile full; None where it does not."""
    structure = implementation.profile == "structure"
    if got.kind == "crash":
        return f"crash: {got.word}"
    if structure and (got.kind == "unsupported" or (got.kind == "answer" and expected.kind == "error")):
        return None
    if (got.kind, got.word) != (expected.kind, expected.word):
        return f"{got.kind} {got.word}"
    if got.kind == "answer":
        optional = KEYS - set(STRUCTURE_KEYS) if structure else frozenset()
        for difference in compare(expected.answer, got.answer, optional=optional):
            return f"{difference.field} is {difference.got}, not {difference.expected}"
    return None


class Panel:
    """The adapters of some implementations, which stay; others are compared with the first, one of the profile full."""

    def __init__(self, implementations):
        self._implementations = implementations
        self._adapters = [Staying(each.decoder, TIMEOUT, ROOT) for each in implementations]
        self._folder = tempfile.TemporaryDirectory()
        self._corpus = corpus()

    def ask(self, data):
        """The outcome agreed on, disagreements by name, and whether a damaged frame was refused by some alone."""
        file = Path(self._folder.name, "file.qemb")
        file.write_bytes(data)
        outcomes = [adapter.decode(file) for adapter in self._adapters]
        if self._is_left_open(data, outcomes):
            outcomes = [None if outcome.word == FAULTY else outcome for outcome in outcomes]
        expected = next(outcome for outcome in outcomes if outcome is not None)
        wrong = {}
        for implementation, got in zip(self._implementations, outcomes, strict=True):
            if got is not None and (what := disagreement(implementation, expected, got)) is not None:
                wrong[implementation.name] = what
        return expected, wrong, None in outcomes

    def _is_left_open(self, data, outcomes):
        """Whether some decoders of Zstandard refuse, and some take, a frame that is none of those of the corpus."""
        full = zip(self._implementations, outcomes, strict=True)
        refused = [outcome.word == FAULTY for each, outcome in full if each.profile == "full"]
        if all(refused) or not any(refused):
            return False
        return any(all(frame not in file for file in self._corpus) for frame in frames_of(data))

    def compare(self, seed, numbers):
        """Counts of the files of these numbers; the number, the bytes and who says what of each disagreed on."""
        counts, found = Counter(), []
        for number in numbers:
            data = mutated(self._corpus, seed, number)
            opened, too_large = is_opened(data)
            if too_large:
                counts["left out, too large"] += 1
                continue
            expected, wrong, left_open = self.ask(data)
            counts["compared"] += 1
            counts["left open (QEMB-FRM-05)"] += left_open
            counts["opened"] += opened
            counts["verified"] += expected.kind == "answer"
            counts[f"  {expected.word or 'conforms'}"] += 1
            if wrong:
                found.append((number, data, {"expected": f"{expected.kind} {expected.word}", **wrong}))
        return counts, found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for adapter in self._adapters:
            adapter.close()
        self._folder.cleanup()


_panel = None


def _start(implementations):
    """Set a process of the pool up, which ends without atexit."""
    global _panel  # noqa: PLW0603  (what it keeps from task to task)
    _panel = Panel(implementations)
    Finalize(None, _panel.__exit__, exitpriority=0)


def _compare(seed, numbers):
    return _panel.compare(seed, numbers)


def agree(implementations, count, seed, first=0, jobs=1):
    """Counts over ``count`` mutated files, and a list of (number, bytes, who says what) of those disagreed on."""
    if jobs == 1:
        with Panel(implementations) as panel:
            return panel.compare(seed, range(first, first + count))
    counts, found = Counter(), []
    chunks = [range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)]
    with ProcessPoolExecutor(jobs, initializer=_start, initargs=(implementations,)) as pool:
        for some, more in tqdm(pool.map(partial(_compare, seed), chunks), total=len(chunks), disable=None):
            counts += some
            found += more
    return counts, found


def built(names):
    """The implementations of the repository, of these names or profiles, built; `spec-decoder` first, always."""
    listed = load_implementations(ROOT / "conformance")
    chosen = [each for each in listed if each.name == "spec-decoder" or {each.name, each.profile} & set(names)]
    for each in chosen:
        if each.missing or (wrong := build(each, ROOT)):
            sys.exit(f"{each.name}: " + (f"needs {', '.join(each.missing)}" if each.missing else wrong))
    return sorted(chosen, key=lambda each: each.name != "spec-decoder")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", nargs="+", default=["full"], help="profiles or names of implementations")
    parser.add_argument("--out", type=Path, default=Path("build/disagreements"), help="where to keep those files")
    parser.add_argument("--replay", type=Path, nargs="+", default=[], help="files to ask all of them about")
    arguments = parser.parse_args()
    implementations = built(arguments.only)
    if arguments.replay:
        with Panel(implementations) as panel:
            for path in arguments.replay:
                expected, wrong, _ = panel.ask(path.read_bytes())
                print(f"{path}: {expected.kind} {expected.word} {wrong or ''}")
        return
    start = time.monotonic()
    counts, found = agree(implementations, arguments.count, arguments.seed, arguments.first, arguments.jobs)
    seconds = time.monotonic() - start
    for number, data, wrong in found:
        arguments.out.mkdir(parents=True, exist_ok=True)
        path = arguments.out / f"{arguments.seed}-{number}.qemb"
        path.write_bytes(data)
        path.with_suffix(".json").write_text(json.dumps(wrong, indent=1) + "\n", "utf-8")
        print(f"{path}: {wrong}")
    print(f"{', '.join(each.name for each in implementations)}; seed {arguments.seed}, {seconds:.0f} s")
    for name, times in counts.most_common():
        print(f"{times:9,} {name}")
    print(f"{len(found):9,} disagreements")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
