"""Approximate nearest neighbours, for tables of millions of rows: a faiss index beside the file.

>>> import qemb_tools.approximate
>>> qemb_tools.approximate.build("glove.qemb")                     # doctest: +SKIP
>>> emb = qemb_tools.approximate.load("glove.qemb")                # doctest: +SKIP
>>> emb.nearest("king")                                            # doctest: +SKIP

The index holds each row twice removed: the cell that it lies in, of about 1.5 times the square root of the number of
rows (an inverted file), and a product code of 2 bits a value (Jégou, Douze and Schmid, 2011), read 32 rows at a time
(faiss's fast scan). A search looks into the cells nearest to the query, ranks their rows by their codes, and scores the
best of them out of the ``.qemb`` file: rows may be missed, but those that are found have their exact cosines.

The index file is one of faiss's own, which ``faiss.read_index`` reads; ids are row numbers. What `load` has to know
stands after it: JSON in UTF-8, the length of that (uint32), the CRC-32C of everything before (uint32), both
little-endian, and eight bytes of magic.
"""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

import qemb
from qemb.atomic import AtomicFile
from qemb.checksum import crc32c
from qemb.header import HEADER_SIZE
from qemb.search import Searcher, unit
from qemb_tools.interface import UsageError, batch_rows, missing_extra, naming, source_error
from qemb_tools.progress import progress

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import ArrayLike, NDArray

SUFFIX = ".faiss"
DEFAULT_EFFORT = 5
MAX_EFFORT = 9

_FAISS = 1, 13
"""Up to 1.12 fast scan adds up inner products of residuals wrongly: it finds a tenth of what it should."""
_MAGIC = b"qembANN1"
_TAIL = struct.Struct("<II8s")
"""Length of the JSON, CRC-32C of everything up to here, magic."""
_SUB_DIM = 2
"""Values that share a 4-bit code."""
_ROWS_PER_CELL = 64
"""Rows that cells are trained on; faiss asks for 39."""
_ITERATIONS = 10
_MIN_TRAINED = 640
"""Rows that the 16 centroids of a product code are trained on, at least; faiss asks for 39 each."""
_TOGETHER = 256
"""Queries whose candidates are held at once."""
_ASKED = 100
"""Rows whose neighbours are searched for, to measure recall."""


@dataclass(frozen=True)
class Summary:
    """What `build` wrote.

    Attributes
    ----------
    path : str
        The index file.
    rows, cells, size : int
        Rows in the index, cells they lie in, bytes of the file.
    recall : tuple of float
        Share of the ten nearest rows that is found at effort 0 to 9, measured on 100 rows of the table.
    """

    path: str
    rows: int
    cells: int
    size: int
    recall: tuple[float, ...]


class ApproximateEmbedding(qemb.Embedding):
    """An open ``.qemb`` file that searches by an index: made by `load`.

    ``nearest``, ``analogy`` and ``search`` may miss rows, and have fewer than k where fewer are met; cosines are exact.
    Everything else is as in `qemb.Embedding`.
    """

    def __init__(self, path: str, index: str, effort: int) -> None:
        super().__init__(path)
        try:
            content, record = _read(index, self, path)
            self.recall: tuple[float, ...] = tuple(record["recall"])
            """Share of the ten nearest rows that is found at effort 0 to 9, as it was measured on building."""
            self._searcher = self._approximate = _IndexSearcher(self, content)
            self.effort = effort
        except BaseException:
            self.close()
            raise

    @property
    def effort(self) -> int:
        """0 to 9. Each step doubles the cells that are looked into: one in 16 at 5, all of them at 9."""
        return self._approximate.effort

    @effort.setter
    def effort(self, effort: int) -> None:
        if effort not in range(MAX_EFFORT + 1):
            raise ValueError(f"effort is 0 to {MAX_EFFORT}, not {effort}")
        self._approximate.effort = effort

    def most_similar(self, vector: ArrayLike, topn: int) -> list[tuple[str, float]]:
        """As `nearest`: what gensim's ``most_similar`` calls where this is its ``indexer``."""
        return self.nearest(np.asarray(vector), topn)


class _IndexSearcher(Searcher):
    """Searches rows that an index found; otherwise as `Searcher`."""

    def __init__(self, embedding: qemb.Embedding, index: Any) -> None:  # noqa: ANN401 - faiss has no types
        super().__init__(embedding._decoder, len(embedding))  # noqa: SLF001 - as Embedding makes its own
        self._index = index
        self.effort = DEFAULT_EFFORT

    def top(
        self, queries: NDArray[np.float64], k: int, exclude: Collection[int] = ()
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """As in `Searcher`, of the rows that were found."""
        faiss = _faiss()
        probes = math.ceil(self._index.nlist * 2.0 ** (self.effort - MAX_EFFORT))
        candidates = math.ceil(max(k + len(exclude), 10) * 20 * 2 ** ((self.effort - DEFAULT_EFFORT) / 2))
        if candidates >= self._index.ntotal or k <= 0 or not len(queries):
            return super().top(queries, k, exclude)  # which is as quick
        options = faiss.IVFSearchParameters(nprobe=probes)
        rows = np.full((len(queries), k), -1, np.int64)
        cosines = np.full(rows.shape, np.nan)
        for low in range(0, len(queries), _TOGETHER):
            some = queries[low : low + _TOGETHER]
            met = self._index.search(_pad(some.astype(np.float32)), candidates, params=options)[1]
            met.sort(axis=1)  # so that equal cosines stay in row order
            known = (met >= 0) & ~np.isin(met, list(exclude))
            scores = np.full(met.shape, -np.inf)
            scores[known] = self._cosines(some, np.nonzero(known)[0], met[known])
            best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            chosen = np.take_along_axis(known, best, 1)
            rows[low : low + _TOGETHER][chosen] = np.take_along_axis(met, best, 1)[chosen]
            cosines[low : low + _TOGETHER][chosen] = np.take_along_axis(scores, best, 1)[chosen]
        width = int((rows >= 0).sum(axis=1).max())
        return rows[:, :width], cosines[:, :width]


def load(
    path: str | os.PathLike[str], index: str | os.PathLike[str] | None = None, *, effort: int = DEFAULT_EFFORT
) -> ApproximateEmbedding:
    """Open a ``.qemb`` file with its index. The index is read into memory, and checked; nothing is built.

    Parameters
    ----------
    path : path
        The ``.qemb`` file.
    index : path, optional
        The index file; that of the same name with ``.faiss`` after it where left out.
    effort : int
        0 to 9: time for recall; `ApproximateEmbedding.effort` changes it.

    Raises
    ------
    qemb.QembError
        The file is bad, or the index is damaged or that of another file.
    UsageError
        There is no index, or faiss is not installed, or too old.
    OSError
        As from ``open``.
    """
    return ApproximateEmbedding(os.fsdecode(path), _beside(path, index), effort)


def build(
    path: str | os.PathLike[str], index: str | os.PathLike[str] | None = None, *, show_progress: bool = False
) -> Summary:
    """Write the index of a ``.qemb`` file; it appears whole or not at all, and the file is left as it is.

    Memory is that of the index, and of a sample of rows as float32, 100 times the square root of their number.

    Parameters
    ----------
    path, index : path
        As in `load`.
    show_progress : bool
        Whether to draw a bar on standard error.

    Raises
    ------
    qemb.QembError
        The file is bad, or has no vectors to search for.
    UsageError
        faiss is not installed, or too old.
    OSError
        A file cannot be read or written.
    """
    path, target = os.fsdecode(path), _beside(path, index)
    _faiss()  # is asked for before the work
    with qemb.open(path) as embedding, naming(path):
        cells = _count_cells(len(embedding))
        sample = _sample(embedding, cells)
        if not len(sample):
            raise source_error("there are no vectors to make an index of", path)
        steps = _ITERATIONS * len(sample) + len(embedding)
        with progress(steps, "building the index", wanted=show_progress) as bar:
            content = _train(sample, cells, bar.update)
            del sample
            step = 4 * batch_rows(embedding.dim)
            for low in range(0, len(embedding), step):
                numbers, units = _units(embedding, np.arange(low, min(low + step, len(embedding))))
                content.add_with_ids(units, numbers)
                bar.update(min(step, len(embedding) - low))
        recall = _measure(embedding, content)
        _write(target, content, {"table": _identity(embedding), "recall": recall})
    return Summary(target, content.ntotal, content.nlist, os.path.getsize(target), tuple(recall))


# --- building -------------------------------------------------------------------------------------------------------


def _units(embedding: qemb.Embedding, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Those of some rows that have a direction, their numbers and unit vectors as the index takes them."""
    units = _pad(unit(embedding.rows(numbers)).astype(np.float32))
    good = np.isfinite(units).all(axis=1)
    return numbers[good], units[good]


def _pad(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """With a column of zeros at the end where product codes need it."""
    return np.ascontiguousarray(np.pad(vectors, ((0, 0), (0, -vectors.shape[1] % _SUB_DIM))))


def _count_cells(rows: int) -> int:
    """How many cells: 1.5 times the square root, but few enough to be trained."""
    return max(1, min(round(1.5 * math.sqrt(rows)), rows // _ROWS_PER_CELL))


def _sample(embedding: qemb.Embedding, cells: int) -> NDArray[np.float32]:
    """Unit vectors to train on, the same in every run; over and over again where there are not enough."""
    count = max(cells * _ROWS_PER_CELL, _MIN_TRAINED)
    chosen = np.random.default_rng(0).choice(len(embedding), min(count, len(embedding)), replace=False, shuffle=False)
    units = _units(embedding, np.sort(chosen))[1]
    return np.resize(units, (count, units.shape[1])) if len(units) else units


def _train(sample: NDArray[np.float32], cells: int, done: Any) -> Any:  # noqa: ANN401 - faiss and tqdm have no types
    """An index without rows: centroids of cells and of product codes."""
    import faiss

    dim = sample.shape[1]
    quantizer = faiss.IndexFlatIP(dim)
    clustering = faiss.Clustering(dim, cells)
    clustering.spherical, clustering.niter = True, 1
    for _ in range(_ITERATIONS):  # one by one: each goes on from the centroids of the one before
        clustering.train(sample, quantizer)
        done(len(sample))
    index = faiss.IndexIVFPQFastScan(quantizer, dim, cells, dim // _SUB_DIM, 4, faiss.METRIC_INNER_PRODUCT)
    index.by_residual = True  # half as many rows are missed where the mean vector is large
    index.train(sample)
    return index


def _measure(embedding: qemb.Embedding, index: Any) -> list[float]:  # noqa: ANN401
    """Share of the ten nearest rows that each effort finds, over rows of the table; a row itself does not count."""
    numbers = np.random.default_rng(1).choice(len(embedding), min(_ASKED, len(embedding)), replace=False)
    numbers, units = _units(embedding, numbers)
    queries = units[:, : embedding.dim].astype(np.float64)
    expected, _ = embedding.search(queries, 11)
    wanted = (expected >= 0) & (expected != numbers[:, np.newaxis])
    searcher = _IndexSearcher(embedding, index)
    recall = []
    for searcher.effort in range(MAX_EFFORT + 1):
        found, _ = searcher.top(queries, 11)
        hits = (expected[:, :, np.newaxis] == found[:, np.newaxis, :]).any(axis=2) & wanted
        recall.append(round(float(hits.sum() / max(1, wanted.sum())), 4))
    return recall


# --- the index file -------------------------------------------------------------------------------------------------


def _beside(path: str | os.PathLike[str], index: str | os.PathLike[str] | None) -> str:
    return os.fsdecode(path) + SUFFIX if index is None else os.fsdecode(index)


def _identity(embedding: qemb.Embedding) -> str:
    """What tells a file from every other: its header, whose checksum covers, by way of the table's, every section."""
    return bytes(embedding._container.data[:HEADER_SIZE]).hex()  # noqa: SLF001 - that of the file that is open


def _faiss() -> Any:  # noqa: ANN401
    try:
        import faiss
    except ImportError:
        raise missing_extra("faiss", "approximate") from None
    if tuple(map(int, faiss.__version__.split(".")[:2])) < _FAISS:
        found = f"faiss {faiss.__version__} is installed, which finds wrong rows"
        raise UsageError(f'{found}; run: pip install --upgrade "qemb-format[approximate]"')
    return faiss


def _write(target: str, content: Any, record: dict[str, Any]) -> None:  # noqa: ANN401
    """Write an index, and what has to be known of it, after each other."""
    faiss = _faiss()
    crc = 0
    with AtomicFile(target) as file:

        def write(data: bytes) -> int:
            nonlocal crc
            crc = crc32c(data, crc)
            return file.file.write(data)

        faiss.write_index(content, faiss.PyCallbackIOWriter(write))
        text = json.dumps(record).encode()
        write(text + len(text).to_bytes(4, "little"))
        file.file.write(crc.to_bytes(4, "little") + _MAGIC)


def _read(index: str, embedding: qemb.Embedding, path: str) -> tuple[Any, dict[str, Any]]:
    """The index, and what stands after it; every byte is checked before faiss sees one."""
    faiss = _faiss()
    again = f"run: qemb index {path}"
    try:
        file = open(index, "rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        raise UsageError(f"there is no index {index}; {again}") from None
    with file:
        record = _check(file)
        if not isinstance(record, dict) or not {"table", "recall"} <= record.keys():
            raise source_error(f"the index is damaged, cut short, or no index of qemb; {again}", index)
        if record["table"] != _identity(embedding):
            raise source_error(f"this is the index of another file, or {path} has changed since; {again}", index)
        file.seek(0)
        try:
            return faiss.read_index(faiss.PyCallbackIOReader(file.read)), record
        except RuntimeError as error:
            reason = str(error).rpartition("Error: ")[2]
            raise source_error(f"faiss {faiss.__version__} cannot read it ({reason}); {again}", index) from None


def _check(file: BinaryIO) -> dict[str, Any] | None:
    """What stands after faiss's part; None where a byte is not as it was written."""
    size = file.seek(0, os.SEEK_END)
    if size < _TAIL.size:
        return None
    file.seek(size - _TAIL.size)
    length, expected, magic = _TAIL.unpack(file.read(_TAIL.size))
    if magic != _MAGIC:
        return None
    file.seek(0)
    left, crc = size - len(_MAGIC) - 4, 0
    while left:
        part = file.read(min(left, 1 << 20))
        if not part:  # somebody cuts it short this moment
            return None
        left, crc = left - len(part), crc32c(part, crc)
    if crc != expected:
        return None
    file.seek(max(0, size - _TAIL.size - length))
    try:
        record: dict[str, Any] = json.loads(file.read(length))
    except (ValueError, RecursionError):
        return None
    return record
