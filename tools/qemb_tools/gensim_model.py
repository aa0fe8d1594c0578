"""Models that gensim saved, of every age, and gensim's objects in memory.

gensim saves pickles. They are read inertly (see ``inert_pickle``): nothing in the file is run, gensim is not needed,
and models that today's gensim refuses are read as well.

What is written is a `KeyedVectors`, saved by gensim itself.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import qemb
from qemb_tools.inert_pickle import NotAllowedError, Record, UnpicklingError, as_array, load
from qemb_tools.interface import Batch, ReadOptions, Sink, Source, missing_extra, source_error
from qemb_tools.matrix import MatrixSource
from qemb_tools.ngrams import Ngrams
from qemb_tools.npy import map_array
from qemb_tools.spool import Spool
from qemb_tools.stream import map_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def sniff(head: bytes, path: str) -> bool:  # noqa: ARG001 - every format's sniff takes both
    """Whether this is a pickle that names gensim at its start."""
    return head[:1] in (b"\x80", b"c") and b"gensim" in head[:256]


def open_model(path: str, options: ReadOptions) -> Source:  # noqa: ARG001 - no option applies
    """Open a saved KeyedVectors, Word2Vec, Doc2Vec (its word vectors), FastText or Poincaré model.

    Raises
    ------
    qemb.InvalidError
        The file is damaged, a file that belongs to it is missing, or the model holds no word vectors.
    UsageError
        gensim is needed and not installed.
    """
    data, compressed = map_bytes(path)
    try:
        model = load(data)
    except NotAllowedError as error:
        advice = (
            "nothing in the file was run; where it can be trusted, save its vectors alone with gensim: model.wv.save"
        )
        raise source_error(f"the pickle is refused: {error}; {advice}", path, error.offset) from None
    except UnpicklingError as error:
        reason = f"the pickle cannot be read: {error}; check that the file is whole"
        raise source_error(reason, path, error.offset) from None
    if not isinstance(model, Record):
        raise source_error("the pickle holds no gensim model; check the file", path)
    prefix, vectors_of = path, model
    for name in ("wv", "kv"):
        inner = model.attribute(name)
        if isinstance(inner, Record):
            prefix, vectors_of = f"{path}.{name}", inner
            break
    words = _words(vectors_of)
    matrix = _array(vectors_of, ("vectors", "syn0"), prefix, compressed=compressed)
    ngrams = _ngrams(vectors_of, model, prefix, compressed=compressed)
    if matrix is None and words is not None:
        # in the file are each word's own row and those of its n-grams
        matrix = _array(vectors_of, ("vectors_vocab",), prefix, compressed=compressed)
        if matrix is not None and ngrams is not None:
            _check_ngrams(ngrams, matrix, len(words), path)
            matrix = ngrams.compose(_encode(words, path), matrix[: len(words)])
    matrix = None if words is None else _first(matrix, len(words))
    if words is None or matrix is None:
        raise source_error(f"a gensim {model.name} holds no word vectors; there is nothing to convert", path)
    if ngrams is not None:
        _check_ngrams(ngrams, matrix, len(words), path)
    source = MatrixSource(_encode(words, path), matrix, path, _counts(vectors_of, words), ngrams=ngrams)
    return _described(source, model.name)


def from_object(model: object) -> Source:
    """Take the vectors of a gensim object in memory: KeyedVectors, or a model with its vectors in ``wv``.

    Raises
    ------
    TypeError
        The object has neither.
    """
    vectors = getattr(model, "wv", model)
    try:
        words, matrix = vectors.index_to_key, vectors.vectors  # type: ignore[attr-defined]
    except AttributeError:
        raise TypeError(f"a gensim model or KeyedVectors is wanted, not {type(model).__name__}") from None
    counts = getattr(vectors, "expandos", {}).get("count")
    ngrams = None
    grams, buckets = getattr(vectors, "vectors_ngrams", None), getattr(vectors, "bucket", 0)
    if grams is not None and buckets:
        ngrams = Ngrams(qemb.Subwords(max(1, vectors.min_n), vectors.max_n), buckets, grams)  # type: ignore[attr-defined]
    source = MatrixSource(
        _encode(words, "the model"),
        matrix[: len(words)],
        type(model).__name__,
        _whole(counts[: len(words)] if counts is not None else None),
        ngrams=ngrams,
    )
    return _described(source, type(model).__name__)


def _described(source: Source, name: str) -> Source:
    """Say what class of gensim's the vectors are from, and what of it was left out."""
    source.metadata["gensim"] = name
    if name == "Doc2Vec":
        source.notes.append("the word vectors of the Doc2Vec model were taken; its document vectors were left out")
    return source


def _first(array: NDArray[Any] | None, rows: int) -> NDArray[Any] | None:
    """The first rows of an array; None where it has no rows."""
    return array[:rows] if array is not None and array.ndim else None


def _check_ngrams(ngrams: Ngrams, matrix: NDArray[Any], rows: int, path: str) -> None:
    if len(matrix) < rows or matrix.ndim != 2 or ngrams.matrix.shape[1:] != matrix.shape[1:]:
        raise source_error("the rows of words and of n-grams do not fit each other; fetch the file again", path)


def _encode(words: Iterable[Any], path: str) -> list[bytes]:
    # keys may be numbers; surrogates are what is left of bytes that were not UTF-8
    try:
        return [word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogateescape") for word in words]
    except UnicodeEncodeError as error:
        raise source_error(f"the word {error.object[:40]!a} is no text; mend the model", path) from None


def _words(vectors: Record) -> list[Any] | None:
    words = vectors.attribute("index_to_key", "index2entity", "index2word")
    return words if isinstance(words, list) and all(map(_is_key, words)) else None


def _is_key(value: Any) -> bool:  # noqa: ANN401 - what a pickle holds
    """Whether a value may be a word, or a number that stands for one; others may be endless when they are printed."""
    return isinstance(value, str | bytes) or (isinstance(value, int) and abs(value) < 1 << 64)


def _counts(vectors: Record, words: list[Any]) -> NDArray[Any] | None:
    """Find the counts: an array since gensim 4, an attribute of each word's entry before."""
    expandos = vectors.attribute("expandos")
    if isinstance(expandos, dict):
        array = as_array(expandos.get("count"))
        return _whole(_first(array, len(words)))
    entries = vectors.attribute("vocab")
    if not isinstance(entries, dict) or not all(isinstance(entries.get(word), Record) for word in words):
        return None
    counts = [entries[word].attribute("count") for word in words]
    if not all(isinstance(count, int) and 0 <= count < 1 << 63 for count in counts):
        return None
    return np.array(counts, np.int64)


def _whole(counts: NDArray[Any] | None) -> NDArray[Any] | None:
    """Counts, where they can be: whole numbers and none negative."""
    return counts if counts is not None and counts.dtype.kind in "iu" and (counts >= 0).all() else None


def _array(vectors: Record, names: tuple[str, ...], prefix: str, *, compressed: bool) -> NDArray[Any] | None:
    """Find an array in the pickle, or in the file beside it where gensim puts large ones."""
    array = as_array(vectors.attribute(*names))
    if array is not None:
        return array
    separate = vectors.attribute("__numpys")
    for name in names:
        if isinstance(separate, list) and name in separate:
            file = Path(f"{prefix}.{name}.{'npz' if compressed else 'npy'}")
            if not file.exists():
                raise source_error(f"{file.name} belongs to the model and is missing; keep them together", prefix)
            return map_array(str(file), member="val" if compressed else None)
    return None


def _ngrams(vectors: Record, model: Record, prefix: str, *, compressed: bool) -> Ngrams | None:
    """The rows of n-grams of a FastText model; None where it has none, or in a form of before gensim 4."""
    buckets = vectors.attribute("bucket") or model.attribute("bucket")
    shortest, longest = vectors.attribute("min_n"), vectors.attribute("max_n")
    if not (isinstance(shortest, int) and isinstance(longest, int) and isinstance(buckets, int) and buckets > 0):
        return None
    grams = _array(vectors, ("vectors_ngrams",), prefix, compressed=compressed)
    longest_known = 1 << 32
    if grams is None or grams.shape[:1] != (buckets,) or not 1 <= max(1, shortest) <= longest < longest_known:
        return None
    return Ngrams(qemb.Subwords(max(1, shortest), longest), buckets, grams)


class KeyedVectorsSink(Sink):
    """Files that `KeyedVectors.load` opens: a pickle, and beside it ``.vectors.npy`` where gensim finds it large.

    gensim saves into a folder beside the target. The arrays are moved to their places first, the pickle last: without
    it nothing can be loaded.
    """

    def __init__(self, path: str, dim: int) -> None:
        try:
            from gensim.models import KeyedVectors
        except ImportError:
            raise missing_extra("gensim", "gensim") from None
        self.notes = []
        self._vectors = KeyedVectors(dim)
        self._path = Path(os.path.realpath(path))
        if self._path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "the target is a folder", path)
        self._spool = Spool(str(self._path), dim)
        # the name is in the file too, so it must be the same: the folder is what is other
        self._folder = self._path.with_name(f".{self._path.name[:40]}.{secrets.token_hex(4)}.part")

    def append(self, batch: Batch) -> None:
        """Take the rows of a batch."""
        self._spool.append(batch)

    def finish(self) -> None:
        """Let gensim save, and publish the files."""
        tokens = [token.decode("utf-8", "surrogateescape") for token in self._spool.tokens]
        vectors = self._vectors
        vectors.index_to_key, vectors.key_to_index = tokens, {token: row for row, token in enumerate(tokens)}
        vectors.vectors, vectors.next_index = self._spool.vectors(), len(tokens)
        counts = self._spool.counts
        if counts is not None:
            vectors.expandos["count"] = counts.astype(np.int64)
        self._folder.mkdir()
        vectors.save(str(self._folder / self._path.name))
        published = []
        try:
            for file in sorted(self._folder.iterdir(), key=lambda file: file.name == self._path.name):
                with open(file, "rb") as stream:
                    os.fsync(stream.fileno())
                os.replace(file, self._path.with_name(file.name))
                published.append(self._path.with_name(file.name))
        except BaseException:
            for file in published:
                file.unlink()
            raise
        beside = [file.name for file in published[:-1]]
        if beside:
            self.notes.append(f"keep with the file what gensim put beside it: {', '.join(beside)}")

    def abort(self) -> None:
        """Throw away what was written."""
        self._spool.close()
        with suppress(FileNotFoundError):
            shutil.rmtree(self._folder)
