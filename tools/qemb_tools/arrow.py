"""Parquet and Arrow files, both ways, with pyarrow: a column of strings and a column of vectors.

The columns that are written: ``token`` (string), ``vector`` (fixed-size list of float32) and, where the source has
counts, ``count`` (uint64); the metadata as JSON under ``qemb`` in the schema's metadata.
Parquet is compressed with zstd.

Read are fixed-size lists, lists that all have the same length, and wide frames as pandas writes them, with a column of
floats for each value of a vector. Where several columns could be meant, ``--dataset COLUMN`` and ``--tokens COLUMN``
name them; ``--tokens`` may name a file, too.
"""

# ruff: noqa: ANN401 - pyarrow has no types
from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

import qemb
from qemb.atomic import AtomicFile
from qemb_tools.interface import (
    Batch,
    Found,
    ReadOptions,
    Sink,
    Source,
    UsageError,
    batch_rows,
    missing_extra,
    some_of,
    source_error,
)
from qemb_tools.matrix import check_dim, float32, rounding
from qemb_tools.stream import check_file, check_growth
from qemb_tools.tokens import decodes, read_tokens, show, to_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_PARQUET = b"PAR1"
_STREAM = b"\xff\xff\xff\xff"
_METADATA = b"qemb"
_COUNTS = ("count", "counts")
_STEP = 1 << 16


def sniff_parquet(head: bytes, path: str) -> bool:  # noqa: ARG001 - every format's sniff takes both
    """Whether this is a Parquet file."""
    return head.startswith(_PARQUET)


def sniff_arrow(head: bytes, path: str) -> bool:
    """Whether this is an Arrow file, or a stream by its mark and name."""
    return head.startswith(b"ARROW1") or (head.startswith(_STREAM) and path.endswith((".arrow", ".arrows")))


def _import() -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise missing_extra("pyarrow", "parquet") from None
    return pa


class _File:
    """Either kind of file: its schema, its rows where they are known, and its batches, of some columns."""

    def __init__(self, path: str, stack: ExitStack) -> None:
        pa = _import()
        stream = stack.enter_context(open(path, "rb"))  # noqa: SIM115 - the stack closes it
        head = stream.read(len(_STREAM))
        stream.seek(0)
        self._parquet = self._stream = None
        self._random: Any = None
        self.rows: int | None = None
        if head == _PARQUET:
            file = pa.parquet.ParquetFile(stream)
            # strings stay as they are stored: the same one may be long, and in all rows
            words = [f.name for f in file.schema_arrow if _is_string(f.type)]
            self._parquet = stack.enter_context(pa.parquet.ParquetFile(stream, read_dictionary=words))
            self.schema, self.rows = self._parquet.schema_arrow, self._parquet.metadata.num_rows
        elif head == _STREAM:
            self._stream = stack.enter_context(pa.ipc.open_stream(stream))
            self.schema = self._stream.schema
        else:
            self._random = stack.enter_context(pa.ipc.open_file(stream))
            self.schema = self._random.schema
            self.rows = sum(self._random.get_batch(i).num_rows for i in range(self._random.num_record_batches))

    def batches(self, columns: list[str], step: int) -> Iterator[Any]:
        """Yield record batches of at most ``step`` rows."""
        if self._parquet is not None:
            yield from self._parquet.iter_batches(step, columns=columns)
            return
        random = self._random
        for batch in self._stream or (random.get_batch(i) for i in range(random.num_record_batches)):
            batch.validate(full=True)  # Arrow believes the offsets of a file otherwise, wherever they point
            for start in range(0, batch.num_rows, step):
                yield batch.slice(start, step).select(columns)


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Put what pyarrow raises on a damaged file into one line."""
    pa = _import()
    check_file(path)
    try:
        yield
    except qemb.QembError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise source_error(f"pyarrow cannot read the file ({reason}); check that it is whole", path) from None


class _Columns:
    """Columns of a file by what they could be."""

    def __init__(self, schema: Any) -> None:
        types = _import().types
        self.names: list[str] = list(schema.names)
        self.vectors = [f.name for f in schema if _is_list(f.type) and _is_number(f.type.value_type)]
        kinds = [(f.name, f.type.value_type if types.is_dictionary(f.type) else f.type) for f in schema]
        self.words: list[str] = [name for name, kind in kinds if _is_string(kind)]
        floats = [f for f in schema if types.is_floating(f.type)]
        self.wide = [f.name for f in floats] if len({f.type for f in floats}) == 1 and len(floats) > 1 else []
        integers = [f.name for f in schema if types.is_integer(f.type)]
        self.counts = next((name for name in _COUNTS if name in integers), None)


def _is_list(kind: Any) -> bool:
    types = _import().types
    return bool(types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind))


def _is_number(kind: Any) -> bool:
    types = _import().types
    return bool(types.is_floating(kind) or types.is_integer(kind))


def _is_string(kind: Any) -> bool:
    types = _import().types
    checks = types.is_string, types.is_large_string, types.is_binary, types.is_large_binary, types.is_string_view
    return any(check(kind) for check in checks)


def _length(path: str, name: str, kind: Any) -> int:
    """Values in a list: those of the type, or of the first row; 0 where there is none."""
    if _import().types.is_fixed_size_list(kind):
        return int(kind.list_size)
    with ExitStack() as stack:
        first = next(_File(path, stack).batches([name], 1), None)
        return int(first.column(0).value_lengths()[0].as_py() or 0) if first is not None and first.num_rows else 0


def list_tables(path: str) -> list[Found]:
    """List the columns of vectors, for ``qemb info``. Raises as `open_table` does."""
    with _reading(path), ExitStack() as stack:
        file = _File(path, stack)
        columns = _Columns(file.schema)
        words = columns.words[0] if len(columns.words) == 1 else ""
        shapes = []
        for name in columns.vectors:
            kind = file.schema.field(name).type
            shapes.append((name, "list", _length(path, name, kind), str(kind.value_type)))
        if not shapes and columns.wide:
            name = columns.wide[0]
            shapes.append((name, "wide", len(columns.wide), str(file.schema.field(name).type)))
        rows = file.rows
        if rows is None:  # a stream says so by ending
            rows = sum(batch.num_rows for batch in file.batches(columns.names, _STEP))
        return [Found(name, layout, rows, dim, dtype, words) for name, layout, dim, dtype in shapes]


class ArrowSource(Source):
    """A table of a Parquet or Arrow file, read batch by batch.

    Raises
    ------
    UsageError
        pyarrow is not installed, or a column has to be named.
    qemb.InvalidError
        The file is damaged, or a column does not hold what it should.
    """

    def __init__(self, path: str, options: ReadOptions) -> None:
        super().__init__()
        self._path, self._options = path, options
        with ExitStack() as stack, _reading(path):
            self._file = _File(path, stack)
            columns = _Columns(self._file.schema)
            self._vectors = self._choose(columns)
            self._words = self._choose_words(columns)
            self._named = read_tokens(options) if self._words is None else []
            self._counts = columns.counts
            self.rows = self.expected = self._file.rows
            if self._words is None and self.rows is not None and self.rows != len(self._named):
                raise source_error(f"there are {self.rows:,} rows and {len(self._named):,} tokens", path)
            self.dim = self._measure()
            check_dim(self.dim, path)
            check_growth((self.rows or 0) * self.dim, os.path.getsize(path), path)
            self.metadata |= self._stored_metadata()
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Release the file."""
        self._stack.close()

    def _choose(self, columns: _Columns) -> list[str]:
        """The column of lists, or the columns of floats, that are the vectors."""
        name = self._options.dataset
        if name is not None:
            if name not in columns.vectors and name not in columns.wide:
                found = some_of(columns.vectors or columns.wide) or "none"
                raise UsageError(f"{self._path} has no column of vectors called {name!r}; it has: {found}")
            return [name] if name in columns.vectors else columns.wide
        if len(columns.vectors) > 1:
            raise UsageError(f"{self._path} holds {some_of(columns.vectors)}; name one: --dataset COLUMN")
        if not columns.vectors and not columns.wide:
            found = some_of(columns.names) or "none"
            raise source_error(f"no column is a list of numbers, and no two are floats; columns: {found}", self._path)
        return columns.vectors or columns.wide

    def _choose_words(self, columns: _Columns) -> str | None:
        """The column of the words; None where ``--tokens`` names a file."""
        name = self._options.tokens
        if name is None:
            if len(columns.words) != 1:
                found = some_of(columns.words) or "none"
                raise UsageError(
                    f"{self._path} has no single column of strings ({found}); name it: --tokens COLUMN, or a FILE"
                )
            return columns.words[0]
        if os.path.exists(name):
            return None
        if name not in columns.words:
            found = some_of(columns.words) or "none"
            raise UsageError(
                f"{self._path} has no column of strings called {name!r}, nor is it a file; it has: {found}"
            )
        return name

    def _measure(self) -> int:
        """Values a row: those of the type, or of the first row."""
        kind = self._file.schema.field(self._vectors[0]).type
        if not _is_list(kind):
            self.notes += rounding(np.dtype(kind.to_pandas_dtype()))
            return len(self._vectors)
        self.notes += rounding(np.dtype(kind.value_type.to_pandas_dtype()))
        return _length(self._path, self._vectors[0], kind)

    def _stored_metadata(self) -> dict[str, Any]:
        try:
            metadata = json.loads((self._file.schema.metadata or {})[_METADATA])
        except (KeyError, ValueError, RecursionError):
            return {}
        return metadata if isinstance(metadata, dict) else {}

    def batches(self) -> Iterator[Batch]:
        """Yield the batches of the file."""
        columns = [*self._vectors, *(name for name in (self._words, self._counts) if name is not None)]
        start = 0
        with _reading(self._path):
            for part in self._file.batches(columns, batch_rows(self.dim)):
                counts = None
                if self._counts is not None:
                    counts = self._numbers(part.column(self._counts), "count", start)
                    if (counts < 0).any():
                        row = start + int(np.flatnonzero(counts < 0)[0])
                        raise source_error("a count is negative; give every row one", f"{self._path}, row {row:,}")
                    counts = counts.astype(np.uint64)
                tokens = self._tokens(part, start)
                if len(tokens) != part.num_rows:
                    raise source_error(f"there are more rows than {len(self._named):,} tokens", self._path)
                yield Batch(tokens, self._matrix(part, start), counts)
                start += part.num_rows
        if self._words is None and start != len(self._named):
            raise source_error(f"there are {start:,} rows and {len(self._named):,} tokens", self._path)

    def _tokens(self, part: Any, start: int) -> list[bytes]:
        if self._words is None:
            return self._named[start : start + part.num_rows]
        pa = _import()
        column = part.column(self._words)
        if pa.types.is_dictionary(column.type):
            import pyarrow.compute as pc

            # each row may name the same long string
            lengths = pc.take(pc.binary_length(column.dictionary.cast(pa.large_binary())), column.indices)
            check_growth(pc.sum(lengths).as_py() or 0, os.path.getsize(self._path), self._path)
            column = column.dictionary_decode()
        self._check_whole(column, "token", start)
        tokens = column.cast(pa.large_binary()).to_pylist()
        return to_utf8(tokens, self._options, lambda i: f"{self._path}, row {start + i:,}")

    def _matrix(self, part: Any, start: int) -> NDArray[np.float32]:
        columns = [part.column(name) for name in self._vectors]
        column = columns[0]
        if not _is_list(column.type):
            return float32(np.stack([self._numbers(c, "value", start) for c in columns], axis=1))
        self._check_whole(column, "vector", start)
        if not _import().types.is_fixed_size_list(column.type):
            lengths = column.value_lengths().to_numpy(zero_copy_only=False)
            bad = np.flatnonzero(lengths != self.dim)
            if bad.size:
                raise source_error(
                    f"the vector has {lengths[bad[0]]:,} values, not {self.dim:,}; all must be as long",
                    f"{self._path}, row {start + int(bad[0]):,}",
                )
        values = column.flatten()
        if values.null_count:
            row = start + int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0]) // self.dim
            raise source_error("a value is missing (null); give every row all of them", f"{self._path}, row {row:,}")
        return float32(values.to_numpy(zero_copy_only=False).reshape(len(column), self.dim))

    def _numbers(self, column: Any, what: str, start: int) -> NDArray[Any]:
        self._check_whole(column, what, start)
        values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
        return values

    def _check_whole(self, column: Any, what: str, start: int) -> None:
        """Raise where a row has nothing in a column."""
        if column.null_count:
            row = start + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise source_error(f"a {what} is missing (null); give every row one", f"{self._path}, row {row:,}")


class ArrowSink(Sink):
    """A Parquet or Arrow file, a row group or record batch for each batch.

    Parameters
    ----------
    path : str
        The file to write.
    dim : int
        Values a row.
    metadata : dict
        JSON-able.
    parquet : bool
        Which of the two it is.
    """

    def __init__(self, path: str, dim: int, metadata: dict[str, Any], *, parquet: bool) -> None:
        self._pa = _import()
        self.notes = []
        self._dim, self._metadata, self._parquet = dim, metadata, parquet
        self._writer: Any = None
        self._counted = False
        self._target = AtomicFile(path)

    def append(self, batch: Batch) -> None:
        """Write the rows of a batch."""
        pa = self._pa
        bad = next((token for token in batch.tokens if not decodes(token)), None)
        if bad is not None:
            advice = "write HDF5, .npz or safetensors, which hold any bytes"
            raise source_error(
                f"a column of strings cannot hold {show(bad)}, which is not UTF-8; {advice}", self._target.path
            )
        if self._writer is None:
            self._begin(counted=batch.counts is not None)
        values = pa.array(np.ascontiguousarray(batch.vectors).reshape(-1))
        columns = [
            pa.array(batch.tokens, pa.binary()).cast(pa.string()),
            pa.FixedSizeListArray.from_arrays(values, self._dim),
        ]
        if self._counted:
            counts = batch.counts
            columns.append(pa.array(np.zeros(len(batch.tokens), np.uint64) if counts is None else counts))
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))

    def _begin(self, *, counted: bool) -> None:
        """Open the writer: the first batch says whether there are counts."""
        pa = self._pa
        fields = [("token", pa.string()), ("vector", pa.list_(pa.float32(), self._dim))]
        self._counted = counted
        if counted:
            fields.append(("count", pa.uint64()))
        stored = {_METADATA: json.dumps(self._metadata)} if self._metadata else None
        self._schema = pa.schema(fields, stored)
        if self._parquet:
            # no token comes twice, and hardly a float
            self._writer = pa.parquet.ParquetWriter(
                self._target.file, self._schema, compression="zstd", use_dictionary=False
            )
        else:
            self._writer = pa.ipc.new_file(self._target.file, self._schema)

    def finish(self) -> None:
        """Publish the file."""
        if self._writer is None:
            self._begin(counted=False)
        self._writer.close()
        self._target.commit()

    def abort(self) -> None:
        """Throw away what was written."""
        with suppress(OSError, ValueError):
            if self._writer is not None:
                self._writer.close()
        self._target.abort()
