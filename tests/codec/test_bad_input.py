"""What cannot be written has an error that names the row, and leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest

import qemb

TOKENS = ["a", "b", "c"]
MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4)


def deep(levels):
    return {"a": deep(levels - 1)} if levels else 1


@pytest.fixture
def refused(tmp_path):
    """Assert that a table is refused with a code at a place, and that the folder stays as it was."""

    def check(code, where, message, *table, **options):
        for before in (None, b"what was there"):
            path = tmp_path / "table.qemb"
            path.unlink(missing_ok=True)
            if before:
                path.write_bytes(before)
            with pytest.raises(qemb.QembError, match=message) as caught:
                qemb.write(path, *table, **options)
            assert (caught.value.code, caught.value.where) == (code, where)
            assert "\n" not in str(caught.value)
            assert [entry.name for entry in tmp_path.iterdir()] == (["table.qemb"] if before else [])
            if before:
                assert path.read_bytes() == before

    return check


@pytest.mark.parametrize(
    ("tokens", "code", "where", "message"),
    [
        (["a", "b", "a"], "invalid.duplicate_token", "row 2", r"'a' came before; pass duplicates='first'"),
        (["a", b"\xc3\xa9", "é"], "invalid.duplicate_token", "row 2", "came before"),
        (["a", "x" * 65_537, "c"], "invalid.token_length", "row 1", "65,537 bytes; at most 65,536"),
        (["a", "é" * 32_769, "c"], "invalid.token_length", "row 1", "65,538 bytes"),
        (["\ud800", "b", "c"], "invalid.token_utf8", "row 0", "lone surrogate"),
        (["a", "b"], "invalid.shape", "", "2 tokens for 3 vectors"),
        (["a", "b", "c", "d"], "invalid.shape", "", "4 tokens for 3 vectors"),
        ([], "invalid.shape", "", "0 tokens for 3 vectors"),
    ],
)
def test_tokens(refused, tokens, code, where, message):
    refused(code, where, message, tokens, MATRIX)
    refused(code, where, message, tokens, MATRIX, scheme="float32")


@pytest.mark.parametrize("token", [7, None, 1.5, ["a"], bytearray(b"a")])
def test_a_token_of_another_type(tmp_path, token):
    with pytest.raises(TypeError, match="a token is str or bytes, not"):
        qemb.write(tmp_path / "table.qemb", ["a", token, "c"], MATRIX)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("matrix", "code", "message"),
    [
        (np.ones(3), "invalid.shape", "1 dimensions; it has 2"),
        (np.ones((3, 1, 4)), "invalid.shape", "3 dimensions; it has 2"),
        (3.5, "invalid.shape", "0 dimensions; it has 2"),
        ([[1.0, 2.0], [3.0], [4.0, 5.0]], "invalid.shape", "vectors of different lengths"),
        (np.ones((3, 0)), "invalid.dim", "dim is 0; it is 1 to 16,777,216"),
        ([[], [], []], "invalid.dim", "dim is 0"),
        (np.array([["1", "2"]] * 3), "invalid.value", "vectors of dtype <U1; floats belong there"),
        (np.ones((3, 2), complex), "invalid.value", "vectors of dtype complex128"),
        (np.array([[None, 1]] * 3), "invalid.value", "vectors of dtype object"),
    ],
    ids=["1 dimension", "3 dimensions", "a number", "ragged", "dim 0", "empty lists", "strings", "complex", "objects"],
)
def test_shapes_and_types(refused, matrix, code, message):
    refused(code, "", message, TOKENS, matrix)


def test_more_dimensions_than_the_format_has(refused):
    refused("invalid.dim", "", "dim is 16,777,217", [], np.empty((0, 2**24 + 1), np.int8))


@pytest.mark.parametrize("scheme", [{"bits": 8}, {"bits": 4}, {"scheme": "float32"}, {"scheme": "exact"}], ids=str)
def test_a_float64_that_float32_cannot_hold(refused, scheme):
    matrix = MATRIX.astype(np.float64)
    matrix[1, 2] = -1e39
    refused("invalid.value", "row 1, column 2", r"-1e\+39 is past the largest float32", TOKENS, matrix, **scheme)


@pytest.mark.parametrize(
    ("counts", "code", "message"),
    [
        ([1, 2], "invalid.shape", r"counts of shape \(2,\) for 3 rows"),
        ([[1, 2, 3]], "invalid.shape", r"counts of shape \(1, 3\)"),
        ([1, -2, 3], "invalid.value", "counts are integers, 0 or more"),
        ([1.0, 2.0, 3.0], "invalid.value", "counts are integers"),
        (["1", "2", "3"], "invalid.value", "counts are integers"),
        ([1, 2, 2**64], "invalid.value", "counts are integers"),
    ],
)
def test_counts(refused, counts, code, message):
    refused(code, "row 0" if code == "invalid.value" else "", message, TOKENS, MATRIX, counts=counts)


@pytest.mark.parametrize(
    ("metadata", "code", "message"),
    [
        ({"a": object()}, "invalid.metadata", "cannot be stored as JSON"),
        ({"a": float("nan")}, "invalid.metadata", "cannot be stored as JSON"),
        ({"a": {1, 2}}, "invalid.metadata", "cannot be stored as JSON"),
        ({"a": "\ud800"}, "invalid.metadata", "surrogates not allowed"),
        ({1: "a", "1": "b"}, "invalid.metadata", "cannot be stored as JSON"),
        ({None: 1, "null": 2}, "invalid.metadata", "cannot be stored as JSON"),
        (deep(33), "invalid.metadata", "nested deeper than 32"),
        (deep(900), "invalid.metadata", "nested"),
        ("text", "invalid.metadata", "cannot be stored as JSON"),
        ({"a": "x" * 2**20}, "limit.metadata_size", "1,048,584 bytes; at most 1,048,576"),
    ],
)
def test_metadata(refused, metadata, code, message):
    where = "section META" if "nested" in message else "metadata"
    refused(code, where, message, TOKENS, MATRIX, metadata=metadata)


def test_the_largest_metadata(tmp_path):
    metadata = {"a": "x" * (2**20 - 8)}
    qemb.write(tmp_path / "table.qemb", TOKENS, MATRIX, metadata=metadata)
    with qemb.open(tmp_path / "table.qemb") as emb:
        assert emb.metadata == metadata
        emb.verify()


@pytest.mark.parametrize(
    "options",
    [
        {"scheme": "pq"},
        {"scheme": "Linear"},
        {"bits": 0},
        {"bits": 9},
        {"bits": 32},
        {"bits": -8},
        {"scheme": "codebook", "bits": 8},
        {"scheme": "linear", "bits": 12},
        {"scheme": "float32", "bits": 16},
        {"scheme": "float16", "scale": "row"},
        {"scheme": "bfloat16", "offset": "mean"},
        {"scheme": "exact", "bits": 8},
        {"scheme": "exact", "scale_dtype": "float16"},
        {"effort": 10},
        {"effort": -1},
        {"scale": "none"},
        {"scale": "cell"},
        {"scale": "block"},
        {"scale": "row", "block": 2},
        {"block": 0},
        {"block": 5},
        {"block": -1},
        {"scale_dtype": "float64"},
        {"offset": "median"},
        {"sub_dim": 2},
    ],
    ids=str,
)
def test_options_that_do_not_exist_or_do_not_go_together(refused, options):
    refused("invalid.option", "", ".", TOKENS, MATRIX, **options)


def test_unknown_options_are_python_errors(tmp_path):
    with pytest.raises(TypeError):
        qemb.write(tmp_path / "table.qemb", TOKENS, MATRIX, quality=9)
    with pytest.raises(qemb.InvalidError, match="duplicates='last' does not exist"):
        qemb.Writer(tmp_path / "table.qemb", dim=4, duplicates="last")
    assert list(tmp_path.iterdir()) == []


BAD_BATCHES = {
    "token twice": (["c", "a"], MATRIX[:2], None),
    "token too long": (["c", "x" * 70_000], MATRIX[:2], None),
    "too few tokens": (["c"], MATRIX[:2], None),
    "other dim": (["c", "d"], np.ones((2, 5)), None),
    "counts too late": (["c", "d"], MATRIX[:2], [1, 2]),
    "no token": (["c", 5], MATRIX[:2], None),
    "past float32": (["c", "d"], np.full((2, 4), 1e40), None),
}


@pytest.mark.parametrize("scheme", [{"bits": 8}, {"scheme": "codebook", "bits": 4}, {"scheme": "exact"}], ids=str)
@pytest.mark.parametrize("bad", BAD_BATCHES)
def test_a_writer_that_refused_a_batch_publishes_nothing(tmp_path, scheme, bad):
    """Otherwise a caller who goes on after the error would get a file with tokens and rows out of step."""
    tokens, vectors, counts = BAD_BATCHES[bad]
    writer = qemb.Writer(tmp_path / "table.qemb", dim=4, **scheme)
    writer.append(["a", "b"], MATRIX[:2])
    with pytest.raises((qemb.InvalidError, TypeError)):
        writer.append(tokens, vectors, counts)
    with pytest.raises(ValueError, match="the writer is closed"):
        writer.append(["e"], MATRIX[:1])
    with pytest.raises(ValueError, match="a batch was refused"):
        writer.close()
    with pytest.raises(ValueError, match="a batch was refused"), writer:
        pass
    writer.abort()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("first", "second"), [([1], None), (None, [1])])
def test_counts_come_with_every_batch_or_none(tmp_path, first, second):
    writer = qemb.Writer(tmp_path / "table.qemb", dim=4)
    writer.append(["a"], MATRIX[:1], first)
    with pytest.raises(qemb.InvalidError, match="with every batch or with none") as caught:
        writer.append(["b"], MATRIX[1:2], second)
    assert caught.value.where == "row 1"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", [{"bits": 8}, {"scheme": "codebook", "bits": 4}, {"scheme": "float32"}], ids=str)
def test_the_first_of_each_token_is_kept_where_that_was_asked_for(tmp_path, scheme):
    tokens = ["a", "b", "a", "c", "b", "d", "a"]
    matrix = np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32)
    counts = np.arange(7)
    with qemb.Writer(tmp_path / "table.qemb", dim=4, duplicates="first", **scheme) as writer:
        writer.append(tokens[:3], matrix[:3], counts[:3])
        writer.append(tokens[3:], matrix[3:], counts[3:])
        assert writer.rows == 4
    assert writer.duplicates == 3
    kept = [0, 1, 3, 5]
    qemb.write(tmp_path / "kept.qemb", [tokens[row] for row in kept], matrix[kept], counts=counts[kept], **scheme)
    assert (tmp_path / "table.qemb").read_bytes() == (tmp_path / "kept.qemb").read_bytes()


@pytest.mark.parametrize("scheme", ["linear", "codebook", "float32", "exact"])
def test_a_row_of_zeros_comes_back_as_zeros(tmp_path, scheme):
    matrix = MATRIX.copy()
    matrix[1] = 0
    qemb.write(
        tmp_path / "t.qemb", TOKENS, matrix, scheme=scheme, **({"offset": "none"} if scheme == "codebook" else {})
    )
    with qemb.open(tmp_path / "t.qemb") as emb:
        emb.verify()
        assert emb["b"].tobytes() == bytes(16)  # +0, all of them


def test_more_tokens_than_an_index_can_hold(tmp_path, monkeypatch, refused):
    """Two in three slots are taken, and slots have 32-bit numbers: some 2.9 thousand million, here 3."""
    monkeypatch.setattr("qemb.vocabulary.MAX_INDEXED", 4)
    refused("limit.index", "", "3 tokens are too many for an index: index=False", TOKENS, MATRIX)
    qemb.write(tmp_path / "t.qemb", TOKENS, MATRIX, index=False)
    with qemb.open(tmp_path / "t.qemb") as emb:
        emb.verify()
        with pytest.raises(qemb.LimitError, match="3 tokens are too many for an index"):
            emb["a"]
