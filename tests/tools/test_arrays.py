"""Vectors in arrays, their words elsewhere: ``.npy``, ``.npz``, safetensors, llama2.c; and the lists of words."""

from __future__ import annotations

import gzip
import json
import struct

import numpy as np
import pytest

from qemb import InvalidError
from qemb_tools import UsageError

WORDS = ["the", "New York", "", "café", "中文"]
MATRIX = np.arange(15, dtype=np.float32).reshape(5, 3) / 7


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("".join(word + "\n" for word in WORDS).encode())
    return str(path)


@pytest.fixture
def npy(tmp_path):
    np.save(tmp_path / "vectors.npy", MATRIX)
    return tmp_path / "vectors.npy"


@pytest.mark.parametrize("data", ["\n".join(WORDS), "\r\n".join(WORDS) + "\r\n"], ids=["no last newline", "CRLF"])
def test_npy_with_words(read, npy, tmp_path, same_floats, data):
    (tmp_path / "w").write_bytes(data.encode())
    table = read(npy, tokens=str(tmp_path / "w"))
    assert table.words == WORDS
    same_floats(table.vectors, MATRIX)


def test_words_may_be_compressed_or_in_another_encoding(read, npy, tmp_path):
    (tmp_path / "w.gz").write_bytes(gzip.compress("\n".join(WORDS).encode("gb18030")))
    assert read(npy, tokens=str(tmp_path / "w.gz"), encoding="gb18030").words == WORDS
    with pytest.raises(InvalidError, match=r"is not UTF-8; .* \(.*w\.gz, line 4, invalid\.source\)"):
        read(npy, tokens=str(tmp_path / "w.gz"))


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "i1", "<u2"])
def test_other_types_of_numbers(read, tmp_path, words, dtype, same_floats):
    matrix = (MATRIX * 7).astype(dtype)
    np.save(tmp_path / "vectors.npy", np.asfortranarray(matrix))
    table = read(tmp_path / "vectors.npy", tokens=words)
    same_floats(table.vectors, matrix.astype(np.float32))
    assert table.notes == (["the values are float64; they were rounded to float32"] if dtype == "<f8" else [])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 3)), "there are 4 rows and 5 tokens; give every row one token"),
        (np.zeros(5), "the array has 1 dimensions; rows and columns are wanted"),
        (np.zeros((5, 0)), "the rows have 0 values; 1 to 1,048,576 are possible"),
        (np.zeros((5, 3), complex), "the array holds complex128, not numbers"),
        (np.array([[None]]), "numpy cannot read the array"),
    ],
)
def test_arrays_that_are_no_table(read, tmp_path, words, array, message):
    np.save(tmp_path / "vectors.npy", array)
    with pytest.raises(InvalidError) as caught:
        read(tmp_path / "vectors.npy", tokens=words)
    assert message in str(caught.value)


def test_npy_cut_short(read, npy, words):
    npy.write_bytes(npy.read_bytes()[:-1])
    with pytest.raises(InvalidError, match="numpy cannot read the array"):
        read(npy, tokens=words)


def test_npy_without_words(read, npy, tmp_path):
    with pytest.raises(UsageError, match="the file holds vectors only; name the file with its words: --tokens FILE"):
        read(npy)
    with pytest.raises(UsageError, match="does not exist"):
        read(npy, tokens=str(tmp_path / "missing.txt"))


def test_words_in_parquet(read, npy, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = str(tmp_path / "words.parquet")
    pq.write_table(pa.table({"id": range(5), "word": WORDS}), path)
    assert read(npy, tokens=path).words == WORDS
    pq.write_table(pa.table({"word": WORDS, "other": WORDS[::-1]}), path)
    assert read(npy, tokens=path + ":other").words == WORDS[::-1]
    with pytest.raises(UsageError, match=r"has no single column of strings \(word, other\); name it"):
        read(npy, tokens=path)
    with pytest.raises(UsageError, match=r"has no column of strings called 'x'"):
        read(npy, tokens=path + ":x")
    pq.write_table(pa.table({"word": ["a", None, "c", "d", "e"]}), path)
    with pytest.raises(InvalidError, match=r"a token is missing \(null\).* row 1,"):
        read(npy, tokens=path)
    (tmp_path / "words.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(InvalidError, match="the Parquet file cannot be read"):
        read(npy, tokens=path)


@pytest.mark.parametrize(
    "content",
    [
        WORDS,
        {word: i for i, word in enumerate(WORDS)},
        {"model": {"type": "WordPiece", "vocab": {word: i for i, word in enumerate(WORDS)}}},
        {"model": {"type": "Unigram", "vocab": [[word, -1.5] for word in WORDS]}},
        {"model": {"vocab": {w: i for i, w in enumerate(WORDS[:4])}}, "added_tokens": [{"id": 4, "content": WORDS[4]}]},
    ],
    ids=["list", "mapping", "WordPiece", "Unigram", "added tokens"],
)
def test_words_in_json(read, npy, tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert read(npy, tokens=str(tmp_path / "tokenizer.json")).words == WORDS


@pytest.mark.parametrize(
    "content",
    ['{"a": 1}', '{"a": 0, "b": 0}', '["a", "a"]', '{"a": "b"}', "{", '{"model": 1}', "[[]]", "[1]", '{"a": -1}'],
)
def test_json_that_is_no_vocabulary(read, npy, tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(InvalidError, match="the JSON holds no vocabulary"):
        read(npy, tokens=str(tmp_path / "tokenizer.json"))


def test_npz(read, tmp_path, words, same_floats):
    path = tmp_path / "table.npz"
    np.savez(path, vectors=MATRIX, tokens=np.array(WORDS))
    same_floats(read(path).vectors, MATRIX)
    assert read(path).words == WORDS
    np.savez(path, a=MATRIX, b=MATRIX * 2)
    with pytest.raises(UsageError, match="holds a, b; name the vectors: --dataset NAME"):
        read(path, tokens=words)
    same_floats(read(path, tokens=words, dataset="b").vectors, MATRIX * 2)
    with pytest.raises(UsageError, match="has no array 'c'; it holds a, b"):
        read(path, tokens=words, dataset="c")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InvalidError, match="numpy cannot read the array"):
        read(path, "npz", tokens=words)


def safetensors(tensors, padding=b""):
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode() + padding
    return struct.pack("<Q", len(text)) + text + data


BFLOAT16 = (MATRIX.view(np.uint32) >> 16).astype("<u2")


@pytest.mark.parametrize(
    ("dtype", "content", "expected"),
    [
        ("F32", MATRIX.tobytes(), MATRIX),
        ("F16", MATRIX.astype("<f2").tobytes(), MATRIX.astype("<f2").astype(np.float32)),
        ("BF16", BFLOAT16.tobytes(), (BFLOAT16.astype(np.uint32) << 16).view(np.float32)),
        ("I8", (MATRIX * 7).astype("i1").tobytes(), np.round(MATRIX * 7)),
    ],
)
def test_safetensors(read, tmp_path, words, same_floats, dtype, content, expected):
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors({"embeddings": (dtype, [5, 3], content)}, b"  "))
    table = read(path, tokens=words)
    assert table.words == WORDS
    assert table.metadata["tensor"] == "embeddings"
    same_floats(table.vectors, expected)


def test_the_table_of_a_whole_model(read, tmp_path, same_floats):
    rest = np.ones((7, 3), np.float32).tobytes()
    padded = np.concatenate([MATRIX, np.zeros((3, 3), np.float32)])
    tensors = {
        "encoder.weight": ("F32", [7, 3], rest),
        "bert.embeddings.word_embeddings.weight": ("F32", [8, 3], padded.tobytes()),
    }
    (tmp_path / "model.safetensors").write_bytes(safetensors(tensors))
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {w: i for i, w in enumerate(WORDS)}}}))
    table = read(tmp_path)
    assert table.words == WORDS
    assert table.notes == ["rows past the last token, left out: 3"]
    same_floats(table.vectors, MATRIX)


def test_the_table_is_told_by_its_number_of_rows(read, tmp_path, words, same_floats):
    """CLIP has two tables whose names end the same; models pad the one of tokens."""
    padded = np.concatenate([MATRIX, np.zeros((3, 3), np.float32)])
    path = tmp_path / "clip.safetensors"
    tensors = {
        "embeddings.token_embedding.weight": ("F32", [8, 3], padded.tobytes()),
        "embeddings.position_embedding.weight": ("F32", [2, 3], bytes(24)),
    }
    path.write_bytes(safetensors(tensors))
    table = read(path, tokens=words)
    assert table.metadata["tensor"] == "embeddings.token_embedding.weight"
    same_floats(table.vectors, MATRIX)


@pytest.fixture
def sharded(tmp_path):
    """A checkpoint of two files, as transformers writes it."""
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (tmp_path / shards[0]).write_bytes(safetensors({"model.layers.0.weight": ("F32", [1, 1], bytes(4))}))
    (tmp_path / shards[1]).write_bytes(
        safetensors({"model.embed_tokens.weight": ("BF16", [5, 3], BFLOAT16.tobytes()), "b": ("F32", [1], bytes(4))})
    )
    weights = {"model.layers.0.weight": shards[0], "model.embed_tokens.weight": shards[1], "b": shards[1]}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 38}, "weight_map": weights}))
    (tmp_path / "vocab.txt").write_text("".join(word + "\n" for word in WORDS))
    return tmp_path


def test_a_sharded_checkpoint(read, qemb, sharded, same_floats):
    expected = (BFLOAT16.astype(np.uint32) << 16).view(np.float32)
    for path in (sharded, sharded / "model.safetensors.index.json"):
        table = read(path)
        assert (table.words, table.metadata["tensor"]) == (WORDS, "model.embed_tokens.weight")
        same_floats(table.vectors, expected)
    assert qemb("info", sharded).stdout.splitlines() == [
        "--dataset model.layers.0.weight  1 x 1 F32  safetensors  words: vocab.txt",
        "--dataset model.embed_tokens.weight  5 x 3 BF16  safetensors  words: vocab.txt",
    ]
    # whoever wants the table needs its shard only
    (sharded / "model-00001-of-00002.safetensors").unlink()
    assert read(sharded).words == WORDS
    (sharded / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UsageError) as caught:
        read(sharded)
    assert str(caught.value) == (
        f"{sharded / 'model-00002-of-00002.safetensors'} does not exist; model.embed_tokens.weight is in it, "
        "by model.safetensors.index.json: fetch it too"
    )


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"weight_map": 1}', '{"weight_map": {"a": "../b.safetensors"}}', '{"weight_map": {"a": 1}}'],
)
def test_an_index_that_is_none(read, sharded, content):
    (sharded / "model.safetensors.index.json").write_text(content)
    with pytest.raises(InvalidError, match="the index does not say which tensor is in which file beside it"):
        read(sharded)


TOKENIZER = json.dumps({"model": {"type": "WordPiece", "vocab": {word: i for i, word in enumerate(WORDS)}}})


@pytest.mark.parametrize("inner", [".", "", "0_StaticEmbedding"])
def test_a_static_embedding_of_sentence_transformers(read, tmp_path, same_floats, inner):
    folder = tmp_path / inner
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(safetensors({"embedding.weight": ("F32", [5, 3], MATRIX.tobytes())}))
    (folder / "tokenizer.json").write_text(TOKENIZER)
    module = {"idx": 0, "name": "0", "path": inner, "type": "sentence_transformers.models.StaticEmbedding"}
    (tmp_path / "modules.json").write_text(json.dumps([module]))
    table = read(tmp_path)
    assert table.words == WORDS
    same_floats(table.vectors, MATRIX)


def test_a_folder_of_modules_elsewhere_is_not_followed(read, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "model.safetensors").write_bytes(safetensors({"a": ("F32", [5, 3], MATRIX.tobytes())}))
    for path in ("..", "/", "x/../.."):
        (tmp_path / "a" / "modules.json").write_text(json.dumps([{"path": path}]))
        with pytest.raises(UsageError, match="is a folder; name a file in it"):
            read(tmp_path / "a")


def test_model2vecs_quantized_vocabulary(read, tmp_path, same_floats):
    """Rows are shared by a mapping, and multiplied by weights of the tokens: as `StaticModel` does it."""
    mapping, weights = np.array([0, 1, 0, 1, 2]), np.linspace(0.1, 2, 5).astype(np.float32)
    tensors = {
        "embeddings": ("F32", [3, 3], MATRIX[:3].tobytes()),
        "mapping": ("I64", [5], mapping.astype("<i8").tobytes()),
        "weights": ("F32", [5], weights.tobytes()),
    }
    (tmp_path / "tokenizer.json").write_text(TOKENIZER)
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(tensors))
    same_floats(read(tmp_path).vectors, MATRIX[mapping] * weights[:, None])
    path.write_bytes(safetensors({name: tensors[name] for name in ("embeddings", "mapping")}))
    same_floats(read(tmp_path).vectors, MATRIX[mapping])
    whole = {"embeddings": ("F32", [5, 3], MATRIX.tobytes()), "weights": ("F64", [5], weights.astype("<f8").tobytes())}
    path.write_bytes(safetensors(whole))
    table = read(tmp_path)
    same_floats(table.vectors, (MATRIX * weights.astype(np.float64)[:, None]).astype(np.float32))
    assert table.notes == ["the values are float64; they were rounded to float32"]
    for name, wrong, message in (
        ("mapping", ("I64", [5], np.array([0, 1, 0, 1, 3]).tobytes()), "mapping names rows that are not among 3"),
        ("mapping", ("I64", [5], np.array([0, 1, 0, -1, 2]).tobytes()), "mapping names rows that are not among 3"),
        ("mapping", ("F32", [5], weights.tobytes()), "mapping is not a list of row numbers"),
        ("weights", ("F32", [4], weights[:4].tobytes()), "weights are not 5 numbers"),
    ):
        path.write_bytes(safetensors(tensors | {name: wrong}))
        with pytest.raises(InvalidError, match=message):
            read(tmp_path)


def test_tokens_in_the_file_that_do_not_add_up(read, tmp_path):
    path = tmp_path / "a.safetensors"
    for lengths in ([1, 1, 1, 1, 2], [1, 1, 1, 3, -1]):
        stored = np.array(lengths, "<i4").tobytes()
        tensors = {"embeddings": ("F32", [5, 3], MATRIX.tobytes()), "token_lengths": ("I32", [5], stored)}
        path.write_bytes(safetensors(tensors | {"token_bytes": ("U8", [5], b"abcde")}))
        with pytest.raises(InvalidError, match="the lengths of the tokens do not add up"):
            read(path)


def test_safetensors_must_be_told_which(read, tmp_path, words):
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors({"a": ("F32", [5, 3], MATRIX.tobytes()), "b": ("F32", [5, 3], MATRIX.tobytes())}))
    with pytest.raises(UsageError, match="holds a, b; name one: --dataset NAME"):
        read(path, tokens=words)
    with pytest.raises(UsageError, match="has no matrix 'c'; it has a, b"):
        read(path, tokens=words, dataset="c")
    assert read(path, tokens=words, dataset="b").words == WORDS
    with pytest.raises(UsageError, match="no tokenizer is beside it; name its words: --tokens FILE"):
        read(path, dataset="b")


@pytest.mark.parametrize(
    "change",
    [
        {"data_offsets": [0, 61]},
        {"data_offsets": [1, 60]},
        {"data_offsets": [60, 0]},
        {"data_offsets": [0, 1 << 62]},
        {"data_offsets": [-60, 0]},
        {"data_offsets": [0.0, 60.0]},
        {"data_offsets": []},
        {"shape": [1 << 62, 3]},
        {"shape": [1 << 32, 1 << 32]},
        {"shape": [-5, -3]},
        {"shape": "ab"},
        {"shape": None},
        {"dtype": ["F32"]},
        None,
    ],
)
def test_headers_of_safetensors_that_lie(read, tmp_path, words, change):
    entry = {"dtype": "F32", "shape": [5, 3], "data_offsets": [0, 60]}
    text = json.dumps({"embeddings": change and entry | change}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + MATRIX.tobytes())
    with pytest.raises(InvalidError, match="the header is not that of a safetensors file, or is damaged"):
        read(path, tokens=words)


@pytest.mark.parametrize(
    "data", [b"", b"\x01", struct.pack("<Q", 1 << 63) + b"{}", struct.pack("<Q", 3) + b"{}", b"\2" + bytes(7) + b"[]"]
)
def test_damaged_safetensors(read, tmp_path, words, data):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(InvalidError):
        read(path, "safetensors", tokens=words)


def llama2c(rows=5, dim=2, vocabulary=5):
    hidden, layers, heads, length = 4, 1, 1, 3
    table = np.arange(rows * dim, dtype="<f4")
    weights = layers * (2 * dim + 4 * dim * dim + 3 * dim * hidden) + dim + length * dim
    return (
        struct.pack("<7i", dim, hidden, layers, heads, heads, vocabulary, length) + table.tobytes() + bytes(4 * weights)
    )


def test_llama2c(read, tmp_path, words):
    path = tmp_path / "model.bin"
    path.write_bytes(llama2c())
    assert read(path, tokens=words).vectors.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    with pytest.raises(UsageError) as caught:
        read(path)
    assert (
        str(caught.value)
        == f"{path} is a llama2.c model, which has no words in it; name a file with them: --tokens FILE"
    )
    path.write_bytes(llama2c()[:30])
    with pytest.raises(InvalidError, match="the table of 5 x 2 runs past the end of the file"):
        read(path, "llama2c", tokens=words)
