"""Texts to mean vectors in a scikit-learn Pipeline, and files as Arrow tables and pandas frames."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

import qemb

WORDS = ["good", "fine", "bad", "poor", "film", "plot", "and"]
TEXTS = ["Good film", "fine plot and film", "bad film", "poor, poor plot"]
LABELS = [1, 1, 0, 0]


@pytest.fixture
def table():
    vectors = np.random.default_rng(4).normal(size=(len(WORDS), 6)).astype(np.float32)
    vectors[:2, 0], vectors[2:4, 0] = 3, -3
    return vectors


@pytest.fixture
def path(table, tmp_path):
    qemb.write(tmp_path / "words.qemb", WORDS, table, scheme="exact", counts=range(1, 8))
    return tmp_path / "words.qemb"


def test_a_pipeline_learns_and_is_pickled_by_the_files_name(path):
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline

    from qemb_tools.sklearn import EmbeddingVectorizer

    pipeline = make_pipeline(EmbeddingVectorizer(path, normalize=True), LogisticRegression())
    pipeline.fit(TEXTS, LABELS)
    assert pipeline.predict(["a fine film", "a bad plot"]).tolist() == [1, 0]
    again = pickle.loads(pickle.dumps(pipeline))
    assert again.predict_proba(TEXTS).tolist() == pipeline.predict_proba(TEXTS).tolist()
    assert clone(pipeline)[0].get_params() == {
        "path": path, "tokenizer": None, "normalize": True, "max_length": None, "drop_unknown": None,
    }  # fmt: skip
    assert cross_val_score(pipeline, TEXTS * 5, LABELS * 5, cv=2).mean() == 1


def test_vectors_are_means_of_rows(path, table):
    pytest.importorskip("sklearn")
    from qemb_tools.sklearn import EmbeddingVectorizer

    vectorizer = EmbeddingVectorizer(path)
    found = vectorizer.transform(iter(TEXTS))
    assert found.dtype == np.float32
    assert found[0].tolist() == pytest.approx(((table[0] + table[4]) / 2).tolist())
    assert vectorizer.get_feature_names_out().tolist() == [f"embeddingvectorizer{i}" for i in range(6)]
    assert vectorizer.fit_transform(TEXTS).tolist() == found.tolist()
    assert len(pickle.dumps(vectorizer)) < 1000
    with pytest.raises(TypeError, match="an iterable of texts is wanted, not one string"):
        vectorizer.transform("a text")
    with pytest.raises(FileNotFoundError):
        EmbeddingVectorizer(os.fspath(path) + "x").fit(TEXTS)


def test_an_arrow_table_has_tokens_vectors_and_counts(path, table, tmp_path):
    pytest.importorskip("pyarrow")
    from qemb_tools.frames import to_arrow

    found = to_arrow(path)
    assert [(field.name, str(field.type)) for field in found.schema] == [
        ("token", "string"), ("vector", "fixed_size_list<item: float>[6]"), ("count", "uint64"),
    ]  # fmt: skip
    assert found.column("token").to_pylist() == WORDS
    assert np.array_equal(np.array(found.column("vector").to_pylist(), np.float32), table)
    assert found.column("count").to_pylist() == list(range(1, 8))
    qemb.write(tmp_path / "bytes.qemb", [b"\xff"], [[1.0]])
    assert to_arrow(tmp_path / "bytes.qemb").column("token").to_pylist() == [b"\xff"]


def test_a_frame_is_indexed_by_token(path, table):
    pytest.importorskip("pandas")
    from qemb_tools.frames import to_pandas

    frame = to_pandas(path)
    assert frame.shape == (7, 6)
    assert frame.loc["bad"].tolist() == table[2].tolist()
    assert {str(dtype) for dtype in frame.dtypes} == {"float32"}
    assert frame.index.name == "token"
