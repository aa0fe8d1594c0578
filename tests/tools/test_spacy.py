"""spaCy's vectors, without spaCy: its hashes, its folders, what is damaged."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from qemb import InvalidError
from qemb_tools import UsageError
from qemb_tools.spacy_vectors import hash_strings

WORDS = ["the", "New York", "café", "中文", ""]
MATRIX = np.arange(15, dtype=np.float32).reshape(5, 3) / 7
# `Vocab().strings[word]` of spaCy 3.8.18
HASHES = {
    "the": 7425985699627899538,
    "中文": 16284430293168110310,
    "New York": 16910981474062290848,
    "": 0,
}  # fmt: skip


def packed(rows):
    """A map of integers as msgpack packs it, every width of integer used."""
    data = bytes([0x80 | len(rows)]) if len(rows) < 16 else b"\xde" + struct.pack(">H", len(rows))
    for number in (number for pair in rows.items() for number in pair):
        for limit, mark, kind in (
            (0x80, b"", ">B"), (0x100, b"\xcc", ">B"), (1 << 16, b"\xcd", ">H"), (1 << 32, b"\xce", ">I"),
            (1 << 64, b"\xcf", ">Q"),
        ):  # fmt: skip
            if number < limit:
                data += mark + struct.pack(kind, number)
                break
    return data


@pytest.fixture
def model(tmp_path):
    def write(matrix=MATRIX, rows=(0, 1, 2, 3, 4), words=WORDS, strings=None, more=None):
        folder = tmp_path / "en_model" / "vocab"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "vectors").open("wb") as file:
            np.save(file, matrix)
        keys = hash_strings([word.encode() for word in words]).tolist()
        (folder / "key2row").write_bytes(packed(dict(zip(keys, rows, strict=True)) | (more or {})))
        listed = ["unused", *sorted(words), "also unused"] if strings is None else strings
        (folder / "strings.json").write_text(json.dumps(listed))
        (folder / "vectors.cfg").write_text(json.dumps({"mode": "default"}))
        return folder.parent

    return write


def test_hashes_are_spacys():
    assert dict(zip(HASHES, hash_strings([word.encode() for word in HASHES]).tolist(), strict=True)) == HASHES


def test_hashes_of_every_length():
    """Strings of one length are hashed together; each as if it were alone."""
    strings = [bytes([65 + i % 26]) * i for i in range(40)] * 2
    assert hash_strings(strings).tolist() == [int(hash_strings([s])[0]) for s in strings]
    assert len(set(hash_strings(strings).tolist())) == 40


def test_a_model_and_its_vocabulary(read, model, same_floats):
    folder = model()
    for path in (folder, folder / "vocab"):
        table = read(path)
        assert table.words == WORDS
        same_floats(table.vectors, MATRIX)
        assert (table.metadata["source"], table.notes) == ("spacy", [])


def test_words_come_in_the_order_of_rows_and_may_share_them(read, model, same_floats):
    table = read(model(MATRIX[:3], rows=(2, 0, 2, 1, 0)))
    # of the same row, in the order of strings.json
    assert table.words == ["", "New York", "中文", "café", "the"]
    same_floats(table.vectors, MATRIX[[0, 0, 1, 2, 2]])


def test_words_that_are_symbols_have_numbers(read, model):
    """As `Vocab().strings` of spaCy 3.8.18 has them; none of them is in strings.json."""
    numbers = {
        64: "ID",
        93: "NUM",
        103: "SPACE",
        380: "PERSON",
        383: "ORG",
        401: "agent",
        423: "mark",
        432: "number",
        456: "_",
    }
    assert set(read(model(more=dict.fromkeys(numbers, 1))).words) == set(WORDS) | set(numbers.values())


def test_words_without_spelling(read, model):
    table = read(model(more={1 << 63: 2, 300: 0, 70000: 0}))
    assert table.words == WORDS
    assert table.notes == ["words left out whose spelling is not in strings.json: 3"]


def test_many_words(read, model, same_floats):
    words = [f"word{i}" for i in range(1000)]
    matrix = np.arange(3000, dtype=np.float32).reshape(1000, 3)
    table = read(model(matrix, range(1000), words))
    assert table.words == words
    same_floats(table.vectors, matrix)


def test_folders_that_cannot_be_read(read, model, tmp_path):
    def refused(name, content, message):
        vocab = model() / "vocab"
        if content is None:
            (vocab / name).unlink()
        else:
            (vocab / name).write_bytes(content)
        with pytest.raises(InvalidError) as caught:
            read(vocab.parent)
        assert message in caught.value.message
        assert str(vocab) in str(caught.value)

    broken = "key2row is not a map of hashes to rows, or is cut short; fetch it again"
    refused("key2row", None, "key2row cannot be read (No such file or directory); keep the folder together")
    for data in (
        b"",
        b"\x85\x00",
        b"\x90",
        b"\x81\xa1a\x00",
        packed({1: 2})[:-1],
        packed({1: 2}) + b"\0",
        b"\xdf\0\0\0",
    ):
        refused("key2row", data, broken)
    refused("key2row", packed({HASHES["the"]: 5}), "key2row names rows that are not among 5; fetch it again")
    refused("vectors", b"\x93NUMPY", "numpy cannot read the array")
    refused("strings.json", b"[1]", "strings.json is not a list of strings")
    refused("strings.json", b"[", "strings.json is not a list of strings")
    refused("vectors.cfg", b"[]", "vectors.cfg is not JSON; fetch it again")
    floret = json.dumps({"mode": "floret", "minn": 3, "maxn": 5}).encode()
    refused("vectors.cfg", floret, "floret's vectors are those of hashed n-grams, without words; nothing to convert")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="is no folder of a spaCy model"):
        read(tmp_path / "empty", "spacy")


def test_models_of_before_they_had_settings(read, model):
    (model() / "vocab" / "vectors.cfg").unlink()
    assert read(model().parent / "en_model").words == WORDS


def test_damage(read, model):
    folder = model()
    rng = np.random.default_rng(0)
    for name in ("key2row", "vectors", "strings.json"):
        path = folder / "vocab" / name
        whole = path.read_bytes()
        for i in range(100):
            damaged = bytearray(whole)
            if i % 2:
                del damaged[rng.integers(0, len(whole)) :]
            else:
                damaged[rng.integers(0, len(whole))] = rng.integers(0, 256)
            path.write_bytes(damaged)
            try:
                read(folder)
            except InvalidError as error:
                assert len(str(error).splitlines()) == 1  # noqa: PT017 - not every change can be noticed
        path.write_bytes(whole)
