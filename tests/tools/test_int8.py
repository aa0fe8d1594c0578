"""int8 tables with scales, as safetensors and ``.npz`` hold them: kept as they are."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

import qemb as codec
import qemb_tools
from qemb import QembError

ROWS, DIM = 6, 5
INT8 = np.random.default_rng(0).integers(-128, 128, (ROWS, DIM), np.int8)
INT8[0, 0] = -128
WORDS = [f"w{i}" for i in range(ROWS)]
ONE = np.float32(0.013)
BY_ROW = np.linspace(0.001, 2, ROWS).astype(np.float16)
BY_COLUMN = np.linspace(-1, 3, DIM).astype(np.float32)
SCALES = [
    (None, "one scale"),
    (ONE.reshape(()), "one scale"),
    (ONE.reshape(1), "one scale"),
    (BY_ROW, "a scale for each row"),
    (BY_ROW.reshape(-1, 1), "a scale for each row"),
    (BY_COLUMN, "a scale for each column"),
    (BY_COLUMN.reshape(1, -1), "a scale for each column"),
]
KINDS = {"float64": "F64", "float32": "F32", "float16": "F16", "int8": "I8", "uint16": "BF16"}


def write_safetensors(path, **tensors):
    header, data = {}, b""
    for name, array in tensors.items():
        stored = np.asarray(array)
        header[name] = {
            "dtype": KINDS[stored.dtype.name],
            "shape": stored.shape,
            "data_offsets": [len(data), len(data) + stored.nbytes],
        }
        data += stored.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def values(scales):
    """scale * int8 in float32, by numpy's rules of broadcasting."""
    if scales is None:
        return INT8.astype(np.float32)
    scales = scales.astype(np.float32)
    return (scales.reshape(-1, 1) if scales.shape == (ROWS,) else scales) * INT8.astype(np.float32)


def keep(source, folder):
    (folder / "words.txt").write_text("".join(f"{word}\n" for word in WORDS))
    options = qemb_tools.ReadOptions(tokens=str(folder / "words.txt"))
    summary = qemb_tools.convert(source, folder / "out.qemb", options=options)
    with codec.open(folder / "out.qemb") as emb:
        emb.verify()
        return emb.matrix(), emb.info, summary


@pytest.mark.parametrize(("scales", "name"), SCALES)
@pytest.mark.parametrize("scale_name", ["embeddings_scale", "embeddings.scale", "scale"])
def test_safetensors(tmp_path, read, same_floats, scales, name, scale_name):
    tensors = {} if scales is None else {scale_name: scales}
    source = write_safetensors(tmp_path / "a.safetensors", embeddings=INT8, **tensors)
    found, info, summary = keep(source, tmp_path)
    same_floats(found, values(scales))
    assert (info.scheme, info.bits) == ("linear", 8)
    assert info.metadata["kept"] == "int8"
    assert summary.scheme.startswith(f"int8 with {name}, ")
    assert summary.scheme.endswith(", kept as they were: int8")
    same_floats(read(source, tokens=str(tmp_path / "words.txt")).vectors, values(scales))


@pytest.mark.parametrize(("scales", "name"), SCALES)
def test_npz(tmp_path, same_floats, scales, name):
    arrays = {} if scales is None else {"scales": scales}
    np.savez(tmp_path / "a.npz", vectors=INT8, **arrays)
    found, info, _ = keep(tmp_path / "a.npz", tmp_path)
    same_floats(found, values(scales))
    assert info.metadata["kept"] == "int8"


def test_npy_of_integers(tmp_path, same_floats):
    np.save(tmp_path / "a.npy", INT8)
    found, info, _ = keep(tmp_path / "a.npy", tmp_path)
    same_floats(found, INT8.astype(np.float32))
    assert info.bits_per_value < 8 + 8 * (28 + 4) / INT8.size + 0.01  # the descriptor, and one scale


def test_scales_of_other_types(tmp_path, same_floats):
    bfloat16 = np.array([0x3C23], np.uint16)
    found, _, _ = keep(write_safetensors(tmp_path / "a.safetensors", x=INT8, x_scale=bfloat16), tmp_path)
    same_floats(found, values((bfloat16.astype(np.uint32) << 16).view(np.float32)))
    source = write_safetensors(tmp_path / "b.safetensors", x=INT8, x_scale=np.float64([0.1]))
    found, _, summary = keep(source, tmp_path)
    same_floats(found, values(np.float32([0.1])))
    assert summary.notes == ["the scales are float64; they were rounded to float32"]


def test_rows_past_the_tokens_are_left_out_with_their_scales(tmp_path, same_floats):
    matrix = np.concatenate([INT8, np.zeros((2, DIM), np.int8)])
    scales = np.concatenate([BY_ROW, BY_ROW[:2]])
    found, _, summary = keep(write_safetensors(tmp_path / "a.safetensors", embeddings=matrix, scale=scales), tmp_path)
    same_floats(found, values(BY_ROW))
    assert summary.notes == ["rows past the last token, left out: 2"]


def test_scales_that_do_not_fit(tmp_path):
    source = write_safetensors(tmp_path / "a.safetensors", embeddings=INT8, scale=np.ones(4, np.float32))
    with pytest.raises(QembError, match=r"do not fit a table of 6 x 5; store them as \(6, 1\) or \(1, 5\)"):
        keep(source, tmp_path)
    square = np.zeros((6, 6), np.int8)
    source = write_safetensors(tmp_path / "b.safetensors", embeddings=square, scale=np.ones(6, np.float32))
    with pytest.raises(QembError, match="may be those of rows or of columns"):
        keep(source, tmp_path)
    source = write_safetensors(tmp_path / "c.safetensors", embeddings=INT8, scale=np.float32([np.nan]))
    with pytest.raises(QembError, match="nan among the scales"):
        keep(source, tmp_path)


def test_a_real_table(tmp_path, shared_tables):
    """model2vec's int8 embeddings: no scale in the file, and none needed for cosines."""
    source = shared_tables / "model2vec-int8"
    data = (source / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    stored = np.frombuffer(data[8 + length :], np.int8).reshape(29528, 2)
    summary = qemb_tools.convert(source, tmp_path / "out.qemb")
    with codec.open(tmp_path / "out.qemb") as emb:
        emb.verify()
        assert np.array_equal(emb.matrix(), stored.astype(np.float32))
        assert emb.info.sections["CODE"] == stored.size
    assert summary.scheme == "int8 with one scale, 8.0 bits a value, kept as they were: int8"
