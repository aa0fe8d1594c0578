"""Files made by the libraries whose formats are read, into ``.qemb`` and out again, as a Markdown table.

    pip install . pandas tables keras jax spacy finalfusion safetensors tokenizers model2vec polars gguf gensim
    python tests/tools/real_formats.py > real-formats.md

These libraries are too large for every run of the tests, which make the same layouts by hand. A line whose library is
absent says so. The table is of real words and vectors, and of words that are awkward.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("KERAS_BACKEND", "numpy")

import numpy as np

import qemb
import qemb_tools
from qemb_tools import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Callable

SHARED = Path(os.environ.get("QEMB_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data") / "tables"
SOURCE = SHARED / "glove2024-2235-50d.txt"
AWKWARD = ["New York", "中文", "a\u00a0b", "<unk>"]


def real_table() -> tuple[list[str], np.ndarray]:
    """Words and vectors, float32."""
    rng = np.random.default_rng(0)
    if SOURCE.exists():
        with qemb_tools.open_source(str(SOURCE)) as source:
            batches = list(source.batches())
        words = [token.decode() for batch in batches for token in batch.tokens]
        matrix = np.concatenate([batch.vectors for batch in batches])
    else:
        words, matrix = [f"w{i}" for i in range(2235)], rng.normal(size=(2235, 50)).astype(np.float32)
    rows = {word: row for word, row in zip(words, matrix, strict=True) if word}
    rows |= {word: rng.normal(size=matrix.shape[1]).astype(np.float32) for word in AWKWARD}
    return list(rows), np.stack(list(rows.values()))


WORDS, MATRIX = real_table()
Made = tuple[Path, ReadOptions, np.ndarray]
READERS: list[tuple[str, str, Callable[[Path], Made]]] = []
WRITERS: list[tuple[str, str, Callable[[Path], tuple[list[str], np.ndarray]]]] = []


def made_by(library: str, what: str) -> Callable[[Callable[[Path], Made]], Callable[[Path], Made]]:
    """Register a function that makes a file in a folder: path, options, and the floats that the library reads."""

    def register(make: Callable[[Path], Made]) -> Callable[[Path], Made]:
        READERS.append((library, what, make))
        return make

    return register


def words_file(folder: Path) -> ReadOptions:
    (folder / "words.txt").write_text("".join(word + "\n" for word in WORDS), encoding="utf-8")
    return ReadOptions(tokens=str(folder / "words.txt"))


@made_by("tables", "HDF5: a frame of pandas, fixed")
def pandas_fixed(folder: Path) -> Made:
    import pandas as pd

    pd.DataFrame(MATRIX, index=WORDS).to_hdf(folder / "a.h5", key="mat")
    return folder / "a.h5", ReadOptions(), pd.read_hdf(folder / "a.h5", "mat").to_numpy()


@made_by("tables", "HDF5: a frame of pandas, table")
def pandas_table(folder: Path) -> Made:
    import pandas as pd

    pd.DataFrame(MATRIX, index=WORDS).to_hdf(folder / "a.h5", key="mat", format="table", complevel=5)
    return folder / "a.h5", ReadOptions(), pd.read_hdf(folder / "a.h5", "mat").to_numpy()


@made_by("tables", "HDF5: int8, as Numberbatch's mini.h5")
def pandas_int8(folder: Path) -> Made:
    import pandas as pd

    integers = np.clip(np.round(MATRIX * 20), -128, 127).astype(np.int8)
    pd.DataFrame(integers, index=WORDS).to_hdf(folder / "a.h5", key="mat")
    return folder / "a.h5", ReadOptions(), integers.astype(np.float32)


def keras(folder: Path, name: str) -> Made:
    from keras import Sequential, layers

    embedding = layers.Embedding(*MATRIX.shape)
    model = Sequential([layers.Input((4,)), embedding, layers.Flatten(), layers.Dense(2)])
    embedding.set_weights([MATRIX])
    (model.save_weights if "weights" in name else model.save)(folder / name)
    return folder / name, words_file(folder), embedding.get_weights()[0]


made_by("keras", "HDF5: `Embedding`, .weights.h5")(lambda folder: keras(folder, "a.weights.h5"))
made_by("keras", "HDF5: `Embedding`, legacy .h5")(lambda folder: keras(folder, "a.h5"))
made_by("keras", "HDF5: `Embedding`, .keras")(lambda folder: keras(folder, "a.keras"))


@made_by("safetensors", "safetensors: two shards and their index")
def sharded(folder: Path) -> Made:
    from safetensors.numpy import save_file

    names = {f"model-0000{i}-of-00002.safetensors": i for i in (1, 2)}
    first, second = names
    save_file({"model.layers.0.weight": np.ones((3, 3), np.float32)}, folder / first)
    save_file({"model.embed_tokens.weight": MATRIX}, folder / second)
    index = {"weight_map": {"model.layers.0.weight": first, "model.embed_tokens.weight": second}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in WORDS), encoding="utf-8")
    return folder, ReadOptions(), MATRIX


def tokenizer() -> object:
    from tokenizers import Tokenizer, models

    return Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))  # noqa: S106 - no password


@made_by("tokenizers", "safetensors: sentence-transformers' `StaticEmbedding`, as its `save` writes it")
def static_embedding(folder: Path) -> Made:
    from safetensors.numpy import save_file

    inner = folder / "0_StaticEmbedding"
    inner.mkdir()
    save_file({"embedding.weight": MATRIX}, inner / "model.safetensors")
    tokenizer().save(str(inner / "tokenizer.json"))
    module = {"idx": 0, "name": "0", "path": inner.name, "type": "sentence_transformers.models.StaticEmbedding"}
    (folder / "modules.json").write_text(json.dumps([module]))
    return folder, ReadOptions(), MATRIX


@made_by("model2vec", "safetensors: `StaticModel`")
def model2vec(folder: Path) -> Made:
    from model2vec import StaticModel

    StaticModel(MATRIX, tokenizer(), config={}).save_pretrained(folder)
    return folder, ReadOptions(), StaticModel.from_pretrained(folder).embedding


@made_by("model2vec", "safetensors: `StaticModel` with a quantized vocabulary")
def model2vec_quantized(folder: Path) -> Made:
    from model2vec import StaticModel

    rng = np.random.default_rng(1)
    weights, mapping = rng.uniform(0.1, 2, len(WORDS)).astype(np.float32), rng.integers(0, 500, len(WORDS))
    StaticModel(MATRIX[:500], tokenizer(), {}, weights=weights, token_mapping=mapping).save_pretrained(folder)
    model = StaticModel.from_pretrained(folder)
    return folder, ReadOptions(), model._encode_helper(list(range(len(WORDS))))


@made_by("gguf", "GGUF: `token_embd.weight` in Q8_0")
def gguf(folder: Path) -> Made:
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    blocks = quants.quantize(np.pad(MATRIX, ((0, 0), (0, 14))), GGMLQuantizationType.Q8_0)
    writer = GGUFWriter(folder / "a.gguf", "llama")
    writer.add_token_list([word.encode() for word in WORDS])
    writer.add_tensor("token_embd.weight", blocks, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "a.gguf", ReadOptions(), quants.dequantize(blocks, GGMLQuantizationType.Q8_0)


@made_by("pandas", "Parquet: a wide frame with the words as index")
def wide(folder: Path) -> Made:
    import pandas as pd

    frame = pd.DataFrame(MATRIX, index=WORDS, columns=[f"d{i}" for i in range(MATRIX.shape[1])])
    frame.to_parquet(folder / "a.parquet")
    return folder / "a.parquet", ReadOptions(), pd.read_parquet(folder / "a.parquet").to_numpy()


def polars(folder: Path, name: str) -> Made:
    import polars as pl

    kind = pl.Array(pl.Float32, MATRIX.shape[1]) if name.endswith("parquet") else pl.List(pl.Float32)
    frame = pl.DataFrame({"word": WORDS, "vector": pl.Series(MATRIX.tolist(), dtype=kind)})
    if name.endswith("parquet"):
        frame.write_parquet(folder / name)
    else:
        frame.write_ipc(folder / name)
    return folder / name, ReadOptions(), np.array(frame["vector"].to_list(), np.float32)


made_by("polars", "Parquet: a column of arrays")(lambda folder: polars(folder, "a.parquet"))
made_by("polars", "Arrow: a column of lists")(lambda folder: polars(folder, "a.arrow"))


@made_by("spacy", "the folder of a model")
def spacy(folder: Path) -> Made:
    import spacy

    pipeline = spacy.blank("en")
    for word, vector in zip(WORDS, MATRIX, strict=True):
        pipeline.vocab.set_vector(word, vector)
    pipeline.to_disk(folder / "model")
    vocab = spacy.load(folder / "model").vocab
    return folder / "model", ReadOptions(), np.stack([vocab.get_vector(word) for word in WORDS])


def finalfusion(folder: Path, kind: str) -> Made:
    from finalfusion import Embeddings, load_finalfusion
    from finalfusion.norms import Norms
    from finalfusion.storage import NdArray, QuantizedArray
    from finalfusion.storage.quantized import PQ
    from finalfusion.subword import FastTextIndexer
    from finalfusion.vocab.simple_vocab import SimpleVocab
    from finalfusion.vocab.subword import FastTextVocab

    rng = np.random.default_rng(2)
    lengths = np.linalg.norm(MATRIX, axis=1)
    words, norms = SimpleVocab(WORDS), None
    if kind == "codes":
        levels = rng.normal(size=(10, 256, MATRIX.shape[1] // 10)).astype(np.float32)
        storage = QuantizedArray(PQ(levels, None), rng.integers(0, 256, (len(WORDS), 10)).astype(np.uint8), lengths)
    elif kind == "subwords":
        indexer = FastTextIndexer(1000, 3, 6)
        rows = rng.normal(size=(indexer.upper_bound, MATRIX.shape[1])).astype(np.float32)
        words, storage = FastTextVocab(WORDS, indexer), NdArray(np.concatenate([MATRIX, rows]))
    else:
        storage, norms = NdArray((MATRIX / lengths[:, None]).astype(np.float32)), Norms(lengths.astype(np.float32))
    Embeddings(storage=storage, vocab=words, norms=norms).write(folder / "a.fifu")
    stored = load_finalfusion(folder / "a.fifu").storage
    rows = np.asarray(stored)[: len(WORDS)]
    return folder / "a.fifu", ReadOptions(), np.asarray(rows, np.float32)


made_by("finalfusion", "vectors of length 1 and their norms")(lambda folder: finalfusion(folder, "norms"))
made_by("finalfusion", "product codes with norms")(lambda folder: finalfusion(folder, "codes"))
made_by("finalfusion", "fastText's subwords")(lambda folder: finalfusion(folder, "subwords"))


def loaded_by(library: str, name: str) -> Callable[[Callable[[Path], tuple[list[str], np.ndarray]]], None]:
    """Register a function that loads with a library what was written under a name: words and vectors."""
    return lambda load: WRITERS.append((library, name, load))


@loaded_by("numpy", "a.npz")
def load_npz(path: Path) -> tuple[list[str], np.ndarray]:
    with np.load(path) as arrays:
        return arrays["tokens"].tolist(), arrays["vectors"]


@loaded_by("safetensors", "a.safetensors")
def load_safetensors(path: Path) -> tuple[list[str], np.ndarray]:
    from safetensors.numpy import load_file

    tensors = load_file(path)
    ends = np.cumsum(tensors["token_lengths"])
    pieces = np.split(tensors["token_bytes"], ends[:-1])
    return [piece.tobytes().decode() for piece in pieces], tensors["embeddings"]


@loaded_by("polars", "a.parquet")
def load_parquet(path: Path) -> tuple[list[str], np.ndarray]:
    import polars as pl

    frame = pl.read_parquet(path)
    return frame["token"].to_list(), frame["vector"].to_numpy()


@loaded_by("polars", "a.arrow")
def load_arrow(path: Path) -> tuple[list[str], np.ndarray]:
    import polars as pl

    frame = pl.read_ipc(path)
    return frame["token"].to_list(), frame["vector"].to_numpy()


@loaded_by("gensim", "a.kv")
def load_gensim(path: Path) -> tuple[list[str], np.ndarray]:
    from gensim.models import KeyedVectors

    vectors = KeyedVectors.load(str(path))
    return vectors.index_to_key, vectors.vectors


@loaded_by("h5py", "a.h5")
def load_hdf5(path: Path) -> tuple[list[str], np.ndarray]:
    import h5py

    with h5py.File(path) as file:
        return file["tokens"].asstr()[:].tolist(), file["vectors"][:]


def same(words: list[str], matrix: np.ndarray, expected: np.ndarray, *, any_order: bool) -> str:
    """ "bit for bit", or what differs."""
    if any_order:
        place = {word: row for row, word in enumerate(words)}
        if place.keys() != set(WORDS):
            return "OTHER WORDS"
        matrix = matrix[[place[word] for word in WORDS]]
    elif words != WORDS:
        return "OTHER WORDS"
    matrix, expected = np.ascontiguousarray(matrix), np.ascontiguousarray(expected)
    if matrix.dtype != expected.dtype or matrix.tobytes() != expected.tobytes():
        return f"OTHER FLOATS, by {np.abs(matrix - expected).max():.1e} at most"
    return "bit for bit"


def into_qemb(make: Callable[[Path], Made], folder: Path) -> str:
    path, options, expected = make(folder)
    # without options, what is quantized already is kept
    kept = qemb_tools.convert(path, folder / "kept.qemb", options=options).scheme
    exact = {} if "kept as they were: " in kept else {"scheme": "exact"}
    qemb_tools.convert(path, folder / "out.qemb", options=options, **exact)
    with qemb.open(folder / "out.qemb") as emb:
        emb.verify()
        result = same(list(emb.tokens), emb.matrix(0, len(WORDS)), expected, any_order=path.name == "model")
    return result + ("" if exact else ", codes kept")


def out_of_qemb(name: str, load: Callable[[Path], tuple[list[str], np.ndarray]], folder: Path) -> str:
    qemb.write(folder / "in.qemb", WORDS, MATRIX, scheme="exact")
    qemb_tools.convert(folder / "in.qemb", folder / name)
    return same(*load(folder / name), MATRIX, any_order=False)


def print_table(title: str, lines: list[tuple[str, str, Callable[[Path], str]]]) -> bool:
    """Print a table; whether every line that was run is as it should be."""
    print(f"| {title} | library | result |\n|---|---|---|")
    good = True
    for library, what, run in lines:
        try:
            importlib.import_module(library)
        except ImportError:
            print(f"| {what} | {library} | not run: it is not installed |")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            result = run(Path(scratch))
        good &= result.startswith("bit for bit")
        print(f"| {what} | {library} {metadata.version(library)} | {result} |", flush=True)
    return good


def main() -> int:
    """Print both tables."""
    print(f"{len(WORDS):,} rows x {MATRIX.shape[1]}\n")
    good = print_table("in", [(a, what, lambda f, make=make: into_qemb(make, f)) for a, what, make in READERS])
    print()
    good &= print_table("out", [(a, n, lambda f, n=n, load=load: out_of_qemb(n, load, f)) for a, n, load in WRITERS])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
