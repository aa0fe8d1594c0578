"""HDF5, both ways, with h5py.

The layout that is written (``format = "qemb-hdf5"``, ``version = 1``, attributes of the root group):

- ``tokens``: ``(rows,)`` variable-length UTF-8 strings;
- ``vectors``: ``(rows, dim)`` float32, chunked, compressed with shuffle and gzip;
- ``counts``: ``(rows,)`` uint64, only where the source has counts;
- ``metadata``: an attribute of the root, JSON text; a dataset of the same name where it is over 60,000 bytes, because
  HDF5 limits attributes to 64 KiB;
- ``raw_rows``, ``raw_tokens``: ``(n,)`` uint64 and ``(n,)`` variable-length uint8, only where needed: the rows whose
  tokens HDF5's strings cannot hold (bytes that are not UTF-8, and NUL, which ends a string there), and their exact
  bytes. In ``tokens`` those rows have a readable stand-in with U+FFFD for what cannot be shown.

Any other file is read by naming its parts: ``--dataset /path/to/matrix`` and ``--tokens`` with a dataset or a file.
"""

# ruff: noqa: ANN401 - h5py has no types
from __future__ import annotations

import json
import os
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from qemb.atomic import AtomicFile
from qemb_tools.interface import (
    MAX_DIM,
    Batch,
    ReadOptions,
    Sink,
    Source,
    UsageError,
    batch_rows,
    missing_extra,
    source_error,
)
from qemb_tools.matrix import float32
from qemb_tools.stream import check_file
from qemb_tools.tokens import decodes, read_tokens

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

_FORMAT = "qemb-hdf5"
_VERSION = 1
_LONGEST_ATTRIBUTE = 60_000
_CHUNK_BYTES = 1 << 18


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise missing_extra("h5py", "hdf5") from None
    return h5py


def sniff(head: bytes, path: str) -> bool:  # noqa: ARG001 - every format's sniff takes both
    """Whether this is an HDF5 file."""
    return head.startswith(b"\x89HDF\r\n\x1a\n")


class Hdf5Source(Source):
    """A matrix and its tokens in an HDF5 file, read in slices.

    Raises
    ------
    UsageError
        h5py is not installed, or a dataset has to be named.
    qemb.InvalidError
        The file is damaged, or its datasets do not fit each other.
    """

    def __init__(self, path: str, options: ReadOptions) -> None:
        super().__init__()
        check_file(path)
        h5py = _h5py()
        self._path = path
        self._raw: dict[int, bytes] = {}
        with ExitStack() as stack:
            try:
                self._file = stack.enter_context(h5py.File(path, "r"))
                self._open(options)
            except (OSError, RuntimeError) as error:
                reason = str(error).partition("\n")[0]
                raise source_error(f"HDF5 cannot read the file ({reason}); check that it is whole", path) from None
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Release the file."""
        self._stack.close()

    def _open(self, options: ReadOptions) -> None:
        attributes = self._file.attrs
        ours = attributes.get("format") == _FORMAT
        if ours and attributes.get("version") != _VERSION:
            raise source_error(f"version {attributes.get('version')} of {_FORMAT} is not known", self._path)
        if ours and options.dataset is None:
            self._vectors, self._tokens = self._dataset("vectors"), self._dataset("tokens")
            self._counts = self._dataset("counts") if "counts" in self._file else None
            self._load_metadata()
            self._raw = self._load_raw()
        else:
            if options.dataset is None:
                raise UsageError(f"{self._path} is not in qemb's layout; name the matrix: --dataset {self._suggest()}")
            self._vectors, self._counts = self._dataset(options.dataset), None
            in_file = options.tokens is not None and not os.path.exists(options.tokens)
            self._tokens = self._dataset(str(options.tokens)) if in_file else read_tokens(options)
        if self._vectors.ndim != 2 or self._vectors.dtype.kind not in "fiu":
            raise source_error("the dataset is not a matrix of numbers; name another", self._where())
        self.rows, self.dim = self._vectors.shape
        self.expected = self.rows
        if not 1 <= self.dim <= MAX_DIM:
            raise source_error(f"the rows have {self.dim:,} values; 1 to {MAX_DIM:,} are possible", self._where())
        for what, part in (("tokens", self._tokens), ("counts", self._counts)):
            if part is not None and len(part) != self.rows:
                raise source_error(f"there are {self.rows:,} rows and {len(part):,} {what}", self._where())

    def _where(self) -> str:
        return f"{self._path}, {self._vectors.name}"

    def _dataset(self, name: str) -> Any:
        found = self._file.get(name)
        if not isinstance(found, _h5py().Dataset):
            raise UsageError(f"{self._path} has no dataset {name!r}; {self._suggest()} is there")
        return found

    def _suggest(self) -> str:
        names: list[str] = []
        self._file.visititems(lambda name, item: names.append("/" + name) if getattr(item, "ndim", 0) == 2 else None)
        return " or ".join(names[:3]) or "nothing with rows and columns"

    def _load_metadata(self) -> None:
        text = self._file.attrs.get("metadata")
        if text is None and "metadata" in self._file:
            text = self._dataset("metadata")[()]
        if text is None:
            return
        try:
            metadata = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            metadata = None
        if not isinstance(metadata, dict):
            raise source_error("the metadata is not a JSON object; mend the attribute", self._path)
        self.metadata = metadata

    def _load_raw(self) -> dict[int, bytes]:
        if "raw_rows" in self._file:
            rows, tokens = self._dataset("raw_rows")[:], self._dataset("raw_tokens")[:]
            return {int(row): token.tobytes() for row, token in zip(rows, tokens, strict=False)}
        return {}

    def batches(self) -> Iterator[Batch]:
        """Yield slices of the datasets."""
        step = batch_rows(self.dim)
        for start in range(0, self.rows or 0, step):
            part = slice(start, start + step)
            try:
                vectors = float32(self._vectors[part])
                tokens = list(self._tokens[part])
                counts = None if self._counts is None else self._counts[part].astype(np.uint64)
            except OSError as error:
                reason = str(error).partition("\n")[0]
                raise source_error(
                    f"HDF5 cannot read the rows ({reason}); fetch the file again", self._where()
                ) from None
            yield Batch([self._token(start + i, token) for i, token in enumerate(tokens)], vectors, counts)

    def _token(self, row: int, token: Any) -> bytes:
        if row in self._raw:
            return self._raw[row]
        if isinstance(token, bytes):
            return token
        if isinstance(token, str):
            return token.encode("utf-8", "surrogateescape")
        raise source_error("the tokens are not strings; name another dataset or a file: --tokens", f"row {row:,}")


class _Output:
    """The file under HDF5, which never learns that writing failed: it would crash the process as it closes.

    The first error is kept for `check` to raise, and nothing is written after it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.error: OSError | None = None
        self._raw: io.FileIO = file.raw  # type: ignore[attr-defined]  # HDF5 has buffers of its own
        self.seek, self.tell, self.read, self.readinto = (
            getattr(self._raw, n) for n in ("seek", "tell", "read", "readinto")
        )

    def write(self, data: memoryview) -> int:
        rest = memoryview(data)
        while rest and self.error is None:
            try:
                rest = rest[self._raw.write(rest) :]
            except OSError as error:
                self.error = error
        return len(data)

    def truncate(self, size: int) -> None:
        try:
            self._raw.truncate(size)
        except OSError as error:
            self.error = self.error or error

    def flush(self) -> None:
        """Nothing is held back."""

    def check(self) -> None:
        if self.error is not None:
            raise self.error


class Hdf5Sink(Sink):
    """An HDF5 file in the layout above, grown batch by batch."""

    def __init__(self, path: str, dim: int, metadata: dict[str, Any]) -> None:
        h5py = _h5py()
        self.notes = []
        self._rows = 0
        self._target = AtomicFile(path)
        self._output = _Output(self._target.file)
        try:
            self._file = h5py.File(self._output, "w")
            self._file.attrs.update({"format": _FORMAT, "version": _VERSION})
            text = json.dumps(metadata, ensure_ascii=False)
            if len(text.encode()) <= _LONGEST_ATTRIBUTE:
                self._file.attrs["metadata"] = text
            else:
                self._file["metadata"] = text
            rows = max(1, _CHUNK_BYTES // (4 * dim))
            self._vectors = self._file.create_dataset(
                "vectors", (0, dim), "<f4", maxshape=(None, dim), chunks=(rows, dim), compression="gzip", shuffle=True
            )
            self._tokens = self._grow("tokens", h5py.string_dtype("utf-8"))
        except BaseException:
            self._target.abort()
            raise

    def _grow(self, name: str, dtype: Any) -> Any:
        return self._file.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(4096,))

    def append(self, batch: Batch) -> None:
        """Write the rows of a batch."""
        _extend(self._vectors, batch.vectors)
        raw = [i for i, token in enumerate(batch.tokens) if b"\0" in token or not decodes(token)]
        texts = list(batch.tokens)
        for i in raw:
            texts[i] = texts[i].replace(b"\0", "\ufffd".encode()).decode("utf-8", "replace").encode()
        _extend(self._tokens, np.array(texts, dtype=object))
        if raw:
            if "raw_rows" not in self._file:
                self._grow("raw_rows", "<u8")
                self._grow("raw_tokens", _h5py().vlen_dtype(np.uint8))
            _extend(self._file["raw_rows"], np.array(raw, dtype=np.uint64) + np.uint64(self._rows))
            tokens = np.empty(len(raw), dtype=object)
            for place, i in enumerate(raw):
                tokens[place] = np.frombuffer(batch.tokens[i], np.uint8)
            _extend(self._file["raw_tokens"], tokens)
        if batch.counts is not None:
            if "counts" not in self._file:
                self._grow("counts", "<u8").resize(self._rows, axis=0)
            _extend(self._file["counts"], batch.counts)
        self._rows += len(batch.tokens)
        self._output.check()

    def finish(self) -> None:
        """Publish the file."""
        self._file.close()
        self._output.check()
        self._target.commit()

    def abort(self) -> None:
        """Throw away what was written."""
        with suppress(OSError, RuntimeError):
            self._file.close()
        self._target.abort()


def _extend(dataset: Any, values: Any) -> None:
    start = dataset.shape[0]
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values
