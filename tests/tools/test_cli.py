"""The ``qemb`` command: what it prints, its exit codes, and that every error is one line."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import bases
import qemb as codec
from qemb_tools.cli import main
from qemb_tools.text import TextSink

WORDS = ["king", "queen", "man", "woman", "New York", "café", "Paris", "paris"]


@pytest.fixture
def table(tmp_path):
    """A text table, and the ``.qemb`` file made of it, in the folder where the command runs."""
    from qemb_tools import Batch

    matrix = np.random.default_rng(1).normal(size=(len(WORDS), 12)).astype(np.float32)
    with TextSink(str(tmp_path / "table.txt"), 12, None) as sink:
        sink.append(Batch([word.encode() for word in WORDS], matrix))
    codec.write(tmp_path / "table.qemb", WORDS, matrix, scheme="float32", metadata={"licence": "CC0"})
    return matrix


def test_convert_says_what_it_did(qemb, tmp_path):
    (tmp_path / "table.txt").write_text("5 2\na 1 2\nb 3 4\na 5 6\nc d 7 8\n")
    result = qemb("convert", "table.txt", "out.qemb", "--bits", 4)
    size = (tmp_path / "out.qemb").stat().st_size
    assert result.stdout.startswith("out.qemb: 3 rows x 2, ")
    assert result.stdout.endswith(f", 30 bytes -> {size:,} bytes, duplicates left out: 1\n")
    assert result.stderr.splitlines() == [
        "qemb: note: the header promises 5 rows; there are 4",
        "qemb: note: tokens with spaces in them: 1, the first 'c d' in line 5",
    ]
    with codec.open(tmp_path / "out.qemb") as embedding:
        assert list(embedding) == ["a", "b", "c d"]


def test_convert_says_it_to_scripts(qemb, tmp_path):
    (tmp_path / "table.txt").write_text("5 2\na 1 2\nb 3 4\na 5 6\n")
    result = qemb("convert", "table.txt", "out.qemb", "--json")
    assert json.loads(result.stdout) == {
        "source": "table.txt",
        "target": "out.qemb",
        "rows": 2,
        "dim": 2,
        "scheme": "int8 with a scale for each row, 80.0 bits a value",  # 28 + 4 + 8 bytes
        "duplicates": 1,
        "size": (tmp_path / "out.qemb").stat().st_size,
        "notes": ["the header promises 5 rows; there are 3"],
    }
    assert result.stderr == ""


def test_json_is_json_whatever_the_numbers_and_the_terminal(qemb, tmp_path):
    codec.write(tmp_path / "odd.qemb", ["😀", b"\xff"], [[np.nan, 1.5], [np.inf, -np.inf]], scheme="float32")

    def no_constants(name):
        raise AssertionError(f"{name} is not JSON")

    for encoding in ("utf-8", "latin-1"):
        printed = qemb("get", "odd.qemb", "😀", "--json", env={"PYTHONIOENCODING": encoding}).stdout
        assert json.loads(printed, parse_constant=no_constants) == {"😀": [None, 1.5]}
    odd = qemb("get", "odd.qemb", os.fsdecode(b"\xff"), "--json").stdout
    assert json.loads(odd, parse_constant=no_constants) == {"\udcff": [None, None]}


def test_quiet(qemb, table):
    assert qemb("convert", "table.txt", "out.qemb", "--quiet").stdout == ""


@pytest.mark.parametrize("name", ["out.qemb", "out.txt", "out.vec", "out.bin", "out.h5"])
def test_there_and_back(qemb, table, tmp_path, name):
    if name == "out.h5":
        pytest.importorskip("h5py")
    source = "table.qemb"
    if name == "out.bin":  # which holds no token with a space in it
        source = "plain.txt"
        lines = (tmp_path / "table.txt").read_text().splitlines(keepends=True)[1:]
        (tmp_path / source).write_text("".join(line for line in lines if "New York" not in line))
    qemb("convert", source, name, *(["--scheme", "float32"] if name == "out.qemb" else []))
    qemb("convert", name, "back.qemb", "--scheme", "float32")
    with codec.open(tmp_path / "back.qemb") as embedding:
        keep = [i for i, word in enumerate(WORDS) if name != "out.bin" or " " not in word]
        assert list(embedding) == [WORDS[i] for i in keep]
        assert np.array_equal(embedding.matrix().view(np.uint32), table[keep].view(np.uint32))


def test_convert_from_standard_input(qemb, tmp_path):
    qemb("convert", "-", "out.qemb", stdin=b"a 1 2\nb 3 4\n")
    with codec.open(tmp_path / "out.qemb") as embedding:
        assert list(embedding) == ["a", "b"]


def test_formats_may_be_named(qemb, table, tmp_path):
    qemb("convert", "table.txt", "out.dat", "--from", "text", "--to", "qemb")
    assert (tmp_path / "out.dat").read_bytes().startswith(b"\x89QEMB")
    qemb("convert", "table.txt", "out.glove", "--to", "glove")
    assert (tmp_path / "out.glove").read_bytes().startswith(b"king ")


def test_metadata(qemb, table):
    qemb("convert", "table.qemb", "out.qemb", "--metadata", "a=b=c", "--metadata", "licence=MIT")
    metadata = json.loads(qemb("info", "out.qemb", "--json").stdout)["metadata"]
    assert metadata["a"] == "b=c"
    assert metadata["licence"] == "MIT"


def test_info(qemb, table):
    printed = qemb("info", "table.qemb").stdout
    assert "float32" in printed
    assert "CC0" in printed
    information = json.loads(qemb("info", "table.qemb", "--json").stdout)
    assert information["dim"] == 12


def test_verify(qemb, table, tmp_path):
    data = bytearray((tmp_path / "table.qemb").read_bytes())
    data[-1] ^= 1
    (tmp_path / "bad.qemb").write_bytes(data)
    assert qemb("verify", "table.qemb").stdout == "table.qemb: good\n"
    result = qemb("verify", "bad.qemb", "table.qemb", code=1)
    assert result.stdout == "table.qemb: good\n"
    assert result.stderr.startswith("qemb: bad.qemb: ")
    bad, good = json.loads(qemb("verify", "bad.qemb", "table.qemb", "--json", code=1).stdout)
    assert (bad["file"], bad["good"], bad["error"]["code"]) == ("bad.qemb", False, "malformed.section_checksum")
    assert bad["error"]["rows"] == []
    assert good == {"file": "table.qemb", "good": True, "error": None}


def test_verify_all(tmp_path, capsys):
    data = bytearray(bases.linear().build())
    for kind in (b"SCAL", b"CNTS"):
        (place,) = struct.unpack_from("<Q", data, data.index(kind) + 8)
        data[place + 3] ^= 1
    path = tmp_path / "bad.qemb"
    path.write_bytes(data)

    def run(*options):
        assert main(["verify", *options, str(path)]) == 1
        return capsys.readouterr()

    assert run().err.count("\n") == 1
    lines = run("--all").err.splitlines()
    assert [line.split("(")[-1].split(",")[0] for line in lines] == ["section SCAL", "section CNTS", "section NORM"]
    (result,) = json.loads(run("--all", "--json").out)
    assert result["error"] == result["errors"][0]
    assert result["errors"][2]["rows"] == [[0, 1]]


def test_repair(qemb, tmp_path):
    words = [f"word{row}" for row in range(2000)]
    codec.write(tmp_path / "good.qemb", words, np.ones((2000, 8), np.float32), bits=8)
    data = bytearray((tmp_path / "good.qemb").read_bytes())
    (tmp_path / "bad.qemb").write_bytes(data[:4096] + bytes(4096) + data[8192:])
    (code,) = struct.unpack_from("<Q", data, data.index(b"CODE") + 8)
    first, last = (4096 - code) // 8, -(-(8192 - code) // 8)
    lost = last - first
    assert code + 8 * 2000 > 8192
    assert qemb("repair", "bad.qemb", "out.qemb").stdout.splitlines() == [
        f"out.qemb: {2000 - lost:,} of 2,000 rows saved",
        f"lost: {lost:,} by their vectors, 0 by their words",
        f"lost: rows {first:,} to {last - 1:,}",
    ]
    assert qemb("verify", "out.qemb").stdout == "out.qemb: good\n"
    printed = json.loads(qemb("repair", "bad.qemb", "out.qemb", "--json").stdout)
    assert (printed["kept"], printed["lost"]) == (2000 - lost, [[first, last]])
    data[code + 1] ^= 1
    (tmp_path / "bad.qemb").write_bytes(data)
    assert "--keep-suspect" in qemb("repair", "bad.qemb", "none.qemb", code=1).stderr
    assert not (tmp_path / "none.qemb").exists()
    qemb("repair", "bad.qemb", "out.qemb", "--keep-suspect")
    assert "name another one" in qemb("repair", "out.qemb", "out.qemb", code=1).stderr


def test_get(qemb, table):
    lines = qemb("get", "table.qemb", "king", "New York", "café").stdout.splitlines()
    assert [line.split(" ")[-12:] for line in lines] == [[str(v) for v in table[i]] for i in (0, 4, 5)]
    assert lines[1].startswith("New York ")
    vectors = json.loads(qemb("get", "table.qemb", "king", "café", "--json").stdout)
    assert np.array_equal(np.array(vectors["café"], np.float32), table[5])


def test_nearest(qemb, table, tmp_path):
    with codec.open(tmp_path / "table.qemb") as embedding:
        expected = embedding.nearest("king", k=3)
        analogy = embedding.analogy(positive=["king", "woman"], negative=["man"], k=2)
    lines = qemb("nearest", "table.qemb", "king", "-k", 3).stdout.splitlines()
    assert lines == [f"{word}\t{score:.4f}" for word, score in expected]
    found = json.loads(
        qemb("nearest", "table.qemb", "king", "--plus", "woman", "--minus", "man", "-k", 2, "--json").stdout
    )
    assert [item["word"] for item in found] == [word for word, _ in analogy]


def test_compare(qemb, table):
    qemb("convert", "table.txt", "small.qemb", "--bits", 8)
    result = json.loads(qemb("compare", "table.txt", "small.qemb", "--json").stdout)
    assert result["shared"] == len(WORDS)
    assert 0 < result["relative_error"] < 0.01
    assert result["mean_cosine"] > 0.9999
    assert result["recall"] == 1
    assert "relative error" in qemb("compare", "table.qemb", "small.qemb").stdout
    same = json.loads(qemb("compare", "table.qemb", "table.txt", "--json").stdout)
    assert same["relative_error"] == 0


def test_formats(qemb):
    names = [line.split()[0] for line in qemb("formats").stdout.splitlines()]
    assert {"qemb", "text", "word2vec-bin", "gensim", "hdf5", "npy"} <= set(names)
    assert [row["name"] for row in json.loads(qemb("formats", "--json").stdout)] == names


def test_an_unknown_word_is_a_no_with_a_hint(qemb, table):
    for command in ("get", "nearest"):
        assert qemb(command, "table.qemb", "quene", code=1).stderr == (
            "qemb: the word 'quene' is not in table.qemb; did you mean queen?\n"
        )
    assert "did you mean queen?" in qemb("nearest", "table.qemb", "Queen", code=1).stderr
    assert "did you mean king?" in qemb("nearest", "table.qemb", "queen", "--minus", "kings", code=1).stderr
    assert "check the spelling" in qemb("get", "table.qemb", "ωψχ", code=1).stderr
    assert "did you mean paris, Paris?" in qemb("get", "table.qemb", "PARIS", code=1).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "a command is missing; see `qemb --help`"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["convert", "table.txt"], "the following arguments are required: DST"),
        (["convert", "table.txt", "out.qemb", "--bits", "many"], "argument --bits: invalid int value: 'many'"),
        (["convert", "missing.txt", "out.qemb"], "missing.txt does not exist; check the name"),
        (["convert", "folder", "out.qemb"], "folder is a folder; name a file in it"),
        (
            ["convert", "table.txt", "out.xyz"],
            "the name out.xyz tells no format that can be written; name it with --to",
        ),
        (["convert", "table.txt", "out.npy"], "the name out.npy tells no format that can be written"),
        (["convert", "table.txt", "out.qemb", "--to", "npy"], "npy can be read but not written; these can: qemb, hdf5"),
        (["convert", "table.txt", "out.qemb", "--from", "tar"], "there is no format 'tar'; formats: qemb, hdf5, npy"),
        (["convert", "table.txt", "out.txt", "--bits", "4"], "text has no use for --bits, which only .qemb files take"),
        (["convert", "table.txt", "out.txt.gz"], "compressed files are read, not written; leave out .gz"),
        (["convert", "table.txt", "table.txt"], "source and target are the same file; write to another name"),
        (["convert", "table.txt", "missing/out.qemb"], "the folder missing does not exist; create it first"),
        (["convert", "table.txt", "folder", "--to", "qemb"], "the target is a folder: folder"),
        (["convert", "table.txt", "-"], "nothing is written to standard output; name a file"),
        (["convert", "table.txt", "-", "--to", "text"], "nothing is written to standard output; name a file"),
        (["convert", "table.txt", ""], "nothing is written to standard output; name a file"),
        (["convert", "", "out.qemb"], "the name of a file is empty; name one"),
        (["index", "-"], "standard input is read as text or word2vec .bin alone; name a file"),
        (["convert", "-", "out.qemb", "--from", "npy", "--tokens", "table.txt"], "standard input is read as text or"),
        (
            ["convert", "table.txt", "out.qemb", "--tokens", "words", "--dataset", "x"],
            "table.txt is read as text, which has no use for --tokens, --dataset; leave that out",
        ),
        (["convert", "table.qemb", "out.txt", "--bytes", "--skip-bad"], "which has no use for --bytes, --skip-bad"),
        (["convert", "table.txt", "out.qemb", "--metadata", "x"], "--metadata x is not KEY=VALUE"),
        (["convert", "table.txt", "out.qemb", "--encoding", "x"], "the encoding 'x' is unknown"),
        (["info", "missing.qemb"], "missing.qemb does not exist; check the name"),
        (["info", "folder"], "folder is a folder; name a file in it"),
        (["verify", "table.qemb", "missing.qemb"], "missing.qemb does not exist"),
        (["get", "missing.qemb", "king"], "missing.qemb does not exist; check the name"),
        (["nearest", "table.qemb", "king", "-k", "0"], "-k 0 asks for no neighbours; name 1 or more"),
        (["compare", "table.txt", "missing.txt"], "missing.txt does not exist; check the name"),
        (["compare", "table.txt", "table.qemb", "--rows", "1"], "--rows needs at least 2 and --queries at least 1"),
    ],
)
def test_wrong_commands(qemb, table, tmp_path, arguments, message):
    (tmp_path / "folder").mkdir()
    before = sorted(path.name for path in tmp_path.iterdir())
    assert message in qemb(*arguments, code=2).stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "option",
    [
        ["--bits", "9"],
        ["--bits", "0"],
        ["--scheme", "zip"],
        ["--effort", "77"],
        ["--scale", "wide"],
        ["--block", "5"],
        ["--bits", "3", "--scheme", "float32"],
    ],
)
def test_options_that_the_format_has_not(qemb, table, tmp_path, option):
    result = qemb("convert", "table.txt", "out.qemb", *option, code=2)
    assert result.stderr.startswith("qemb: ")
    assert not (tmp_path / "out.qemb").exists()


BAD = {
    "empty": b"",
    "words.txt": b"only words here\n",
    "short.txt": b"a 1 2\nb 1\nc 1 2\n",
    "nan.txt": b"a 1 2\nb 1 nan\n",
    "latin.txt": b"a 1 2\n\xe9 1 2\n",
    "cut.bin": b"2 2\na 12345678b 1234",
    "noise.bin": bytes(range(256)) * 40,
    "cut.gz": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "cut.model": b"\x80\x04\x95\x10\x00cgensim.models\n",
    "other.pkl": b"\x80\x04\x95\x10\x00\x00",
    "cut.npy": b"\x93NUMPY\x01\x00v\x00",
    "cut.npz": b"PK\x03\x04 and so on",
    "cut.h5": b"\x89HDF\r\n\x1a\n",
    "cut.qemb": b"\x89QEMB\r\n\x1a\x01\x00",
    "cut.safetensors": b"\xff\x00\x00\x00\x00\x00\x00\x00{",
    "fasttext.bin": b"\xba\x16O/\x0c\x00\x00\x00\x05\x00",
    "nul.txt": b"a 1 2\nb\0 1 \x00\n",
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", ["convert", "info", "verify", "get", "nearest", "compare"])
def test_bad_files(qemb, tmp_path, name, command):
    (tmp_path / name).write_bytes(BAD[name])
    (tmp_path / "words").write_text("a\nb\n")
    tokens = ["--tokens", "words"] if name.endswith((".npy", ".npz", ".h5", ".safetensors")) else []
    arguments = {
        "convert": [name, "out.qemb", *tokens],
        "get": [name, "a"],
        "nearest": [name, "a"],
        "compare": [name, name],
    }.get(command, [name])
    code = 1
    if command == "compare" and name == "cut.npy":
        code = 2  # there is no way to name its words
    result = qemb(command, *arguments, code=code)
    assert name in result.stderr or code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "words"])


@pytest.mark.parametrize(
    ("package", "source", "target", "extra"),
    [
        ("h5py", "table.h5", "out.qemb", "hdf5"),
        ("h5py", "table.txt", "out.h5", "hdf5"),
        ("pyarrow", "table.npy", "out.qemb", "parquet"),
        ("pyarrow", "words.parquet", "out.qemb", "parquet"),
        ("pyarrow", "table.txt", "out.arrow", "parquet"),
        ("gensim", "table.txt", "out.kv", "gensim"),
    ],
)
def test_a_missing_extra_is_asked_for_by_name(qemb, tmp_path, package, source, target, extra):
    (tmp_path / "table.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    np.save(tmp_path / "table.npy", np.ones((2, 2), np.float32))
    (tmp_path / "words.parquet").write_bytes(b"PAR1" + bytes(100))
    # a package that cannot be imported is, to the command, one that is not there
    hidden = tmp_path / "hidden" / package
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError")
    path = os.pathsep.join([str(hidden.parent), os.environ.get("PYTHONPATH", "")])
    (tmp_path / "table.txt").write_text("a 1 2\nb 3 4\n")
    tokens = ["--tokens", "words.parquet"] if source == "table.npy" else []
    result = qemb("convert", source, target, *tokens, code=2, env={"PYTHONPATH": path})
    needed = f'this needs {package}, which is not installed; run: pip install "qemb-format[{extra}]"'
    assert result.stderr == f"qemb: {needed}\n"
    assert not (tmp_path / target).exists()


def test_heavy_packages_are_not_imported_to_print_information(qemb, table, tmp_path):
    code = """
        import sys
        from qemb_tools.cli import main
        assert main(["info", "table.qemb"]) == 0
        heavy = {"gensim", "h5py", "pyarrow", "scipy", "tqdm", "numba"} & set(sys.modules)
        assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, check=True, capture_output=True)


def test_version(qemb):
    assert qemb("--version").stdout == f"qemb {codec.__version__}\n"
