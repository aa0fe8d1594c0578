"""numpy's ``.npy`` and ``.npz``: a matrix; its words come from ``--tokens``, or from another array of the ``.npz``."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb_tools.interface import ReadOptions, Source, UsageError, source_error
from qemb_tools.matrix import MatrixSource
from qemb_tools.quantized import Int8Source
from qemb_tools.stream import check_file
from qemb_tools.tokens import read_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    import qemb

_WORDS = ("tokens", "words", "vocab", "vocabulary")
_SCALES = ("scale", "scales")


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
    try:
        # never with allow_pickle: a pickle can run anything
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _unreadable(error, path) from None
    return _source(tokens, matrix, None, path)


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
    try:
        # opened here, because numpy leaves a damaged file open
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
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
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise _unreadable(error, path) from None
    return _source(read_tokens(options) if words is None else _strings(words, path), matrix, scales, path)


def _source(tokens: list[bytes], matrix: NDArray[Any], scales: NDArray[Any] | None, path: str) -> Source:
    """int8 is quantized already, and kept; the scales of anything else are none of ours."""
    if matrix.dtype == np.int8 and matrix.ndim == 2:
        return Int8Source(tokens, matrix, scales, path)
    return MatrixSource(tokens, matrix, path)


def _strings(words: NDArray[Any], path: str) -> list[bytes]:
    if words.ndim != 1 or words.dtype.kind not in "US":
        raise source_error("the words are not an array of strings; name a file with them: --tokens FILE", path)
    return [word if isinstance(word, bytes) else word.encode("utf-8", "surrogateescape") for word in words.tolist()]


def _unreadable(error: Exception, path: str) -> qemb.InvalidError:
    reason = str(error).partition("\n")[0] or type(error).__name__
    return source_error(f"numpy cannot read the array ({reason}); check that the file is whole", path)
