"""The codec and a decoder written from the specification alone give the same floats, bit for bit."""

from __future__ import annotations

import gzip
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import qemb
from qemb.container import ContainerWriter
from qemb.layout import FloatType, Group, Level
from qemb.quantization import Quantization
from rawread import decode

SHARED = Path(os.environ.get("QEMB_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data") / "tables"
# The shortest zstd frame has more bytes than this, so that a writer stores a frame of this size as it is.
STORED = 8

many = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# --- files of random codes ------------------------------------------------------------------------------------------


def floats(rng, element, count):
    """Scales or offsets of every magnitude: a third zero, the least, the greatest, subnormal; the others any bits."""
    dtype, unsigned, sign, infinity = (
        ("<f4", "<u4", 1 << 31, 0x7F80_0000) if element == FloatType.FLOAT32 else ("<f2", "<u2", 1 << 15, 0x7C00)
    )
    bits = rng.integers(0, infinity, count)
    smallest_normal = infinity // (255 if element == FloatType.FLOAT32 else 31)
    edges = rng.choice([0, 1, smallest_normal - 1, smallest_normal, infinity - 1], count)
    bits = np.where(rng.integers(0, 3, count) == 0, edges, bits)
    bits |= sign * rng.integers(0, 2, count)
    return bits.astype(unsigned).view(dtype)


def pack_row(codes, q):
    """One row of CODE, by arithmetic on one long integer."""
    mask = (1 << q.low_bits) - 1
    whole = sum((int(code) & mask) << (j * q.low_bits) for j, code in enumerate(codes))
    return whole.to_bytes(q.row_stride, "little")


def group_count(group, block, rows, dim):
    return [0, 1, rows, dim, rows * -(-dim // block) if block else 0][group]


def write_table(path, q, codes, levels, scales, offsets, *, frame_size=0):
    """A file of these codes; every section but the descriptor in frames where ``frame_size`` is above 0."""
    rows, dim = codes.shape
    tokens = [f"t{i}".encode() for i in range(rows)]
    sections = {
        "LEVL": levels,
        "CODE": b"".join(pack_row(row, q) for row in codes) if q.low_bits else None,
        "SCAL": scales,
        "OFFS": offsets,
        "TOKO": np.cumsum([0, *map(len, tokens)]).astype("<u4"),
        "TOKB": b"".join(tokens),
    }
    for plane, shift in enumerate(range(q.low_bits, q.bits, 8)):
        sections[f"HIG{plane}"] = (codes >> shift & 0xFF).astype(np.uint8)
    sections = {kind: data for kind, data in sections.items() if data is not None}
    writer = ContainerWriter(path, 1 + len(sections))
    writer.add("QUAN", q.build())
    for kind, data in sections.items():
        writer.add(kind, data, frame_size=frame_size)
    writer.finish(rows=rows, tokens=rows, dim=dim)


@st.composite
def descriptors(draw, level):
    """A descriptor that conforms, with rows and dim of a table for it; ``level`` is linear, codebook or trellis."""
    rows, dim = draw(st.integers(0, 5)), draw(st.integers(1, 40))
    bits = draw(st.integers(1, {"linear": 16, "codebook": 8, "trellis": 8}[level]))
    low_bits = draw(st.just(bits) | st.integers(0, bits))
    padding = draw(st.sampled_from([0, 0, 0, 1, 7]))
    fields = {
        "level": Level.LINEAR if level == "linear" else Level.CODEBOOK,
        "bits": bits,
        "low_bits": low_bits,
        "row_stride": -(-dim * low_bits // 8) + padding if low_bits else 0,
    }
    if level == "linear":
        half = 1 << (bits - 1)
        step = draw(st.just(1) | st.integers(1, (1 << 24) // half))
        fields["step"] = step
        fields["bias"] = draw(st.just(0) | st.integers(step * (half - 1) - (1 << 24), (1 << 24) - step * half))
    else:
        fields["window"] = window = bits if level == "codebook" else draw(st.integers(bits + 1, 16))
        fields["shift"] = 0 if level == "codebook" else draw(st.integers(1, min(bits, window - bits)))
    for name, least in (("scale", Group.TABLE), ("offset", Group.NONE)):
        group = Group(draw(st.integers(least, Group.BLOCK)))
        fields[f"{name}_group"] = group
        if group != Group.NONE:
            fields[f"{name}_type"] = draw(st.sampled_from([FloatType.FLOAT32, FloatType.FLOAT16]))
        if group == Group.BLOCK:
            fields[f"{name}_block"] = draw(st.integers(1, dim))
    return Quantization(**fields), rows, dim


def random_table(q, rows, dim, seed):
    """Codes, levels, scales and offsets for a descriptor."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 1 << q.bits, (rows, dim))
    levels = rng.integers(-128, 128, 1 << q.window).astype(np.int8) if q.level == Level.CODEBOOK else None
    scales = floats(rng, q.scale_type, group_count(q.scale_group, q.scale_block, rows, dim))
    offsets = None
    if q.offset_group != Group.NONE:
        offsets = floats(rng, q.offset_type, group_count(q.offset_group, q.offset_block, rows, dim))
    return codes, levels, scales, offsets


def file_of(q, table, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.qemb"
        write_table(path, q, *table, **options)
        return path.read_bytes()


def bits_of(vectors, shape):
    """Python floats as the bits of float32; each has to be one already, without rounding."""
    exact = np.array(vectors, np.float64).reshape(shape)
    with np.errstate(over="raise"):
        single = exact.astype(np.float32)
    assert np.array_equal(single.astype(np.float64), exact)
    return single.view(np.uint32)


def assert_same(data):
    """The codec's tokens and floats are the decoder's."""
    tokens, vectors = decode(data)
    with qemb.open(data) as embedding:
        embedding.verify()
        rows, dim = embedding.total_rows, embedding.dim
        wanted = bits_of(vectors, (rows, dim))
        assert np.array_equal(embedding.matrix().view(np.uint32), wanted)
        backwards = range(rows)[::-1]
        assert np.array_equal(embedding.rows(backwards).view(np.uint32), wanted[::-1])
        assert [embedding.tokens.raw(row) for row in range(len(embedding))] == tokens
        assert [embedding.tokens.index(token) for token in tokens] == list(range(len(tokens)))
    return vectors


@pytest.mark.parametrize("level", ["linear", "codebook", "trellis"])
def test_random_tables(level):
    @many
    @given(descriptors(level), st.integers(0, 2**32 - 1))
    def check(described, seed):
        q, rows, dim = described
        assert_same(file_of(q, random_table(q, rows, dim, seed)))

    check()


@many
@given(st.sampled_from(["linear", "codebook", "trellis"]).flatmap(descriptors), st.integers(0, 2**32 - 1))
def test_frames_stored_as_they_are(described, seed):
    q, rows, dim = described
    table = random_table(q, rows, dim, seed)
    whole = file_of(q, table)
    framed = file_of(q, table, frame_size=1 + seed % STORED)
    assert_same(framed)
    assert decode(framed) == decode(whole)


@many
@given(
    st.sampled_from(["linear", "codebook", "trellis"]).flatmap(descriptors),
    st.integers(0, 2**32 - 1),
    st.integers(9, 200),
)
def test_frames_that_zstd_makes_smaller(described, seed, frame_size):
    q, rows, dim = described
    codes, levels, scales, offsets = random_table(q, rows, dim, seed)
    table = np.zeros_like(codes), levels, scales, offsets
    framed = file_of(q, table, frame_size=frame_size)
    assert_same(framed)
    assert decode(framed) == decode(file_of(q, table))


# --- arithmetic at the edges ----------------------------------------------------------------------------------------


@settings(max_examples=500, deadline=None)
@given(st.integers(-(2**15), 2**15 - 1), st.integers(0, 0x7F7F_FFFF), st.integers(0, 2**32 - 1))
@example(-1, 0, 0)  # -0 + 0 is +0
@example(-1, 0, 1 << 31)  # -0 + -0 is -0
@example(2**15 - 1, 0x7F7F_FFFF, 0xFF7F_FFFF)  # infinity less the greatest is infinity
@example(-(2**15), 0x7F7F_FFFF, 0x7F7F_FFFF)
@example(1, 1, 0x8000_0001)  # the least less the least is +0
@example(-3, 0x0055_5555, 0x0080_0000)  # a subnormal sum
@example(1, 0x3F80_0001, 0x3380_0000)  # a sum on a tie
@example(3, 0x3F80_0001, 0)  # a product on a tie
def test_any_level_scale_and_offset(level, scale, offset):
    if offset & 0x7F80_0000 == 0x7F80_0000:
        offset ^= 1 << 30  # infinities and NaN are no offsets
    q = Quantization(
        Level.LINEAR,
        16,
        2,
        16,
        scale_group=Group.TABLE,
        scale_type=FloatType.FLOAT32,
        offset_group=Group.TABLE,
        offset_type=FloatType.FLOAT32,
    )
    table = (
        np.array([[level & 0xFFFF]]),
        None,
        np.array([scale], "<u4").view("<f4"),
        np.array([offset], "<u4").view("<f4"),
    )
    assert_same(file_of(q, table))


@pytest.mark.parametrize(
    ("level", "scale", "offset", "bits"),
    [
        (-5, 0x0000_0000, None, 0x8000_0000),  # -0
        (-5, 0x0000_0000, 0x0000_0000, 0x0000_0000),  # -0 + 0
        (-5, 0x0000_0000, 0x8000_0000, 0x8000_0000),  # -0 - 0
        (2, 0x7F7F_FFFF, None, 0x7F80_0000),  # infinity
        (-2, 0x7F7F_FFFF, 0x7F7F_FFFF, 0xFF80_0000),  # the product overflows, whatever is added
        (1, 0x7F7F_FFFF, 0x7300_0000, 0x7F80_0000),  # the sum overflows: half a unit above the greatest
        (1, 0x7F7F_FFFF, 0x72FF_FFFF, 0x7F7F_FFFF),  # and rounds down just below that
        (-7, 0x0000_0001, None, 0x8000_0007),  # subnormal
        (3, 0x0000_0001, 0x8000_0001, 0x0000_0002),
    ],
)
def test_edges_worked_out_by_hand(level, scale, offset, bits):
    q = Quantization(
        Level.LINEAR,
        8,
        1,
        8,
        scale_group=Group.TABLE,
        scale_type=FloatType.FLOAT32,
        offset_group=Group.NONE if offset is None else Group.TABLE,
        offset_type=FloatType.NONE if offset is None else FloatType.FLOAT32,
    )
    offsets = None if offset is None else np.array([offset], "<u4").view("<f4")
    data = file_of(q, (np.array([[level & 0xFF]]), None, np.array([scale], "<u4").view("<f4"), offsets))
    assert bits_of(assert_same(data), (1, 1)).item() == bits


def test_more_values_than_the_codec_decodes_at_a_time():
    q = Quantization(Level.CODEBOOK, 3, 16, 3, window=8, shift=1, scale_group=Group.ROW, scale_type=FloatType.FLOAT16)
    assert_same(file_of(q, random_table(q, 2000, 40, 1)))


# --- real tables, as a user writes them -----------------------------------------------------------------------------

SCHEMES = [
    *({"bits": bits, "scheme": "linear"} for bits in (1, 2, 3, 4, 5, 6, 7, 8, 16)),
    {"bits": 8, "scale": "table"},
    {"bits": 8, "scale": "column"},
    {"bits": 4, "scheme": "linear", "scale": "block", "block": 3, "scale_dtype": "float16"},
    *({"bits": bits, "scheme": "codebook"} for bits in range(1, 8)),
    {"bits": 3, "scheme": "codebook", "offset": "none", "scale_dtype": "float32"},
    *({"bits": bits} for bits in range(1, 5)),
]


def check_real(path, lines, scheme):
    rows = [line.split(" ") for line in lines]
    tokens, matrix = [row[0] for row in rows], np.array([row[1:] for row in rows], np.float32)
    qemb.write(path, tokens, matrix, **scheme)
    vectors = assert_same(path.read_bytes())
    correlation = np.corrcoef(np.ravel(vectors), matrix.ravel())[0, 1]
    assert correlation > (0.5 if scheme["bits"] < 4 else 0.9), "the table is not the one that was written"


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_a_table_of_gensims(tmp_path, scheme):
    source = Path(pytest.importorskip("gensim").__file__).parent / "test" / "test_data" / "lee_fasttext.vec"
    lines = source.read_text("utf-8").splitlines()[1:301]
    check_real(tmp_path / "table.qemb", [line.strip() for line in lines], scheme)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_a_sample_of_glove(tmp_path, scheme):
    source = SHARED / "glove-6b-300d-sample.txt.gz"
    if not source.exists():
        pytest.skip(f"not run: the real tables are not at {SHARED}; name their folder in QEMB_SHARED_DATA")
    with gzip.open(source, "rt", encoding="utf-8") as file:
        lines = file.read().splitlines()[:100]
    check_real(tmp_path / "table.qemb", lines, scheme)
