"""Pages and plots: they hold together, fetch nothing, escape what files say, and look as they should in a browser."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest

import qemb as codec
from qemb_tools.pictures import svg
from qemb_tools.pictures.chart import Chart, Series, number, round_ticks
from qemb_tools.pictures.page import table

HOSTILE = [
    "</script><script>document.title='stolen'</script>",
    "<img src=x onerror=\"document.title='stolen'\">",
    "]]></style></svg><script src='https://example.org/x.js'>",
    "&amp;\"'`",
    "\u202eright to left",
]
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Elements as they are nested, with what they are told and what they say."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.texts, self.ids = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))


def check(text):
    """Parse a page; it is whole, names nothing elsewhere, and says what its pictures show."""
    page = Page(text)
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    for tag, attributes in page.seen:
        assert not {"src", "href", "xlink:href", "srcset", "action", "background"} & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")], tag
        if tag == "svg" and "role" in attributes:
            assert set(attributes["aria-labelledby"].split()) <= set(page.ids)
    outside = "".join(data for tag, data in page.texts if tag in {"style", "script"})
    assert "url(" not in outside
    assert "@import" not in outside
    assert "//" not in outside.replace("http://www.w3.org/2000/svg", "")
    return page


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two tables whose most moved words are hostile, and have hostile names themselves."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    a = rng.normal(size=(60, 16)).astype(np.float32)
    b = a + rng.normal(scale=0.1, size=a.shape).astype(np.float32)
    b[: len(HOSTILE)] = rng.normal(size=(len(HOSTILE), 16))
    words = [*HOSTILE, *(f"w{i}" for i in range(60 - len(HOSTILE)))]
    paths = [folder / "<i>a&b.qemb", folder / "b.qemb"]
    for path, matrix in zip(paths, (a, b), strict=True):
        codec.write(path, words, matrix, scheme="float32")
    return paths


@pytest.fixture(scope="module")
def page(files):
    from qemb_tools.cli import main

    out = files[0].parent / "page.html"
    drawn = files[0].parent / "plots.svg"
    assert main(["compare", str(files[0]), str(files[1]), "--html", str(out), "--svg", str(drawn)]) == 0
    return out


def test_the_page_of_a_comparison(page):
    parsed = check(page.read_text(encoding="utf-8"))
    tags = [tag for tag, _ in parsed.seen]
    assert "script" not in tags
    assert "img" not in tags
    assert tags.count("svg") == tags.count("figure") == tags.count("details") == 6
    assert tags.count("title") > 6
    words = {data for tag, data in parsed.texts if tag == "td"}
    assert set(HOSTILE) <= words
    assert any(data == "b.qemb beside <i>a&b.qemb" for tag, data in parsed.texts if tag == "h1")
    assert "prefers-color-scheme: dark" in page.read_text(encoding="utf-8")


def test_plots_are_svg_with_the_figures_in_them(page):
    root = ET.fromstring((page.parent / "plots.svg").read_text(encoding="utf-8"))  # noqa: S314 - our own
    names = {"s": "http://www.w3.org/2000/svg"}
    assert len(root.findall(".//s:svg", names)) == 6
    described = root.findall(".//s:svg/s:desc", names)
    assert len(described) == 6
    assert all(len(each.text) > 20 for each in described)


def test_bars_are_as_high_as_their_figures():
    chart = Chart("t", "d", "x", "y", [Series("", [0, 1, 2, 3], [1, 2, 4], "bars")], y_range=(0, 5))
    root = ET.fromstring(svg.draw(chart, "c"))  # noqa: S314
    heights = [
        float(bar.get("height")) for bar in root.iter("{http://www.w3.org/2000/svg}rect") if "bar" in bar.get("class")
    ]
    np.testing.assert_allclose(np.array(heights) / heights[0], [1, 2, 4], rtol=0.01)


def test_points_stand_where_powers_of_two_are_even_steps():
    chart = Chart("t", "d", "x", "y", [Series("", [1, 2, 4, 8], [0, 1, 2, 3], "points")], x_log=True)
    root = ET.fromstring(svg.draw(chart, "c"))  # noqa: S314
    circles = list(root.iter("{http://www.w3.org/2000/svg}circle"))
    for place in ("cx", "cy"):
        steps = np.diff([float(circle.get(place)) for circle in circles])
        np.testing.assert_allclose(steps, steps[0], atol=0.11)
        assert abs(steps[0]) > 10
    assert [circle[0].text for circle in circles] == ["1, 0", "2, 1", "4, 2", "8, 3"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.991, 0.9994, ["0.992", "0.994", "0.996", "0.998"]),
        (0, 12_500, ["0", "5,000", "10,000"]),
        (-3, 3, ["-3", "-2", "-1", "0", "1", "2", "3"]),
    ],
)
def test_axes_are_marked_at_round_numbers(low, high, expected):
    ticks = round_ticks(low, high, 7 if low < 0 else 6)
    assert [label for _, label in ticks] == expected
    np.testing.assert_allclose([value for value, _ in ticks], [float(text.replace(",", "")) for text in expected])


def test_figures_are_written_with_four_digits():
    assert [number(x) for x in (3.0, 0.123456, 12345.6, float("nan"), 1e-7)] == ["3", "0.1235", "12,346", "–", "1e-07"]


def test_tables_escape_their_cells():
    assert '<td class="text">&lt;b&gt;</td><td>1.50</td>' in table(["a", "b"], [["<b>", 1.5]], ["", ".2f"])


def test_constant_tables_can_be_drawn(tmp_path):
    """No error, no difference, one dimension: spans of nothing."""
    from qemb_tools.cli import main

    path = str(tmp_path / "one.qemb")
    codec.write(path, ["a", "b", "c"], np.ones((3, 1), np.float32), scheme="float32")
    out = tmp_path / "out.html"
    assert main(["compare", path, path, "--html", str(out)]) == 0
    check(out.read_text(encoding="utf-8"))


def test_png_is_drawn_by_matplotlib(files, qemb, tmp_path):
    pytest.importorskip("matplotlib")
    odd = tmp_path / "$x^$y.qemb"  # what matplotlib would take for a formula
    odd.write_bytes(files[1].read_bytes())
    found = json.loads(qemb("compare", files[0], odd, "--png", "plots.png", "--json").stdout)
    assert (tmp_path / "plots.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert found["curve"]["sample"] == 60
    assert found["curve"]["bits"] == pytest.approx(32, abs=0.5)


def test_a_missing_extra_is_asked_for_before_anything_is_measured(files, qemb, tmp_path):
    hidden = tmp_path / "hidden" / "sitecustomize.py"
    hidden.parent.mkdir()
    hidden.write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'matplotlib' else find(name, package)\n"
    )
    result = qemb("compare", *files, "--png", "out.png", code=2, env={"PYTHONPATH": str(hidden.parent)})
    assert result.stderr == (
        'qemb: this needs matplotlib, which is not installed; run: pip install "qemb-format[plots]"\n'
    )


def test_one_name_for_two_files_is_refused(files, qemb):
    assert "names of their own" in qemb("compare", *files, "--html", "a", "--svg", "a", code=2).stderr


# --- in a browser ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [380, 1400])
def test_a_browser_shows_all_of_it(page, browse, tmp_path, width):
    """Nothing sticks out of a narrow screen or a wide one, and no word became markup."""
    probe = """
        const wide = [...document.querySelectorAll('body *')].filter((e) => !e.closest('.scroll, svg')
            && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.tagName);
        const small = [...document.querySelectorAll('svg')].filter((e) => e.getBoundingClientRect().width < 300);
        document.body.textContent = JSON.stringify({width: innerWidth, all: document.documentElement.scrollWidth, wide,
            small: small.length, title: document.title, dark: matchMedia('(prefers-color-scheme: dark)').matches});
    """
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    copy = tmp_path / "copy.html"
    copy.write_text(text.replace("</body>", f"<script>{probe}</script></body>"), encoding="utf-8")
    shown = browse(copy, f"--window-size={width},900", "--dump-dom")
    found = json.loads(unescape(re.search(r"<body>(.*)</body>", shown, re.DOTALL)[1]))
    assert found["wide"] == []
    assert found["all"] <= found["width"]
    assert found["small"] == 0
    assert found["title"] == "b.qemb beside <i>a&b.qemb"


def test_dark_is_dark(page, browse, tmp_path):
    darkness = []
    for scheme in (1, 0):
        out = tmp_path / f"{scheme}.png"
        browse(
            page,
            f"--screenshot={out}",
            "--window-size=400,300",
            f"--blink-settings=preferredColorScheme={scheme}",
        )
        darkness.append(np.mean(pixels(out.read_bytes())))
    light, dark = darkness
    assert light > 200
    assert dark < 60


def pixels(png):
    """The bytes of an 8-bit PNG, its filters undone."""
    from io import BytesIO

    image = pytest.importorskip("matplotlib.image")
    return image.imread(BytesIO(png))[..., :3] * 255
