"""The transform: a randomized Hadamard rotation, every operation of which is one rounded float32 operation.

With p the largest power of two that is not above dim, a round negates the values whose sign bit is set, applies the
Walsh-Hadamard butterflies to the first p values and, where p is below dim, to the last p. No product is fused with a
sum, so that every implementation gets the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from qemb import jit, layout
from qemb.errors import InvalidError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

HADAMARD = 1
SPLITMIX64 = 1
MAX_ROUNDS = 8
_WHERE = "section TRNS"
_NARROW = 1 << 13
"""Columns up to which the kernel rotates: in wider tables a tile has few rows, and the room that the kernel keeps for
many leaves the cache. Three rounds of one row of 65,536 take it 43 ms, and numpy 4."""
_ROWS = 512
"""Rows that are rotated at a time: columns lie side by side then, and every operation takes a long run of values."""


@dataclass(frozen=True)
class Hadamard:
    """A randomized Hadamard rotation of vectors of ``dim`` values."""

    dim: int
    rounds: int
    seed: int

    def build(self) -> bytes:
        """The bytes of section TRNS."""
        return bytes(
            layout.Transform.build(
                {"kind": HADAMARD, "generator": SPLITMIX64, "rounds": self.rounds, "seed": self.seed}
            )
        )

    @cached_property
    def signs(self) -> NDArray[np.float32]:
        """+1 or -1 for every value of every round, shape (rounds, dim): bit j of the generator's words, 1 is -1."""
        words = -(-self.dim // 64)
        stream = splitmix64(self.seed, self.rounds * words).reshape(self.rounds, words).astype("<u8")
        bits = np.unpackbits(stream.view(np.uint8), axis=1, bitorder="little")
        return np.where(bits[:, : self.dim], np.float32(-1), np.float32(1)).astype(np.float32)

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rotate rows in place, shape (n, dim), and return them: what decoding does."""
        size = 1 << (self.dim.bit_length() - 1)
        if self.dim <= _NARROW and values.flags.c_contiguous and jit.ready():
            from qemb.kernels import rotate

            rotate(values, self.signs, size, np.float32(size**-0.5))
            return values
        for columns in _by_columns(values):
            for signs in self.signs:
                np.multiply(columns, signs[:, None], out=columns)
                _walsh_hadamard(columns[:size])
                if size < self.dim:
                    _walsh_hadamard(columns[self.dim - size :])
        return values

    def invert(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The inverse rotation, in place: what a writer does before it quantizes. It is not bit-exact."""
        size = 1 << (self.dim.bit_length() - 1)
        with np.errstate(over="ignore", invalid="ignore"):  # whoever quantizes finds what is past float32
            for columns in _by_columns(values):
                for signs in self.signs[::-1]:
                    if size < self.dim:
                        _walsh_hadamard(columns[self.dim - size :])
                    _walsh_hadamard(columns[:size])
                    np.multiply(columns, signs[:, None], out=columns)
        return values


def splitmix64(state: int, count: int) -> NDArray[np.uint64]:
    """The first ``count`` outputs of SplitMix64 (Steele, Lea and Flood, 2014) started at ``state``."""
    step, first, second = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)
    mixed: NDArray[np.uint64] = np.arange(1, count + 1, dtype=np.uint64) * step + np.uint64(state)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * first
    mixed = (mixed ^ (mixed >> np.uint64(27))) * second
    return mixed ^ (mixed >> np.uint64(31))


def _by_columns(values: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Some rows at a time as columns, shape (dim, rows), to be changed in place."""
    for low in range(0, len(values), _ROWS):
        rows = values[low : low + _ROWS]
        columns = np.ascontiguousarray(rows.T)
        yield columns
        rows[...] = columns.T


def _walsh_hadamard(values: NDArray[np.float32]) -> None:
    """Orthonormal transform of columns, shape (size, rows), in place.

    (a + b, a - b) at distance 1, 2, 4, ..., then one product.
    """
    size = len(values)
    half = 1
    current, spare, other = values, np.empty_like(values), np.empty_like(values)
    while half < size:
        pairs, following = (array.reshape(size // (2 * half), 2, -1) for array in (current, spare))
        np.add(pairs[:, 0], pairs[:, 1], out=following[:, 0])
        np.subtract(pairs[:, 0], pairs[:, 1], out=following[:, 1])
        current, spare, other = spare, other, spare
        half *= 2
    np.multiply(current, np.float32(size**-0.5), out=values)


def parse(data: bytes, dim: int, offset: int) -> Hadamard:
    """Parse and check section TRNS.

    Raises
    ------
    UnsupportedError, InvalidError
        ``unsupported.transform`` for a kind or generator not known, ``invalid.transform`` for a bad number of rounds.
    """
    fields = layout.parse(layout.Transform, data, where=_WHERE, offset=offset)
    if fields.kind != HADAMARD or fields.generator != SPLITMIX64:
        raise UnsupportedError(
            "unsupported.transform",
            f"transform {fields.kind} with generator {fields.generator} is not known to this reader: upgrade qemb",
            where=_WHERE,
            offset=offset,
        )
    if not 1 <= fields.rounds <= MAX_ROUNDS:
        raise InvalidError(
            "invalid.transform",
            f"it has {fields.rounds} rounds; 1 to {MAX_ROUNDS} are allowed",
            where=f"{_WHERE}, field rounds",
            offset=offset,
        )
    return Hadamard(dim, fields.rounds, fields.seed)
