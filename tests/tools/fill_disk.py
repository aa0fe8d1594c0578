"""Fill a disk by converting to each format: one clear line, what was there before stays, and nothing else does.

unshare -rm python tests/tools/fill_disk.py 20
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec

import numpy as np

from qemb_tools.cli import main as qemb

TARGETS = {
    "a.qemb": ["--scheme", "float32"],
    "trellis.qemb": ["--bits", "7", "--effort", "0", "--offset", "none"],
    "exact.qemb": ["--scheme", "exact"],
    "shipped.qemb": ["--bits", "8", "--compress"],
    "a.txt": [],
    "a.bin": [],
    "a.npz": [],
    "a.safetensors": [],
}
TARGETS |= {"a.h5": []} if find_spec("h5py") else {}
TARGETS |= {"a.parquet": [], "a.arrow": []} if find_spec("pyarrow") else {}
TARGETS |= {"a.kv": []} if find_spec("gensim") else {}


def fill(disk, source):
    """What is wrong, a line each."""
    for target, options in TARGETS.items():
        path = os.path.join(disk, target)
        with open(path, "w", encoding="utf-8") as file:
            file.write("before")
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            status = qemb(["convert", source, path, *options, "--quiet"])
        if status != 1 or errors.getvalue() != f"qemb: No space left on device: {path}; nothing was written\n":
            yield f"{target}: exit code {status}, {errors.getvalue()!r}"
        if os.listdir(disk) != [target]:
            yield f"{target}: left {os.listdir(disk)}"
        with open(path, encoding="latin-1") as file:
            if file.read() != "before":
                yield f"{target}: what was there before is gone"
        os.unlink(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("megabytes", type=int)
    size = parser.parse_args().megabytes << 20
    dim = 32
    rows = 3 * size // (4 * dim)
    matrix = np.random.default_rng(1).normal(size=(rows, dim)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        source, disk = os.path.join(folder, "table.npz"), os.path.join(folder, "disk")
        np.savez(source, vectors=matrix, words=np.char.add("w", np.arange(rows).astype(str)))
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=False).returncode:
            sys.exit(77)
        try:
            wrong = list(fill(disk, source))
        finally:
            subprocess.run(["umount", disk], check=True)
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(TARGETS)} conversions to a disk of {size:,} bytes: one line each, nothing was left")


if __name__ == "__main__":
    main()
