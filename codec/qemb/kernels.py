"""Decoding as kernels; importing this needs numba. Operation for operation what `qemb.decode` does with numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qemb.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

U = np.uint64  # numba would ask of a signed index whether it is negative, and make no vectors of such a loop

LANES = 64
"""Rows that are rotated side by side; with 32 LLVM makes vectors of nothing."""


@kernel
def decode_scalars(
    packed: NDArray[np.uint8],
    bits: int,
    levels: NDArray[np.float32],
    memory: int,
    shift: int,
    scales: NDArray[np.float32],
    scale_block: int,
    offsets: NDArray[np.float32],
    offset_block: int,
    out: NDArray[np.float32],
) -> None:
    """Decode rows of codes of 1 to 8 bits, each of which stands for one value.

    Parameters
    ----------
    packed : uint8 array of shape (rows, row_stride)
    bits : int
        Bits of a code.
    levels : float32 array of shape (2^(bits + memory),)
        Levels by state.
    memory, shift : int
        Bits of the register under a code, and bits of each code that it remembers; both 0 where it has none.
    scales, offsets : float32 arrays of shape (rows, parts), or (1, parts) where rows share them
        The neutral ones are 1 and -0.
    scale_block, offset_block : int
        Values that share each of the parts.
    out : float32 array of shape (rows, dim)
    """
    rows, dim = out.shape
    width, kept, above, under = U(bits), U(shift), U(memory - shift), U(memory)
    mask, low = U((1 << bits) - 1), U((1 << shift) - 1)
    back = -(-memory // shift) if shift else 0
    first = -(-back // dim) * dim - back
    for row in range(rows):
        codes, values = packed[row], out[row]
        register = U(0)
        for place in range(back):  # a row is a circle: before its first code come its last
            bit = U((first + place) % dim) * width
            at = bit >> U(3)
            window = U(codes[at])
            if (bit & U(7)) + width > U(8):
                window |= U(codes[at + U(1)]) << U(8)
            register = (register >> kept) | ((window >> (bit & U(7))) & low) << above
        done = U(0)
        if bits == 4:  # what most files have, in a loop that is a fifth quicker
            for pair in range(U(dim // 2)):
                held = U(codes[pair])
                for _ in range(U(2)):
                    code = held & mask
                    held >>= width
                    values[done] = levels[code << under | register]
                    register = (register >> kept) | (code & low) << above
                    done += U(1)
        at, bits_held, held = done * width >> U(3), U(0), U(0)
        for i in range(done, U(dim)):
            if bits_held < width:
                held |= U(codes[at]) << bits_held
                bits_held += U(8)
                at += U(1)
            code = held & mask
            held >>= width
            bits_held -= width
            values[i] = levels[code << under | register]
            register = (register >> kept) | (code & low) << above
        shared = row if len(scales) > 1 else 0
        if scale_block == 1:
            for i in range(dim):
                values[i] *= scales[shared, i]
        else:
            for part in range(scales.shape[1]):
                factor = scales[shared, part]
                for i in range(U(part * scale_block), U(min((part + 1) * scale_block, dim))):
                    values[i] *= factor
        shared = row if len(offsets) > 1 else 0
        if offset_block == 1:
            for i in range(dim):
                values[i] += offsets[shared, i]
        else:
            for part in range(offsets.shape[1]):
                term = offsets[shared, part]
                for i in range(U(part * offset_block), U(min((part + 1) * offset_block, dim))):
                    values[i] += term


@kernel
def rotate(values: NDArray[np.float32], signs: NDArray[np.float32], size: int, factor: np.float32) -> None:
    """Rotate rows in place, as `qemb.transform.Hadamard.apply`; some rows side by side.

    Parameters
    ----------
    values : float32 array of shape (rows, dim)
    signs : float32 array of shape (rounds, dim)
    size : int
        The largest power of two that is not above dim.
    factor : float32
        1 / sqrt(size).
    """
    rows, dim = values.shape
    block = np.zeros((dim, LANES), np.float32)
    for first in range(0, rows, LANES):
        count = min(LANES, rows - first)
        for lane in range(U(count)):
            for column in range(U(dim)):
                block[column, lane] = values[U(first) + lane, column]
        for number in range(len(signs)):
            for column in range(dim):
                for lane in range(LANES):
                    block[column, lane] *= signs[number, column]
            for run in range(1 if size == dim else 2):
                part = block[run * (dim - size) : run * (dim - size) + size]
                half = U(1)
                while half < U(size):
                    for begin in range(U(0), U(size), U(2) * half):
                        for place in range(begin, begin + half):
                            one, other = part[place], part[place + half]
                            for lane in range(LANES):
                                total, difference = one[lane] + other[lane], one[lane] - other[lane]
                                one[lane], other[lane] = total, difference
                    half *= U(2)
                for place in range(size):
                    for lane in range(LANES):
                        part[place, lane] *= factor
        for lane in range(U(count)):
            for column in range(U(dim)):
                values[U(first) + lane, column] = block[column, lane]
