"""Parquet and Arrow as people have them: lists of fixed and of any length, wide frames, dictionaries, streams."""

from __future__ import annotations

import numpy as np
import pytest

from qemb import InvalidError
from qemb_tools import UsageError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

WORDS = ["the", "New York", "", "café", "中文"]
MATRIX = np.arange(15, dtype=np.float32).reshape(5, 3) / 7


def fixed(matrix=MATRIX):
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])


def lists(matrix=MATRIX, kind=pa.list_):
    return pa.array(matrix.tolist(), kind(pa.from_numpy_dtype(matrix.dtype)))


@pytest.fixture
def parquet(tmp_path):
    def write(**columns):
        pq.write_table(pa.table(columns), tmp_path / "table.parquet", row_group_size=2)
        return tmp_path / "table.parquet"

    return write


@pytest.mark.parametrize(
    "vectors", [fixed(), lists(), lists(kind=pa.large_list)], ids=["fixed", "list", "large list (polars)"]
)
@pytest.mark.parametrize(
    "words",
    [pa.array(WORDS), pa.array(WORDS, pa.large_string()), pa.array(WORDS).dictionary_encode()],
    ids=["string", "large string", "dictionary"],
)
def test_a_column_of_vectors(read, parquet, same_floats, vectors, words):
    table = read(parquet(word=words, vector=vectors, count=[5, 4, 3, 2, 1]))
    assert table.words == WORDS
    same_floats(table.vectors, MATRIX)
    assert table.counts.tolist() == [5, 4, 3, 2, 1]


def test_a_wide_frame(read, qemb, parquet, same_floats):
    columns = {f"d{i}": MATRIX[:, i] for i in range(3)}
    path = parquet(id=range(5), **columns, __index_level_0__=WORDS)
    table = read(path)
    assert table.words == WORDS
    same_floats(table.vectors, MATRIX)
    assert qemb("info", path).stdout == "--dataset d0  5 x 3 float  wide  words: __index_level_0__\n"


@pytest.mark.parametrize("dtype", ["f8", "f2", "i1"])
def test_other_types_of_numbers(read, parquet, same_floats, dtype):
    matrix = (MATRIX * 7).astype(dtype)
    table = read(parquet(word=WORDS, vector=fixed(matrix)))
    same_floats(table.vectors, matrix.astype(np.float32))
    assert table.notes == (["the values are float64; they were rounded to float32"] if dtype == "f8" else [])


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream], ids=["file", "stream"])
def test_arrow_files_and_streams(read, qemb, tmp_path, same_floats, new):
    whole = pa.table({"word": WORDS, "vector": fixed()})
    path = tmp_path / "data.arrow"
    with new(path, whole.schema) as writer:
        writer.write_table(whole, max_chunksize=2)
    table = read(path)
    assert table.words == WORDS
    same_floats(table.vectors, MATRIX)
    assert qemb("info", path).stdout == "--dataset vector  5 x 3 float  list  words: word\n"
    (tmp_path / "words.txt").write_text("a\nb\nc\nd\n")
    with pytest.raises(InvalidError, match=r"there are (5 rows and|more rows than) 4 tokens"):
        read(path, tokens=str(tmp_path / "words.txt"))
    (tmp_path / "words.txt").write_text("a\nb\nc\nd\ne\nf\n")
    with pytest.raises(InvalidError, match="there are 5 rows and 6 tokens"):
        read(path, tokens=str(tmp_path / "words.txt"))
    with new(path, whole.schema) as writer:
        writer.write_table(whole.slice(1, 3))  # its offsets do not begin at 0
    same_floats(read(path).vectors, MATRIX[1:4])


def test_words_elsewhere_or_by_name(read, parquet, tmp_path):
    path = parquet(word=WORDS, lemma=WORDS[::-1], vector=fixed())
    with pytest.raises(UsageError) as caught:
        read(path)
    assert str(caught.value) == (
        f"{path} has no single column of strings (word, lemma); name it: --tokens COLUMN, or a FILE"
    )
    assert read(path, tokens="lemma").words == WORDS[::-1]
    with pytest.raises(UsageError, match=r"has no column of strings called 'x', nor is it a file; it has: word, lemma"):
        read(path, tokens="x")
    (tmp_path / "words.txt").write_text("a\nb\nc\nd\ne\n")
    assert read(path, tokens=str(tmp_path / "words.txt")).words == list("abcde")
    (tmp_path / "words.txt").write_text("a\nb\n")
    with pytest.raises(InvalidError, match="there are 5 rows and 2 tokens"):
        read(path, tokens=str(tmp_path / "words.txt"))


def test_several_columns_of_vectors(read, qemb, parquet, same_floats):
    path = parquet(word=WORDS, a=fixed(), b=lists(MATRIX * 2))
    with pytest.raises(UsageError, match=r"holds a, b; name one: --dataset COLUMN"):
        read(path)
    same_floats(read(path, dataset="b").vectors, MATRIX * 2)
    with pytest.raises(UsageError, match=r"has no column of vectors called 'c'; it has: a, b"):
        read(path, dataset="c")
    assert qemb("info", path).stdout.splitlines() == [
        "--dataset a  5 x 3 float  list  words: word",
        "--dataset b  5 x 3 float  list  words: word",
    ]


@pytest.mark.parametrize(
    ("columns", "message", "row"),
    [
        ({"word": WORDS, "x": [1, 2, 3, 4, 5]}, "no column is a list of numbers, and no two are floats", None),
        ({"word": ["a", "b", None, "d", "e"], "v": fixed()}, "a token is missing (null); give every row one", 2),
        ({"word": WORDS, "v": pa.array([[1.0], [2.0], None, [3.0], [4.0]])}, "a vector is missing (null)", 2),
        ({"word": WORDS, "v": pa.array([[1.0], [2.0], [], [3.0], [4.0]])}, "the vector has 0 values, not 1", 2),
        ({"word": WORDS, "v": pa.array([[1.0], [2.0], [3.0], [None], [4.0]])}, "a value is missing (null)", 3),
        ({"word": WORDS, "a": [1.0, 2.0, 3.0, 4.0, None], "b": [1.0] * 5}, "a value is missing (null)", 4),
        ({"word": WORDS, "v": fixed(), "count": [1, 2, 3, None, 5]}, "a count is missing (null)", 3),
        ({"word": WORDS, "v": fixed(), "count": [1, -2, 3, 4, 5]}, "a count is negative", 1),
        ({"word": [b"a", b"b", b"\xff", b"d", b"e"], "v": fixed()}, "the token '\\xff' is not UTF-8", 2),
    ],
)
def test_tables_that_cannot_be_read(read, parquet, columns, message, row):
    with pytest.raises(InvalidError) as caught:
        read(parquet(**columns))
    assert message in caught.value.message
    if row is not None:
        assert str(caught.value.where).endswith(f"table.parquet, row {row}")


def test_binary_tokens(read, parquet):
    path = parquet(word=[w.encode("gb18030") for w in WORDS], v=fixed())
    assert read(path, encoding="gb18030").words == WORDS
    assert read(path, keep_bytes=True).tokens == [w.encode("gb18030") for w in WORDS]


def test_damage(survives_damage, parquet, tmp_path):
    survives_damage(parquet(word=WORDS, v=lists()), "parquet")
    whole = pa.table({"word": WORDS, "vector": lists()})
    path = tmp_path / "data.arrow"
    for new in (pa.ipc.new_file, pa.ipc.new_stream):
        with new(path, whole.schema) as writer:
            writer.write_table(whole)
        survives_damage(path, "arrow")
