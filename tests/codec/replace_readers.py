"""Processes look words up in a file that is replaced by rename meanwhile: every vector is one of a whole generation.

python tests/codec/replace_readers.py --readers 32 --lookups 10000 --replacements 100
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

import qemb

ROWS, DIM = 2000, 16
SCHEMES = [{"bits": 8}, {"bits": 4, "effort": 0}, {"bits": 8, "compress": True}, {"scheme": "float32"}]


def words(generation):
    """In another order in each generation, with some that only it has."""
    rng = np.random.default_rng(generation)
    return [f"w{number}" for number in rng.permutation(ROWS - 20)] + [f"g{generation} {i}" for i in range(20)]


def replace(path, generation):
    """Write a generation. Every vector tells its word and its generation, also where it was quantized."""
    tokens = words(generation)
    signs = np.array([vector(token, generation) for token in tokens], np.float32)
    qemb.write(
        path, tokens, signs, metadata={"generation": generation}, index=generation % 5 != 0, **SCHEMES[generation % 4]
    )


def vector(token, generation):
    """Plus and minus one, in the order of the bits of a hash of both."""
    bits = hash_of(f"{token} in {generation}")
    return [1.0 if bits >> column & 1 else -1.0 for column in range(DIM)]


def hash_of(text):
    value = 0xCBF29CE484222325  # FNV-1a of 64 bits, folded
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return value ^ value >> 32


def read(path, lookups, seed):
    """Look words up until the file was replaced often enough, and open it again now and then.

    What is wrong, or nothing, the generations met, and the number of lookups.
    """
    rng = random.Random(seed)
    met, done = set(), 0
    while done < lookups or not path.with_name("enough").exists():
        with qemb.open(path, memory_map=rng.random() < 0.8) as emb:
            generation = emb.metadata["generation"]
            met.add(generation)
            if rng.random() < 0.01:
                emb.verify()
            for _ in range(rng.randint(1, 300)):
                done += 1
                own = rng.random() < 0.1
                token = f"g{generation} {rng.randrange(20)}" if own else f"w{rng.randrange(ROWS - 20)}"
                found = emb[token]
                if (np.sign(found) != vector(token, generation)).any() or not np.isfinite(found).all():
                    return f"{token} of generation {generation}: {found}", met, done
                if f"g{generation - 1} 0" in emb or emb.tokens[emb.tokens.row(token)] != token:
                    return f"{token} of generation {generation}: tokens of another", met, done
            if rng.random() < 0.05 and emb.nearest(token, k=1)[0][0] not in set(words(generation)):
                return f"generation {generation}: a neighbour of another", met, done
    return "", met, done


def watch(folder, readers, lookups, replacements):
    """Start readers, replace the file until it was replaced often enough and all are done; what each reader met."""
    path = folder / "table.qemb"
    replace(path, 0)
    children = {}
    for seed in range(readers):
        child = os.fork()
        if not child:
            status = 1
            try:
                wrong, met, done = read(path, lookups, seed)
                (folder / f"{seed}.met").write_text(" ".join(map(str, [done, *met])))
                if wrong:
                    print(wrong, file=sys.stderr)
                else:
                    status = 0
            except BaseException:  # noqa: BLE001 - this is a fork: nothing may get out of it
                traceback.print_exc()
            finally:
                os._exit(status)
        children[child] = seed
    generation = 0
    bad = []
    while children:
        generation += 1
        replace(path, generation)
        if generation == replacements:
            (folder / "enough").touch()
        for child in list(children):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                del children[child]
                if status:
                    bad.append(os.waitstatus_to_exitcode(status))
    if bad:
        sys.exit(f"readers ended with {bad}")
    met = {seed: (folder / f"{seed}.met").read_text().split() for seed in range(readers)}
    if [name for name in os.listdir(folder) if not name.endswith((".met", "table.qemb", "enough"))]:
        sys.exit(f"writers left {os.listdir(folder)}")
    return generation, met


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readers", type=int, default=32)
    parser.add_argument("--lookups", type=int, default=10_000)
    parser.add_argument("--replacements", type=int, default=100)
    arguments = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        replaced, met = watch(Path(folder), arguments.readers, arguments.lookups, arguments.replacements)
    looked = sum(int(numbers[0]) for numbers in met.values())
    generations = len(set().union(*(numbers[1:] for numbers in met.values())))
    print(
        f"{looked:,} lookups by {arguments.readers} processes, {replaced:,} replacements, {generations:,} generations "
        f"read, {time.monotonic() - begun:.0f} s: no wrong vector, no crash"
    )


if __name__ == "__main__":
    main()
