"""Lossless storage: every bit comes back, in the form that the values have."""

import os
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import qemb

ODD = np.array(
    [
        0x80000000,  # -0.0
        0x00000001,  # the least subnormal
        0x807FFFFF,  # the greatest one, negative
        0x7F800000,  # infinity
        0xFF800000,
        0x7FC00000,  # NaN
        0xFFC12345,  # NaN with a payload
        0x7F812345,  # signalling
        0x7F7FFFFF,  # the largest number
        0x00800000,  # the least normal one
    ],
    np.uint32,
).view(np.float32)


def tokens(rows):
    return [str(row) for row in range(rows)]


def bits(array):
    return np.ascontiguousarray(array).view(np.uint32)


def there_and_back(path, matrix):
    """Write, verify, read in three ways; what the file says of itself."""
    matrix = np.asarray(matrix, np.float32)
    qemb.write(path, tokens(len(matrix)), matrix, scheme="exact")
    with qemb.open(path) as embedding:
        embedding.verify()
        assert bits(embedding.matrix()).tobytes() == bits(matrix).tobytes()
        some = np.random.default_rng(0).permutation(len(matrix))[:50]
        assert bits(embedding.rows(some)).tobytes() == bits(matrix[some]).tobytes()
        for row in some[:5].tolist():
            assert bits(embedding[str(row)]).tobytes() == bits(matrix[row]).tobytes()
        return embedding.info


def printed(rows, dim, pattern, seed=0):
    """Numbers as a text file prints them, read as numpy reads them: through float64, then rounded to float32."""
    values = np.random.default_rng(seed).normal(size=rows * dim)
    return np.array([float(pattern % value) for value in values]).astype(np.float32).reshape(rows, dim)


def decode_decimal(sections, rows, dim):
    """Section 6.3.4 of the specification in exact arithmetic; rounding is `struct`'s, from a float64 that is exact."""
    digits, low, high = struct.unpack_from("<Bbb", sections["QUAN"][0], 20)
    level, width, low_bits = sections["QUAN"][0][:3]
    assert level == 3
    (stride,) = struct.unpack_from("<I", sections["QUAN"][0], 16)
    top = 10**digits + (high - low) * 9 * 10 ** (digits - 1) - 1
    planes = [sections[f"HIG{k}"][0] for k in range(-(-(width - low_bits) // 8))]
    values = []
    for i in range(rows):
        row = int.from_bytes(sections["CODE"][0][i * stride : (i + 1) * stride], "little")
        for j in range(dim):
            code = row >> j * low_bits & (1 << low_bits) - 1
            code |= sum(plane[i * dim + j] << low_bits + 8 * k for k, plane in enumerate(planes))
            m = abs(code - top)
            if m < 10**digits:
                significand, exponent = m, low
            else:
                step, rest = divmod(m - 10**digits, 9 * 10 ** (digits - 1))
                significand, exponent = 10 ** (digits - 1) + rest, low + 1 + step
            exact = significand * Fraction(10) ** exponent * (-1 if code < top else 1)
            values.append(nearest(exact))
    out = np.array(values, np.float32)
    for position, raw in struct.iter_unpack("<QI", sections["EXCP"][0] if "EXCP" in sections else b""):
        out.view(np.uint32)[position] = raw
    return out.reshape(rows, dim)


def nearest(exact):
    """Of the float32 around a fraction the nearest, or the even one of two."""
    guess = np.float32(float(exact))
    around = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    return min(around, key=lambda x: (abs(Fraction(float(x)) - exact), int(x.view(np.uint32)) & 1))


@given(
    hnp.arrays(np.uint32, st.tuples(st.integers(0, 40), st.integers(1, 20))),
    st.sampled_from(["any bits", "halves", "few digits"]),
)
@example(np.zeros((3, 2), np.uint32), "any bits")
@example(np.zeros((0, 2), np.uint32), "any bits")
@settings(max_examples=30, deadline=None)
def test_every_bit_comes_back(tmp_path_factory, raw, kind):
    if kind == "halves":
        raw = raw & np.uint32(0xFFFF0000)
    values = (raw % 1000 * 1e-3).astype(np.float32) if kind == "few digits" else raw.view(np.float32)
    there_and_back(tmp_path_factory.mktemp("exact") / "a.qemb", values)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("%.5g", "five significant decimal digits"),
        ("%.4g", "four significant decimal digits"),
        ("%.3g", "three significant decimal digits"),
        ("%.7g", "seven significant decimal digits"),
        ("%.6f", "decimal numbers with six digits after the point"),
        ("%.4f", "decimal numbers with four digits after the point"),
        ("%.2f", "decimal numbers with two digits after the point"),
    ],
)
def test_printed_digits_are_found(tmp_path, read_sections, pattern, said):
    matrix = printed(600, 20, pattern)
    matrix[::50, 3] = np.resize(ODD, 12)
    info = there_and_back(tmp_path / "a.qemb", matrix)
    assert info.values == f"{said}, {info.bits_per_value:.1f} bits a value"
    sections = read_sections(tmp_path / "a.qemb")
    assert bits(decode_decimal(sections, 600, 20)).tobytes() == bits(matrix).tobytes()
    assert len(sections["EXCP"][0]) >= 12 * np.isin(bits(matrix), bits(ODD)).sum()


def test_values_read_a_little_off_are_exceptions(tmp_path, read_sections):
    """A reader that rounds twice is off by one bit now and then."""
    matrix = printed(1000, 30, "%.5g")
    places = np.random.default_rng(1).permutation(matrix.size)[:20]
    matrix.flat[places] = np.nextafter(matrix.flat[places], np.float32(np.inf))
    info = there_and_back(tmp_path / "a.qemb", matrix)
    assert info.values.startswith("five significant")
    positions = {position for position, _ in struct.iter_unpack("<QI", read_sections(tmp_path / "a.qemb")["EXCP"][0])}
    assert positions >= set(places.tolist())


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_widened_halves_are_found(tmp_path, kind):
    values = np.random.default_rng(0).normal(size=(500, 40)).astype(np.float32)
    if kind == "bfloat16":
        values = (bits(values) & np.uint32(0xFFFF0000)).view(np.float32)
        values[:2, 0] = np.array([0x7FA10000, 0xFFFF0000], np.uint32).view(np.float32)
    else:
        values = values.astype(np.float16).astype(np.float32)
        values[:2, 0] = np.array([0x7F802000, 0xFFFFE000], np.uint32).view(np.float32)  # NaN with payloads of 10 bits
    values[2:5, 0] = [-0.0, np.inf, -np.inf]
    info = there_and_back(tmp_path / "a.qemb", values)
    assert info.scheme == kind
    assert info.values == f"{kind}, {info.bits_per_value:.1f} bits a value"
    assert info.bits_per_value < 14.5


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1, 1), "int8 with one scale"),
        ((800, 1), "int8 with a scale for each row"),
        ((1, 64), "int8 with a scale for each column"),
        ((800, 2), "int8 with a scale for each block of 32 columns"),
    ],
)
def test_int8_tables_are_found(tmp_path, read_sections, shape, said):
    rng = np.random.default_rng(0)
    levels = np.clip(rng.normal(size=(800, 64)) * 40, -127, 127).astype(np.int8)
    levels[0] = 0
    scales = rng.uniform(0.001, 0.1, shape).astype(np.float32)
    matrix = levels * np.repeat(scales, 64 // shape[1] if shape[1] == 2 else 1, axis=1)
    info = there_and_back(tmp_path / "a.qemb", matrix)
    assert info.values == f"{said}, {info.bits_per_value:.1f} bits a value"
    assert np.frombuffer(read_sections(tmp_path / "a.qemb")["CODE"][0], np.int8).size == 800 * 64


def test_bytes_around_a_zero_point_are_found(tmp_path):
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (700, 40)) - rng.integers(0, 256, (700, 1))
    info = there_and_back(tmp_path / "a.qemb", levels.astype(np.float32) * np.float32(0.013))
    assert info.values.startswith("int9 with one scale")


@pytest.mark.parametrize("value", [-0.0, np.nan, 0.1])
def test_one_value_off_the_grid_ends_it(tmp_path, value):
    matrix = np.random.default_rng(0).integers(-127, 128, (6000, 64)).astype(np.float32) * np.float32(0.017)
    matrix[3001, 5] = value
    assert there_and_back(tmp_path / "a.qemb", matrix).scheme != "linear"


def test_full_floats_shrink_by_what_their_exponents_repeat(tmp_path, read_sections):
    """Sign and exponent of a normal distribution have 3.6 bits of entropy of 9; the fraction is noise."""
    values = np.random.default_rng(0).normal(size=(3000, 50)).astype(np.float32)
    info = there_and_back(tmp_path / "a.qemb", values)
    assert info.scheme == "float32"
    share = np.bincount(bits(values).reshape(-1) >> 23) / values.size
    entropy = 23 - np.sum(share[share > 0] * np.log2(share[share > 0]))
    assert entropy < info.bits_per_value < entropy + 0.3
    assert read_sections(tmp_path / "a.qemb")["HIG0"][2] == 1


def test_a_row_that_no_sample_saw_changes_the_form(tmp_path):
    values = np.random.default_rng(0).integers(-64, 64, (9000, 64)).astype(np.float32) / 64
    values[1, 5] = np.float32(0.1)
    info = there_and_back(tmp_path / "a.qemb", values)
    assert info.scheme not in ("bfloat16", "float16")
    assert os.listdir(tmp_path) == ["a.qemb"]


def test_many_late_floats_outnumber_what_exceptions_are_worth(tmp_path):
    values = printed(9000, 32, "%.3g")
    values[1::2, 16:] = np.random.default_rng(1).normal(size=(4500, 16))
    info = there_and_back(tmp_path / "a.qemb", values)
    assert info.bits_per_value < 29


@pytest.mark.parametrize("pattern", ["%.5g", "%.4f", "%.9g"])
def test_what_was_decoded_gives_the_same_bytes(tmp_path, pattern):
    matrix = printed(500, 12, pattern)
    matrix[7, 3] = -0.0
    qemb.write(tmp_path / "a.qemb", tokens(500), matrix, scheme="exact")
    with qemb.open(tmp_path / "a.qemb") as embedding:
        qemb.write(tmp_path / "b.qemb", tokens(500), embedding.matrix(), scheme="exact")
    assert (tmp_path / "a.qemb").read_bytes() == (tmp_path / "b.qemb").read_bytes()


@pytest.mark.parametrize("compress", [None, True, False])
def test_batches_make_no_difference(tmp_path, compress):
    matrix = printed(5000, 8, "%.5g")
    matrix[[0, 4999], 0] = np.nan
    qemb.write(tmp_path / "whole.qemb", tokens(5000), matrix, scheme="exact", compress=compress)
    with qemb.Writer(tmp_path / "parts.qemb", dim=8, scheme="exact", compress=compress) as writer:
        for low in range(0, 5000, 777):
            writer.append(tokens(5000)[low : low + 777], matrix[low : low + 777])
    assert (tmp_path / "parts.qemb").read_bytes() == (tmp_path / "whole.qemb").read_bytes()
    with qemb.open(tmp_path / "parts.qemb") as embedding:
        assert bits(embedding.matrix()).tobytes() == bits(matrix).tobytes()


def test_one_row_costs_one_frame_of_each_plane(tmp_path, monkeypatch):
    matrix = printed(4000, 40, "%.5g")
    qemb.write(tmp_path / "a.qemb", tokens(4000), matrix, scheme="exact")
    decoded = []
    decompress = qemb.container.decompress
    monkeypatch.setattr(qemb.container, "decompress", lambda *a: decoded.append(a[2]) or decompress(*a))
    for row in (0, 818, 819, 2000, 3999):
        with qemb.open(tmp_path / "a.qemb") as embedding:
            decoded.clear()
            assert bits(embedding[str(row)]).tobytes() == bits(matrix[row]).tobytes()
            assert len(decoded) == len({where.split(",")[0] for where in decoded}) >= 1
