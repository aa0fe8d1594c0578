"""What word2vec text and ``.bin`` have in common when written: a header line with the number of rows, then rows."""

from __future__ import annotations

import shutil
from abc import abstractmethod
from typing import TYPE_CHECKING

from qemb.atomic import AtomicFile
from qemb_tools.interface import Batch, Sink

if TYPE_CHECKING:
    from collections.abc import Iterator


class RowFile(Sink):
    """Rows behind a header that may be known only at the end; ``encode`` gives the bytes of a batch.

    Parameters
    ----------
    target : AtomicFile
        Where the table appears once it is complete.
    dim : int
        Values a row.
    rows : int or None
        Number of rows as far as it is known; the header is right in any case.
    header : bool
        False for files without one.
    """

    def __init__(self, target: AtomicFile, dim: int, rows: int | None, *, header: bool = True) -> None:
        self.notes = []
        self.written = 0
        self._target = target
        self._dim = dim
        self._header = header
        self._head = self._header_line(rows or 0)
        self._target.file.write(self._head)

    @abstractmethod
    def encode(self, batch: Batch) -> Iterator[bytes]:
        """Yield the bytes of each row; raises `qemb.InvalidError` for one that the format cannot hold."""

    def append(self, batch: Batch) -> None:
        """Write the rows of a batch."""
        self._target.file.writelines(self.encode(batch))
        self.written += len(batch.tokens)

    def _header_line(self, rows: int) -> bytes:
        return b"%d %d\n" % (rows, self._dim) if self._header else b""

    def finish(self) -> None:
        """Put the right header before the rows, and publish the file."""
        head = self._header_line(self.written)
        file = self._target.file
        if len(head) == len(self._head):
            file.seek(0)
            file.write(head)
            self._target.commit()
            return
        # a header of another length does not fit over the first one: the rows move to a new file behind it
        with AtomicFile(self._target.path) as final:
            final.file.write(head)
            file.seek(len(self._head))
            shutil.copyfileobj(file, final.file, 1 << 20)
            self._target.abort()

    def abort(self) -> None:
        """Throw away what was written."""
        self._target.abort()
