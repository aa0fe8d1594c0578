"""KeyedVectors over a file, beside gensim's own of the same vectors: results are equal to the last digit."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import qemb
from qemb_tools import convert, from_gensim

gensim = pytest.importorskip("gensim")
from gensim.models import FastText  # noqa: E402
from gensim.models import KeyedVectors as GensimKeyedVectors  # noqa: E402
from gensim.models.fasttext import FastTextKeyedVectors as GensimFastText  # noqa: E402
from gensim.models.fasttext import load_facebook_vectors  # noqa: E402

from qemb_tools.gensim import FastTextKeyedVectors, KeyedVectors, load  # noqa: E402

WORDS = [f"word{i}" for i in range(2999)] + ["naïve", "New York"]
DIM = 20
ROWS = 50_000


@pytest.fixture(scope="module")
def theirs():
    vectors = GensimKeyedVectors(DIM)
    values = np.random.default_rng(5).normal(size=(len(WORDS), DIM)).astype(np.float32)
    vectors.add_vectors(WORDS, values)
    for i, word in enumerate(WORDS):
        vectors.set_vecattr(word, "count", 7 * (len(WORDS) - i))
    return vectors


@pytest.fixture(scope="module")
def path(theirs, tmp_path_factory):
    path = tmp_path_factory.mktemp("dropin") / "table.qemb"
    from_gensim(theirs, path, scheme="exact")
    return path


@pytest.fixture
def ours(path):
    return load(path)


QUESTIONS = {
    "a vector": lambda kv: kv["naïve"].tolist(),
    "vectors": lambda kv: kv[["naïve", "word3"]].tolist(),
    "of unit length": lambda kv: kv.get_vector("word7", norm=True).tolist(),
    "by row": lambda kv: kv.get_vector(5).tolist(),
    "mean": lambda kv: kv.get_mean_vector(["word1", "word2", "absent"], weights=[1, 2, 3]).tolist(),
    "most similar": lambda kv: kv.most_similar("word1", topn=20),
    "of several": lambda kv: kv.most_similar(["word1", ("word2", 0.5)], ["word3"]),
    "of a vector": lambda kv: kv.similar_by_vector(np.arange(DIM, dtype=np.float64)),
    "between": lambda kv: kv.most_similar("word9", clip_start=100, clip_end=1333),
    "restricted": lambda kv: kv.most_similar("word9", restrict_vocab=500),
    "all": lambda kv: kv.most_similar("word9", topn=None).tolist(),
    "product": lambda kv: kv.most_similar_cosmul(["word1", "word2"], ["word3"]),
    "similarity": lambda kv: float(kv.similarity("word1", "word2")),
    "of sets": lambda kv: float(kv.n_similarity(["word1", "word2"], ["word3"])),
    "distance": lambda kv: float(kv.distance("word1", "New York")),
    "distances": lambda kv: kv.distances("word1").tolist(),
    "to some": lambda kv: kv.distances("word1", ["word5", "word2"]).tolist(),
    "does not match": lambda kv: kv.doesnt_match(["word1", "word2", "word3"]),
    "centrality": lambda kv: [(float(a), b) for a, b in kv.rank_by_centrality(["word1", "word2", "word3"])],
    "closer": lambda kv: kv.closer_than("word1", "word2"),
    "rank": lambda kv: kv.rank("word1", "word2"),
    "given": lambda kv: kv.most_similar_to_given("word1", ["word2", "word3"]),
    "relative": lambda kv: float(kv.relative_cosine_similarity("word1", "word2")),
    "a count": lambda kv: int(kv.get_vecattr("word3", "count")),
    "normed": lambda kv: kv.get_normed_vectors().tolist(),
    "norms": lambda kv: (kv.fill_norms(), kv.norms.tolist()),
    "some of them": lambda kv: kv.vectors_for_all(["word4", "absent"]).vectors.tolist(),
    "rows of words": lambda kv: [kv.get_index("word8"), kv.key_to_index["naïve"], kv.key_to_index.get("x")],
    "words": lambda kv: [kv.index_to_key[3], kv.index_to_key[-2:], len(kv), len(kv.index_to_key)],
    "membership": lambda kv: ["word1" in kv, "absent" in kv, "absent" in kv.key_to_index, 3 in kv, 99999 in kv],
    "iteration": lambda kv: [list(kv.index_to_key), sorted(kv.key_to_index.items())],
    "itself": lambda kv: str(kv).partition("<")[2],
}  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.filterwarnings("ignore:Call to deprecated:DeprecationWarning")
def test_answers_are_gensims_and_the_matrix_is_not_decoded(question, ours, theirs):
    assert isinstance(ours, GensimKeyedVectors)
    assert QUESTIONS[question](ours) == QUESTIONS[question](theirs)
    assert "vectors" not in vars(ours)


def test_words_are_equal_to_a_list_and_rows_to_a_dict(ours, theirs):
    assert ours.index_to_key == theirs.index_to_key
    assert theirs.index_to_key == ours.index_to_key
    assert ours.key_to_index == theirs.key_to_index
    assert ours.index_to_key != [*WORDS[:-1], "other"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda kv: kv["absent"],
        lambda kv: kv.most_similar("absent"),
        lambda kv: kv.get_vector(len(WORDS)),
        lambda kv: kv.get_vecattr("word1", "colour"),
    ],
)
def test_what_is_absent_is_a_key_error(ask, ours, theirs):
    for vectors in (theirs, ours):
        with pytest.raises(KeyError):
            ask(vectors)


def test_vectors_are_decoded_when_asked_for_and_kept(ours, theirs, same_floats):
    same_floats(ours.vectors, theirs.vectors)
    assert ours.vectors is ours.vectors
    ours.vectors[0] = 1
    assert ours["word0"].tolist() == [1] * DIM
    assert ours.most_similar("word1") is not None


@pytest.mark.filterwarnings("ignore:Adding single vectors:UserWarning")
@pytest.mark.parametrize(
    "change",
    [
        lambda kv: kv.add_vectors(["new", "word1"], np.ones((2, DIM), np.float32)),
        lambda kv: kv.add_vector("new", np.ones(DIM, np.float32)),
        lambda kv: kv.__setitem__(["new", "word1"], [np.ones(DIM), np.arange(DIM)]),
        lambda kv: kv.sort_by_descending_frequency(),
        lambda kv: kv.unit_normalize_all(),
        lambda kv: kv.set_vecattr("word1", "count", 10**6),
        lambda kv: kv.set_vecattr("word1", "colour", "red"),
        lambda kv: (kv.set_vecattr("word2900", "count", 10**6), kv.sort_by_descending_frequency()),
    ],
)
def test_changes_are_gensims_and_the_file_keeps_its_bytes(change, ours, theirs, path, same_floats):
    before = path.read_bytes()
    changed = copy.deepcopy(theirs)
    changed.norms = None  # gensim's own do not follow when words are added
    for vectors in (ours, changed):
        change(vectors)
    same_floats(ours.vectors, changed.vectors)
    assert ours.index_to_key == changed.index_to_key
    assert ours.key_to_index == changed.key_to_index
    assert ours.expandos.keys() == changed.expandos.keys()
    assert ours.get_vecattr("word1", "count") == changed.get_vecattr("word1", "count")
    assert ours.most_similar("word1") == changed.most_similar("word1")
    assert path.read_bytes() == before


def test_a_copy_in_memory_is_gensims_own(ours, theirs, path, same_floats):
    ours.set_vecattr("word1", "colour", "red")
    plain = ours.to_gensim()
    assert type(plain) is GensimKeyedVectors
    same_floats(plain.vectors, theirs.vectors)
    assert plain.index_to_key == theirs.index_to_key
    assert type(plain.index_to_key) is list
    assert plain.key_to_index == theirs.key_to_index
    assert plain.get_vecattr("word1", "colour") == "red"
    plain.vectors[0] = plain.expandos["count"][0] = 1
    assert ours.get_vecattr("word0", "count") == 7 * len(WORDS)
    assert "vectors" not in vars(ours)
    changed = load(path)
    changed["new"] = np.ones(DIM)
    assert changed.to_gensim()["new"].tolist() == [1] * DIM
    assert len(changed.to_gensim()) == len(WORDS) + 1


def test_what_is_saved_is_gensims(ours, theirs, tmp_path, same_floats):
    ours.save(str(tmp_path / "saved"))
    saved = GensimKeyedVectors.load(str(tmp_path / "saved"))
    assert type(saved) is GensimKeyedVectors
    same_floats(saved.vectors, theirs.vectors)
    assert saved.key_to_index == theirs.key_to_index
    assert saved.get_vecattr("word5", "count") == theirs.get_vecattr("word5", "count")
    for vectors, name in ((ours, "a"), (theirs, "b")):
        vectors.save_word2vec_format(tmp_path / f"{name}.txt", fvocab=tmp_path / f"{name}.vocab")
        vectors.save_word2vec_format(tmp_path / f"{name}.bin", binary=True)
    for suffix in ("txt", "vocab", "bin"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert "vectors" not in vars(ours)


def test_a_pickle_names_the_file(ours, path, theirs):
    ours.set_vecattr("word1", "colour", "red")
    data = pickle.dumps(ours)
    assert len(data) < path.stat().st_size / 3
    again = pickle.loads(data)
    assert again.most_similar("word1") == theirs.most_similar("word1")
    assert again.get_vecattr("word1", "colour") == "red"
    assert "vectors" not in vars(copy.deepcopy(again))
    ours.unit_normalize_all()
    assert np.array_equal(pickle.loads(pickle.dumps(ours)).vectors, ours.vectors)


def test_the_class_loads_both(path, theirs, tmp_path):
    theirs.save(str(tmp_path / "saved"))
    assert isinstance(KeyedVectors.load(path), KeyedVectors)
    assert KeyedVectors.load(tmp_path / "saved").most_similar("word1") == theirs.most_similar("word1")


def test_counts_that_a_file_has_not_descend_as_gensims_loaders_make_them_up(tmp_path):
    qemb.write(tmp_path / "plain.qemb", ["a", "b"], np.eye(2, 8), scheme="exact")
    ours = load(tmp_path / "plain.qemb")
    ours.save_word2vec_format(tmp_path / "plain.txt")
    theirs = GensimKeyedVectors.load_word2vec_format(tmp_path / "plain.txt")
    assert [ours.get_vecattr(word, "count") for word in "ab"] == [theirs.get_vecattr(word, "count") for word in "ab"]


def test_a_file_without_words_is_gensims_empty_object(tmp_path):
    qemb.write(tmp_path / "empty.qemb", [], np.empty((0, 8)), scheme="exact")
    ours = load(tmp_path / "empty.qemb")
    assert len(ours) == 0
    assert ours.vectors.shape == (0, 8)
    assert "x" not in ours


def test_import_qemb_tools_loads_no_optional_package():
    code = "import sys, qemb_tools; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"gensim", "h5py", "pyarrow", "scipy", "sklearn", "tokenizers", "torch"} & set(loaded)


def test_a_missing_gensim_is_asked_for_by_its_extra():
    code = "import sys; sys.modules['gensim'] = None; import qemb_tools.gensim"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stderr.splitlines()[-1] == (
        'ImportError: this needs gensim, which is not installed; run: pip install "qemb-format[gensim]"'
    )


# --- subwords -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fasttext():
    sentences = [["human", "interface", "computer"], ["survey", "user", "система"], ["naïve", "user"]] * 5
    return FastText(sentences, vector_size=12, min_count=1, bucket=500, min_n=2, max_n=4, workers=1, seed=3).wv


@pytest.fixture
def over_file(fasttext, tmp_path):
    path = tmp_path / "subwords.qemb"
    subwords = qemb.Subwords(fasttext.min_n, fasttext.max_n)
    qemb.write(path, fasttext.index_to_key, fasttext.vectors, scheme="exact", subwords=subwords,
               buckets=fasttext.vectors_ngrams)  # fmt: skip
    return load(path)


SUBWORD_QUESTIONS = {
    "a word": lambda kv: kv["user"].tolist(),
    "another": lambda kv: kv["users"].tolist(),
    "not ASCII": lambda kv: kv["système"].tolist(),
    "of unit length": lambda kv: kv.get_vector("users", norm=True).tolist(),
    "a word of unit length": lambda kv: kv.get_vector("user", norm=True).tolist(),
    "sentence": lambda kv: kv.get_sentence_vector(["users", "interface"]).tolist(),
    "most similar": lambda kv: kv.most_similar("computers"),
    "membership": lambda kv: ["users" in kv, "users" in kv.key_to_index, kv.has_index_for("users")],
    "similarity": lambda kv: float(kv.similarity("users", "user")),
    "inferred": lambda kv: kv.vectors_for_all(["users", "user"]).vectors.tolist(),
    "by keyword": lambda kv: kv.get_vector(word="users").tolist(),
    "without n-grams": lambda kv: kv[""].tolist(),
    "settings": lambda kv: [kv.min_n, kv.max_n, kv.bucket],
    "n-grams": lambda kv: kv.vectors_ngrams.tolist(),
    "buckets": lambda kv: [buckets.tolist() for buckets in kv.buckets_word],
}


@pytest.mark.parametrize("question", SUBWORD_QUESTIONS)
def test_words_out_of_the_vocabulary_are_gensims(question, over_file, fasttext):
    assert isinstance(over_file, FastTextKeyedVectors)
    assert isinstance(over_file, GensimFastText)
    assert SUBWORD_QUESTIONS[question](over_file) == SUBWORD_QUESTIONS[question](fasttext)
    assert "vectors" not in vars(over_file)


def test_subwords_are_saved_as_gensims(over_file, fasttext, tmp_path):
    over_file.save(str(tmp_path / "saved"))
    saved = GensimFastText.load(str(tmp_path / "saved"))
    assert type(saved) is GensimFastText
    assert saved["users"].tolist() == fasttext["users"].tolist()
    # gensim saves words' own vectors and composes anew; they are computed back here, but for rounding
    np.testing.assert_allclose(saved.vectors, fasttext.vectors, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(saved.vectors_vocab, fasttext.vectors_vocab, rtol=1e-4, atol=1e-6)
    assert "vectors" not in vars(over_file)
    FastTextKeyedVectors(4, 2, 3, 10).save(str(tmp_path / "empty"))


def test_a_pickle_of_subwords_names_the_file(over_file, fasttext):
    assert pickle.loads(pickle.dumps(over_file))["users"].tolist() == fasttext["users"].tolist()


# --- evaluation on real vectors -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def facebook():
    """A real fastText model and gensim's reading of it."""
    shared = os.environ.get("QEMB_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data"
    model = Path(shared, "tables", "fasttext-en-35k-100d.bin")
    if not model.is_file():
        pytest.skip(f"not run: {model.name} is not in {model.parent}; name the folder above in QEMB_SHARED_DATA")
    return model, load_facebook_vectors(str(model))


@pytest.fixture(scope="module")
def real(tmp_path_factory, request):
    """Printed English vectors as gensim reads them, and the exact file of the same text.

    GloVe's first 50,000 words where QEMB_GLOVE names its text, otherwise those of the fastText model.
    """
    folder = tmp_path_factory.mktemp("real")
    text = folder / "vectors.txt"
    if glove := os.environ.get("QEMB_GLOVE"):
        with Path(glove).open("rb") as source:
            lines = [line for line, _ in zip(source, range(ROWS), strict=False)]
    else:
        _, words = request.getfixturevalue("facebook")
        lines = [
            f"{word} {' '.join(f'{value:.5g}' for value in vector)}\n".encode()
            for word, vector in zip(words.index_to_key, words.vectors.tolist(), strict=True)
        ]
    text.write_bytes(b"".join([b"%d %d\n" % (len(lines), len(lines[0].split()) - 1), *lines]))
    convert(text, folder / "vectors.qemb", scheme="exact")
    return GensimKeyedVectors.load_word2vec_format(text), folder / "vectors.qemb"


def test_a_real_fasttext_model_answers_as_in_gensim(facebook, tmp_path):
    model, theirs = facebook
    convert(model, tmp_path / "model.qemb", scheme="float32")
    ours = load(tmp_path / "model.qemb")
    assert [ours.min_n, ours.max_n, ours.bucket] == [theirs.min_n, theirs.max_n, theirs.bucket]
    words = [f"{word}{word[:3]}x" for word in theirs.index_to_key[1:500]]
    assert theirs.key_to_index.keys().isdisjoint(words)
    assert np.array_equal([ours[word] for word in words], [theirs[word] for word in words])
    assert ours.most_similar(words[5]) == theirs.most_similar(words[5])
    # fastText itself gives the end of a sentence no n-grams; gensim does
    assert np.flatnonzero((ours.vectors != theirs.vectors).any(axis=1)).tolist() == [theirs.key_to_index["</s>"]]


def test_evaluations_and_movers_distance_are_gensims_to_the_last_digit(real, gensim_data, tmp_path):
    theirs, path = real
    ours = load(path)
    for pairs in ("wordsim353.tsv", "simlex999.txt"):
        assert ours.evaluate_word_pairs(gensim_data / pairs) == theirs.evaluate_word_pairs(gensim_data / pairs)
    questions = (gensim_data / "questions-words.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    some = tmp_path / "questions.txt"
    some.write_text("".join(line for i, line in enumerate(questions) if line[0] == ":" or i % 100 == 0))
    found = ours.evaluate_word_analogies(some)
    assert found == theirs.evaluate_word_analogies(some)
    assert len(found[1][-1]["correct"]) > 0
    pytest.importorskip("ot")
    one = ["the", "president", "speaks", "to", "the", "press", "in", "the", "morning"]
    other = ["a", "minister", "greets", "reporters", "in", "the", "afternoon", "absentword"]
    for norm in (True, False):
        assert ours.wmdistance(one, other, norm=norm) == theirs.wmdistance(one, other, norm=norm)
    assert "vectors" not in vars(ours)
