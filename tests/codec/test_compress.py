"""Sections in zstd frames: the same contents, smaller, and one row costs one frame of each section."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qemb
from qemb_tools.cli import main

OPTIONS = [
    {"scheme": "linear", "bits": 8},
    {"scheme": "linear", "bits": 16},
    {"scheme": "linear", "bits": 4, "scale": "table"},
    {"scheme": "codebook", "bits": 3},
    {"scheme": "float32"},
]


def table(rows, dim, seed=0):
    """Words with long common beginnings, and vectors with heavy tails, so that some sections compress."""
    values = np.random.default_rng(seed).laplace(size=(rows, dim)).astype(np.float32)
    return [f"a common beginning {i}" for i in range(rows)], values


@given(rows=st.integers(0, 400), dim=st.integers(1, 40), options=st.sampled_from(OPTIONS))
@settings(max_examples=25, deadline=None)
def test_the_contents_are_those_of_the_plain_file(read_sections, tmp_path_factory, rows, dim, options):
    folder = tmp_path_factory.mktemp("compress")
    tokens, matrix = table(rows, dim)
    qemb.write(folder / "plain.qemb", tokens, matrix, **options)
    qemb.write(folder / "small.qemb", tokens, matrix, compress=True, metadata={"note": "a" * 99}, **options)
    plain, small = read_sections(folder / "plain.qemb"), read_sections(folder / "small.qemb")
    metadata, _, codec = small.pop("META")
    assert metadata == b'{"note":"%s"}' % (b"a" * 99)
    assert codec == 1
    assert {kind: raw for kind, (raw, _, _) in small.items()} == {kind: raw for kind, (raw, _, _) in plain.items()}
    with qemb.open(folder / "small.qemb") as embedding:
        embedding.verify()
        assert list(embedding) == tokens


def test_frames_stay_only_where_they_save_three_percent(read_sections, tmp_path):
    rng = np.random.default_rng(1)
    # 8-bit levels of uniform noise do not shrink; the words and their offsets do
    tokens, _ = table(5000, 1)
    qemb.write(tmp_path / "a.qemb", tokens, rng.uniform(-1, 1, (5000, 64)), bits=8, scheme="linear", compress=True)
    found = read_sections(tmp_path / "a.qemb")
    assert found["CODE"][2] == 0
    assert found["TOKB"][2] == found["TOKO"][2] == 1
    for kind, (raw, stored, codec) in found.items():
        assert stored <= 0.97 * len(raw) if codec else stored == len(raw), kind


def test_codes_of_few_bits_of_entropy_shrink_to_it(read_sections, tmp_path):
    """Huffman coding comes within 3% of the entropy that is counted here."""
    tokens, matrix = table(20_000, 64)
    qemb.write(tmp_path / "a.qemb", tokens, matrix, scheme="linear", bits=8, scale="table", compress=True)
    raw, stored, _ = read_sections(tmp_path / "a.qemb")["CODE"]
    share = np.bincount(np.frombuffer(raw, np.uint8)) / len(raw)
    entropy = -np.sum(share[share > 0] * np.log2(share[share > 0]))
    assert entropy < 6
    assert 8 * stored / len(raw) < 1.03 * entropy


def test_one_row_costs_one_frame_of_each_section(tmp_path, monkeypatch):
    tokens, matrix = table(20_000, 50)
    qemb.write(tmp_path / "a.qemb", tokens, matrix, scheme="linear", bits=8, scale="block", block=25, compress=True)
    whole = qemb.open(tmp_path / "a.qemb").matrix()
    decoded = []
    decompress = qemb.container.decompress
    monkeypatch.setattr(qemb.container, "decompress", lambda *a: decoded.append(a[2]) or decompress(*a))
    for row in (0, 654, 655, 11_111, 19_999):
        with qemb.open(tmp_path / "a.qemb") as embedding:
            decoded.clear()
            assert embedding.matrix(row, row + 1).tobytes() == whole[row].tobytes()
            assert sorted(where.split(",")[0] for where in decoded) == ["section CODE", "section SCAL"]
    with qemb.open(tmp_path / "a.qemb") as embedding:
        decoded.clear()
        rows = np.random.default_rng(0).permutation(20_000)
        assert embedding.rows(rows).tobytes() == whole[rows].tobytes()


@pytest.mark.parametrize("sizes", [(7, 4089, 4), (4096, 4), (1, 1, 4098)])
def test_batches_make_no_difference(tmp_path, sizes):
    tokens, matrix = table(4100, 12)
    qemb.write(tmp_path / "whole.qemb", tokens, matrix, bits=3, scheme="codebook", compress=True)
    with qemb.Writer(tmp_path / "parts.qemb", dim=12, bits=3, scheme="codebook", compress=True) as writer:
        start = 0
        for size in sizes:
            writer.append(tokens[start : start + size], matrix[start : start + size])
            start += size
    assert (tmp_path / "parts.qemb").read_bytes() == (tmp_path / "whole.qemb").read_bytes()


def test_nothing_is_left_when_writing_fails(tmp_path):
    tokens, matrix = table(5000, 8)
    matrix[4999, 7] = np.nan
    with pytest.raises(qemb.InvalidError, match="row 4999"):
        qemb.write(tmp_path / "a.qemb", tokens, matrix, scheme="linear", compress=True)
    assert os.listdir(tmp_path) == []


def test_the_command_compresses(read_sections, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tokens, matrix = table(1000, 10)
    qemb.write("a.qemb", tokens, matrix, scheme="float32")
    arguments = ["convert", "a.qemb", "b.qemb", "--scheme", "linear", "--bits", "8"]
    assert main([*arguments, "--compress"]) == 0
    qemb.write("c.qemb", tokens, matrix, scheme="linear", bits=8, compress=True)
    converted = read_sections(tmp_path / "b.qemb")
    converted.pop("META")
    assert converted == read_sections(tmp_path / "c.qemb")
