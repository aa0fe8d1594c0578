"""Writing a file row by row: tokens and counts, sections, publishing. Where codes come from is for others to say."""

from __future__ import annotations

import contextlib
import os
from array import array
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from qemb.errors import InvalidError
from qemb.frames import FRAME_BYTES, literal_size
from qemb.layout import MAX_DIM
from qemb.metadata import encode_metadata
from qemb.table import Extras, TableWriter
from qemb.vocabulary import VocabularyBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from numpy.typing import ArrayLike, NDArray

    from qemb.subword import Subwords
    from qemb.table import Compress, TableSource

Token = str | bytes


class RowWriter:
    """A file being written row by row: the tokens and counts of its rows, and how it is published.

    What is known of rows besides, and how it becomes codes, is for the subclass: `Writer` takes floats,
    `qemb.CodeWriter` codes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        dim: int,
        metadata: Mapping[str, Any] | None,
        index: bool,
        duplicates: Literal["error", "first"],
        subwords: Subwords | None = None,
    ) -> None:
        if not 1 <= dim <= MAX_DIM:
            raise InvalidError("invalid.dim", f"dim is {dim:,}; it is 1 to {MAX_DIM:,}")
        if duplicates not in ("error", "first"):
            raise InvalidError("invalid.option", f"duplicates={duplicates!r} does not exist; there are error, first")
        self.path = os.fspath(path)
        self.dim = dim
        self.duplicates = 0
        """Rows left out because their token had come before."""
        self._metadata = encode_metadata(metadata)
        self._index = index
        self._subwords = subwords
        self._buckets = 0
        self._compress: Compress = "none"
        self._duplicates_allowed = duplicates == "first"
        self._vocabulary = VocabularyBuilder()
        self._counts: array[int] | None = None
        self._closed = False
        self._failed = False
        self._table: TableWriter | None = None

    @property
    def rows(self) -> int:
        """Rows taken so far, subword buckets too."""
        return len(self._vocabulary) + self._buckets

    def close(self) -> None:
        """Finish and publish the file. Harmless when called twice.

        Raises
        ------
        ValueError
            A batch was refused before, so that there is nothing to publish.
        """
        if self._failed:
            raise ValueError("a batch was refused, and nothing is written: begin again without it")
        if self._closed:
            return
        try:
            self._finish_rows().finish(self._vocabulary, self._counts)
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _finish_rows(self) -> TableWriter:
        """Write what is left of the rows; the table that holds them all."""
        raise NotImplementedError

    def _begin(self, source: TableSource) -> TableWriter:
        extras = Extras(self._metadata, self._index, self._counts is not None, self._subwords, self._compress)
        return TableWriter(self.path, self.dim, source, extras)

    def _fixed_bytes(self) -> int:
        """Bytes of the file that hold neither codes nor what makes vectors of them: at most so many."""
        vocabulary = self._vocabulary
        parts = [vocabulary.offsets().tobytes(), vocabulary.data().tobytes(), self._metadata or b""]
        if self._index:
            parts.append(vocabulary.index().tobytes())
        if self._counts is not None:
            parts.append(self._counts.tobytes())
        if self._compress == "all":
            return sum(literal_size(part, FRAME_BYTES) for part in parts)
        return sum(map(len, parts))

    @contextlib.contextmanager
    def _taking(self) -> Iterator[None]:
        """Take a batch. One that fails half way leaves tokens without rows, so that the writer cannot go on."""
        if self._closed:
            raise ValueError("the writer is closed")
        try:
            yield
        except BaseException:
            self.abort()
            self._failed = True
            raise

    def _take_tokens(self, tokens: Sequence[Token], counts: ArrayLike | None, length: int) -> list[int] | None:
        """Take tokens and counts of a batch of ``length`` rows; which rows are to be kept, or None where all are."""
        if len(tokens) != length:
            raise InvalidError("invalid.shape", f"{len(tokens):,} tokens for {length:,} vectors")
        first = self.rows
        if self._buckets and length:
            raise InvalidError(
                "invalid.shape", "subword buckets come after the rows of all tokens", where=f"row {first}"
            )
        kept = self._new_tokens(tokens, first)
        self._take_counts(counts, length, first, kept)
        return kept

    def _take_buckets(self, length: int) -> None:
        """Take so many rows without tokens."""
        if self._subwords is None:
            raise InvalidError("invalid.option", "subword buckets need subwords=Subwords(min_n, max_n)")
        self._buckets += length

    def _new_tokens(self, tokens: Sequence[Token], first: int) -> list[int] | None:
        """Take the tokens of a batch; positions of those that are new, or None where all are."""
        if self._vocabulary.extend(tokens):
            return None
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
        numbers = as_array(counts, "counts")
        if numbers.shape != (length,):
            raise InvalidError("invalid.shape", f"counts of shape {numbers.shape} for {length:,} rows")
        if numbers.size and (numbers.dtype.kind not in "iu" or int(numbers.min()) < 0):
            raise InvalidError("invalid.value", "counts are integers, 0 or more", where=f"row {first}")
        if kept is not None:
            numbers = numbers[kept]
        self._counts.frombytes(numbers.astype(np.uint64).tobytes())


def as_array(values: ArrayLike, name: str) -> NDArray[Any]:
    """Any array-like as an array; ``name`` is for messages.

    Raises
    ------
    InvalidError
        ``invalid.shape``: rows of different lengths.
    """
    try:
        return np.asarray(values)
    except ValueError as error:
        raise InvalidError("invalid.shape", f"{name} of different lengths: {error}") from error
