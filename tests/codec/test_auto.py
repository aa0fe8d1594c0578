"""A scheme chosen by what the file may weigh, or by how many neighbours have to come back."""

from __future__ import annotations

import numpy as np
import pytest

import qemb
from qemb.encode.auto import Budget, nearest


def table(rows=3000, dim=64, seed=0):
    """Clusters, so that neighbours mean something."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(rows // 20, dim))
    return (centres[rng.integers(0, len(centres), rows)] + 0.6 * rng.normal(size=(rows, dim))).astype(np.float32)


def write(path, matrix, **options):
    with qemb.Writer(path, dim=matrix.shape[1], **options) as writer:
        writer.append([f"word{i}" for i in range(len(matrix))], matrix)
    return writer.reason


def recall(path, matrix):
    """Share of the ten nearest rows that are among the ten nearest of the decoded table; by a plain loop."""

    def ten(vectors):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        scores = unit @ unit.T
        np.fill_diagonal(scores, -2)
        return np.argsort(-scores, axis=1)[:, :10]

    with qemb.open(path) as embedding:
        pairs = zip(ten(matrix), ten(embedding.matrix()), strict=True)
        return np.mean([len(set(one) & set(other)) / 10 for one, other in pairs])


def test_neighbours_are_those_of_highest_cosine():
    matrix = table(200)
    matrix[7] = 0
    queries = np.arange(0, 200, 3)
    unit = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-30)
    for query, found in zip(queries, nearest(matrix, queries), strict=True):
        scores = unit @ unit[query]
        scores[query] = -2
        assert np.allclose(np.sort(scores[found]), np.sort(scores)[-10:], atol=1e-6)


def test_the_smallest_file_with_the_recall_asked_for(tmp_path):
    matrix, path = table(), tmp_path / "a.qemb"
    reason = write(path, matrix, min_recall=0.8)
    with qemb.open(path) as embedding:
        bits = embedding.info.bits
    assert f"{bits} bits (trellis): recall@10 0." in reason
    assert f"{bits - 1} bits (trellis) would give 0." in reason
    assert recall(path, matrix) > 0.78
    write(path, matrix, bits=bits - 1)
    assert recall(path, matrix) < 0.8


@pytest.mark.parametrize("most", [120_000, 170_000, 250_000])
def test_the_best_that_fits(tmp_path, most):
    matrix, path = table(), tmp_path / "a.qemb"
    reason = write(path, matrix, max_bytes=most)
    assert path.stat().st_size <= most
    with qemb.open(path) as embedding:
        embedding.verify()
        bits = embedding.info.bits
    assert reason.startswith(f"{bits} bit")
    write(path, matrix, bits=bits + 1)
    assert path.stat().st_size > most


def test_what_compression_saves_is_counted(tmp_path):
    matrix, path = table(), tmp_path / "a.qemb"
    write(path, matrix, bits=4, compress=True)
    size = path.stat().st_size
    reason = write(path, matrix, max_bytes=int(1.15 * size), compress=True)
    assert reason.startswith("4 bits")
    assert path.stat().st_size == size


def test_exact_where_it_fits(tmp_path):
    matrix, path = table(500).round(2), tmp_path / "a.qemb"
    assert "nothing is lost" in write(path, matrix, max_bytes=10_000_000)
    with qemb.open(path) as embedding:
        assert np.array_equal(embedding.matrix(), matrix)


def test_what_cannot_be_had_is_said_with_the_nearest(tmp_path):
    matrix, path = table(500), tmp_path / "a.qemb"
    with pytest.raises(qemb.InvalidError, match=r"1 bit \(trellis\) takes .* bytes already"):
        write(path, matrix, max_bytes=100)
    with pytest.raises(qemb.InvalidError, match=r"recall@10 is 0\.\d+ \(\d bits? \(trellis\)\), below 0.999"):
        write(path, matrix, max_bytes=40_000, min_recall=0.999)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [
        {"bits": 4, "max_bytes": 1000},
        {"scheme": "linear", "min_recall": 0.9},
        {"max_bytes": 0},
        {"min_recall": 1.5},
        {"min_recall": 0.0},
        {"scheme": "auto", "window": 3},
    ],
)
def test_options_that_do_not_fit(tmp_path, options):
    with pytest.raises(qemb.InvalidError) as caught:
        qemb.Writer(tmp_path / "a.qemb", dim=50, **options)
    assert caught.value.code == "invalid.option"


def test_tables_too_small_to_measure(tmp_path):
    for rows in (0, 1, 2, 11):
        write(tmp_path / "a.qemb", table(20)[:rows], scheme="auto")
        with qemb.open(tmp_path / "a.qemb") as embedding:
            assert len(embedding) == rows
    assert Budget(max_bytes=5).min_recall is None
