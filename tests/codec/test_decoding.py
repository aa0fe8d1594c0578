"""Each step from bytes to vectors against arithmetic done otherwise: Python's integers and fractions, matrices."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

import bases
import qemb
import rawfile
import rawread
from qemb.checksum import crc32c
from qemb.packing import pack, stray_bits, unpack
from qemb.transform import splitmix64

many = settings(max_examples=150, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def decode(file):
    """Every vector of a file that conforms, three ways."""
    with qemb.open(file.build()) as emb:
        emb.verify()
        matrix = emb.matrix()
        backwards = emb.rows(range(emb.total_rows)[::-1])[::-1]
        singly = [emb.matrix(row, row + 1) for row in range(emb.total_rows)]
    for other in (backwards, np.concatenate(singly)):
        assert np.array_equal(matrix.view(np.uint32), other.view(np.uint32))
    return matrix


def bits_of(values):
    return np.array(values, "<f4").view("<u4").tolist()


@pytest.mark.parametrize(
    ("base", "rows"),
    [
        (bases.linear, bases.LINEAR_ROWS),
        (bases.split, bases.SPLIT_ROWS),
        (bases.codebook, bases.CODEBOOK_ROWS),
        (bases.trellis, bases.TRELLIS_ROWS),
        (bases.product, bases.PRODUCT_ROWS),
        (bases.decimal, bases.DECIMAL_ROWS),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_tables_worked_out_by_hand(base, rows):
    assert bits_of(decode(base())) == bits_of(rows)


# --- checksum and packing -------------------------------------------------------------------------------------------


@many
@given(st.binary(max_size=200), st.integers(0, 200))
@example(b"123456789", 4)
def test_crc32c_as_the_specification_has_it(data, cut):
    assert crc32c(data) == rawfile.crc32c(data)
    assert crc32c(data[cut:], crc32c(data[:cut])) == rawfile.crc32c(data)
    for form in (memoryview(data), memoryview(bytearray(data)), np.frombuffer(data, np.uint8)):
        assert crc32c(form) == rawfile.crc32c(data)


def test_the_check_value_of_rfc_3720():
    """And those of its section B.4."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"") == 0


@pytest.mark.parametrize("bits", range(1, 33))
def test_packing(bits):
    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 4), st.integers(1, 40), seeds, st.integers(0, 3))
    def check(rows, count, seed, padding):
        codes = np.random.default_rng(seed).integers(0, 2**bits, (rows, count), np.uint64)
        dtype = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
        packed = pack(codes.astype(dtype), bits)
        size = -(-count * bits // 8)
        assert packed.shape == (rows, size)
        assert [row.tobytes() for row in packed] == [rawfile.pack_codes(row, bits) for row in codes.tolist()]
        # the bits as numpy unpacks them, least significant first
        unpacked = np.unpackbits(packed, axis=1, bitorder="little")
        assert not unpacked[:, count * bits :].any()
        powers = 2 ** np.arange(bits, dtype=np.uint64)
        again = unpacked[:, : count * bits].reshape(rows, count, bits).astype(np.uint64) @ powers
        assert np.array_equal(again, codes)
        wide = np.concatenate([packed, np.full((rows, padding), 0xA5, np.uint8)], axis=1)
        found = unpack(wide, count, bits)
        assert found.dtype == dtype
        assert np.array_equal(found, codes)
        assert stray_bits(packed, count, bits).tolist() == [False] * rows
        assert stray_bits(wide, count, bits).tolist() == [padding > 0] * rows
        for spare in range(count * bits, 8 * size):
            bad = packed.copy()
            bad[:, spare // 8] |= 1 << spare % 8
            assert stray_bits(bad, count, bits).all()

    check()


# --- decimal --------------------------------------------------------------------------------------------------------


def decimal_file(digits, low, high, ranks, *, low_bits=None, exceptions=()):
    """One row of decimal codes; ``ranks`` are those of section 6.3.4, from -R to R."""
    top = 10**digits + (high - low) * 9 * 10 ** (digits - 1) - 1
    bits = (2 * top).bit_length()
    low_bits = bits if low_bits is None else low_bits
    file = rawfile.RawFile(1, 1, len(ranks))
    codes = [rank + top for rank in ranks]
    parameters = struct.pack("<Bbb", digits, low, high)
    file.add("QUAN", rawfile.descriptor(rawfile.DECIMAL, bits, len(ranks), low_bits=low_bits, parameters=parameters))
    if low_bits:
        file.add("CODE", rawfile.pack_codes([code & 2**low_bits - 1 for code in codes], low_bits))
    for plane, shift in enumerate(range(low_bits, bits, 8)):
        file.add(f"HIG{plane}", bytes(code >> shift & 0xFF for code in codes))
    if exceptions:
        file.add("EXCP", b"".join(struct.pack("<QI", *entry) for entry in exceptions))
    return rawfile.add_tokens(file, [b"x"]), top


def decimal_magnitudes(digits, low, high):
    """Every number of ``digits`` digits at most that the kind holds, in ascending order."""
    magnitudes = {Fraction(m) * Fraction(10) ** e for e in range(low, high + 1) for m in range(10**digits)}
    return sorted(magnitudes)


def nearest(value):
    """The bits of the float32 nearest to a fraction, ties to even, by comparing fractions."""
    sign, value = (1 << 31, -value) if value < 0 else (0, value)
    low, high = 0, 0x7F800000  # bits of floats ascend as floats do
    while high - low > 1:
        middle = (low + high) // 2
        if single(middle) <= value:
            low = middle
        else:
            high = middle
    # infinity stands where the next float would
    below, above = value - single(low), single(high) - value
    return sign | (low if below < above or (below == above and low % 2 == 0) else high)


def single(bits):
    if bits == 0x7F800000:
        return Fraction(2) ** 128
    (value,) = struct.unpack("<f", struct.pack("<I", bits))
    return Fraction(value)


@pytest.mark.parametrize(("digits", "low", "high"), [(1, -2, 1), (2, -1, 2), (2, -60, -57), (1, -46, -44), (1, 36, 38)])
def test_every_rank_of_small_decimals(digits, low, high):
    """Codes are ranks: they count the numbers that D digits and the exponents can write, in order."""
    magnitudes = decimal_magnitudes(digits, low, high)
    values = [-value for value in magnitudes[:0:-1]] + magnitudes
    file, top = decimal_file(digits, low, high, [0])
    assert len(magnitudes) == top + 1
    file, _ = decimal_file(digits, low, high, list(range(-top, top + 1)))
    assert bits_of(decode(file))[0] == [nearest(value) for value in values]


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 9), st.integers(-60, 38), st.integers(0, 6), seeds, st.data())
def test_decimals_are_rounded_once(digits, low, span, seed, data):
    high = min(low + span, 38)
    top = 10**digits + (high - low) * 9 * 10 ** (digits - 1) - 1
    if 2 * top >= 2**32:
        return
    rng = np.random.default_rng(seed)
    ranks = [0, 1, -1, top, -top, *rng.integers(-top, top + 1, 15).tolist()]
    bits = (2 * top).bit_length()
    file, _ = decimal_file(digits, low, high, ranks, low_bits=data.draw(st.integers(0, bits)))
    q = 9 * 10 ** (digits - 1)
    expected = []
    for rank in ranks:
        m = abs(rank)
        t = m - 10**digits
        significand, exponent = (m, low) if t < 0 else (10 ** (digits - 1) + t % q, low + 1 + t // q)
        expected.append(nearest((-1 if rank < 0 else 1) * significand * Fraction(10) ** exponent))
    assert bits_of(decode(file))[0] == expected


@pytest.mark.parametrize(
    "text",
    [
        "8.5899999e9",
        "1.00000006e0",  # above half way between 1 and the next float: 1 + 2^-24 is 1.000000059604644775390625
        "1.00000005e0",
        "16777217e0",  # a tie: to even, down
        "16777219e0",  # and up
        "7.0064923e-46",  # just below half of the least float
        "7.0064924e-46",  # just above: float64 on the way, and then float32, would both be exact enough
        "3.4028235e38",
        "3.4028236e38",
    ],
)
def test_decimals_at_the_edges_of_rounding(text):
    significand, exponent = text.split("e")
    point = significand.find(".")
    places = len(significand) - point - 1 if point >= 0 else 0
    number = int(significand.replace(".", ""))
    low = int(exponent) - places
    file, _ = decimal_file(len(str(number)), low, low, [number, -number])
    expected = nearest(Fraction(number) * Fraction(10) ** low)
    assert bits_of(decode(file))[0] == [expected, expected | 1 << 31]


@many
@given(st.sets(st.integers(0, 39), max_size=12), seeds)
def test_exceptions_are_verbatim(positions, seed):
    rng = np.random.default_rng(seed)
    entries = [(position, int(rng.integers(0, 2**32))) for position in sorted(positions)]
    file = rawfile.RawFile(8, 8, 5)
    ranks = [0 if position in positions else int(rng.integers(-99, 100)) for position in range(40)]
    file.add("QUAN", rawfile.descriptor(rawfile.DECIMAL, 8, 5, parameters=struct.pack("<Bbb", 2, 0, 0)))
    file.add("CODE", bytes(rank + 99 for rank in ranks))
    file.add("EXCP", b"".join(struct.pack("<QI", *entry) for entry in entries))
    rawfile.add_tokens(file, [b"%d" % row for row in range(8)])
    expected = bits_of(np.array(ranks, "<f4"))
    for position, bits in entries:
        expected[position] = bits
    assert decode(file).view("<u4").ravel().tolist() == expected


# --- product and ieee -----------------------------------------------------------------------------------------------


@many
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 10), st.integers(0, 5), st.integers(0, 1), seeds)
def test_product_levels(dim, sub_dim, bits, rows, scaled, seed):
    sub_dim = min(sub_dim, dim)
    count = -(-dim // sub_dim)
    rng = np.random.default_rng(seed)
    levels = rng.normal(size=(count, 2**bits, sub_dim)).astype("<f4")
    codes = rng.integers(0, 2**bits, (rows, count))
    scales = rng.normal(size=rows).astype("<f4")
    file = rawfile.RawFile(rows, rows, dim)
    scale = (rawfile.ROW, rawfile.FLOAT32, 0) if scaled else (0, 0, 0)
    stride = -(-count * bits // 8)
    parameters = struct.pack("<I", sub_dim)
    file.add("QUAN", rawfile.descriptor(rawfile.PRODUCT, bits, dim, scale=scale, stride=stride, parameters=parameters))
    file.add("LEVL", levels.tobytes())
    file.add("CODE", b"".join(rawfile.pack_codes(row, bits) for row in codes.tolist()))
    if scaled:
        file.add("SCAL", scales.tobytes())
    rawfile.add_tokens(file, [b"%d" % row for row in range(rows)])
    if not rows:
        return
    found = decode(file)
    for row in range(rows):
        for column in range(dim):
            sub, place = divmod(column, sub_dim)
            level = levels[sub, codes[row, sub], place]
            assert found[row, column] == (level * scales[row] if scaled else level)


def ieee_file(kind, bits, codes):
    file = rawfile.RawFile(1, 1, len(codes))
    file.add("QUAN", rawfile.descriptor(rawfile.IEEE, bits, len(codes), parameters=bytes([kind])))
    file.add("CODE", struct.pack(f"<{len(codes)}{'I' if bits == 32 else 'H'}", *codes))
    return rawfile.add_tokens(file, [b"x"])


def ordered(bits, width):
    """The code of a float, by its bits."""
    top = 1 << width - 1
    return bits ^ (2 * top - 1) if bits & top else bits | top


def test_every_float16_and_bfloat16():
    """All of them, payloads of NaN among them; float16 by Python's struct where it is a number."""
    every = range(2**16)
    codes = [ordered(bits, 16) for bits in every]
    halves = []
    for bits in every:
        exponent, fraction = bits >> 10 & 31, bits & 1023
        if exponent == 31:
            halves.append(bits >> 15 << 31 | 0x7F800000 | fraction << 13)
        else:
            halves.append(bits_of([struct.unpack("<e", struct.pack("<H", bits))[0]])[0])
    for kind, expected in ((1, halves), (2, [bits << 16 for bits in every])):
        with qemb.open(ieee_file(kind, 16, codes).build()) as emb:
            assert emb.matrix().view("<u4")[0].tolist() == expected


@many
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20))
@example([0, 1 << 31, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF, 1, 0x80000001])
def test_float32_codes_sort_as_their_values(bits):
    codes = [ordered(value, 32) for value in bits]
    with qemb.open(ieee_file(0, 32, codes).build()) as emb:
        found = emb.matrix()[0]
    assert found.view("<u4").tolist() == bits
    values = [(code, value) for code, value in zip(codes, found.tolist(), strict=True) if value == value]  # noqa: PLR0124
    for code, value in values:
        for other_code, other in values:
            assert (code < other_code) == (value < other or (value == other == 0 and code < other_code))


# --- transform ------------------------------------------------------------------------------------------------------


def test_splitmix64():
    """The first outputs of the published generator for seeds 0 and 1234567."""
    assert splitmix64(0, 3).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert splitmix64(1234567, 2).tolist() == [6457827717110365317, 3203168211198807973]
    for seed in (0, 2**64 - 1, 12345):
        assert splitmix64(seed, 50).tolist() == list(islice(rawfile.splitmix64(seed), 50))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 100, 130]), st.integers(1, 8), st.integers(0, 2**64 - 1), seeds
)
def test_the_transform_is_that_matrix(dim, rounds, seed, random):
    """Against an explicit orthogonal matrix in float64, to within float32's rounding."""
    codes = np.random.default_rng(random).integers(-128, 128, (3, dim)).astype(np.int8)
    section = struct.pack("<3B5xQ", 1, 1, rounds, seed)
    file = rawfile.RawFile(3, 3, dim)
    scale = (rawfile.TABLE, rawfile.FLOAT32, 0)
    file.add("QUAN", rawfile.descriptor(rawfile.LINEAR, 8, dim, scale=scale, parameters=struct.pack("<ii", 1, 0)))
    file.add("TRNS", section).add("CODE", codes.tobytes()).add("SCAL", struct.pack("<f", 1))
    rawfile.add_tokens(file, [b"a", b"b", b"c"])
    matrix = rawread.rotation(section, dim)
    assert np.allclose(matrix @ matrix.T, np.eye(dim), atol=1e-12)
    expected = codes.astype(np.float64) @ matrix.T
    found = decode(file)
    assert np.abs(found - expected).max(initial=0) <= 4 * rounds * dim.bit_length() * 2.0**-24 * 128 * dim**0.5


def test_the_transform_bit_for_bit():
    """One round over three values by hand, in float32: signs, two runs of two, a product with 1 / sqrt 2 after each."""
    half = np.float32(0.5**0.5)
    assert next(rawfile.splitmix64(0)) & 7 == 0b111
    expected = []
    for row in ((1, 2, 3), (4, 5, 6)):
        x, y, z = (np.float32(-value) for value in row)
        x, y = (x + y) * half, (x - y) * half
        y, z = (y + z) * half, (y - z) * half
        expected.append([x, y, z])
    assert bits_of(decode(bases.rotated())) == bits_of(expected)


@pytest.mark.parametrize("scale", [0.25, 0.0, -0.0, -3.0, 1e-45, 2.0**100, 3.4e38, -3.4e38, np.inf, np.nan])
@pytest.mark.parametrize("framed", [False, True])
def test_a_single_row_of_8_bits_has_the_bits_of_its_table(scale, framed):
    """Whatever the scale, infinite and NaN as in damaged files."""
    codes = np.arange(-128, 128).astype(np.int8)
    file = rawfile.RawFile(2, 2, 256)
    row_scale = (rawfile.ROW, rawfile.FLOAT32, 0)
    parameters = struct.pack("<ii", 1, 0)
    file.add("QUAN", rawfile.descriptor(rawfile.LINEAR, 8, 256, scale=row_scale, stride=300, parameters=parameters))
    file.add("CODE", 2 * (codes.tobytes() + bytes(44))).add("SCAL", struct.pack("<2f", 7, scale))
    if framed:
        file["CODE"].frame_size = 300
    rawfile.add_tokens(file, [b"a", b"b"])
    with np.errstate(over="ignore", invalid="ignore"):
        expected = codes.astype(np.float32) * np.float32(scale)
    with qemb.open(file.build()) as emb:
        for found in (emb["b"], emb.matrix()[1], emb.rows([1])[0]):
            assert found.view(np.uint32).tolist() == expected.view(np.uint32).tolist()


# --- frames ---------------------------------------------------------------------------------------------------------


@many
@given(st.data())
def test_any_section_in_frames_of_any_size(data):
    """Split anyhow, a section reads as it does whole."""
    base = data.draw(st.sampled_from(bases.BASES))
    whole, file = base(), base()
    for section in file.sections:
        if section.kind not in ("QUAN", "TRNS", "SUBW") and data.draw(st.booleans()):
            section.frame_size = data.draw(st.integers(1, 2 * len(section.data) + 1))
    with qemb.open(whole.build()) as one, qemb.open(file.build()) as other:
        other.verify()
        assert np.array_equal(one.matrix().view(np.uint32), other.matrix().view(np.uint32))
        for row in range(one.total_rows):
            assert np.array_equal(one.rows([row]).view(np.uint32), other.rows([row]).view(np.uint32))
        assert list(one) == list(other)
        assert other.tokens.find(list(one)).tolist() == list(range(len(one)))
        assert one.metadata == other.metadata
        assert (one.counts is None) or np.array_equal(one.counts, other.counts)


@pytest.mark.parametrize("level", [1, 3, 19])
@pytest.mark.parametrize("checksum", [False, True])
def test_frames_of_any_zstd_writer(level, checksum):
    """Of other levels, with the checksum of zstd's own, in a window larger than what it holds."""
    file = bases.framed()
    parameters = zstandard.ZstdCompressionParameters.from_level(level, window_log=20, write_checksum=checksum)
    raw = file["CODE"].data[:80]
    file["CODE"].frames[0] = zstandard.ZstdCompressor(compression_params=parameters).compress(raw)
    assert np.array_equal(decode(file), decode(bases.framed()))


def test_a_row_is_read_from_its_frame_alone():
    """The other frames may be damaged, and nobody who does not look sees it."""
    file = bases.framed()
    for number in (0, 1, 3):
        file["CODE"].frames[number] = b"damaged"
    with qemb.open(file.build()) as emb:
        expected = qemb.open(bases.framed().build()).matrix(20, 30)
        assert np.array_equal(emb.matrix(20, 30), expected)
        assert np.array_equal(emb.rows([25, 21]), expected[[5, 1]])
        assert np.array_equal(emb["25"], expected[5])
        for row in (19, 30):
            with pytest.raises(qemb.MalformedError) as caught:
                emb.rows([row])
            assert caught.value.code == "malformed.frame"
            assert caught.value.where == f"section CODE, frame {row // 10}"


# --- subwords -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("least", "most"), [(1, 1), (3, 6), (1, 2**32 - 1), (5, 5)])
def test_subword_parameters_are_read(least, most):
    file = bases.subwords()
    file["SUBW"].data = struct.pack("<B3x3I", 1, least, most, 2)
    assert decode(file).tolist() == [[1, 2], [3, 4], [5, 6]]
