"""What the quality of a method is measured through, and qemb's own schemes in that form."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qemb

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Stored:
    """A table as a method stores it.

    Attributes
    ----------
    bits : float
        Bits a value, everything counted that decoding needs: codes, scales, means, levels, codebooks.
    seconds : float
        Encoding time, training included.
    decoded : ndarray or None
        float32 (rows, dim); None where the method gives inner products only.
    search : callable or None
        For those: ``search(queries, k)`` gives row numbers, shape (queries, k), best first.
    fixed : float
        Of the bits of the whole table, those that do not grow with its rows: codebooks.
    """

    bits: float
    seconds: float
    decoded: NDArray[np.float32] | None = None
    search: Callable[[NDArray[np.float32], int], NDArray[Any]] | None = None
    fixed: float = 0.0


@dataclass(frozen=True)
class Method:
    """A way to store a table at a nominal number of bits.

    ``package`` is what it needs installed, "" for nothing; ``options`` are those of `qemb.write`, where it is qemb's.
    """

    name: str
    bits: int
    store: Callable[[NDArray[np.float32]], Stored]
    package: str = ""
    options: dict[str, Any] = field(default_factory=dict)


class NotAvailableError(Exception):
    """A method cannot store this table; the message says why, in one line."""


def qemb_method(name: str, nominal: int, /, **options: Any) -> Method:  # noqa: ANN401 - passed on as they are
    """A scheme of qemb, through its public face: written to a file, opened, decoded."""
    return Method(name, nominal, lambda vectors: _write(vectors, options), options=options)


def _write(vectors: NDArray[np.float32], options: dict[str, Any]) -> Stored:
    tokens = [str(row) for row in range(len(vectors))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.qemb")
        start = time.perf_counter()
        try:
            qemb.write(path, tokens, vectors, **options)
        except (qemb.InvalidError, ImportError, TypeError) as error:
            raise NotAvailableError(str(error).splitlines()[0]) from None
        seconds = time.perf_counter() - start
        with qemb.open(path) as emb:
            info = emb.info
            return Stored(info.bits_per_value, seconds, emb.matrix(), fixed=8 * info.sections.get("LEVL", 0))


def qemb_methods() -> list[Method]:
    """Every scheme of qemb at every width it has."""
    narrow = (4, 3, 2, 1)
    methods = [qemb_method("qemb linear", bits, scheme="linear", bits=bits) for bits in (8, 7, 6, 5, *narrow)]
    methods += [
        qemb_method("qemb linear, clip", bits, scheme="linear", bits=bits, clip=True) for bits in (7, 6, 5, *narrow)
    ]
    methods += [qemb_method("qemb codebook", bits, scheme="codebook", bits=bits) for bits in (7, 6, 5, *narrow)]
    methods += [qemb_method("qemb default", bits, bits=bits) for bits in (8, 7, 6, 5, *narrow)]
    methods += [qemb_method("qemb effort 9", bits, bits=bits, effort=9) for bits in narrow]
    methods += [qemb_method("qemb one scale", bits, bits=bits, scale="table") for bits in narrow]
    methods += [qemb_method("qemb shipped", bits, bits=bits, compress=True) for bits in (8, 7, 6, 5, 4, 3, 2)]
    methods += [qemb_method("qemb product", bits, scheme="product", bits=bits) for bits in narrow]
    return methods
