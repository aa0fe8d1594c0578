"""What goes in comes out: tokens in order, values within what the scheme promises, the same bytes however written."""

from __future__ import annotations

import struct
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import qemb
import rawfile
import rawread

LINEAR_BITS = (1, 2, 3, 4, 5, 6, 7, 8, 16)
CODEBOOK_BITS = (1, 2, 3, 4, 5, 6, 7)
ROUNDING = 2.0**-24
LEAST = 2.0**-149

some = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def write(tokens, matrix, **options):
    """The bytes of a file, and what an open one says of itself; it has been verified."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.qemb"
        qemb.write(path, tokens, matrix, **options)
        assert [entry.name for entry in Path(folder).iterdir()] == ["table.qemb"]
        data = path.read_bytes()
    emb = qemb.open(data)
    emb.verify()
    return data, emb


# --- tables ---------------------------------------------------------------------------------------------------------


@st.composite
def tables(draw, *, moderate=False):
    """Tables of every shape and magnitude; where ``moderate``, none whose scales float16 cannot hold."""
    rows, dim = draw(st.integers(0, 12)), draw(st.sampled_from([1, 2, 7, 8, 9, 31, 300]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    matrix = rng.normal(size=(rows, dim)).astype(np.float32)
    kinds = ["normal", "coarse", "constant", "zero rows", "offset"]
    match draw(st.sampled_from(kinds if moderate else [*kinds, "magnitudes", "huge", "subnormal", "edges"])):
        case "coarse":
            matrix = np.round(matrix)
        case "constant":
            matrix[:] = draw(st.sampled_from([1, -0.1, 3.5]))
        case "zero rows":
            matrix[::2] = draw(st.sampled_from([0.0, -0.0]))
        case "offset":
            matrix += np.float32(10) * rng.normal(size=dim).astype(np.float32)
        case "magnitudes":
            matrix *= 10.0 ** rng.integers(-30, 30, (rows, 1))
        case "huge":
            matrix *= np.float32(1e37)
        case "subnormal":
            matrix *= np.float32(1e-42)
        case "edges":
            edges = np.array([0, -0.0, 1e-45, -1e-45, 1e-38, 1.17549435e-38, 1, -1, 1e38, -1e38, 1.5e38], np.float32)
            matrix = rng.choice(edges, (rows, dim))
    return matrix.astype(np.float32)


def tokens_for(rows):
    """As many words, strange ones first."""
    strange = ["", " ", "New York", "a\u00a0b", "naïve", "👩‍👩‍👧", "中文", "\n", "\0", "<unk>", "e\u0301", "é"]
    return (strange + [f"w{row}" for row in range(rows)])[:rows]


options = st.fixed_dictionaries(
    {
        "scale": st.sampled_from(["table", "row", "column", "block"]),
        "scale_dtype": st.sampled_from([None, "float32", "float16"]),
        "offset": st.sampled_from([None, "mean", "none"]),
        "compress": st.booleans(),
    }
)


def complete(chosen, matrix, data):
    block = data.draw(st.integers(1, matrix.shape[1])) if chosen["scale"] == "block" else None
    return {"rotate": False} | chosen | {"block": block}


# --- what the file says, read without the codec ---------------------------------------------------------------------


def spread(values, group, block, rows, dim):
    """Scales or offsets of a section, one for each value."""
    match group:
        case rawfile.NONE:
            return np.zeros((rows, dim), np.float32)
        case rawfile.TABLE | rawfile.COLUMN:
            return np.broadcast_to(values, (rows, dim))
        case rawfile.ROW:
            return np.broadcast_to(values[:, None], (rows, dim))
        case rawfile.BLOCK:
            return np.repeat(values.reshape(rows, -(-dim // block)), block, axis=1)[:, :dim]


def stored(data):
    """Levels, scales and offsets of a linear or codebook file; the last two for each value, in float64."""
    header, sections = rawread.parse(data)
    rows, dim, quan = header["rows"], header["dim"], sections["QUAN"]
    level, bits = quan[:2]
    floats = []
    for kind, at, block in (("SCAL", 4, 8), ("OFFS", 6, 12)):
        group, element = quan[at : at + 2]
        values = np.frombuffer(sections.get(kind, b""), "<f2" if element == rawfile.FLOAT16 else "<f4")
        floats.append(spread(values, group, *struct.unpack_from("<I", quan, block), rows, dim).astype(np.float64))
    if level == rawfile.LINEAR:
        step, bias = struct.unpack_from("<ii", quan, 20)
        top = 2 ** (bits - 1) - 1
        levels = np.arange(-top, top + 1) if bits > 1 else step * np.arange(-1, 1) - bias
    else:
        levels = np.frombuffer(sections["LEVL"], np.int8).astype(np.int64)
    return levels, *floats


def nearest(levels, wanted):
    """Distance of each value to the level nearest to it."""
    place = np.clip(np.searchsorted(levels, wanted), 1, len(levels) - 1)
    return np.minimum(abs(levels[place] - wanted), abs(levels[place - 1] - wanted))


def assert_nearest_levels(matrix, data, decoded):
    """Each value decodes to the best that its scale and offset allow, but for the rounding of float32."""
    levels, scales, offsets = stored(data)
    exact, found = matrix.astype(np.float64), decoded.astype(np.float64)
    rotated = 0
    if "TRNS" in (sections := rawread.parse(data)[1]):
        turn = rawread.rotation(sections["TRNS"], matrix.shape[1])
        # there and back in float32: so many sums, of values up to the norm of the row
        rotated = 4 * sections["TRNS"][2] * len(turn).bit_length() * np.linalg.norm(exact, axis=1, keepdims=True)
        exact, found = exact @ turn, found @ turn
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        wanted = (exact - offsets) / scales
        best = np.where(scales > 0, nearest(levels, wanted) * scales, abs(exact - offsets))
    slack = 4 * ROUNDING * (abs(exact) + 2 * abs(offsets) + abs(levels).max() * scales + rotated) + 4 * LEAST
    assert (abs(found - exact) <= best + slack).all()


def assert_tokens(tokens, data, emb):
    header, sections = rawread.parse(data)
    ends = np.frombuffer(sections["TOKO"], "<u4")
    raw = [token if isinstance(token, bytes) else token.encode() for token in tokens]
    assert [sections["TOKB"][first:last] for first, last in pairwise(ends)] == raw
    assert header["tokens"] == header["rows"] == len(emb) == len(tokens)
    assert list(emb) == [token.decode() if isinstance(token, bytes) else token for token in tokens]
    assert [emb.tokens.index(token) for token in tokens] == list(range(len(tokens)))


# --- schemes --------------------------------------------------------------------------------------------------------


def check_scaled(matrix, chosen, *, scale_may_not_fit=False):
    tokens = tokens_for(len(matrix))
    try:
        data, emb = write(tokens, matrix, **chosen)
    except qemb.InvalidError as error:
        assert error.code == "invalid.scale_range"  # noqa: PT017
        assert scale_may_not_fit
        return None
    assert_tokens(tokens, data, emb)
    decoded = emb.matrix()
    assert decoded.shape == matrix.shape
    assert decoded.dtype == np.float32
    assert np.isfinite(decoded).all()
    assert_nearest_levels(matrix, data, decoded)
    assert (emb.info.scheme, emb.info.bits) == (chosen["scheme"], chosen["bits"])
    return data, decoded


@pytest.mark.parametrize("bits", LINEAR_BITS)
def test_linear(bits):
    @some
    @given(tables(), options, st.data())
    def check(matrix, chosen, data):
        chosen = complete(chosen, matrix, data) | {"scheme": "linear", "bits": bits}
        done = check_scaled(matrix, chosen, scale_may_not_fit=chosen["scale_dtype"] == "float16")
        if done is None or bits == 1 or chosen["scale_dtype"] == "float16":
            return
        # half a step, where the largest magnitude that shares the scale is the outermost level
        file, decoded = done
        _, scales, offsets = stored(file)
        distance = abs(matrix.astype(np.float64) - offsets)
        group, block = {"row": 2, "table": 1, "column": 3, "block": 4}[chosen["scale"]], chosen["block"]
        largest = spread(largest_of_groups(distance, group, block), group, block, *matrix.shape)
        normal = scales >= 2.0**-126
        half = largest / (2 ** (bits - 1) - 1) / 2
        slack = 4 * ROUNDING * (abs(matrix) + 2 * abs(offsets) + largest) + 4 * LEAST
        assert (abs(decoded - matrix.astype(np.float64)) <= half + slack)[normal].all()

    check()


def largest_of_groups(distance, group, block):
    rows, dim = distance.shape
    match group:
        case rawfile.TABLE:
            return distance.max(initial=0)
        case rawfile.ROW:
            return distance.max(axis=1, initial=0)
        case rawfile.COLUMN:
            return distance.max(axis=0, initial=0)
    blocks = -(-dim // block)
    padded = np.zeros((rows, blocks * block))
    padded[:, :dim] = distance
    return padded.reshape(rows, blocks, block).max(axis=2, initial=0)


@pytest.mark.parametrize("bits", CODEBOOK_BITS)
def test_codebook(bits):
    @some
    @given(tables(), options, st.data())
    def check(matrix, chosen, data):
        chosen = complete(chosen, matrix, data) | {"scheme": "codebook", "bits": bits}
        check_scaled(matrix, chosen, scale_may_not_fit=chosen["scale_dtype"] == "float16")

    check()


@some
@given(tables(moderate=True), options, st.data())
def test_float16_scales_fit_ordinary_tables(matrix, chosen, data):
    chosen = complete(chosen, matrix, data) | {"scale_dtype": "float16"}
    for scheme, bits in (("linear", 8), ("codebook", 4)):
        # less the mean, next to nothing may be left of a column
        check_scaled(matrix, chosen | {"scheme": scheme, "bits": bits}, scale_may_not_fit=chosen["offset"] == "mean")


@pytest.mark.parametrize("scale", ["table", "row", "column", "block"])
@pytest.mark.parametrize("scheme", ["linear", "codebook"])
@pytest.mark.parametrize("magnitude", [1e-5, 1e-12, 1e-40, 1e9, 1e36])
def test_scales_that_float16_cannot_hold(scheme, scale, magnitude):
    """Asked for, they are refused; left to the writer, they become float32."""
    matrix = (magnitude * np.random.default_rng(8).normal(size=(6, 8))).astype(np.float32)
    chosen = {"scheme": scheme, "bits": 5, "scale": scale, "block": 4 if scale == "block" else None}
    with pytest.raises(qemb.InvalidError, match="float16; use scale_dtype='float32'") as caught:
        write(tokens_for(6), matrix, scale_dtype="float16", **chosen)
    assert caught.value.code == "invalid.scale_range"
    check_scaled(matrix, chosen)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5])
def test_trellis(bits):
    """What comes back is what the decoder of the specification makes of the file, and no row is worse than its mean."""

    @settings(some, max_examples=10)
    @given(tables(), options, st.data())
    def check(matrix, chosen, data):
        matrix = np.tile(matrix, 20)[:, : max(20, matrix.shape[1])]  # shorter rows are no trellis
        chosen = complete(chosen, matrix, data) | {"scale_dtype": None}
        tokens = tokens_for(len(matrix))
        file, emb = write(tokens, matrix, scheme="trellis", bits=bits, **chosen)
        assert_tokens(tokens, file, emb)
        assert (emb.info.scheme, emb.info.bits) == ("trellis", bits)
        decoded = emb.matrix()
        assert np.array_equal(bits_of(decoded), bits_of(np.array(rawread.decode(file)[1]).reshape(matrix.shape)))
        if chosen["scale"] in ("row", "block"):
            exact = matrix.astype(np.float64)
            error = np.linalg.norm(decoded - exact, axis=1)
            spread = np.linalg.norm(exact - stored(file)[2], axis=1)
            rounding = 2 * ROUNDING * np.linalg.norm(exact, axis=1)
            assert (error <= spread + rounding + 20 * LEAST).all()

    check()


@some
@given(tables(moderate=True), options, st.sampled_from([None, True]), st.data())
def test_rotated_rows_have_the_nearest_levels_too(matrix, chosen, rotate, data):
    chosen = complete(chosen, matrix, data) | {"rotate": rotate}
    for scheme, bits in (("linear", 8), ("codebook", 4)):
        check_scaled(matrix, chosen | {"scheme": scheme, "bits": bits})


def bits_of(array):
    return np.ascontiguousarray(array, np.float32).view(np.uint32)


any_floats = st.lists(
    st.integers(0, 2**32 - 1) | st.sampled_from([0, 1 << 31, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 1]),
    min_size=6,
    max_size=6,
).map(lambda bits: np.array(bits, "<u4").view("<f4").reshape(2, 3))


@pytest.mark.parametrize("scheme", ["float32", "exact"])
def test_every_bit_comes_back(scheme):
    @some
    @given(tables() | any_floats, st.booleans())
    def check(matrix, compress):
        tokens = tokens_for(len(matrix))
        data, emb = write(tokens, matrix, scheme=scheme, compress=compress or None)
        assert_tokens(tokens, data, emb)
        assert np.array_equal(bits_of(emb.matrix()), bits_of(matrix))

    check()


@some
@given(st.lists(st.integers(0, 2**16 - 1), min_size=3, max_size=3), st.sampled_from(["float16", "bfloat16"]))
def test_exact_keeps_tables_of_narrow_floats(bits, kind):
    """NaN payloads among them: float16 and bfloat16 hold as many bits as they say."""
    if kind == "float16":
        codes = np.array(bits, "<u2")
        matrix = np.array([[half_to_single(code) for code in bits]], "<u4").view("<f4")
        assert np.array_equal(matrix[~np.isnan(matrix)], codes.view("<f2").astype("<f4")[~np.isnan(matrix[0])])
    else:
        matrix = np.array([[code << 16 for code in bits]], "<u4").view("<f4")
    _, emb = write(["a"], matrix, scheme="exact")
    assert np.array_equal(bits_of(emb.matrix()), bits_of(matrix))
    _, emb = write(["a"], matrix, scheme=kind)
    assert np.array_equal(bits_of(emb.matrix()), bits_of(matrix))


def half_to_single(code):
    """The bits of the float32 of a float16, by the specification: a NaN keeps its payload."""
    sign, exponent, fraction = code >> 15, code >> 10 & 31, code & 1023
    if exponent == 31:
        return sign << 31 | 0x7F800000 | fraction << 13
    (bits,) = struct.unpack("<I", struct.pack("<f", struct.unpack("<e", struct.pack("<H", code))[0]))
    return bits


@some
@given(tables())
@example(np.array([[65519.0, 1.0009766, 1.0014648, 5.9604645e-08, 2.9802322e-08, 2.9802326e-08]], np.float32))
def test_float16_rounds_to_nearest_even(matrix):
    with np.errstate(over="ignore"):
        expected = matrix.astype(np.float16)
    lost = np.isinf(expected)
    if lost.any():
        row, column = np.argwhere(lost)[0]
        with pytest.raises(qemb.InvalidError, match=rf"row {row}, column {column}, invalid\.value"):
            write(tokens_for(len(matrix)), matrix, scheme="float16")
        return
    _, emb = write(tokens_for(len(matrix)), matrix, scheme="float16")
    assert np.array_equal(bits_of(emb.matrix()), bits_of(expected))


@some
@given(tables())
@example(np.array([[0x3F808000, 0x3F818000, 0x3F808001, 0x00008000, 0x80018000, 0x7F7F7FFF]], "<u4").view("<f4"))
def test_bfloat16_rounds_to_nearest_even(matrix):
    bits = bits_of(matrix).astype(np.int64)
    below = bits >> 16
    rest = bits & 0xFFFF
    expected = below + ((rest > 0x8000) | ((rest == 0x8000) & (below % 2 == 1)))
    _, emb = write(tokens_for(len(matrix)), matrix, scheme="bfloat16")
    assert np.array_equal(bits_of(emb.matrix()), (expected << 16).astype(np.uint32))


@pytest.mark.parametrize(
    ("bits", "distortion"),
    [(1, 0.3634), (2, 0.1175), (3, 0.03454), (4, 0.009497), (5, 0.002499), (6, 0.0006642), (7, 0.0001760)],
)
def test_codebooks_are_as_good_as_the_best_scalar_quantizer(bits, distortion):
    """Mean squared errors of the optimal quantizers of the normal distribution (J. Max, 1960, table I); levels that are
    rounded to int8 cost a little, at 7 bits most."""
    matrix = np.random.default_rng(5).normal(size=(500, 200)).astype(np.float32)
    _, emb = write(tokens_for(500), matrix, scheme="codebook", bits=bits)
    error = np.mean((emb.matrix() - matrix) ** 2) / np.mean(matrix**2)
    assert error < distortion * (1.02 if bits < 6 else 1.12)


# --- requantizing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["table", "row", "column", "block"])
@pytest.mark.parametrize("bits", LINEAR_BITS)
def test_quantizing_what_was_decoded_gives_the_same_file(bits, scale):
    @some
    @given(tables(), st.sampled_from([None, "float32"]), st.data())
    def check(matrix, scale_dtype, data):
        chosen = complete({"scale": scale, "scale_dtype": scale_dtype}, matrix, data)
        tokens = tokens_for(len(matrix))
        first, emb = write(tokens, matrix, scheme="linear", bits=bits, **chosen)
        second, _ = write(tokens, emb.matrix(), scheme="linear", bits=bits, **chosen)
        assert first == second

    check()


@some
@given(tables(moderate=True), st.sampled_from([2, 4, 6, 8]), st.data())
def test_quantizing_what_was_decoded_with_float16_scales(matrix, bits, data):
    chosen = {"scale": data.draw(st.sampled_from(["table", "row", "column", "block"])), "scale_dtype": "float16"}
    chosen = complete(chosen, matrix, data)
    tokens = tokens_for(len(matrix))
    first, emb = write(tokens, matrix, scheme="linear", bits=bits, **chosen)
    second, _ = write(tokens, emb.matrix(), scheme="linear", bits=bits, **chosen)
    assert first == second


# --- the same bytes -------------------------------------------------------------------------------------------------

SCHEMES = [
    {"bits": 8},
    {"bits": 8, "scale": "table", "offset": "mean"},
    {"bits": 16, "scale": "column"},
    {"scheme": "linear", "bits": 3, "block": 2, "scale_dtype": "float16"},
    {"scheme": "codebook", "bits": 4},
    {"scheme": "codebook", "bits": 2, "scale": "table", "offset": "none"},
    {"scheme": "codebook", "bits": 7, "block": 3, "compress": True},
    {"scheme": "trellis", "bits": 2},
    {"scheme": "float32"},
    {"scheme": "float16"},
    {"scheme": "bfloat16", "compress": True},
    {"scheme": "exact"},
]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_batches_of_any_size_give_the_file_of_one_shot(tmp_path, scheme):
    rng = np.random.default_rng(6)
    rows, dim = 9000, 12  # more than two tiles of the writer
    matrix = rng.normal(size=(rows, dim)).astype(np.float32)
    tokens = [f"w{row}" for row in range(rows)]
    counts = rng.integers(0, 1000, rows)
    once = tmp_path / "once.qemb"
    qemb.write(once, tokens, matrix, counts=counts, metadata={"a": 1}, **scheme)
    for largest in (1, 5000):
        path = tmp_path / "batches.qemb"
        buffer = np.empty((largest, dim), np.float32)
        with qemb.Writer(path, dim=dim, metadata={"a": 1}, **scheme) as writer:
            start = 0
            while start < rows:
                size = int(rng.integers(0, largest + 1)) if largest > 1 else 1
                part = slice(start, min(start + size, rows))
                filled = buffer[: part.stop - start]
                filled[:] = matrix[part]
                writer.append(tokens[part], filled, counts[part])
                buffer[:] = 7  # the caller's array is the caller's again
                start = part.stop
            assert writer.rows == rows
        assert path.read_bytes() == once.read_bytes()
    with qemb.open(once) as emb:
        emb.verify()
        assert emb.counts.tolist() == counts.tolist()


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_the_same_table_gives_the_same_file_however_it_lies_in_memory(scheme):
    matrix = np.random.default_rng(7).normal(size=(50, 12)).astype(np.float32)
    wide = np.zeros((100, 24), np.float32)
    wide[::2, ::2] = matrix
    read_only = matrix.copy()
    read_only.flags.writeable = False
    expected, _ = write(tokens_for(50), matrix, **scheme)
    same = [
        matrix.copy(),
        np.asfortranarray(matrix),
        wide[::2, ::2],
        read_only,
        matrix.astype(np.float64),
        matrix.astype(">f4"),
        matrix.tolist(),
        list(matrix),
    ]
    for form in same:
        assert write(tokens_for(50), form, **scheme)[0] == expected


def test_integers_and_halves_are_numbers_too():
    numbers = [[1, 0, -3], [5, 7, 0]]
    for dtype in (np.int8, np.int64, np.float16, np.longdouble):
        _, emb = write(["a", "b"], np.array(numbers, dtype), scheme="float32")
        assert emb.matrix().tolist() == numbers
    _, emb = write(["a", "b"], np.array(numbers, bool), scheme="float32")
    assert emb.matrix().tolist() == [[1, 0, 1], [1, 1, 0]]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("rows", [0, 1])
def test_no_rows_and_one(scheme, rows):
    matrix = np.ones((rows, 12), np.float32)
    data, emb = write(tokens_for(rows), matrix, **scheme)
    assert_tokens(tokens_for(rows), data, emb)
    assert emb.matrix().shape == (rows, 12)
    assert emb.info.rows == rows
    assert "w0" not in emb
    assert list(emb.tokens) == tokens_for(rows)


# --- tokens, counts, metadata ---------------------------------------------------------------------------------------


@some
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8) | st.binary(max_size=8), max_size=30), st.booleans())
@example(["", " ", "a\u00a0b", "👩‍👩‍👧", b"\xff\xfe", "x" * 65_536, "é", "e\u0301", "\ufeff", b"\0", "\r\n"], True)  # noqa: FBT003
def test_tokens_are_bytes(given_tokens, index):
    raw = list(dict.fromkeys(token if isinstance(token, bytes) else token.encode() for token in given_tokens))
    matrix = np.arange(len(raw), dtype=np.float32)[:, None]
    data, emb = write(raw, matrix, scheme="float32", index=index)
    header, sections = rawread.parse(data)
    assert sections["TOKB"] == b"".join(raw)
    assert [emb.tokens.raw(row) for row in range(len(raw))] == raw
    assert ("INDX" in sections) == index
    for row, token in enumerate(raw):
        text = token.decode("utf-8", "surrogateescape")
        assert emb.tokens[row] == text
        for form in (token, text):
            assert form in emb
            assert emb.tokens.index(form) == row
            assert emb[form] == row
    utf8 = all(is_utf8(token) for token in raw)
    assert header["required_features"] == (0 if utf8 else 1)
    assert emb.info.byte_tokens == (not utf8)


def is_utf8(token):
    try:
        token.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@some
@given(st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=4))
def test_metadata(metadata):
    def lone_surrogate(value):
        return any(0xD800 <= ord(character) < 0xE000 for character in repr(value) + str(value))

    try:
        data, emb = write([], np.empty((0, 1)), metadata=metadata)
    except qemb.InvalidError as error:
        assert error.code == "invalid.metadata"  # noqa: PT017
        assert "\\ud" in repr(metadata)
        return
    assert emb.metadata == metadata
    assert ("META" in rawread.parse(data)[1]) == bool(metadata)


@some
@given(st.lists(st.integers(0, 2**64 - 1), max_size=5))
def test_counts(counts):
    numbers = np.array(counts, np.uint64)
    _, emb = write(tokens_for(len(counts)), np.ones((len(counts), 2)), counts=numbers)
    assert emb.counts.tolist() == counts
