"""The writer's face: a whole table at once, or rows in batches with bounded memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from qemb.encode.auto import choose
from qemb.encode.base import TILE_ROWS, MisfitError, need_finite
from qemb.encode.options import EncoderOptions, Options, make_encoder
from qemb.errors import InvalidError
from qemb.rows import RowWriter, as_array
from qemb.table import Spool

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from qemb.encode.base import Encoder
    from qemb.rows import Token
    from qemb.subword import Subwords
    from qemb.table import TableWriter


class Writer(RowWriter):
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
    subwords : Subwords, optional
        How words that are no tokens are cut into n-grams, whose rows `append_buckets` takes.
    **options
        ``bits``, ``scheme``, ``effort``, ``scale``, ``block``, ``scale_dtype``, ``offset``, ``clip``, ``rotate``,
        ``window``, ``sub_dim``, ``compress``, ``max_bytes``, ``min_recall``: as for `write`.

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
        subwords: Subwords | None = None,
        **options: Unpack[EncoderOptions],
    ) -> None:
        super().__init__(path, dim=dim, metadata=metadata, index=index, duplicates=duplicates, subwords=subwords)
        self.reason: str | None = None
        """Why a scheme was chosen, where that was left to the writer; known once it is closed."""
        self._options = Options(**options)
        self._budget = self._options.budget
        self._progress: Callable[[int], None] | None = None
        if self._budget is not None:
            # the scheme is chosen when all rows are there; whether the other options go together shows now
            self._make_encoder(replace(self._options, scheme=None, bits=4, max_bytes=None, min_recall=None))
            self._encoder: Encoder = make_encoder(dim, Options(scheme="exact"))
        else:
            self._encoder = self._make_encoder(self._options)
        self._pending: list[NDArray[np.float32]] = []
        self._pending_rows = 0
        self._spool: Spool | None = None
        if self._encoder.needs_pass:
            self._spool = Spool(self.path)

    def _make_encoder(self, options: Options) -> Encoder:
        encoder = make_encoder(self.dim, options)
        if options.compress is None:
            self._compress = "rows" if encoder.compress_rows else "none"
        else:
            self._compress = "all" if options.compress else "none"
        return encoder

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
            row. The writer is of no more use then, and nothing is written.
        """
        with self._taking():
            matrix = _as_matrix(vectors, self.dim, self.rows)
            kept = self._take_tokens(tokens, counts, len(matrix))
            if kept is not None:
                matrix = matrix[kept]
            self._take_rows(matrix)

    def append_buckets(self, vectors: ArrayLike) -> None:
        """Append rows of subword buckets, after those of all tokens: bucket 0 first.

        Parameters
        ----------
        vectors : array of shape (n, dim)
            Floats; float64 is rounded to float32.

        Raises
        ------
        InvalidError
            As `append`; or the writer was made without ``subwords``.
        """
        with self._taking():
            matrix = _as_matrix(vectors, self.dim, self.rows)
            self._take_buckets(len(matrix))
            self._take_rows(matrix)

    def close(self, progress: Callable[[int], None] | None = None) -> None:
        """Finish and publish the file. Harmless when called twice.

        Parameters
        ----------
        progress : callable, optional
            Is told the number of rows of each tile that is encoded here; schemes that have to see all rows first
            encode them when the writer is closed.

        Raises
        ------
        InvalidError
            A value that the scheme cannot hold; or no scheme keeps within ``max_bytes`` and ``min_recall``.
        """
        self._progress = progress
        super().close()

    def _finish_rows(self) -> TableWriter:
        self._flush(everything=True)
        if self._spool is not None:
            self._encode_spool(self._spool)
        self._table = self._table or self._begin(self._encoder)
        return self._table

    def _release(self) -> None:
        super()._release()
        if self._spool is not None:
            self._spool.close()

    def _take_rows(self, matrix: NDArray[np.float32]) -> None:
        self._pending.append(matrix)
        self._pending_rows += len(matrix)
        if self._pending_rows >= TILE_ROWS:
            self._flush(everything=False)
        elif self._pending:
            self._pending[-1] = matrix.copy()  # the caller may fill the same array again

    def _flush(self, *, everything: bool) -> None:
        """Pass whole tiles on, whatever batches they came in: tiles decide sums, and so the file."""
        pending = self._pending or [np.empty((0, self.dim), np.float32)]
        rows = pending[0] if len(pending) == 1 else np.concatenate(pending)
        stop = len(rows) if everything else len(rows) // TILE_ROWS * TILE_ROWS
        for low in range(0, stop, TILE_ROWS):
            tile = rows[low : min(low + TILE_ROWS, stop)]
            if self._encoder.needs_finite:
                # here, and not when it is encoded: one NaN would make every row's distance from the mean NaN
                need_finite(tile, self.rows - len(rows) + low, "this value cannot be quantized")
            if self._spool is not None:
                self._spool.write(tile)
            else:
                self._table = self._table or self._begin(self._encoder)
                self._encode(tile, self._table)
        rest = rows[stop:].copy()
        self._pending = [rest] if len(rest) else []
        self._pending_rows = len(rest)

    def _encode_spool(self, spool: Spool) -> None:
        """Encode every row of the spool, and start again where what was chosen turns out too narrow."""

        def tiles() -> Iterator[NDArray[np.float32]]:
            for data in spool.pieces(TILE_ROWS * self.dim * 4):
                yield np.frombuffer(data, np.float32).reshape(-1, self.dim)

        if self._budget is not None and self.rows:
            open_options = replace(self._options, scheme=None, max_bytes=None, min_recall=None)
            choice = choose(tiles, self.rows, self._fixed_bytes(), open_options, self._budget)
            self.reason = choice.reason
            self._encoder = self._make_encoder(choice.options)
        while True:
            try:
                self._encoder.fit(tiles)
                self._table = self._begin(self._encoder)
                for tile in tiles():
                    self._encode(tile, self._table)
                    if self._progress is not None:
                        self._progress(len(tile))
            except MisfitError:
                if self._table is not None:
                    self._table.abort()
                if not self._encoder.widen():
                    raise
            else:
                return

    def _encode(self, tile: NDArray[np.float32], table: TableWriter) -> None:
        table.write(self._encoder.encode(tile, table.rows), len(tile))


def write(
    path: str | os.PathLike[str],
    tokens: Sequence[Token],
    matrix: ArrayLike,
    *,
    counts: ArrayLike | None = None,
    metadata: Mapping[str, Any] | None = None,
    index: bool = True,
    subwords: Subwords | None = None,
    buckets: ArrayLike | None = None,
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
        Bits a value; 8 where neither bits nor scheme is given. 8 and 16: linear by row. 1 to 7: a trellis. With
        ``compress``, bits on disk.
    scheme : str, optional
        ``linear`` (1 to 8 and 16 bits), ``codebook`` (1 to 7), ``trellis`` (1 to 7), ``product`` (1 to 12, trained
        with faiss), ``float32``, ``float16``, ``bfloat16``, or ``exact``: every bit comes back.
    effort : int, optional
        How long to look for better codes: 0, a scalar codebook, written at once; 1 to 9, a trellis of 2^6 to 2^10
        registers, one to three scales tried for each row; 5 where it is left out.
    scale : str, optional
        Which values share a scale: ``row`` (the default), ``table``, ``column`` or ``block``; ``product`` may do
        without, ``none``.
    block : int, optional
        Columns that share a scale; goes with ``scale="block"``.
    scale_dtype : str, optional
        ``float32`` (linear) or ``float16`` (the others, where all scales fit).
    offset : str, optional
        ``none`` (linear), or ``mean`` (the others): the mean vector is taken off before quantizing.
    clip : bool, optional
        ``linear`` by row or block: the scale is that of least squared error, which may cut off the largest values, and
        not that of the largest value. The others always choose so.
    rotate : bool, optional
        Whether rows are rotated before quantizing. Left out, they are where that takes off a tenth of the error
        (codebook, trellis), as it does where some columns stand out; reading them costs several times more then.
    window : int, optional
        Bits of a trellis's state, bits + 6 to 16; ``effort`` chooses it where it is left out.
    sub_dim : int, optional
        ``product``: values that share a code, which has ``bits * sub_dim`` bits, 12 at most. Codes of 8 or 9 bits where
        it is left out: 8 values at 1 bit, 4 at 2, 3 at 3, 2 at 4.
    compress : bool, optional
        Whether to store sections in zstd frames, the vocabulary and the index too; each only where that saves 3% of
        it at least. With ``bits`` of 2 to 8 and no option besides, codes are made for frames, and bits are those on
        disk: the best quality for files that are shipped.
    max_bytes, min_recall : int, float, optional
        In place of bits and scheme (or with ``scheme="auto"``): the best that makes a file of at most so many bytes;
        the smallest in which so large a share of the ten nearest rows by cosine is found again. Widths are tried on
        20,000 rows; `Writer.reason` says what was found. ``scheme="auto"`` alone asks for a recall of 0.95.
    counts : array of shape (n,), optional
        How often each token occurs in the training text.
    metadata : mapping, optional
        What `json.dumps` takes; at most a mebibyte.
    index : bool
        Whether to store the token index.
    subwords : Subwords, optional
        How words that are no tokens are cut into n-grams.
    buckets : array of shape (m, dim), optional
        The rows of the n-grams; goes with ``subwords``.

    Raises
    ------
    InvalidError
        Options that do not go together, shapes that do not agree, a value that is not finite, a token that is too
        long or comes twice; the message names the row. No file is written.
    ImportError
        The scheme needs a package that is not installed; the message names the extra.
    OSError
        The file cannot be created.
    """
    vectors = as_array(matrix, "vectors")
    shape = vectors.shape
    if len(shape) != 2:
        raise InvalidError("invalid.shape", f"the matrix has {len(shape)} dimensions; it has 2: rows and columns")
    with Writer(path, dim=shape[1], metadata=metadata, index=index, subwords=subwords, **options) as writer:
        writer.append(tokens, vectors, counts)
        if buckets is not None:
            writer.append_buckets(buckets)


# --- inside ---------------------------------------------------------------------------------------------------------


def _as_matrix(vectors: ArrayLike, dim: int, first: int) -> NDArray[np.float32]:
    """Vectors as float32; ``first`` is the number of the first row, for messages."""
    matrix = as_array(vectors, "vectors")
    if matrix.ndim != 2 or matrix.shape[1] != dim:
        raise InvalidError("invalid.shape", f"vectors of shape {matrix.shape}; (rows, {dim}) belongs there")
    if matrix.dtype.kind not in "fiub":
        raise InvalidError("invalid.value", f"vectors of dtype {matrix.dtype}; floats belong there")
    with np.errstate(over="ignore"):
        narrow: NDArray[np.float32] = matrix.astype(np.float32, copy=False)
    if matrix.dtype.kind == "f" and matrix.dtype.itemsize > 4:
        lost = np.isinf(narrow) & np.isfinite(matrix)
        if lost.any():
            row, column = np.argwhere(lost)[0]
            raise InvalidError(
                "invalid.value",
                f"{matrix[row, column]} is past the largest float32: scale the table down",
                where=f"row {first + int(row)}, column {int(column)}",
            )
    return narrow
