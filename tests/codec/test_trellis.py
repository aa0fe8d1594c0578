"""The trellis: codes searched are near the best there are, whatever searches them, and files decode to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qemb
from qemb.container import Container
from qemb.encode.normal import TRELLIS_LEVELS, TRELLIS_SPREAD, trellis_levels
from qemb.encode.options import Options, make_encoder
from qemb.encode.viterbi import Trellis, search


def make(bits, memory):
    return Trellis(bits, memory, trellis_levels(bits).astype(np.float32))


def levels_of(trellis, codes):
    """Levels of circular rows, shape (dim, rows), by the recurrence as the specification has it."""
    table, memory = trellis.table(), trellis.memory
    register = np.zeros(codes.shape[1], np.int64)
    out = np.empty(codes.shape, np.float32)
    for turn in range(1 + -(-memory // len(codes))):
        for step, code in enumerate(codes.astype(np.int64)):
            if turn:
                out[step] = table[code << memory | register]
            register = register >> 1 | (code & 1) << (memory - 1)
    return out


def normal(dim, rows, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)


# --- the search -----------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 7), st.integers(6, 9), st.integers(0, 100), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_numba_and_numpy_find_the_same_codes(bits, memory, more, rows, seed):
    pytest.importorskip("numba")
    trellis = make(bits, memory)
    values = TRELLIS_SPREAD[bits] * normal(rows, memory + more, seed)
    values[seed % len(values)] *= 30
    codes, levels = search(trellis, values, numba=True)
    plain_codes, plain_levels = search(trellis, values, numba=False)
    assert np.array_equal(codes, plain_codes)
    assert np.array_equal(levels, plain_levels)
    assert np.array_equal(levels, levels_of(trellis, codes))
    assert codes.max(initial=0) < 1 << bits


def least_error(trellis, row):
    """The least squared error of any circle: dynamic programming from every register that it could be closed with."""
    table, memory, bits = trellis.table().astype(np.float64), trellis.memory, trellis.bits
    registers = np.arange(1 << memory)
    states = np.arange(1 << bits)[:, None] << memory | registers
    after = registers >> 1 | (np.arange(1 << bits)[:, None] & 1) << (memory - 1)
    best = np.inf
    for closing in registers:
        costs = np.full(len(registers), np.inf)
        costs[closing] = 0
        for value in row:
            reached = np.full(len(registers), np.inf)
            np.minimum.at(reached, after, costs + np.square(value - table[states]))
            costs = reached
        best = min(best, costs[closing])
    return best


def test_the_codes_are_the_best_or_nearly():
    for bits, dim in ((1, 50), (2, 40)):
        trellis = make(bits, 6)
        values = TRELLIS_SPREAD[bits] * normal(dim, 20).T
        least = np.array([least_error(trellis, row) for row in values.T.astype(np.float64)])
        found = np.square(search(trellis, values)[1].astype(np.float64) - values).sum(axis=0)
        assert (found >= least * 0.9999).all()
        assert found.sum() < 1.04 * least.sum()


@pytest.mark.parametrize(("bits", "gap"), [(1, 0.7), (2, 0.8), (3, 0.9), (4, 1.0), (5, 1.2)])
def test_error_is_near_the_limit_of_rate_and_distortion(bits, gap):
    """No code of b bits has a squared error below 4^-b for normal values (Shannon); decibels above that."""
    values = normal(200, 300)
    spread = TRELLIS_SPREAD[bits]
    levels = search(make(bits, 8), np.ascontiguousarray(spread * values.T))[1]
    error = np.square(levels.T / spread - values).mean()
    assert 0 < 10 * np.log10(error * 4**bits) < gap


def test_published_levels_fill_int8_and_ascend():
    for bits, half in TRELLIS_LEVELS.items():
        assert len(half) == 128
        assert half[-1] == 127
        assert list(half) == sorted(half)
        table = make(bits, 8).table()
        assert table.shape == (1 << (bits + 8),)
        # every level is used, and equally often
        assert np.array_equal(np.sort(table), np.repeat(trellis_levels(bits), 1 << bits))


# --- files ----------------------------------------------------------------------------------------------------------


def tokens(count):
    return [f"t{i}" for i in range(count)]


def relative_error(path, matrix):
    with qemb.open(path) as embedding:
        embedding.verify()
        return np.linalg.norm(embedding.matrix() - matrix) / np.linalg.norm(matrix)


@pytest.mark.parametrize("bits", range(1, 8))
def test_bits_choose_the_trellis_and_it_beats_the_codebook(tmp_path, bits):
    matrix = normal(64, 600) + 0.3
    qemb.write(tmp_path / "a.qemb", tokens(600), matrix, bits=bits)
    qemb.write(tmp_path / "b.qemb", tokens(600), matrix, bits=bits, effort=0)
    with qemb.open(tmp_path / "a.qemb") as one, qemb.open(tmp_path / "b.qemb") as other:
        assert (one.info.scheme, other.info.scheme) == ("trellis", "codebook")
    ratio = relative_error(tmp_path / "a.qemb", matrix) / relative_error(tmp_path / "b.qemb", matrix)
    assert ratio < (0.9 if bits < 6 else 0.97)


def test_more_effort_is_less_error(tmp_path):
    matrix = normal(100, 2000)
    errors = []
    for effort in (0, 1, 5, 9):
        qemb.write(tmp_path / "a.qemb", tokens(2000), matrix, bits=2, effort=effort)
        errors.append(relative_error(tmp_path / "a.qemb", matrix))
    assert errors == sorted(errors, reverse=True)


def test_the_same_file_in_batches_and_without_numba(tmp_path, monkeypatch):
    matrix = normal(70, 4500)
    qemb.write(tmp_path / "whole.qemb", tokens(4500), matrix, bits=2, effort=1)
    monkeypatch.setenv("QEMB_JIT", "0")
    with qemb.Writer(tmp_path / "parts.qemb", dim=70, bits=2, effort=1) as writer:
        for low in range(0, 4500, 700):
            writer.append(tokens(4500)[low : low + 700], matrix[low : low + 700])
    assert (tmp_path / "whole.qemb").read_bytes() == (tmp_path / "parts.qemb").read_bytes()


@pytest.mark.parametrize("scale", ["row", "table", "column", "block"])
def test_groups_of_scales(tmp_path, scale):
    matrix = normal(50, 500)
    qemb.write(tmp_path / "a.qemb", tokens(500), matrix, bits=4, scale=scale, block=20 if scale == "block" else None)
    assert relative_error(tmp_path / "a.qemb", matrix) < 0.085


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(12, 120), st.integers(0, 2**32 - 1))
def test_what_was_decoded_gets_the_same_codes_at_the_same_scales(bits, dim, seed):
    encoder = make_encoder(dim, Options(bits=bits, offset="none", scale_dtype="float32", window=bits + 6))
    tile = normal(dim, 70, seed)
    scales, codes = encoder.choose(tile)
    table = encoder.levels.astype(np.float32)
    levels = levels_of(Trellis(bits, 6, trellis_levels(bits).astype(np.float32)), codes.T).T
    assert np.isin(levels, table).all()
    again = encoder.codes(scales[:, None] * levels, scales[:, None])
    assert np.array_equal(levels_of(encoder._trellis, again.T).T, levels)


def test_a_row_of_zeros_has_scale_zero_and_no_negative_zero(tmp_path):
    matrix = normal(40, 100)
    matrix[7] = 0
    for bits in range(1, 8):
        qemb.write(tmp_path / "a.qemb", tokens(100), matrix, bits=bits, offset="none")
        with qemb.open(tmp_path / "a.qemb") as embedding:
            row = embedding.matrix(7, 8)
            assert not row.any()
            assert not np.signbit(row).any()


def test_small_tables_have_small_registers(tmp_path):
    windows = []
    for rows in (50, 1000, 8000):
        qemb.write(tmp_path / "a.qemb", tokens(rows), normal(60, rows), bits=4, effort=7)
        with qemb.open(tmp_path / "a.qemb") as embedding:
            windows.append(embedding.info.window)
            sections = embedding.info.sections
            assert sections["LEVL"] <= max(sections["CODE"] / 16, 1 << 10)
    assert windows == [10, 10, 13]
    qemb.write(tmp_path / "a.qemb", tokens(50), normal(20, 50), bits=4, window=13)
    with qemb.open(tmp_path / "a.qemb") as embedding:
        assert embedding.info.window == 13


def test_rows_too_short_or_too_long_for_a_trellis(tmp_path):
    for dim in (1, 11, (1 << 14) + 1):
        qemb.write(tmp_path / "a.qemb", ["a", "b"], normal(dim, 2), bits=4)
        with qemb.open(tmp_path / "a.qemb") as embedding:
            assert embedding.info.scheme == "codebook"
        with pytest.raises(qemb.InvalidError, match="a trellis is for 12 to 16,384") as caught:
            qemb.write(tmp_path / "a.qemb", ["a", "b"], normal(dim, 2), bits=4, scheme="trellis")
        assert caught.value.code == "invalid.option"
    qemb.write(tmp_path / "a.qemb", ["a", "b"], normal(12, 2), bits=4, effort=9)
    with qemb.open(tmp_path / "a.qemb") as embedding:
        assert (embedding.info.scheme, embedding.info.window) == ("trellis", 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 8, "scheme": "trellis"}, "bits=8 does not exist for trellis"),
        ({"bits": 4, "scheme": "trellis", "effort": 0}, "effort=0"),
        ({"bits": 4, "window": 9}, "window=9; it is 10 to 16 for rows of 50 values at 4 bits"),
        ({"bits": 4, "window": 17}, "window=17"),
        ({"bits": 4, "effort": 0, "window": 12}, "takes no window"),
        ({"bits": 8, "window": 12}, "takes no window"),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, message):
    with pytest.raises(qemb.InvalidError, match=message) as caught:
        qemb.write(tmp_path / "a.qemb", ["a"], normal(50, 1), **options)
    assert caught.value.code == "invalid.option"
    assert not list(tmp_path.iterdir())


# --- rotation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [64, 100])
def test_columns_that_stand_out_make_the_writer_rotate(tmp_path, dim):
    matrix = normal(dim, 800)
    path = tmp_path / "a.qemb"
    qemb.write(path, tokens(800), matrix, bits=4)
    with qemb.open(path) as embedding:
        assert embedding.info.transform == "none"
    clean = relative_error(path, matrix)
    matrix[:, [3, 50, 51]] *= 12
    qemb.write(path, tokens(800), matrix, bits=4)
    with qemb.open(path) as embedding:
        assert "hadamard" in embedding.info.transform
    assert relative_error(path, matrix) < 1.1 * clean
    qemb.write(path, tokens(800), matrix, bits=4, rotate=False)
    assert relative_error(path, matrix) > 1.5 * clean


@pytest.mark.parametrize(
    "options", [{"bits": 8}, {"bits": 3, "effort": 0}, {"bits": 2}, {"bits": 4, "scale": "column"}]
)
def test_rotation_asked_for(tmp_path, options):
    matrix = normal(33, 300) + 1
    qemb.write(tmp_path / "a.qemb", tokens(300), matrix, rotate=True, **options)
    assert "TRNS" in Container(tmp_path / "a.qemb").sections
    assert relative_error(tmp_path / "a.qemb", matrix) < {8: 0.02, 3: 0.2, 2: 0.25, 4: 0.1}[options["bits"]]
