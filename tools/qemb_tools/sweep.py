"""Every width and scheme on a sample of a table: what each takes, and what it loses."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb_tools.bench.methods import Method, NotAvailableError, qemb_method, qemb_methods
from qemb_tools.bench.peers import peer_methods
from qemb_tools.bench.quality import K, Truth, measure
from qemb_tools.formats import open_source
from qemb_tools.interface import UsageError, source_error
from qemb_tools.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

BITS = (8, 6, 5, 4, 3, 2, 1)
FLOAT_BITS = 32
_NAMES = {
    "qemb default": "qemb",
    "qemb shipped": "qemb, compressed",
    "qemb codebook": "qemb codebook",
    "qemb linear": "qemb linear",
}
"""Of the methods that `qemb bench quality` measures, those that are swept, and what they are called here."""
_PEERS = ("faiss PQ", "faiss SQ", "NF4", "ggml")
_TRAINING = 39 * 256
"""Rows that faiss asks for to train 256 centroids."""
_PUBLISHED = (
    "faiss is not installed, so its points are missing; in docs/benchmarks.md, GloVe's first 100,000 rows, PQ has "
    "recall 0.883 at 4.08 bits a value and 0.630 at 2.08, SQ 0.981 at 8.00 and 0.754 at 4.00. "
    'pip install "qemb-format[faiss]" measures them here'
)


COLUMNS = [
    ("family", "family", ""),
    ("name", "stored as", ""),
    ("bits_a_value", "bits a value", ".2f"),
    ("recall", f"recall@{K}", ".3f"),
    ("cosine", "mean cosine", ".4f"),
    ("error", "relative error", ".4f"),
    ("seconds", "seconds", ".1f"),
]
"""Of tables: the figure of a `Point`, its title, its form."""


@dataclass(frozen=True, slots=True)
class Point:
    """What one method did on the sample.

    Attributes
    ----------
    family, scheme : str
        Which line of the plot it belongs to, and the scheme that the file has.
    bits : int
        The width asked for; 32 for what is exact.
    bits_a_value : float
        What it takes, everything counted that decoding needs, over the whole table.
    recall, cosine, error : float
        Share of the ten nearest rows by cosine that are found again; mean cosine with the rows as they were; root of
        the summed squared differences over that of the squares.
    seconds : float
        Taken to encode the sample.
    peer : bool
        Whether it is another library's.
    arguments : str
        What `qemb convert` is told to do the same; "" for peers.
    """

    family: str
    scheme: str
    bits: int
    bits_a_value: float
    recall: float
    cosine: float
    error: float
    seconds: float
    peer: bool = False
    arguments: str = ""

    @property
    def name(self) -> str:
        """In words: "4 bits (trellis)"."""
        if self.scheme == "exact":
            return "exact"
        if self.peer:
            return self.scheme
        return f"{_bits(self.bits)} ({self.scheme})"


@dataclass(frozen=True)
class Sweep:
    """A table's points, and what follows from them.

    Attributes
    ----------
    rows, dim, sample, queries : int
        The shape of the table, how many of its rows were tried, and how many of those recall is of.
    points : list of Point
        In the order of their families, most bits first.
    wanted : float
        Recall that the recommendation asks for.
    notes : list of str
        What could not be measured, and why.
    """

    rows: int
    dim: int
    sample: int
    queries: int
    points: list[Point]
    wanted: float
    notes: list[str] = field(default_factory=list)

    @property
    def recommendation(self) -> str:
        """What to write, and why, in a sentence."""
        return recommend(self.points, self.wanted)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data, JSON-able."""
        return asdict(self) | {"recommendation": self.recommendation}


def sweep(
    path: str,
    *,
    bits: Sequence[int] = BITS,
    sample: int = 10_000,
    queries: int = 1000,
    wanted: float = 0.9,
    show_progress: bool = False,
) -> Sweep:
    """Try every width and scheme on rows from all over a file of any format.

    Parameters
    ----------
    path : str
        The file.
    bits : sequence of int
        Widths to try, beside exact.
    sample, queries : int
        So many rows at even distances are tried, and recall is measured for so many of them.
    wanted : float
        Recall that the recommendation asks for.
    show_progress : bool
        Whether to show a bar on a terminal.

    Raises
    ------
    UsageError, qemb.QembError
        As `open_source` does.
    qemb.InvalidError
        The file has too few rows to have ten neighbours.
    """
    vectors, rows = read_sample(path, sample)
    if len(vectors) <= K + 1:
        raise source_error(f"there are {len(vectors):,} rows; recall of {K} neighbours needs {K + 2} at least", path)
    points, notes = try_methods(vectors, rows, methods(bits), queries=queries, show_progress=show_progress)
    return Sweep(rows, vectors.shape[1], len(vectors), min(queries, len(vectors)), points, wanted, notes)


def methods(bits: Sequence[int], *, peers: bool = True) -> list[Method]:
    """Exact, and what there is of each family at these widths."""
    found = [qemb_method("exact", FLOAT_BITS, scheme="exact")]
    own = [method for method in qemb_methods() if method.name in _NAMES and method.bits in bits]
    found += sorted(own, key=lambda method: list(_NAMES).index(method.name))
    if peers:
        beside = [m for m in peer_methods() if m.bits in bits and m.name.startswith(_PEERS)]
        found += sorted(beside, key=lambda method: next(i for i, p in enumerate(_PEERS) if method.name.startswith(p)))
    return found


def try_methods(
    vectors: NDArray[np.float32],
    rows: int,
    chosen: Sequence[Method],
    *,
    queries: int = 1000,
    show_progress: bool = False,
) -> tuple[list[Point], list[str]]:
    """Measure methods on a sample of a table of ``rows`` rows; what cannot be measured is noted."""
    truth = Truth.of(vectors, queries, 0)
    points, notes = [], []
    with progress(len(chosen), "sweeping", unit=" methods", wanted=show_progress) as bar:
        for method in chosen:
            if method.package and find_spec(method.package) is None:
                notes += [_PUBLISHED] if method.package == "faiss" and _PUBLISHED not in notes else []
                continue
            try:
                with _alone(method):
                    stored = method.store(vectors)
            except NotAvailableError as reason:
                notes.append(f"{_scheme(method)}: {reason}")
                continue
            finally:
                bar.update(1)
            points.append(
                _point(method, measure(truth, stored), stored.fixed * (1 / len(vectors) - 1 / rows) / vectors.shape[1])
            )
    if any(point.family == "faiss PQ" for point in points) and len(vectors) < _TRAINING:
        notes.append(f"faiss PQ was trained on the {len(vectors):,} rows that it is measured on, which flatters it; "
                     f"a sample of {_TRAINING:,} and more does so less")  # fmt: skip
    return points, notes


@contextmanager
def _alone(method: Method) -> Iterator[None]:
    """Keep faiss on one thread: on small samples its threads wait for each other, five times as long."""
    if method.package != "faiss":
        yield
        return
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _point(method: Method, figures: dict[str, Any], saved: float) -> Point:
    peer = method.name not in _NAMES and method.name != "exact"
    family = next((p for p in _PEERS if method.name.startswith(p)), "") if peer else _NAMES.get(method.name, "exact")
    if family in _PEERS[2:]:
        family = "ggml, NF4"
    return Point(
        family=family,
        scheme=_scheme(method),
        bits=method.bits,
        bits_a_value=figures["bits_a_value"] - saved,
        recall=figures["recall"],
        cosine=figures["cosine"],
        error=figures["error"],
        seconds=figures["seconds"],
        peer=peer,
        arguments="" if peer else _arguments(method.options),
    )


def _scheme(method: Method) -> str:
    if method.name == "faiss PQ":  # others have their width in their name
        return f"{method.name}, {_bits(method.bits)}"
    if not method.options:
        return method.name
    if method.options.get("compress"):
        return "compressed"
    return str(method.options.get("scheme", "linear" if method.bits == 8 else "trellis"))


def _bits(bits: int) -> str:
    return f"{bits} {'bit' if bits == 1 else 'bits'}"


def _arguments(options: dict[str, Any]) -> str:
    words = [f"--{name}" if value is True else f"--{name} {value}" for name, value in options.items()]
    return " ".join(words)


def recommend(points: Sequence[Point], wanted: float) -> str:
    """The fewest bits, of what is mapped and searched as it lies, that bring so many neighbours back; and why."""
    # to two digits: on a sample the third is chance
    own = [p for p in points if not p.peer]
    enough = sorted((p for p in own if round(p.recall, 2) >= wanted), key=lambda p: (p.bits, -p.recall, p.bits_a_value))
    mapped = [p for p in own if p.scheme != "compressed"]
    exact = next(p for p in mapped if p.scheme == "exact")
    best = next((p for p in enough if p.scheme != "compressed"), exact)
    if exact.bits_a_value <= best.bits_a_value:
        best = exact
    text = f"{best.name}: recall@{K} {best.recall:.3f}, cosine {best.cosine:.4f}, at {_share(best)} of float32's size"
    less = [p for p in mapped if p.bits < best.bits]
    if less:
        second = max(less, key=lambda p: p.recall)
        text += f"; {second.name} would give {second.recall:.3f} at {_share(second)}"
    shipped = next((p for p in enough if p.scheme == "compressed"), None)
    if shipped is not None and shipped.bits_a_value < best.bits_a_value:
        text += f"; to be shipped, {shipped.arguments} gives {shipped.recall:.3f} at {_share(shipped)}"
    return f"{text}. To write it: qemb convert FILE OUT.qemb {best.arguments}"


def _share(point: Point) -> str:
    return f"1/{FLOAT_BITS / point.bits_a_value:.1f}"


def read_sample(path: str, sample: int) -> tuple[NDArray[np.float32], int]:
    """Rows at even distances from a file of any format, at most so many, and how many it has."""
    if sample < 2:
        raise UsageError(f"a sample of {sample} rows says nothing; take a thousand and more")
    parts: list[NDArray[np.float32]] = []
    rows = 0
    with open_source(path) as source:
        step = max(1, (source.rows or source.expected or 0) // sample)  # of text the number is an estimate
        for batch in source.batches():
            parts.append(batch.vectors[-rows % step :: step])
            rows += len(batch.tokens)
        kept = np.concatenate(parts) if parts else np.empty((0, source.dim), np.float32)
    if len(kept) > sample:
        kept = kept[np.linspace(0, len(kept) - 1, sample).astype(np.int64)]
    return kept, rows
