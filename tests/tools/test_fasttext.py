"""fastText models: vectors are those that fastText itself and gensim give, out of the vocabulary too."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import qemb as codec
from qemb_tools import ReadOptions, convert
from qemb_tools.edit import Edits

MODELS = Path(__file__).parent / "fasttext"
ANSWERS = np.load(MODELS / "answers.npz")
ASKED = ANSWERS["asked"].tolist()
CLOSE = 2e-7
"""fastText multiplies by one over the number of rows, gensim and the format divide by it: a unit in the last place."""


def names():
    return sorted(path.name for path in MODELS.iterdir() if path.suffix in (".bin", ".ftz"))


def opened(tmp_path, name, **options):
    summary = convert(MODELS / name, tmp_path / "model.qemb", **options)
    embedding = codec.open(tmp_path / "model.qemb")
    embedding.verify()
    return summary, embedding


@pytest.mark.parametrize("name", names())
def test_vectors_are_those_of_fasttext(tmp_path, name):
    _, embedding = opened(tmp_path, name, scheme="float32")
    found = 0
    for word, expected in zip(ASKED, ANSWERS[name.partition(".")[0]], strict=True):
        vector = embedding.get(word)
        if vector is not None:
            assert np.abs(vector - expected).max() <= CLOSE * np.abs(expected).max(), word
            found += 1
    least = {"quantized-pruned.ftz": 30, "supervised.bin": 41, "quantized.ftz": 41, "quantized-norms.ftz": 41}
    assert found >= least.get(name, len(ASKED))


@pytest.mark.parametrize("name", ["quantized.ftz", "quantized-norms.ftz"])
def test_product_codes_are_kept(tmp_path, name):
    summary, embedding = opened(tmp_path, name)
    assert summary.scheme.endswith("kept as they were: fastText product quantization, 2 values a code")
    assert embedding.info.scheme == "product"
    assert embedding.info.scale.startswith("row" if "norms" in name else "none")
    expected = ANSWERS[name.partition(".")[0]][:41]
    assert embedding[ASKED[:41]].tobytes() == expected.astype(np.float32).tobytes()


def test_what_is_left_out_is_said(tmp_path):
    summary, embedding = opened(tmp_path, "quantized-pruned.ftz")
    assert summary.notes == [
        "labels of the model, left out: 2",
        "subword buckets of a pruned model, of use for its own words alone, left out: 103",
    ]
    assert embedding.subwords is None
    summary, _ = opened(tmp_path, "skipgram.bin")
    assert summary.notes == ["labels of the model, left out: 2"]
    summary = convert(MODELS / "skipgram.bin", tmp_path / "model.vec")
    assert "subword buckets were left out: only .qemb files hold them" in summary.notes


def test_buckets_go_on_into_other_files(tmp_path):
    opened(tmp_path, "skipgram.bin", scheme="float32")
    convert(tmp_path / "model.qemb", tmp_path / "again.qemb", bits=8)
    with codec.open(tmp_path / "model.qemb") as exact, codec.open(tmp_path / "again.qemb") as again:
        assert again.subwords == codec.Subwords(1, 4)
        assert np.allclose(again["日本"], exact["日本"], atol=1e-2)
    convert(tmp_path / "model.qemb", tmp_path / "top.qemb", scheme="float32", edits=Edits(top=3, truncate=2))
    with codec.open(tmp_path / "model.qemb") as exact, codec.open(tmp_path / "top.qemb") as top:
        assert len(top) == 3
        assert np.array_equal(top["日本"], exact["日本"][:2])
    summary = convert(tmp_path / "model.qemb", tmp_path / "lower.qemb", edits=Edits(lower=True))
    assert "subword buckets were left out: what is made of them would not be that of the words" in summary.notes


def test_compressed(tmp_path):
    (tmp_path / "model.bin.gz").write_bytes(gzip.compress((MODELS / "skipgram.bin").read_bytes()))
    convert(tmp_path / "model.bin.gz", tmp_path / "one.qemb")
    convert(MODELS / "skipgram.bin", tmp_path / "two.qemb")
    assert (tmp_path / "one.qemb").read_bytes() == (tmp_path / "two.qemb").read_bytes()


def test_gensims_own_files(tmp_path, gensim_data):
    """Both versions of the format; gensim cuts ``</s>`` into n-grams, fastText does not."""
    load = pytest.importorskip("gensim.models.fasttext").load_facebook_vectors
    for name in ("crime-and-punishment.bin", "lee_fasttext.bin", "lee_fasttext_new.bin", "toy-model.bin"):
        theirs = load(str(gensim_data / name))
        convert(gensim_data / name, tmp_path / "model.qemb", scheme="exact")
        with codec.open(tmp_path / "model.qemb") as ours:
            words = [word for word in theirs.index_to_key if word != "</s>"]
            assert list(ours) == theirs.index_to_key
            assert ours[words].tobytes() == theirs[words].tobytes()
            if ours.subwords is not None:
                strange = [word[::-1] + "ж" for word in words[:50]]
                assert ours[strange].tobytes() == np.stack([theirs[word] for word in strange]).tobytes()
    convert(gensim_data / "cp852_fasttext.bin", tmp_path / "cp.qemb", options=ReadOptions(encoding="cp852"))
    with codec.open(tmp_path / "cp.qemb") as ours:
        assert "který" in ours


def test_a_real_model(tmp_path, shared_tables):
    load = pytest.importorskip("gensim.models.fasttext").load_facebook_vectors
    path = shared_tables / "fasttext-en-35k-100d.bin"
    theirs = load(str(path))
    convert(path, tmp_path / "exact.qemb", scheme="exact", compress=False)
    convert(path, tmp_path / "eight.qemb", bits=8)
    words = [f"{a[:4]}{b[-4:]}" for a, b in zip(theirs.index_to_key[:1500], theirs.index_to_key[-1500:], strict=True)]
    strange = [word for word in words if word not in theirs.key_to_index][:1000]
    expected = np.stack([theirs[word] for word in strange])
    with codec.open(tmp_path / "exact.qemb") as exact, codec.open(tmp_path / "eight.qemb") as eight:
        assert exact[strange].tobytes() == expected.tobytes()
        found = eight[strange]
        cosines = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
        assert cosines.min() >= 0.999
        assert len(strange) == 1000


@pytest.mark.parametrize("name", ["skipgram.bin", "quantized-norms.ftz", "quantized-pruned.ftz"])
def test_damage(tmp_path, name):
    """Cut anywhere, or with bytes changed at the front, a model is refused in one line or read: nothing else."""
    data = (MODELS / name).read_bytes()
    draw = np.random.default_rng(3)
    damaged = [data[: int(n)] for n in draw.integers(70, len(data) - 200, 12)]
    for place in [*range(4, 80), *draw.integers(80, len(data), 40)]:
        changed = bytearray(data)
        changed[place] ^= 1 << int(draw.integers(8))
        damaged.append(bytes(changed))
    said = []
    for bad in damaged:
        (tmp_path / "bad.bin").write_bytes(bad)
        try:
            convert(tmp_path / "bad.bin", tmp_path / "out.qemb", source_format="fasttext-bin", bits=8)
        except codec.QembError as error:
            said.append(str(error))
    assert len(said) > 20
    assert not [line for line in said if "\n" in line]


def test_a_version_that_is_not_known(tmp_path):
    data = bytearray((MODELS / "skipgram.bin").read_bytes())
    data[4] = 13
    (tmp_path / "new.bin").write_bytes(data)
    with pytest.raises(codec.InvalidError, match="of version 13; 11 and 12 are known: upgrade qemb"):
        convert(tmp_path / "new.bin", tmp_path / "out.qemb")
