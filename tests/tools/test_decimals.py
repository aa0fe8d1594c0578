"""Numbers in text become the float32 that Python's own conversion gives, whatever they look like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qemb_tools.decimals import parse_decimals, parse_floats


def by_python(fields):
    with np.errstate(over="ignore"):
        return np.array([np.float32(float(field)) for field in fields], np.float32)


def usual_numbers():
    digits = st.text("0123456789", min_size=1, max_size=16)
    return st.builds("{}{}.{}".format, st.sampled_from(["", "-"]), st.sampled_from("0123456789"), digits)


def numbers():
    floats = st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr)
    others = st.sampled_from(
        ["0", "-0", "+0.5", ".5", "-.5", "5.", "12.25", "1e-05", "-1.5E+3", "nan", "-inf", "007.5"]
    )
    return st.one_of(usual_numbers(), usual_numbers(), floats, others)


@given(st.lists(numbers(), min_size=1, max_size=40), st.sampled_from([" ", "\t"]))
@example(["-0.0", "0.0"], " ")
@example(["0.30000001192092896", "9.99999999999999", "0.00000000000001"], " ")
@example(["1.1754943508222875e-38", "3.4028235677973366e+38", "1"], " ")
def test_numbers_are_those_of_python(fields, separator):
    parsed = parse_decimals(separator.join(fields).encode())
    assert parsed.dtype == np.float32
    assert np.array_equal(parsed.view(np.uint32), by_python(fields).view(np.uint32))


@given(st.lists(usual_numbers(), min_size=16, max_size=40), numbers(), st.integers(0, 15))
def test_an_unusual_number_stands_in_its_place(fields, other, place):
    # one in sixteen is read apart from the rest
    fields[place] = other
    parsed = parse_decimals(" ".join(fields).encode())
    assert np.array_equal(parsed.view(np.uint32), by_python(fields).view(np.uint32))


@given(st.lists(st.text("0123456789.-+eE_xna:/;\xff\v", min_size=1, max_size=20), min_size=1, max_size=20))
def test_whatever_stands_there_is_read_as_numpy_reads_it(fields):
    data = " ".join(fields).encode("latin-1")
    assert np.array_equal(parse_decimals(data), parse_floats(data), equal_nan=True)


@pytest.mark.parametrize("field", ["1.2.3", "0.12a4", "0.1234567/", "0.:", "-", ".", "", "1.5-2", "0,5"])
def test_what_is_no_number_leaves_a_wrong_count(field):
    fields = ["0.25"] * 20
    fields[7] = field
    assert len(parse_decimals(" ".join(fields).encode())) != 20
