"""pymagnitude's databases, as its converter lays them out."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from qemb import InvalidError
from qemb_tools import UsageError, convert

WORDS = ["the", "New_York", "The", "café", "中文"]
MATRIX = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
LENGTHS = np.linalg.norm(MATRIX, axis=1)
INTEGERS = np.round(MATRIX / LENGTHS[:, None] * 10**7).astype(int)


@pytest.fixture
def write(tmp_path):
    def write_it(settings=None, words=WORDS):
        path = tmp_path / "a.magnitude"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as database:
            columns = "".join(f"dim_{i} INTEGER, " for i in range(3))
            database.execute(f"CREATE TABLE magnitude (key TEXT COLLATE NOCASE, {columns}magnitude REAL)")
            database.execute("CREATE TABLE magnitude_format (key TEXT COLLATE NOCASE, value INTEGER)")
            for word, row, length in zip(words, INTEGERS.tolist(), LENGTHS.tolist(), strict=False):
                database.execute("INSERT INTO magnitude VALUES (?, ?, ?, ?, ?)", (word, *row, length))
            known = {"version": 1, "elmo": 0, "size": 5, "dim": 3, "precision": 7} | (settings or {})
            database.executemany("INSERT INTO magnitude_format VALUES (?, ?)", known.items())
            database.executemany("INSERT INTO magnitude_format VALUES ('entropy', ?)", [(0,), (2,), (1,)])
            database.execute("CREATE INDEX magnitude_key_idx ON magnitude (key)")
            database.commit()
        return path

    return write_it


def test_unit_vectors_as_the_library_gives_them(read, write, tmp_path, same_floats):
    path = write()
    table = read(path)
    assert table.words == WORDS
    same_floats(table.vectors, INTEGERS.astype(np.float32) / np.float32(10**7))
    assert table.metadata["source"] == "magnitude"
    assert table.notes == ["lengths left out: the vectors have length 1 (--dataset original multiplies them)"]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    convert(path, tmp_path / "a.qemb", scheme="exact")
    same_floats(read(tmp_path / "a.qemb").vectors, table.vectors)


def test_vectors_of_their_own_length(read, write):
    table = read(write(), dataset="original")
    assert table.vectors == pytest.approx(MATRIX, abs=1e-6)
    assert table.notes == []
    with pytest.raises(
        UsageError, match="has vectors of length 1 and as they were: --dataset unit or --dataset original"
    ):
        read(write(), dataset="x")


def test_subwords_are_told_of(read, write):
    assert read(write({"subword": 1})).notes[1:] == [
        "subwords were left out: the file has them as text to search, not as vectors"
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 4}, r"SQLite cannot read the table (no such column: dim_3); check the file"),
        ({"dim": 0}, "the rows have 0 values; 1 to 1,048,576 are possible"),
        ({"dim": None}, "SQLite cannot read the table"),
        ({"precision": 1000}, "SQLite cannot read the table"),
        ({"precision": b"x"}, "SQLite cannot read the table"),
    ],
)
def test_settings_that_cannot_be(read, write, settings, message):
    with pytest.raises(InvalidError) as caught:
        read(write(settings))
    assert message in caught.value.message


def test_values_that_are_none(read, write):
    path = write()
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE magnitude SET dim_1 = 'x' WHERE key = 'café'")
        database.commit()
    with pytest.raises(InvalidError, match="SQLite cannot read the table"):
        read(path)


def test_words_that_are_not_utf_8(read, write):
    path = write()
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE magnitude SET key = ? WHERE key = 'café'", (b"caf\xe9",))
        database.commit()
    with pytest.raises(InvalidError, match=r"the token 'caf\\xe9' is not UTF-8; .*a\.magnitude, row 3, invalid"):
        read(path)
    assert read(path, encoding="latin-1").tokens[3] == "café".encode()


def test_damage(survives_damage, write):
    survives_damage(write(), "magnitude")
