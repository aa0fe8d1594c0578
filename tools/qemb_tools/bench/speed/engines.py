"""What answers "which k rows are nearest", each built once and loaded by every process that measures it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import qemb
from qemb_tools.bench import recall

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Search = Callable[[NDArray[np.float32], int], NDArray[Any]]

_TRAINING_ROWS = 20_000


@dataclass(frozen=True)
class Engine:
    """A way to search.

    Attributes
    ----------
    title : str
        What it is called in the report.
    build : callable
        ``build(unit, path)`` writes what the engine keeps of float32 unit rows; None for qemb's, whose files
        `files.Workspace` makes.
    load : callable
        ``load(path)`` gives ``search(queries, k)``: unit queries float32 (n, dim) to row numbers (n, k).
    package : str
        What has to be installed.
    kind : str
        The kind of file, for qemb's.
    """

    title: str
    build: Callable[[NDArray[np.float32], Path], None] | None
    load: Callable[[Path], Search]
    package: str = ""
    kind: str = ""


def _load_qemb(path: Path) -> Search:
    emb = qemb.open(path)
    return lambda queries, k: emb.search(queries, k)[0]


# --- float32 --------------------------------------------------------------------------------------------------------


def _save(unit: NDArray[np.float32], path: Path) -> None:
    np.save(path.with_suffix(".npy"), unit)


def _numpy(path: Path, top: Callable[[NDArray[Any], int], NDArray[np.int64]]) -> Search:
    table = np.load(path.with_suffix(".npy"))
    return lambda queries, k: top(queries @ table.T if len(queries) > 1 else (table @ queries[0])[None], k)


def _argpartition(scores: NDArray[Any], k: int) -> NDArray[np.int64]:
    """The usual idiom: partition, then sort the k best."""
    near = np.argpartition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k :]
    return np.take_along_axis(near, np.argsort(-np.take_along_axis(scores, near, axis=1), axis=1), axis=1)


def _stripes(scores: NDArray[Any], k: int) -> NDArray[np.int64]:
    """By the largest of each stripe of columns, several times as quick."""
    near = recall.top(scores, k)
    return np.take_along_axis(near, np.argsort(-np.take_along_axis(scores, near, axis=1), axis=1), axis=1)


def _usearch(path: Path, dtype: str) -> Search:
    from usearch.index import search

    table = np.load(path.with_suffix(".npy"))
    if dtype == "i8":
        table = _whole(table, 127)
    scaled = (lambda q: _whole(q, 127)) if dtype == "i8" else (lambda q: q)
    threads = _threads()
    return lambda q, k: np.atleast_2d(search(table, scaled(q), k, exact=True, threads=threads).keys).astype(np.int64)


# --- int8, scores by a library and the same top-k as numpy's ----------------------------------------------------------


def _whole(vectors: NDArray[np.float32], most: int) -> NDArray[np.int8]:
    """Rows as int8, each row's largest magnitude at ``most``: cosines stay, but for the rounding."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    whole: NDArray[np.int8] = np.rint(vectors * (most / np.where(largest > 0, largest, 1))).astype(np.int8)
    return whole


def _save_int8(unit: NDArray[np.float32], path: Path) -> None:
    whole = _whole(unit, 127)
    np.save(path.with_suffix(".npy"), whole)
    norms = np.sqrt(np.einsum("ij,ij->i", whole, whole, dtype=np.float64))
    np.save(path.with_suffix(".norms.npy"), (1 / np.where(norms > 0, norms, 1)).astype(np.float32))


def _numkong(path: Path) -> Search:
    import numkong

    table, inverse = np.load(path.with_suffix(".npy")), np.load(path.with_suffix(".norms.npy"))
    packed = numkong.dots_pack(table)

    def search(queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        whole = _whole(queries, 127)
        if len(queries) > 4:  # the packed table is the quicker one for many queries
            scores = np.asarray(numkong.dots_packed(whole, packed)) * inverse
        else:
            scores = np.ascontiguousarray(np.asarray(numkong.dots_packed(table, numkong.dots_pack(whole))).T) * inverse
        return _argpartition(scores, k)

    return search


def _simsimd(path: Path) -> Search:
    import simsimd

    table = np.load(path.with_suffix(".npy"))
    threads = _threads()

    def search(queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        distances = simsimd.cdist(_whole(queries, 127), table, metric="cosine", out_dtype="float32", threads=threads)
        return _argpartition(-np.asarray(distances), k)

    return search


# --- faiss ----------------------------------------------------------------------------------------------------------


def _faiss(unit: NDArray[np.float32], path: Path, kind: str) -> None:
    """Rows filled up with zeros to a multiple of 16, which faiss's SIMD code wants: one of 300 is 8 times slower."""
    import faiss

    padded = _pad(unit, 16)
    dim = padded.shape[1]
    product = faiss.METRIC_INNER_PRODUCT
    if kind == "flat":
        index: Any = faiss.IndexFlatIP(unit.shape[1])
        padded = unit
    elif kind == "pq":
        index = faiss.IndexPQFastScan(dim, dim, 4, product)  # a value a sub-vector: 4 bits
    else:
        index = faiss.IndexScalarQuantizer(dim, getattr(faiss.ScalarQuantizer, f"QT_{kind}"), product)
    chosen = np.random.default_rng(0).permutation(len(padded))[:_TRAINING_ROWS]
    index.train(padded[chosen] if kind == "pq" else padded)
    index.add(padded)
    faiss.write_index(index, str(path))


def _load_faiss(path: Path) -> Search:
    import faiss

    faiss.omp_set_num_threads(_threads())
    index = faiss.read_index(str(path))
    return lambda queries, k: index.search(_pad(queries, 16) if queries.shape[1] != index.d else queries, k)[1]


def _pad(vectors: NDArray[np.float32], multiple: int) -> NDArray[np.float32]:
    dim = vectors.shape[1]
    return np.pad(vectors, ((0, 0), (0, -dim % multiple))) if dim % multiple else vectors


# --- others ---------------------------------------------------------------------------------------------------------


def _turbovec(unit: NDArray[np.float32], path: Path) -> None:
    """With calibration on 1,024 rows, as its documentation advises."""
    import turbovec

    padded = _pad(unit, 8)
    index = turbovec.TurboQuantIndex(padded.shape[1], 4)
    chosen = np.random.default_rng(0).permutation(len(padded))[:1024]
    index.calibrate(np.ascontiguousarray(padded[chosen]))
    index.add(padded)
    index.write(str(path))


def _load_turbovec(path: Path) -> Search:
    import turbovec

    index = turbovec.TurboQuantIndex.load(str(path))
    index.prepare()

    def search(queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        found = index.search(_pad(queries, 8), k)
        return np.asarray(next(part for part in found if np.issubdtype(np.asarray(part).dtype, np.integer)), np.int64)

    return search


def _threads() -> int:
    """How many this process may use: those that it is kept to."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else int(os.environ["OMP_NUM_THREADS"])


ENGINES: dict[str, Engine] = {
    "8": Engine("qemb, 8 bits", None, _load_qemb, kind="8"),
    "4": Engine("qemb, 4 bits", None, _load_qemb, kind="4"),
    "4c": Engine("qemb, 4 bits, codebook", None, _load_qemb, kind="4c"),
    "numpy": Engine("numpy float32", _save, partial(_numpy, top=_argpartition)),
    "stripes": Engine("numpy float32, top-k by stripes", _save, partial(_numpy, top=_stripes)),
    "flat": Engine("faiss Flat", partial(_faiss, kind="flat"), _load_faiss, "faiss"),
    "sq8": Engine("faiss SQ8", partial(_faiss, kind="8bit"), _load_faiss, "faiss"),
    "sq4": Engine("faiss SQ4", partial(_faiss, kind="4bit"), _load_faiss, "faiss"),
    "pq": Engine("faiss PQ FastScan, 4 bits", partial(_faiss, kind="pq"), _load_faiss, "faiss"),
    "usearch": Engine("usearch, exact, float32", _save, partial(_usearch, dtype="f32"), "usearch"),
    "usearch8": Engine("usearch, exact, int8", _save, partial(_usearch, dtype="i8"), "usearch"),
    "simsimd": Engine("simsimd, int8", _save_int8, _simsimd, "simsimd"),
    "numkong": Engine("numkong, int8", _save_int8, _numkong, "numkong"),
    "turbovec": Engine("turbovec, 4 bits", _turbovec, _load_turbovec, "turbovec"),
}
