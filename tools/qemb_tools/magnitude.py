"""``.magnitude`` files (pymagnitude): an SQLite database of unit vectors as integers, read with Python's sqlite3.

The table ``magnitude`` has a column ``key``, one for each value (``dim_0``, ...: the value times ten to the precision,
rounded) and the vector's length. Vectors are read as the library gives them by default, with length 1;
``--dataset original`` multiplies them by their lengths.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import qemb
from qemb_tools.interface import Batch, ReadOptions, Source, UsageError, batch_rows, source_error
from qemb_tools.matrix import check_dim, float32
from qemb_tools.stream import check_file
from qemb_tools.tokens import to_utf8

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

LONGEST_VALUE: Final = 1 << 20
"""Bytes of a row."""
MOST_DIGITS: Final = 30
_DATASETS: Final = ("unit", "original")


def sniff(head: bytes, path: str) -> bool:  # noqa: ARG001 - every format's sniff takes both
    """Whether this is an SQLite database with pymagnitude's tables."""
    return head.startswith(b"SQLite format 3\0") and b"magnitude_format" in head


def _import() -> Any:  # noqa: ANN401 - a module
    try:
        import sqlite3
    except ImportError:
        raise UsageError("this needs Python's sqlite3, which this Python was built without") from None
    return sqlite3


def _check_table(database: sqlite3.Connection, table: str) -> None:
    """Raise ValueError unless this is a table that is stored: others compute their rows, without end if they like."""
    found = database.execute("SELECT type, rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchall()
    columns = database.execute("SELECT hidden FROM pragma_table_xinfo(?)", (table,)).fetchall()
    if len(found) != 1 or found[0][0] != b"table" or not found[0][1] or any(hidden for (hidden,) in columns):
        raise ValueError(f"{table} is not a table")


class MagnitudeSource(Source):
    """The rows of a ``.magnitude`` file.

    Raises
    ------
    UsageError
        ``--dataset`` is neither of its two.
    qemb.InvalidError
        The database is damaged, or holds something else.
    """

    def __init__(self, path: str, options: ReadOptions) -> None:
        super().__init__()
        check_file(path)
        if options.dataset not in (None, *_DATASETS):
            raise UsageError(f"{path} has vectors of length 1 and as they were: --dataset unit or --dataset original")
        self._path, self._options = path, options
        self._size = os.path.getsize(path)
        self._original = options.dataset == "original"
        with self._reading(), ExitStack() as stack:
            # read-only and immutable: nothing is created beside the file
            database = _import().connect(f"{Path(path).resolve().as_uri()}?mode=ro&immutable=1", uri=True)
            stack.callback(database.close)
            database.text_factory = bytes
            database.execute("PRAGMA trusted_schema = OFF")
            database.setlimit(_import().SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
            for table in ("magnitude", "magnitude_format"):
                _check_table(database, table)
            settings = dict(database.execute("SELECT key, value FROM magnitude_format WHERE key != 'entropy'"))
            self.dim, precision, self.expected = (int(settings[name]) for name in (b"dim", b"precision", b"size"))
            if not 0 <= precision <= MOST_DIGITS:
                raise ValueError(f"values of {precision} digits")
            self._one = 10.0**precision
            check_dim(self.dim, path)
            self._database, self._stack = database, stack.pop_all()
        if options.dataset is None:
            self.notes.append("lengths left out: the vectors have length 1 (--dataset original multiplies them)")
        if settings.get(b"subword"):
            self.notes.append("subwords were left out: the file has them as text to search, not as vectors")

    def close(self) -> None:
        """Release the file."""
        self._stack.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Put what SQLite raises on a damaged file into one line."""
        sqlite3 = _import()
        try:
            yield
        except qemb.QembError:
            raise
        except (sqlite3.Error, KeyError, ValueError, TypeError, OverflowError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise source_error(f"SQLite cannot read the table ({reason}); check the file", self._path) from None

    def batches(self) -> Iterator[Batch]:
        """Yield the rows in the order in which they were stored."""
        columns = ", ".join(["key", *(f"dim_{i}" for i in range(self.dim)), "magnitude"])
        with self._reading():
            cursor = self._database.execute(f"SELECT {columns} FROM magnitude ORDER BY rowid")  # noqa: S608 - numbers
        start = 0
        with closing(cursor):
            while rows := self._fetch(cursor):
                with self._reading():
                    values = np.array([row[1:] for row in rows], np.float64)
                vectors = values[:, :-1] / self._one
                if self._original:
                    vectors *= values[:, -1:]
                keys = [row[0] if isinstance(row[0], bytes) else str(row[0]).encode() for row in rows]
                yield Batch(to_utf8(keys, self._options, partial(self._place, start)), float32(vectors))
                start += len(rows)
                # pages of a database may be used again and again
                if start * self.dim > self._size:
                    raise source_error("the table has more rows than fit into the file; fetch it again", self._path)

    def _fetch(self, cursor: sqlite3.Cursor) -> list[Any]:
        with self._reading():
            return cursor.fetchmany(batch_rows(self.dim + 2))

    def _place(self, start: int, row: int) -> str:
        return f"{self._path}, row {start + row:,}"
