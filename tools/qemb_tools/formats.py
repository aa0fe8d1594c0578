"""All formats: what they are called, how they are recognized, who reads and who writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qemb
from qemb.source import is_url
from qemb_tools import (
    arrow,
    faiss_index,
    fasttext_bin,
    finalfusion,
    gensim_model,
    gguf,
    hdf5,
    llama2c,
    magnitude,
    npy,
    qemb_file,
    safetensors,
    spacy_vectors,
    text,
    word2vec_bin,
)
from qemb_tools.interface import READ_FLAGS, Found, ReadOptions, Sink, Source, UsageError, source_error
from qemb_tools.stream import HEAD, STANDARD_INPUT, check_file, is_pipe, open_bytes, plain_name

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Target:
    """What a sink is made from. ``rows`` is None where it is unknown; the last two go to `qemb.Writer`."""

    path: str
    dim: int
    rows: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    writer: qemb.EncoderOptions = field(default_factory=qemb.EncoderOptions)
    subwords: qemb.Subwords | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """A format: ``sniff`` looks at the first bytes and the path, ``read`` and ``write`` are None where not offered.

    ``options`` are the fields of `ReadOptions` that reading it has a use for; ``tables`` lists what a file holds;
    ``folder`` says that it may be a folder.
    """

    name: str
    help: str
    extensions: tuple[str, ...] = ()
    extra: str = ""
    options: tuple[str, ...] = ()
    sniff: Callable[[bytes, str], bool] | None = None
    read: Callable[[str, ReadOptions], Source] | None = None
    write: Callable[[Target], Sink] | None = None
    tables: Callable[[str], list[Found]] | None = None
    folder: bool = False


_LINES = ("encoding", "keep_bytes", "skip_bad")
_MATRIX = ("tokens", "encoding", "keep_bytes")
_MATRICES = ("dataset", *_MATRIX)

FORMATS = (
    Format(
        "qemb", "this project's format", (".qemb",),
        sniff=qemb_file.sniff, read=qemb_file.QembSource,
        write=lambda t: qemb_file.QembSink(t.path, t.dim, t.metadata, t.writer, t.subwords),
    ),
    Format(
        "hdf5", "HDF5 of our own, pandas, Keras, ann-benchmarks, PyTorch-BigGraph; `qemb info` lists its tables",
        (".h5", ".hdf5", ".hdf", ".keras"), "hdf5",
        options=_MATRICES, sniff=hdf5.sniff, read=hdf5.open_hdf5, tables=hdf5.list_tables,
        write=lambda t: hdf5.Hdf5Sink(t.path, t.dim, t.metadata),
    ),
    Format(
        "npy", "numpy matrix; --tokens names its words", (".npy",),
        options=_MATRIX, sniff=npy.sniff, read=npy.open_npy,
    ),
    Format(
        "npz", "numpy arrays: a matrix and its words", (".npz",),
        options=_MATRICES, sniff=npy.sniff_npz, read=npy.open_npz, write=lambda t: npy.NpzSink(t.path, t.dim),
    ),
    Format(
        "gguf", "the token table of a llama.cpp model, its blocks kept", (".gguf",),
        options=_MATRICES, sniff=gguf.sniff, read=gguf.open_table,
    ),
    Format(
        "faiss", "a flat, scalar- or product-quantized index, kept; --tokens names its words", (".faiss",), "faiss",
        options=_MATRIX, sniff=faiss_index.sniff, read=faiss_index.open_index,
    ),
    Format(
        "gensim", "KeyedVectors, Word2Vec, Doc2Vec, FastText as gensim saves them", (".model", ".kv", ".wv"),
        sniff=gensim_model.sniff, read=gensim_model.open_model,
        write=lambda t: gensim_model.KeyedVectorsSink(t.path, t.dim),
    ),
    Format(
        "fasttext-bin", "fastText .bin and .ftz: words and subword buckets, product codes kept", (".ftz",),
        options=("encoding", "keep_bytes"), sniff=fasttext_bin.sniff, read=fasttext_bin.open_model,
    ),
    Format(
        "word2vec-bin", "word2vec .bin", (".bin",),
        options=("encoding", "keep_bytes"), sniff=word2vec_bin.sniff, read=word2vec_bin.BinSource,
        write=lambda t: word2vec_bin.BinSink(t.path, t.dim, t.rows),
    ),
    Format(
        "llama2c", "the token table of a llama2.c model; --tokens names its words",
        options=_MATRIX, sniff=llama2c.sniff, read=llama2c.open_table,
    ),
    Format(
        "safetensors", "token tables, also of a model's folder: sharded, model2vec, sentence-transformers",
        (".safetensors",),
        options=_MATRICES, sniff=safetensors.sniff, read=safetensors.open_tensors, tables=safetensors.list_tables,
        write=lambda t: safetensors.SafetensorsSink(t.path, t.dim, t.metadata), folder=True,
    ),
    Format(
        "parquet", "a column of strings and one of vectors, or a wide frame", (".parquet", ".pq"), "parquet",
        options=_MATRICES, sniff=arrow.sniff_parquet, read=arrow.ArrowSource, tables=arrow.list_tables,
        write=lambda t: arrow.ArrowSink(t.path, t.dim, t.metadata, parquet=True),
    ),
    Format(
        "arrow", "the same in Arrow's own files (Feather) and streams", (".arrow", ".arrows", ".feather"), "parquet",
        options=_MATRICES, sniff=arrow.sniff_arrow, read=arrow.ArrowSource, tables=arrow.list_tables,
        write=lambda t: arrow.ArrowSink(t.path, t.dim, t.metadata, parquet=False),
    ),
    Format(
        "finalfusion", "finalfusion's .fifu, its product codes and fastText subwords kept", (".fifu",),
        options=("dataset", "encoding", "keep_bytes"), sniff=finalfusion.sniff, read=finalfusion.open_embeddings,
    ),
    Format(
        "spacy", "the vectors of a spaCy model's folder",
        sniff=spacy_vectors.sniff, read=spacy_vectors.open_vectors, folder=True,
    ),
    Format(
        "magnitude", "pymagnitude's SQLite files", (".magnitude",),
        options=("dataset", "encoding", "keep_bytes"), sniff=magnitude.sniff, read=magnitude.MagnitudeSource,
    ),
    Format(
        "text", "word2vec text, GloVe, fastText .vec; - is standard input", (".vec", ".txt"),
        options=_LINES, sniff=text.sniff, read=text.open_text, write=lambda t: text.TextSink(t.path, t.dim, t.rows),
    ),
    Format(
        "glove", "text without a header line, even if the first line looks like one",
        options=_LINES, read=text.open_glove, write=lambda t: text.TextSink(t.path, t.dim, t.rows, header=False),
    ),
)  # fmt: skip
"""In the order in which they are tried: magic numbers first, text last, because text has no mark of its own."""


def by_name(name: str) -> Format:
    """Return the format called ``name``; `UsageError` if there is none."""
    for format_ in FORMATS:
        if format_.name == name:
            return format_
    raise UsageError(f"there is no format {name!r}; formats: {', '.join(f.name for f in FORMATS)}")


def by_extension(path: str, *, to_write: bool) -> Format | None:
    """Return the format that a file's name tells; that of a compressed file inside."""
    suffix = Path(plain_name(path)).suffix.lower()
    usable = (f for f in FORMATS if (f.write if to_write else f.read) is not None)
    return next((f for f in usable if suffix in f.extensions), None)


def recognize(path: str) -> Format:
    """Tell a source's format by its content, and by its name where the content says nothing.

    Raises
    ------
    UsageError
        The file does not exist, or is a folder that is no model's.
    qemb.InvalidError
        It is empty, or no format that is known.
    """
    if Path(path).is_dir():
        for format_ in FORMATS:
            if format_.folder and format_.sniff is not None and format_.sniff(b"", path):
                return format_
    if is_pipe(path):
        return by_name("text")  # what is looked at would be gone when it is read
    check_file(path)
    with open_bytes(path) as stream:
        head = stream.peek(HEAD)[:HEAD]
    if not head:
        raise source_error("the file is empty; check the name", path)
    for format_ in FORMATS:
        if format_.sniff is not None and format_.sniff(head, path):
            return format_
    named = by_extension(path, to_write=False)
    # a .txt may be anything, so its name proves nothing
    if named is None or named.name == "text":
        raise source_error(
            "this is no format that is known; name it with --from (`qemb formats` lists them) or check the file", path
        )
    return named


def list_tables(path: str) -> list[Found] | None:
    """List the tables of a file that may hold several; None for other formats, and for what is no format at all."""
    if is_url(path):
        return None
    try:
        format_ = recognize(path)
    except qemb.QembError:
        return None
    return None if format_.tables is None else format_.tables(path)


def open_source(path: str, options: ReadOptions | None = None, format_name: str | None = None) -> Source:
    """Open any file of vectors.

    Parameters
    ----------
    path : str
        The file; ``-`` reads text from standard input.
    options : ReadOptions, optional
        How to read it.
    format_name : str, optional
        Its format; told by its content where left out.

    Raises
    ------
    UsageError
        Something is wrong with the request: no such file, an extra not installed, a part not named.
    qemb.QembError
        Something is wrong with the file.
    """
    format_ = by_name(format_name) if format_name else recognize(path)
    if format_.read is None:
        raise UsageError(f"{format_.name} can be written but not read")
    options = options or ReadOptions()
    useless = [name for name in options.given() if name not in format_.options]
    if useless:
        flags = ", ".join(READ_FLAGS[name] for name in useless)
        raise UsageError(f"{path} is read as {format_.name}, which has no use for {flags}; leave that out")
    source = format_.read(path, options)
    source.metadata.setdefault("source", format_.name)
    return source


def format_to_write(path: str, format_name: str | None = None) -> Format:
    """The format of a file to write, told by its name where it is not given.

    Raises
    ------
    UsageError
        The format is not known or cannot be written, or there is no such folder.
    """
    if path in ("", STANDARD_INPUT):
        raise UsageError("nothing is written to standard output; name a file")
    format_ = by_name(format_name) if format_name else by_extension(path, to_write=True)
    if format_ is None:
        raise UsageError(f"the name {path} tells no format that can be written; name it with --to")
    if format_.write is None:
        can = ", ".join(f.name for f in FORMATS if f.write is not None)
        raise UsageError(f"{format_.name} can be read but not written; these can: {can}")
    if plain_name(path) != path:
        raise UsageError(f"compressed files are read, not written; leave out {Path(path).suffix}")
    folder = Path(path).parent
    if not folder.is_dir():
        raise UsageError(f"the folder {folder} does not exist; create it first")
    return format_


def create_sink(target: Target, format_name: str | None = None) -> Sink:
    """Create the file to write.

    Raises
    ------
    UsageError
        As `format_to_write`; or options that the format does not have, or an extra that is not installed.
    """
    format_ = format_to_write(target.path, format_name)
    if format_.name != "qemb" and target.writer:
        given = ", ".join("--" + name.replace("_", "-") for name in target.writer)
        raise UsageError(f"{format_.name} has no use for {given}, which only .qemb files take; leave that out")
    if format_.write is None:
        raise AssertionError("formats to write can be written")
    return format_.write(target)
