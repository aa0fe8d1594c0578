"""The search for codes of a trellis: the path of least squared error through the states, rows as circles.

Every operation is one rounded float32 operation on one row, in a fixed order, so that the path does not depend on what
runs it: numpy here, or the kernels of `qemb.encode.kernels`, which need numba and are several times quicker.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from qemb import jit
from qemb.threads import count_threads, for_each
from qemb.transform import splitmix64

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

REACH = 6
"""How far around the seam of the circle its register is searched, in lengths of the register: 0.01 dB are lost at 100
dimensions, where 5 lose 0.03 and 3 lose 0.1."""
RENORMALIZE = 64
"""Steps after which the least cost is taken off all, so that float32 sums of long rows stay precise."""
WORTH_NUMBA = 1 << 18
"""Values below which numpy is done before numba is imported."""

FAR = np.float32(1e30)


@dataclass(frozen=True, eq=False)
class Trellis:
    """A trellis whose register remembers one bit of each code: 2^memory registers, two branches into and out of each.

    The 256 levels are cut into subsets of every S-th, S = 2^(9 - bits). A branch carries a subset; the lowest bit of a
    code says which branch is taken, the others which level of its subset. The two branches that leave a register, and
    the two that enter one, carry opposite subsets, S / 2 apart: what Ungerboeck's rules of set partitioning (1982) ask
    of two subsets. Which pair stands where is random, and every pair stands equally often.

    Parameters
    ----------
    bits : int
        Bits of a code, 1 to 7.
    memory : int
        Bits of the register.
    levels : ndarray
        float32, shape (256,), ascending.
    """

    bits: int
    memory: int
    levels: NDArray[np.float32]

    @cached_property
    def subsets(self) -> NDArray[np.float32]:
        """Levels by subset, shape (S, 2^(bits - 1)), ascending in a subset."""
        return np.ascontiguousarray(self.levels.reshape(-1, 512 >> self.bits).T)

    @cached_property
    def pairs(self) -> NDArray[np.uint16]:
        """Shape (2^(memory - 1),): subset of the branch from register 2j whose bit is 0, and from 2j + 1 with bit 1."""
        half = 256 >> self.bits
        words = splitmix64(0, 1 << (self.memory - 1))
        order = np.argsort(words, kind="stable")
        return (order * half >> (self.memory - 1)).astype(np.uint16) + np.uint16(half) * (words & 1).astype(np.uint16)

    def table(self) -> NDArray[np.float32]:
        """The level of every state, shape (2^(bits + memory),): section LEVL."""
        register = np.arange(1 << self.memory)
        code = np.arange(1 << self.bits)[:, None]
        opposite = (256 >> self.bits) * (register + code & 1)
        levels: NDArray[np.float32] = self.subsets[self.pairs[register >> 1] ^ opposite, code >> 1]
        return levels.reshape(-1)


class Steps(Protocol):
    """The work itself, by numpy or by kernels, on as many rows side by side as ``lanes`` says."""

    def lanes(self, steps: int, registers: int) -> int:
        """Rows to search side by side, for so many steps and registers."""
        ...

    def decisions(self, steps: int, registers: int, lanes: int) -> NDArray[np.uint8]:
        """Room for which branch won into each register at each step; what is in it is the steps' own affair."""
        ...

    def forward(
        self,
        values: NDArray[np.float32],
        subsets: NDArray[np.float32],
        pairs: NDArray[np.uint16],
        costs: NDArray[np.float32],
        metrics: NDArray[np.float32],
        decisions: NDArray[np.uint8],
    ) -> None:
        """Go over ``values``, shape (n, lanes), from ``costs[0]``; the last costs are in ``costs[n % 2]``."""
        ...

    def back(self, register: NDArray[np.int64], decisions: NDArray[np.uint8], registers: NDArray[np.int64]) -> None:
        """Go back from ``register``, shape (lanes,): ``registers``, shape (n, lanes), before each step."""
        ...

    def choose(
        self,
        values: NDArray[np.float32],
        subsets: NDArray[np.float32],
        pairs: NDArray[np.uint16],
        registers: NDArray[np.int64],
        codes: NDArray[np.uint8],
        levels: NDArray[np.float32],
    ) -> None:
        """Codes that lead from each register to the next, with the nearest level of the branch between them."""
        ...


class _Block:
    """Searches blocks of rows; the working memory of one thread."""

    def __init__(self, trellis: Trellis, dim: int, steps: Steps) -> None:
        registers, reach = 1 << trellis.memory, REACH * trellis.memory
        most = max(dim, 2 * reach)
        self.lanes = steps.lanes(most, registers)
        self._trellis = trellis
        self._steps = steps
        self._dim = dim
        self._seam = np.arange(-reach, reach) % dim
        self._costs = np.empty((2, registers, self.lanes), np.float32)
        self._metrics = np.empty((len(trellis.subsets), self.lanes), np.float32)
        self._decisions = steps.decisions(most, registers, self.lanes)
        self._registers = np.empty((most + 1, self.lanes), np.int64)

    def search(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Codes and levels of rows, all of shape (dim, at most lanes).

        A free run around the seam of the circles finds the register that each is closed with; then the path is searched
        that begins and ends there.
        """
        dim, seam, costs, decisions = self._dim, self._seam, self._costs, self._decisions
        block = np.zeros((dim, self.lanes), np.float32)
        block[:, : rows.shape[1]] = rows

        costs[0] = 0
        last = self._forward(block[seam])
        half = len(seam) // 2
        self._steps.back(last.argmin(axis=0), decisions[half : len(seam)], self._registers[:half])
        closing = self._registers[0].copy()

        costs[0] = FAR
        costs[0, closing, np.arange(self.lanes)] = 0
        self._forward(block)
        registers = self._registers[: dim + 1]
        registers[dim] = closing
        self._steps.back(closing, decisions[:dim], registers[:dim])
        codes, levels = np.empty(block.shape, np.uint8), np.empty_like(block)
        self._steps.choose(block, self._trellis.subsets, self._trellis.pairs, registers, codes, levels)
        return codes[:, : rows.shape[1]], levels[:, : rows.shape[1]]

    def _forward(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        trellis = self._trellis
        self._steps.forward(block, trellis.subsets, trellis.pairs, self._costs, self._metrics, self._decisions)
        costs: NDArray[np.float32] = self._costs[len(block) % 2]
        return costs


def search(
    trellis: Trellis, values: NDArray[np.float32], *, numba: bool | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Codes of least squared error for rows in units of the levels.

    Parameters
    ----------
    trellis : Trellis
        With at most as many bits of memory as a row has values.
    values : ndarray
        float32, shape (dim, rows): a row is a column here.
    numba : bool, optional
        Whether the kernels are used; left out, where numba is installed and there is enough to do. The codes are the
        same.

    Returns
    -------
    codes, levels : ndarray
        uint8 and float32, shape (dim, rows): the codes, and the levels they stand for.
    """
    dim, rows = values.shape
    codes, levels = np.empty(values.shape, np.uint8), np.empty(values.shape, np.float32)
    steps = _steps(values.size if numba is None else WORTH_NUMBA if numba else 0)
    lanes = _Block(trellis, dim, steps).lanes
    starts = range(0, rows, lanes)
    workers = min(len(starts), count_threads())

    def work(worker: int) -> None:
        block = _Block(trellis, dim, steps)
        for low in starts[worker::workers]:
            part = slice(low, low + lanes)
            codes[:, part], levels[:, part] = block.search(values[:, part])

    for_each(work, range(workers))
    return codes, levels


def _steps(work: int) -> Steps:
    """The kernels where they pay and are there, numpy otherwise."""
    kernels = find_kernels(work)
    return NumpySteps() if kernels is None else kernels.NumbaSteps()


def find_kernels(work: int) -> ModuleType | None:
    """`qemb.encode.kernels` where it pays for so many values and numba is there."""
    if work < WORTH_NUMBA or not jit.load():
        return None
    from qemb.encode import kernels

    return kernels


class NumpySteps:
    """The steps in numpy: wide, since every operation is a call."""

    def lanes(self, steps: int, registers: int) -> int:
        """512, or as many as keep the decisions within 32 MiB."""
        return min(max((1 << 25) // (steps * registers), 1), 512)

    def decisions(self, steps: int, registers: int, lanes: int) -> NDArray[np.uint8]:
        """A byte for each register: 1 where the branch from the odd one won."""
        return np.empty((steps, registers, lanes), np.uint8)

    def forward(
        self,
        values: NDArray[np.float32],
        subsets: NDArray[np.float32],
        pairs: NDArray[np.uint16],
        costs: NDArray[np.float32],
        metrics: NDArray[np.float32],
        decisions: NDArray[np.uint8],
    ) -> None:
        """As the protocol says."""
        half = len(pairs)
        one, other = pairs.astype(np.intp), (pairs ^ len(subsets) // 2).astype(np.intp)
        square = np.empty_like(metrics)
        here, there, even, odd = (np.empty((half, values.shape[1]), np.float32) for _ in range(4))
        for step, row in enumerate(values):
            np.subtract(row, subsets[:, :1], out=metrics)
            np.multiply(metrics, metrics, out=metrics)
            for position in range(1, subsets.shape[1]):
                np.subtract(row, subsets[:, position : position + 1], out=square)
                np.multiply(square, square, out=square)
                np.minimum(metrics, square, out=metrics)
            np.take(metrics, one, axis=0, out=here)
            np.take(metrics, other, axis=0, out=there)
            before, after, decided = costs[step % 2], costs[1 - step % 2], decisions[step].view(np.bool_)
            np.add(before[0::2], here, out=even)
            np.add(before[1::2], there, out=odd)
            np.minimum(even, odd, out=after[:half])
            np.less(odd, even, out=decided[:half])
            np.add(before[0::2], there, out=even)
            np.add(before[1::2], here, out=odd)
            np.minimum(even, odd, out=after[half:])
            np.less(odd, even, out=decided[half:])
            if step % RENORMALIZE == RENORMALIZE - 1:
                after -= after.min(axis=0)

    def back(self, register: NDArray[np.int64], decisions: NDArray[np.uint8], registers: NDArray[np.int64]) -> None:
        """As the protocol says."""
        lanes = np.arange(len(register))
        half = decisions.shape[1] // 2
        for step in range(len(decisions) - 1, -1, -1):
            register = 2 * (register % half) + decisions[step, register, lanes]
            registers[step] = register

    def choose(
        self,
        values: NDArray[np.float32],
        subsets: NDArray[np.float32],
        pairs: NDArray[np.uint16],
        registers: NDArray[np.int64],
        codes: NDArray[np.uint8],
        levels: NDArray[np.float32],
    ) -> None:
        """As the protocol says."""
        for step, row in enumerate(values):
            bit = registers[step + 1] // len(pairs)
            subset = pairs[registers[step] >> 1] ^ len(subsets) // 2 * (registers[step] + bit & 1)
            distance = row[:, None] - subsets[subset]
            distance *= distance
            position = distance.argmin(axis=1)
            codes[step] = 2 * position + bit
            levels[step] = subsets[subset, position]
