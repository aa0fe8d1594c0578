"""HDF5 files of other libraries, made by h5py as those libraries lay them out.

`real_formats.py` makes the same with the libraries themselves, which are too large to be installed for every run.
"""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

import qemb as codec
from qemb import InvalidError
from qemb_tools import ReadOptions, UsageError, convert

h5py = pytest.importorskip("h5py")

WORDS = ["the", "New York", "", "café", "中文"]
BYTES = np.array([word.encode() for word in WORDS])
MATRIX = np.arange(15, dtype=np.float32).reshape(5, 3) / 7


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.h5"


@pytest.fixture
def words(tmp_path):
    (tmp_path / "words.txt").write_text("".join(word + "\n" for word in WORDS), encoding="utf-8")
    return str(tmp_path / "words.txt")


def frame(file, blocks=(MATRIX,), index=BYTES, encoding="UTF-8"):
    """A fixed frame as pandas 3 with PyTables 3.11 lays it out."""
    group = file.create_group("mat")
    group.attrs.update(
        {"CLASS": b"GROUP", "pandas_type": b"frame", "encoding": encoding.encode(), "errors": b"strict", "ndim": 2}
    )
    group.attrs["nblocks"] = len(blocks)
    group["axis0"] = np.arange(sum(block.shape[1] for block in blocks))
    group["axis1"] = index
    for i, block in enumerate(blocks):
        group[f"block{i}_items"] = np.arange(block.shape[1])
        group[f"block{i}_values"] = block
        group[f"block{i}_values"].attrs["transposed"] = np.uint8(1)


def records(file):
    """A frame in PyTables' table format, with the index of its index beside it."""
    group = file.create_group("mat")
    group.attrs["pandas_type"] = b"frame_table"
    table = np.empty(5, [("index", BYTES.dtype), ("values_block_0", "<f4", (3,))])
    table["index"], table["values_block_0"] = BYTES, MATRIX
    group["table"] = table
    group["_i_table/index/indices"] = np.zeros((0, 131072), np.uint32)


@pytest.mark.parametrize("make", [frame, records])
def test_a_frame_of_pandas(read, path, same_floats, make):
    with h5py.File(path, "w") as file:
        make(file)
    table = read(path)
    assert table.words == WORDS
    same_floats(table.vectors, MATRIX)
    assert table.metadata["layout"] == "pandas"
    assert read(path, dataset="mat").words == read(path, dataset="/mat").words == WORDS


def test_numberbatchs_int8_is_kept(path, tmp_path):
    values = np.arange(-7, 8, dtype=np.int8).reshape(5, 3)
    with h5py.File(path, "w") as file:
        frame(file, [values])
    summary = convert(path, tmp_path / "out.qemb")
    assert summary.scheme.endswith("kept as they were: int8")
    with codec.open(tmp_path / "out.qemb") as emb:
        assert np.array_equal(emb.matrix(), values.astype(np.float32))
        assert list(emb.tokens) == WORDS


def test_frames_that_need_something(read, path, tmp_path, words, same_floats):
    with h5py.File(path, "w") as file:
        frame(file, [MATRIX[:, :1], MATRIX[:, 1:].astype(np.float64)])
    with pytest.raises(InvalidError) as caught:
        read(path)
    assert caught.value.message == (
        "the columns of the frame have several types; write it with one: frame.astype('float32').to_hdf(...)"
    )
    with h5py.File(path, "w") as file:
        frame(file, index=np.arange(5))
    with pytest.raises(UsageError, match="the file holds vectors only; name the file with its words: --tokens FILE"):
        read(path)
    same_floats(read(path, tokens=words).vectors, MATRIX)
    with h5py.File(path, "w") as file:
        frame(file, [MATRIX.astype(np.float64)], np.array([w.encode("gb18030") for w in WORDS]), "gb18030")
    table = read(path)
    assert table.words == WORDS
    assert table.notes == ["the values are float64; they were rounded to float32"]
    with h5py.File(path, "w") as file:
        frame(file, index=np.array([w.encode("gb18030") for w in WORDS]))
    with pytest.raises(InvalidError, match=r"is not UTF-8; .*file\.h5, /mat/axis1, row 3, invalid\.source\)"):
        read(path)
    assert read(path, encoding="gb18030").words == WORDS


def keras3(file):
    file["layers/dense/vars/0"], file["layers/dense/vars/1"] = np.ones((12, 2), np.float32), np.ones(2, np.float32)
    file["layers/embedding/vars/0"] = MATRIX
    file["layers/embedding/vars"].attrs["name"] = "words"
    file["optimizer/vars/2"] = MATRIX * 2


def keras3_subclass(file):
    file["d/vars/0"], file["d/vars/1"] = np.ones((3, 2), np.float32), np.ones(2, np.float32)
    file["emb/vars/0"] = MATRIX
    file["emb/vars"].attrs["name"] = "embedding_2"


def keras2_weights(file):
    file.attrs.update({"backend": b"tensorflow", "keras_version": b"2.15.0"})
    file["words/words/embeddings:0"] = MATRIX
    file["words"].attrs["weight_names"] = np.array([b"words/embeddings:0"])
    file["dense/dense/kernel:0"] = np.ones((12, 2), np.float32)


def keras2_model(file):
    keras2_weights(file.create_group("model_weights"))
    file.attrs["keras_version"] = b"2.15.0"
    file["optimizer_weights/Adam/words/embeddings/m:0"] = MATRIX * 2


def keras3_legacy(file):
    file["model_weights/words/sequential/words/embeddings"] = MATRIX
    file["model_weights/words"].attrs["weight_names"] = ["sequential/words/embeddings"]
    file["model_weights/dense/sequential/dense/kernel"] = np.ones((12, 2), np.float32)


KERAS = [keras3, keras3_subclass, keras2_weights, keras2_model, keras3_legacy]


@pytest.mark.parametrize("make", KERAS)
def test_the_embedding_layer_of_a_keras_model(read, path, words, same_floats, make):
    with h5py.File(path, "w") as file:
        make(file)
    with pytest.raises(UsageError, match="the file holds vectors only; name the file with its words: --tokens FILE"):
        read(path)
    table = read(path, tokens=words)
    same_floats(table.vectors, MATRIX)
    assert table.metadata["layout"] == "Keras"


def test_a_keras_archive(read, path, tmp_path, words, same_floats):
    with h5py.File(path, "w") as file:
        keras3(file)
    archive = tmp_path / "model.keras"
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("config.json", "{}")
        target.write(path, "model.weights.h5")
    same_floats(read(archive, tokens=words).vectors, MATRIX)
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("config.json", "{}")
    with pytest.raises(InvalidError, match=r"no item named 'model\.weights\.h5' in the archive"):
        read(archive, tokens=words)


def test_models_with_several_tables_or_quantized_ones(read, path, words, same_floats):
    with h5py.File(path, "w") as file:
        keras3(file)
        file["layers/embedding_1/vars/0"] = MATRIX * 2
    with pytest.raises(UsageError) as caught:
        read(path, tokens=words)
    assert str(caught.value) == (
        f"{path} holds /layers/embedding/vars/0, /layers/embedding_1/vars/0; name one: --dataset NAME "
        "(`qemb info` tells what they are)"
    )
    same_floats(read(path, tokens=words, dataset="layers/embedding_1/vars/0").vectors, MATRIX * 2)
    with h5py.File(path, "w") as file:
        file["layers/embedding/vars/0"], file["layers/embedding/vars/1"] = np.ones((5, 3), np.int8), np.ones(5)
    with pytest.raises(InvalidError, match="Keras quantized these; save the weights before `quantize`"):
        read(path, tokens=words)


def test_ann_benchmarks(read, path, words, same_floats):
    with h5py.File(path, "w") as file:
        file.attrs.update({"type": "dense", "distance": "angular", "dimension": 3, "point_type": "float"})
        file["train"], file["test"] = MATRIX, MATRIX[:2]
        file["neighbors"], file["distances"] = np.zeros((2, 100), np.int32), np.zeros((2, 100), np.float32)
    table = read(path)
    same_floats(table.vectors, MATRIX)
    assert table.words == ["0", "1", "2", "3", "4"]
    assert table.notes == ["the file has no words; its rows are called 0, 1, 2, ... (--tokens names words)"]
    table = read(path, tokens=words)
    assert (table.words, table.notes) == (WORDS, [])
    with pytest.raises(UsageError, match="name the file with its words"):
        read(path, dataset="test")


def test_pytorch_biggraph(read, tmp_path, same_floats):
    path = tmp_path / "embeddings_user_id_0.v10.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"format_version": 1, "config/json": "{}"})
        file["embeddings"] = MATRIX
        file["optimizer/state_dict"] = np.frombuffer(b"pickle", "V1")
    with pytest.raises(UsageError) as caught:
        read(path)
    assert str(caught.value) == (
        f"the names of {path} are in entity_names_user_id_0.json, which is not beside it: --tokens FILE"
    )
    names = tmp_path / "entity_names_user_id_0.json"
    names.write_text(json.dumps(WORDS, indent=4))
    table = read(path)
    assert table.words == WORDS
    same_floats(table.vectors, MATRIX)
    names.write_text(json.dumps(WORDS[:4]))
    with pytest.raises(InvalidError, match="there are 5 rows and 4 tokens"):
        read(path)
    elsewhere = path.rename(tmp_path / "other.h5")
    with pytest.raises(UsageError, match="name the file with its words"):
        read(elsewhere)


def test_a_word_list_and_a_matrix(read, path, same_floats):
    with h5py.File(path, "w") as file:
        file["vectors"], file["vocab"] = MATRIX, WORDS
    same_floats(read(path).vectors, MATRIX)
    assert read(path).words == WORDS
    with h5py.File(path, "a") as file:
        file["lemmas"] = WORDS[::-1]
    with pytest.raises(UsageError, match="name the file with its words"):
        read(path)
    assert read(path, tokens="lemmas").words == WORDS[::-1]
    with h5py.File(path, "a") as file:
        file["en/vectors"], file["en/words"] = MATRIX * 2, WORDS
    same_floats(read(path, dataset="/en/vectors").vectors, MATRIX * 2)
    assert read(path, dataset="/en/vectors").words == WORDS
    with pytest.raises(UsageError, match=r"holds /en/vectors, /vectors; name one: --dataset NAME"):
        read(path)


def test_info_lists_the_tables(qemb, path):
    with h5py.File(path, "w") as file:
        frame(file)
        keras3(file)
    assert qemb("info", path).stdout.splitlines() == [
        "--dataset /mat  5 x 3 float32  pandas  words: /mat/axis1",
        "--dataset /layers/embedding/vars/0  5 x 3 float32  Keras  words: name them, --tokens",
        "--dataset /layers/dense/vars/0  12 x 2 float32  matrix  words: name them, --tokens",
        "--dataset /optimizer/vars/2  5 x 3 float32  matrix  words: name them, --tokens",
    ]
    assert json.loads(qemb("info", path, "--json").stdout)[0] == {
        "name": "/mat", "layout": "pandas", "rows": 5, "dim": 3, "dtype": "float32", "words": "/mat/axis1",
        "problem": "",
    }  # fmt: skip
    with h5py.File(path, "w"):
        pass
    assert qemb("info", path).stdout == "there is no table in the file that could be converted\n"
    path.write_bytes(path.read_bytes()[:100])
    assert "HDF5 cannot read the file" in qemb("info", path, code=1).stderr


@pytest.mark.parametrize("make", [frame, records, keras2_model])
def test_damage(survives_damage, path, words, make):
    with h5py.File(path, "w") as file:
        make(file)
    survives_damage(path, "hdf5", tokens=words)


def test_out_of_other_layouts_into_ours_and_back(read, path, tmp_path, same_floats):
    with h5py.File(path, "w") as file:
        records(file)
    convert(path, tmp_path / "a.qemb", scheme="exact")
    convert(tmp_path / "a.qemb", tmp_path / "b.h5", options=ReadOptions())
    table = read(tmp_path / "b.h5")
    assert table.words == WORDS
    same_floats(table.vectors, MATRIX)
