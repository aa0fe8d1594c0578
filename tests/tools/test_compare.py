"""`qemb compare`: its figures by hand and by scipy, and what it does with odd tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import qemb as codec
from qemb_tools.compare import compare

WORDS = [f"word{i}" for i in range(300)]


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(3)
    a = rng.normal(size=(300, 12)).astype(np.float32)
    b = a + rng.normal(scale=0.2, size=a.shape).astype(np.float32)
    b[7] = -a[7]
    return a, b


@pytest.fixture(scope="module")
def files(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    for name, table in zip("ab", tables, strict=True):
        codec.write(folder / f"{name}.qemb", WORDS, table, scheme="float32")
    return str(folder / "a.qemb"), str(folder / "b.qemb")


@pytest.fixture(scope="module")
def result(files):
    return compare(*files)


def cosines(a, b):
    a, b = a.astype(float), b.astype(float)
    return np.array([x @ y / np.sqrt((x @ x) * (y @ y)) for x, y in zip(a, b, strict=True)])


def near(table, row):
    order = np.argsort(-cosines(np.broadcast_to(table[row], table.shape), table), kind="stable")
    return [other for other in order.tolist() if other != row]


def test_errors_and_cosines_are_those_of_numpy(result, tables):
    a, b = (table.astype(float) for table in tables)
    assert result.relative_error == pytest.approx(np.linalg.norm(a - b) / np.linalg.norm(a), rel=1e-6)
    assert result.mean_cosine == pytest.approx(cosines(a, b).mean(), rel=1e-6)
    by_column = np.linalg.norm(a - b, axis=0) / np.linalg.norm(a, axis=0)
    np.testing.assert_allclose(result.dimension_errors, by_column, rtol=1e-6)


def test_recall_is_that_of_neighbours_found_one_by_one(result, tables):
    a, b = tables
    shares = [len(set(near(a, row)[:10]) & set(near(b, row)[:10])) / 10 for row in range(300)]
    assert result.queries == 300
    assert result.recall == pytest.approx(np.mean(shares))
    (first, rest) = result.bands
    assert (first.first, first.last, rest.first, rest.last) == (1, 100, 101, 300)
    assert first.queries == 100
    assert first.recall == pytest.approx(np.mean(shares[:100]))


def test_histograms_count_every_word(result, tables):
    errors = np.linalg.norm(tables[0].astype(float) - tables[1], axis=1) / np.linalg.norm(tables[0], axis=1)
    for histogram, values in ((result.errors, errors), (result.cosines, cosines(*tables))):
        assert sum(histogram.counts) == 300
        assert len(histogram.edges) == len(histogram.counts) + 1
        middle = np.quantile(values, 0.5)
        below = sum(c for c, edge in zip(histogram.counts, histogram.edges[1:], strict=True) if edge <= middle)
        assert below <= 150


def test_the_word_that_turned_round_moved_most(result, tables):
    first = result.moved[0]
    assert (first.word, first.row) == ("word7", 8)
    assert first.cosine == pytest.approx(-1)
    assert first.error == pytest.approx(2)
    assert first.near_a == [WORDS[row] for row in near(tables[0], 7)[:3]]
    assert first.near_b == [WORDS[row] for row in near(tables[1], 7)[:3]]
    np.testing.assert_allclose([word.cosine for word in result.moved], sorted(cosines(*tables))[:20], rtol=1e-6)


def test_rank_correlation_is_scipys(tmp_path):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 60, 5)).astype(np.float32)
    words = [f"w{i}" for i in range(60)]
    for name, table in (("a", a), ("b", b)):
        codec.write(tmp_path / f"{name}.qemb", words, table, scheme="float32")
    pairs = [(i, j) for i in range(60) for j in range(i)]
    lines = [f"{words[i].upper()}\t{words[j]}\t{rng.integers(0, 10)}" for i, j in pairs]
    (tmp_path / "people.tsv").write_text("# heading\n" + "\n".join([*lines, "absent\tw1\t3"]))
    result = compare(str(tmp_path / "a.qemb"), str(tmp_path / "b.qemb"), sets=[str(tmp_path / "people.tsv")])
    people = [float(line.split("\t")[2]) for line in lines]
    of_a, of_b = (cosines(*(table[list(side)] for side in zip(*pairs, strict=True))) for table in (a, b))
    (found,) = result.sets
    assert (found.name, found.pairs, found.pairs_in_set) == ("people", len(pairs), len(pairs) + 1)
    assert found.a_with_people == pytest.approx(stats.spearmanr(of_a, people)[0], abs=1e-4)
    assert found.b_with_people == pytest.approx(stats.spearmanr(of_b, people)[0], abs=1e-4)
    assert found.a_with_b == pytest.approx(stats.spearmanr(of_a, of_b)[0], abs=1e-4)
    # 20,000 draws of 1,770 pairs are nearly all of them, equally often
    assert result.rank_correlation == pytest.approx(found.a_with_b, abs=0.03)


def test_sizes_and_bits(result, files, tmp_path, tables):
    assert result.size_a == Path(files[0]).stat().st_size
    assert result.bits_a == pytest.approx(32, abs=0.1)  # and a descriptor
    text = tmp_path / "a.txt"
    rows = [" ".join([w, *map(str, v)]) for w, v in zip(WORDS, tables[0].tolist(), strict=True)]
    text.write_text("300 12\n" + "\n".join(rows) + "\n")
    other = compare(str(text), files[0])
    assert other.relative_error == 0
    assert other.moved == []
    assert other.bits_a == pytest.approx(8 * text.stat().st_size / (300 * 12))


@pytest.mark.parametrize("change", ["zeros", "same", "infinite"])
def test_odd_tables_have_figures(tmp_path, tables, change):
    a, b = (table[:20].copy() for table in tables)
    a[3] = b[4] = 0
    if change == "same":
        b = a
    if change == "zeros":
        b[:] = 0
    if change == "infinite":
        b[5, 1] = np.inf
    for name, table in (("a", a), ("b", b)):
        codec.write(tmp_path / f"{name}.qemb", WORDS[:20], table, scheme="float32")
    result = compare(str(tmp_path / "a.qemb"), str(tmp_path / "b.qemb"))
    assert result.shared == 20
    assert result.recall == 1 if change == "same" else result.recall < 1
    assert sum(result.cosines.counts) == {"same": 19, "zeros": 0, "infinite": 17}[change]


def test_everything_is_in_the_json(qemb, files):
    found = json.loads(qemb("compare", *files, "--json").stdout)
    assert {"rank_correlation", "moved", "bands", "dimension_errors", "errors", "cosines", "size_a", "bits_b"} <= set(
        found
    )
    assert found["moved"][0]["word"] == "word7"
    assert "curve" not in found


def test_a_notebook_shows_the_figures(result):
    shown = result._repr_html_()
    assert shown.startswith("<table>")
    assert f"{result.relative_error:.6f}" in shown
