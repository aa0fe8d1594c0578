"""Kill writers at random moments: the target is absent, the old file or the new one, and nothing else stays.

python tests/codec/kill_writers.py 1000
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

import qemb

SCHEMES = [{"bits": 8}, {"scheme": "exact"}, {"bits": 8, "compress": True}]


def write(path, version, scheme):
    """Write one of two tables, in a child process; its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        rows = 3000 + version
        matrix = np.random.default_rng(version).normal(size=(rows, 40)).round(3).astype(np.float32)
        with qemb.Writer(path, dim=40, **scheme) as writer:
            for low in range(0, rows, 500):
                writer.append([f"w{row}" for row in range(low, min(low + 500, rows))], matrix[low : low + 500])
        status = 0
    finally:
        os._exit(status)


def whole(path, version, scheme):
    """What an undisturbed writer writes, and the seconds that it takes."""
    start = time.perf_counter()
    if os.waitstatus_to_exitcode(os.waitpid(write(path, version, scheme), 0)[1]):
        sys.exit("a writer that nobody killed failed")
    return path.read_bytes(), time.perf_counter() - start


def kill(count, folder, seed):
    """Kill ``count`` writers; how often the target was absent, the old one, and the new one."""
    rng = random.Random(seed)
    path = folder / "table.qemb"
    found = Counter()
    for scheme in SCHEMES:
        versions, seconds = [], 0.0
        for version in range(2):
            data, took = whole(path, version, scheme)
            versions.append(data)
            seconds = max(seconds, took)
        for number in range(-(-count // len(SCHEMES))):
            if rng.random() < 0.25:
                path.unlink(missing_ok=True)
            before = path.read_bytes() if path.exists() else None
            new = number % 2
            child = write(path, new, scheme)
            time.sleep(rng.uniform(0, 1.2 * seconds))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            after = path.read_bytes() if path.exists() else None
            if after not in (before, versions[new]):
                sizes = ["none" if data is None else f"{len(data):,} bytes" for data in (after, before, versions[new])]
                sys.exit("{}, writer {}: found {}; before {}, to be written {}".format(scheme, number, *sizes))
            found["absent" if after is None else "new" if after == versions[new] else "old"] += 1
            left = [name for name in os.listdir(folder) if name != path.name]
            found["left a temporary file"] += bool(left)
            if len(left) > 1:
                sys.exit(f"{scheme}, writer {number}: what earlier ones left was not cleaned up: {left}")
        whole(path, 0, scheme)
        if os.listdir(folder) != [path.name]:
            sys.exit(f"{scheme}: a whole write left {os.listdir(folder)}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = kill(arguments.count, Path(folder), arguments.seed)
    print(", ".join(f"{what}: {count:,}" for what, count in sorted(found.items())))


if __name__ == "__main__":
    main()
