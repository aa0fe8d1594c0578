"""Numbers in text become the float32 that Python's own conversion gives, whatever they look like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qemb_tools.decimals import read_rows


def by_python(fields):
    with np.errstate(over="ignore"):
        return np.array([np.float32(float(field)) for field in fields], np.float32)


def same_bits(read, fields, tokens=(b"w",)):
    assert read is not None
    assert read[0] == list(tokens)
    assert read[1].dtype == np.float32
    assert np.array_equal(read[1].reshape(-1).view(np.uint32), by_python(fields).view(np.uint32))


def usual_numbers():
    digits = st.text("0123456789", max_size=9)
    pointed = st.builds("{}{}.{}".format, st.sampled_from(["", "-"]), digits, st.text("0123456789", max_size=9))
    whole = st.builds("{}{}".format, st.sampled_from(["", "-"]), st.text("0123456789", min_size=1, max_size=18))
    return st.one_of(pointed.filter(lambda field: any(map(str.isdigit, field))), whole)


def numbers():
    floats = st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr)
    wide = st.builds("{:.{}e}".format, st.floats(-1e38, 1e38), st.integers(0, 20))
    near = st.floats(-10, 10).map(repr)
    others = st.sampled_from(["+0.5", "1e-05", "-1.5E+3", "007.5", "1e-60", "1e+05", "0e-99", "1" * 30])
    return st.one_of(usual_numbers(), floats, wide, near, others)


@given(st.lists(numbers(), min_size=1, max_size=40), st.sampled_from([" ", "\t", "  ", " \t"]))
@example(["-0.0", "0.0", "-0", ".5", "-.5", "5.", "0.00000000", "0.000000001"], " ")
@example(["0.30000001192092896", "9.99999999999999", "0.00000000000001", "12345678.1234567"], " ")
@example(["9999999999999999", "9007199254740993", "-1234567.12345678", "1234567.1", "123456789."], " ")
@example(["1.1754943508222875e-38", "3.4028235e+38", "1"], " ")
# halfway between two float32, and next to it
@example(
    ["1.000000059604644775390625", "1.00000005960464477539", "1.0000000596046447754e+00", "5.960464477539063e-08"], " "
)
def test_numbers_are_those_of_python(fields, separator):
    same_bits(read_rows(separator.join(["w", *fields, ""]).encode() + b"\n", len(fields)), fields)


@given(st.lists(usual_numbers(), min_size=16, max_size=40), numbers(), st.integers(0, 15))
def test_an_unusual_number_stands_in_its_place(fields, other, place):
    # one in sixteen is read apart from the rest
    fields[place] = other
    same_bits(read_rows(f"w {' '.join(fields)}\n".encode(), len(fields)), fields)


@given(st.lists(st.lists(numbers(), min_size=3, max_size=3), min_size=1, max_size=9), st.sampled_from(["", " ", "\r"]))
def test_lines_are_rows(rows, end):
    lines = "".join(f"word{i} {' '.join(row)}{end}\n" for i, row in enumerate(rows))
    tokens = [b"word%d" % i for i in range(len(rows))]
    same_bits(read_rows(lines.encode(), 3), [field for row in rows for field in row], tokens)


def test_a_token_is_what_stands_before_the_last_numbers():
    read = read_rows(b"a 1 2\n. . . 3 4\n at 5  6\n7\t8\t9 \n1 2 3 4\n", 2)
    same_bits(read, ["1", "2", "3", "4", "5", "6", "8", "9", "3", "4"], [b"a", b". . .", b" at", b"7", b"1 2"])


@given(st.text("0123456789.-+eE_xna:/;\xff\v", min_size=1, max_size=20).map(lambda field: field.encode("latin-1")))
def test_what_stands_among_numbers_is_one_or_nothing(field):
    read = read_rows(b"w 0.25 %s 1\n" % field, 3)
    if read is not None:
        same_bits(read, [b"0.25", field, b"1"])


@pytest.mark.parametrize(
    "field",
    [
        "1.2.3",
        "0.12a4",
        "0.1234567/",
        "0.:",
        "-",
        ".",
        "-.",
        "",
        "1.5-2",
        "0,5",
        "0.12345678.1",
        "nan",
        "inf",
        "1e-.5",
        "e-05",
        "1.5e-0x",
        "0.12345678.90123456789",
        "1e+99",
        "1e 05",
    ],
)
@pytest.mark.parametrize("separator", [" ", "\t"])
def test_what_is_no_number_is_left(field, separator):
    fields = ["0.25"] * 20
    fields[7] = field
    assert read_rows(separator.join(["w", *fields]).encode() + b"\n", 20) is None


@pytest.mark.parametrize(
    "lines", [b"a 1 2\n\n", b"a 1\nb 1 2 3\n", b" 1 2\n", b"a 1 b\n", b"a\r 1 2\n", b"\x0b 1 2\n", b"1\x002 1\n"]
)
def test_other_lines_are_left(lines):
    assert read_rows(lines, 2) is None
