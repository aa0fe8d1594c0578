"""``.qemb`` itself: as a source, to quantize again or to export, and as what everything is converted to."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import qemb
from qemb_tools.interface import Batch, Kept, ReadOptions, Sink, Source, UsageError, batch_rows, naming
from qemb_tools.progress import progress
from qemb_tools.stream import check_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from qemb_tools.interface import Choose

PATIENCE = 20.0
"""Seconds of quantizing after which a user is told of what would be quicker."""
KEPT = "kept"
"""Key of the metadata that says how the source had stored the values, where they are as they were."""
MAGIC = b"\x89QEMB\r\n\x1a"


def sniff(head: bytes, path: str) -> bool:  # noqa: ARG001 - every format's sniff takes both
    """Whether this is a ``.qemb`` file."""
    return head.startswith(MAGIC)


class QembSource(Source):
    """A ``.qemb`` file, decoded in slices. Raises as `qemb.open` does."""

    def __init__(self, path: str, options: ReadOptions) -> None:  # noqa: ARG002 - no option applies
        super().__init__()
        check_file(path)
        self._path = path
        with naming(path):
            self._embedding = qemb.open(path)
            self.metadata = dict(self._embedding.metadata)
        self.dim = self._embedding.dim
        self.rows = self.expected = len(self._embedding)
        # what is made of the floats is not as it was; what is made of the codes is
        self.kept = Kept(self.metadata.pop(KEPT, ""))
        self.subwords = self._embedding.subwords

    @property
    def bits_per_value(self) -> float:
        """Bits a value of the vectors, as `qemb.Embedding.info` has them."""
        return self._embedding.info.bits_per_value

    def close(self) -> None:
        """Release the file."""
        self._embedding.close()

    def batches(self) -> Iterator[Batch]:
        """Yield slices of the table."""
        step = batch_rows(self.dim)
        iter_raw = self._embedding.tokens.iter_raw
        with naming(self._path):
            counts = self._embedding.counts
            for start in range(0, self.rows or 0, step):
                stop = min(start + step, self.rows or 0)
                tokens = list(iter_raw(start, stop))
                yield Batch(tokens, self._embedding.matrix(start, stop), None if counts is None else counts[start:stop])

    def buckets(self) -> Iterator[NDArray[np.float32]]:
        """Yield slices of the rows past the tokens."""
        step = batch_rows(self.dim)
        with naming(self._path):
            for start in range(len(self._embedding), self._embedding.total_rows, step):
                yield self._embedding.matrix(start, start + step)

    def keep(
        self,
        path: str,
        metadata: dict[str, Any],
        *,
        compress: bool | None,
        progress: Callable[[int], object],
        choose: Choose | None = None,
    ) -> int:
        """Copy the file, section by section, subword buckets too."""
        with naming(self._path):
            if choose is None:
                self._embedding.save(path, compress=compress, metadata=metadata)
                duplicates = 0
            else:
                rows, tokens = choose(list(self._embedding.tokens.iter_raw()))
                first: dict[bytes, int] = {}
                for row, token in zip(rows, tokens, strict=True):
                    first.setdefault(token, row)
                duplicates = len(rows) - len(first)
                self._embedding.save(
                    path, compress=compress, metadata=metadata, rows=list(first.values()), tokens=list(first)
                )
        progress(len(self._embedding))
        return duplicates


class QembSink(Sink):
    """A ``.qemb`` file being written.

    Parameters
    ----------
    path : str
        The file to write.
    dim : int
        Values a row.
    metadata : dict
        JSON-able.
    options : qemb.EncoderOptions
        Further arguments of `qemb.Writer`, such as ``bits`` or ``scheme``.
    subwords : qemb.Subwords, optional
        How words are cut, where the rows of subword buckets follow.
    """

    def __init__(
        self,
        path: str,
        dim: int,
        metadata: dict[str, Any],
        options: qemb.EncoderOptions,
        subwords: qemb.Subwords | None = None,
    ) -> None:
        self.notes = []
        self.show_progress = False
        """Whether quantizing, which many schemes begin when all rows are there, has a progress bar."""
        try:
            self._writer = qemb.Writer(
                path, dim=dim, metadata=metadata, duplicates="first", subwords=subwords, **options
            )
        except qemb.LimitError:
            raise
        except (TypeError, ValueError, ImportError) as error:
            # no row has been looked at yet, so it is the options that do not fit, or an extra that they need
            raise UsageError(str(error)) from None

    @property
    def duplicates(self) -> int:
        """Rows left out because their token had come before."""
        return int(self._writer.duplicates)

    def append(self, batch: Batch) -> None:
        """Write the rows of a batch."""
        self._writer.append(batch.tokens, batch.vectors, batch.counts)

    def append_buckets(self, vectors: NDArray[np.float32]) -> None:
        """Write rows of subword buckets, once all words are through."""
        self._writer.append_buckets(vectors)

    def finish(self) -> None:
        """Publish the file."""
        begun = time.monotonic()
        with progress(self._writer.rows, "quantizing", wanted=self.show_progress) as bar:
            self._writer.close(bar.update)
        if self._writer.reason is not None:
            self.notes.append(f"chosen: {self._writer.reason}")
        if time.monotonic() - begun > PATIENCE and find_spec("numba") is None:
            with qemb.open(self._writer.path) as embedding:
                if embedding.info.scheme == "trellis":
                    self.notes.append('numba quantizes ten times as fast: pip install "qemb-format[numba]"')

    def abort(self) -> None:
        """Throw away what was written."""
        self._writer.abort()


def describe(path: str, kept: Kept | None = None) -> str:
    """How a file stores its values, in a few words; ``kept`` says how they were, where they are so still."""
    with qemb.open(path) as embedding:
        values = embedding.info.values
    if kept is None:
        return values
    return f"{values}, kept as they were" + (f": {kept.name}" if kept.name else "")
