"""The steps of the trellis search as kernels; importing this needs numba. Operation for operation what numpy does.

The inner loops run over lanes, rows side by side, on slices taken before them: that is what LLVM makes vectors of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qemb.encode.viterbi import FAR, RENORMALIZE
from qemb.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

LANES = 128
"""Rows side by side. A constant, so that inner loops leave no rest; 64 are a third slower, 256 no faster."""


@kernel
def _forward(
    values: NDArray[np.float32],
    subsets: NDArray[np.float32],
    pairs: NDArray[np.uint16],
    costs: NDArray[np.float32],
    metrics: NDArray[np.float32],
    decisions: NDArray[np.uint8],
) -> None:
    half = np.uint64(len(pairs))  # unsigned: numba would ask of a signed index whether it is negative
    opposite = np.uint64(len(subsets) // 2)
    for step in range(len(values)):
        row = values[step]
        for subset in range(subsets.shape[0]):
            metric = metrics[subset]
            level = subsets[subset, 0]
            for lane in range(LANES):
                distance = row[lane] - level
                metric[lane] = distance * distance
            for position in range(1, subsets.shape[1]):
                level = subsets[subset, position]
                for lane in range(LANES):
                    distance = row[lane] - level
                    metric[lane] = min(metric[lane], distance * distance)
        before, after, decided = costs[step % 2], costs[1 - step % 2], decisions[step]
        for pair in range(half):
            one = metrics[np.uint64(pairs[pair])]
            other = metrics[np.uint64(pairs[pair]) ^ opposite]
            even, odd = before[np.uint64(2) * pair], before[np.uint64(2) * pair + np.uint64(1)]
            low, high, decision = after[pair], after[pair + half], decided[pair]
            for lane in range(LANES):
                low_even, low_odd = even[lane] + one[lane], odd[lane] + other[lane]
                high_even, high_odd = even[lane] + other[lane], odd[lane] + one[lane]
                low[lane] = min(low_even, low_odd)
                high[lane] = min(high_even, high_odd)
                decision[lane] = np.uint8(low_odd < low_even) | (np.uint8(high_odd < high_even) << 1)
        if step % RENORMALIZE == RENORMALIZE - 1:
            for lane in range(LANES):
                least = after[0, lane]
                for register in range(1, len(after)):
                    least = min(least, after[register, lane])
                for register in range(len(after)):
                    after[register, lane] -= least


@kernel
def _back(register: NDArray[np.int64], decisions: NDArray[np.uint8], registers: NDArray[np.int64]) -> None:
    half = decisions.shape[1]
    at = register.copy()
    for step in range(len(decisions) - 1, -1, -1):
        decided, before = decisions[step], registers[step]
        for lane in range(LANES):
            low, bit = at[lane] % half, at[lane] // half
            at[lane] = 2 * low + (decided[low, lane] >> bit & 1)
            before[lane] = at[lane]


@kernel
def _choose(
    values: NDArray[np.float32],
    subsets: NDArray[np.float32],
    pairs: NDArray[np.uint16],
    registers: NDArray[np.int64],
    codes: NDArray[np.uint8],
    levels: NDArray[np.float32],
) -> None:
    for step in range(len(values)):
        for lane in range(LANES):
            bit = registers[step + 1, lane] // len(pairs)
            subset = pairs[registers[step, lane] >> 1] ^ (len(subsets) // 2 * ((registers[step, lane] + bit) & 1))
            best, least = 0, np.float32(np.inf)
            for position in range(subsets.shape[1]):
                distance = values[step, lane] - subsets[subset, position]
                distance *= distance
                if distance < least:
                    best, least = position, distance
            codes[step, lane] = 2 * best + bit
            levels[step, lane] = subsets[subset, best]


class NumbaSteps:
    """The steps as kernels."""

    forward = staticmethod(_forward)
    back = staticmethod(_back)
    choose = staticmethod(_choose)

    def lanes(self, steps: int, registers: int) -> int:  # noqa: ARG002
        """Always the same."""
        return LANES

    def decisions(self, steps: int, registers: int, lanes: int) -> NDArray[np.uint8]:
        """A byte for two registers j and j + registers / 2: bits 0 and 1 are set where the odd branch into them won."""
        return np.empty((steps, registers // 2, lanes), np.uint8)


@kernel
def _forward_integers(
    values: NDArray[np.float32],
    order: NDArray[np.int64],
    classes: NDArray[np.int64],
    costs: NDArray[np.float32],
    metrics: NDArray[np.float32],
    odd: NDArray[np.uint8],
) -> None:
    half = len(classes) // 2
    for step in range(len(order)):
        row = values[order[step]]
        for remainder in range(4):
            metric = metrics[remainder]
            for lane in range(LANES):
                distance = (row[lane] - np.float32(remainder)) * np.float32(0.25)
                distance -= np.rint(distance)
                metric[lane] = distance * distance
        before, after, decided = costs[step % 2], costs[1 - step % 2], odd[step]
        for register in range(len(classes)):
            even, bit = 2 * (register % half), register // half
            one, other = metrics[classes[even, bit]], metrics[classes[even + 1, bit]]
            from_even, from_odd = before[even], before[even + 1]
            least, decision = after[register], decided[register]
            for lane in range(LANES):
                low, high = from_even[lane] + one[lane], from_odd[lane] + other[lane]
                least[lane] = min(low, high)
                decision[lane] = high < low


@kernel
def search_integers(
    values: NDArray[np.float32], seam: NDArray[np.int64], classes: NDArray[np.int64], codes: NDArray[np.uint16]
) -> None:
    """What `qemb.encode.shipped` does in numpy: codes, shape (rows, dim), for ``values`` of that shape."""
    rows, dim = values.shape
    registers = len(classes)
    half, reach = registers // 2, len(seam) // 2
    block = np.zeros((dim, LANES), np.float32)
    costs = np.empty((2, registers, LANES), np.float32)
    metrics = np.empty((4, LANES), np.float32)
    odd = np.empty((max(dim, len(seam)), registers, LANES), np.uint8)
    whole = np.arange(dim)
    closing = np.empty(LANES, np.int64)
    for first in range(0, rows, LANES):
        count = min(LANES, rows - first)
        for lane in range(count):
            for step in range(dim):
                block[step, lane] = values[first + lane, step]
        costs[0] = 0
        _forward_integers(block, seam, classes, costs, metrics, odd)
        for lane in range(LANES):
            at = 0
            for register in range(1, registers):
                if costs[0, register, lane] < costs[0, at, lane]:
                    at = register
            for step in range(2 * reach - 1, reach - 1, -1):
                at = 2 * (at % half) + odd[step, at, lane]
            closing[lane] = at
        costs[0] = FAR
        for lane in range(LANES):
            costs[0, closing[lane], lane] = 0
        _forward_integers(block, whole, classes, costs, metrics, odd)
        for lane in range(count):
            at = closing[lane]
            for step in range(dim - 1, -1, -1):
                bit = at // half
                at = 2 * (at % half) + odd[step, at, lane]
                group = np.rint((block[step, lane] - np.float32(classes[at, bit])) * np.float32(0.25))
                codes[first + lane, step] = 2 * (int(group) + 64) + bit
