"""A table as the tasks see it: its words, folded or not, and their vectors; any file as such a table."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import qemb
from qemb_tools.convert import convert
from qemb_tools.formats import recognize
from qemb_tools.interface import naming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    Take = Callable[[NDArray[np.int64]], NDArray[np.float32]]

RESTRICT = 300_000
"""Words of a table that sets of words are looked up in, as in gensim: files have the frequent ones first."""


class Vocabulary:
    """Words and their rows, where words that differ in case only may count as one.

    Parameters
    ----------
    words : iterable of str
        In the order of their rows.
    fold : bool
        Whether case is passed over, by `str.upper` as in gensim; the first of several words stands for them.
    """

    def __init__(self, words: Iterable[str], *, fold: bool = True) -> None:
        self._fold: Callable[[str], str] = str.upper if fold else str
        self._rows: dict[str, int] = {}
        self._firsts: dict[int, int] = {}
        self._variants: dict[int, list[int]] = {}
        self._count = 0
        for row, word in enumerate(words):
            first = self._rows.setdefault(self._fold(word), row)
            if first != row:
                self._firsts[row] = first
                self._variants.setdefault(first, []).append(row)
            self._count = row + 1

    def __len__(self) -> int:
        """Number of rows, those of words that count as one included."""
        return self._count

    def row(self, word: str) -> int:
        """Row of a word; -1 where there is none."""
        return self._rows.get(self._fold(word), -1)

    def first(self, row: int) -> int:
        """The first row of the word that stands in this one."""
        return self._firsts.get(row, row)

    def same(self, row: int) -> list[int]:
        """All rows of the word that has this one for its first."""
        return [row, *self._variants.get(row, ())]


@dataclass(frozen=True, slots=True)
class Table:
    """A vocabulary, and what gives the vectors of row numbers, float32 of shape (n, dim)."""

    words: Vocabulary
    take: Take

    def find(self, words: Iterable[str]) -> tuple[dict[str, int], list[str]]:
        """Rows of the words that are there, and the words that are not, each once, in order."""
        rows = {word: self.words.row(word) for word in words}
        return {word: row for word, row in rows.items() if row >= 0}, [word for word, row in rows.items() if row < 0]


@contextmanager
def as_qemb(path: str) -> Iterator[str]:
    """The path of a ``.qemb`` file with what a file of any format holds: its own, or a copy in float32 for a while.

    Raises
    ------
    UsageError, qemb.QembError
        As `qemb_tools.formats.open_source` does.
    """
    if recognize(path).name == "qemb":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = str(Path(folder, "copy.qemb"))
        convert(path, copy, scheme="float32")
        yield copy


@contextmanager
def open_table(path: str, *, restrict: int | None = RESTRICT, fold: bool = True) -> Iterator[Table]:
    """Open a ``.qemb`` file as a table of its first ``restrict`` words (all for None)."""
    with naming(path), qemb.open(path) as embedding:
        yield Table(Vocabulary(embedding.tokens[:restrict], fold=fold), embedding.rows)
