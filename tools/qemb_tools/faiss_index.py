"""faiss indexes that hold rows in order: flat, scalar-quantized and product-quantized; words come from ``--tokens``.

A product-quantized index is kept exactly. So is a scalar-quantized one but for the last bit: faiss computes
``vmin + (code + 0.5) / 255 * vdiff``, fused to one operation where the dimension is a multiple of 8; a ``.qemb`` file
``vmin + vdiff / 510 * (2 * code + 1)``.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

import qemb
from qemb.packing import unpack
from qemb_tools.interface import Kept, ReadOptions, Source, missing_extra, source_error
from qemb_tools.matrix import Bfloat16Source, MatrixSource, check_shape
from qemb_tools.quantized import QuantizedSource
from qemb_tools.stream import check_file
from qemb_tools.tokens import read_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FLAT, _SCALAR, _PRODUCT = ((0, 4),), ((28, 4), (0, 1)), ((24, 4), (0, 1))
_KINDS = {
    b"IxFI": _FLAT, b"IxF2": _FLAT, b"IxFl": _FLAT, b"IxSQ": _SCALAR,
    b"IxPQ": _PRODUCT, b"IxPo": _PRODUCT, b"IxPq": _PRODUCT,
}  # fmt: skip
"""Marks of the three kinds, and of each the vectors in it: bytes before it, bytes of an item.

Indexes of other kinds may name files, which faiss opens, and nest.
"""
_HEADER = struct.Struct("<4sIqqqBi")
_COUNT = struct.Struct("<Q")
_MARK = (1 << 20).to_bytes(8, "little")
"""What faiss writes into the header of every index, after the dimension and the number of rows."""


def sniff(head: bytes, path: str) -> bool:  # noqa: ARG001 - every format's sniff takes both
    """Whether this is a faiss index: four letters that begin with I, dimension, rows, and a constant."""
    return head[:1] == b"I" and head[16:24] == _MARK


def open_index(path: str, options: ReadOptions) -> Source:
    """Open an index with the words of ``--tokens``.

    Raises
    ------
    UsageError
        ``--tokens`` is missing, or faiss is not installed.
    qemb.InvalidError
        The file cannot be read, or is an index of another kind.
    """
    check_file(path)
    tokens = read_tokens(options)
    _check_lengths(path)
    try:
        import faiss
    except ImportError:
        raise missing_extra("faiss", "faiss") from None
    try:
        index = faiss.read_index(path)
    except (RuntimeError, MemoryError) as error:
        reason = str(error).rpartition("Error: ")[2] or "out of memory"
        raise source_error(f"faiss cannot read it ({reason}); check that the file is whole", path) from None
    check_shape(index.ntotal, index.d, tokens, path)
    try:
        match index:
            case faiss.IndexFlat():
                return MatrixSource(tokens, _codes(index, path).view("<f4"), path)
            case faiss.IndexPQ():
                return _product(index, tokens, path)
            case faiss.IndexScalarQuantizer():
                return _scalar(index, tokens, path)
    except qemb.QembError:
        raise
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise source_error(f"its parts do not fit each other ({error}); check that the file is whole", path) from None
    kinds = "IndexFlat, IndexPQ and IndexScalarQuantizer are read"
    raise source_error(f"this is a {type(index).__name__}; {kinds}, which hold the rows in their order", path)


def _check_lengths(path: str) -> None:
    """Raise `qemb.InvalidError` for other kinds, and where a vector is longer than the file: faiss makes room first."""
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        head = stream.read(_HEADER.size)
        if head[:4] not in _KINDS:
            kinds = "IndexFlat, IndexPQ and IndexScalarQuantizer are read"
            shown = ascii(head[:4])[1:]
            raise source_error(f"this is an index of kind {shown}; {kinds}, which hold rows in order", path, 0)
        at = len(head)
        if at == _HEADER.size and _HEADER.unpack(head)[-1] > 1:
            at += 4  # the argument of a metric
        for before, item in _KINDS[head[:4]]:
            at += before
            stream.seek(at)
            count = stream.read(_COUNT.size)
            at += _COUNT.size
            if len(count) < _COUNT.size or _COUNT.unpack(count)[0] * item > size - at:
                raise source_error("the index runs past the end of the file; fetch it again", path, at)
            at += _COUNT.unpack(count)[0] * item


class _IndexSource(QuantizedSource):
    """Codes as faiss packs them, which is as a ``.qemb`` file does, but unsigned where levels are linear."""

    def __init__(
        self, tokens: list[bytes], packed: NDArray[np.uint8], dim: int, name: str, code_format: qemb.CodeFormat
    ) -> None:
        super().__init__(tokens, dim, name, code_format)
        self._packed = packed
        self._bits = code_format.bits
        self._linear = code_format.levels is None
        self._count = dim if code_format.levels is None else len(code_format.levels)

    def codes(self, rows: slice) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]:
        """The codes of rows, signed where they are linear."""
        codes = unpack(self._packed[rows], self._count, self._bits).astype(np.int32)
        return codes - (1 << (self._bits - 1)) if self._linear else codes, None, None


def _product(index: Any, tokens: list[bytes], path: str) -> Source:  # noqa: ANN401
    import faiss

    pq = index.pq
    centroids = faiss.vector_to_array(pq.centroids).reshape(pq.M, pq.ksub, pq.dsub)
    code_format = qemb.CodeFormat(bits=pq.nbits, levels=centroids)
    return _IndexSource(tokens, _codes(index, path), index.d, "faiss PQ", code_format)


def _scalar(index: Any, tokens: list[bytes], path: str) -> Source:  # noqa: ANN401
    import faiss

    kinds = {getattr(faiss.ScalarQuantizer, name): name for name in dir(faiss.ScalarQuantizer) if name[:3] == "QT_"}
    kind = kinds.get(index.sq.qtype, "")
    packed = _codes(index, path)
    source: Source
    if kind in ("QT_fp16", "QT_bf16"):
        half = kind == "QT_fp16"
        source = (MatrixSource if half else Bfloat16Source)(tokens, packed.view("<f2" if half else "<u2"), path)
        source.kept = Kept(f"faiss SQ {kind[3:]}", options={"scheme": "float16" if half else "bfloat16"})
        return source
    if kind in ("QT_8bit_direct", "QT_8bit_direct_signed"):
        bias = 0 if kind.endswith("signed") else -128
        code_format = qemb.CodeFormat(bits=8, bias=bias, scale="table", scales=np.ones(1, np.float32))
    elif kind in ("QT_4bit", "QT_6bit", "QT_8bit", "QT_4bit_uniform", "QT_8bit_uniform"):
        code_format = _ranges(faiss.vector_to_array(index.sq.trained), int(kind[3]), uniform=kind.endswith("uniform"))
    else:
        raise source_error(f"scalar quantizers of type {kind or index.sq.qtype} are not read", path)
    return _IndexSource(tokens, packed, index.d, f"faiss SQ {kind[3:]}", code_format)


def _ranges(trained: NDArray[np.float32], bits: int, *, uniform: bool) -> qemb.CodeFormat:
    """Levels 2 * code + 1 from the smallest value up; ``trained`` is that, then the widths of the ranges."""
    low, width = np.split(trained, 2)
    group = "table" if uniform else "column"
    return qemb.CodeFormat(
        bits=bits,
        step=2,
        bias=-(1 << bits) - 1,
        scale=group,
        scales=(width / (2.0 * ((1 << bits) - 1))).astype(np.float32),
        offset=group,
        offsets=low,
    )


def _codes(index: Any, path: str) -> NDArray[np.uint8]:  # noqa: ANN401
    """The codes of all rows, uint8, shape (rows, bytes of a row)."""
    import faiss

    codes: NDArray[np.uint8] = faiss.vector_to_array(index.codes)
    if len(codes) != index.ntotal * index.code_size:
        raise source_error(f"{len(codes):,} bytes of codes for {index.ntotal:,} rows; check the file", path)
    return codes.reshape(index.ntotal, index.code_size)
