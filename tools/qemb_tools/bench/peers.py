"""How others store the same table: each through its own package, or by its published formula where that is short."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb_tools.bench.methods import Method, NotAvailableError, Stored
from qemb_tools.bench.recall import unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_TRAINING_ROWS = 20_000
"""Rows that product quantization trains on: faiss asks for 39 for each centroid and takes 256 at most."""
_ROUNDS = 12
"""Of k-means; faiss's own number is 25, which takes twice as long."""


def peer_methods() -> list[Method]:
    """Every peer at every width it has."""
    families: list[tuple[str, str, Callable[..., Stored], tuple[int, ...]]] = [
        ("row absmax", "", _absmax, (8, 6, 4, 3, 2)),
        ("NF4, blocks of 64", "", _nf4, (4,)),
        ("ggml Q{}_0", "gguf", _ggml, (8, 4)),
        ("faiss SQ{}", "faiss", _faiss_scalar, (8, 6, 4)),
        ("faiss PQ", "faiss", _faiss_product, tuple(_PRODUCT)),
        ("faiss RaBitQ", "faiss", _faiss_rabitq, (8, 6, 4, 3, 2, 1)),
        ("rabitqlib", "rabitqlib", _rabitqlib, (8, 6, 4, 3, 2, 1)),
        ("turbovec", "turbovec", _turbovec, (4, 3, 2)),
    ]
    return [
        Method(name.format(bits), bits, partial(store, bits=bits), package)
        for name, package, store, widths in families
        for bits in widths
    ]


# --- by formula -----------------------------------------------------------------------------------------------------


def _absmax(vectors: NDArray[np.float32], bits: int) -> Stored:
    """The largest magnitude of a row on the outermost of 2^b - 1 integer levels, its scale in float16."""
    start = time.perf_counter()
    top = 2 ** (bits - 1) - 1
    scales = (np.abs(vectors).max(axis=1, keepdims=True) / top).astype(np.float16).astype(np.float32)
    levels = np.clip(np.rint(vectors / np.where(scales > 0, scales, 1)), -top, top)
    seconds = time.perf_counter() - start
    return Stored(bits + 16 / vectors.shape[1], seconds, (levels * scales).astype(np.float32))


# Dettmers et al., "QLoRA", 2023, appendix E: quantiles of the normal distribution with an exact zero.
# fmt: off
_NF4 = np.array([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
], np.float32)
# fmt: on
_NF4_BLOCK = 64


def _nf4(vectors: NDArray[np.float32], bits: int) -> Stored:
    """NormalFloat of 4 bits: 16 levels, a float32 absmax for each 64 values of the table read as one row."""
    start = time.perf_counter()
    blocks = _blocks(vectors, _NF4_BLOCK)
    largest = np.abs(blocks).max(axis=1, keepdims=True)
    scaled = blocks / np.where(largest > 0, largest, 1)
    codes = np.searchsorted((_NF4[1:] + _NF4[:-1]) / 2, scaled)
    seconds = time.perf_counter() - start
    decoded = (_NF4[codes] * largest).reshape(-1)[: vectors.size].reshape(vectors.shape)
    return Stored(bits + 32 / _NF4_BLOCK, seconds, decoded)


def _ggml(vectors: NDArray[np.float32], bits: int) -> Stored:
    """GGML's blocks of 32 with a float16 scale, as its own Python package quantizes them."""
    from gguf import GGMLQuantizationType, quants

    kind = GGMLQuantizationType[f"Q{bits}_0"]
    start = time.perf_counter()
    blocks = _blocks(vectors, 32)
    stored = quants.quantize(blocks, kind)
    seconds = time.perf_counter() - start
    decoded = quants.dequantize(stored, kind)
    return Stored(8 * stored.nbytes / blocks.size, seconds, decoded.reshape(-1)[: vectors.size].reshape(vectors.shape))


def _blocks(vectors: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """The table as one row, cut into blocks, the last one filled up with zeros: rows need not be whole blocks."""
    padded = np.zeros(-(-vectors.size // length) * length, np.float32)
    padded[: vectors.size] = vectors.reshape(-1)
    return padded.reshape(-1, length)


def _fill_columns(vectors: NDArray[np.float32], multiple: int) -> NDArray[np.float32]:
    """Columns of zeros added up to a multiple, for methods that cut rows into equal parts; cosines stay as they are."""
    dim = vectors.shape[1]
    filled = np.zeros((len(vectors), -(-dim // multiple) * multiple), np.float32)
    filled[:, :dim] = vectors
    return filled


# --- faiss ----------------------------------------------------------------------------------------------------------


def _sample(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows to train on, drawn with a fixed seed."""
    chosen = np.random.default_rng(0).permutation(len(vectors))[:_TRAINING_ROWS]
    return np.ascontiguousarray(vectors[chosen])


def _faiss_scalar(vectors: NDArray[np.float32], bits: int) -> Stored:
    """A minimum and a step for each column."""
    import faiss

    start = time.perf_counter()
    index = faiss.IndexScalarQuantizer(vectors.shape[1], getattr(faiss.ScalarQuantizer, f"QT_{bits}bit"))
    index.train(vectors)
    codes = index.sa_encode(vectors)
    seconds = time.perf_counter() - start
    levels = 32 * index.sq.trained.size()
    return Stored((8 * codes.nbytes + levels) / vectors.size, seconds, index.sa_decode(codes))


_PRODUCT = {4: (2, 8), 3: (2, 6), 2: (4, 8), 1: (8, 8)}
"""Values and bits of a sub-vector for each number of bits a value."""


def _faiss_product(vectors: NDArray[np.float32], bits: int) -> Stored:
    """Trained product quantization. Columns of zeros fill up dimensions that sub-vectors do not divide."""
    import faiss

    length, width = _PRODUCT[bits]
    dim = vectors.shape[1]
    parts = -(-dim // length)
    if len(vectors) < 1 << width:
        raise NotAvailableError(f"{1 << width} centroids need as many rows")
    padded = _fill_columns(vectors, length)
    start = time.perf_counter()
    index = faiss.IndexPQ(parts * length, parts, width)
    index.pq.cp.niter = _ROUNDS
    index.pq.cp.min_points_per_centroid = 1  # say nothing of small tables
    index.train(_sample(padded))
    codes = index.sa_encode(padded)
    seconds = time.perf_counter() - start
    codebook = 32 * (1 << width) * parts * length
    bits = (8 * codes.nbytes + codebook) / vectors.size
    return Stored(bits, seconds, index.sa_decode(codes)[:, :dim], fixed=codebook)


def _faiss_rabitq(vectors: NDArray[np.float32], bits: int) -> Stored:
    """RaBitQ over unit rows, queries in 8 bits: with float32 ones a search takes twenty times as long."""
    import faiss

    dim = vectors.shape[1]
    start = time.perf_counter()
    # the rotation is part of the method (Gao and Long, 2024); its matrix comes from a seed
    index = faiss.IndexRaBitQ(dim, faiss.METRIC_INNER_PRODUCT, bits)
    index.qb = 8
    rotation = faiss.RandomRotationMatrix(dim, dim)
    rotation.init(1)
    turned = rotation.apply(unit(vectors))
    index.train(turned)
    index.add(turned)
    seconds = time.perf_counter() - start
    stored = 8 * faiss.serialize_index(index).nbytes / vectors.size
    return Stored(stored, seconds, search=lambda queries, k: index.search(rotation.apply(queries), k)[1])


# --- others ---------------------------------------------------------------------------------------------------------


def _rabitqlib(vectors: NDArray[np.float32], bits: int) -> Stored:
    """RaBitQ by its authors' bindings: one cluster, so that every row is looked at."""
    import rabitqlib

    rows, dim = vectors.shape
    start = time.perf_counter()
    unit_rows = unit(vectors)
    try:
        index = rabitqlib.IvfIndex(dim, rows, 1, bits, "ip")
    except ValueError as error:  # its rotation wants some dimensions at least
        raise NotAvailableError(str(error)) from None
    centroid = unit_rows.mean(axis=0, keepdims=True).astype(np.float32)
    index.build(unit_rows, centroid, np.zeros(rows, np.uint32))
    seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "index")
        index.save(str(path))
        size = path.stat().st_size
    return Stored(8 * size / vectors.size, seconds, search=lambda queries, k: _ids(index.search(queries, k, 1)))


def _turbovec(vectors: NDArray[np.float32], bits: int) -> Stored:
    """TurboQuant with calibration on 1,024 rows, as its documentation advises."""
    import turbovec

    start = time.perf_counter()
    unit_rows = _fill_columns(unit(vectors), 8)
    index = turbovec.TurboQuantIndex(unit_rows.shape[1], bits)
    index.calibrate(_sample(unit_rows)[:1024])
    index.add(unit_rows)
    seconds = time.perf_counter() - start
    size = len(index.to_bytes())
    return Stored(8 * size / vectors.size, seconds, search=lambda q, k: _ids(index.search(_fill_columns(q, 8), k)))


def _ids(result: Any) -> NDArray[np.int64]:  # noqa: ANN401 - whichever order a package gives them in
    """The integers of a pair of scores and row numbers."""
    numbers = next(part for part in result if np.issubdtype(np.asarray(part).dtype, np.integer))
    return np.asarray(numbers).astype(np.int64)
