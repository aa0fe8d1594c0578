"""Small valid files of every format that `qemb convert` reads, as its seeds for damage."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import struct
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import zstandard

import qemb

if TYPE_CHECKING:
    from collections.abc import Callable

FASTTEXT = Path(__file__).parents[1] / "tools" / "fasttext"
WORDS = ["the", "New York", "café", "中文", "x"]
MATRIX = np.arange(20, dtype=np.float32).reshape(5, 4) / 7
LIST = "".join(word + "\n" for word in WORDS).encode()


@dataclass(frozen=True)
class Seed:
    """A source: the file to convert, or the folder "."; files beside it; what the command is told."""

    path: str
    files: dict[str, bytes]
    options: list[str] = field(default_factory=list)
    pack: Callable[[bytes], bytes] | None = None
    """What is done to the damaged bytes of the file, so that damage is found inside."""


def _saved(save) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def _tokens(name, data):
    return Seed(name, {name: data, "words.txt": LIST}, ["--tokens", "words.txt"])


def _text():
    rows = "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in zip(WORDS, MATRIX, strict=True)).encode()
    yield Seed("a.vec", {"a.vec": b"5 4\n" + rows})
    yield Seed("a.txt", {"a.txt": rows}, ["--skip-bad"])
    for name, pack in (
        ("gz", gzip.compress),
        ("bz2", bz2.compress),
        ("xz", lzma.compress),
        ("zst", zstandard.compress),
    ):
        yield Seed(f"a.txt.{name}", {f"a.txt.{name}": pack(rows)})
        yield Seed(f"a.txt.{name}", {f"a.txt.{name}": rows}, pack=pack)


def _word2vec():
    rows = b"".join(word.replace(" ", "_").encode() + b" " + row.tobytes() + b"\n"
                    for word, row in zip(WORDS, MATRIX, strict=True))  # fmt: skip
    yield Seed("a.bin", {"a.bin": b"5 4\n" + rows})
    yield Seed("a.bin.gz", {"a.bin.gz": b"5 4\n" + rows}, ["--encoding", "utf-8"], gzip.compress)


def _fasttext():
    for path in sorted(FASTTEXT.iterdir()):
        if path.suffix in (".bin", ".ftz"):
            yield Seed(path.name, {path.name: path.read_bytes()})


def _npy():
    for matrix in (MATRIX, MATRIX.astype(">f8"), np.asfortranarray(MATRIX), MATRIX.astype(np.int8)):
        yield _tokens("a.npy", _saved(lambda file, matrix=matrix: np.save(file, matrix)))


def _npz():
    words = np.array(WORDS)
    yield Seed("a.npz", {"a.npz": _saved(lambda f: np.savez(f, vectors=MATRIX, tokens=words, counts=np.arange(5)))})
    yield Seed("a.npz", {"a.npz": _saved(lambda f: np.savez_compressed(f, vectors=MATRIX, tokens=words))})
    part = _saved(lambda file: np.save(file, MATRIX))
    yield Seed("a.npz", {"a.npz": part}, pack=lambda data: zipped({"vectors.npy": data, "tokens.npy": _npy_of(words)}))
    integers = _npy_of(MATRIX.astype(np.int8))
    yield Seed("a.npz", {"a.npz": _npy_of(words)}, pack=lambda data: zipped({"v.npy": integers, "tokens.npy": data}))


def _npy_of(array) -> bytes:
    return _saved(lambda file: np.save(file, array))


def zipped(members: dict[str, bytes]) -> bytes:
    from zipfile import ZIP_DEFLATED, ZipFile

    buffer = io.BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _hdf5():
    import h5py

    def saved(fill) -> bytes:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            fill(file)
        return buffer.getvalue()

    def ours(file):
        file.attrs.update({"format": "qemb-hdf5", "version": 1, "metadata": '{"a": 1}'})
        file.create_dataset("vectors", data=MATRIX, chunks=(2, 4), compression="gzip", shuffle=True)
        file["tokens"], file["counts"] = WORDS, np.arange(5)

    def pandas(file):
        group = file.create_group("mat")
        group.attrs["pandas_type"] = b"frame"
        group["axis1"], group["block0_values"] = np.array([word.encode() for word in WORDS]), MATRIX

    def numbered(file):
        file["train"], file["test"], file["neighbors"] = MATRIX, MATRIX, MATRIX.astype(np.int32)

    yield Seed("a.h5", {"a.h5": saved(ours)})
    yield Seed("a.h5", {"a.h5": saved(pandas)})
    yield Seed("a.h5", {"a.h5": saved(numbered)})
    keras = saved(lambda file: file.update({"layers/embedding/vars/0": MATRIX}))
    yield Seed("a.keras", {"a.keras": keras, "words.txt": LIST}, ["--tokens", "words.txt"],
               lambda data: zipped({"model.weights.h5": data}))  # fmt: skip


def _safetensors():
    def file(tensors, metadata=None) -> bytes:
        entries, data = {"__metadata__": metadata} if metadata else {}, b""
        for name, (kind, array) in tensors.items():
            end = len(data) + array.nbytes
            entries[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), end]}
            data += array.tobytes()
        header = json.dumps(entries).encode()
        return struct.pack("<Q", len(header)) + header + data

    lengths = np.array([len(word.encode()) for word in WORDS], np.int32)
    text = np.frombuffer("".join(WORDS).encode(), np.uint8)
    ours = {"embeddings": ("F32", MATRIX), "token_lengths": ("I32", lengths), "token_bytes": ("U8", text)}
    yield Seed("a.safetensors", {"a.safetensors": file(ours, {"qemb": '{"a": 1}'})})
    mapped = {"embeddings": ("F16", MATRIX[:2].astype(np.float16)), "mapping": ("I64", np.arange(5) % 2)}
    yield _tokens("a.safetensors", file(mapped))
    integers = {"embeddings": ("I8", MATRIX.astype(np.int8)), "scale": ("F32", np.ones((5, 1), np.float32))}
    yield _tokens("a.safetensors", file(integers))
    tokenizer = json.dumps({"model": {"vocab": {word: i for i, word in enumerate(WORDS)}}, "added_tokens": []}).encode()
    shard = file({"model.embed_tokens.weight": ("F32", MATRIX)})
    index = json.dumps({"weight_map": {"model.embed_tokens.weight": "b.safetensors"}}).encode()
    beside = {"b.safetensors": shard, "tokenizer.json": tokenizer}
    yield Seed(".", {"model.safetensors.index.json": index, **beside})
    modules = json.dumps([{"path": "inner"}]).encode()
    yield Seed(".", {"modules.json": modules, "inner/model.safetensors": shard, "inner/vocab.txt": LIST})


def _gguf():
    def string(text: str) -> bytes:
        return struct.pack("<Q", len(text.encode())) + text.encode()

    def file(kind: int, matrix: bytes, dim: int) -> bytes:
        tokens = struct.pack("<IIQ", 9, 8, len(WORDS)) + b"".join(map(string, WORDS))
        more = string("a.b") + struct.pack("<IIQ", 9, 4, 2) + bytes(8)
        head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + string("tokenizer.ggml.tokens") + tokens + more
        head += string("token_embd.weight") + struct.pack("<IQQIQ", 2, dim, 5, kind, 0)
        return head + bytes(-len(head) % 32) + matrix

    yield Seed("a.gguf", {"a.gguf": file(0, MATRIX.tobytes(), 4)})
    blocks = np.arange(5 * 34, dtype=np.uint8)
    blocks.reshape(5, 34)[:, 1] = 0x2C
    yield Seed("a.gguf", {"a.gguf": file(8, blocks.tobytes(), 32)})


def _faiss():
    import faiss

    rows = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    for index in (faiss.IndexFlatL2(4), faiss.IndexPQ(4, 2, 4), faiss.IndexScalarQuantizer(4, 0)):
        index.train(rows)
        index.add(MATRIX)
        yield _tokens("a.faiss", faiss.serialize_index(index).tobytes())


def _gensim():
    from gensim.models import KeyedVectors

    vectors = KeyedVectors(4)
    vectors.add_vectors(WORDS, MATRIX)
    vectors.set_vecattr("the", "count", 7)
    for protocol in (2, 4, 5):
        yield Seed("a.kv", {"a.kv": pickle.dumps(vectors, protocol)})
    vectors.__dict__.update(vectors=None, __numpys=["vectors"])
    apart = pickle.dumps(vectors, 4)
    yield Seed("a.kv", {"a.kv": apart, "a.kv.vectors.npy": _npy_of(MATRIX)})
    yield Seed("a.kv", {"a.kv": gzip.compress(apart), "a.kv.vectors.npz": zipped({"val.npy": _npy_of(MATRIX)})})


def _llama2c():
    settings = struct.pack("<7i", 4, 8, 1, 2, 2, 5, 3)
    attention = 2 * 16 + 2 * 4 * 4
    weights = 20 + (8 + attention + 3 * 4 * 8) + 4 + 3 * 2
    yield _tokens("a.bin", settings + MATRIX.tobytes() + bytes(4 * (weights - 20)))


def _arrow():
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.array(MATRIX.reshape(-1))
    fixed = pa.table({"token": WORDS, "vector": pa.FixedSizeListArray.from_arrays(flat, 4), "count": range(5)})
    listed = pa.table({"token": pa.array(WORDS).dictionary_encode(), "vector": MATRIX.tolist()})
    wide = pa.table({"token": WORDS} | {f"d{i}": MATRIX[:, i] for i in range(4)})
    for table, options in ((fixed, {}), (listed, {"compression": "zstd"}), (wide, {"compression": "gzip"})):
        yield Seed("a.parquet", {"a.parquet": _saved(lambda f, t=table, o=options: pq.write_table(t, f, **o))})
    for table in (fixed, listed):
        for name, new in (("a.arrow", pa.ipc.new_file), ("a.arrows", pa.ipc.new_stream)):
            buffer = io.BytesIO()
            with new(buffer, table.schema) as writer:
                writer.write_table(table)
            yield Seed(name, {name: buffer.getvalue()})


def _finalfusion():
    def text(word: str) -> bytes:
        return struct.pack("<I", len(word.encode())) + word.encode()

    def file(*chunks) -> bytes:
        data = b"FiFu" + struct.pack(f"<II{len(chunks)}I", 0, len(chunks), *(kind for kind, *_ in chunks))
        for kind, head, body in chunks:
            at = len(data) + 12 + len(head)
            stored = head + (bytes(4 - at % 4) if body else b"") + body
            data += struct.pack("<IQ", kind, len(stored)) + stored
        return data

    words = b"".join(map(text, WORDS))
    simple = 1, struct.pack("<Q", 5) + words, b""
    array = 2, struct.pack("<QII", 5, 4, 10), MATRIX.tobytes()
    norms = 6, struct.pack("<QI", 5, 10), np.ones(5, np.float32).tobytes()
    yield Seed("a.fifu", {"a.fifu": file((5, b"[a]\nb = 1\n", b""), simple, array, norms)})
    levels, codes = np.arange(12, dtype=np.float32).tobytes(), bytes([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    product = 4, struct.pack("<IIIIIQII", 0, 1, 2, 4, 3, 5, 1, 10), levels + bytes(20) + codes
    yield Seed("a.fifu", {"a.fifu": file(simple, product)})
    cut = 7, struct.pack("<QIII", 5, 3, 6, 10) + words, b""
    more = 2, struct.pack("<QII", 15, 4, 10), np.concatenate([MATRIX] * 3).tobytes()
    yield Seed("a.fifu", {"a.fifu": file(cut, more)})


def _spacy():
    from qemb_tools.spacy_vectors import hash_strings

    keys = hash_strings([word.encode() for word in WORDS]).tolist()
    rows = b"\x85" + b"".join(b"\xcf" + struct.pack(">Q", key) + bytes([row]) for row, key in enumerate(keys))
    files = {"vectors": _npy_of(MATRIX), "key2row": rows, "strings.json": json.dumps(WORDS).encode(),
             "vectors.cfg": b'{"mode": "default"}'}  # fmt: skip
    yield Seed(".", files)


def _magnitude():
    columns = "".join(f"dim_{i} INTEGER, " for i in range(4))
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(f"CREATE TABLE magnitude (key TEXT COLLATE NOCASE, {columns}magnitude REAL)")
        database.execute("CREATE TABLE magnitude_format (key TEXT COLLATE NOCASE, value INTEGER)")
        for word, row in zip(WORDS, (MATRIX * 1000).astype(int).tolist(), strict=True):
            database.execute("INSERT INTO magnitude VALUES (?, ?, ?, ?, ?, ?)", (word, *row, 1.5))
        settings = {"version": 1, "size": 5, "dim": 4, "precision": 7}
        database.executemany("INSERT INTO magnitude_format VALUES (?, ?)", settings.items())
        database.commit()
        yield Seed("a.magnitude", {"a.magnitude": database.serialize()})


def _qemb():
    import tempfile

    for options in ({"bits": 4}, {"scheme": "exact", "compress": True}):
        with tempfile.TemporaryDirectory() as folder:
            qemb.write(f"{folder}/a.qemb", WORDS, MATRIX, **options)
            yield Seed("a.qemb", {"a.qemb": Path(folder, "a.qemb").read_bytes()})


FORMATS = {
    "text": _text, "word2vec-bin": _word2vec, "fasttext-bin": _fasttext, "npy": _npy, "npz": _npz, "hdf5": _hdf5,
    "safetensors": _safetensors, "gguf": _gguf, "faiss": _faiss, "gensim": _gensim, "llama2c": _llama2c,
    "parquet": _arrow, "finalfusion": _finalfusion, "spacy": _spacy, "magnitude": _magnitude, "qemb": _qemb,
}  # fmt: skip
