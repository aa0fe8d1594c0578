"""gensim's KeyedVectors over a ``.qemb`` file: `load` is the one line to change.

>>> import qemb_tools.gensim
>>> vectors = qemb_tools.gensim.load("glove.qemb")                 # doctest: +SKIP
>>> vectors.most_similar("king")                                   # doctest: +SKIP

The methods are gensim's own. Those that read the matrix are given rows of the file as they ask for them, so that it
stays mapped and compressed; ``vectors`` decodes it and keeps it; methods that change words or vectors do so in memory,
and never in the file.
"""

from __future__ import annotations

import copy
import functools
import os
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

import qemb
from qemb.layout import MAGIC
from qemb_tools.interface import missing_extra
from qemb_tools.lazy import Index, Rows, Words

try:
    from gensim.models.fasttext import FastTextKeyedVectors as GensimFastText
    from gensim.models.fasttext import ft_ngram_hashes
    from gensim.models.keyedvectors import KeyedVectors as GensimKeyedVectors
except ImportError:
    raise ImportError(str(missing_extra("gensim", "gensim"))) from None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_OF_FILE = ("_file", "index_to_key", "key_to_index")
"""Attributes that are not copied, but had again of the file."""
_reading: ContextVar[object] = ContextVar("_reading", default=None)
"""The object of which a method is running that reads by rows."""


def load(path: str | os.PathLike[str]) -> KeyedVectors:
    """Open a ``.qemb`` file as gensim's KeyedVectors; as FastTextKeyedVectors where it has subwords.

    Raises
    ------
    qemb.QembError
        The file is bad.
    OSError
        As from ``open``.
    """
    file = qemb.open(path)
    vectors: KeyedVectors
    if file.subwords is None:
        vectors = KeyedVectors(file.dim)
    else:
        buckets = file.total_rows - len(file)
        vectors = FastTextKeyedVectors(file.dim, file.subwords.min_n, file.subwords.max_n, buckets)
    vectors._attach(file, os.path.abspath(path))  # noqa: SLF001 - ours
    return vectors


@contextmanager
def _reader(vectors: object) -> Iterator[None]:
    token = _reading.set(vectors)
    try:
        yield
    finally:
        _reading.reset(token)


def _by_rows(name: str) -> Callable[..., Any]:
    """Gensim's method, which for as long as it runs is given rows of the file instead of the matrix."""

    @functools.wraps(getattr(GensimFastText, name))
    def method(self: KeyedVectors, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        with _reader(self):
            return getattr(super(KeyedVectors, self), name)(*args, **kwargs)

    return method


def _in_memory(name: str) -> Callable[..., Any]:
    """Gensim's method, after everything was taken into memory."""

    @functools.wraps(getattr(GensimFastText, name))
    def method(self: KeyedVectors, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        self._detach()
        return getattr(super(KeyedVectors, self), name)(*args, **kwargs)

    return method


class KeyedVectors(GensimKeyedVectors):  # type: ignore[misc]
    """gensim's KeyedVectors, over a file where `load` made it.

    Attributes
    ----------
    vectors : ndarray
        float32, shape (words, dim); decoded when it is first asked for, then kept.
    index_to_key : sequence of str
        The words, read from the file; a list once words or vectors were changed.
    key_to_index : mapping of str to int
        Looked up in the file; a dict once words or vectors were changed.
    norms : ndarray or None
        float32, shape (words,); computed when a method first needs them.
    expandos : dict of str to ndarray
        ``count`` as the file has it; where it has none, numbers that descend, which gensim's loaders make up as well.
    """

    _file: qemb.Embedding | None = None
    """The open file; None where everything is in memory."""
    _path: str | None = None
    _made: tuple[str, ...] = ("vectors", "expandos")
    """Attributes that are made of the file when they are asked for."""
    _plain: Any = GensimKeyedVectors

    @classmethod
    def load(cls, fname: str | os.PathLike[str], mmap: str | None = None) -> GensimKeyedVectors:
        """Open a ``.qemb`` file as the function `load` does, and what gensim saved as gensim does."""
        with open(fname, "rb") as file:
            if file.read(len(MAGIC)) == MAGIC:
                return load(fname)
        return super().load(os.fspath(fname), mmap=mmap)

    distances = _by_rows("distances")
    fill_norms = _by_rows("fill_norms")
    get_mean_vector = _by_rows("get_mean_vector")
    get_normed_vectors = _by_rows("get_normed_vectors")
    most_similar = _by_rows("most_similar")
    most_similar_cosmul = _by_rows("most_similar_cosmul")
    save_word2vec_format = _by_rows("save_word2vec_format")
    vectors_for_all = _by_rows("vectors_for_all")

    add_vector = _in_memory("add_vector")
    add_vectors = _in_memory("add_vectors")
    intersect_word2vec_format = _in_memory("intersect_word2vec_format")
    resize_vectors = _in_memory("resize_vectors")
    sort_by_descending_frequency = _in_memory("sort_by_descending_frequency")
    unit_normalize_all = _in_memory("unit_normalize_all")

    def to_gensim(self) -> GensimKeyedVectors:
        """A copy of gensim's own class, decoded, all in memory."""
        taken = type(self).__new__(type(self))
        shared = _OF_FILE if self._file is not None else ()
        for name, value in self.__dict__.items():
            taken.__dict__[name] = value if name in shared else copy.deepcopy(value)
        taken._detach()  # noqa: SLF001 - ours
        plain = self._plain.__new__(self._plain)
        plain.__dict__.update(taken.__dict__)
        return plain

    def save(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gensim's
        """Save as gensim does, decoded: gensim loads the file without qemb."""
        self.to_gensim().save(*args, **kwargs)

    def get_vector(self, key: str | int, norm: bool = False) -> NDArray[np.float32]:  # noqa: FBT001, FBT002 - gensim's
        """As gensim's; one vector of unit length does not need the norms of all."""
        with _reader(self):
            if norm and self._file is not None and self.norms is None and self.has_index_for(key):
                row = self.vectors[[self.get_index(key)]]
                vector: NDArray[np.float32] = (row / np.linalg.norm(row, axis=1)[:, np.newaxis])[0]
                vector.setflags(write=False)
                return vector
            found: NDArray[np.float32] = super().get_vector(key, norm=norm)
            return found

    def evaluate_word_analogies(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - gensim's
        """As gensim's. It searches thousands of times, so that the matrix is decoded for as long as it runs."""
        kept = "vectors" in self.__dict__
        _ = self.vectors
        try:
            return super().evaluate_word_analogies(*args, **kwargs)
        finally:
            if not kept:
                self.__dict__.pop("vectors", None)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """What is made when it is asked for: rows for a method that reads, otherwise something to keep."""
        if self._file is None or name not in self._made:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        rows = self._rows(name)
        if rows is not None and _reading.get() is self:
            return rows
        value = self.__dict__[name] = self._make(name)
        return value

    def __getstate__(self) -> dict[str, Any]:
        """A pickle names the file, and the process that reads it maps the same one."""
        state = dict(self.__dict__)
        if self._file is not None:
            for name in _OF_FILE:
                del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._path is not None:
            self._open(qemb.open(self._path))

    # --- between the file and memory --------------------------------------------------------------------------------

    def _attach(self, file: qemb.Embedding, path: str) -> None:
        for name in self._made:
            self.__dict__.pop(name, None)
        self._path = path
        self._open(file)
        self.next_index = len(file)

    def _open(self, file: qemb.Embedding) -> None:
        self._file = file
        self.index_to_key: Any = Words(file.tokens)
        self.key_to_index: Any = Index(file.tokens)

    def _detach(self) -> None:
        """Take everything into memory, as gensim has it: lists, dicts and arrays."""
        if self._file is None:
            return
        for name in self._made:
            if name not in self.__dict__:
                self.__dict__[name] = self._make(name)
        self.index_to_key, self.key_to_index = list(self.index_to_key), dict(self.key_to_index)
        del self._file, self._path

    def _rows(self, name: str) -> Rows | None:
        """A matrix that the file has, to be read by rows; None where it has no such matrix."""
        file = self._file
        return Rows(file, 0, len(file)) if file is not None and name == "vectors" else None

    def _make(self, name: str) -> Any:  # noqa: ANN401
        rows = self._rows(name)
        if rows is not None:
            return np.asarray(rows)
        counts = None if self._file is None else self._file.counts
        return {"count": np.arange(len(self), 0, -1) if counts is None else counts.astype(np.int64)}


class FastTextKeyedVectors(KeyedVectors, GensimFastText):  # type: ignore[misc]
    """gensim's FastTextKeyedVectors, over a file with subwords where `load` made it.

    Words that are not in the vocabulary have vectors: ``vectors[word]``. Other than in gensim, ``vectors_vocab``, the
    words' own vectors, is computed back from ``vectors`` and those of the n-grams, and exact but for rounding.
    """

    _plain = GensimFastText
    _made = ("vectors", "expandos", "vectors_ngrams", "buckets_word", "vectors_vocab")

    get_sentence_vector = _by_rows("get_sentence_vector")

    def get_vector(self, word: str | int, norm: bool = False) -> NDArray[np.float32]:  # noqa: FBT001, FBT002 - gensim's
        """As gensim's; the rows of a word's n-grams are read together."""
        composed = self._file is not None and isinstance(word, str) and word not in self.key_to_index and self.bucket
        hashes = ft_ngram_hashes(word, self.min_n, self.max_n, self.bucket) if composed else []
        if not hashes:
            return super().get_vector(word, norm=norm)
        with _reader(self):
            rows = self.vectors_ngrams[hashes]
        total = np.zeros(self.vector_size, np.float32)
        for row in rows:  # one by one: the order decides the last digit
            total += row
        return np.asarray(total / (np.linalg.norm(total) if norm else len(hashes)))

    def _rows(self, name: str) -> Rows | None:
        file = self._file
        if file is not None and name == "vectors_ngrams":
            return Rows(file, len(file), file.total_rows)
        return super()._rows(name)

    def _make(self, name: str) -> Any:  # noqa: ANN401
        if name == "buckets_word":
            hashes = (ft_ngram_hashes(word, self.min_n, self.max_n, self.bucket) for word in self.index_to_key)
            return [np.array(each, np.uint32) for each in hashes]
        if name == "vectors_vocab":
            own = self.vectors.astype(np.float64)
            for row, buckets in enumerate(self.buckets_word):
                own[row] = own[row] * (len(buckets) + 1) - self.vectors_ngrams[buckets].sum(axis=0)
            return own.astype(np.float32)
        return super()._make(name)
