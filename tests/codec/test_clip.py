"""Linear scales of least squared error: the largest values are cut off where that pays."""

from __future__ import annotations

import numpy as np
import pytest

import qemb

MATRIX = np.random.default_rng(0).standard_t(5, (60, 100)).astype(np.float32)


def squared_errors(path, **options):
    qemb.write(path, [str(row) for row in range(len(MATRIX))], MATRIX, scheme="linear", **options)
    with qemb.open(path) as embedding:
        embedding.verify()
        return np.square(embedding.matrix().astype(np.float64) - MATRIX).sum(axis=1)


def least_by_a_dense_search(bits):
    top = max(1, 2 ** (bits - 1) - 1)
    largest = np.abs(MATRIX).max(axis=1)
    least = np.full(len(MATRIX), np.inf)
    for factor in np.linspace(0.05, 1.0, 400):
        scale = (factor * largest / top)[:, None]
        levels = np.where(MATRIX < 0, -1, 1) if bits == 1 else np.clip(np.rint(MATRIX / scale), -top, top)
        np.minimum(least, np.square(MATRIX - scale * levels).sum(axis=1), out=least)
    return least


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8])
def test_the_scale_is_near_the_best_there_is(tmp_path, bits):
    path = tmp_path / "a.qemb"
    clipped, largest = squared_errors(path, bits=bits, clip=True), squared_errors(path, bits=bits)
    least = least_by_a_dense_search(bits)
    assert (clipped <= largest).all()
    assert (clipped > 0.999 * least).all()
    assert clipped.sum() < 1.04 * least.sum()


def test_by_block(tmp_path):
    path = tmp_path / "a.qemb"
    options = {"bits": 3, "scale": "block", "block": 20, "scale_dtype": "float32"}
    assert squared_errors(path, clip=True, **options).sum() < 0.95 * squared_errors(path, **options).sum()


@pytest.mark.parametrize(
    "options",
    [{"scheme": "linear", "scale": "table"}, {"scheme": "codebook", "bits": 4}, {"bits": 4}, {"scheme": "exact"}],
)
def test_where_it_does_not_fit(tmp_path, options):
    with pytest.raises(qemb.InvalidError, match="clip") as caught:
        qemb.write(tmp_path / "a.qemb", ["a"], MATRIX[:1], clip=True, **options)
    assert caught.value.code == "invalid.option"
