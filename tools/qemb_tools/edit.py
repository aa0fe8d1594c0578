"""Changes made on the way from one file to another: which rows, under which tokens, in which form.

They are made in this order, whatever the order of the options: rows are chosen by the tokens of the source, tokens are
renamed, vectors truncated, rows of the same token merged, vectors normalized.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from qemb.search import unit
from qemb_tools.interface import Batch, Source, UsageError, batch_rows
from qemb_tools.matrix import float32
from qemb_tools.stream import open_bytes
from qemb_tools.tokens import show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from qemb_tools.interface import Choose


@dataclass(frozen=True, slots=True)
class Edits:
    """What is changed; by default nothing.

    Attributes
    ----------
    words : frozenset of bytes, optional
        Only rows with these tokens are taken.
    pattern : re.Pattern, optional
        Only rows are taken in whose token this is found.
    top : int, optional
        Only so many different tokens are taken, the first ones.
    rename : mapping of bytes to bytes, optional
        Tokens to be called otherwise.
    replace : (re.Pattern, str), optional
        What is found in a token becomes this, as `re.sub` does it.
    lower : bool
        Tokens become lower case.
    truncate : int, optional
        Only so many values of each vector are taken, the first ones.
    merge : "first" or "mean"
        What becomes of rows of the same token: the first stays; or one row stands for all, their mean, weighted by
        counts where the source has them, and their counts are added.
    normalize : bool
        Vectors become of length 1; those of zeros stay.
    """

    words: frozenset[bytes] | None = None
    pattern: re.Pattern[str] | None = None
    top: int | None = None
    rename: dict[bytes, bytes] | None = None
    replace: tuple[re.Pattern[str], str] | None = None
    lower: bool = False
    truncate: int | None = None
    merge: Literal["first", "mean"] = "first"
    normalize: bool = False

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise UsageError(f"--top {self.top} takes no rows; 1 is the least")
        if self.truncate is not None and self.truncate < 1:
            raise UsageError(f"--truncate {self.truncate} leaves no values; 1 is the least")

    def __bool__(self) -> bool:
        """Whether anything is changed."""
        return any(getattr(self, field.name) != field.default for field in fields(self))

    @property
    def chooses(self) -> bool:
        """Whether rows are left out."""
        return self.words is not None or self.pattern is not None or self.top is not None

    @property
    def keeps_values(self) -> bool:
        """Whether the values of the rows that are taken stay as they are."""
        return self.truncate is None and self.merge == "first" and not self.normalize

    @property
    def renames(self) -> bool:
        """Whether tokens are called otherwise afterwards."""
        return self.rename is not None or self.replace is not None or self.lower

    def renamed(self, token: bytes) -> bytes:
        """What a token is called afterwards."""
        if self.rename is not None:
            token = self.rename.get(token, token)
        if self.replace is None and not self.lower:
            return token
        text = token.decode("utf-8", "surrogateescape")
        if self.replace is not None:
            text = self.replace[0].sub(self.replace[1], text)
        return (text.lower() if self.lower else text).encode("utf-8", "surrogateescape")


class _Chooser:
    """Says of the tokens of successive rows which are taken, and what they are called."""

    def __init__(self, edits: Edits) -> None:
        self._edits = edits
        self._missing = set(edits.words or ())
        self._taken: set[bytes] = set()

    @property
    def full(self) -> bool:
        """Whether no further tokens are taken."""
        return len(self._taken) == self._edits.top

    def __call__(self, tokens: Sequence[bytes]) -> tuple[list[int], list[bytes]]:
        """Positions of those that are taken, and their new names."""
        edits = self._edits
        self._missing.difference_update(tokens)
        rows, names = [], []
        for row, token in enumerate(tokens):
            if not self._wanted(token):
                continue
            name = edits.renamed(token)
            if edits.top is not None and name not in self._taken:
                if self.full:
                    continue
                self._taken.add(name)
            rows.append(row)
            names.append(name)
        return rows, names

    def _wanted(self, token: bytes) -> bool:
        edits = self._edits
        if edits.words is not None and token not in edits.words:
            return False
        return edits.pattern is None or edits.pattern.search(token.decode("utf-8", "surrogateescape")) is not None

    def notes(self) -> list[str]:
        """What was asked for and is not there, once all tokens were seen."""
        if not self._missing or self.full:
            return []
        some = ", ".join(map(show, sorted(self._missing)[:3]))
        return [f"words asked for that the source does not have: {len(self._missing):,}, such as {some}"]


def nothing_left() -> UsageError:
    """The error where no row is taken."""
    return UsageError("none of the rows is left; check --words and --filter")


class EditedSource(Source):
    """A source with changes made to its rows.

    Raises
    ------
    UsageError
        There are not as many values in a vector as are to be kept.
    """

    def __init__(self, source: Source, edits: Edits) -> None:
        super().__init__()
        if edits.truncate is not None and edits.truncate > source.dim:
            raise UsageError(f"--truncate {edits.truncate}: the vectors have {source.dim} values")
        self._source = source
        self._edits = edits
        self.dim = edits.truncate or source.dim
        self.rows = None if edits.chooses or edits.merge == "mean" else source.rows
        self.expected = None if edits.chooses else source.expected
        if source.subwords is not None and not edits.renames and edits.merge == "first" and not edits.normalize:
            self.subwords = source.subwords
        elif source.subwords is not None:
            source.notes.append("subword buckets were left out: what is made of them would not be that of the words")
        self.metadata = source.metadata
        self.notes = source.notes
        if edits.keeps_values:
            self.kept = source.kept
        elif source.kept is not None and not source.kept.options:
            self.notes.append("the values are quantized again, since they are changed; --bits and --scheme say how")

    def close(self) -> None:
        """Release the file."""
        self._source.close()

    def batches(self) -> Iterator[Batch]:
        """Yield what is left of the rows, in order."""
        edits = self._edits
        batches = self._chosen()
        if edits.truncate is not None:
            batches = (Batch(b.tokens, b.vectors[:, : edits.truncate], b.counts) for b in batches)
        if edits.merge == "mean":
            batches = self._merged(batches)
        if edits.normalize:
            batches = (Batch(b.tokens, float32(unit(b.vectors)), b.counts) for b in batches)
        return batches

    def keep(
        self,
        path: str,
        metadata: dict[str, Any],
        *,
        compress: bool | None,
        progress: Callable[[int], object],
        choose: Choose | None = None,
    ) -> int:
        """Write the codes of the rows that are taken, as they are."""
        if choose is not None:
            raise AssertionError("edits are not edited again")
        chooser = _Chooser(self._edits)

        def chosen(tokens: Sequence[bytes]) -> tuple[list[int], list[bytes]]:
            rows, names = chooser(tokens)
            if not rows:
                raise nothing_left()
            self.rows = len(rows)
            return rows, names

        duplicates = self._source.keep(path, metadata, compress=compress, progress=progress, choose=chosen)
        self.notes += chooser.notes()
        return duplicates

    def buckets(self) -> Iterator[NDArray[np.float32]]:
        """Yield the rows of subword buckets."""
        return (vectors[:, : self.dim] for vectors in self._source.buckets())

    def _chosen(self) -> Iterator[Batch]:
        """The rows that are taken, under their new tokens."""
        edits = self._edits
        chooser = _Chooser(edits)
        for batch in self._source.batches():
            rows, tokens = chooser(batch.tokens)
            if len(rows) == len(batch.tokens):
                yield Batch(tokens, batch.vectors, batch.counts)
            elif rows:
                yield Batch(tokens, batch.vectors[rows], None if batch.counts is None else batch.counts[rows])
            if chooser.full and edits.merge == "first":
                break  # what follows can only be left out
        self.notes += chooser.notes()

    def _merged(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """One row for each token, in order of first appearance. Rows wait in an unnamed temporary file meanwhile."""
        places: dict[bytes, int] = {}
        counts: list[int] = []
        sums: dict[int, NDArray[np.float64]] = {}
        weights: dict[int, int] = {}
        counted = False
        row_bytes = 4 * self.dim
        with tempfile.TemporaryFile() as spool:
            for batch in batches:
                counted = batch.counts is not None
                vectors = np.ascontiguousarray(batch.vectors, np.float32)
                for row, token in enumerate(batch.tokens):
                    weight = 1 if batch.counts is None else int(batch.counts[row])
                    place = places.setdefault(token, len(counts))
                    if place == len(counts):
                        counts.append(weight)
                        spool.write(vectors[row])
                        continue
                    if place not in sums:
                        spool.seek(place * row_bytes)
                        first = np.frombuffer(spool.read(row_bytes), np.float32).astype(np.float64)
                        spool.seek(0, 2)
                        sums[place], weights[place] = first * max(1, counts[place]), max(1, counts[place])
                    sums[place] += vectors[row].astype(np.float64) * max(1, weight)
                    weights[place] += max(1, weight)
                    counts[place] += weight
            tokens = list(places)
            spool.seek(0)
            step = batch_rows(self.dim)
            for start in range(0, len(tokens), step):
                part = tokens[start : start + step]
                rows = np.frombuffer(spool.read(len(part) * row_bytes), np.float32).reshape(len(part), -1).copy()
                for place in range(start, start + len(part)):
                    if place in sums:
                        rows[place - start] = sums[place] / weights[place]
                yield Batch(part, rows, np.array(counts[start : start + step], np.uint64) if counted else None)
        if sums:
            self.notes.append(f"tokens whose rows were merged into their mean: {len(sums):,}")


def read_words(path: str) -> frozenset[bytes]:
    """Words of a file, one a line."""
    return frozenset(line for line in _lines(path) if line)


def read_renames(path: str) -> dict[bytes, bytes]:
    """Pairs of a file, the token and its new name with a tab between, one a line.

    Raises
    ------
    UsageError
        A line is no pair.
    """
    pairs = {}
    for number, line in enumerate(_lines(path), 1):
        if not line:
            continue
        old, tab, new = line.partition(b"\t")
        if not tab or b"\t" in new:
            raise UsageError(f"{path}, line {number}: a token, a tab and its new name belong there")
        pairs[old] = new
    return pairs


def compile_pattern(text: str) -> re.Pattern[str]:
    """Compile a regular expression; `UsageError` where it is none."""
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(f"{text!r} is no regular expression: {error}") from None


def compile_replacement(pattern: str, text: str) -> tuple[re.Pattern[str], str]:
    """A pattern and what replaces it; `UsageError` where they do not go together."""
    compiled = compile_pattern(pattern)
    try:
        compiled.sub(text, "")  # a group that does not exist shows though nothing is found
    except (re.error, IndexError) as error:
        raise UsageError(f"{text!r} cannot replace {pattern!r}: {error}") from None
    return compiled, text


def _lines(path: str) -> Iterator[bytes]:
    with open_bytes(path) as stream:
        for line in stream:
            yield line.rstrip(b"\r\n")
