"""What sinks have in common that write a table only when all of it is there."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qemb_tools.interface import Batch


class Columns:
    """Tokens and counts of the rows so far, in memory.

    Attributes
    ----------
    tokens : list of bytes
        One a row.
    """

    def __init__(self) -> None:
        self.tokens: list[bytes] = []
        self._counts: list[NDArray[np.uint64]] = []
        self._counted = False

    def append(self, batch: Batch) -> None:
        """Take the rows of a batch."""
        self.tokens += batch.tokens
        self._counted |= batch.counts is not None
        self._counts.append(np.zeros(len(batch.tokens), np.uint64) if batch.counts is None else batch.counts)

    @property
    def counts(self) -> NDArray[np.uint64] | None:
        """One a row, 0 where a batch had none; None where none had."""
        return np.concatenate(self._counts) if self._counted else None


class Spool(Columns):
    """Columns, and the vectors in a file without a name, which goes with the process whatever happens to it.

    Parameters
    ----------
    path : str
        The file to write in the end; the spool is in its folder, where there has to be room for it.
    dim : int
        Values a row.
    """

    def __init__(self, path: str, dim: int) -> None:
        super().__init__()
        self.file = tempfile.TemporaryFile(dir=os.path.dirname(path) or ".")  # noqa: SIM115 - `close` closes it
        self._dim = dim

    def append(self, batch: Batch) -> None:
        """Take the rows of a batch."""
        super().append(batch)
        self.file.write(np.ascontiguousarray(batch.vectors, "<f4").data)

    def vectors(self) -> NDArray[np.float32]:
        """All vectors, mapped: float32, shape (rows, dim)."""
        self.file.flush()
        shape = len(self.tokens), self._dim
        return np.asarray(np.memmap(self.file, "<f4", "r", shape=shape)) if self.tokens else np.empty(shape, np.float32)

    def close(self) -> None:
        """Throw the vectors away."""
        self.file.close()
