"""GGUF: blocks are kept, and decode to the floats that the library of llama.cpp makes of them, bit for bit."""

from __future__ import annotations

import struct

import numpy as np
import pytest

import qemb as codec
import qemb_tools
from qemb import QembError
from qemb_tools import UsageError

gguf = pytest.importorskip("gguf")
Type = gguf.GGMLQuantizationType

ROWS, DIM = 40, 96
WORDS = ["", "<s>", "▁the", "Ġking", "naïve", "two words"] + [f"t{i}" for i in range(ROWS - 6)]
BLOCKS = {"Q4_0": 4.5, "Q4_1": 5.0, "Q5_0": 5.5, "Q5_1": 6.0, "Q8_0": 8.5}


def write(path, data, kind, *, words=WORDS, name="token_embd.weight", alignment=None):
    writer = gguf.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_block_count(1)
    writer.add_array("some.numbers", [1, 2, 3])
    if words is not None:
        writer.add_tokenizer_model("llama")
        writer.add_token_list(words)
        writer.add_token_scores([0.0] * len(words))
    writer.add_tensor("output_norm.weight", np.ones(DIM, np.float32))
    writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def random_blocks(kind, seed=0):
    """Blocks of any bits whose scales are finite: negative, subnormal and both zeros among them."""
    rng = np.random.default_rng(seed)
    size = gguf.GGML_QUANT_SIZES[kind][1]
    blocks = rng.integers(0, 256, (ROWS, DIM // 32, size), np.uint8)
    halves = rng.integers(0, 0x7C00, (ROWS, DIM // 32, 2)).astype("<u2") | rng.choice([0, 0x8000], (ROWS, DIM // 32, 2))
    halves[0], halves[1], halves[2] = 0, 0x8000, 1
    stored = 4 if kind in (Type.Q4_1, Type.Q5_1) else 2
    blocks[..., :stored] = halves.astype("<u2").view(np.uint8)[..., :stored]
    return blocks.reshape(ROWS, -1)


def matrix_of(path):
    with codec.open(path) as emb:
        emb.verify()
        return emb.matrix(), emb.info


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("any_bits", [True, False])
def test_blocks_are_kept(tmp_path, read, same_floats, name, any_bits):
    kind = Type[name]
    table = np.random.default_rng(1).normal(size=(ROWS, DIM)).astype(np.float32)
    table[3] = 0
    data = random_blocks(kind) if any_bits else gguf.quants.quantize(table, kind)
    source = write(tmp_path / "model.gguf", data, kind)
    expected = gguf.quants.dequantize(data, kind)

    summary = qemb_tools.convert(source, tmp_path / "out.qemb")
    assert summary.scheme.endswith(f"bits a value, kept as they were: GGML {name}")
    found, info = matrix_of(tmp_path / "out.qemb")
    same_floats(found, expected)
    assert info.scheme == "linear"
    assert info.scale == "block of 32 columns, float16"
    assert info.metadata["kept"] == f"GGML {name}"
    assert sum(info.sections.get(kind, 0) for kind in ("CODE", "SCAL", "OFFS")) == ROWS * DIM * BLOCKS[name] / 8

    same_floats(read(source).vectors, expected)
    assert read(source).words == WORDS
    qemb_tools.convert(source, tmp_path / "out.h5", target_format="hdf5")
    same_floats(read(tmp_path / "out.h5").vectors, expected)


@pytest.mark.parametrize(("name", "scheme"), [("F32", "float32"), ("F16", "float16"), ("BF16", "bfloat16")])
def test_floats_keep_their_bits(tmp_path, read, same_floats, name, scheme):
    table = np.random.default_rng(1).normal(size=(ROWS, DIM)).astype(np.float32)
    data = gguf.quants.quantize(table, Type[name])
    source = write(tmp_path / "model.gguf", data, Type[name], alignment=128)
    expected = gguf.quants.dequantize(data, Type[name])
    qemb_tools.convert(source, tmp_path / "out.qemb")
    found, info = matrix_of(tmp_path / "out.qemb")
    same_floats(found, expected)
    assert (info.scheme, info.metadata["kept"]) == (scheme, f"GGML {name}")
    same_floats(read(source).vectors, expected)


def test_options_quantize_anew(tmp_path):
    table = np.random.default_rng(1).normal(size=(ROWS, DIM)).astype(np.float32)
    source = write(tmp_path / "model.gguf", gguf.quants.quantize(table, Type.Q8_0), Type.Q8_0)
    decoded = gguf.quants.dequantize(gguf.quants.quantize(table, Type.Q8_0), Type.Q8_0)
    summary = qemb_tools.convert(source, tmp_path / "a.qemb", bits=4)
    codec.write(tmp_path / "b.qemb", WORDS, decoded, bits=4)
    found, info = matrix_of(tmp_path / "a.qemb")
    assert np.array_equal(found, matrix_of(tmp_path / "b.qemb")[0])
    assert "kept" not in summary.scheme
    assert "kept" not in info.metadata
    # and a file that had kept them says so no longer once it is quantized again
    qemb_tools.convert(source, tmp_path / "c.qemb", compress=True)
    assert matrix_of(tmp_path / "c.qemb")[1].metadata["kept"] == "GGML Q8_0"
    qemb_tools.convert(tmp_path / "c.qemb", tmp_path / "d.qemb", bits=4)
    assert "kept" not in matrix_of(tmp_path / "d.qemb")[1].metadata


def test_the_command_says_what_it_kept(tmp_path, qemb):
    write(tmp_path / "model.gguf", random_blocks(Type.Q4_0), Type.Q4_0)
    printed = qemb("convert", "model.gguf", "out.qemb").stdout
    assert "int4 with a scale for each block of 32 columns, 4.6 bits a value, kept as they were: GGML Q4_0" in printed
    assert "GGML Q4_0" in qemb("info", "out.qemb").stdout
    qemb("verify", "out.qemb")
    assert "gguf" in qemb("formats").stdout


def test_rows_past_the_tokens_are_padding(tmp_path, read, same_floats):
    data = random_blocks(Type.Q8_0)
    source = write(tmp_path / "model.gguf", data, Type.Q8_0, words=WORDS[:-5])
    table = read(source)
    assert table.notes == ["rows past the last token, left out: 5"]
    same_floats(table.vectors, gguf.quants.dequantize(data, Type.Q8_0)[:-5])
    with pytest.raises(QembError, match="40 rows and 41 tokens"):
        read(write(tmp_path / "b.gguf", data, Type.Q8_0, words=[*WORDS, "more"]))


def test_a_token_that_came_before_is_left_out(tmp_path):
    words = ["a", "b", "a", *WORDS[3:]]
    source = write(tmp_path / "model.gguf", random_blocks(Type.Q8_0), Type.Q8_0, words=words)
    summary = qemb_tools.convert(source, tmp_path / "out.qemb")
    assert (summary.rows, summary.duplicates) == (ROWS - 1, 1)


def test_words_and_table_can_be_named(tmp_path, read, same_floats):
    data = random_blocks(Type.Q8_0)
    source = write(tmp_path / "model.gguf", data, Type.Q8_0, words=None, name="other.weight")
    (tmp_path / "words.txt").write_text("\n".join(f"w{i}" for i in range(ROWS)) + "\n")
    with pytest.raises(UsageError, match=r"no matrix 'token_embd.weight'; it has other.weight"):
        read(source)
    with pytest.raises(UsageError, match="has no tokens in it"):
        read(source, dataset="other.weight")
    table = read(source, dataset="other.weight", tokens=str(tmp_path / "words.txt"))
    assert table.words[1] == "w1"
    same_floats(table.vectors, gguf.quants.dequantize(data, Type.Q8_0))


def test_types_that_are_not_kept_are_named(tmp_path, qemb):
    size = gguf.GGML_QUANT_SIZES[Type.Q6_K][1]
    data = np.zeros((ROWS, 2 * size), np.uint8)
    write(tmp_path / "model.gguf", data, Type.Q6_K)
    error = qemb("convert", "model.gguf", "out.qemb", code=1).stderr
    assert "token_embd.weight is Q6_K; only Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, F32, F16, BF16 are read" in error
    assert not (tmp_path / "out.qemb").exists()


def test_a_scale_that_is_not_finite_is_named(tmp_path, qemb):
    data = random_blocks(Type.Q8_0)
    data[7, :2] = (0, 0x7C)
    write(tmp_path / "model.gguf", data, Type.Q8_0)
    assert (
        "inf among the scales: they are finite (row 7, invalid.scale"
        in qemb("convert", "model.gguf", "out.qemb", code=1).stderr
    )


def test_other_versions_are_named(tmp_path, read):
    path = tmp_path / "model.gguf"
    for version, message in ((b"\1\0\0\0", "of version 1"), (b"\0\0\0\3", "for a big-endian machine")):
        path.write_bytes(b"GGUF" + version + bytes(16))
        with pytest.raises(QembError, match=message):
            read(path)


def test_what_is_no_gguf_file_is_named(tmp_path, read):
    for content in (b"", b"GGU", b"a 1 2 3"):
        (tmp_path / "model.gguf").write_bytes(content)
        with pytest.raises(QembError, match="no GGUF file"):
            read(tmp_path / "model.gguf", "gguf")


def test_tokens_that_are_no_strings_are_none(tmp_path, read):
    path = write(tmp_path / "model.gguf", random_blocks(Type.Q4_0), Type.Q4_0, words=["a"] * ROWS)
    whole = path.read_bytes()
    at = whole.index(b"tokenizer.ggml.tokens") + len(b"tokenizer.ggml.tokens")
    strings = struct.pack("<IIQ", 9, 8, ROWS) + ROWS * (struct.pack("<Q", 1) + b"a")
    assert whole[at:].startswith(strings)
    # as many bytes: an array of numbers, or an array whose one item is an array of strings
    numbers = struct.pack("<IIQ", 9, 0, len(strings) - 16) + bytes(len(strings) - 16)
    longer = struct.pack("<Q", 7) + b"longest"
    nested = struct.pack("<IIQIQ", 9, 9, 1, 8, ROWS - 2) + (ROWS - 3) * (struct.pack("<Q", 1) + b"a") + longer
    for value in (numbers, nested):
        assert len(value) == len(strings)
        path.write_bytes(whole.replace(strings, value))
        with pytest.raises(UsageError, match="has no tokens in it"):
            read(path)


def test_damaged_files_are_refused(tmp_path, read):
    path = write(tmp_path / "model.gguf", random_blocks(Type.Q4_0), Type.Q4_0)
    whole = path.read_bytes()
    header = whole.index(b"token_embd.weight") + 60
    for size in (*range(4, header), len(whole) - 32):  # the last 16 bytes are padding
        path.write_bytes(whole[:size])
        with pytest.raises(QembError):
            read(path)
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(4, header, 2):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read(path)
        except (QembError, UsageError) as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017 - not every change can be noticed


def test_lengths_that_cannot_be_are_not_believed(tmp_path, read):
    """Counts and lengths of 2^62, and arrays in arrays without end."""
    path = tmp_path / "model.gguf"
    huge = struct.pack("<Q", 1 << 62)
    start = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    key = struct.pack("<Q", 1) + b"k"
    nested = struct.pack("<IQ", 9, 1) * 10_000
    for body in (huge, key + struct.pack("<II", 9, 8) + huge, key + struct.pack("<II", 9, 4) + huge,
                 key + struct.pack("<I", 8) + huge, key + struct.pack("<I", 9) + nested):  # fmt: skip
        path.write_bytes(start + body + bytes(64))
        with pytest.raises(QembError, match="damaged or cut short"):
            read(path)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1 << 62, 1 << 62))
    with pytest.raises(QembError, match="damaged or cut short"):
        read(path)
