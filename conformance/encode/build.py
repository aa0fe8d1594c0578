"""Write the tables that encoders are given: ``python conformance/encode/build.py``; ``--check`` compares.

PROTOCOL.md, "Encoders", says what an encoder makes of ``request``. A case with ``max_error`` stands for one at each of
its bits.
"""

from __future__ import annotations

import json
import random
import struct
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GAUSSIAN = {"1": "0.9", "2": "0.8", "3": "0.35", "4": "0.2", "5": "0.1", "6": "0.05", "7": "0.025", "8": "0.0125"}
"""Relative errors that rounding to so many levels of each row's own scale stays below."""


def bits(value: float) -> str:
    """The bits of a float32, the one nearest to a value."""
    return struct.pack(">f", value).hex()


def rows(*table: list[float]) -> list[list[str]]:
    """Rows of float32."""
    return [[bits(value) for value in row] for row in table]


def gaussian(seed: int, count: int, dim: int, scale: float = 1.0) -> list[list[str]]:
    """Rows of the normal distribution, repeatable."""
    source = random.Random(seed)  # noqa: S311
    return rows(*([scale * source.gauss(0, 1) for _ in range(dim)] for _ in range(count)))


def words(count: int) -> list[bytes]:
    """As many tokens."""
    return [b"word%d" % number for number in range(count)]


def case(
    description: str,
    guards: str,
    requirements: str,
    vectors: list[list[str]],
    *,
    tokens: list[bytes] | None = None,
    dim: int | None = None,
    **other: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """A case; exact, and to be taken, where nothing else is said."""
    found: dict[str, Any] = {
        "description": description,
        "guards": guards,
        "requirements": [f"QEMB-{name}" for name in requirements.split()],
        "verdict": "invalid" if "error" in other else "valid",
    }
    found |= {key: other[key] for key in ("error", "max_error") if key in other}
    request: dict[str, Any] = {"scheme": "lossy" if {"max_error", "bits"} & other.keys() else "exact"}
    if "bits" in other:
        request["bits"] = other["bits"]
    request["dim"] = str(len(vectors[0]) if dim is None else dim)
    request["tokens"] = [token.hex() for token in (words(len(vectors)) if tokens is None else tokens)]
    request["vectors"] = vectors
    return found | {"request": request}


ODD = [b"", b" ", b" a", b"a ", b"\xc2\xa0", "naïve".encode(), "nai\u0308ve".encode(), "😀".encode(), b"\n", b"\t"]
SPECIAL = [
    ["7fc00000", "7fc00001", "ffc00000", "7f800001"],
    ["ffbfffff", "7fffffff", "7f800000", "ff800000"],
    ["80000000", "00000000", "00000001", "80000001"],
    ["007fffff", "00800000", "7f7fffff", "ff7fffff"],
]

CASES = {
    "exact-floats": case(
        "Floats that use every bit of their significand.",
        "Values that go through a scale or float16 on their way.",
        "CFM-04 IEE-01",
        gaussian(1, 9, 7),
    ),
    "exact-special": case(
        "NaN with payloads, quiet and signalling; infinities, zeros of both signs, subnormals, extremes.",
        "Arithmetic where bits are to be copied: quieted NaN, flushed subnormals, a zero that lost its sign.",
        "CFM-04 IEE-01 CON-02",
        SPECIAL,
    ),
    "exact-no-rows": case(
        "No rows at all.",
        "A writer that looks at the first row, or leaves out sections of no bytes.",
        "CFM-04 SEC-01 HDR-09",
        [],
        dim=4,
    ),
    "exact-one-value": case(
        "One row of one value.",
        "Divisions by the number of rows less one; groups of columns wider than the row.",
        "CFM-04 HDR-08",
        rows([-0.5]),
    ),
    "exact-wide": case(
        "Rows of 300 values.", "Strides and counts kept in a byte.", "CFM-04 QNT-08", gaussian(2, 3, 300)
    ),
    "exact-decimals": case(
        "Decimal numbers of five digits, as text files print them, with a zero of each sign.",
        "Decimals stored as the nearest float64, or rounded twice; the sign of zero.",
        "CFM-04 DEC-01 DEC-02",
        rows([0.418, 0.24968, -0.41242, 0.1217], [-0.0, 0.0, 1.25, -1.0e-05], [0.013441, 0.23682, -0.16899, 0.40951]),
    ),
    "exact-halves": case(
        "Values that float16 holds, and one that it does not.",
        "A table narrowed because its first rows can be.",
        "CFM-04 IEE-01",
        [*rows([0.5, -0.25, 1.5, 2048.0], [6.1035156e-05, 65504.0, 0.0, -1.0]), ["3f800001", *rows([1, 2, 3])[0]]],
    ),
    "exact-integers": case(
        "Whole numbers with one scale for all, such as int8 tables have.",
        "A scale taken from the largest value instead of the step.",
        "CFM-04 LIN-01 SCL-01",
        rows(*[[0.0625 * ((17 * i + 5 * j) % 255 - 127) for j in range(6)] for i in range(6)]),
    ),
    "exact-odd-tokens": case(
        "The empty token, spaces, a no-break space, two spellings of one word, an emoji, line ends.",
        "Tokens that are trimmed, normalized or split.",
        "TOK-02 TOK-03 CFM-04",
        gaussian(3, len(ODD), 2),
        tokens=ODD,
    ),
    "exact-byte-tokens": case(
        "A token that is not UTF-8.",
        "The feature bit left out; bytes replaced.",
        "HDR-05 TOK-03",
        gaussian(4, 2, 2),
        tokens=[b"caf\xe9", b"cafe"],
    ),
    "exact-long-token": case(
        "A token of 65,536 bytes, the longest there may be.",
        "A limit that is one short.",
        "TOK-02",
        gaussian(5, 2, 2),
        tokens=[b"x" * 65_536, b"x"],
    ),
    "lossy": case(
        "Rows of the normal distribution.",
        "Codes chosen with another scale than the one that is stored; signs, strides and packing of each width.",
        "CFM-04 PCK-01 SCL-01",
        gaussian(6, 48, 32),
        max_error=GAUSSIAN,
    ),
    "lossy-one-column": case(
        "Rows of one value.",
        "Scales by row that do not survive rounding; trellis rows shorter than their memory.",
        "CFM-04 COD-01 SCL-01",
        gaussian(7, 40, 1),
        max_error={"4": "0.2", "8": "0.0125"},
    ),
    "lossy-large": case(
        "Values about 10^30, whose squares float32 does not hold and whose scales float16 does not.",
        "Scales that become infinite.",
        "SCL-02 CFM-04",
        gaussian(8, 12, 16, 1e30),
        max_error={"4": "0.2", "8": "0.0125"},
    ),
    "lossy-zeros": case(
        "Rows of zeros.",
        "A division by the largest value.",
        "CFM-04 SCL-02",
        rows([0.0] * 5, [0.0] * 5),
        max_error={"1": "0.001", "8": "0.001"},
    ),
    "lossy-no-rows": case(
        "No rows at all.", "A mean of nothing.", "CFM-04 SEC-01", [], dim=3, max_error={"4": "0.001", "8": "0.001"}
    ),
    "refused-twice": case(
        "A token that stands twice.",
        "A file with a duplicate token, or one with a row missing.",
        "TOK-04 CFM-04",
        gaussian(9, 3, 2),
        tokens=[b"a", b"b", b"a"],
        error="invalid.duplicate_token",
    ),
    "refused-ragged": case(
        "A row that is shorter than the others.",
        "Rows that are padded or run into each other.",
        "CFM-04",
        [*gaussian(10, 2, 3), *rows([1.0, 2.0])],
        error="invalid.shape",
    ),
    "refused-dim": case(
        "Rows of three values, where `dim` is 4.",
        "`dim` taken from the table, or the table cut at `dim`.",
        "CFM-04",
        gaussian(11, 2, 3),
        dim=4,
        error="invalid.shape",
    ),
    "refused-tokens": case(
        "Two tokens for three rows.",
        "Rows that become subword buckets nobody asked for.",
        "SUB-01 CFM-04",
        gaussian(12, 3, 2),
        tokens=[b"a", b"b"],
        error="invalid.shape",
    ),
    "refused-long-token": case(
        "A token of 65,537 bytes.",
        "A token that is cut.",
        "TOK-02 CFM-04",
        gaussian(13, 1, 2),
        tokens=[b"x" * 65_537],
        error="invalid.token_length",
    ),
    "refused-nan": case(
        "A value that is not a number, to be quantized.",
        "A scale that is NaN, or a value out of nowhere.",
        "SCL-02 CFM-04",
        [*gaussian(14, 2, 4), ["7fc00000", *rows([1, 2, 3])[0]]],
        bits="4",
        error="invalid.value",
    ),
}


def main() -> int:
    """Write the cases, or compare them."""
    wanted = {}
    for name, entry in CASES.items():
        lines = ",\n".join(
            f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()
        )
        wanted[f"{name}.json"] = f"{{\n{lines}\n}}\n"
    if "--check" in sys.argv[1:]:
        there = {path.name: path.read_text(encoding="utf-8") for path in HERE.glob("*.json")}
        different = sorted(name for name in {*wanted, *there} if wanted.get(name) != there.get(name))
        if different:
            print(f"{', '.join(different)}: run python conformance/encode/build.py")
        return int(bool(different))
    for name, text in wanted.items():
        (HERE / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
