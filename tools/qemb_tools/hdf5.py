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

Other libraries' layouts are read as ``hdf5_layouts`` lists them. Where a file holds several tables, or words apart, its
parts are named: ``--dataset /path/to/matrix``, and ``--tokens`` with a dataset or a file.
"""

# ruff: noqa: ANN401 - h5py has no types
from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import zipfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

import numpy as np

from qemb.atomic import AtomicFile
from qemb_tools.hdf5_layouts import (
    MATRIX,
    OURS,
    Part,
    Table,
    choose,
    dataset,
    find_tables,
    import_h5py,
    member,
    reading,
)
from qemb_tools.interface import Batch, Found, ReadOptions, Sink, Source, UsageError, batch_rows, source_error
from qemb_tools.matrix import check_dim, float32, rounding
from qemb_tools.quantized import Int8Source
from qemb_tools.stream import check_file, check_growth, copy_member
from qemb_tools.tokens import decodes, read_tokens, to_utf8

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from numpy.typing import NDArray

_VERSION = 1
_KERAS_WEIGHTS = "model.weights.h5"
_LONGEST_ATTRIBUTE = 60_000
_CHUNK_BYTES = 1 << 18


def sniff(head: bytes, path: str) -> bool:
    """Whether this is an HDF5 file, or a ``.keras`` archive, which has one in it."""
    return head.startswith(b"\x89HDF\r\n\x1a\n") or (head.startswith(b"PK\x03\x04") and path.endswith(".keras"))


def list_tables(path: str) -> list[Found]:
    """List the tables of a file, for ``qemb info``. Raises as `open_hdf5` does."""
    with _open(path) as file:
        return [table.found() for table in find_tables(file, path)]


def open_hdf5(path: str, options: ReadOptions) -> Source:
    """Open a table of an HDF5 file, in any of the layouts that ``hdf5_layouts`` lists.

    Raises
    ------
    UsageError
        h5py is not installed, or a dataset or the words have to be named.
    qemb.InvalidError
        The file is damaged, or its datasets do not fit each other.
    """
    with ExitStack() as stack:
        file = stack.enter_context(_open(path))
        with reading(path):
            table = choose(file, path, options.dataset)
            vectors, where = table.vectors, f"{path}, {table.name}"
            if not vectors.is_matrix:
                raise source_error("the dataset is not a matrix of numbers; name another", where)
            words, counts, metadata = _tokens(file, path, table, options), None, {}
            if table.layout == OURS:
                if file.attrs.get("version") != _VERSION:
                    raise source_error(f"version {file.attrs.get('version')} of {OURS} is not known", path)
                metadata = _metadata(file, path)
                counts = Part(member(file, "counts")) if "counts" in file else None
            rows, dim = vectors.shape
            check_dim(dim, where)
            # rows that were never written take no room: they are made up as they are read
            check_growth(rows * dim * vectors.dtype.itemsize, os.path.getsize(path), where)
            for what, part in (("tokens", words), ("counts", counts)):
                if part is not None and len(part) != rows:
                    raise source_error(f"there are {rows:,} rows and {len(part):,} {what}", where)
            source: Source
            if vectors.dtype == np.int8:
                source = _Int8Hdf5Source(words[0:rows], vectors, stack, where)
            else:
                source = _Hdf5Source(words, vectors, counts, stack)
        source.metadata |= metadata
        if table.layout not in (OURS, MATRIX):
            source.metadata["layout"] = table.layout
        if isinstance(words, _Numbers):
            source.notes.append("the file has no words; its rows are called 0, 1, 2, ... (--tokens names words)")
        return source
    raise AssertionError("the block returns")


@contextmanager
def _open(path: str) -> Iterator[Any]:
    check_file(path)
    h5py = import_h5py()
    with ExitStack() as stack, reading(path):
        if zipfile.is_zipfile(path):
            inner = stack.enter_context(tempfile.TemporaryFile())
            with zipfile.ZipFile(path) as archive:
                copy_member(archive, _KERAS_WEIGHTS, path, inner)
            yield stack.enter_context(h5py.File(inner, "r"))
        else:
            yield stack.enter_context(h5py.File(path, "r"))


class _Hdf5Source(Source):
    """A matrix and its tokens, read in slices."""

    def __init__(self, words: _Words, vectors: Part, counts: Part | None, stack: ExitStack) -> None:
        super().__init__()
        self.rows, self.dim = vectors.shape
        self.expected = self.rows
        self.notes += rounding(vectors.dtype)
        self._words, self._vectors, self._counts = words, vectors, counts
        self._stack = stack.pop_all()

    def close(self) -> None:
        self._stack.close()

    def batches(self) -> Iterator[Batch]:
        step = batch_rows(self.dim)
        for start in range(0, self.rows or 0, step):
            part = slice(start, min(start + step, self.rows or 0))
            counts = None if self._counts is None else self._counts[part].astype(np.uint64)
            yield Batch(self._words[part], float32(self._vectors[part]), counts)


class _Int8Hdf5Source(Int8Source):
    """A matrix of int8, which is kept, read in slices."""

    def __init__(self, words: list[bytes], vectors: Part, stack: ExitStack, where: str) -> None:
        super().__init__(words, cast("NDArray[Any]", vectors), None, where)  # shape and slices are all that is used
        self._stack = stack.pop_all()

    def close(self) -> None:
        self._stack.close()


def _tokens(file: Any, path: str, table: Table, options: ReadOptions) -> _Words:
    """The tokens of a table: those that are named, else those of its layout."""
    if options.tokens is not None:
        if os.path.exists(options.tokens):
            return read_tokens(options)
        strings = [] if table.words is None or isinstance(table.words, Path) else [table.words.name]
        return _Strings(dataset(file, path, options.tokens, strings), options, path, {})
    if isinstance(table.words, Path):
        if not table.words.exists():
            raise UsageError(f"the names of {path} are in {table.words.name}, which is not beside it: --tokens FILE")
        return read_tokens(replace(options, tokens=str(table.words)))
    if table.numbered:
        return _Numbers(len(table.vectors))
    if table.words is None:
        return read_tokens(options)  # which says that they have to be named
    if table.layout == OURS:
        return _Strings(table.words, replace(options, keep_bytes=True), path, _raw(file))
    if table.encoding is not None and not options.keep_bytes:
        options = replace(options, encoding=options.encoding or table.encoding)
    return _Strings(table.words, options, path, {})


class _Strings:
    """A dataset of strings, in slices, as tokens; ``raw`` are those that HDF5 cannot hold."""

    def __init__(self, part: Part, options: ReadOptions, path: str, raw: dict[int, bytes]) -> None:
        self._part, self._options, self._path, self._raw = part, options, path, raw

    def __len__(self) -> int:
        return len(self._part)

    def __getitem__(self, rows: slice) -> list[bytes]:
        if not self._part.is_list_of_strings:
            where = f"{self._path}, {self._part.name}"
            raise source_error("the tokens are not strings; name another dataset or a file: --tokens", where)
        tokens = [bytes(token) for token in self._part[rows]]
        for row in self._raw.keys() & range(rows.start, rows.stop):
            tokens[row - rows.start] = self._raw[row]
        return to_utf8(tokens, self._options, lambda i: f"{self._path}, {self._part.name}, row {rows.start + i:,}")


class _Numbers:
    """The numbers of rows, as tokens."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, rows: slice) -> list[bytes]:
        return [b"%d" % row for row in range(rows.start, rows.stop)]


_Words: TypeAlias = _Strings | _Numbers | list[bytes]


def _metadata(file: Any, path: str) -> dict[str, Any]:
    stored = file.attrs.get("metadata")
    if stored is None and "metadata" in file:
        stored = member(file, "metadata")[()]
    if stored is None:
        return {}
    try:
        metadata = json.loads(stored)
    except (ValueError, TypeError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise source_error("the metadata is not a JSON object; mend the attribute", path)
    return metadata


def _raw(file: Any) -> dict[int, bytes]:
    if "raw_rows" not in file:
        return {}
    rows, tokens = member(file, "raw_rows"), member(file, "raw_tokens")
    return {int(row): token.tobytes() for row, token in zip(rows[:], tokens[:], strict=False)}


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


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Hold back Ctrl-C and its like: an exception that passes through HDF5 crashes it as it closes the file."""
    held: list[tuple[int, Any]] = []
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # no other gets signals
        for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            handler = signal.getsignal(number)
            if callable(handler) and number not in handlers:
                handlers[number] = handler
                signal.signal(number, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number, frame in held[:1]:
            handlers[number](number, frame)


class Hdf5Sink(Sink):
    """An HDF5 file in the layout above, grown batch by batch."""

    def __init__(self, path: str, dim: int, metadata: dict[str, Any]) -> None:
        h5py = import_h5py()
        self.notes = []
        self._rows = 0
        self._target = AtomicFile(path)
        self._output = _Output(self._target.file)
        self._file: Any = None
        try:
            self._create(h5py, dim, metadata)
        except BaseException:
            self.abort()
            raise

    def _create(self, h5py: Any, dim: int, metadata: dict[str, Any]) -> None:
        with _signals_wait():
            self._file = h5py.File(self._output, "w")
            self._file.attrs.update({"format": OURS, "version": _VERSION})
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

    def _grow(self, name: str, dtype: Any) -> Any:
        return self._file.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(4096,))

    def append(self, batch: Batch) -> None:
        """Write the rows of a batch."""
        with _signals_wait():
            self._append(batch)
        self._rows += len(batch.tokens)
        self._output.check()

    def _append(self, batch: Batch) -> None:
        _extend(self._vectors, batch.vectors)
        raw = [i for i, token in enumerate(batch.tokens) if b"\0" in token or not decodes(token)]
        texts = list(batch.tokens)
        for i in raw:
            texts[i] = texts[i].replace(b"\0", "\ufffd".encode()).decode("utf-8", "replace").encode()
        _extend(self._tokens, np.array(texts, dtype=object))
        if raw:
            if "raw_rows" not in self._file:
                self._grow("raw_rows", "<u8")
                self._grow("raw_tokens", import_h5py().vlen_dtype(np.uint8))
            _extend(self._file["raw_rows"], np.array(raw, dtype=np.uint64) + np.uint64(self._rows))
            tokens = np.empty(len(raw), dtype=object)
            for place, i in enumerate(raw):
                tokens[place] = np.frombuffer(batch.tokens[i], np.uint8)
            _extend(self._file["raw_tokens"], tokens)
        if batch.counts is not None:
            if "counts" not in self._file:
                self._grow("counts", "<u8").resize(self._rows, axis=0)
            _extend(self._file["counts"], batch.counts)

    def finish(self) -> None:
        """Publish the file."""
        with _signals_wait():
            self._file.close()
        self._output.check()
        self._target.commit()

    def abort(self) -> None:
        """Throw away what was written."""
        with _signals_wait(), suppress(OSError, RuntimeError):
            if self._file is not None:
                self._file.close()
        self._target.abort()


def _extend(dataset: Any, values: Any) -> None:
    start = dataset.shape[0]
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values
