"""numpy's ``.npy`` and ``.npz``: a matrix; its words come from ``--tokens``, or from another array of the ``.npz``.

The ``.npz`` that is written holds ``vectors`` (float32, rows x dim), ``tokens`` (strings; bytes that are not UTF-8 are
lone surrogates, as Python's ``surrogateescape`` makes them), and ``counts`` (uint64) where the source has counts.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
import zipfile
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import qemb
from qemb.atomic import AtomicFile
from qemb_tools.interface import Batch, ReadOptions, Sink, Source, UsageError, some_of, source_error
from qemb_tools.matrix import MatrixSource
from qemb_tools.quantized import Int8Source
from qemb_tools.spool import Spool
from qemb_tools.stream import ZIP_ERRORS, check_file, copy_member
from qemb_tools.tokens import read_tokens, show

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, BinaryIO

    from numpy.typing import NDArray


LARGEST_STRINGS = 1 << 31
"""Bytes of an array of strings, each as long as the longest, that may be asked of a reader's memory."""
_STEP = 1 << 14

_WORDS = ("tokens", "words", "vocab", "vocabulary")
_SCALES = ("scale", "scales")
_COUNTS = "counts"


def sniff(head: bytes, path: str) -> bool:  # noqa: ARG001 - every format's sniff takes both
    """Whether this is an ``.npy`` file."""
    return head.startswith(b"\x93NUMPY")


def sniff_npz(head: bytes, path: str) -> bool:
    """Whether this is an ``.npz`` file: a zip whose members are arrays."""
    if not head.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except ZIP_ERRORS:
        return False


def open_npy(path: str, options: ReadOptions) -> Source:
    """Open an ``.npy`` matrix, mapped, with the words of ``--tokens``.

    Raises
    ------
    UsageError
        ``--tokens`` is missing.
    qemb.InvalidError
        The array cannot be read, or its rows are not as many as the tokens.
    """
    check_file(path)
    tokens = read_tokens(options)
    return _source(tokens, map_array(path), None, path)


def map_array(path: str, member: str | None = None) -> NDArray[Any]:
    """The array of an ``.npy`` file, or of a member of an ``.npz``. Raises `qemb.InvalidError` if it cannot be read."""
    with _reading(path), open(path, "rb") as stream:
        if member is None:
            return _map(stream)
        with zipfile.ZipFile(stream) as archive:
            return _map_member(archive, member, path)


def _map(stream: IO[bytes]) -> NDArray[Any]:
    """The array of an open file, mapped; never one of objects, which would be a pickle."""
    shape, fortran, dtype = _read_header(stream)
    if dtype.hasobject:
        raise ValueError("the array holds Python objects, which are not read")
    order: Literal["F", "C"] = "F" if fortran else "C"
    if not prod(shape) * dtype.itemsize:
        return np.empty(shape, dtype, order)  # which cannot be mapped
    array: NDArray[Any] = np.memmap(stream, dtype, "r", stream.tell(), shape, order)
    return array


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that Python 2 wrote it
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
        else:
            raise ValueError(f"version {version[0]} of the format is not that of matrices")
    if any(length < 0 for length in shape):
        raise ValueError("a length is negative")
    return shape, fortran, dtype


def _map_member(archive: zipfile.ZipFile, name: str, path: str) -> NDArray[Any]:
    """An array of an ``.npz`` file, from an unnamed temporary file."""
    with tempfile.TemporaryFile() as plain:
        copy_member(archive, f"{name}.npy", path, plain)
        plain.seek(0)
        return _map(plain)


def open_npz(path: str, options: ReadOptions) -> Source:
    """Open one matrix of an ``.npz`` file, with the words of ``--tokens`` or of its only array of strings.

    An int8 matrix is multiplied by the array ``scale`` or ``scales``, where there is one.

    Raises
    ------
    UsageError
        Several matrices and no ``--dataset``, or no tokens.
    qemb.InvalidError
        The file cannot be read, or its rows are not as many as the tokens.
    """
    check_file(path)
    with _reading(path), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        words = None
        if options.tokens is None:
            words = next((_map_member(archive, name, path) for name in _WORDS if name in names), None)
        name = options.dataset
        if name is None:
            others = [n for n in names if n not in _WORDS + _SCALES]
            candidates = [n for n in others if _dimensions(archive, n) == 2] if len(others) > 1 else others
            if len(candidates) != 1:
                raise UsageError(f"{path} holds {some_of(names) or 'no array'}; name the vectors: --dataset NAME")
            name = candidates[0]
        if name not in names:
            raise UsageError(f"{path} has no array {name!r}; it holds {some_of(names) or 'none'}")
        matrix = _map_member(archive, name, path)
        scales = next((_map_member(archive, name, path) for name in _SCALES if name in names), None)
        counts = _map_member(archive, _COUNTS, path) if _COUNTS in names else None
    tokens = read_tokens(options) if words is None else _strings(words, path)
    return _source(tokens, matrix, scales, path, counts)


def _dimensions(archive: zipfile.ZipFile, name: str) -> int:
    with archive.open(f"{name}.npy") as stream:
        return len(_read_header(stream)[0])


def _source(
    tokens: list[bytes],
    matrix: NDArray[Any],
    scales: NDArray[Any] | None,
    path: str,
    counts: NDArray[Any] | None = None,
) -> Source:
    """int8 is quantized already, and kept; the scales of anything else are none of ours."""
    if matrix.dtype == np.int8 and matrix.ndim == 2:
        return Int8Source(tokens, matrix, scales, path)
    if counts is not None and not (counts.dtype.kind in "iu" and (counts >= 0).all()):
        counts = None
    return MatrixSource(tokens, matrix, path, counts)


def _strings(words: NDArray[Any], path: str) -> list[bytes]:
    if words.ndim != 1 or words.dtype.kind not in "US":
        raise source_error("the words are not an array of strings; name a file with them: --tokens FILE", path)
    try:
        return [word if isinstance(word, bytes) else word.encode("utf-8", "surrogateescape") for word in words.tolist()]
    except (ValueError, SystemError):  # what numpy raises depends on the character
        raise source_error("a word has a character that Unicode has not; check that the file is whole", path) from None


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Put what numpy raises on a damaged file into one line."""
    try:
        yield
    except (UsageError, qemb.QembError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever breaks first
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise source_error(f"numpy cannot read the array ({reason}); check that the file is whole", path) from None


class NpzSink(Sink):
    """An ``.npz`` file, made when all rows are there, since an array begins with its shape."""

    def __init__(self, path: str, dim: int) -> None:
        self.notes = []
        self._dim = dim
        self._target = AtomicFile(path)
        try:
            self._spool = Spool(self._target.path, dim)
        except BaseException:
            self._target.abort()
            raise

    def append(self, batch: Batch) -> None:
        """Take the rows of a batch."""
        for token in batch.tokens:
            if token.endswith(b"\0"):
                raise source_error(f"numpy's strings cannot end in NUL as {show(token)} does", self._target.path)
        self._spool.append(batch)

    def finish(self) -> None:
        """Write the arrays and publish the file."""
        spool = self._spool
        rows = len(spool.tokens)
        with _archive(self._target.file) as archive:
            with _member(archive, "vectors", "<f4", (rows, self._dim)) as stream:
                spool.file.seek(0)
                shutil.copyfileobj(spool.file, stream, 1 << 20)
            tokens = [token.decode("utf-8", "surrogateescape") for token in spool.tokens]
            longest = max(map(len, tokens), default=1) or 1
            if 4 * longest * rows > LARGEST_STRINGS:
                raise source_error(
                    f"each of {rows:,} strings of an array takes the room of the longest, {longest:,} characters; "
                    "write HDF5 or safetensors",
                    self._target.path,
                )
            kind = f"<U{longest}"
            with _member(archive, "tokens", kind, (rows,), zipfile.ZIP_DEFLATED) as stream:
                for start in range(0, rows, _STEP):
                    stream.write(np.array(tokens[start : start + _STEP], kind).tobytes())
            counts = spool.counts
            if counts is not None:
                with _member(archive, "counts", "<u8", (rows,)) as stream:
                    stream.write(counts.astype("<u8").tobytes())
        self._target.commit()

    def abort(self) -> None:
        """Throw away what was written."""
        self._spool.close()
        self._target.abort()


@contextmanager
def _archive(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """An archive that is closed only where all went well: closing half of one fails, and would hide why."""
    archive = zipfile.ZipFile(file, "w")
    try:
        yield archive
    except BaseException:
        archive.fp = None  # nor does it close itself when it is forgotten
        raise
    archive.close()


def _member(
    archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...], compression: int = zipfile.ZIP_STORED
) -> IO[bytes]:
    """Begin an array of an ``.npz`` file: its header, behind which its data are to be written."""
    information = zipfile.ZipInfo(f"{name}.npy")
    information.compress_type = compression
    stream = archive.open(information, "w", force_zip64=True)
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream
