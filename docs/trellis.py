"""Draw the trellis of docs/trellis.md: `python docs/trellis.py` writes trellis-light.svg and trellis-dark.svg.

The smallest trellis there is: one bit a value, a register of two bits, four levels of which two can be reached from
each register (Marcellin and Fischer, *Trellis coded quantization of memoryless and Gauss-Markov sources*, 1990).
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

ROW = (-0.8, -1.8, 0.1, 1.6, 0.5, -0.5, 1.6, -0.4, -0.6, -1.2)
SCALAR = 0.80
"""Of the best two levels, plus and minus."""
LEVELS = (-1.20, -0.39, 0.39, 1.20)
SUBSETS = ((0, 2), (2, 0), (1, 3), (3, 1))
"""The level of each code, by register."""
COLOURS = {
    "light": {"ink": "#1f2328", "soft": "#656d76", "line": "#d0d7de", "path": "#3949ab", "other": "#b35900"},
    "dark": {"ink": "#e6edf3", "soft": "#9198a1", "line": "#3d444d", "path": "#a5b4fc", "other": "#f0a35e"},
}
LEFT, STEP, MIDDLE, UNIT, TRELLIS, GAP = 96, 62, 112, 44, 264, 44


def follow(register: int, code: int) -> int:
    """The register after a code: the format's recurrence with m = 2 and k = 1."""
    return (register >> 1) | (code << 1)


def best_circle(row: tuple[float, ...]) -> tuple[list[int], list[int]]:
    """Codes of least squared error that end in the register they began in, and the registers; all are tried."""
    best: tuple[float, list[int], list[int]] = (float("inf"), [], [])
    for codes in product((0, 1), repeat=len(row)):
        registers = [(codes[-1] << 1) | codes[-2]]
        for code in codes:
            registers.append(follow(registers[-1], code))
        found = [LEVELS[SUBSETS[r][c]] for r, c in zip(registers, codes, strict=False)]
        error = float(np.square(np.subtract(row, found)).sum())
        best = min(best, (error, list(codes), registers))
    return best[1], best[2]


def draw(colours: dict[str, str]) -> str:
    """The picture as SVG."""
    codes, registers = best_circle(ROW)
    width, height = LEFT + STEP * len(ROW) + 24, TRELLIS + 3 * GAP + 76
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13" role="img" aria-label="Ten values, quantized with one bit each">'
    )
    parts = [opening]

    def line(x1: float, y1: float, x2: float, y2: float, colour: str, wide: float, dash: str = "") -> None:
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colours[colour]}" '
            f'stroke-width="{wide:g}" stroke-linecap="round"{dashed}/>'
        )

    def text(x: float, y: float, words: str, colour: str = "ink", anchor: str = "middle", more: str = "") -> None:
        parts.append(f'<text x="{x:g}" y="{y:g}" fill="{colours[colour]}" text-anchor="{anchor}"{more}>{words}</text>')

    def dot(x: float, y: float, radius: float, colour: str, *, hollow: bool = False) -> None:
        fill = f'fill="none" stroke="{colours[colour]}" stroke-width="2"' if hollow else f'fill="{colours[colour]}"'
        parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" {fill}/>')

    def at(value: float) -> float:
        return MIDDLE - value * UNIT

    # above, the values and what they become
    for level in LEVELS:
        line(LEFT, at(level), LEFT + STEP * len(ROW), at(level), "line", 1)
        text(LEFT - 12, at(level) + 4, f"{level:+.2f}", "soft", "end")
    for i, (value, code) in enumerate(zip(ROW, codes, strict=True)):
        x = LEFT + STEP * (i + 0.5)
        level = LEVELS[SUBSETS[registers[i]][code]]
        line(x, at(value), x, at(level), "path", 2)
        line(x + 14, at(value), x + 14, at(np.copysign(SCALAR, value)), "other", 2, "2 4")
        dot(x, at(value), 5, "ink", hollow=True)
        dot(x, at(level), 5, "path")
        dot(x + 14, at(np.copysign(SCALAR, value)), 4, "other")

    # below, the registers and the ways between them
    for i, register, code in product(range(len(ROW)), range(4), (0, 1)):
        x = LEFT + STEP * i
        line(x, TRELLIS + GAP * register, x + STEP, TRELLIS + GAP * follow(register, code), "line", 1)
    for i, code in enumerate(codes):
        here, there = registers[i], registers[i + 1]
        x = LEFT + STEP * i
        line(x, TRELLIS + GAP * here, x + STEP, TRELLIS + GAP * there, "path", 3.5)
        text(x + STEP / 2, TRELLIS + 3 * GAP + 34, str(code), more=' font-weight="bold" font-size="15"')
    for i, register in product(range(len(ROW) + 1), range(4)):
        on_path = registers[i] == register
        dot(LEFT + STEP * i, TRELLIS + GAP * register, 6 if on_path else 4, "path" if on_path else "soft")
    for register in range(4):
        text(
            LEFT - 16,
            TRELLIS + GAP * register + 5,
            f"{register:02b}",
            "ink" if register == registers[0] else "soft",
            "end",
        )
    text(LEFT - 16, TRELLIS - 22, "register", "soft", "end")
    text(LEFT - 16, TRELLIS + 3 * GAP + 34, "codes", "soft", "end")
    text(LEFT - 16, 22, "levels", "soft", "end")

    # what is what
    x, y = LEFT, height - 12
    for width, colour, hollow, words in (
        (96, "ink", True, "the value"), (190, "path", False, "its level by the trellis"),
        (0, "other", False, "the nearer of two levels, ±0.80"),
    ):  # fmt: skip
        dot(x + 6, y - 4, 5, colour, hollow=hollow)
        text(x + 18, y, words, "soft", "start")
        x += width
    return "\n".join([*parts, "</svg>", ""])


def errors() -> tuple[float, float]:
    """Mean squared errors of the row in the picture: two levels, trellis."""
    codes, registers = best_circle(ROW)
    row = np.array(ROW)
    found = [LEVELS[SUBSETS[r][c]] for r, c in zip(registers, codes, strict=False)]
    return float(np.square(row - np.copysign(SCALAR, row)).mean()), float(np.square(row - found).mean())


if __name__ == "__main__":
    for scheme, colours in COLOURS.items():
        Path(__file__).with_name(f"trellis-{scheme}.svg").write_text(draw(colours), encoding="utf-8")
    print("mean squared errors, two levels and trellis: {:.3f} {:.3f}".format(*errors()))
