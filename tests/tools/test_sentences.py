"""Sentence embeddings from the mapped codes: model2vec's own to the last bit, and means done by hand."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

import qemb
from qemb_tools import UsageError
from qemb_tools.sentences import SentenceEncoder, convert_model

tokenizers = pytest.importorskip("tokenizers")

TEXTS = [
    "A sentence, with punctuation!",
    "unbelievably tokenized subwords",
    "",
    "[UNK] \U0001f600 unknown",
    "Straße 日本語 naïve",
    "the same length",
    "as this one",
    "word " * 700,
    "x" * 4000,
]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")


def wordpiece(words):
    """A BERT tokenizer of these words."""
    vocabulary = {word: row for row, word in enumerate(words)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model2vec model of 16 dimensions, saved by model2vec, and the model itself."""
    model2vec = pytest.importorskip("model2vec")
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["[PAD]", "[UNK]", ",", "!", "the", "sentence", "with", "word", "token", "sub", "日", *letters]
    words += [f"##{piece}" for piece in ("ized", "words", "ably", *letters)]
    vectors = np.random.default_rng(2).normal(size=(len(words), 16)).astype(np.float32)
    folder = tmp_path_factory.mktemp("models") / "model"
    model = model2vec.StaticModel(vectors, wordpiece(words), normalize=True, config={"model_type": "model2vec"})
    model.save_pretrained(folder)
    return folder, model


@pytest.fixture
def encoder(folder, tmp_path):
    convert_model(folder[0], tmp_path / "model.qemb", scheme="exact")
    return SentenceEncoder(tmp_path / "model.qemb")


def test_vectors_are_model2vecs_to_the_last_bit(encoder, folder, same_floats):
    same_floats(encoder.encode(TEXTS), folder[1].encode(TEXTS))
    same_floats(encoder.encode(TEXTS[0]), folder[1].encode(TEXTS[0]))
    many = [" ".join(text.split()[: i % 5 + 1]) for i in range(400) for text in TEXTS]
    same_floats(encoder.encode(many, batch_size=1000), folder[1].encode(many, batch_size=1000))
    assert np.linalg.norm(encoder.encode(TEXTS[0])) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_real_models_are_encoded_as_model2vec_does(kind, shared_tables, tmp_path):
    model2vec = pytest.importorskip("model2vec")
    theirs = model2vec.StaticModel.from_pretrained(shared_tables / f"model2vec-{kind}").encode(TEXTS, normalize=False)
    convert_model(shared_tables / f"model2vec-{kind}", tmp_path / "model.qemb", scheme="exact")
    ours = SentenceEncoder(tmp_path / "model.qemb", normalize=False).encode(TEXTS)
    # model2vec rounds its means to float16 where the table is of that type
    assert np.array_equal(ours.astype(theirs.dtype), theirs)


def test_few_bits_are_near_to_the_float_table(encoder, folder, tmp_path):
    convert_model(folder[0], tmp_path / "small.qemb", bits=4)
    small = SentenceEncoder(tmp_path / "small.qemb").encode(TEXTS)
    exact = encoder.encode(TEXTS)
    cosines = (small * exact).sum(axis=1)[exact.any(axis=1)]
    assert cosines.min() > 0.98


def test_other_models_take_every_token(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder[0], other)
    (other / "config.json").unlink()
    convert_model(other, tmp_path / "other.qemb", scheme="exact")
    encoder = SentenceEncoder(tmp_path / "other.qemb")
    tokenizer = tokenizers.Tokenizer.from_file(str(other / "tokenizer.json"))
    found = encoder.encode(TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        rows = tokenizer.encode(text, add_special_tokens=False).ids
        wanted = encoder.embedding.rows(rows).astype(np.float64).mean(axis=0) if rows else np.zeros(16)
        np.testing.assert_allclose(vector, wanted, rtol=1e-5, atol=1e-6)


def test_settings_can_be_overridden(encoder, folder, same_floats):
    path = encoder._arguments[0]
    loose = SentenceEncoder(path, normalize=False, max_length=2)
    same_floats(loose.encode(TEXTS), folder[1].encode(TEXTS, normalize=False, max_length=2))
    assert SentenceEncoder(path, drop_unknown=False).encode("\U0001f600").any()
    assert not encoder.encode("\U0001f600").any()


@pytest.mark.parametrize("as_path", [True, False])
def test_a_tokenizer_may_be_given(as_path, folder, encoder, tmp_path, same_floats):
    source = folder[0] / "tokenizer.json"
    qemb.write(tmp_path / "bare.qemb", encoder.embedding.tokens, encoder.embedding.matrix(), scheme="exact")
    given = source if as_path else tokenizers.Tokenizer.from_file(str(source))
    bare = SentenceEncoder(tmp_path / "bare.qemb", given, normalize=True, max_length=512, drop_unknown=True)
    same_floats(bare.encode(TEXTS), encoder.encode(TEXTS))


def test_tokens_added_to_a_tokenizer_have_their_rows(folder, tmp_path):
    added = tmp_path / "added"
    shutil.copytree(folder[0], added)
    tokenizer = tokenizers.Tokenizer.from_file(str(folder[0] / "tokenizer.json"))
    tokenizer.add_tokens(["<new>"])
    tokenizer.save(str(added / "tokenizer.json"))
    rows = tokenizer.get_vocab_size()
    header = json.dumps({"embeddings": {"dtype": "F32", "shape": [rows, 2], "data_offsets": [0, rows * 8]}}).encode()
    values = np.arange(2 * rows, dtype="<f4")
    (added / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + values.tobytes())
    convert_model(added, tmp_path / "added.qemb", scheme="exact")
    encoder = SentenceEncoder(tmp_path / "added.qemb", normalize=False)
    assert encoder.encode("<new>").tolist() == [2 * rows - 2, 2 * rows - 1]
    assert encoder.encode("the<new>").tolist() == [(8 + 2 * rows - 2) / 2, (9 + 2 * rows - 1) / 2]


def test_word_tables_are_split_at_spaces_and_punctuation(tmp_path):
    qemb.write(tmp_path / "words.qemb", ["good", "film", "!"], [[1.0, 0], [0, 2], [4, 4]], scheme="exact")
    encoder = SentenceEncoder(tmp_path / "words.qemb")
    assert encoder.encode(["A GOOD film!", "absent words", "film film good"]).tolist() == [
        pytest.approx([5 / 3, 2]),
        [0, 0],
        pytest.approx([1 / 3, 4 / 3]),
    ]
    assert SentenceEncoder(tmp_path / "words.qemb", str.split).encode("good film!").tolist() == [1, 0]
    assert SentenceEncoder(tmp_path / "words.qemb", max_length=1).encode("good film").tolist() == [1, 0]
    assert encoder.encode([]).shape == (0, 2)


def test_a_pickle_names_the_file(encoder):
    data = pickle.dumps(encoder)
    assert len(data) < 500
    assert np.array_equal(pickle.loads(data).encode(TEXTS), encoder.encode(TEXTS))


def test_other_processes_get_the_same_vectors(encoder):
    code = (
        "import sys; from qemb_tools.sentences import SentenceEncoder\n"
        "sys.stdout.buffer.write(SentenceEncoder(sys.argv[1]).encode(['the sentence', 'word']).tobytes())"
    )
    command = [sys.executable, "-c", code, encoder._arguments[0]]
    results = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    wanted = encoder.encode(["the sentence", "word"]).tobytes()
    assert [process.communicate()[0] for process in results] == [wanted, wanted]


def test_what_is_no_model_gets_one_line(tmp_path, folder, encoder):
    with pytest.raises(UsageError, match=r"has no tokenizer.json; a model's folder is wanted"):
        convert_model(tmp_path, tmp_path / "out.qemb")
    broken = tmp_path / "broken"
    shutil.copytree(folder[0], broken)
    (broken / "tokenizer.json").write_text("[]")
    with pytest.raises(UsageError, match=r"tokenizer.json is no Hugging Face tokenizer; check the file"):
        convert_model(broken, tmp_path / "out.qemb")
    assert not (tmp_path / "out.qemb").exists()
    qemb.write(tmp_path / "few.qemb", ["a"], [[1.0]], scheme="exact")
    with pytest.raises(UsageError, match=r"the tokenizer knows 66 tokens, the file has 1 rows; .* is wanted"):
        SentenceEncoder(tmp_path / "few.qemb", folder[0] / "tokenizer.json")


def test_a_missing_tokenizers_is_asked_for_by_its_extra(encoder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UsageError, match=r'needs tokenizers, .* pip install "qemb-format\[sentences\]"'):
        SentenceEncoder(os.fspath(encoder._arguments[0]))
