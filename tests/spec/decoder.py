"""A second decoder of `.qemb`, written from qemb.md alone: linear, codebook and trellis levels, frames stored raw."""

import sys
from math import copysign, inf
from struct import iter_unpack, pack, unpack, unpack_from


def float32(x: float) -> float:
    """Round a float64 product or sum of two float32. The product is exact. A sum rounded to 53 bits rounds on to 24 as
    the exact sum does, because 53 >= 2 x 24 + 2; below the normal range it is exact as well."""
    try:
        return unpack("<f", pack("<f", x))[0]
    except OverflowError:
        return copysign(inf, x)


def element(floats: bytes, group: int, type_: int, block: int, dim: int, i: int, j: int) -> float:
    g = i * -(-dim // block) + j // block if group == 4 else (0, 0, i, j)[group]  # 6.4
    return unpack_from("<" + " fe"[type_], floats, (0, 4, 2)[type_] * g)[0]


def decode(data: bytes) -> tuple[list[bytes], list[list[float]]]:
    """Tokens and vectors of a file that conforms; ValueError for what this decoder does not know."""
    magic, major, _, count, features, _, rows, tokens, _, dim = unpack_from("<8sHHIIIQQQI", data)  # 2
    known = magic == b"\x89QEMB\r\n\x1a" and major == 1 and features <= 1
    section = dict.fromkeys(b"QUAN LEVL SCAL OFFS CODE HIG0 HIG1 TOKO TOKB".split(), b"")
    for entry in range(count):  # 3
        kind, flags, codec, at, size, raw, frame, _ = unpack_from("<4sHHQQQII", data, 64 + 40 * entry)
        known &= codec <= 1 if kind in section else not flags & 1
        if kind in section:
            section[kind] = data[at : at + raw]  # 4: frames stored as they are follow one another
            table = data[at + size - 16 * -(-raw // frame) : at + size] if codec == 1 else b""
            known &= all(n == min(frame, raw - k * frame) for k, (_, n, _) in enumerate(iter_unpack("<QII", table)))
    quan, levl, scal, offs, code, high0, high1, toko, tokb = section.values()
    level, b, low, _, s_group, s_type, o_group, o_type, s_block, o_block, stride, step, bias = unpack("<8B3Iii", quan)
    if not known or level > 1:  # 6.1
        raise ValueError("a newer file, or a section, compressed frame or level that is not known here")
    vectors = []
    for i in range(rows):
        row = int.from_bytes(code[i * stride : (i + 1) * stride], "little")  # 6.2
        codes = [row >> j * low & 2**low - 1 for j in range(dim)]
        for k in range(-(-(b - low) // 8)):
            codes = [c | (high0, high1)[k][i * dim + j] << low + 8 * k for j, c in enumerate(codes)]
        values = [step * (c - 2**b if c >> b - 1 else c) - bias for c in codes]  # 6.3.1
        if level == 1:  # 6.3.2
            m, k, register, values = quan[20] - b, quan[21], 0, []
            for j in range(-m, dim):  # from code -m; the last dim levels are those of the row
                values.append(unpack_from("b", levl, codes[j % dim] << m | register)[0])
                register = register >> k | codes[j % dim] % 2**k << m - k
        values = [float32(x * element(scal, s_group, s_type, s_block, dim, i, j)) for j, x in enumerate(values[-dim:])]
        if o_group:  # 6.4
            values = [float32(element(offs, o_group, o_type, o_block, dim, i, j) + x) for j, x in enumerate(values)]
        vectors.append(values)
    ends = [end for (end,) in iter_unpack("<Q" if len(tokb) >> 32 else "<I", toko)]  # 7.1
    return [tokb[ends[i] : ends[i + 1]] for i in range(tokens)], vectors


if __name__ == "__main__":
    for token, vector in zip(*decode(sys.stdin.buffer.read()), strict=False):
        print(token, *(f"{x:.9g}={pack('>f', x).hex()}" for x in vector))
