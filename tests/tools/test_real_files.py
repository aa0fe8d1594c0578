"""Real files: all of gensim's test files that hold vectors, and the tables that people train and download.

Each converts into ``.qemb``, bit for bit as it was read, or is refused with the one line that stands here.
"""

from __future__ import annotations

import numpy as np
import pytest

import qemb as codec
from qemb import QembError
from qemb_tools import ReadOptions, UsageError, convert

VERSIONS_2 = [f"0.12.{n}" for n in range(5)] + [f"0.13.{n}" for n in range(5)] + ["1.0.0", "1.0.1", "2.0.0", "2.1.0"]
VERSIONS_3 = ["2.2.0", "2.3.0", "3.0.0", "3.1.0", "3.2.0", "3.3.0", "3.4.0"]

# every file that holds word vectors: format, rows, dim
GENSIM = {
    "EN.1-10.cbow1_wind5_hs0_neg10_size300_smpl1e-05.txt": ("text", 20, 300),
    "IT.1-10.cbow1_wind5_hs0_neg10_size300_smpl1e-05.txt": ("text", 20, 300),
    "compatible-hash-true.model": ("gensim", 22, 5),
    "crime-and-punishment.bin": ("fasttext-bin", 291, 5),
    "crime-and-punishment.vec": ("text", 291, 5),
    "d2v-lee-v0.13.0": ("gensim", 1750, 10),
    "doc2vec_old": ("gensim", 3955, 100),
    "doc2vec_old_sep": ("gensim", 3955, 100),
    "euclidean_vectors.bin": ("word2vec-bin", 2747, 10),
    "fasttext_old": ("gensim", 12, 100),
    "fasttext_old_sep": ("gensim", 12, 100),
    "ft_kv_3.6.0.model.gz": ("gensim", 12, 3),
    "ft_model_2.3.0": ("gensim", 1763, 10),
    "high_precision.kv.bin": ("word2vec-bin", 2, 2),
    "high_precision.kv.txt": ("text", 2, 2),
    "large_tag_doc_10_iter50": ("gensim", 984, 100),
    "lee_fasttext": ("gensim", 1762, 10),
    "lee_fasttext.bin": ("fasttext-bin", 1762, 10),
    "lee_fasttext.vec": ("text", 1762, 10),
    "lee_fasttext_new.bin": ("fasttext-bin", 1763, 10),
    "model-from-gensim-3.8.0.w2v": ("gensim", 3, 300),
    "non_ascii_fasttext.bin": ("fasttext-bin", 171, 2),
    "old_keyedvectors_320.dat": ("gensim", 12, 100),
    "poincare_test_3.4.0": ("gensim", 239, 2),
    "poincare_vectors.bin": ("word2vec-bin", 1182, 10),
    "pretrained.vec": ("text", 1, 5),
    "small_tag_doc_5_iter50": ("gensim", 475, 100),
    "test_glove.txt": ("text", 76, 50),
    "toy-model-pretrained.bin": ("fasttext-bin", 24, 5),
    "toy-model.bin": ("fasttext-bin", 22, 5),
    "toy-model.vec": ("text", 22, 5),
    "w2v-lee-v0.12.0": ("gensim", 806, 100),
    "word2vec_3.3": ("gensim", 4, 100),
    "word2vec_old": ("gensim", 12, 100),
    "word2vec_old_sep": ("gensim", 12, 100),
    "word2vec_pre_kv_c": ("text", 1750, 10),
    "word2vec_pre_kv_py2": ("gensim", 9, 2),
    "word2vec_pre_kv_py3": ("gensim", 9, 2),
    "word2vec_pre_kv_py3_4": ("gensim", 9, 2),
    "word2vec_pre_kv_sep_py2": ("gensim", 9, 2),
    "word2vec_pre_kv_sep_py3": ("gensim", 9, 2),
    "word2vec_pre_kv_sep_py3_4": ("gensim", 9, 2),
    **{f"old_w2v_models/w2v_{version}.mdl": ("gensim", 3, 4) for version in VERSIONS_2 + VERSIONS_3},
    **{f"old_d2v_models/d2v_{version}.mdl": ("gensim", 3, 4) for version in VERSIONS_2 + VERSIONS_3},
}

NOT_UTF8 = (
    "is not UTF-8; name the file's encoding with --encoding NAME (gbk, latin-1, ...), or keep the bytes as they are "
    "with --bytes"
)
UNKNOWN = "this is no format that is known; name it with --from (`qemb formats` lists them) or check the file"

# files of vectors that cannot be converted as they are, and the options with which they can, if any
GENSIM_REFUSED = {
    "cp852_fasttext.bin": (f"the token 'kter\\xec' {NOT_UTF8}", {"encoding": "cp852"}),
    "pang_lee_polarity_fasttext.bin": (f"the token '\\x97' {NOT_UTF8}", {"encoding": "cp1252"}),
    "pang_lee_polarity_fasttext.vec": (f"the token '\\x97' {NOT_UTF8}", {"encoding": "cp1252"}),
    "w2v_keyedvectors_load_test.modeldata": (f"the token 'ありがとう\\xe3\\x83' {NOT_UTF8}", {"keep_bytes": True}),
    "varembed_vectors.pkl": (UNKNOWN, None),  # VarEmbed's own pickle, a dict of morphemes
}

# not word vectors: corpora, dictionaries, topic models, evaluation sets; a part of each name is enough
NO_VECTORS = (
    "DTM/", "OPUS_", "PathLineSentences/", "alldata-id", "atmodel", "bgwiki", "crime-and-punishment.txt", "dtm_test",
    "ensemblelda", "enwiki", "fb-ngrams", "head500", "lda_3", "ldamodel", "ldavowpal", "lee.cor", "lee_background",
    "miIslita", "mini_newsgroup", "nmf_model", "pang_lee_polarity.cor", "para2para", "phrase", "poincare_cp852",
    "poincare_hypernyms", "poincare_utf8", "pre_0_13_2", "questions-words", "reproduce", "similarities0-1", "simlex999",
    "test_corpus", "test_mmcorpus", "testcorpus", "tfidf_model", "toy-data", "varembed_lee", "varembed_morfessor",
    "wordsim353", ".vocab",
)  # fmt: skip


@pytest.fixture
def round_trip(read, tmp_path, same_floats):
    """Convert to ``.qemb`` without loss; check that it holds what was read; return what was read."""

    def check(path, **options):
        table = read(path, **options)
        target = tmp_path / "out.qemb"
        summary = convert(str(path), str(target), options=ReadOptions(**options), scheme="float32")
        first = list({token: i for i, token in reversed(list(enumerate(table.tokens)))}.values())[::-1]
        with codec.open(target) as embedding:
            embedding.verify()
            assert [embedding.tokens.raw(i) for i in range(len(embedding))] == [table.tokens[i] for i in first]
            same_floats(embedding.matrix(0, len(first)), table.vectors[first])
            if table.counts is None:
                assert embedding.counts is None
            else:
                assert np.array_equal(embedding.counts, table.counts[first])
        assert summary.duplicates == len(table.tokens) - len(first)
        assert summary.rows == len(first)
        assert [p.name for p in tmp_path.iterdir()] == ["out.qemb"]
        return table

    return check


def refusal(path, tmp_path, **options):
    with pytest.raises((QembError, UsageError)) as caught:
        convert(str(path), str(tmp_path / "out.qemb"), options=ReadOptions(**options), scheme="float32")
    assert not list(tmp_path.iterdir())
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", GENSIM)
def test_gensims_files_convert(gensim_data, round_trip, name):
    kind, rows, dim = GENSIM[name]
    table = round_trip(gensim_data / name)
    assert (table.metadata["source"], *table.vectors.shape) == (kind, rows, dim)


@pytest.mark.parametrize("name", GENSIM_REFUSED)
def test_gensims_files_that_are_refused(gensim_data, round_trip, tmp_path, name):
    message, options = GENSIM_REFUSED[name]
    assert refusal(gensim_data / name, tmp_path).message == message
    if options:
        round_trip(gensim_data / name, **options)


def test_all_of_gensims_files_are_accounted_for(gensim_data):
    files = {str(path.relative_to(gensim_data).as_posix()) for path in gensim_data.rglob("*") if path.is_file()}
    known = set(GENSIM) | set(GENSIM_REFUSED)
    assert known <= files
    # arrays that belong to a model beside them
    apart = {name for name in files if name.endswith(".npy")}
    left = [name for name in sorted(files - known - apart) if not any(part in name for part in NO_VECTORS)]
    assert left == []


def test_gensims_other_files_are_refused_in_one_line(gensim_data, tmp_path):
    for path in sorted(gensim_data.iterdir()):
        if path.name in GENSIM or path.is_dir() or path.name.startswith("similarities0-1"):
            continue  # the last is a matrix of numbers, which is all that text vectors are
        refusal(path, tmp_path)


# every table, its format, rows and dim
SHARED = {
    "emoji2vec-1661-300d.bin": ("word2vec-bin", 1661, 300),
    "fasttext-en-35k-100d.bin": ("fasttext-bin", 34773, 100),
    "glove-6b-300d-sample.txt.gz": ("text", 100, 300),
    "glove2024-2235-50d.txt": ("text", 2235, 50),
    "medallia-1186-200d.bin": ("word2vec-bin", 1186, 200),
    "model2vec-float16": ("safetensors", 29528, 2),
    "model2vec-float32": ("safetensors", 29528, 2),
    "model2vec-int8": ("safetensors", 29528, 2),
    "word2vec-zh-95k-100d.bin": ("word2vec-bin", 95203, 100),
    "zh-500-300d.vec": ("text", 500, 300),
}
SHARED_REFUSED = {"stories260K.llama2c.bin", "zh-487-300d-gbk-crlf-shortrow.vec"}


def test_all_shared_tables_are_accounted_for(shared_tables):
    assert {path.name for path in shared_tables.iterdir()} == set(SHARED) | SHARED_REFUSED


@pytest.mark.parametrize("name", SHARED)
def test_shared_tables_convert(shared_tables, round_trip, name):
    kind, rows, dim = SHARED[name]
    table = round_trip(shared_tables / name)
    assert (table.metadata["source"], *table.vectors.shape) == (kind, rows, dim)


def test_gbk(shared_tables, round_trip, tmp_path):
    path = shared_tables / "zh-487-300d-gbk-crlf-shortrow.vec"
    error = refusal(path, tmp_path)
    assert (error.message, error.where) == (f"the token '\\xa3\\xac' {NOT_UTF8}", f"{path}, line 2")
    table = round_trip(path, encoding="gbk")
    assert table.vectors.shape == (487, 300)
    assert table.words[0] == "，"
    # split at any white space of Unicode, this row would be a value short
    assert "\u3000" in table.words
    assert table.notes == []


def test_gbk_with_a_short_row(shared_tables, round_trip, tmp_path):
    lines = (shared_tables / "zh-487-300d-gbk-crlf-shortrow.vec").read_bytes().splitlines(keepends=True)
    lines[7] = lines[7].rpartition(b" ")[0] + b"\r\n"
    folder = tmp_path / "source"
    folder.mkdir()
    path = folder / "short.vec"
    path.write_bytes(b"".join(lines))
    with pytest.raises(QembError) as caught:
        convert(path, folder / "out.qemb", options=ReadOptions(encoding="gbk"))
    assert caught.value.message == (
        "the row has 299 numbers, not 300; mend the line, or leave such rows out with --skip-bad"
    )
    assert caught.value.where == f"{path}, line 8"
    convert(path, folder / "out.qemb", options=ReadOptions(encoding="gbk", skip_bad=True))
    with codec.open(folder / "out.qemb") as embedding:
        assert len(embedding) == 486


def test_llama2c_needs_its_words(shared_tables, round_trip, tmp_path):
    path = shared_tables / "stories260K.llama2c.bin"
    error = refusal(path, tmp_path)
    assert isinstance(error, UsageError)
    assert str(error) == f"{path} is a llama2.c model, which has no words in it; name a file with them: --tokens FILE"


def test_shared_bins_are_read_as_gensim_reads_them(shared_tables, read, same_floats):
    keyedvectors = pytest.importorskip("gensim.models.keyedvectors")
    for name in ("word2vec-zh-95k-100d.bin", "emoji2vec-1661-300d.bin", "medallia-1186-200d.bin"):
        theirs = keyedvectors.KeyedVectors.load_word2vec_format(shared_tables / name, binary=True)
        ours = read(shared_tables / name)
        assert ours.words == theirs.index_to_key
        same_floats(ours.vectors, theirs.vectors)
