"""An open file's words and rows as the list, dict and array that code written for memory expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike, NDArray

    import qemb
    from qemb.vocabulary import Tokens

_TILE_VALUES = 1 << 18
_BLOCK_VALUES = 4608
"""OpenBLAS multiplies up to twice as many values by a vector on one thread."""


class Words(Sequence[str]):
    """The words of a file, equal to a list of them."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def __len__(self) -> int:
        return len(self._tokens)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._tokens[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tokens)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and word in self._tokens

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | Words):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list

    def __repr__(self) -> str:
        return repr(self._tokens)


class Index(Mapping[str, int]):
    """Rows of the words of a file, equal to a dict of them; looked up through the index in the file."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def __len__(self) -> int:
        return len(self._tokens)

    def __getitem__(self, word: object) -> int:
        row = self._tokens.row(word) if isinstance(word, str) else -1
        if row < 0:
            raise KeyError(word)
        return row

    def __iter__(self) -> Iterator[str]:
        return iter(self._tokens)

    def __repr__(self) -> str:
        return f"<rows of {self._tokens!r}>"


class Rows:
    """Rows ``start`` to ``stop`` of a file as a float32 matrix, decoded as they are asked for.

    Indexing by a slice gives fewer of them, anything else an array. Norms of rows, and the product with a vector, are
    computed a tile at a time with the functions that numpy calls for the whole matrix; all else is done with the
    matrix, decoded for that. A norm has the bits of the whole matrix's, and a product those that OpenBLAS gives on one
    thread: on several, it adds up the last few rows of each thread's share in another order.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, file: qemb.Embedding, start: int, stop: int) -> None:
        self._file = file
        self._start = start
        self._stop = max(start, stop)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimension."""
        return len(self), self._file.dim

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - whatever numpy takes
        if isinstance(index, slice) and index.step in (None, 1):
            start, stop, _ = index.indices(len(self))
            return Rows(self._file, self._start + start, self._start + stop)
        if isinstance(index, int | np.integer):
            row = self._start + range(len(self))[index]
            return self._file.matrix(row, row + 1)[0]
        if isinstance(index, tuple):
            return np.asarray(self)[index]
        return self._file.rows(np.arange(self._start, self._stop)[index])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001
        if copy is False:
            raise ValueError("rows of a file have to be decoded into an array")
        return self._file.matrix(self._start, self._stop).astype(dtype or self.dtype, copy=False)

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:  # noqa: ANN401
        if function is np.linalg.norm and len(args) == 1 and kwargs == {"axis": 1}:
            return self._norms()
        if function is np.dot and args[0] is self and np.ndim(args[1]) == 1 and not kwargs:
            return self._dot(np.asarray(args[1]))
        return function(*(np.asarray(value) if isinstance(value, Rows) else value for value in args), **kwargs)

    def _norms(self) -> NDArray[np.float32]:
        norms = np.empty(len(self), np.float32)
        for low, high, rows in self._tiles():
            norms[low:high] = np.linalg.norm(rows, axis=1)
        return norms

    def _dot(self, vector: NDArray[Any]) -> NDArray[Any]:
        products = np.empty(len(self), np.result_type(self.dtype, vector))
        block = max(8, _BLOCK_VALUES // self._file.dim // 8 * 8)
        for low, _, rows in self._tiles():
            for first, last in spans(len(rows), block):
                products[low + first : low + last] = np.dot(rows[first:last], vector)
        return products

    def _tiles(self) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        step = max(8, _TILE_VALUES // self._file.dim // 8 * 8)
        tile = np.empty((min(2 * step, len(self)), self._file.dim), np.float32)
        for low, high in spans(len(self), step):
            yield low, high, self._file.matrix(self._start + low, self._start + high, out=tile[: high - low])


def spans(count: int, step: int) -> Iterator[tuple[int, int]]:
    """Cut ``count`` rows into runs of ``step``; the last takes what is left over, as BLAS has another way for few."""
    low = 0
    while count - low >= 2 * step:
        yield low, low + step
        low += step
    if low < count:
        yield low, count
