"""The writer's face: a whole table at once, or rows in batches with bounded memory."""

from __future__ import annotations

import json
import os
import tempfile
from array import array
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

import numpy as np

from qemb import layout
from qemb.container import ContainerWriter
from qemb.embedding import parse_metadata
from qemb.encode.base import TILE_ROWS, Encoder, ScaleRangeError
from qemb.encode.options import EncoderOptions, Options, make_encoder
from qemb.errors import InvalidError, LimitError
from qemb.layout import MAX_DIM, Group
from qemb.vocabulary import MAX_INDEXED, VocabularyBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from numpy.typing import ArrayLike, NDArray

Token = str | bytes


class Writer:
    """Writes a ``.qemb`` file from rows that come in batches.

    Memory is bounded by a tile of 4,096 rows and the vocabulary. Schemes that have to see all rows first (a mean, a
    shared scale, ``exact``) keep the float32 rows in an unnamed temporary file beside the target meanwhile. The file
    appears under its name, whole, when the ``with`` block ends; when it ends by an exception nothing appears, and a
    file that was there before stays.

    Parameters
    ----------
    path : path
        The file to write.
    dim : int
        Values in a vector.
    metadata : mapping, optional
        What `json.dumps` takes; at most a mebibyte.
    index : bool
        Whether to store the token index. Without it files are a little smaller, and the first lookup builds one.
    duplicates : "error" or "first"
        Whether a token that came before is an error, or its row is left out and counted in `duplicates`.
    **options
        ``bits``, ``scheme``, ``effort``, ``scale``, ``block``, ``scale_dtype``, ``offset``: as for `write`.

    Raises
    ------
    QembError
        Options that do not go together, or metadata that cannot be stored.
    OSError
        The file cannot be created.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        dim: int,
        metadata: Mapping[str, Any] | None = None,
        index: bool = True,
        duplicates: Literal["error", "first"] = "error",
        **options: Unpack[EncoderOptions],
    ) -> None:
        if not 1 <= dim <= MAX_DIM:
            raise InvalidError("invalid.dim", f"dim is {dim:,}; it is 1 to {MAX_DIM:,}")
        if duplicates not in ("error", "first"):
            raise InvalidError("invalid.option", f"duplicates={duplicates!r} does not exist; there are error, first")
        self.path = os.fspath(path)
        self.dim = dim
        self.duplicates = 0
        """Rows left out because their token had come before."""
        self._encoder = make_encoder(dim, Options(**options))
        self._metadata = encode_metadata(metadata)
        self._index = index
        self._duplicates_allowed = duplicates == "first"
        self._vocabulary = VocabularyBuilder()
        self._counts: array[int] | None = None
        self._pending: list[NDArray[np.float32]] = []
        self._pending_rows = 0
        self._closed = False
        self._table: _TableWriter | None = None
        self._spool: _Spool | None = None
        if self._encoder.needs_pass:
            self._spool = _Spool(self.path, dim)

    @property
    def rows(self) -> int:
        """Rows taken so far."""
        return len(self._vocabulary)

    def append(self, tokens: Sequence[Token], vectors: ArrayLike, counts: ArrayLike | None = None) -> None:
        """Append rows.

        Parameters
        ----------
        tokens : sequence of str or bytes
            One for each row.
        vectors : array of shape (n, dim)
            Floats; float64 is rounded to float32.
        counts : array of shape (n,), optional
            How often each token occurs. With the first batch, or never.

        Raises
        ------
        InvalidError
            Shapes do not agree, a value is not finite, or a token is too long or there already; the message names the
            row. Nothing of the batch is taken then but what came before the row.
        """
        if self._closed:
            raise ValueError("the writer is closed")
        matrix = _as_matrix(vectors, self.dim)
        if len(tokens) != len(matrix):
            raise InvalidError("invalid.shape", f"{len(tokens):,} tokens for {len(matrix):,} vectors")
        first = self.rows
        kept = self._take_tokens(tokens, first)
        self._take_counts(counts, len(matrix), first, kept)
        if kept is not None:
            matrix = matrix[kept]
        self._take_rows(matrix)

    def close(self) -> None:
        """Finish and publish the file. Harmless when called twice."""
        if self._closed:
            return
        try:
            self._flush(everything=True)
            if self._spool is not None:
                self._encode_spool(self._spool)
            self._table = self._table or self._begin()
            self._table.finish(self._vocabulary, self._counts)
        except BaseException:
            self.abort()
            raise
        self._release()

    def abort(self) -> None:
        """Throw away what was written; the target stays as it was. Harmless after `close`."""
        if self._table is not None:
            self._table.abort()
        self._release()

    def _release(self) -> None:
        self._closed = True
        if self._spool is not None:
            self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _take_tokens(self, tokens: Sequence[Token], first: int) -> list[int] | None:
        """Take the tokens of a batch; which of them are new, or None where all are."""
        kept = []
        for position, token in enumerate(tokens):
            if self._vocabulary.add(token, first + position):
                kept.append(position)
            elif not self._duplicates_allowed:
                raise InvalidError(
                    "invalid.duplicate_token",
                    f"{token!r} came before; pass duplicates='first' to keep the first row of each token",
                    where=f"row {first + position}",
                )
        if len(kept) == len(tokens):
            return None
        self.duplicates += len(tokens) - len(kept)
        return kept

    def _take_counts(self, counts: ArrayLike | None, length: int, first: int, kept: list[int] | None) -> None:
        if first == 0 and counts is not None and self._counts is None:
            self._counts = array("Q")
        if counts is None and self._counts is None:
            return
        if counts is None or self._counts is None:
            raise InvalidError("invalid.shape", "counts come with every batch or with none", where=f"row {first}")
        numbers = np.asarray(counts)
        if numbers.shape != (length,):
            raise InvalidError("invalid.shape", f"counts of shape {numbers.shape} for {length:,} rows")
        if numbers.size and (numbers.dtype.kind not in "iu" or int(numbers.min()) < 0):
            raise InvalidError("invalid.value", "counts are integers, 0 or more", where=f"row {first}")
        if kept is not None:
            numbers = numbers[kept]
        self._counts.frombytes(numbers.astype(np.uint64).tobytes())

    def _take_rows(self, matrix: NDArray[np.float32]) -> None:
        self._pending.append(matrix)
        self._pending_rows += len(matrix)
        if self._pending_rows >= TILE_ROWS:
            self._flush(everything=False)
        elif self._pending:
            self._pending[-1] = matrix.copy()  # the caller may fill the same array again

    def _flush(self, *, everything: bool) -> None:
        """Pass whole tiles on, whatever batches they came in: tiles decide sums, and so the file."""
        rows = np.concatenate(self._pending) if self._pending else np.empty((0, self.dim), np.float32)
        stop = len(rows) if everything else len(rows) // TILE_ROWS * TILE_ROWS
        for low in range(0, stop, TILE_ROWS):
            tile = rows[low : min(low + TILE_ROWS, stop)]
            if self._spool is not None:
                self._spool.write(tile)
            else:
                self._table = self._table or self._begin()
                self._table.write(tile)
        rest = rows[stop:].copy()
        self._pending = [rest] if len(rest) else []
        self._pending_rows = len(rest)

    def _encode_spool(self, spool: _Spool) -> None:
        """Encode every row of the spool, and start again with float32 scales where float16 ones turn out too narrow."""
        while True:
            try:
                self._encoder.fit(spool.tiles)
                self._table = self._begin()
                for tile in spool.tiles():
                    self._table.write(tile)
            except ScaleRangeError:
                if self._table is not None:
                    self._table.abort()
                if not self._encoder.widen():
                    raise
            else:
                return

    def _begin(self) -> _TableWriter:
        return _TableWriter(self.path, self.dim, self._encoder, self._optional(), counts=self._counts is not None)

    def _optional(self) -> _Optional:
        return _Optional(self._metadata, self._index)


def write(
    path: str | os.PathLike[str],
    tokens: Sequence[Token],
    matrix: ArrayLike,
    *,
    counts: ArrayLike | None = None,
    metadata: Mapping[str, Any] | None = None,
    index: bool = True,
    **options: Unpack[EncoderOptions],
) -> None:
    """Write a table as a ``.qemb`` file.

    Parameters
    ----------
    path : path
        The file to write; it appears whole or not at all.
    tokens : sequence of str or bytes, length n
        Unique, at most 65,536 bytes each. Bytes need not be UTF-8.
    matrix : array of shape (n, dim)
        Floats; float64 is rounded to float32.
    bits : int, optional
        Bits a value; 8 where neither bits nor scheme is given. 8 and 16: linear by row. 1 to 4: the best that there
        is for that many bits.
    scheme : str, optional
        ``linear`` (1 to 8 and 16 bits), ``codebook`` (1 to 7), ``float32``, ``float16``, ``bfloat16``, or ``exact``:
        every bit comes back.
    effort : int, optional
        0 to 9, as in zstd: how long to look for better codes.
    scale : str, optional
        Which values share a scale: ``row`` (the default), ``table``, ``column`` or ``block``.
    block : int, optional
        Columns that share a scale; goes with ``scale="block"``.
    scale_dtype : str, optional
        ``float32`` (linear) or ``float16`` (codebook, where all scales fit).
    offset : str, optional
        ``mean`` (codebook): the mean vector is taken off before quantizing; ``none`` (linear).
    counts : array of shape (n,), optional
        How often each token occurs in the training text.
    metadata : mapping, optional
        What `json.dumps` takes; at most a mebibyte.
    index : bool
        Whether to store the token index.

    Raises
    ------
    InvalidError
        Options that do not go together, shapes that do not agree, a value that is not finite, a token that is too
        long or comes twice; the message names the row. No file is written.
    OSError
        The file cannot be created.
    """
    if not hasattr(matrix, "shape"):
        matrix = np.asarray(matrix)
    shape = np.shape(matrix)
    if len(shape) != 2:
        raise InvalidError("invalid.shape", f"the matrix has {len(shape)} dimensions; it has 2: rows and columns")
    with Writer(path, dim=shape[1], metadata=metadata, index=index, **options) as writer:
        writer.append(tokens, matrix, counts)


# --- inside ---------------------------------------------------------------------------------------------------------


def encode_metadata(metadata: Mapping[str, Any] | None) -> bytes | None:
    """Metadata as the bytes of section META: compact JSON, keys sorted; None where there is none."""
    if not metadata:
        return None
    try:
        text = json.dumps(dict(metadata), sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        data = text.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise InvalidError("invalid.metadata", f"it cannot be stored as JSON: {error}", where="metadata") from error
    if len(data) > layout.MAX_METADATA:
        raise LimitError(
            "limit.metadata_size",
            f"{len(data):,} bytes; at most {layout.MAX_METADATA:,} are allowed",
            where="metadata",
        )
    parse_metadata(data)
    return data


def _as_matrix(vectors: ArrayLike, dim: int) -> NDArray[np.float32]:
    matrix = np.asarray(vectors)
    if matrix.ndim != 2 or matrix.shape[1] != dim:
        raise InvalidError("invalid.shape", f"vectors of shape {matrix.shape}; (rows, {dim}) belongs there")
    if matrix.dtype.kind not in "fiub":
        raise InvalidError("invalid.value", f"vectors of dtype {matrix.dtype}; floats belong there")
    with np.errstate(over="ignore"):
        return matrix.astype(np.float32, copy=False)


class _Optional:
    """Sections that do not depend on the rows."""

    def __init__(self, metadata: bytes | None, index: bool) -> None:  # noqa: FBT001
        self.metadata = metadata
        self.index = index


class _Spool:
    """Float32 rows in an unnamed temporary file beside the target, to be gone over more than once."""

    def __init__(self, target: str, dim: int) -> None:
        folder = os.path.dirname(os.path.realpath(target))
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (lives as long as the writer)
        self._dim = dim

    def write(self, tile: NDArray[np.float32]) -> None:
        self._file.write(np.ascontiguousarray(tile).data)

    def tiles(self) -> Iterator[NDArray[np.float32]]:
        self._file.seek(0)
        while data := self._file.read(TILE_ROWS * self._dim * 4):
            yield np.frombuffer(data, np.float32).reshape(-1, self._dim)

    def close(self) -> None:
        self._file.close()


class _TableWriter:
    """Writes the sections of one table: descriptor and levels first, codes as they come, the rest at the end."""

    def __init__(self, path: str, dim: int, encoder: Encoder, optional: _Optional, *, counts: bool) -> None:
        self._dim = dim
        self._encoder = encoder
        self._optional = optional
        self._head = dict(encoder.head())
        q = encoder.quantization
        self._row_parts: dict[str, bytearray] = {}
        if q.scale_group in (Group.ROW, Group.BLOCK):
            self._row_parts["SCAL"] = bytearray()
        count = 4 + len(self._head) + len(self._row_parts) + (optional.metadata is not None) + optional.index + counts
        self._container = ContainerWriter(path, count)
        self._rows = 0
        try:
            if optional.metadata is not None:
                self._container.add("META", optional.metadata)
            self._container.add("QUAN", q.build())
            if "LEVL" in self._head:
                self._container.add("LEVL", self._head.pop("LEVL"))
            self._codes = self._container.section("CODE")
            self._codes.__enter__()
        except BaseException:
            self._container.abort()
            raise

    def write(self, tile: NDArray[np.float32]) -> None:
        """Quantize and write one tile."""
        for kind, part in self._encoder.encode(tile, self._rows).items():
            if kind == "CODE":
                self._codes.write(part)
            else:
                self._row_parts[kind] += np.ascontiguousarray(part).tobytes()
        self._rows += len(tile)

    def finish(self, vocabulary: VocabularyBuilder, counts: array[int] | None) -> None:
        """Write what is left and publish the file."""
        container = self._container
        self._codes.__exit__(None)
        for kind in ("SCAL", "OFFS"):
            if kind in self._row_parts:
                container.add(kind, bytes(self._row_parts[kind]))
            elif kind in self._head:
                container.add(kind, self._head[kind])
        container.add("TOKO", vocabulary.offsets())
        container.add("TOKB", vocabulary.data())
        if self._optional.index:
            if len(vocabulary) * 3 // 2 + 1 >= MAX_INDEXED:
                raise LimitError("limit.index", f"{len(vocabulary):,} tokens are too many for an index: index=False")
            container.add("INDX", vocabulary.index())
        if counts is not None:
            container.add("CNTS", np.frombuffer(counts, np.uint64).astype("<u8"))
        container.finish(
            rows=self._rows,
            tokens=len(vocabulary),
            dim=self._dim,
            required_features=vocabulary.required_features,
        )

    def abort(self) -> None:
        self._container.abort()
