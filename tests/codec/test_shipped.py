"""Files that are shipped: with ``compress=True``, bits are those on disk."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import qemb
from qemb.encode import shipped


def tokens(rows):
    return [str(row) for row in range(rows)]


def normal(rows, dim, seed=0):
    """Rows of a normal distribution, of different lengths, around a mean."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(rows, dim)) * rng.uniform(0.5, 2, (rows, 1)) + rng.normal(size=dim)).astype(np.float32)


def decode_trellis(sections, rows, dim):
    """Sections 6.3.2 and 6.4 of the specification, code by code."""
    level, bits, low_bits = sections["QUAN"][0][:3]
    window, shift = sections["QUAN"][0][20:22]
    assert (level, bits, low_bits) == (1, 8, 8)
    memory = window - bits
    levels = np.frombuffer(sections["LEVL"][0], np.int8)
    scales, mean = np.frombuffer(sections["SCAL"][0], np.float16), np.frombuffer(sections["OFFS"][0], np.float32)
    out = np.empty((rows, dim), np.float32)
    for i in range(rows):
        codes = sections["CODE"][0][i * dim : (i + 1) * dim]
        register = 0
        for j in range(-memory, dim):
            code = codes[j % dim]
            if j >= 0:
                out[i, j] = mean[j] + np.float32(scales[i]) * np.float32(levels[code << memory | register])
            register = register >> shift | (code & (1 << shift) - 1) << memory - shift
    return out


@pytest.mark.parametrize("bits", range(2, 9))
def test_a_value_takes_the_bits_asked_for(tmp_path, bits):
    """And the error is as near to the rate-distortion bound, 6.02 dB a bit, as entropy coding may be expected to come.

    1.53 dB without the trellis (at 2 bits, and 6 to 8), about 0.5 with it; 0.1 bits for scales and for Huffman's whole
    bits are 0.6 dB more.
    """
    matrix = normal(20_000, 96)
    qemb.write(tmp_path / "a.qemb", tokens(20_000), matrix, bits=bits, compress=True)
    with qemb.open(tmp_path / "a.qemb") as embedding:
        embedding.verify()
        assert bits - 0.1 < embedding.info.bits_per_value < bits + 0.01
        decoded = embedding.matrix()
    rows = matrix - matrix.mean(axis=0)
    share = np.mean(np.sum((decoded - matrix) ** 2, axis=1) / np.sum(rows**2, axis=1))
    above = 10 * np.log10(share) + 20 * np.log10(2) * bits
    assert above < {3: 2.1, 4: 1.5, 5: 1.4}.get(bits, 2.7)


def test_the_trellis_decodes_as_the_specification_says(tmp_path, read_sections):
    matrix = normal(4000, 40)
    qemb.write(tmp_path / "a.qemb", tokens(4000), matrix, bits=4, compress=True)
    sections = read_sections(tmp_path / "a.qemb")
    assert sections["CODE"][2] == 1
    with qemb.open(tmp_path / "a.qemb") as embedding:
        assert embedding.info.scheme == "trellis"
        assert embedding.matrix(0, 200).tobytes() == decode_trellis(sections, 200, 40).tobytes()


def test_the_search_finds_what_trying_every_register_finds():
    """For each register a row may begin and end with, dynamic programming over all paths, in plain Python."""
    values = np.random.default_rng(3).normal(size=(20, 100)).astype(np.float32) * 6
    table = shipped.trellis_table().reshape(256, 8).astype(float)
    codes = shipped._search(values, np.ones((20, 1), np.float32), shipped._classes())
    found = best = 0.0
    for row, chosen in zip(values.astype(float), codes, strict=True):
        register = sum((int(code) & 1) << age for age, code in enumerate(chosen[-3:]))
        for value, code in zip(row, chosen, strict=True):
            found += (value - table[code, register]) ** 2
            register = register >> 1 | (int(code) & 1) << 2
        branches = {
            (register, bit): np.min((row[:, None] - table[bit::2, register]) ** 2, axis=1)
            for register, bit in product(range(8), (0, 1))
        }
        totals = []
        for first in range(8):
            costs = {first: 0.0}
            for step in range(100):
                after = {}
                for (register, bit), cost in branches.items():
                    if register in costs:
                        to = register >> 1 | bit << 2
                        after[to] = min(after.get(to, np.inf), costs[register] + cost[step])
                costs = after
            totals.append(costs[first])
        best += min(totals)
    assert best * (1 - 1e-5) <= found < 1.03 * best


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 30), st.integers(1, 20)), elements=st.floats(-1e6, 1e6, width=32)),
    st.integers(2, 8),
)
@settings(max_examples=40, deadline=None)
def test_any_table_can_be_written(tmp_path_factory, matrix, bits):
    path = tmp_path_factory.mktemp("shipped") / "a.qemb"
    qemb.write(path, tokens(len(matrix)), matrix, bits=bits, compress=True)
    with qemb.open(path) as embedding:
        embedding.verify()
        assert np.isfinite(embedding.matrix()).all()


def test_rows_of_zeros_stay_zero_and_rows_alike_cost_nothing(tmp_path):
    matrix = np.zeros((3000, 60), np.float32)
    qemb.write(tmp_path / "a.qemb", tokens(3000), matrix, bits=4, compress=True)
    with qemb.open(tmp_path / "a.qemb") as embedding:
        assert embedding.matrix().tobytes() == matrix.tobytes()
        assert embedding.info.bits_per_value < 0.2


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_what_cannot_be_quantized_is_refused(tmp_path, value):
    matrix = normal(50, 8)
    matrix[41, 3] = value
    with pytest.raises(qemb.InvalidError, match="row 41, column 3"):
        qemb.write(tmp_path / "a.qemb", tokens(50), matrix, bits=4, compress=True)


def test_batches_and_threads_make_no_difference(tmp_path, monkeypatch):
    matrix = normal(5000, 30)
    qemb.write(tmp_path / "whole.qemb", tokens(5000), matrix, bits=3, compress=True)
    monkeypatch.setenv("QEMB_THREADS", "1")
    monkeypatch.setattr(shipped, "_LANES", 300)
    with qemb.Writer(tmp_path / "parts.qemb", dim=30, bits=3, compress=True) as writer:
        for low in range(0, 5000, 901):
            writer.append(tokens(5000)[low : low + 901], matrix[low : low + 901])
    assert (tmp_path / "parts.qemb").read_bytes() == (tmp_path / "whole.qemb").read_bytes()


def test_numba_gives_the_same_file(tmp_path, monkeypatch):
    pytest.importorskip("numba")
    matrix = normal(5000, 60)
    matrix[17] = 0
    for name, switch in (("numba.qemb", "1"), ("numpy.qemb", "0")):
        monkeypatch.setenv("QEMB_JIT", switch)
        qemb.write(tmp_path / name, tokens(5000), matrix, bits=4, compress=True)
    assert (tmp_path / "numba.qemb").read_bytes() == (tmp_path / "numpy.qemb").read_bytes()


def test_other_options_choose_the_scheme_as_ever(tmp_path):
    matrix = normal(300, 30)
    qemb.write(tmp_path / "a.qemb", tokens(300), matrix, bits=4, scheme="linear", compress=True)
    with qemb.open(tmp_path / "a.qemb") as embedding:
        assert (embedding.info.scheme, embedding.info.bits) == ("linear", 4)
