"""The reader's face: an open file that answers lookups, searches and questions about itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np

from qemb.container import Container, allocate
from qemb.decode import Decoder
from qemb.info import Info, describe, to_html
from qemb.limits import LIMITS, check_limits
from qemb.metadata import encode_metadata, parse_metadata
from qemb.search import Searcher, unit
from qemb.structure import check_structure
from qemb.subword import Subwords, hash_ngrams, mean_of_ngrams
from qemb.vocabulary import Tokens, to_bytes

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from numpy.typing import ArrayLike, NDArray

    from qemb.errors import QembError
    from qemb.limits import Limits
    from qemb.source import Readable
    from qemb.verify import Progress


Query = str | bytes | Sequence[str | bytes]
_WORDS = 1 << 8
"""Words out of the vocabulary whose n-grams are looked up at once."""


class Embedding:
    """An open ``.qemb`` file. Opening reads the header, the section table and the descriptor; nothing is built.

    Parameters
    ----------
    source : path, URL, bytes-like, or stream of bytes
        A path is mapped into memory. A stream, such as `io.BytesIO`, a pipe or what ``open(path, "rb")`` gives, is
        read whole from where it stands; so is a URL (``https://``, ``s3://``, ``memory://`` and whatever else fsspec
        knows), with the extra ``fsspec``.
    memory_map : bool
        False reads a path whole, too: for files that others write to in place. A file that is cut while it is mapped
        gives `MalformedError` at the next call; a call that is at work just then ends the process, with SIGBUS.
    limits : Limits or None
        How much the file may decode to; None for whatever it says.

    Raises
    ------
    QembError
        The file breaks a rule that can be seen without reading its contents; `verify` checks the rest.
    OSError
        As from ``open``, and where a URL cannot be read.
    ImportError
        What a URL needs is not installed; the message says what.
    """

    def __init__(self, source: Readable, *, memory_map: bool = True, limits: Limits | None = LIMITS) -> None:
        self._limits = limits
        self._container = Container(source, memory_map=memory_map)
        try:
            self._quantization, self._transform, self._subwords = check_structure(self._container)
            check_limits(self._container, self._transform, limits)
        except BaseException:
            self._container.close()
            raise
        header = self._container.header
        self.dim: int = header.dim
        """Values in a vector."""
        self.total_rows: int = header.rows
        """Rows in the table; more than the tokens where subword buckets follow them."""
        self.tokens = Tokens(self._container)
        """The vocabulary, a sequence of str in row order."""
        self._decoder = Decoder(self._container, self.dim, self._quantization, self._transform)
        self._searcher: Searcher | None = None
        self._metadata: dict[str, Any] | None = None

    # --- lookups ----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self.tokens

    @overload
    def __getitem__(self, key: str | bytes) -> NDArray[np.float32]: ...
    @overload
    def __getitem__(self, key: Sequence[str | bytes]) -> NDArray[np.float32]: ...
    def __getitem__(self, key: Query) -> NDArray[np.float32]:
        """Vector of a token, float32, shape (dim,); of a list of tokens, shape (n, dim).

        Where the file has `subwords`, a word that is no token has the mean of the vectors of its n-grams.

        Raises
        ------
        KeyError
            A token is not in the vocabulary, and has no n-grams.
        """
        if isinstance(key, str | bytes):
            row = self.tokens.row(key)
            return self._decoder.row(row) if row >= 0 else self._compose([key])[0]
        words: list[str | bytes] = list(key)
        rows = self.tokens.find(words)
        if (rows >= 0).all():
            return self.rows(rows)
        found = allocate((len(words), self.dim), np.float32)
        found[rows >= 0] = self.rows(rows[rows >= 0])
        found[rows < 0] = self._compose([word for word, row in zip(words, rows, strict=True) if row < 0])
        return found

    def get(self, token: str | bytes, default: NDArray[np.float32] | None = None) -> NDArray[np.float32] | None:
        """Vector of a token, or of a word with n-grams; ``default`` where there is none."""
        try:
            return self[token]
        except KeyError:
            return default

    def _compose(self, words: Sequence[str | bytes]) -> NDArray[np.float32]:
        """Vectors of words that are no tokens, float32, shape (n, dim).

        Raises
        ------
        KeyError
            The file has no subwords, or a word no n-grams.
        """
        buckets = self.total_rows - len(self.tokens)
        if self._subwords is None or not buckets:
            raise KeyError(words[0])
        found = allocate((len(words), self.dim), np.float32)
        for low in range(0, len(words), _WORDS):
            part = words[low : low + _WORDS]
            try:
                hashes, counts = hash_ngrams([to_bytes(word) for word in part], self._subwords)
            except UnicodeEncodeError:
                raise KeyError(next(word for word in part if not _encodes(word))) from None
            if not counts.all():
                raise KeyError(part[int(np.argmin(counts))])
            numbers = len(self.tokens) + hashes.astype(np.int64) % buckets
            found[low : low + len(part)] = mean_of_ngrams(self.rows, numbers, counts, self.dim)
        return found

    def rows(self, indices: ArrayLike) -> NDArray[np.float32]:
        """Decode the rows of these numbers, float32, shape (n, dim).

        Raises
        ------
        IndexError
            A number is not a row of the table.
        LimitError
            ``limit.memory``: there is no room for that many vectors.
        """
        numbers = np.asarray(indices)
        if numbers.size and not np.issubdtype(numbers.dtype, np.integer):
            raise IndexError("row numbers are integers")
        if bool(((numbers < -self.total_rows) | (numbers >= self.total_rows)).any()):
            raise IndexError(f"a row number is not one of {self.total_rows:,} rows")
        numbers = numbers.astype(np.int64).reshape(-1)
        numbers = np.where(numbers < 0, numbers + self.total_rows, numbers)
        return self._decoder.gather(numbers, allocate((len(numbers), self.dim), np.float32))

    def matrix(
        self, start: int = 0, stop: int | None = None, *, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Decode rows ``start`` to ``stop`` (all of them), float32, shape (stop - start, dim).

        Parameters
        ----------
        start, stop : int
            As in a slice.
        out : ndarray, optional
            C-contiguous float32 array of that shape to decode into.

        Raises
        ------
        ValueError
            ``out`` is of another shape or dtype.
        LimitError
            ``limit.memory``: there is no room for that many vectors.
        """
        start, stop, _ = slice(start, stop).indices(self.total_rows)
        shape = (max(0, stop - start), self.dim)
        if out is None:
            out = allocate(shape, np.float32)
        elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise ValueError(f"out has to be C-contiguous float32 of shape {shape}")
        return self._decoder.rows(start, start + shape[0], out)

    # --- search -----------------------------------------------------------------------------------------------------

    def nearest(self, query: Query | ArrayLike, k: int = 10) -> list[tuple[str, float]]:
        """The k tokens of highest cosine with the query, best first, as (token, cosine); ties in row order.

        Vectors of zeros have cosine 0. Those that hold NaN or infinity have none: they are left out, and near to none.

        Parameters
        ----------
        query : str, list of str, or array of shape (dim,)
            A token, several (the mean of their unit vectors), or a vector. Tokens of the query are left out.
        k : int
            How many.

        Raises
        ------
        KeyError
            A token is not in the vocabulary.
        ValueError
            The vector asked for is not of shape (dim,), or holds NaN or infinity.
        """
        if isinstance(query, str | bytes):
            return self.analogy([query], k=k)
        if not isinstance(query, np.ndarray) and isinstance(query, Sequence) and query:
            words = [item for item in query if isinstance(item, str | bytes)]
            if len(words) == len(query):
                return self.analogy(words, k=k)
        vector = np.asarray(query, np.float64)
        if vector.shape != (self.dim,) or not np.isfinite(vector).all():
            raise ValueError(f"a query vector has shape ({self.dim},) and finite values; this one has {vector.shape}")
        return self._nearest(vector, k, set())

    def analogy(
        self, positive: Sequence[str | bytes] = (), negative: Sequence[str | bytes] = (), k: int = 10
    ) -> list[tuple[str, float]]:
        """Tokens nearest to the sum of the unit vectors of ``positive`` less those of ``negative``.

        The mean of the unit vectors, as gensim's ``most_similar`` has it (3CosAdd: Mikolov, Yih and Zweig, 2013). The
        tokens given are left out.

        Raises
        ------
        KeyError
            A token is not in the vocabulary.
        ValueError
            No token was given.
        """
        if isinstance(positive, str | bytes):
            positive = [positive]
        if isinstance(negative, str | bytes):
            negative = [negative]
        words = [*positive, *negative]
        if not words:
            raise ValueError("an analogy needs a token at least")
        signs = np.repeat([1.0, -1.0], [len(positive), len(negative)])
        return self._nearest(signs @ unit(self[words]), k, set(self.tokens.find(words).tolist()) - {-1})

    def similarity(self, first: str | bytes, second: str | bytes) -> float:
        """Cosine of two tokens' vectors; 0 where one of them is all zeros."""
        one, two = unit(self[[first, second]])
        return float(one @ two)

    def search(self, queries: ArrayLike, k: int = 10) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The k rows of highest cosine with each of many queries, best first; ties in row order.

        As `nearest`, but for vectors alone, of which none is left out, and in row numbers. Many queries at once take a
        fraction of the time that each alone would take.

        Parameters
        ----------
        queries : array of shape (n, dim)
            Vectors to search for.
        k : int
            How many rows for each.

        Returns
        -------
        rows, cosines : ndarray
            int64 and float64, shape (n, k); -1 and NaN where there are fewer than k rows with a cosine.

        Raises
        ------
        ValueError
            The queries are not of that shape, or hold NaN or infinity.
        """
        vectors = np.asarray(queries, np.float64)
        if vectors.ndim != 2 or vectors.shape[1] != self.dim or not np.isfinite(vectors).all():
            raise ValueError(f"queries have shape (n, {self.dim}) and finite values; these have {vectors.shape}")
        rows, cosines = self._top(vectors, k)
        missing = ((0, 0), (0, max(k, 0) - rows.shape[1]))
        return np.pad(rows, missing, constant_values=-1), np.pad(cosines, missing, constant_values=np.nan)

    def _nearest(self, vector: NDArray[np.float64], k: int, exclude: set[int]) -> list[tuple[str, float]]:
        if not np.isfinite(vector).all():
            return []
        rows, cosines = self._top(vector[None], k, exclude)
        return [(self.tokens[row], score) for row, score in zip(rows[0].tolist(), cosines[0].tolist(), strict=True)]

    def _top(
        self, vectors: NDArray[np.float64], k: int, exclude: Collection[int] = ()
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """As `Searcher.top`, for vectors of any length."""
        if self._searcher is None:
            self._searcher = Searcher(self._decoder, len(self.tokens))
        largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
        vectors = np.divide(vectors, largest, where=largest > 0, out=np.zeros_like(vectors))  # squares neither overflow
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]  # nor vanish
        vectors /= np.where(norms > 0, norms, 1)
        return self._searcher.top(vectors, k, exclude)

    # --- about the file ---------------------------------------------------------------------------------------------

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata, a dict; empty where the file has none. Read and checked at first use."""
        if self._metadata is None:
            section = self._container.sections.get("META")
            self._metadata = (
                {} if section is None else parse_metadata(self._container.read("META").tobytes(), section.offset)
            )
        return self._metadata

    @property
    def counts(self) -> NDArray[np.uint64] | None:
        """How often each token occurs in the training text, uint64, shape (tokens,); None where it is not known."""
        return self._container.array("CNTS", "<u8") if "CNTS" in self._container.sections else None

    @property
    def norms(self) -> NDArray[np.float32] | None:
        """Euclidean norm of each row as it is stored, float32, shape (total_rows,); None where it is not."""
        return self._container.array("NORM", "<f4") if "NORM" in self._container.sections else None

    @property
    def subwords(self) -> Subwords | None:
        """How words that are no tokens are cut into n-grams; None where they have no vectors."""
        return self._subwords

    @property
    def info(self) -> Info:
        """What the file is: shape, scheme, sizes."""
        return describe(self._container, self._quantization, self._transform, self.metadata)

    def verify(self, progress: Progress | None = None) -> None:
        """Check everything: every checksum, every rule of the specification.

        Parameters
        ----------
        progress : callable, optional
            Is told now and then how many bytes have been gone over, and of how many.

        Raises
        ------
        QembError
            The first broken rule, in the order that the specification fixes; `QembError.rows` names the rows.
        """
        for fault in self.faults(progress):
            raise fault

    def faults(self, progress: Progress | None = None) -> Iterator[QembError]:
        """Check everything as `verify` does, and go on after the first broken rule: every one of them, lazily.

        A rule comes once for each section, with all rows that break it; a damaged frame is one of its own.
        """
        from qemb.verify import OpenFile, find_faults

        return find_faults(OpenFile(self._container, self._decoder, self.tokens, lambda: self.metadata), progress)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        compress: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        rows: ArrayLike | None = None,
        tokens: Sequence[str | bytes] | None = None,
    ) -> None:
        """Write the same codes into another file: nothing is quantized again.

        Parameters
        ----------
        path : path
            The file to write; it appears whole or not at all. It may be this one.
        compress : bool, optional
            Whether to store sections in zstd frames, each where that saves 3% of it at least. As it is where left out.
        metadata : mapping, optional
            What is stored instead of this file's metadata.
        rows : array of int, optional
            Numbers of the rows to keep, in their new order; all where left out. Subword buckets are always kept.
        tokens : sequence of str or bytes, optional
            What the rows are called; as they are where left out.

        Raises
        ------
        QembError
            A section of this file is damaged, the metadata cannot be stored, a row to keep is not that of a token, or
            a token comes twice. No file is written.
        OSError
            The file cannot be created.
        """
        from qemb.rewrite import Choice, rewrite

        encoded = encode_metadata(self.metadata if metadata is None else metadata)
        choice = None
        if rows is not None or tokens is not None:
            numbers = np.arange(len(self)) if rows is None else np.asarray(rows, np.int64).reshape(-1)
            if tokens is None:
                tokens = [self.tokens.raw(int(row)) for row in numbers]
            choice = Choice(self._container, numbers, tokens)
        rewrite(self._container, self._quantization, path, compress=compress, metadata=encoded, choice=choice)

    def close(self) -> None:
        """Let go of the file. Arrays that were handed out stay good; everything else raises ValueError from now on."""
        self.tokens.release()
        self._decoder.release()
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        # processes share the pages of a map, so what is sent to another one is the name, where there is one
        source = self._container.check_open()
        again = source.data.tobytes() if source.again is None else source.again
        return partial(type(self), again, memory_map=source.mapped is not None, limits=self._limits), ()

    def __repr__(self) -> str:
        q = self._quantization
        return (
            f"<qemb.Embedding {self._container.name!r}: {len(self.tokens):,} tokens x {self.dim}, "
            f"{q.scheme} {q.bits} bits, {self._container.header.file_size:,} bytes>"
        )

    def _repr_html_(self) -> str:
        """The file as a small table, for notebooks."""
        return to_html(self.info, self.tokens)


def _encodes(word: str | bytes) -> bool:
    try:
        to_bytes(word)
    except UnicodeEncodeError:
        return False
    return True
