"""finalfusion's ``.fifu`` files: chunks of a vocabulary, of vectors or product codes, of norms and metadata.

The layout is that of finalfusion 0.7 (Python) and finalfusion-rust. Vectors are read as the library gives them: with
length 1, their norms apart; ``--dataset original`` multiplies the two. Product codes are kept; where they are those of
rotated vectors, the vectors are decoded. Of subwords those in fastText's form are kept.
"""

from __future__ import annotations

import json
import struct
import tomllib
from dataclasses import dataclass, replace
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import qemb
from qemb_tools.interface import ReadOptions, Source, UsageError, source_error
from qemb_tools.matrix import MatrixSource, RowView, check_dim, check_shape
from qemb_tools.ngrams import Ngrams
from qemb_tools.quantized import QuantizedSource
from qemb_tools.stream import check_file
from qemb_tools.tokens import to_utf8

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_MAGIC: Final = b"FiFu"
_SIMPLE, _ARRAY, _BUCKETS, _QUANTIZED, _METADATA, _NORMS, _FASTTEXT, _EXPLICIT, _FLORET = range(1, 10)
_VOCABULARIES: Final = (_SIMPLE, _BUCKETS, _FASTTEXT, _EXPLICIT)
_UINT8, _FLOAT32 = 1, 10
_LONGEST_METADATA: Final = 1 << 16
_DATASETS: Final = ("unit", "original")


def sniff(head: bytes, path: str) -> bool:  # noqa: ARG001 - every format's sniff takes both
    """Whether this is a finalfusion file."""
    return head.startswith(_MAGIC)


def open_embeddings(path: str, options: ReadOptions) -> Source:
    """Open finalfusion embeddings.

    Raises
    ------
    UsageError
        ``--dataset`` is neither of its two, or the file has no norms.
    qemb.InvalidError
        The file is damaged, or has no words.
    """
    check_file(path)
    with open(path, "rb") as stream:
        if not sniff(stream.read(4), path):
            raise source_error("this is no finalfusion file; check the name", path, 0)
    with open(path, "rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as data:
        reader = _Reader(data, path)
        reader.chunks()
    if reader.words is None:
        what = "floret's hashed n-grams without words" if reader.floret else "no vocabulary"
        raise source_error(f"the file has {what}; there is nothing to convert", path)
    if options.dataset is not None and (options.dataset not in _DATASETS or reader.norms is None):
        kinds = "vectors of length 1 and as they were: --dataset unit or --dataset original"
        raise UsageError(f"{path} has {kinds if reader.norms is not None else 'one table; leave out --dataset'}")
    words = to_utf8(reader.words, options, lambda i: f"{path}, word {i:,}")
    source = _source(reader, words, path, original=options.dataset == "original")
    source.metadata |= reader.metadata
    return source


def _source(reader: _Reader, words: list[bytes], path: str, *, original: bool) -> Source:
    table = reader.quantized.codes if reader.quantized is not None else reader.array
    if table is None:
        raise source_error("the file has no vectors in it; there is nothing to convert", path)
    count, left = len(words), len(table) - len(words)
    if left < 0 or (reader.norms is not None and len(reader.norms) < count):
        raise source_error(f"there are {count:,} words and fewer rows or norms; fetch the file again", path)
    source: Source
    if reader.quantized is not None:
        source = _quantized(reader.quantized.first(count), words, path)
    elif original and reader.norms is not None:
        source = MatrixSource(words, _times(table[:count], reader.norms[:count]), path)
    else:
        ngrams = None
        if reader.fasttext is not None and reader.fasttext[1] == left > 0:
            ngrams, left = Ngrams(*reader.fasttext, table[count:]), 0
        source = MatrixSource(words, table[:count], path, ngrams=ngrams)
        if reader.norms is not None:
            source.notes.append("norms left out: the vectors have length 1 (--dataset original multiplies them)")
    if left:
        source.notes.append(f"subword rows left out, which only finalfusion finds: {left:,}")
    return source


def _times(table: NDArray[Any], norms: NDArray[Any]) -> RowView:
    return RowView((len(table), table.shape[1]), table.dtype, lambda rows: table[rows] * norms[rows, None])


def _quantized(quantized: _Quantized, words: list[bytes], path: str) -> Source:
    if quantized.projection is None:
        return _Codes(words, quantized, path)
    return MatrixSource(words, RowView((len(words), quantized.dim), np.dtype(np.float32), quantized.decode), path)


@dataclass(frozen=True)
class _Quantized:
    """Product codes, uint8 of shape (rows, M); levels (M, K, L); a norm for each row; a projection (dim, dim)."""

    codes: NDArray[np.uint8]
    levels: NDArray[np.float32]
    norms: NDArray[np.float32] | None
    projection: NDArray[np.float32] | None

    @property
    def dim(self) -> int:
        return int(self.levels.shape[0] * self.levels.shape[2])

    def first(self, rows: int) -> _Quantized:
        """The first rows alone."""
        norms = None if self.norms is None else self.norms[:rows]
        return replace(self, codes=self.codes[:rows], norms=norms)

    def decode(self, rows: slice) -> NDArray[np.float32]:
        """Rows as the library reconstructs them."""
        codes = self.codes[rows]
        vectors = self.levels[np.arange(self.levels.shape[0]), codes].reshape(len(codes), self.dim)
        if self.projection is not None:
            vectors = vectors @ self.projection.T
        return vectors if self.norms is None else vectors * self.norms[rows, None]


class _Codes(QuantizedSource):
    """Product codes that are kept."""

    def __init__(self, words: list[bytes], quantized: _Quantized, path: str) -> None:
        levels = quantized.levels
        check_shape(len(words), quantized.dim, words, path)
        bits = max(1, (levels.shape[1] - 1).bit_length())
        padded = np.zeros((levels.shape[0], 1 << bits, levels.shape[2]), np.float32)
        padded[:, : levels.shape[1]] = levels
        scale = "none" if quantized.norms is None else "row"
        code_format = qemb.CodeFormat(bits=bits, levels=padded, scale=scale, scale_dtype="float32")
        super().__init__(words, quantized.dim, f"finalfusion product codes, {levels.shape[2]} values each", code_format)
        self._quantized = quantized

    def codes(self, rows: slice) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]:
        norms = self._quantized.norms
        return self._quantized.codes[rows], None if norms is None else norms[rows], None


class _Reader:
    """A cursor over the file: no length is believed before the bytes are known to be there."""

    def __init__(self, data: mmap, path: str) -> None:
        self.words: list[bytes] | None = None
        self.fasttext: tuple[qemb.Subwords, int] | None = None
        self.array: NDArray[np.float32] | None = None
        self.quantized: _Quantized | None = None
        self.norms: NDArray[np.float32] | None = None
        self.metadata: dict[str, Any] = {}
        self.floret = False
        self._at = 0
        self._data = data
        self._path = path

    def chunks(self) -> None:
        """Read all chunks; those of unknown kinds are passed over."""
        self._skip(len(_MAGIC))
        version, count = self._numbers("II")
        if version != 0:
            raise source_error(f"the finalfusion file is of version {version}; 0 is known: upgrade qemb", self._path, 4)
        self._skip(4 * count)
        readers: dict[int, Callable[[], None]] = {_ARRAY: self._array, _QUANTIZED: self._product, _NORMS: self._norms}
        for _ in range(count):
            kind, size = self._numbers("IQ")
            start = self._skip(size)
            if kind in _VOCABULARIES:
                self._at = start
                self._vocabulary(kind)  # whose size is too small in what the Python library writes of n-grams
                continue
            if kind in readers:
                self._at = start
                readers[kind]()
                if self._at > start + size:
                    raise self._damaged()
            elif kind == _METADATA:
                self.metadata = _toml(self._data[start : start + size])
            self.floret |= kind == _FLORET
            self._at = start + size

    def _vocabulary(self, kind: int) -> None:
        (count,) = self._numbers("Q")
        grams = 0
        if kind == _EXPLICIT:
            (grams,) = self._numbers("Q")
        if kind in (_BUCKETS, _FASTTEXT):
            shortest, longest, buckets = self._numbers("III")
            if kind == _FASTTEXT and 1 <= shortest <= longest <= 64:
                self.fasttext = qemb.Subwords(shortest, longest), buckets
        elif kind == _EXPLICIT:
            self._skip(8)
        self.words = [self._string() for _ in range(count)]
        for _ in range(grams):
            self._string()
            self._skip(8)

    def _array(self) -> None:
        rows, dim, kind = self._numbers("QII")
        self._expect(kind, _FLOAT32)
        self._pad()
        check_dim(dim, self._path)
        self.array = self._map("<f4", (rows, dim))

    def _product(self) -> None:
        projected, normed, count, dim, centroids, rows, code, value = self._numbers("IIIIIQII")
        self._expect(code, _UINT8)
        self._expect(value, _FLOAT32)
        self._pad()
        check_dim(dim, self._path)
        if count < 1 or dim % count or not 1 <= centroids <= 256:
            raise self._damaged()
        projection = self._map("<f4", (dim, dim)) if projected else None
        levels = np.array(self._map("<f4", (count, centroids, dim // count)))
        norms = self._map("<f4", (rows,)) if normed else None
        codes = self._map("u1", (rows, count))
        if codes.size and codes.max() >= centroids:
            raise self._damaged()
        self.quantized = _Quantized(codes, levels, norms, projection)

    def _norms(self) -> None:
        rows, kind = self._numbers("QI")
        self._expect(kind, _FLOAT32)
        self._pad()
        self.norms = self._map("<f4", (rows,))

    def _damaged(self) -> qemb.InvalidError:
        return source_error("the file is damaged or cut short; fetch it again", self._path, self._at)

    def _expect(self, kind: int, wanted: int) -> None:
        if kind != wanted:
            raise source_error(f"values of type {kind} are not read; float32 and uint8 codes are", self._path, self._at)

    def _skip(self, size: int) -> int:
        """Move on by ``size`` bytes; where they begin."""
        start = self._at
        if size > len(self._data) - start:
            raise self._damaged()
        self._at += size
        return start

    def _pad(self) -> None:
        """Pass over 1 to 4 bytes, as the library pads: never none."""
        self._skip(4 - self._at % 4)

    def _numbers(self, kinds: str) -> tuple[int, ...]:
        return struct.unpack_from(f"<{kinds}", self._data, self._skip(struct.calcsize(f"<{kinds}")))

    def _string(self) -> bytes:
        (size,) = self._numbers("I")
        start = self._skip(size)
        return self._data[start : start + size]

    def _map(self, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        size = np.dtype(dtype).itemsize
        for length in shape:
            size *= length
        start = self._skip(size)
        return np.memmap(self._path, dtype, "r", start, shape) if size else np.empty(shape, dtype)


def _toml(data: bytes) -> dict[str, Any]:
    """Metadata as JSON has them: dates become strings. What is no TOML is kept as text."""
    text = data[:_LONGEST_METADATA].decode("utf-8", "replace")
    try:
        if len(data) > _LONGEST_METADATA:
            raise ValueError("tomllib takes the square of its length for some")  # noqa: TRY301 - one way out
        values: dict[str, Any] = json.loads(json.dumps(tomllib.loads(text), default=str))
    except (ValueError, RecursionError):
        values = {"text": text}
    return {"finalfusion": values}
