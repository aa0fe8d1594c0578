"""Make the levels of the published trellises anew: print them, or check those that the codec has.

    python spec/levels.py            print the tables of `qemb.encode.normal`
    python spec/levels.py --check    exit 1 where the codec has others, and say which

Lloyd's rule on samples of the normal distribution: search the codes, move each level to the mean of the values that
took it, again and again. It starts from 256 quantiles, stretched by what serves best. Levels are trained at a memory of
8 bits, made symmetric, brought to integers, and serve every memory. Takes minutes with numba.
"""

from __future__ import annotations

import argparse
import sys
from functools import cache
from statistics import NormalDist

import numpy as np

from qemb.encode.normal import TRELLIS_LEVELS, TRELLIS_SPREAD
from qemb.encode.viterbi import Trellis, search
from qemb.transform import splitmix64

MEMORY = 8
ROUNDS = 16
DIM, ROWS = 500, 384
STRETCHES = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5)
FACTORS = np.arange(0.9, 1.11, 0.01)


def normal_rows(dim: int, rows: int, seed: int) -> np.ndarray:
    """Quantiles of the normal distribution in random order, float64, shape (dim, rows)."""
    order = np.argsort(np.array(splitmix64(seed, dim * rows), np.uint64), kind="stable")
    return normal_quantiles(dim * rows)[order].reshape(dim, rows)


@cache
def normal_quantiles(count: int) -> np.ndarray:
    """The middles of ``count`` parts of the normal distribution that are equally likely, ascending, float64."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((i + 0.5) / count) for i in range(count)])


def quantize(bits: int, levels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The level that each value gets, float32, shape (dim, rows)."""
    return search(Trellis(bits, MEMORY, levels.astype(np.float32)), rows.astype(np.float32))[1]


def train(bits: int, stretch: float) -> np.ndarray:
    """256 levels by Lloyd's rule, symmetric, in standard deviations."""
    levels = stretch * normal_quantiles(256)
    for seed in range(ROUNDS):
        rows = normal_rows(DIM, ROWS, seed)
        chosen = np.searchsorted(levels.astype(np.float32), quantize(bits, levels, rows)).ravel()
        # as if each level had two values of its own besides: those that are hardly taken stay where they are
        count = np.bincount(chosen, minlength=256) + 2
        levels = (np.bincount(chosen, weights=rows.ravel(), minlength=256) + 2 * levels) / count
        levels = np.sort(levels - levels[::-1]) / 2
    return levels


def error(bits: int, levels: np.ndarray, scale: float) -> float:
    """Mean squared error for rows of 100 values at one scale."""
    rows = normal_rows(100, 640, 1000)
    return float(np.mean(np.square(rows - scale * quantize(bits, levels, rows / scale))))


def table(bits: int) -> tuple[list[int], float, float]:
    """Positive levels as integers, the standard deviation that they fit in their units, the gap to the limit in dB."""
    best = min((train(bits, stretch) for stretch in STRETCHES), key=lambda levels: error(bits, levels, 1.0))
    integers = np.rint(best * 127 / best[-1])
    ideal = 127 / best[-1]
    errors = [error(bits, integers, 1 / (ideal * factor)) for factor in FACTORS]
    least = int(np.argmin(errors))
    gap = 10 * np.log10(errors[least]) + 20 * np.log10(2) * bits
    return integers[128:].astype(int).tolist(), round(float(ideal * FACTORS[least]), 2), float(gap)


def main() -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description="Make the levels of the published trellises.")
    parser.add_argument("--check", action="store_true", help="compare with what the codec has")
    parser.add_argument("--bits", type=int, action="append", help="these alone")
    arguments = parser.parse_args()
    wrong = []
    for bits in arguments.bits or range(1, 8):
        levels, spread, gap = table(bits)
        print(f"{bits} bits, deviation {spread}, {gap:.2f} dB from the limit: {levels}", flush=True)
        if (tuple(levels), spread) != (TRELLIS_LEVELS.get(bits), TRELLIS_SPREAD.get(bits)):
            wrong.append(bits)
    if arguments.check and wrong:
        print(f"the codec has other levels for bits {wrong}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
