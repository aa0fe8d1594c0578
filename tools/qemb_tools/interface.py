"""What every converter speaks: batches of tokens and vectors, sources that give them, sinks that take them.

A format is one file beside this one; ``formats.py`` lists them all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

import qemb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

MAX_DIM = 1 << 20
"""More values a row than this is a damaged header, not a table: it is refused before anything is allocated."""

BATCH_VALUES = 1 << 20
"""Values in one batch of a source that may choose: 4 MB of float32."""


_LONGEST_MESSAGE = 600


class UsageError(Exception):
    """The command is wrong, not a file: a missing file or extra, options that do not go together. Exit code 2."""


def source_error(message: str, where: str, offset: int | None = None) -> qemb.InvalidError:
    """The error for a source file that cannot be converted.

    Parameters
    ----------
    message : str
        What is wrong and what to do about it, in one line.
    where : str
        The file, and the line or row in it.
    offset : int, optional
        Byte offset in the file.
    """
    # a reason that another library gave may have several lines, or quote the file
    message = " ".join(message.splitlines())
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]}..."
    return qemb.InvalidError("invalid.source", message, where=where, offset=offset)


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Put the name of a ``.qemb`` file into the codec's errors, which know places in it only."""
    try:
        yield
    except qemb.QembError as error:
        where = f"{path}, {error.where}" if error.where else path
        raise type(error)(error.code, error.message, where=where, offset=error.offset) from None


def batch_rows(dim: int) -> int:
    """Rows of a batch for sources that may choose: bounded memory whatever the dimension."""
    return max(1, BATCH_VALUES // dim)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a table: tokens as bytes, ``vectors`` float32 ``(n, dim)``, ``counts`` uint64 ``(n,)`` or None."""

    tokens: list[bytes]
    vectors: NDArray[np.float32]
    counts: NDArray[np.uint64] | None = None


if TYPE_CHECKING:
    Choose = Callable[[Sequence[bytes]], tuple[list[int], list[bytes]]]


@dataclass(frozen=True, slots=True)
class Kept:
    """How a source stores its values, where a ``.qemb`` file can keep them so, every bit of them.

    Attributes
    ----------
    name : str
        What the user is told, such as "GGML Q8_0"; "" where there is nothing to tell.
    options : qemb.EncoderOptions
        Arguments of `qemb.Writer` that keep the bits of floats. Empty where `Source.keep` writes codes.
    """

    name: str
    options: qemb.EncoderOptions = field(default_factory=qemb.EncoderOptions)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a source; `open_source` refuses what the format has no use for.

    Attributes
    ----------
    tokens : str or None
        File with the tokens, for formats that hold vectors only; for HDF5 also a dataset's path.
    dataset : str or None
        Name of the array to read, where a file holds several.
    encoding : str or None
        Encoding of text tokens; they are transcoded to UTF-8.
    keep_bytes : bool
        Keep tokens that are not UTF-8 as they are instead of refusing them.
    skip_bad : bool
        Leave out rows that cannot be read, and count them, instead of refusing the file.
    """

    tokens: str | None = None
    dataset: str | None = None
    encoding: str | None = None
    keep_bytes: bool = False
    skip_bad: bool = False

    def given(self) -> list[str]:
        """Names of the options that are not at their default."""
        return [field.name for field in fields(self) if getattr(self, field.name) != field.default]


READ_FLAGS = {
    "tokens": "--tokens",
    "dataset": "--dataset",
    "encoding": "--encoding",
    "keep_bytes": "--bytes",
    "skip_bad": "--skip-bad",
}
"""What the command calls them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A table in a file that may hold several: what ``qemb info`` lists.

    Attributes
    ----------
    name : str
        What ``--dataset`` calls it.
    layout : str
        Who writes such tables.
    rows, dim : int
        Its shape.
    dtype : str
        Type of its values.
    words : str
        Where its words are; "" where ``--tokens`` has to name them.
    problem : str
        Why it cannot be converted; "" where it can.
    """

    name: str
    layout: str
    rows: int
    dim: int
    dtype: str
    words: str = ""
    problem: str = ""


class Source(ABC):
    """A table that is read in batches, front to back, once.

    Attributes
    ----------
    dim : int
        Values a row.
    rows : int or None
        Number of rows, or None where it is unknown before the end.
    expected : int or None
        ``rows``, or an estimate of it, for the progress bar.
    metadata : dict
        What the file says of itself, JSON-able.
    notes : list of str
        What the user should be told; complete once the last batch was read.
    kept : Kept or None
        How the values are stored, where that is kept unless the user asks for something else.
    subwords : qemb.Subwords or None
        How words are cut into n-grams, where `buckets` gives the rows of those.
    """

    dim: int
    rows: int | None = None
    expected: int | None = None
    kept: Kept | None = None
    subwords: qemb.Subwords | None = None

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.notes: list[str] = []

    @abstractmethod
    def batches(self) -> Iterator[Batch]:
        """Yield the rows in order. Raises `qemb.QembError` where the file is bad."""

    def buckets(self) -> Iterator[NDArray[np.float32]]:
        """Yield the rows of subword buckets, float32 of shape (n, dim), once the batches are through."""
        return iter(())

    def keep(
        self,
        path: str,
        metadata: dict[str, Any],
        *,
        compress: bool | None,
        progress: Callable[[int], object],
        choose: Choose | None = None,
    ) -> int:
        """Write the codes into a ``.qemb`` file as they are, for sources whose ``kept`` has no options.

        Parameters
        ----------
        path : str
            The file; it appears whole or not at all.
        metadata : dict
            JSON-able.
        compress : bool or None
            As for `qemb.Writer`.
        progress : callable
            Called with numbers of rows done.
        choose : callable, optional
            Takes all tokens in the order of their rows; gives the numbers of the rows to keep, ascending, and what they
            are called. It is called once, before anything is written.

        Returns
        -------
        int
            Rows left out because their token had come before.
        """
        raise NotImplementedError

    def close(self) -> None:  # noqa: B027 - most sources hold nothing open; those that do override it
        """Release the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Sink(ABC):
    """A file being written. Leaving the block normally publishes it; leaving by an exception leaves no file behind."""

    notes: list[str]

    @abstractmethod
    def append(self, batch: Batch) -> None:
        """Write the rows of a batch, in order."""

    @abstractmethod
    def finish(self) -> None:
        """Publish the file."""

    @abstractmethod
    def abort(self) -> None:
        """Throw away what was written; harmless after `finish`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.abort()


def some_of(names: Iterable[str]) -> str:
    """The first names of a list, for a message, and how many more there are; "" for none."""
    names = list(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def missing_extra(package: str, extra: str) -> UsageError:
    """The error for an optional package that is not installed, with the command that installs it."""
    return UsageError(f'this needs {package}, which is not installed; run: pip install "qemb-format[{extra}]"')
