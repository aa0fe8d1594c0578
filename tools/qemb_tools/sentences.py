"""Static sentence embeddings: the vector of a text is the mean of those of its tokens, read from the mapped codes.

>>> from qemb_tools.sentences import SentenceEncoder, convert_model
>>> convert_model("potion-base-8M", "potion.qemb", bits=4)         # doctest: +SKIP
>>> SentenceEncoder("potion.qemb").encode(["A sentence."])         # doctest: +SKIP

The models are model2vec's and those of sentence-transformers' StaticEmbedding; any table of words will do as well. No
matrix is decoded: processes that encode share one file in the page cache.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

import numpy as np

import qemb
from qemb_tools.convert import Summary, convert
from qemb_tools.interface import UsageError, missing_extra, source_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

Words = Callable[[str], Iterable[str]]
"""Cuts a text into words."""
_TILE_VALUES = 1 << 18
"""Values decoded at a time."""
_WORD = re.compile(r"\w+|[^\w\s]")
_MAX_LENGTH = 512
"""Tokens of a text that model2vec looks at, where a model does not say."""


class Settings(TypedDict, total=False):
    """What a file says, in its metadata under ``sentences``, of how texts become vectors."""

    tokenizer: dict[str, Any]
    """A Hugging Face ``tokenizer.json`` without its vocabulary, which the file has."""
    added: list[str]
    """Tokens of the file that are not in the tokenizer's model, but added to it."""
    normalize: bool
    max_length: int | None
    drop_unknown: bool


def convert_model(
    source: str | os.PathLike[str], target: str | os.PathLike[str], **writer: Unpack[qemb.EncoderOptions]
) -> Summary:
    """Convert a folder with ``model.safetensors`` and ``tokenizer.json``; the tokenizer goes into the file as well.

    Parameters
    ----------
    source : path
        The folder. Where its ``config.json`` is model2vec's, texts are encoded as model2vec does; otherwise as
        sentence-transformers' StaticEmbedding does, with every token and without limit.
    target : path
        The file; it appears when it is complete, or not at all.
    **writer
        Arguments of `qemb.Writer`, such as ``bits=4``.

    Raises
    ------
    UsageError
        A file of the model is missing.
    qemb.QembError
        The model is damaged, or its tokenizer does not fit into the metadata: `SentenceEncoder` takes it apart.
    """
    folder = Path(source)
    try:
        tokenizer = json.loads((folder / "tokenizer.json").read_bytes())
        vocabulary = tokenizer["model"]["vocab"]
    except FileNotFoundError:
        raise UsageError(f"{folder} has no tokenizer.json; a model's folder is wanted") from None
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{folder / 'tokenizer.json'} is no Hugging Face tokenizer; check the file") from None
    settings: Settings = {"tokenizer": tokenizer}
    if isinstance(vocabulary, dict):  # Unigram models have scores as well, so theirs stays
        tokenizer["model"]["vocab"] = None
        settings["added"] = [t["content"] for t in tokenizer.get("added_tokens", ()) if t["content"] not in vocabulary]
    config_file = folder / "config.json"
    config = json.loads(config_file.read_bytes()) if config_file.is_file() else {}
    if config.get("model_type") == "model2vec":
        settings["normalize"] = bool(config.get("normalize", False))
        settings["max_length"] = config.get("max_length", _MAX_LENGTH)
        settings["drop_unknown"] = True
    return convert(folder, target, metadata={"sentences": settings}, **writer)


def split_words(text: str) -> list[str]:
    """The words of a text in lower case, and its punctuation marks, each for itself."""
    return _WORD.findall(text.lower())


class SentenceEncoder:
    """Encodes texts as the means of their tokens' vectors.

    Parameters
    ----------
    path : path
        The ``.qemb`` file. A pickle of the encoder names it.
    tokenizer : path, tokenizers.Tokenizer, or callable, optional
        A ``tokenizer.json`` whose ids are rows of the file; or what cuts a text into words. Where left out, the one in
        the file; where there is none, `split_words`.
    normalize : bool, optional
        Whether vectors are scaled to unit length. As the file says where left out; otherwise not.
    max_length : int, optional
        Tokens of a text that are looked at. As the file says where left out; otherwise all.
    drop_unknown : bool, optional
        Whether the token for unknown words is passed over. As the file says where left out; otherwise not.

    Raises
    ------
    qemb.QembError
        The file is bad.
    UsageError
        The package ``tokenizers`` is needed and not installed, or the tokenizer is not that of the file.
    OSError
        A file cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        tokenizer: Any = None,  # noqa: ANN401 - tokenizers.Tokenizer, which need not be installed
        *,
        normalize: bool | None = None,
        max_length: int | None = None,
        drop_unknown: bool | None = None,
    ) -> None:
        self._arguments = (os.path.abspath(path), tokenizer, normalize, max_length, drop_unknown)
        self.embedding = qemb.open(path)
        """The open file."""
        stored: Any = self.embedding.metadata.get("sentences", {})
        if not isinstance(stored, dict):
            self.embedding.close()
            raise source_error("what it says of sentences is no object; write it anew", os.fspath(path))
        settings = cast("Settings", stored)
        self.normalize = settings.get("normalize", False) if normalize is None else normalize
        self.max_length = settings.get("max_length") if max_length is None else max_length
        drop_unknown = settings.get("drop_unknown", False) if drop_unknown is None else drop_unknown
        self._tokenizer: Any = None
        self._words: Words = split_words
        self._unknown: int | None = None
        if callable(tokenizer):
            self._words = tokenizer
        elif tokenizer is not None or "tokenizer" in settings:
            self._tokenizer = _open_tokenizer(tokenizer, settings, self.embedding)
            self._unknown = _unknown_row(self._tokenizer) if drop_unknown else None

    @property
    def dim(self) -> int:
        """Values in a vector."""
        return self.embedding.dim

    def encode(self, sentences: str | Sequence[str], *, batch_size: int = 1024) -> NDArray[np.float32]:
        """Vectors of texts, float32, shape (n, dim), or (dim,) of one; zeros where no token has a vector.

        The arithmetic is model2vec's: numpy's mean over the rows of a text, in float32.

        Parameters
        ----------
        sentences : str or sequence of str
            The texts.
        batch_size : int
            How many are encoded at a time.
        """
        if isinstance(sentences, str):
            return np.asarray(self.encode([sentences])[0])
        found = np.zeros((len(sentences), self.dim), np.float32)
        for low in range(0, len(sentences), batch_size):
            rows = self._rows(list(sentences[low : low + batch_size]))
            for first, last in self._tiles(rows):
                mean_rows(self.embedding.rows, rows[first:last], found[low + first : low + last])
        if self.normalize:
            found /= np.linalg.norm(found, axis=1, keepdims=True) + 1e-32
        return found

    def _rows(self, texts: list[str]) -> list[list[int]]:
        """Rows of the tokens of each text."""
        if self._tokenizer is None:
            words = [list(self._words(text)) for text in texts]
            row = {word: self.embedding.tokens.row(word) for word in set(chain.from_iterable(words))}
            return [[row[word] for word in each if row[word] >= 0][: self.max_length] for each in words]
        if self.max_length is not None:
            # before the tokenizer sees them, model2vec cuts texts to as many characters as its tokens have in the mean
            characters = self.max_length * self._median_length
            texts = [text[:characters] for text in texts]
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        if self._unknown is None:
            return [each[: self.max_length] for each in ids]
        return [[row for row in each[: self.max_length] if row != self._unknown] for each in ids]

    def _tiles(self, rows: list[list[int]]) -> Iterator[tuple[int, int]]:
        """Runs of texts that have a tile of values together."""
        first = tokens = 0
        for text, each in enumerate(rows):
            if tokens and (tokens + len(each)) * self.dim > _TILE_VALUES:
                yield first, text
                first, tokens = text, 0
            tokens += len(each)
        yield first, len(rows)

    @property
    def _median_length(self) -> int:
        return int(np.median([len(token) for token in self.embedding.tokens]))

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, self._arguments


def mean_rows(
    take: Callable[[NDArray[np.int64]], NDArray[np.float32]], rows: list[list[int]], out: NDArray[np.float32]
) -> None:
    """Means of runs of rows, each row looked up once; runs of no rows leave ``out`` as it is.

    Parameters
    ----------
    take : callable
        Gives the vectors of row numbers, float32 of shape (n, dim).
    rows : list of list of int
        The runs.
    out : ndarray
        Float32 of shape (runs, dim).
    """
    flat = np.fromiter(chain.from_iterable(rows), np.int64)
    needed, places = np.unique(flat, return_inverse=True)
    vectors = take(needed)
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    starts = np.cumsum(lengths) - lengths
    for length in np.unique(lengths[lengths > 0]):
        texts = np.flatnonzero(lengths == length)
        out[texts] = vectors[places[starts[texts][:, np.newaxis] + np.arange(length)]].mean(axis=1)


def _reopen(path: str, tokenizer: object, normalize: bool, max_length: int, drop_unknown: bool) -> SentenceEncoder:  # noqa: FBT001
    return SentenceEncoder(path, tokenizer, normalize=normalize, max_length=max_length, drop_unknown=drop_unknown)


def _open_tokenizer(given: Any, settings: Settings, embedding: qemb.Embedding) -> Any:  # noqa: ANN401
    """Open the tokenizer that was given, or the one in the file; its ids are rows."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise missing_extra("tokenizers", "sentences") from None
    if isinstance(given, str | os.PathLike):
        with open(given, encoding="utf-8") as file:
            tokenizer = Tokenizer.from_str(file.read())
    elif given is not None:
        tokenizer = Tokenizer.from_str(given.to_str())
    else:
        tokenizer = Tokenizer.from_str(_whole(settings, embedding))
    if tokenizer.get_vocab_size() > embedding.total_rows:
        raise UsageError(
            f"the tokenizer knows {tokenizer.get_vocab_size():,} tokens, the file has {embedding.total_rows:,} rows; "
            "the tokenizer of the same model is wanted"
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _whole(settings: Settings, embedding: qemb.Embedding) -> str:
    """The ``tokenizer.json`` of a file, its vocabulary put back."""
    tokenizer = settings["tokenizer"]
    if tokenizer["model"]["vocab"] is not None:
        return json.dumps(tokenizer)
    added = set(settings["added"])
    vocabulary = {token: row for row, token in enumerate(embedding.tokens) if token not in added}
    return json.dumps(tokenizer | {"model": tokenizer["model"] | {"vocab": vocabulary}})


def _unknown_row(tokenizer: Any) -> int | None:  # noqa: ANN401
    """Row of the token that stands for unknown words; None where there is none."""
    if hasattr(tokenizer.model, "unk_token"):
        token = tokenizer.model.unk_token
        row = None if token is None else tokenizer.token_to_id(token)
    else:
        row = json.loads(tokenizer.to_str())["model"].get("unk_id")
    return None if row is None else int(row)
