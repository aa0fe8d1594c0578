"""Lossless storage: bits a value and speed beside pcodec, byte planes in zstd and blosc2, and the limit of all."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import qemb
from qemb_tools.bench.data import MissingTableError
from qemb_tools.bench.entropy import entropy
from qemb_tools.bench.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from qemb_tools.bench.data import Places, Table
    from qemb_tools.bench.report import Report, Row

TABLES = ("glove", "minilm", "minilm-bfloat16", "fasttext-vec", "word2vec-text")
_LOOKUPS = 2000
_COLUMNS = [
    ("method", "method", ""),
    ("bits_a_value", "bits a value", ".2f"),
    ("write", "write, MB/s", ".0f"),
    ("write_cpu", "a CPU second", ".0f"),
    ("read", "read, MB/s", ".0f"),
    ("read_cpu", "a CPU second", ".0f"),
    ("one_row", "one row, µs", ".0f"),
]


def run(
    places: Places, report: Report, *, tables: Sequence[str] = TABLES, only: Sequence[str] = (), repeat: int = 2
) -> None:
    """Measure qemb and the others on every table that is there; the best of several runs counts.

    Parameters
    ----------
    tables : sequence of str
        Which tables.
    only : sequence of str
        Parts of names of methods; none means all.
    repeat : int
        Runs of each side.
    """
    for name in tables:
        try:
            table = places.table(name)
        except MissingTableError as missing:
            report.note(f"- {missing}")
            continue
        report.heading(table.describe())
        limit = entropy(table.vectors)
        report.note(f"Entropy of the values, {limit.form}: {limit.bits:.2f} bits.")
        found: list[Row] = []
        for method, measure in _METHODS.items():
            if only and not any(part in method for part in only):
                continue
            if method in _PACKAGES and find_spec(_PACKAGES[method]) is None:
                report.note(f'- {method}: not run; pip install "qemb-format[bench]"')
                continue
            runs = [measure(table) for _ in range(1 if method in _SLOW else repeat)]
            best = {key: (min if key == "one_row" else max)(run[key] for run in runs) for key in runs[0]}
            best["bits_a_value"] = runs[0]["bits_a_value"]
            found.append({"table": name, "method": method, "entropy": limit.bits} | best)
        report.note("")
        report.table("exact", _COLUMNS, found)


def _qemb(table: Table) -> dict[str, float]:
    """Whole files: with the words, whose time and not whose size is counted."""
    vectors = table.vectors
    tokens = list(dict.fromkeys(table.tokens))
    if len(tokens) != len(vectors):
        tokens = [str(row).encode() for row in range(len(vectors))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "exact.qemb")
        with Stopwatch() as writing:
            qemb.write(path, tokens, vectors, scheme="exact")
        with qemb.open(path) as emb:
            with Stopwatch() as reading:
                back = emb.matrix()
            _must_be_equal(vectors, back)
            bits = emb.info.bits_per_value
        with qemb.open(path) as emb:
            times = [_lookup(emb, tokens[i]) for i in np.random.default_rng(0).integers(len(tokens), size=_LOOKUPS)]
    megabytes = vectors.nbytes / 1e6
    figures = writing.rates("write", megabytes) | reading.rates("read", megabytes)
    return figures | {"bits_a_value": bits, "one_row": float(np.median(times)) * 1e6}


def _lookup(emb: qemb.Embedding, word: bytes) -> float:
    with Stopwatch() as looking:
        emb[word]
    return looking.wall


def _pcodec(table: Table) -> dict[str, float]:
    from pcodec import ChunkConfig, standalone

    return _whole(
        table.vectors,
        lambda values: standalone.simple_compress(values.reshape(-1), ChunkConfig(compression_level=8)),
        lambda data, _: standalone.simple_decompress(data),
    )


def _planes(table: Table) -> dict[str, float]:
    """Each of the four bytes of a float32 as a stream of its own."""
    import zstandard

    def compress(values: NDArray[np.float32]) -> list[bytes]:
        compressor = zstandard.ZstdCompressor(level=19)
        planes = np.ascontiguousarray(values.reshape(-1, 1).view(np.uint8).T)
        return [min(compressor.compress(plane), plane.tobytes(), key=len) for plane in planes]

    def decompress(data: list[bytes], count: int) -> NDArray[np.float32]:
        decompressor = zstandard.ZstdDecompressor()
        planes = [d if len(d) == count else decompressor.decompress(d) for d in data]
        out = np.empty((count, 4), np.uint8)
        for column, plane in enumerate(planes):
            out[:, column] = np.frombuffer(plane, np.uint8)
        return out.view(np.float32)

    return _whole(table.vectors, compress, decompress)


def _blosc(table: Table) -> dict[str, float]:
    import blosc2

    return _whole(
        table.vectors,
        lambda values: blosc2.compress2(
            values, codec=blosc2.Codec.ZSTD, clevel=9, typesize=4, filters=[blosc2.Filter.SHUFFLE]
        ),
        lambda data, _: np.frombuffer(blosc2.decompress2(data), np.float32),
    )


def _whole(
    vectors: NDArray[np.float32], compress: Callable[[NDArray[np.float32]], Any], decompress: Callable[[Any, int], Any]
) -> dict[str, float]:
    """A method that compresses and decompresses a table in one piece."""
    with Stopwatch() as writing:
        data = compress(vectors)
    with Stopwatch() as reading:
        back = decompress(data, vectors.size)
    _must_be_equal(vectors, back)
    size = sum(map(len, data)) if isinstance(data, list) else len(data)
    megabytes = vectors.nbytes / 1e6
    figures = writing.rates("write", megabytes) | reading.rates("read", megabytes)
    return figures | {"bits_a_value": 8 * size / vectors.size}


def _must_be_equal(vectors: NDArray[np.float32], back: NDArray[np.float32]) -> None:
    if vectors.tobytes() != np.ascontiguousarray(back).tobytes():
        raise AssertionError("a lossless method gave other bits back")


_METHODS: dict[str, Callable[[Table], dict[str, float]]] = {
    "qemb exact": _qemb,
    "pcodec, level 8": _pcodec,
    "byte planes, zstd 19": _planes,
    "blosc2, shuffle, zstd 9": _blosc,
}
_PACKAGES = {"pcodec, level 8": "pcodec", "blosc2, shuffle, zstd 9": "blosc2"}
_SLOW = {"byte planes, zstd 19"}
