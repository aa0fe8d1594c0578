"""Bad files beside those with one fault: with two, of which the first is reported, and files that ask for too much."""

from __future__ import annotations

import struct

import zstdframes
from bases import decimal, linear, product, subwords
from fault import Fault, apart
from faults import FAULTS
from rawfile import crc32c

# --- two faults -----------------------------------------------------------------------------------------------------


TWO = "Checks made in another order, so that another error is reported."


def both(first, second):
    """A file with two faults, and the code of the first."""

    def apply(file):
        first.apply(file)
        second.apply(file)

    name = f"{first.name}, and {second.name}"
    also = " ".join(dict.fromkeys([*first.requirements[1:], "ORD-01", *second.requirements]))
    return Fault(name, first.code, first.base, first.rule, first.kind, apply, TWO, also)


def in_order(base):
    """One fault for each place in the order of checks."""
    found = {}
    for fault in FAULTS:
        if fault.base is base:
            found.setdefault(fault.rank, fault)
    return [found[rank] for rank in sorted(found)]


def neighbours(faults):
    """Each fault with the next one of another code that it can stand beside."""
    for number, first in enumerate(faults):
        for second in faults[number + 1 :]:
            if first.code != second.code and apart(first, second):
                yield first, second
                break


ORDERED = [both(first, second) for first, second in neighbours(in_order(linear))]

# --- files that ask for too much ------------------------------------------------------------------------------------

FRAME = 2**24
"""The greatest frame there is."""


def zeros(file, kind, size):
    """Give a section that many zero bytes, in frames of a few hundred."""
    sizes = [min(FRAME, size - at) for at in range(0, size, FRAME)]
    frames = {length: zstdframes.run(0, length) for length in set(sizes)}
    table, at = b"", 0
    for length in sizes:
        table += struct.pack("<QII", at, len(frames[length]), crc32c(frames[length]))
        at += len(frames[length])
    file[kind].data = b"".join(frames[length] for length in sizes) + table
    file[kind].entry.update(codec=1, raw_size=size, frame_size=FRAME)


def claimed(file, kind, size):
    """Give a section a frame table for that many bytes, and no frames: nobody gets as far."""
    file[kind].data = bytes(16 * -(-size // FRAME))
    file[kind].entry.update(codec=1, raw_size=size, frame_size=FRAME)


def buckets(file, rows):
    file.set(rows=rows)
    file["SUBW"].data = struct.pack("<B3x3I", 1, 3, 6, rows - 1)


MEMORY = []


def memory(base):
    def register(apply):
        name = apply.__name__.replace("_", " ")
        MEMORY.append(Fault(name, "limit.memory", base, "LIM-01", None, apply, "Memory asked for until there is none."))
        return apply

    return register


@memory(subwords)
def more_than_2_to_the_28_values(file):
    """They are all there: 1 KiB of frames holds 32 MiB of codes."""
    rows = 2**27 + 2
    buckets(file, rows)
    zeros(file, "CODE", 2 * rows)


@memory(product)
def values_2_to_the_47(file):
    """A code of one bit for a row of 2^24 values."""
    quan = file["QUAN"].data
    file["QUAN"].data = quan[:20] + struct.pack("<I", 2**24) + bytes(4)
    file.set(rows=2**23, dim=2**24)
    file.insert("SUBW", struct.pack("<B3x3I", 1, 3, 6, 2**23 - 2))
    claimed(file, "CODE", 2**23)
    claimed(file, "LEVL", 4 * 2 * 2**24)


@memory(product)
def levels_of_more_than_2_to_the_30_bytes(file):
    quan = file["QUAN"].data
    file["QUAN"].data = quan[:1] + b"\x10\x10" + quan[3:16] + struct.pack("<2I", 2 * 4097, 1) + bytes(4)
    file.set(dim=4097)
    claimed(file, "LEVL", 4 * 4097 * 2**16)
    claimed(file, "CODE", 2 * 2 * 4097)


@memory(subwords)
def index_of_more_than_2_to_the_30_bytes(file):
    claimed(file, "INDX", 2**30 + 4)


@memory(subwords)
def index_as_large_as_it_may_be(file):
    claimed(file, "INDX", 4 * (2**32 - 2))


@memory(decimal)
def exceptions_of_more_than_2_to_the_30_bytes(file):
    claimed(file, "EXCP", 12 * 2**27)


@memory(linear)
def token_bytes_of_2_to_the_31(file):
    claimed(file, "TOKB", 2**31)
