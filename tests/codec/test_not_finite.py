"""NaN and infinities: refused by name of row and column where values are quantized, kept where they are stored."""

from __future__ import annotations

import numpy as np
import pytest

import qemb

ROWS = 9000  # three tiles
SCHEMES = [
    {"bits": 8},
    {"bits": 16},
    {"bits": 4},
    {"bits": 4, "effort": 0},
    {"bits": 2},
    {"bits": 8, "scale": "column"},
]


def in_batches(path, tokens, matrix, scheme):
    """Write in batches that are no whole tiles."""
    with qemb.Writer(path, dim=4, **scheme) as writer:
        for low in range(0, ROWS, 700):
            writer.append(tokens[low : low + 700], matrix[low : low + 700])


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize(("row", "value"), [(0, np.nan), (5000, np.inf), (8999, -np.inf)])
def test_refused(tmp_path, scheme, row, value):
    matrix = np.ones((ROWS, 4), np.float32)
    matrix[row, 2] = value
    tokens = [f"w{i}" for i in range(ROWS)]
    with pytest.raises(qemb.InvalidError) as caught:
        qemb.write(tmp_path / "table.qemb", tokens, matrix, **scheme)
    assert (caught.value.code, caught.value.where) == ("invalid.value", f"row {row}, column 2")
    assert str(value) in caught.value.message
    with pytest.raises(qemb.InvalidError) as caught:
        in_batches(tmp_path / "table.qemb", tokens, matrix, scheme)
    assert caught.value.where == f"row {row}, column 2"
    assert list(tmp_path.iterdir()) == []


def test_what_a_rotation_takes_past_float32(tmp_path):
    with pytest.raises(qemb.InvalidError, match="overflows") as caught:
        qemb.write(tmp_path / "table.qemb", ["a", "b"], np.full((2, 64), 3e38, np.float32), bits=4, rotate=True)
    assert caught.value.code == "invalid.value"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", ["float32", "exact"])
def test_kept(tmp_path, scheme):
    matrix = np.array([[np.nan, 1], [np.inf, -np.inf]], np.float32)
    qemb.write(tmp_path / "table.qemb", ["a", "b"], matrix, scheme=scheme)
    with qemb.open(tmp_path / "table.qemb") as embedding:
        assert np.array_equal(embedding.matrix().view(np.uint32), matrix.view(np.uint32))
