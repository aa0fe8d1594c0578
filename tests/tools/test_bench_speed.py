"""The benchmarks of speed run on small tables, say what is missing, and judge figures as arithmetic does."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from qemb_tools.bench import __main__ as bench
from qemb_tools.bench import options, parts
from qemb_tools.bench.speed import measure, pages, process, scale, verdict
from qemb_tools.bench.speed.engines import ENGINES
from qemb_tools.bench.speed.figures import Figures
from qemb_tools.cli import main as qemb


@pytest.fixture(scope="module")
def glove(tmp_path_factory):
    """GloVe text of 400 words x 20."""
    path = tmp_path_factory.mktemp("speed") / "glove.txt"
    vectors = np.random.default_rng(3).normal(size=(400, 20))
    with path.open("w", encoding="utf-8") as file:
        for row, vector in enumerate(vectors):
            print(f"w{row}", *(f"{value:.5g}" for value in vector), file=file)
    return path


@pytest.fixture
def run(glove, tmp_path, capsys):
    """``run(part, *options)`` of the command, one turn a side: its rows, and what it printed."""

    def run_part(part, *arguments):
        saved = tmp_path / "figures.json"
        options = ["--glove", str(glove), "--table", "glove", "--repeat", "1", "--json", str(saved), *arguments]
        assert qemb(["bench", part, *options]) == 0
        return json.loads(saved.read_text(encoding="utf-8"))["rows"], capsys.readouterr().out

    return run_part


# --- parts ----------------------------------------------------------------------------------------------------------


def test_open_times_files_in_and_out_of_the_cache(run):
    pytest.importorskip("gensim")
    rows, printed = run("open", "--only", "8 bits", "--only", "native", "--only", "SQLite")
    sides = ["qemb, 8 bits", "gensim, native, mmap", "SQLite"]
    assert [(row["side"], row["state"]) for row in rows if row["what"] == "first vector"] == [
        (side, state) for state in ("warm", "cold") for side in sides
    ]
    assert [row["side"] for row in rows if row["what"] == "import"] == ["import numpy", "import qemb", "import gensim"]
    assert all(row["median"] > 0 and row["threads"] == 1 for row in rows)
    assert "| **qemb, 8 bits** " in printed
    assert "GloVe, 400 x 20:" in printed


def test_lookup_times_a_word_and_many(run):
    rows, _ = run("lookup", "--only", "8 bits", "--only", "words")
    assert {(row["side"], row["what"], row["state"], row["threads"]) for row in rows} == {
        (side, what, "warm", threads)
        for side in ("qemb, 8 bits", ".npy, mapped, and words") for what in ("one word", "10,000 words")
        for threads in (1, 2)
    } | {("qemb, 8 bits", "10,000 words", "cold", 1)}  # fmt: skip


def test_search_finds_what_is_near(run):
    rows, printed = run("search", "--only", "8 bits", "--only", "numpy")
    recalls = {row["side"]: row["recall"] for row in rows if "recall" in row}
    assert recalls.pop("qemb, 8 bits") > 0.9
    assert set(recalls.values()) == {1.0}
    assert {(row["what"], row["threads"]) for row in rows} == {
        (what, threads) for what in ("1 query", "64 queries", "memory") for threads in (1, 2)
    }
    assert "recall@10" in printed


def test_first_search_and_its_memory(run):
    rows, _ = run("first", "--only", "8 bits")
    searched = [row for row in rows if row["what"] == "first search"]
    assert [(row["state"], row["threads"]) for row in searched] == [("warm", 1), ("warm", 2), ("cold", 1)]
    if sys.platform == "linux":
        for row in searched:
            assert 0 < row["above_imports"] < row["above_bare"] < 200e6
            assert row["anonymous_above_bare"] < row["above_bare"]


def test_decode_times_the_whole_table(run):
    rows, _ = run("decode", "--only", "4 bits")
    assert [row["side"] for row in rows if row["state"] == "cold"] == [
        "qemb, 4 bits", "qemb, 4 bits, codebook", "np.load",
    ]  # fmt: skip
    assert len(rows) == 9


def test_convert_times_both_sides(run):
    pytest.importorskip("gensim")
    rows, printed = run("convert", "--only", "to 8 bits", "--only", "gensim")
    assert {row["side"] for row in rows} == {
        "qemb, text to 8 bits", "qemb, gensim native to 8 bits", "gensim, reading the text",
    }  # fmt: skip
    ours = next(row for row in rows if row["side"] == "qemb, text to 8 bits")
    assert 400 * 20 < ours["size"] - ours["words"] < 2 * 400 * 20
    assert "| gensim, reading the text " in printed


def test_scale_writes_as_many_rows_as_it_says(run, tmp_path):
    arguments = ["scale", "--largest", "10000"]
    if find_spec("matplotlib") is not None:
        arguments += ["--plot", str(tmp_path / "scale.svg")]
    rows, printed = run(*arguments)
    assert [row["what"] for row in rows] == list(scale.WHATS)
    assert {row["rows"] for row in rows} == {10_000}
    assert all(10_000 * 20 < row["size"] < 2 * 10_000 * 40 for row in rows)
    assert "| 10,000 " in printed
    if find_spec("matplotlib") is not None:
        drawn = (tmp_path / "scale.svg").read_text(encoding="utf-8")
        assert drawn.startswith("<?xml")
        assert "<dc:date>" not in drawn  # the same figures make the same file


@pytest.mark.parametrize("name", [name for name, engine in ENGINES.items() if engine.build])
def test_each_engine_finds_the_rows_themselves(name, tmp_path):
    engine = ENGINES[name]
    if engine.package and find_spec(engine.package) is None:
        pytest.skip(f"not run: {engine.package} is not installed")
    vectors = np.random.default_rng(2).normal(size=(700, 20)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = vectors[:64] @ vectors.T
    np.savez(tmp_path / "queries.npz", queries=vectors[:64], rows=np.arange(64), near=np.argsort(-scores)[:, 1:11])
    engine.build(vectors, tmp_path / "index")
    where = {"path": str(tmp_path / "index"), "queries": str(tmp_path / "queries.npz")}
    # in a process of its own: usearch and simsimd do not go together in one
    with process.Worker("speed.search:start", threads=1, package=engine.package, key=name, **where) as worker:
        assert worker.ask("recall")["value"] > (0.6 if "4" in engine.title else 0.9)


# --- what is missing ------------------------------------------------------------------------------------------------


def test_a_peer_that_is_not_installed_gets_one_line(monkeypatch, run):
    monkeypatch.setattr("qemb_tools.bench.speed.files.find_spec", lambda name: None)
    _, printed = run("decode", "--only", "8 bits", "--only", "HDF5")
    assert '- HDF5: not run without h5py; pip install "qemb-format[bench]"' in printed


def test_without_any_table_the_command_says_which_extra_has_one(monkeypatch, capsys):
    monkeypatch.setattr("qemb_tools.bench.data.find_spec", lambda name: None)
    assert qemb(["bench", "open"]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert 'pip install "qemb-format[bench]"' in errors
    with pytest.raises(SystemExit) as ended:
        bench.main(["open"])
    assert ended.value.code == 2


def test_a_plot_without_matplotlib_names_the_extra(monkeypatch, tmp_path, capsys):
    saved = tmp_path / "figures.json"
    saved.write_text(json.dumps({"rows": [{"part": "scale", "what": scale.WRITE, "rows": 10, "median": 1}]}))
    monkeypatch.setattr("qemb_tools.bench.speed.plot.find_spec", lambda name: None)
    assert qemb(["bench", "pages", "--json", str(saved), "--plot", str(tmp_path / "no.svg")]) == 2
    assert 'needs matplotlib, which is not installed; run: pip install "qemb-format[plots]"' in capsys.readouterr().err


def test_pages_without_figures_say_what_they_are_made_of(capsys):
    assert qemb(["bench", "pages"]) == 2
    assert "--json FILE" in capsys.readouterr().err


def test_a_worker_that_ends_says_why(tmp_path):
    path = str(tmp_path / "nowhere.npy")
    with (
        process.Worker("speed.decode:start", threads=1, kind="npy", path=path) as worker,
        pytest.raises(RuntimeError, match="No such file"),
    ):
        worker.ask("decode")


def test_every_part_that_the_options_name_is_there():
    assert set(options.SPEED) == set(parts.SPEED)
    assert set(options.PARTS) == {"speed", *parts.SPEED, *parts.PARTS}


def test_help_imports_nothing_heavy():
    code = "import sys; from qemb_tools.cli import build_parser; build_parser(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"faiss", "gensim", "matplotlib", "qemb_tools.bench.parts"} & set(loaded)


# --- arithmetic -----------------------------------------------------------------------------------------------------


def test_quartiles_are_those_of_numpy():
    seconds = np.random.default_rng(1).random(9).tolist()
    spread = measure.Spread.of(seconds)
    assert (spread.low, spread.median, spread.high) == pytest.approx(np.percentile(seconds, (25, 50, 75)))
    few = measure.Spread.of([3.0, 1.0, 2.0])
    assert (few.low, few.median, few.high, few.runs) == (1, 2, 3, 3)


def test_sides_take_turns_and_slow_ones_are_let_off():
    asked = []

    def side(name, seconds):
        def turn(times):
            asked.append(name)
            return seconds * times, seconds * times / 2

        return turn

    found = measure.take_turns({"a": side("a", 0.01), "b": side("b", 6.0)}, rounds=4, per=5)
    first = [name for name, before in zip(asked, [None, *asked], strict=False) if name != before]
    assert first == ["a", "b", "a", "b", "a"]
    assert asked[-5:] == ["b", "b", "a", "a", "a"]
    assert found["a"]["median"] == pytest.approx(0.002)
    assert found["a"]["runs"] == 4
    assert found["b"]["median"] == pytest.approx(1.2)
    assert found["b"]["runs"] == 2
    assert found["b"]["cores"] == pytest.approx(0.5)


def figures(**changed):
    """Rows of a search for one query: 8 bits in 2 ms and numpy in 9, unless changed."""
    seconds = {"qemb, 8 bits": 0.002, "numpy float32": 0.009} | changed
    common = {"part": "search", "table": "glove", "what": "1 query", "state": "warm", "threads": 1}
    return [{**common, "side": side, "median": value, "low": value, "high": value} for side, value in seconds.items()]


def test_a_line_holds_by_its_ratio():
    def judged(rows):
        return {row["line"]: (row["measured"], row["holds"]) for row in verdict.judge(Figures(rows))}

    line = "1 query: numpy float32 over 8 bits"
    assert judged(figures())[line] == ("4.50 times", "yes")
    assert judged(figures(**{"numpy float32": 0.007}))[line] == ("3.50 times", "**no**")
    assert judged(figures())["1 query: faiss SQ8 over 8 bits"] == ("-", "not measured")


def test_growth_is_the_slope_between_sizes():
    rows = [
        {"part": "scale", "what": what, "rows": count, "median": seconds, "table": "glove"}
        for count, opened in ((10_000, 0.001), (100_000, 0.001), (1_000_000, 0.0012))
        for what, seconds in ((scale.OPENING, opened), (scale.DECODE, 1e-8 * count), (scale.SEARCH, count**1.5))
    ]
    powers = scale.exponents(rows)
    assert powers[scale.DECODE] == pytest.approx((1, 1))
    assert powers[scale.SEARCH] == pytest.approx((1.5, 1.5))
    held = {row["line"]: row["holds"] for row in verdict.judge(Figures(rows))}
    assert held["opening: the most rows over 10,000"] == "yes"
    assert held["decode: exponent of its growth with rows"] == "yes"
    assert held["search, 1 query: exponent of its growth with rows"] == "**no**"


def test_bars_are_as_long_as_the_figures():
    assert pages.bar(24, 24) == "█" * 24
    assert pages.bar(12.5, 24) == "█" * 12 + "▌"
    assert pages.bar(0.0001, 24) == "▏"


def test_a_page_is_filled_between_its_marks_and_stays_as_it_is_elsewhere(tmp_path):
    page, saved = tmp_path / "page.md", tmp_path / "figures.json"
    text = (
        "# Speed\n\n<!-- figures: search -->\nold\n<!-- /figures -->\n\n"
        "<!-- figures: verdict -->\n<!-- /figures -->\nend\n"
    )
    page.write_text(text, encoding="utf-8")
    saved.write_text(json.dumps({"rows": figures()}))
    assert qemb(["bench", "pages", "--json", str(saved), "--fill", str(page)]) == 0
    filled = page.read_text(encoding="utf-8")
    lines = [" ".join(line.split()) for line in filled.splitlines()]
    assert "| **qemb, 8 bits** | 2.00 (2.00–2.00) | █████▍ |" in lines
    assert "| numpy float32 | 9.00 (9.00–9.00) | ████████████████████████ |" in lines
    assert "| at least 4 times" in filled
    assert "\nold\n" not in filled
    assert filled.startswith("# Speed\n\n<!-- figures: search -->\n")
    assert filled.endswith("<!-- /figures -->\nend\n")
    assert pages.fill(filled, {"rows": figures()}) == filled


@pytest.mark.skipif(not process.CAN_DROP, reason="not run: this system cannot be asked to")
def test_dropping_a_file_from_the_cache_leaves_it_as_it_is(tmp_path):
    (tmp_path / "file").write_bytes(b"as it was")
    process.drop_from_cache(tmp_path)
    assert (tmp_path / "file").read_bytes() == b"as it was"
