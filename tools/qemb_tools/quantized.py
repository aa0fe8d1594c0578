"""Sources that are quantized already: their codes go into a ``.qemb`` file as they are, or are decoded to floats."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import qemb
from qemb_tools.interface import Batch, Kept, Source, batch_rows, source_error
from qemb_tools.matrix import check_shape, float32, without_padding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from qemb_tools.interface import Choose


@dataclass(frozen=True, slots=True)
class CodeBatch:
    """Some rows of a quantized table, as `qemb.CodeWriter.append` takes them."""

    tokens: list[bytes]
    codes: NDArray[Any]
    scales: NDArray[Any] | None = None
    offsets: NDArray[Any] | None = None

    def take(self, rows: NDArray[np.int64], tokens: list[bytes]) -> CodeBatch:
        """Some of the rows, under other tokens."""
        scales, offsets = (None if part is None else part[rows] for part in (self.scales, self.offsets))
        return CodeBatch(tokens, self.codes[rows], scales, offsets)


class _Chosen:
    """Numbers of rows, ascending, and what they are called."""

    def __init__(self, rows: list[int], tokens: list[bytes]) -> None:
        self._rows = np.array(rows, np.int64)
        self._tokens = tokens

    def part(self, start: int, stop: int) -> tuple[NDArray[np.int64], list[bytes]]:
        """Those from row ``start`` to ``stop``, counted from there."""
        low, high = np.searchsorted(self._rows, [start, stop])
        return self._rows[low:high] - start, self._tokens[low:high]


class QuantizedSource(Source):
    """A table of codes. What `qemb.CodeWriter` is given and what ``batches`` decodes are the same codes.

    Parameters
    ----------
    tokens : list of bytes
        One a row.
    dim : int
        Values a row.
    name : str
        How the source is quantized, in a few words.
    code_format : qemb.CodeFormat
        How its codes become values.
    """

    def __init__(self, tokens: list[bytes], dim: int, name: str, code_format: qemb.CodeFormat) -> None:
        super().__init__()
        self.rows = self.expected = len(tokens)
        self.dim = dim
        self.code_format = code_format
        self.kept = Kept(name)
        self._tokens = tokens

    @abstractmethod
    def codes(self, rows: slice) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]:
        """Codes of rows, and their scales and offsets, as `qemb.CodeWriter.append` takes them."""

    def code_batches(self) -> Iterator[CodeBatch]:
        """Yield the rows in order, as codes."""
        step = batch_rows(self.dim)
        for start in range(0, len(self._tokens), step):
            rows = slice(start, min(start + step, len(self._tokens)))
            yield CodeBatch(self._tokens[rows], *self.codes(rows))

    def batches(self) -> Iterator[Batch]:
        """Yield the rows in order, decoded."""
        for batch in self.code_batches():
            yield Batch(batch.tokens, decode(batch, self.code_format, self.dim))

    def keep(
        self,
        path: str,
        metadata: dict[str, Any],
        *,
        compress: bool | None,
        progress: Callable[[int], object],
        choose: Choose | None = None,
    ) -> int:
        """Write the codes as they are."""
        chosen = None if choose is None else _Chosen(*choose(self._tokens))
        with qemb.CodeWriter(
            path,
            dim=self.dim,
            code_format=self.code_format,
            metadata=metadata,
            duplicates="first",
            compress=bool(compress),
        ) as writer:
            done = 0
            for batch in self.code_batches():
                taken = batch if chosen is None else batch.take(*chosen.part(done, done + len(batch.tokens)))
                writer.append(taken.tokens, taken.codes, scales=taken.scales, offsets=taken.offsets)
                done += len(batch.tokens)
                progress(len(batch.tokens))
        return int(writer.duplicates)


def decode(batch: CodeBatch, code_format: qemb.CodeFormat, dim: int) -> NDArray[np.float32]:
    """Values of linear or product codes: offset + scale * level, in float32, each operation rounded."""
    if code_format.levels is None:
        levels = code_format.step * batch.codes.astype(np.int32) - code_format.bias
        values = levels.astype(np.float32)
    else:
        places = np.arange(batch.codes.shape[1])
        values = code_format.levels[places, batch.codes].reshape(len(batch.codes), -1)[:, :dim]
    with np.errstate(over="ignore", invalid="ignore"):
        if code_format.scale != "none":
            values = values * _spread(batch.scales, code_format.scales, code_format.scale_block, dim)
        if code_format.offset != "none":
            values = values + _spread(batch.offsets, code_format.offsets, code_format.offset_block, dim)
    return values


def _spread(of_rows: NDArray[Any] | None, shared: ArrayLike | None, block: int | None, dim: int) -> NDArray[np.float32]:
    """Scales or offsets in a shape that broadcasts to the rows."""
    if of_rows is None:
        return np.asarray(shared, np.float32).reshape(-1)
    values = of_rows.astype(np.float32)
    return np.repeat(values, block, axis=1)[:, :dim] if block else values.reshape(-1, 1)


class Int8Source(QuantizedSource):
    """int8 values with one scale, or one for each row or column: value = scale * int8.

    Parameters
    ----------
    tokens : list of bytes
        One a row; rows past the last are left out, and noted.
    matrix : numpy.ndarray
        int8, shape (rows, dim); may be a memory map.
    scales : numpy.ndarray or None
        Floats of shape () or (1,); (rows,) or (rows, 1); (dim,) or (1, dim). None: the integers are the values.
    where : str
        The file, for errors.

    Raises
    ------
    qemb.InvalidError
        The shapes do not fit each other.
    """

    def __init__(self, tokens: list[bytes], matrix: NDArray[Any], scales: NDArray[Any] | None, where: str) -> None:
        group = _group(None if scales is None else scales.shape, matrix.shape, where)
        matrix, notes = without_padding(matrix, len(tokens))
        check_shape(len(matrix), matrix.shape[1], tokens, where)
        scales = np.ones(1, np.float32) if scales is None else scales.reshape(-1)
        if scales.dtype not in (np.float32, np.float16):
            notes.append(f"the scales are {scales.dtype}; they were rounded to float32")
            scales = float32(scales)
        code_format = qemb.CodeFormat(
            bits=8, scale=group, scale_dtype=scales.dtype.name, scales=None if group == "row" else scales
        )
        super().__init__(tokens, matrix.shape[1], "int8", code_format)
        self.notes += notes
        self._matrix = matrix
        self._of_rows = scales if group == "row" else None

    def codes(self, rows: slice) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]:
        """The int8 values, and the scales of the rows."""
        return self._matrix[rows], None if self._of_rows is None else self._of_rows[rows], None


def _group(shape: tuple[int, ...] | None, table: tuple[int, ...], where: str) -> str:
    """Which values share a scale, by the shape of the scales."""
    rows, dim = table
    if shape is None or shape in ((), (1,), (1, 1)):
        return "table"
    by_row, by_column = shape in ((rows,), (rows, 1)), shape in ((dim,), (1, dim))
    if by_row == by_column:
        reason = "may be those of rows or of columns" if by_row else f"do not fit a table of {rows:,} x {dim:,}"
        raise source_error(f"scales of shape {shape} {reason}; store them as ({rows}, 1) or (1, {dim})", where)
    return "row" if by_row else "column"
