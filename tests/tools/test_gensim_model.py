"""gensim's models: read as gensim reads them, without running anything in them."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

from qemb import InvalidError
from qemb_tools import UsageError, inert_pickle

gensim = pytest.importorskip("gensim")
from gensim.models import Doc2Vec, FastText, KeyedVectors, Word2Vec  # noqa: E402
from gensim.models.doc2vec import TaggedDocument  # noqa: E402

SENTENCES = [["human", "interface", "computer"], ["survey", "user", "computer", "система"], ["naïve", "user"]] * 5


def check(table, vectors, same_floats):
    assert table.words == [str(key) for key in vectors.index_to_key]
    same_floats(table.vectors, np.asarray(vectors.vectors))
    assert table.counts.tolist() == [vectors.get_vecattr(word, "count") for word in vectors.index_to_key]


@pytest.fixture(scope="module")
def models():
    settings = {"vector_size": 8, "min_count": 1, "workers": 1, "seed": 3}
    documents = [TaggedDocument(words, [str(i)]) for i, words in enumerate(SENTENCES)]
    return {
        "word2vec": Word2Vec(SENTENCES, **settings),
        "fasttext": FastText(SENTENCES, bucket=50, **settings),
        "fasttext without n-grams": FastText(SENTENCES, bucket=0, **settings),
        "doc2vec": Doc2Vec(documents, **settings),
    }


@pytest.mark.parametrize("name", ["word2vec", "fasttext", "fasttext without n-grams", "doc2vec"])
@pytest.mark.parametrize("form", ["model", "vectors", "apart", "gzip"])
def test_saved_models(read, models, tmp_path, same_floats, name, form):
    model = models[name]
    path = tmp_path / ("saved.gz" if form == "gzip" else "saved.model")
    if form == "apart":
        model.wv.save(str(path), separately=["vectors", "vectors_vocab", "vectors_ngrams"])
        assert list(tmp_path.glob("*.npy"))
    else:
        (model.wv if form == "vectors" else model).save(str(path))
    check(read(path), model.wv, same_floats)


def test_a_model_whose_arrays_are_apart(read, models, tmp_path, same_floats):
    path = tmp_path / "saved.model"
    model = models["word2vec"]
    keep = gensim.utils.SaveLoad.save
    keep(model, str(path), sep_limit=1)
    assert (tmp_path / "saved.model.wv.vectors.npy").exists()
    check(read(path), model.wv, same_floats)
    (tmp_path / "saved.model.wv.vectors.npy").unlink()
    with pytest.raises(InvalidError, match=r"saved\.model\.wv\.vectors\.npy belongs to the model and is missing"):
        read(path)


@pytest.mark.parametrize("name", ["word2vec", "fasttext"])
def test_older_pickle_protocols(read, models, tmp_path, same_floats, name):
    for protocol in (2, 3, 4, 5):
        path = tmp_path / f"saved{protocol}.model"
        models[name].wv.save(str(path), pickle_protocol=protocol)
        check(read(path), models[name].wv, same_floats)


def test_vectors_without_counts(read, tmp_path, same_floats):
    vectors = KeyedVectors(3)
    vectors.add_vectors(["a", "b"], np.eye(2, 3, dtype=np.float32))
    vectors.save(str(tmp_path / "saved.kv"))
    table = read(tmp_path / "saved.kv")
    assert table.words == ["a", "b"]
    assert table.counts is None
    same_floats(table.vectors, np.eye(2, 3, dtype=np.float32))


def test_models_that_gensim_reads(read, gensim_data, same_floats):
    names = ["model-from-gensim-3.8.0.w2v", "word2vec_3.3", "word2vec_old", "word2vec_old_sep"]
    names += [f"old_w2v_models/w2v_{v}.mdl" for v in ("1.0.0", "2.3.0", "3.0.0", "3.4.0")]
    for name in names:
        check(read(gensim_data / name), Word2Vec.load(str(gensim_data / name)).wv, same_floats)
    name = "old_keyedvectors_320.dat"
    check(read(gensim_data / name), KeyedVectors.load(str(gensim_data / name)), same_floats)
    name = "compatible-hash-true.model"
    check(read(gensim_data / name), FastText.load(str(gensim_data / name)).wv, same_floats)


class Runs:
    """An object whose pickle runs a command when it is loaded."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_in_a_pickle_runs(qemb, read, tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    vectors = KeyedVectors(3)
    vectors.add_vectors(["a", "b"], np.eye(2, 3, dtype=np.float32))
    vectors.extra = Runs()
    vectors.save("saved.kv", pickle_protocol=protocol)
    with pytest.raises(InvalidError, match=rf"it names {os.name}\.system, which is no part of gensim's vectors"):
        read("saved.kv")
    said = qemb("convert", "saved.kv", "out.qemb", code=1).stderr
    assert said.startswith(f"qemb: the pickle is refused: it names {os.name}.system, ")
    assert not {"ran", "out.qemb"} & {path.name for path in tmp_path.iterdir()}


def test_every_cut_and_every_flipped_byte_is_survived(read, tmp_path):
    vectors = KeyedVectors(2)
    vectors.add_vectors(["a", "b"], np.eye(2, dtype=np.float32))
    path = tmp_path / "saved.kv"
    vectors.save(str(path))
    data = path.read_bytes()
    damaged = [data[:size] for size in range(1, len(data))]
    damaged += [data[:i] + bytes([data[i] ^ 0x55]) + data[i + 1 :] for i in range(len(data))]
    for content in damaged:
        path.write_bytes(content)
        try:
            read(path, "gensim")
        except (InvalidError, UsageError) as error:
            assert "\n" not in str(error)  # noqa: PT017 - many files must fail in one of two ways, or not at all


def test_models_without_words(read, gensim_data):
    with pytest.raises(InvalidError, match="a gensim LdaModel holds no word vectors; there is nothing to convert"):
        read(gensim_data / "lda_3_0_1_model")


def test_arrays_are_read_as_numpy_reads_them():
    for array in (
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(3, dtype=np.uint16),
        np.empty((0, 4), np.float32),
    ):
        for protocol in (2, 4, 5):
            found = inert_pickle.as_array(inert_pickle.load(pickle.dumps(array, protocol)))
            assert np.array_equal(found, array)
    objects = inert_pickle.load(pickle.dumps(np.array([None, {}]), 4))
    assert inert_pickle.as_array(objects) is None
