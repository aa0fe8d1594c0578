"""Tables decoded by kernels, by numpy and by the specification as a program: the same bits, in any tiles."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qemb
import qemb_spec
import random_files
from qemb import decode, jit
from qemb.transform import Hadamard

pytest.importorskip("numba", reason="numba is not installed: pip install 'qemb-format[numba]'")

LEVELS = (random_files.LINEAR, random_files.CODEBOOK, random_files.CODEBOOK)


@pytest.fixture(autouse=True)
def in_many_tiles(monkeypatch):
    """Tiles of a few rows, and several threads."""
    monkeypatch.setattr(decode, "TILE_VALUES", 64)
    monkeypatch.setattr(decode, "_PART", 2)
    monkeypatch.setattr("qemb.threads.count_threads", lambda: 3)


def random_table(seed, rows, dim, *, rotated, framed):
    draw = random_files.Draw(seed, 0)
    parts = random_files.draw_vectors(draw, rows, dim, LEVELS)
    if rotated:
        parts["TRNS"] = struct.pack("<3B5xQ", 1, 1, 1, draw.bits(64))
    tokens = [b"%d" % row for row in range(rows)]
    ends = [sum(map(len, tokens[:count])) for count in range(rows + 1)]
    parts |= {"TOKO": struct.pack(f"<{len(ends)}I", *ends), "TOKB": b"".join(tokens)}
    file = random_files.assemble(parts, rows, tokens, dim)
    for section in file.sections if framed else ():
        if section.kind not in ("QUAN", "TRNS"):
            random_files.cut_into_frames(draw, section)
    return file.build()


def bits_of(values, *, rotated):
    """Bits of floats; which NaN comes out of a rotation is not fixed."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return np.where(np.isnan(values), 0, bits) if rotated else bits


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.one_of(st.integers(1, 40), st.sampled_from([64, 100, 300])),
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_kernels_numpy_and_the_specification_agree(seed, rows, dim, rotated, framed, data):
    file = random_table(seed, rows, dim, rotated=rotated, framed=framed)
    vectors = qemb_spec.read(file)["vectors"]
    expected = np.array(vectors, np.uint32).view(np.float32)

    def same(found, wanted):
        return np.array_equal(bits_of(found, rotated=rotated), bits_of(wanted, rotated=rotated))

    numbers = np.array(data.draw(st.lists(st.integers(0, rows - 1), max_size=60)), np.int64)
    start = data.draw(st.integers(0, rows))
    for kernels in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jit, "ready", lambda kernels=kernels: kernels)
            with qemb.open(file) as emb:
                assert same(emb.matrix(), expected)
                out = np.full((rows - start, dim), 7, np.float32)
                assert emb.matrix(start, out=out) is out
                assert same(out, expected[start:])
                assert same(emb.rows(numbers), expected[numbers])
                assert same(emb[b"0"], expected[0])
                assert (emb._decoder._kernel is not None) <= kernels


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7])
def test_bits_that_trellises_are_written_with_go_through_the_kernel(tmp_path, bits, monkeypatch):
    monkeypatch.setattr(jit, "ready", lambda: True)
    matrix = np.random.default_rng(bits).normal(size=(60, 50)).astype(np.float32)
    qemb.write(tmp_path / "a.qemb", [str(row) for row in range(60)], matrix, bits=bits)
    with qemb.open(tmp_path / "a.qemb") as emb:
        found = emb.matrix()
        assert emb._decoder._kernel is not None
    vectors = qemb_spec.read((tmp_path / "a.qemb").read_bytes())["vectors"]
    assert np.array_equal(found.view(np.uint32), np.array(vectors, np.uint32))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([1, 63, 64, 65, 150]),
    st.sampled_from([1, 2, 3, 7, 64, 100, 300]),
    st.integers(1, 8),
    st.integers(0, 2**64 - 1),
)
def test_rotations_are_the_same(rows, dim, rounds, seed):
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=(rows, dim)) * 10.0 ** rng.integers(-45, 38, (rows, 1))).astype(np.float32)
    turned = []
    for kernels in (False, True):
        with pytest.MonkeyPatch.context() as patch, np.errstate(over="ignore", invalid="ignore"):
            patch.setattr(jit, "ready", lambda kernels=kernels: kernels)
            turned.append(bits_of(Hadamard(dim, rounds, seed).apply(values.copy()), rotated=True))
    assert np.array_equal(*turned)
