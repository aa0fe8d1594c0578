"""Files that conform, taken apart and decoded, and the transform as a matrix. Knows nothing of the codec."""

from __future__ import annotations

import struct

import numpy as np
import zstandard

import qemb_spec
import rawfile


def parse(data):
    """Header fields and raw sections of a file that conforms."""
    return header_of(data), {kind: raw for kind, (_, raw) in read_sections(data).items()}


def decode(data):
    """Tokens and vectors, by a decoder written from the specification alone."""
    contents = qemb_spec.read(data)
    return contents["tokens"], [[qemb_spec.float_of(bits) for bits in row] for row in contents["vectors"]]


def header_of(data):
    values = struct.unpack_from("<" + "".join(rawfile.HEADER.values()), data)
    return dict(zip(rawfile.HEADER, values, strict=True))


def read_sections(data):
    """Table entry and raw bytes of every section of a file that conforms."""
    found = {}
    for number in range(header_of(data)["section_count"]):
        values = struct.unpack_from("<" + "".join(rawfile.ENTRY.values()), data, 64 + 40 * number)
        entry = dict(zip(rawfile.ENTRY, values, strict=True))
        stored = data[entry["offset"] : entry["offset"] + entry["stored_size"]]
        found[entry["kind"].decode()] = entry, join_frames(entry, stored) if entry["codec"] else stored
    return found


def join_frames(entry, stored):
    count = -(-entry["raw_size"] // entry["frame_size"])
    parts, left = [], entry["raw_size"]
    for start, size, _ in struct.iter_unpack("<QII", stored[len(stored) - 16 * count :]):
        frame = stored[start : start + size]
        parts.append(frame if size == min(entry["frame_size"], left) else zstandard.decompress(frame))
        left -= len(parts[-1])
    return b"".join(parts)


def rotation(section, dim):
    """The transform as a matrix in float64: a row of values x becomes the vector R x."""
    rounds, seed = section[2], int.from_bytes(section[8:], "little")
    p = 1 << dim.bit_length() - 1
    hadamard = np.ones((1, 1))
    while len(hadamard) < p:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    first, last = np.eye(dim), np.eye(dim)
    first[:p, :p] = last[dim - p :, dim - p :] = hadamard / np.sqrt(p)
    words, whole = rawfile.splitmix64(seed), np.eye(dim)
    for _ in range(rounds):
        signs = sum(next(words) << 64 * k for k in range(-(-dim // 64)))
        whole = np.diag([-1.0 if signs >> j & 1 else 1.0 for j in range(dim)]) @ whole
        whole = first @ whole
        if p < dim:
            whole = last @ whole
    return whole
