"""fastText's own models: ``.bin`` of both versions, supervised or not, and the quantized ``.ftz``.

The vector of a word is the mean of its own row and those of its n-grams, and is stored as it is used; the rows of the
buckets follow, so that words out of the vocabulary have vectors too. A quantized model without n-grams is kept as
product codes. The layout is that of ``FastText::saveModel``, ``Dictionary::save``, ``QMatrix::save`` and
``ProductQuantizer::save`` in fastText 0.9.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import qemb
from qemb_tools.interface import Batch, ReadOptions, Source, batch_rows, source_error
from qemb_tools.matrix import check_shape
from qemb_tools.ngrams import Ngrams
from qemb_tools.quantized import QuantizedSource
from qemb_tools.stream import check_file, map_bytes
from qemb_tools.tokens import check_encoding, to_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from qemb_tools.ngrams import Rows

_MAGIC = struct.pack("<i", 793712314)
_SUPERVISED = 3
_SETTINGS = ("dim", "ws", "epoch", "minCount", "neg", "wordNgrams", "loss", "model", "bucket", "minn", "maxn", "rate")
_SETTINGS_STRUCT = struct.Struct("<12i")
_END_OF_SENTENCE = b"</s>"
"""The one word that fastText does not cut into n-grams."""
_CENTROIDS = 256


def sniff(head: bytes, path: str) -> bool:  # noqa: ARG001 - every format's sniff takes both
    """Whether this is a fastText model: its magic, or the settings that the first version started with."""
    if head.startswith(_MAGIC):
        return True
    if len(head) < _SETTINGS_STRUCT.size:
        return False
    settings = dict(zip(_SETTINGS, _SETTINGS_STRUCT.unpack_from(head), strict=True))
    small = ("ws", "epoch", "minCount", "neg", "wordNgrams", "minn", "maxn")
    return (
        0 < settings["dim"] < 1 << 16
        and all(0 <= settings[name] < 1 << 16 for name in small)
        and settings["loss"] in (1, 2, 3)
        and settings["model"] in (1, 2, 3)
    )


def open_model(path: str, options: ReadOptions) -> Source:
    """Open a fastText model.

    Raises
    ------
    qemb.InvalidError
        The file is damaged, or of a version that is not known.
    """
    check_encoding(options)
    check_file(path)
    model = _Reader(path).model(options)
    if isinstance(model.matrix, _Product) and model.ngrams is None:
        return _QuantizedModel(model, model.matrix, path)
    return _ComposedModel(model)


@dataclass(frozen=True)
class _Product:
    """A matrix in product codes, with the norms of its rows."""

    dim: int
    levels: NDArray[np.float32]
    """Shape (codes in a row, 256, values in a sub-vector)."""
    codes: NDArray[np.uint8]
    norms: NDArray[np.float32] | None

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.codes), self.dim

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        count, _, values = self.levels.shape
        found = self.levels[np.arange(count), self.codes[rows]].reshape(len(rows), count * values)[:, : self.dim]
        return found if self.norms is None else self.norms[rows, None] * found


@dataclass(frozen=True)
class _Model:
    """What of a model is used."""

    names: list[bytes]
    """Words as they are called afterwards."""
    words: list[bytes]
    """Words as the file has them, whose bytes are hashed."""
    counts: NDArray[np.uint64]
    matrix: Rows
    """A row for each word, then one for each bucket."""
    ngrams: Ngrams | None
    private: bool
    """Whether the n-grams are of use for the words of the model alone."""
    notes: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


class _ComposedModel(Source):
    """Words with the vectors that fastText gives them, and the rows of the buckets."""

    def __init__(self, model: _Model) -> None:
        super().__init__()
        self._model = model
        self.rows = self.expected = len(model.words)
        self.dim = int(model.matrix.shape[1])
        self.metadata = model.metadata
        self.notes = model.notes
        if model.ngrams is not None and not model.private:
            self.subwords = model.ngrams.subwords

    def batches(self) -> Iterator[Batch]:
        """Yield the words in order."""
        model = self._model
        step = batch_rows(self.dim)
        for start in range(0, len(model.words), step):
            stop = min(start + step, len(model.words))
            own = model.matrix[np.arange(start, stop)]
            vectors = own if model.ngrams is None else model.ngrams.compose(model.words[start:stop], own)
            yield Batch(model.names[start:stop], vectors, model.counts[start:stop])

    def buckets(self) -> Iterator[NDArray[np.float32]]:
        """Yield the rows of the buckets in order."""
        first, rows = len(self._model.words), int(self._model.matrix.shape[0])
        step = batch_rows(self.dim)
        for start in range(first, rows, step):
            yield self._model.matrix[np.arange(start, min(start + step, rows))]


class _QuantizedModel(QuantizedSource):
    """Words of a quantized model without n-grams: its product codes."""

    def __init__(self, model: _Model, matrix: _Product, path: str) -> None:
        code_format = qemb.CodeFormat(
            bits=8, levels=matrix.levels, scale="none" if matrix.norms is None else "row", scale_dtype="float32"
        )
        check_shape(len(model.names), matrix.dim, model.names, path)
        name = f"fastText product quantization, {matrix.levels.shape[2]} values a code"
        super().__init__(model.names, matrix.dim, name, code_format)
        self.notes += model.notes
        self.metadata |= model.metadata
        self._matrix = matrix

    def codes(self, rows: slice) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]:
        """Codes and norms of rows."""
        norms = self._matrix.norms
        return self._matrix.codes[rows], None if norms is None else norms[rows], None


class _Reader:
    """Goes through a file once, front to back; matrices are mapped."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._data, _ = map_bytes(path)
        self._at = 0

    def model(self, options: ReadOptions) -> _Model:
        """Read everything that is used."""
        new = self._data[:4] == _MAGIC
        version = 0
        if new:
            _, version = self._take("2i")
            if version not in (11, 12):
                raise source_error(
                    f"the fastText model is of version {version}; 11 and 12 are known: upgrade qemb", self._path, 4
                )
        settings = dict(zip(_SETTINGS, self._take("12i"), strict=True))
        self._take("d")
        supervised = settings["model"] == _SUPERVISED
        if version == 11 and supervised:
            settings["maxn"] = 0  # FastText::loadModel: "old supervised models do not use char ngrams"
        words, counts, labels, pruned = self._dictionary(new=new)
        quantized = bool(self._take("?")[0]) if new else False
        matrix: Rows = self._product() if quantized else self._dense()
        rows, dim = matrix.shape
        if dim != settings["dim"] or rows < len(words):
            raise self._bad(f"a matrix of {rows:,} x {dim:,} for {len(words):,} words of {settings['dim']:,} values")
        names = to_utf8(words, options, lambda word: f"{self._path}, word {word:,}")
        notes = [f"labels of the model, left out: {labels:,}"] if labels else []
        ngrams = self._ngrams(settings, words, matrix, pruned)
        left_out = rows - len(words)
        if ngrams is None and left_out:
            notes.append(f"rows of word n-grams, left out: {left_out:,}")
        private = ngrams is not None and (ngrams.left is not None or names != words)
        if private:
            reason = "a pruned model" if names == words else f"a model that hashes words in {options.encoding}"
            notes.append(f"subword buckets of {reason}, of use for its own words alone, left out: {left_out:,}")
        metadata = {"fasttext": {name: settings[name] for name in ("minn", "maxn", "bucket", "wordNgrams")}}
        metadata["fasttext"]["model"] = {1: "cbow", 2: "skipgram", 3: "supervised"}.get(settings["model"], "unknown")
        return _Model(names, words, counts, matrix, ngrams, private, notes, metadata)

    def _ngrams(
        self, settings: dict[str, int], words: list[bytes], matrix: Rows, pruned: NDArray[np.int32] | None
    ) -> Ngrams | None:
        shortest, longest, buckets = settings["minn"], settings["maxn"], settings["bucket"]
        rows = int(matrix.shape[0]) - len(words)
        if longest <= 0 or buckets <= 0 or rows == 0:
            return None
        if shortest < 0 or longest < shortest:
            raise self._bad(f"n-grams of {shortest} to {longest} characters")
        left = left_rows = None
        if pruned is not None:
            order = np.argsort(pruned[:, 0], kind="stable")
            left, left_rows = pruned[order, 0].astype(np.int64), pruned[order, 1].astype(np.int64)
            if len(left) != rows or left_rows.min() < 0 or left_rows.max() >= rows:
                raise self._bad(f"{len(left):,} buckets left of a pruned model, and {rows:,} rows for them")
        elif rows != buckets:
            raise self._bad(f"{buckets:,} buckets, and {rows:,} rows for them")
        # an n-gram of no characters is none, so that 0 and 1 mean the same
        subwords = qemb.Subwords(max(1, shortest), longest)
        return Ngrams(subwords, buckets, matrix, len(words), left, left_rows, frozenset({_END_OF_SENTENCE}))

    def _dictionary(self, *, new: bool) -> tuple[list[bytes], NDArray[np.uint64], int, NDArray[np.int32] | None]:
        """Words in the order of their rows, their counts, the number of labels, and what pruning left."""
        size, word_count, labels = self._take("3i")
        self._take("q")
        pruned_size = self._take("q")[0] if new else -1
        if size < 0 or word_count < 0 or word_count + labels != size:
            raise self._bad(f"a dictionary of {size:,} entries, {word_count:,} of them words and {labels:,} labels")
        words: list[bytes] = []
        counts: list[int] = []
        for number in range(size):
            end = self._data.find(b"\0", self._at)
            if end < 0 or end + 10 > len(self._data):
                raise self._bad(f"the dictionary breaks off at entry {number:,} of {size:,}")
            word = self._data[self._at : end]
            self._at = end + 1
            count, kind = self._take("qb")
            if (kind == 0) != (number < word_count):
                raise self._bad(f"entry {number:,} of the dictionary is out of order: words come before labels")
            if number < word_count:
                words.append(word)
                counts.append(max(0, count))
        pruned = None
        if pruned_size > 0:
            pruned = self._array("<i4", 2 * pruned_size, "the list of buckets that are left").reshape(-1, 2)
        return words, np.array(counts, np.uint64), labels, pruned

    def _dense(self) -> NDArray[np.float32]:
        rows, dim = self._take("2q")
        self._check_counts(rows, dim)
        return self._array("<f4", rows * dim, f"a matrix of {rows:,} x {dim:,}").reshape(rows, dim)

    def _product(self) -> _Product:
        with_norms, rows, dim, size = self._take("?qqi")
        self._check_counts(rows, dim)
        codes = self._array("u1", size, "the codes")
        levels = self._quantizer(dim)
        if size != rows * len(levels):
            raise self._bad(f"{size:,} codes for {rows:,} rows of {len(levels):,}")
        norms = None
        if with_norms:
            norm_codes = self._array("u1", rows, "the codes of norms")
            norms = self._quantizer(1)[0, :, 0][norm_codes]
        return _Product(dim, levels, codes.reshape(rows, len(levels)), norms)

    def _quantizer(self, expected_dim: int) -> NDArray[np.float32]:
        """Levels of a product quantizer, float32, shape (codes, 256, values); the last code may have fewer."""
        dim, codes, values, last = self._take("4i")
        if (
            dim != expected_dim
            or not 1 <= values <= dim
            or codes != -(-dim // values)
            or last != dim - values * (codes - 1)
        ):
            raise self._bad(f"a product quantizer of {codes:,} codes of {values:,} values for {expected_dim:,}")
        centroids = self._array("<f4", dim * _CENTROIDS, "the centroids")
        levels = np.zeros((codes, _CENTROIDS, values), np.float32)
        whole = (codes - 1) * _CENTROIDS * values
        levels[:-1] = centroids[:whole].reshape(codes - 1, _CENTROIDS, values)
        levels[-1, :, :last] = centroids[whole:].reshape(_CENTROIDS, last)
        if not np.isfinite(levels).all():
            raise self._bad("a centroid is not finite")
        return levels

    def _check_counts(self, rows: int, dim: int) -> None:
        if rows < 0 or not 0 < dim < 1 << 16:
            raise self._bad(f"a matrix of {rows:,} x {dim:,}")

    def _take(self, form: str) -> tuple[Any, ...]:
        packed = struct.Struct("<" + form)
        if self._at + packed.size > len(self._data):
            raise self._bad("it breaks off")
        values = packed.unpack_from(self._data, self._at)
        self._at += packed.size
        return values

    def _array(self, dtype: str, count: int, what: str) -> NDArray[Any]:
        size = count * np.dtype(dtype).itemsize
        if count < 0 or size > len(self._data) - self._at:
            raise self._bad(f"{what} would take {size:,} bytes, and {len(self._data) - self._at:,} are there")
        array = np.frombuffer(self._data, dtype, count, self._at)
        self._at += size
        return array

    def _bad(self, message: str) -> qemb.InvalidError:
        return source_error(f"the fastText model is damaged: {message}; fetch the file again", self._path, self._at)
