"""numpy's ``.npy`` and ``.npz``: a matrix; its words come from ``--tokens``, or from another array of the ``.npz``.

The ``.npz`` that is written holds ``vectors`` (float32, rows x dim), ``tokens`` (strings; bytes that are not UTF-8 are
lone surrogates, as Python's ``surrogateescape`` makes them), and ``counts`` (uint64) where the source has counts.
"""

from __future__ import annotations

import shutil
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.atomic import AtomicFile
from qemb_tools.interface import Batch, ReadOptions, Sink, Source, UsageError, source_error
from qemb_tools.matrix import MatrixSource
from qemb_tools.quantized import Int8Source
from qemb_tools.spool import Spool
from qemb_tools.stream import check_file
from qemb_tools.tokens import read_tokens, show

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

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
    except (OSError, zipfile.BadZipFile):
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


def map_array(path: str) -> NDArray[Any]:
    """The array of an ``.npy`` file, mapped. Raises `qemb.InvalidError` where it cannot be read."""
    with _reading(path):
        # never with allow_pickle: a pickle can run anything
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


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
    # opened here, because numpy leaves a damaged file open
    with _reading(path), open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
        names = archive.files
        words = None
        if options.tokens is None:
            words = next((archive[name] for name in _WORDS if name in names), None)
        name = options.dataset
        if name is None:
            others = [n for n in names if n not in _WORDS + _SCALES]
            candidates = [n for n in others if archive[n].ndim == 2] if len(others) > 1 else others
            if len(candidates) != 1:
                raise UsageError(f"{path} holds {', '.join(names)}; name the vectors: --dataset NAME")
            name = candidates[0]
        if name not in names:
            raise UsageError(f"{path} has no array {name!r}; it holds {', '.join(names)}")
        matrix = archive[name]
        scales = next((archive[name] for name in _SCALES if name in names), None)
        counts = archive[_COUNTS] if _COUNTS in names else None
    tokens = read_tokens(options) if words is None else _strings(words, path)
    return _source(tokens, matrix, scales, path, counts)


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
    return [word if isinstance(word, bytes) else word.encode("utf-8", "surrogateescape") for word in words.tolist()]


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Put what numpy raises on a damaged file into one line."""
    try:
        yield
    except UsageError:
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
        with zipfile.ZipFile(self._target.file, "w") as archive:
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


def _member(
    archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...], compression: int = zipfile.ZIP_STORED
) -> IO[bytes]:
    """Begin an array of an ``.npz`` file: its header, behind which its data are to be written."""
    information = zipfile.ZipInfo(f"{name}.npy")
    information.compress_type = compression
    stream = archive.open(information, "w", force_zip64=True)
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream
