"""`qemb convert` with changes on the way: which rows, under which words, in which form."""

from __future__ import annotations

import numpy as np
import pytest

import qemb as codec

TABLE = b"""6 4
The 1 0 0 0
the 0 3 0 0
cat 0 0 5 0
Cat 0 0 0 7
/c/en/dog 3 4 0 12
zero 0 0 0 0
"""


@pytest.fixture
def converted(qemb, tmp_path):
    """Convert the table above with options; tokens and vectors of what comes out, and what was said."""
    (tmp_path / "table.txt").write_bytes(TABLE)

    def convert(*options):
        result = qemb("convert", "table.txt", "out.qemb", "--scheme", "exact", *options)
        with codec.open(tmp_path / "out.qemb") as emb:
            return list(emb.tokens), emb.matrix().tolist(), result.stdout + result.stderr

    return convert


def test_top(converted):
    tokens, rows, _ = converted("--top", "2")
    assert (tokens, rows) == (["The", "the"], [[1, 0, 0, 0], [0, 3, 0, 0]])


def test_top_counts_words_not_rows(converted):
    tokens, _, _ = converted("--lower", "--top", "3")
    assert tokens == ["the", "cat", "/c/en/dog"]


def test_words(converted, tmp_path):
    (tmp_path / "words").write_bytes("zero\r\nthe\nnaïve\n".encode())
    tokens, _, said = converted("--words", "words")
    assert tokens == ["the", "zero"]
    assert "note: words asked for that the source does not have: 1, such as 'naïve'" in said


def test_filter(converted):
    assert converted("--filter", "^[Tt]he$")[0] == ["The", "the"]
    assert converted("--filter", "^c", "--lower")[0] == ["cat"]  # of the source, before it is lower-cased


def test_lower_keeps_the_first(converted):
    tokens, rows, said = converted("--lower")
    assert tokens == ["the", "cat", "/c/en/dog", "zero"]
    assert rows[:2] == [[1, 0, 0, 0], [0, 0, 5, 0]]
    assert "duplicates left out: 2" in said


def test_merge_makes_the_mean(converted):
    tokens, rows, said = converted("--lower", "--merge", "mean")
    assert tokens == ["the", "cat", "/c/en/dog", "zero"]
    assert rows == [[0.5, 1.5, 0, 0], [0, 0, 2.5, 3.5], [3, 4, 0, 12], [0, 0, 0, 0]]
    assert "note: tokens whose rows were merged into their mean: 2" in said


def test_merge_weighs_by_counts(qemb, tmp_path):
    codec.write(tmp_path / "in.qemb", ["A", "a"], [[4, 0], [0, 4]], counts=[3, 1], scheme="float32")
    qemb("convert", "in.qemb", "out.qemb", "--lower", "--merge", "mean", "--scheme", "float32")
    with codec.open(tmp_path / "out.qemb") as emb:
        assert emb["a"].tolist() == [3, 1]
        assert emb.counts.tolist() == [4]


def test_truncate_then_normalize(converted):
    _, rows, _ = converted("--truncate", "2", "--normalize")
    assert rows[4] == [np.float32(0.6), np.float32(0.8)]
    assert rows[5] == [0, 0]


def test_rename_and_replace(converted, tmp_path):
    (tmp_path / "names").write_bytes(b"The\tdefinite\nzero\tnought\n")
    assert converted("--rename", "names")[0] == ["definite", "the", "cat", "Cat", "/c/en/dog", "nought"]
    assert converted("--replace", "^/c/en/", "")[0][4] == "dog"
    assert converted("--replace", "^/c/(en)/(.*)", r"\2_\1")[0][4] == "dog_en"


def test_dry_run_writes_nothing(qemb, tmp_path):
    (tmp_path / "table.txt").write_bytes(TABLE)
    before = set(tmp_path.iterdir())
    said = qemb("convert", "table.txt", "out.qemb", "--lower", "--dry-run").stdout
    assert said == "out.qemb: 4 rows x 4 would be written, duplicates left out: 2; nothing was\n"
    assert set(tmp_path.iterdir()) == before
    bad = qemb("convert", "table.txt", "out.qemb", "--bits", "9", "--dry-run", code=2).stderr
    assert "bits=9 does not exist" in bad


@pytest.mark.parametrize(
    "options",
    [{"bits": 4}, {"scheme": "exact"}, {"bits": 4, "compress": True}, {"bits": 2, "scale": "block", "block": 8}],
)
def test_codes_are_kept_where_rows_are_chosen(qemb, tmp_path, options):
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(500, 24)).round(2).astype(np.float32)
    rows[7, 3] = -0.0
    words = [f"Word{n}" for n in range(500)]
    codec.write(tmp_path / "in.qemb", words, rows, counts=np.arange(500), **options)
    said = qemb("convert", "in.qemb", "out.qemb", "--filter", "[37]$", "--lower", "--top", "60").stdout
    with codec.open(tmp_path / "in.qemb") as before, codec.open(tmp_path / "out.qemb") as after:
        after.verify()
        chosen = [n for n in range(500) if n % 10 in (3, 7)][:60]
        assert list(after) == [f"word{n}" for n in chosen]
        assert after.matrix().tobytes() == before.rows(chosen).tobytes()
        assert after.counts.tolist() == chosen
        assert (after.info.bits, after.info.scheme) == (before.info.bits, before.info.scheme)
    assert "60 rows x 24" in said
    assert "kept as they were" in said


def test_codes_of_others_are_kept_too(qemb, tmp_path):
    codes, scales = np.arange(-60, 60, dtype=np.int8).reshape(30, 4), np.linspace(1, 2, 30, dtype=np.float32)
    np.savez(tmp_path / "in.npz", vectors=codes, scales=scales, words=np.arange(30).astype("U"))
    said = qemb("convert", "in.npz", "out.qemb", "--filter", "5").stdout
    with codec.open(tmp_path / "out.qemb") as emb:
        assert list(emb) == ["5", "15", "25"]
        assert np.array_equal(emb["15"], codes[15] * scales[15])
    assert "kept as they were: int8" in said


def test_values_that_change_are_quantized_again(qemb, tmp_path):
    codec.write(tmp_path / "in.qemb", ["a", "b"], np.eye(2, 32), bits=4)
    said = qemb("convert", "in.qemb", "out.qemb", "--normalize").stderr
    assert "note: the values are quantized again, since they are changed; --bits and --scheme say how" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--top", "0"], "--top 0 takes no rows; 1 is the least"),
        (["--truncate", "5"], "--truncate 5: the vectors have 4 values"),
        (["--filter", "("], "'(' is no regular expression: missing ), unterminated subpattern at position 0"),
        (["--replace", "a", r"\1"], r"'\\1' cannot replace 'a': invalid group reference 1 at position 1"),
        (["--words", "absent"], "absent does not exist; check the name"),
        (["--rename", "table.txt"], "table.txt, line 1: a token, a tab and its new name belong there"),
    ],
)
def test_wrong_options(qemb, tmp_path, options, message):
    (tmp_path / "table.txt").write_bytes(TABLE)
    assert qemb("convert", "table.txt", "out.qemb", *options, code=2).stderr == f"qemb: {message}\n"
    assert not (tmp_path / "out.qemb").exists()


def test_nothing_left(qemb, tmp_path):
    (tmp_path / "table.txt").write_bytes(TABLE)
    codec.write(tmp_path / "in.qemb", ["a", "b"], np.eye(2, 32), bits=4)
    for source in ("table.txt", "in.qemb"):
        said = qemb("convert", source, "out.qemb", "--filter", "xyz", code=2).stderr
        assert said == "qemb: none of the rows is left; check --words and --filter\n"
        assert not (tmp_path / "out.qemb").exists()
