"""Lossless storage: what values really are is found out on a sample, and proved value by value as they are written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.decode import Decoder, decode_ieee
from qemb.encode.base import Encoder, MisfitError, sample_rows
from qemb.encode.decimal import EXCEPTION_BITS, DecimalEncoder, find_decimals
from qemb.encode.grid import find_grids
from qemb.encode.ieee import IeeeEncoder, order_bits, to_ieee
from qemb.encode.split import best_low_bits
from qemb.layout import IeeeFormat
from qemb.packing import packed_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from qemb.quantization import Quantization


class ExactEncoder:
    """The smallest form that gives every bit back.

    Decimal digits, small integers times scales, bfloat16, float16, or float32. Forms are ordered by what a sample of
    rows takes in each. One that does not hold for a row, or needs so many exceptions that the next is smaller, is given
    up, and the rows are written again in the next; float32 holds for all.
    """

    needs_pass = True
    needs_finite = False
    compress_rows = True

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._forms: list[tuple[float, Encoder]] = []
        self._rows = 0
        self._exceptions_left = 0.0

    @property
    def quantization(self) -> Quantization:
        """The descriptor of the form chosen."""
        return self._forms[0][1].quantization

    def widen(self) -> bool:
        """Give up the form chosen; False where there is no other."""
        del self._forms[0]
        return bool(self._forms)

    def fit(self, tiles: Callable[[], Iterable[NDArray[np.float32]]]) -> None:
        """Sample the rows and order the forms, the first time; then count what may be left to exceptions."""
        if not self._forms:
            sample, self._rows = sample_rows(tiles(), self._dim)
            self._forms = sorted(_forms(sample), key=lambda form: form[0])
        self._check = _Check(self.quantization, self._dim)
        gain = self._forms[1][0] - self._forms[0][0] if len(self._forms) > 1 else np.inf
        self._exceptions_left = self._rows * self._dim * gain / EXCEPTION_BITS

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """As the form chosen."""
        return self._forms[0][1].head()

    def encode(self, tile: NDArray[np.float32], first: int) -> dict[str, NDArray[Any]]:
        """As the form chosen, decoded again and compared; a decimal form does so itself, to find its exceptions.

        Raises
        ------
        MisfitError
            A value does not come back, or there are too many exceptions.
        """
        form = self._forms[0][1]
        parts = form.encode(tile, 0)
        if not isinstance(form, DecimalEncoder) and not self._check.gives_back(tile, {**dict(form.head()), **parts}):
            raise MisfitError("invalid.value", "this form does not give every bit back", where=f"row {first}")
        if "EXCP" in parts:
            self._exceptions_left -= len(parts["EXCP"])
            if self._exceptions_left < 0:
                raise MisfitError("invalid.value", "this form leaves too many exceptions", where=f"row {first}")
            parts["EXCP"]["position"] += np.uint64(first * self._dim)
        return parts


def _forms(sample: NDArray[np.float32]) -> Iterator[tuple[float, Encoder]]:
    """Forms that hold for the sample, and the bits a value that it takes in each."""
    dim = sample.shape[1]
    for kind in IeeeFormat:
        codes = order_bits(to_ieee(sample, kind))
        if decode_ieee(codes, kind).tobytes() == sample.tobytes():
            encoder = IeeeEncoder(kind, dim)
            low_bits, cost = best_low_bits(codes, encoder.quantization.bits)
            stride = packed_size(dim, low_bits)
            encoder.quantization = replace(encoder.quantization, low_bits=low_bits, row_stride=stride)
            yield cost, encoder
    yield from find_grids(sample)
    for quantization, cost in find_decimals(sample):
        yield cost, DecimalEncoder(quantization, dim)


class _Check:
    """Decodes a tile as a reader of the file will, to see that every bit comes back."""

    def __init__(self, quantization: Quantization, dim: int) -> None:
        self._parts = _Parts()
        self._decoder = Decoder(self._parts, dim, quantization, None)

    def gives_back(self, tile: NDArray[np.float32], parts: dict[str, NDArray[Any]]) -> bool:
        """Whether ``parts`` decode to ``tile``, bit for bit."""
        self._parts.sections = parts
        self._decoder.release()
        back = self._decoder.rows(0, len(tile), np.empty(tile.shape, np.float32))
        return bool((back.view(np.uint32) == np.ascontiguousarray(tile).view(np.uint32)).all())


class _Parts:
    """What an encoder made of a tile, as the sections of a file."""

    def __init__(self) -> None:
        self.sections: dict[str, NDArray[Any]] = {}

    def is_raw(self, kind: str) -> bool:  # noqa: ARG002
        return True

    def read(self, kind: str, start: int, stop: int) -> NDArray[np.uint8]:
        return self.sections[kind].reshape(-1).view(np.uint8)[start:stop]

    def read_rows(self, kind: str, stride: int, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.sections[kind].reshape(-1).view(np.uint8).reshape(-1, stride)[indices]

    def array(self, kind: str, element: str | np.dtype[Any]) -> NDArray[Any]:
        return self.sections[kind].reshape(-1).view(element)
