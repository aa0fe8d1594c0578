"""`qemb sweep`: figures against files written by hand, and the reasons of its recommendation."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import qemb as codec
from qemb_tools import UsageError
from qemb_tools.sweep import Point, read_sample, recommend, sweep


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    vectors = np.random.default_rng(0).normal(size=(900, 20)).astype(np.float32)
    codec.write(folder / "table.qemb", [f"w{i}" for i in range(900)], vectors, scheme="float32")
    return folder / "table.qemb"


@pytest.fixture(scope="module")
def found(file):
    return sweep(str(file), bits=(8, 4), sample=300, queries=100)


def test_the_sample_is_of_rows_all_over_the_file(file):
    vectors, rows = read_sample(str(file), 300)
    with codec.open(file) as emb:
        whole = emb.matrix()
    assert rows == 900
    assert len(vectors) == 300
    places = [int(np.flatnonzero((whole == row).all(axis=1))[0]) for row in vectors]
    assert places == sorted(set(places))
    assert min(places) < 10
    assert max(places) > 890
    everything, _ = read_sample(str(file), 5000)
    np.testing.assert_array_equal(everything, whole)


def test_every_family_is_there(found):
    families = {(point.family, point.scheme, point.bits) for point in found.points if not point.peer}
    assert families == {
        ("exact", "exact", 32),
        ("qemb", "linear", 8),
        ("qemb", "trellis", 4),
        ("qemb, compressed", "compressed", 8),
        ("qemb, compressed", "compressed", 4),
        ("qemb codebook", "codebook", 4),
        ("qemb linear", "linear", 8),
        ("qemb linear", "linear", 4),
    }
    peers = {point.name for point in found.points if point.peer}
    assert "NF4, blocks of 64" in peers


@pytest.mark.parametrize("family", ["qemb", "qemb codebook", "qemb, compressed"])
def test_figures_are_those_of_a_file_written_so(found, file, tmp_path, family):
    point = next(p for p in found.points if p.family == family and p.bits == 4)
    vectors, _ = read_sample(str(file), 300)
    options = {"qemb": {}, "qemb codebook": {"scheme": "codebook"}, "qemb, compressed": {"compress": True}}[family]
    codec.write(tmp_path / "out.qemb", [str(i) for i in range(300)], vectors, bits=4, **options)
    with codec.open(tmp_path / "out.qemb") as emb:
        decoded = emb.matrix().astype(float)
        levels = emb.info.sections.get("LEVL", 0)
        bits = emb.info.bits_per_value
    wide = vectors.astype(float)
    lengths = np.linalg.norm(wide, axis=1) * np.linalg.norm(decoded, axis=1)
    assert point.cosine == pytest.approx(np.mean((wide * decoded).sum(axis=1) / lengths), rel=1e-6)
    assert point.error == pytest.approx(np.linalg.norm(wide - decoded) / np.linalg.norm(wide), rel=1e-6)
    # levels are stored once, for 900 rows as for 300
    assert point.bits_a_value == pytest.approx(bits - 8 * levels / 20 * (1 / 300 - 1 / 900), abs=1e-3)


def test_exact_loses_nothing(found):
    exact = found.points[0]
    assert (exact.recall, exact.error) == (1, 0)
    assert exact.cosine == pytest.approx(1)


def test_product_codes_weigh_their_codebooks_once(file):
    pytest.importorskip("faiss")
    point = next(p for p in sweep(str(file), bits=(4,), sample=600, queries=50).points if p.family == "faiss PQ")
    # ten codes of 8 bits a row, and 256 float32 centroids of each pair of the 20 columns for all 900 rows
    assert point.bits_a_value == pytest.approx((900 * 80 + 32 * 256 * 20) / (900 * 20))


A_POINT = Point("qemb", "trellis", 4, 4.0, 0.92, 0.99, 0.07, 1.0, arguments="--bits 4")
POINTS = [
    replace(
        A_POINT, scheme="exact", family="exact", bits=32, bits_a_value=16.0, recall=1.0, arguments="--scheme exact"
    ),
    A_POINT,
    replace(A_POINT, bits=2, bits_a_value=2.0, recall=0.6, arguments="--bits 2"),
    replace(A_POINT, family="faiss PQ", scheme="faiss PQ, 3 bits", bits=3, bits_a_value=3.0, recall=0.95, peer=True),
]


def test_the_recommendation_gives_its_reasons():
    assert recommend(POINTS, 0.9) == (
        "4 bits (trellis): recall@10 0.920, cosine 0.9900, at 1/8.0 of float32's size; 2 bits (trellis) would give "
        "0.600 at 1/16.0. To write it: qemb convert FILE OUT.qemb --bits 4"
    )
    assert recommend(POINTS, 0.5).startswith("2 bits (trellis)")
    assert recommend(POINTS, 0.99).startswith("exact: recall@10 1.000")
    assert recommend(POINTS, 0.99).endswith("--scheme exact")
    shipped = replace(A_POINT, scheme="compressed", bits_a_value=3.9, recall=0.91, arguments="--bits 4 --compress")
    assert "to be shipped, --bits 4 --compress gives 0.910 at 1/8.2" in recommend([*POINTS, shipped], 0.9)


def test_of_equal_bits_the_better_is_recommended():
    worse = replace(A_POINT, family="qemb codebook", scheme="codebook", bits_a_value=3.9, recall=0.91)
    assert recommend([*POINTS, worse], 0.9).startswith("4 bits (trellis)")
    nearly = [POINTS[0], replace(A_POINT, recall=0.899)]
    assert recommend(nearly, 0.9).startswith("4 bits (trellis): recall@10 0.899")


def test_exact_is_recommended_where_it_is_smaller():
    smaller = [replace(POINTS[0], bits_a_value=3.0), *POINTS[1:]]
    assert recommend(smaller, 0.9).startswith("exact")


def test_what_it_advises_can_be_written(found, file, qemb):
    command = found.recommendation.rpartition("qemb convert FILE OUT.qemb ")[2].split()
    qemb("convert", file, "out.qemb", *command)


def test_the_command(qemb, file, tmp_path):
    options = ["--bits", "4,2", "--sample", 200, "--queries", 50, "--html", "page.html", "--svg", "plots.svg"]
    shown = qemb("sweep", file, *options, "--json").stdout
    found = json.loads(shown)
    assert found["sample"] == 200
    assert found["rows"] == 900
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert found["recommendation"].replace("'", "&#x27;") in page
    assert page.count("<svg") == 2
    printed = qemb("sweep", file, "--bits", "2", "--sample", 100).stdout
    assert "2 bits (trellis)" in printed
    assert "qemb convert FILE OUT.qemb" in printed.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bits", "4,x"], "names no widths"),
        (["--bits", "9"], "names no widths"),
        (["--sample", "1"], "a sample of 1 rows"),
        (["--recall", "2"], "--recall a share"),
    ],
)
def test_what_cannot_be_asked(qemb, file, options, message):
    assert message in qemb("sweep", file, *options, code=2).stderr


def test_few_rows_have_no_ten_neighbours(tmp_path, qemb):
    codec.write(tmp_path / "few.qemb", ["a", "b", "c"], np.eye(3, dtype=np.float32))
    assert "recall of 10 neighbours needs 12" in qemb("sweep", "few.qemb", code=1).stderr


def test_a_sample_of_nothing_is_refused(file):
    with pytest.raises(UsageError, match="says nothing"):
        read_sample(str(file), 0)
