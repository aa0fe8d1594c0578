"""`qemb map`: principal components against numpy's eigenvectors, groups, and pages that hold what files say."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html import unescape

import numpy as np
import pytest

import qemb as codec
from qemb_tools import UsageError
from qemb_tools.pictures.map import map_page, map_svg
from qemb_tools.projection import make_map

HOSTILE = "</script></svg><script>document.title='stolen'</script>"
CONTROL = "bell \x07 and \x0b tab"
WORDS = [HOSTILE, "north", "south", *(f"w{i}" for i in range(97))]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("map")
    vectors = np.random.default_rng(2).normal(size=(100, 8)).astype(np.float32) * np.arange(8, 0, -1, np.float32)
    vectors[2] = -vectors[1]
    codec.write(folder / "table.qemb", WORDS, vectors, scheme="float32")
    return folder / "table.qemb"


@pytest.fixture(scope="module")
def embedding(file):
    with codec.open(file) as opened:
        yield opened


def test_principal_components_are_those_of_the_covariance(embedding):
    found = make_map(embedding, top=60)
    unit = embedding.matrix(0, 60).astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(np.cov(unit.T))
    expected = (unit - unit.mean(axis=0)) @ vectors[:, [-1, -2]]
    plane = np.array([(place.x, place.y) for place in found.places])
    np.testing.assert_allclose(np.abs(plane), np.abs(expected), atol=1e-5)
    assert plane[np.abs(plane).argmax(axis=0), [0, 1]].min() > 0
    assert f"{values[-2:].sum() / values.sum():.0%}" in found.how
    assert [place.word for place in found.places] == WORDS[:60]


def test_words_come_with_their_neighbours(embedding):
    found = make_map(embedding, ["north", "south", "north"], top=5)
    assert found.groups == ["north", "south"]
    near = {word: {other for other, _ in embedding.nearest(word, k=5)} for word in found.groups}
    assert {place.word for place in found.places} == set(found.groups) | near["north"] | near["south"]
    # one is the other's opposite, so no neighbour is nearer to the other
    for place in found.places:
        assert place.word in near[found.groups[place.group]] | {found.groups[place.group]}
    assert [place.word for place in found.places if place.asked] == found.groups


def test_few_words_make_no_map(tmp_path):
    codec.write(tmp_path / "two.qemb", ["a", "b"], np.eye(2, dtype=np.float32))
    with codec.open(tmp_path / "two.qemb") as two, pytest.raises(UsageError, match="a map of 2 words"):
        make_map(two)


def test_a_plane_of_one_dimension_has_one_axis(tmp_path):
    codec.write(tmp_path / "flat.qemb", list("abcd"), np.array([[1], [2], [-3], [4]], np.float32), scheme="float32")
    with codec.open(tmp_path / "flat.qemb") as flat:
        found = make_map(flat)
    assert {place.y for place in found.places} == {0}
    ET.fromstring(map_svg(found))  # noqa: S314 - our own


def test_a_picture_shows_every_point_and_the_words_asked_for(embedding):
    found = make_map(embedding, ["north", HOSTILE], top=20)
    root = ET.fromstring(map_svg(found))  # noqa: S314
    dots, names = root.findall("{http://www.w3.org/2000/svg}g")
    assert len(dots) == len(found.places)
    written = [name.text for name in names]
    assert {"north", HOSTILE} <= set(written) <= {place.word for place in found.places}


def test_control_characters_leave_a_picture_well_formed(tmp_path):
    codec.write(tmp_path / "odd.qemb", [CONTROL, "b", "c"], np.eye(3, dtype=np.float32))
    with codec.open(tmp_path / "odd.qemb") as odd:
        root = ET.fromstring(map_svg(make_map(odd, [CONTROL])))  # noqa: S314 - our own
    assert "bell \ufffd and \ufffd tab" in [name.text for name in root[-1]]


def test_a_page_escapes_words(embedding):
    page = map_page(make_map(embedding, [HOSTILE, "north"], top=20), "<i>")
    assert page.count("<script>") == page.count("</script>") == 1
    assert "stolen" not in re.search(r"<script>(.*)</script>", page, re.DOTALL)[1]
    assert not re.search(r"""\s(src|href)=|url\(|@import|https?://""", page.replace("http://www.w3.org/2000/svg", ""))


def test_the_command(qemb, file, tmp_path):
    for name, start in (("m.html", b"<!DOCTYPE html>"), ("m.svg", b"<svg "), ("m.png", b"\x89PNG")):
        if name == "m.png":
            pytest.importorskip("matplotlib")
        assert "26 words" in qemb("map", file, "north", "-o", name).stdout
        assert (tmp_path / name).read_bytes().startswith(start)
    assert len(qemb("map", file, "--top", 7).stdout.splitlines()) == 7
    assert len(json.loads(qemb("map", file, "--top", 7, "--json").stdout)["places"]) == 7


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["nort"], 1, "did you mean north"),
        (["--top", "0"], 2, "--top 0 asks for no words"),
        (["-o", "map.gif"], 2, "says no kind of picture; it ends in .html, .svg, .png"),
        (["--top", "2"], 2, "a map of 2 words"),
    ],
)
def test_what_cannot_be_drawn(qemb, file, options, code, message):
    assert message in qemb("map", file, *options, code=code).stderr


def test_umap_keeps_neighbours_together(embedding):
    pytest.importorskip("umap", reason='not run: umap-learn is not installed; pip install "qemb-format[map]"')
    found = make_map(embedding, ["north", "south"], top=12, method="umap")
    places = np.array([(place.x, place.y) for place in found.places])
    groups = np.array([place.group for place in found.places])
    middle = [places[groups == group].mean(axis=0) for group in (0, 1)]
    spread = max(np.linalg.norm(places[groups == group] - middle[group], axis=1).mean() for group in (0, 1))
    assert np.linalg.norm(middle[0] - middle[1]) > spread


@pytest.mark.parametrize("width", [380, 1400])
def test_a_browser_zooms_and_finds(embedding, browse, tmp_path, width):
    page = map_page(make_map(embedding, [HOSTILE, "north"], top=30), "table")
    probe = """
        const shown = () => [...document.querySelectorAll('.names text')].filter((e) =>
            getComputedStyle(e).visibility === 'visible').length;
        addEventListener('load', () => {
            const before = shown();
            for (let i = 0; i < 6; i++) document.getElementById('closer').click();
            search.value = 'NORTH'; search.dispatchEvent(new Event('input'));
            const results = {before, all: words.length, found: found.textContent, title: document.title,
                wanted: [...document.querySelectorAll('.names .wanted')].map((e) => e.textContent),
                wide: document.documentElement.scrollWidth <= innerWidth};
            document.body.textContent = JSON.stringify(results);
        });
    """
    copy = tmp_path / "map.html"
    copy.write_text(page.replace("</body>", f"<script>{probe}</script></body>"), encoding="utf-8")
    shown = browse(copy, f"--window-size={width},900", "--dump-dom")
    found = json.loads(unescape(re.search(r"<body>(.*)</body>", shown, re.DOTALL)[1]))
    assert found["title"].startswith("Words near </script>")
    assert found["found"] == "1 found"
    assert found["wanted"] == ["north"]
    assert 2 <= found["before"] <= found["all"]
    assert found["wide"]
