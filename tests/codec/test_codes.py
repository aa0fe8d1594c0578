"""Codes as others chose them: what `write_codes` writes decodes as their formula says, bit for bit."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qemb
from qemb import CodeFormat, InvalidError
from rawread import decode

FLOATS = {"float32": np.float32, "float16": np.float16}


def words(count):
    return [f"w{i}" for i in range(count)]


def bits_of(array):
    return np.ascontiguousarray(array, np.float32).view(np.uint32)


def read(path):
    with qemb.open(path) as emb:
        emb.verify()
        return emb.matrix()


@st.composite
def grouped(draw, name, rows, dim, rng, groups):
    """Attributes of a format for scales or offsets, what comes with the rows, and one for each value."""
    group = draw(st.sampled_from(groups))
    if group == "none":
        return {}, None, None
    dtype = draw(st.sampled_from(list(FLOATS)))
    block = draw(st.integers(1, dim)) if group == "block" else None
    shape = {
        "table": (1, 1),
        "row": (rows, 1),
        "column": (1, dim),
        "block": (rows, -(-dim // block) if block else 0),
    }[group]
    values = rng.normal(size=shape).astype(FLOATS[dtype])
    values.flat[0] = draw(st.sampled_from([values.flat[0], 0.0, -0.0, np.finfo(FLOATS[dtype]).smallest_subnormal]))
    attributes = {name: group, f"{name}_dtype": dtype, f"{name}_block": block}
    spread = np.repeat(values, block, axis=1)[:, :dim] if block else values
    whole = np.broadcast_to(spread, (rows, dim)).astype(np.float32)
    if group in ("table", "column"):
        return attributes | {f"{name}s": values.reshape(-1)}, None, whole
    return attributes, values, whole


@st.composite
def tables(draw):
    """A format, codes, what comes with them, and their values by numpy's float32 arithmetic."""
    rows, dim = draw(st.integers(1, 5)), draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    kind = draw(st.sampled_from(["linear", "codebook", "trellis", "product"]))
    bits = draw(st.integers(1, {"linear": 16, "codebook": 8, "trellis": 4, "product": 6}[kind]))
    attributes = {"bits": bits}
    low = -(1 << (bits - 1)) if kind == "linear" else 0
    columns = dim
    if kind == "linear":
        attributes |= {"step": draw(st.integers(1, 9)), "bias": draw(st.integers(-999, 999))}
    elif kind == "product":
        sub_dim = draw(st.integers(1, dim))
        columns = -(-dim // sub_dim)
        attributes["levels"] = rng.normal(size=(columns, 1 << bits, sub_dim)).astype(np.float32)
    else:
        memory = 0 if kind == "codebook" else draw(st.integers(1, 5))
        window = bits + memory
        attributes["shift"] = draw(st.integers(1, min(bits, memory))) if memory else 0
        attributes["levels"] = rng.integers(-128, 128, 1 << window).astype(np.int8)
    codes = rng.integers(low, low + (1 << bits), (rows, columns))
    groups = ["table", "row", "column", "block"]
    scale, scales, each_scale = draw(
        grouped("scale", rows, dim, rng, [*groups, "none"] if kind == "product" else groups)
    )
    offset, offsets, each_offset = draw(grouped("offset", rows, dim, rng, ["none", *groups]))
    code_format = CodeFormat(**attributes, **scale, **offset)
    return kind, code_format, dim, codes, scales, offsets, each_scale, each_offset


@given(tables())
@settings(max_examples=150, deadline=None)
def test_codes_decode_as_the_format_says(table):
    kind, code_format, dim, codes, scales, offsets, each_scale, each_offset = table
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.qemb")
        qemb.write_codes(path, words(len(codes)), codes, code_format, dim=dim, scales=scales, offsets=offsets)
        found = read(path)
        if kind == "product":
            expected = code_format.levels[np.arange(codes.shape[1]), codes].reshape(len(codes), -1)[:, :dim]
            if each_scale is not None:
                expected = expected * each_scale
            if each_offset is not None:
                expected = expected + each_offset
        else:
            expected = np.array(decode(Path(path).read_bytes())[1], np.float32)
    assert np.array_equal(bits_of(found), bits_of(expected))
    if kind == "linear":  # and by arithmetic on the codes as they were given
        levels = (code_format.step * codes - code_format.bias).astype(np.float32)
        by_hand = levels * each_scale if each_offset is None else levels * each_scale + each_offset
        assert np.array_equal(bits_of(found), bits_of(by_hand))


def test_codes_of_an_unsigned_quantizer(tmp_path):
    """Codes 0 to 255 that mean low + code * step, as many libraries store them."""
    codes = np.array([[0, 1, 127], [128, 254, 255]], np.uint8)
    low, step = np.float32(-1.5), np.float32(0.01)
    code_format = CodeFormat(
        bits=8, bias=-128, scale="table", scales=[step], offset="table", offsets=[low], offset_dtype="float16"
    )
    qemb.write_codes(tmp_path / "a.qemb", words(2), (codes ^ 0x80).view(np.int8), code_format)
    assert np.array_equal(read(tmp_path / "a.qemb"), low + step * codes.astype(np.float32))


def test_batches_give_the_file_that_one_call_gives(tmp_path):
    rng = np.random.default_rng(0)
    codes = rng.integers(-8, 8, (1000, 40)).astype(np.int8)
    scales = rng.normal(size=(1000, 2)).astype(np.float16)
    counts = np.arange(1000, 0, -1)
    code_format = CodeFormat(bits=4, scale="block", scale_block=32, scale_dtype="float16")
    qemb.write_codes(
        tmp_path / "a.qemb", words(1000), codes, code_format, scales=scales, counts=counts, metadata={"a": 1}
    )
    writer = qemb.CodeWriter(tmp_path / "b.qemb", dim=40, code_format=code_format, metadata={"a": 1})
    with writer:
        for part in (slice(0, 1), slice(1, 700), slice(700, 1000)):
            writer.append(words(1000)[part], codes[part], scales=scales[part], counts=counts[part])
        assert writer.rows == 1000
    assert (tmp_path / "a.qemb").read_bytes() == (tmp_path / "b.qemb").read_bytes()
    with qemb.open(tmp_path / "a.qemb") as emb:
        assert emb.info.scheme == "linear"
        assert emb.info.scale == "block of 32 columns, float16"
        assert emb.counts.tolist() == counts.tolist()


def test_a_row_whose_token_came_before_is_left_out_whole(tmp_path):
    code_format = CodeFormat(bits=8, scale="row")
    with qemb.CodeWriter(tmp_path / "a.qemb", dim=1, code_format=code_format, duplicates="first") as writer:
        writer.append(["a", "b", "a", "c"], [[1], [2], [3], [4]], scales=np.float32([1, 10, 100, 1000]))
    assert writer.duplicates == 1
    assert read(tmp_path / "a.qemb").tolist() == [[1], [20], [4000]]


def test_a_table_without_rows(tmp_path):
    code_format = CodeFormat(bits=4, scale="row")
    qemb.write_codes(tmp_path / "a.qemb", [], np.zeros((0, 7), np.int8), code_format, scales=np.zeros(0, np.float32))
    assert read(tmp_path / "a.qemb").shape == (0, 7)


ROW = CodeFormat(bits=4, scale="row")
CODEBOOK = CodeFormat(bits=1, levels=np.int8([-1, 1]), scale="row")
PRODUCT = CodeFormat(bits=1, levels=np.zeros((2, 2, 3), np.float32))
ONE = np.float32([1])


@pytest.mark.parametrize(
    ("code_format", "codes", "given", "code", "message"),
    [
        (ROW, [[0, 8]], {"scales": ONE}, "invalid.value", r"the code 8 is not -8 to 7 \(row 0, column 1"),
        (ROW, [[-9, 0]], {"scales": ONE}, "invalid.value", "the code -9 is not"),
        (ROW, [[0.5]], {"scales": ONE}, "invalid.value", "codes of dtype float64"),
        (CODEBOOK, [[0, -1]], {"scales": ONE}, "invalid.value", "the code -1 is not 0 to 1"),
        (ROW, [[1]], {}, "invalid.shape", "scales by row come with every batch"),
        (ROW, [[1]], {"scales": np.float32([1, 2])}, "invalid.shape", r"\(1, 1\)"),
        (ROW, [[1]], {"scales": ONE, "offsets": ONE}, "invalid.shape", "offsets by none do not come with rows"),
        (ROW, [[1], [1]], {"scales": np.float32([1, np.inf])}, "invalid.scale", r"inf among the scales: .* \(row 1"),
        (ROW, [[1]], {"scales": np.float64([0.1])}, "invalid.scale", "float32 does not hold it exactly"),
        (ROW, [[1]], {"scales": np.array(["a"])}, "invalid.shape", "floats"),
        (CodeFormat(bits=4, scale="table"), [[1]], {}, "invalid.shape", "scales by table stand in the CodeFormat"),
        (CodeFormat(bits=4, scale="row", scales=ONE), [[1]], {"scales": ONE}, "invalid.shape", "do not stand"),
        (
            CodeFormat(bits=4, scale="table", scales=[70000.0], scale_dtype="float16"),
            [[1]], {}, "invalid.scale", "float16 does not hold it",
        ),
        (
            CodeFormat(bits=4, scale="table", scales=[1], offset="column", offsets=[np.nan]),
            [[1]], {}, "invalid.offset", "nan among the offsets",
        ),
        (CodeFormat(bits=4), [[1]], {}, "invalid.quantization", "linear and codebook levels have a scale"),
        (CodeFormat(bits=0, scale="row"), [[1]], {"scales": ONE}, "invalid.option", "bits=0"),
        (CodeFormat(bits=17, scale="row"), [[1]], {"scales": ONE}, "invalid.option", "bits=17"),
        (CodeFormat(bits=4, scale="cell"), [[1]], {}, "invalid.option", "scale 'cell' does not exist"),
        (CodeFormat(bits=4, scale="row", scale_dtype="half"), [[1]], {}, "invalid.option", "scale_dtype 'half'"),
        (CodeFormat(bits=4, scale="block"), [[1]], {"scales": ONE}, "invalid.quantization", "scale_block"),
        (CodeFormat(bits=4, scale="block", scale_block=2), [[1]], {"scales": ONE}, "invalid.quantization", "1 to 1"),
        (CodeFormat(bits=4, scale="row", step=0), [[1]], {"scales": ONE}, "invalid.quantization", "step"),
        (CodeFormat(bits=4, scale="row", bias=1 << 40), [[1]], {"scales": ONE}, "invalid.option", "do not fit 32 bits"),
        (CodeFormat(bits=4, scale="row", bias=1 << 25), [[1]], {"scales": ONE}, "invalid.quantization", "16,777,216"),
        (CodeFormat(bits=1, levels=np.int8([1, 2, 3]), scale="row"), [[1]], {}, "invalid.shape", "power of two"),
        (CodeFormat(bits=2, levels=np.int8([1, 2]), scale="row"), [[1]], {}, "invalid.quantization", "window"),
        (CodeFormat(bits=1, levels=[1.0, 2.0], scale="row"), [[1]], {}, "invalid.shape", "float64"),
        (PRODUCT, [[1]], {}, "invalid.shape", r"\(1, 2, 3\) belongs there"),
        (PRODUCT, [[1, 2]], {}, "invalid.value", "the code 2 is not 0 to 1"),
        (
            CodeFormat(bits=1, levels=np.full((1, 2, 1), np.nan, np.float32)),
            [[1]], {}, "invalid.level", "NaN or infinite",
        ),
        (ROW, [1, 2], {"scales": ONE}, "invalid.shape", "1 dimensions"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_named(tmp_path, code_format, codes, given, code, message):
    with pytest.raises(InvalidError, match=message) as caught:
        qemb.write_codes(tmp_path / "a.qemb", words(len(codes)), np.array(codes), code_format, **given)
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("attributes", "codes", "scales"),
    [
        ({"bits": 12, "scale": "row"}, [[700, -700]], [0.25]),
        ({"bits": 1, "levels": np.float32([[[1.5, -2.25]], [[0.125, 3]]]).swapaxes(0, 1)}, [[1]], None),
    ],
)
def test_the_byte_order_of_arrays_does_not_matter(tmp_path, attributes, codes, scales):
    files = []
    for order in "<>":
        levels = attributes.get("levels")
        swapped = attributes | ({} if levels is None else {"levels": levels.astype(f"{order}f4")})
        given = {} if scales is None else {"scales": np.array(scales, f"{order}f4")}
        path = tmp_path / "a.qemb"
        qemb.write_codes(path, ["a"], np.array(codes, f"{order}i2"), CodeFormat(**swapped), **given)
        files.append(path.read_bytes())
    assert files[0] == files[1]
    if scales is None:
        assert read(path).tolist() == [[0.125, 3]]
    else:
        assert read(path).tolist() == [[175, -175]]


def test_a_failure_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "a.qemb"
    path.write_bytes(b"precious")
    writer = qemb.CodeWriter(path, dim=1, code_format=ROW)
    writer.append(["a"], [[1]], scales=ONE)
    with pytest.raises(InvalidError, match="came before"), writer:
        writer.append(["a"], [[1]], scales=ONE)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.qemb", b"precious")]
