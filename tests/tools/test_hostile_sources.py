"""Sources as an attacker writes them: bombs, tables without end, names and links that lead elsewhere."""

from __future__ import annotations

import gzip
import json
import lzma
import sqlite3
import struct
import zipfile
from contextlib import closing

import numpy as np
import pytest
import zstandard

from qemb import InvalidError
from qemb_tools import UsageError

GROWN = r"it stands for [\d,]+ bytes or more, over 100 times its own; no table of vectors does, so it is refused"
ZEROS = 200 << 20


def safetensors(path, entries, data=b""):
    header = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


@pytest.mark.parametrize("name", ["gz", "xz", "zst"])
@pytest.mark.parametrize("kind", ["text", "fasttext-bin", "gensim"])
def test_compressed_bombs(tmp_path, read, name, kind):
    pack = {"gz": gzip.compress, "xz": lzma.compress, "zst": zstandard.compress}[name]
    path = tmp_path / f"bomb.{name}"
    path.write_bytes(pack(b"a 1 2\n" * (ZEROS // 6)))
    with pytest.raises(InvalidError, match=GROWN):
        read(path, kind)


def test_members_that_are_bombs(tmp_path, read):
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("v.npy", "w") as member,
    ):
        np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": (ZEROS // 4, 1)})
        for _ in range(ZEROS >> 20):
            member.write(bytes(1 << 20))
    (tmp_path / "words.txt").write_text("a\n")
    with pytest.raises(InvalidError, match=GROWN):
        read(tmp_path / "a.npz", tokens=str(tmp_path / "words.txt"))
    (tmp_path / "a.npz").rename(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(ZEROS))
    with pytest.raises(InvalidError, match=GROWN):
        read(tmp_path / "a.keras")


def test_members_leave_no_files(tmp_path, read):
    inside = tmp_path / "inside"
    inside.mkdir()
    with zipfile.ZipFile(inside / "a.npz", "w") as archive:
        for name in ("../../evil.npy", "/tmp/evil.npy", "tokens.npy"):  # noqa: S108 - is not written
            with archive.open(name, "w") as member:
                np.save(member, np.array(["a"]) if name == "tokens.npy" else np.eye(1))
    with pytest.raises(UsageError, match="name the vectors"):
        read(inside / "a.npz")
    assert read(inside / "a.npz", dataset="../../evil").words == ["a"]
    assert [path.name for path in tmp_path.rglob("*")] == ["inside", "a.npz"]


@pytest.mark.parametrize("shard", ["", ".", "..", "../b", "/b", "a/b", "..\\b", "c:b", "a\0b", "x" * 5000])
def test_shards_are_beside_their_index(tmp_path, read, shard):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"embeddings": shard}}))
    with pytest.raises(InvalidError, match="the index does not say which tensor is in which file beside it"):
        read(path)
    if shard == "a/b":  # a module may have its folder deeper inside
        return
    (tmp_path / "modules.json").write_text(json.dumps([{"path": shard or ".."}]))
    with pytest.raises(InvalidError, match="the index does not say"):
        read(tmp_path)


def test_shapes_of_a_million_numbers(tmp_path, read):
    shape = [(1 << 53) - 1] * 300_000
    path = safetensors(tmp_path / "a.safetensors", {"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}})
    with pytest.raises(InvalidError, match="the header is not that of a safetensors file, or is damaged"):
        read(path)


def test_one_row_for_many_tokens(tmp_path, read):
    rows = 200_000
    entries = {
        "embeddings": {"dtype": "F32", "shape": [1, 1000], "data_offsets": [0, 4000]},
        "mapping": {"dtype": "I32", "shape": [rows], "data_offsets": [4000, 4000 + 4 * rows]},
    }
    path = safetensors(tmp_path / "a.safetensors", entries, bytes(4000 + 4 * rows))
    (tmp_path / "vocab.txt").write_text("".join(f"{i}\n" for i in range(rows)))
    with pytest.raises(InvalidError, match=GROWN):
        read(path)


@pytest.fixture
def magnitude(tmp_path):
    def write(*commands):
        with closing(sqlite3.connect(tmp_path / "a.magnitude")) as database:
            database.execute("CREATE TABLE magnitude_format (key TEXT, value INTEGER)")
            settings = {"size": 1, "dim": 1, "precision": 7}
            database.executemany("INSERT INTO magnitude_format VALUES (?, ?)", settings.items())
            for command in commands:
                database.execute(command)
            database.commit()
        return tmp_path / "a.magnitude"

    return write


ENDLESS = """CREATE VIEW magnitude AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r)
SELECT 'a' AS key, n AS dim_0, 1 AS magnitude FROM r"""


@pytest.mark.parametrize("command", [
    ENDLESS,
    "CREATE TABLE magnitude (key TEXT, dim_0 AS (length(zeroblob(1000000000))), magnitude REAL)",
    "CREATE VIRTUAL TABLE magnitude USING fts5(key, dim_0)",
])  # fmt: skip
def test_tables_that_compute_their_rows(magnitude, read, command):
    with pytest.raises(InvalidError, match=r"SQLite cannot read the table \(magnitude is not a table\)"):
        read(magnitude(command))


@pytest.mark.parametrize("digits", [-400, 400, 31])
def test_precisions_that_are_none(magnitude, read, digits):
    path = magnitude(
        "CREATE TABLE magnitude (key TEXT, dim_0 INTEGER, magnitude REAL)",
        f"UPDATE magnitude_format SET value = {digits} WHERE key = 'precision'",  # noqa: S608 - our own
    )
    with pytest.raises(InvalidError, match=f"values of {digits} digits"):
        read(path)


@pytest.mark.parametrize("kind", ["external link", "soft link to one", "virtual", "external storage", "never written"])
def test_hdf5_that_has_its_data_elsewhere(tmp_path, read, kind):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"], other["tokens"] = np.eye(2), ["a", "b"]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update({"format": "qemb-hdf5", "version": 1})
        if kind == "virtual":
            layout = h5py.VirtualLayout((2, 2), "f8")
            layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "secret", (2, 2))
            file.create_virtual_dataset("vectors", layout)
        elif kind == "external storage":
            file.create_dataset("vectors", (2, 2), "f8", external=[(str(tmp_path / "other.h5"), 0, 32)])
        elif kind == "never written":
            file.create_dataset("vectors", (10**10, 100), "f4", chunks=(1000, 100))
        else:
            file["vectors"] = np.eye(2)
        if kind == "external link":
            file["tokens"] = h5py.ExternalLink("other.h5", "tokens")
        elif kind == "soft link to one":
            file["x"], file["tokens"] = h5py.ExternalLink("other.h5", "/"), h5py.SoftLink("/x/tokens")
        elif kind == "never written":
            file.create_dataset("tokens", (10**10,), h5py.string_dtype(), chunks=(1000,))
        else:
            file["tokens"] = ["a", "b"]
    expected = GROWN if kind == "never written" else "other file.*, which (is|are) not read"
    with pytest.raises(InvalidError, match=expected):
        read(tmp_path / "a.h5", dataset="vectors")


def test_one_long_string_for_all_rows(tmp_path, read):
    pa = pytest.importorskip("pyarrow")
    words = pa.DictionaryArray.from_arrays(np.zeros(20_000, np.int32), ["x" * 1_000_000])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(20_000, np.float32)), 1)
    table = pa.table({"token": words, "vector": vectors})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table)
    with pytest.raises(InvalidError, match=GROWN):
        read(tmp_path / "a.arrow")
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InvalidError, match=GROWN):
        read(tmp_path / "a.parquet")


def test_faiss_indexes_that_name_files_are_not_opened(tmp_path, read):
    (tmp_path / "words.txt").write_text("a\n")
    for mark in (b"IwFl", b"IxMp", b"IxPT", b"INSf", b"IBwF"):
        (tmp_path / "a.faiss").write_bytes(mark + bytes(12) + (1 << 20).to_bytes(8, "little") + bytes(64))
        with pytest.raises(InvalidError, match=f"this is an index of kind '{mark.decode()}'"):
            read(tmp_path / "a.faiss", "faiss", tokens=str(tmp_path / "words.txt"))


@pytest.mark.parametrize("kind", ["IndexFlatL2", "IndexScalarQuantizer", "IndexPQ"])
def test_faiss_makes_no_room_for_what_is_not_there(tmp_path, read, kind):
    faiss = pytest.importorskip("faiss")
    index = getattr(faiss, kind)(*{"IndexPQ": (4, 2, 1), "IndexScalarQuantizer": (4, 0)}.get(kind, (4,)))
    index.train(np.eye(80, 4, dtype=np.float32))
    index.add(np.eye(1, 4, dtype=np.float32))
    whole = faiss.serialize_index(index).tobytes()
    (tmp_path / "words.txt").write_text("a\n")
    lengths = {"IndexFlatL2": [37], "IndexScalarQuantizer": [65, 105], "IndexPQ": [61, 101]}[kind]
    path = tmp_path / "a.faiss"
    path.write_bytes(whole)
    assert read(path, tokens=str(tmp_path / "words.txt")).words == ["a"]
    for at in lengths:
        for length in (1 << 29, 1 << 39, 1 << 63):
            path.write_bytes(whole[:at] + struct.pack("<Q", length) + whole[at + 8 :])
            with pytest.raises(InvalidError, match="the index runs past the end of the file"):
                read(path, tokens=str(tmp_path / "words.txt"))


def test_toml_of_many_dots(tmp_path, read):
    chunks = [(5, b"a." * (1 << 19)), (1, struct.pack("<QI", 1, 1) + b"a")]
    array = struct.pack("<QII", 1, 1, 10)
    data = b"FiFu" + struct.pack("<II3I", 0, 3, 5, 1, 2)
    for kind, body in chunks:
        data += struct.pack("<IQ", kind, len(body)) + body
    pad = bytes(4 - (len(data) + 12 + len(array)) % 4)
    data += struct.pack("<IQ", 2, len(array) + len(pad) + 4) + array + pad + struct.pack("<f", 1)
    (tmp_path / "a.fifu").write_bytes(data)
    assert read(tmp_path / "a.fifu").words == ["a"]


def test_what_a_terminal_obeys_is_not_printed(qemb, tmp_path):
    tensor = {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}
    safetensors(tmp_path / "a.safetensors", {"\x1b]0;x\x07\x9b": tensor}, bytes(4))
    said = qemb("convert", "a.safetensors", "out.qemb", "--dataset", "\x1b[31m", code=2).stderr
    assert said.strip().isprintable()


def test_words_of_too_many_ngrams(tmp_path, read):
    """Each byte of a word would be many n-grams, and each of those a row."""
    settings = struct.pack("<12id", 64, 5, 5, 5, 5, 1, 2, 2, 1, 1, 1000, 100, 1e-4)
    dictionary = struct.pack("<3i2q", 1, 1, 0, 1, -1) + b"x" * 3000 + b"\0" + struct.pack("<qb", 1, 0)
    matrix = struct.pack("<B2q", 0, 2, 64) + bytes(4 * 128)
    magic = struct.pack("<2i", 793712314, 12)
    (tmp_path / "a.bin").write_bytes(magic + settings + dictionary + matrix)
    with pytest.raises(InvalidError, match="a word of 3,000 bytes has too many n-grams"):
        read(tmp_path / "a.bin")
