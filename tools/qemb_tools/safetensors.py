"""safetensors: token tables of language models, static embeddings of model2vec and sentence-transformers; and a sink.

The format is eight bytes of length, a JSON header, then raw little-endian data; everything in the header is checked
against the file's size before it is used. A model's folder may have its tensors in several files (shards), which
``model.safetensors.index.json`` lists: only the shard with the table is opened. The words come from ``--tokens``, from
the file itself, or from a tokenizer beside it.

The layout that is written: ``embeddings`` (F32, rows x dim), ``token_lengths`` (I32) and ``token_bytes`` (U8), the
tokens one after the other; ``counts`` (I64) where the source has counts; the metadata as JSON under ``qemb`` in
``__metadata__``.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qemb.atomic import AtomicFile
from qemb_tools.interface import Batch, Found, ReadOptions, Sink, Source, UsageError, some_of, source_error
from qemb_tools.matrix import Bfloat16Source, MatrixSource, RowView, widen_bfloat16, without_padding
from qemb_tools.quantized import Int8Source
from qemb_tools.spool import Columns
from qemb_tools.stream import check_file, check_growth, is_name
from qemb_tools.tokens import read_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_HEADER = 10 << 20
"""Bytes; parsed, JSON can take twenty times as many."""
_MOST_DIMENSIONS: Final = 16
INDEX: Final = "model.safetensors.index.json"
_TYPES: Final = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I8": "<i1", "U8": "<u1",
}  # fmt: skip
_FLOATS: Final = ("F64", "F32", "F16", "BF16")
_VALUES: Final = (*_FLOATS, "I8", "U8")
# what the table of tokens is called, by model2vec, sentence-transformers, BERT, GPT-2, Llama, GPT-NeoX and T5
_USUAL: Final = (
    "embeddings", "embedding.weight", "word_embeddings.weight", "wte.weight", "embed_tokens.weight",
    "tok_embeddings.weight", "embed_in.weight", "shared.weight",
)  # fmt: skip
_TOKENIZERS: Final = ("tokenizer.json", "vocab.txt", "vocab.json")
_LENGTHS, _BYTES, _COUNTS = "token_lengths", "token_bytes", "counts"
_METADATA = "qemb"
_STATIC: Final = ("embeddings", "embedding.weight")


@dataclass(frozen=True)
class _Tensor:
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    file: Path


def sniff(head: bytes, path: str) -> bool:
    """Whether this is a safetensors file, the index of several, or a folder with one of them in it."""
    if Path(path).is_dir():
        return any((_folder(Path(path)) / name).is_file() for name in (INDEX, "model.safetensors"))
    if path.endswith(".safetensors.index.json"):
        return True
    return len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= LARGEST_HEADER


def list_tables(path: str) -> list[Found]:
    """List the tables of a file or of a model's folder, for ``qemb info``. Raises as `open_tensors` does."""
    file = _main_file(path)
    tensors = _read_tensors(file, "")
    beside = _tokenizer(file)
    words = _BYTES if _BYTES in tensors else "" if beside is None else beside.name
    return [Found(t.name, "safetensors", t.shape[0], t.shape[1], t.dtype, words) for t in _tables(tensors).values()]


def open_tensors(path: str, options: ReadOptions) -> Source:
    """Open the table of tokens of a safetensors file or of a model's folder.

    Raises
    ------
    UsageError
        Several tensors could be meant, a shard is missing, or there are no tokens to be found.
    qemb.InvalidError
        The header is damaged, or rows and tokens do not fit.
    """
    file = _main_file(path)
    tensors = _read_tensors(file, options.dataset)
    tokens = _read_tokens(tensors, file, options)
    tensor = _choose(tensors, options, str(file), None if tokens is None else len(tokens))
    if tokens is None:
        raise UsageError(f"{file} holds vectors only and no tokenizer is beside it; name its words: --tokens FILE")
    where = str(tensor.file)
    source: Source
    if tensor.name in _STATIC and {"mapping", "weights"} & tensors.keys():
        source = MatrixSource(tokens, _model2vec(tensor, tensors, where), where)
    elif tensor.dtype == "I8":
        source = Int8Source(tokens, _map(tensor), _scales(tensors, tensor.name), where)
    else:
        matrix, notes = without_padding(_map(tensor), len(tokens))
        counts = _map(tensors[_COUNTS]) if _LENGTHS in tensors and _COUNTS in tensors else None
        kind = Bfloat16Source if tensor.dtype == "BF16" else MatrixSource
        source = kind(tokens, matrix, where, counts)
        source.notes += notes
    source.metadata |= _metadata(file) if _LENGTHS in tensors else {"tensor": tensor.name}
    return source


def _model2vec(table: _Tensor, tensors: dict[str, _Tensor], where: str) -> RowView:
    """Rows as model2vec uses them: by its ``mapping`` of tokens to rows, times its ``weights`` of tokens."""
    mapping, weights = (_map(tensors[name]) if name in tensors else None for name in ("mapping", "weights"))
    if mapping is None:
        mapping = np.arange(table.shape[0])
    elif mapping.ndim != 1 or mapping.dtype.kind != "i":
        raise source_error("model2vec's mapping is not a list of row numbers; fetch the file again", where)
    elif mapping.size and not 0 <= mapping.min() <= mapping.max() < table.shape[0]:
        raise source_error(f"model2vec's mapping names rows that are not among {table.shape[0]:,}", where)
    if weights is not None and (
        weights.shape != mapping.shape or tensors["weights"].dtype not in ("F64", "F32", "F16")
    ):
        raise source_error(f"model2vec's weights are not {len(mapping):,} numbers; fetch the file again", where)
    stored = _map(table)
    # several tokens may have the same row
    check_growth(len(mapping) * table.shape[1] * stored.dtype.itemsize, os.path.getsize(table.file), where)

    def rows(part: slice) -> NDArray[Any]:
        values: NDArray[Any] = stored[mapping[part]]
        if table.dtype == "BF16":
            values = widen_bfloat16(values)
        return values if weights is None else values * weights[part, None]

    return RowView((len(mapping), table.shape[1]), rows(slice(0, 0)).dtype, rows)


def _map(tensor: _Tensor) -> NDArray[Any]:
    if not prod(tensor.shape):
        return np.empty(tensor.shape, _TYPES[tensor.dtype])  # which cannot be mapped
    return np.memmap(tensor.file, _TYPES[tensor.dtype], "r", tensor.start, tensor.shape)


def _scales(tensors: dict[str, _Tensor], name: str) -> NDArray[Any] | None:
    """The scales of an int8 tensor, where the file has them: what int8 values are multiplied by."""
    for candidate in (f"{name}_scale", f"{name}.scale", "scale", "scales"):
        tensor = tensors.get(candidate)
        if tensor is not None and tensor.dtype in _FLOATS:
            values = np.array(_map(tensor))
            return widen_bfloat16(values) if tensor.dtype == "BF16" else values
    return None


def _folder(folder: Path) -> Path:
    """Where a model's tensors are: sentence-transformers has them in the folder of its first module."""
    try:
        modules = json.loads((folder / "modules.json").read_bytes())
        inner = PurePosixPath(modules[0]["path"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return folder
    inside = not inner.is_absolute() and all(map(is_name, inner.parts))
    return folder / inner if inside else folder


def _main_file(path: str) -> Path:
    file = Path(path)
    if file.is_dir():
        folder = _folder(file)
        file = folder / (INDEX if (folder / INDEX).is_file() else "model.safetensors")
    check_file(str(file))
    return file


def _read_tensors(file: Path, wanted: str | None) -> dict[str, _Tensor]:
    """Tensors of a file; or of the shards that an index lists, only those with the table where its name is known.

    ``wanted`` is the name, None for the usual ones, "" for all of them.
    """
    if not file.name.endswith(".index.json"):
        return _read_header(file)
    try:
        shards = dict(json.loads(file.read_bytes())["weight_map"])
        plain = all(name == PurePosixPath(name).name and is_name(name) for name in shards.values())
    except (ValueError, LookupError, TypeError, RecursionError):
        shards, plain = {}, False
    if not plain:
        raise source_error("the index does not say which tensor is in which file beside it; fetch it again", str(file))
    names = [name for name in shards if name == wanted or (wanted is None and name.endswith(_USUAL))] or list(shards)
    tensors: dict[str, _Tensor] = {}
    for shard in dict.fromkeys(shards[name] for name in names):
        if not file.with_name(shard).is_file():
            first = next(name for name in names if shards[name] == shard)
            raise UsageError(f"{file.with_name(shard)} does not exist; {first} is in it, by {file.name}: fetch it too")
        tensors |= _read_header(file.with_name(shard))
    return tensors


def _read_header(path: Path) -> dict[str, _Tensor]:
    """Read and check the header of a file; tensors of unknown types are left out."""
    where = str(path)
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, LARGEST_HEADER):
            raise source_error("the header runs past the end of the file; fetch it again", where, 0)
        data = stream.read(length)
    try:
        header = json.loads(data)
        header.pop("__metadata__", None)
        tensors = [_tensor(name, entry, path, size - 8 - length) for name, entry in header.items()]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise source_error("the header is not that of a safetensors file, or is damaged", where, 8) from None
    return {t.name: replace(t, start=8 + length + t.start) for t in tensors if t is not None}


def _tensor(name: str, entry: dict[str, Any], file: Path, available: int) -> _Tensor | None:
    """Check one entry of the header; ValueError, TypeError or KeyError where it is wrong."""
    shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
    if (
        len(shape) > _MOST_DIMENSIONS
        or not all(type(n) is int and 0 <= n < 1 << 53 for n in (*shape, begin, end))
        or not begin <= end <= available
    ):
        raise ValueError(name)
    kind = _TYPES.get(entry["dtype"])
    if kind is None:
        return None
    if prod(shape) * np.dtype(kind).itemsize != end - begin:
        raise ValueError(name)
    return _Tensor(name, entry["dtype"], shape, begin, file)


def _metadata(file: Path) -> dict[str, Any]:
    """What `SafetensorsSink` wrote; {} where it is none of that."""
    with open(file, "rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    try:
        metadata = json.loads(header["__metadata__"][_METADATA])
    except (ValueError, LookupError, TypeError, RecursionError):
        metadata = None
    return metadata if isinstance(metadata, dict) else {}


def _tokenizer(file: Path) -> Path | None:
    return next((path for name in _TOKENIZERS if (path := file.with_name(name)).is_file()), None)


def _read_tokens(tensors: dict[str, _Tensor], file: Path, options: ReadOptions) -> list[bytes] | None:
    """Tokens of ``--tokens``, in the file, or of a tokenizer beside it; None where there are none."""
    if options.tokens is not None:
        return read_tokens(options)
    lengths, data = tensors.get(_LENGTHS), tensors.get(_BYTES)
    if lengths is not None and data is not None and (lengths.dtype, data.dtype) == ("I32", "U8"):
        ends = np.cumsum(_map(lengths), dtype=np.int64)
        stored = _map(data).tobytes()
        if (_map(lengths) < 0).any() or (int(ends[-1]) if ends.size else 0) != len(stored):
            raise source_error("the lengths of the tokens do not add up; fetch the file again", str(file))
        return [stored[end - size : end] for size, end in zip(_map(lengths).tolist(), ends.tolist(), strict=True)]
    beside = _tokenizer(file)
    return None if beside is None else read_tokens(replace(options, tokens=str(beside)))


def _tables(tensors: dict[str, _Tensor]) -> dict[str, _Tensor]:
    return {name: t for name, t in tensors.items() if len(t.shape) == 2 and all(t.shape) and t.dtype in _VALUES}


def _choose(tensors: dict[str, _Tensor], options: ReadOptions, path: str, tokens: int | None) -> _Tensor:
    """The table that is named, else by its name, else by its number of rows."""
    tables = _tables(tensors)
    if not tables:
        raise source_error("there is no matrix of numbers in it; check the file", path)
    if options.dataset is not None:
        if options.dataset not in tables:
            raise UsageError(f"{path} has no matrix {options.dataset!r}; it has {some_of(tables)}")
        return tables[options.dataset]
    names = [name for name in tables if name.endswith(_USUAL)] or list(tables)
    if len(names) != 1 and tokens is not None:
        # models pad their tables to a round number of rows
        names = [name for name in names if tokens <= tables[name].shape[0] <= tokens + max(1024, tokens // 20)] or names
    if len(names) != 1:
        raise UsageError(f"{path} holds {some_of(names)}; name one: --dataset NAME")
    return tables[names[0]]


class SafetensorsSink(Sink):
    """A safetensors file in the layout above; its header is written last, into room that was left for it."""

    def __init__(self, path: str, dim: int, metadata: dict[str, Any]) -> None:
        self.notes = []
        self._dim = dim
        self._metadata = {_METADATA: json.dumps(metadata)} if metadata else {}
        self._columns = Columns()
        longest = len(self._header({_COUNTS: ("I64", [1 << 50]), _BYTES: ("U8", [1 << 50])}, 1 << 50))
        self._room = -(-longest // 8) * 8
        self._target = AtomicFile(path)
        self._target.file.write(bytes(8 + self._room))

    def _header(self, more: dict[str, tuple[str, list[int]]], rows: int) -> bytes:
        entries: dict[str, Any] = {"__metadata__": self._metadata} if self._metadata else {}
        at = 0
        for name, (dtype, shape) in {
            "embeddings": ("F32", [rows, self._dim]),
            _LENGTHS: ("I32", [rows]),
            **more,
        }.items():
            end = at + prod(shape) * np.dtype(_TYPES[dtype]).itemsize
            entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
            at = end
        return json.dumps(entries, separators=(",", ":")).encode()

    def append(self, batch: Batch) -> None:
        """Write the rows of a batch."""
        self._columns.append(batch)
        self._target.file.write(np.ascontiguousarray(batch.vectors, "<f4").data)

    def finish(self) -> None:
        """Write the tokens, then the header, and publish the file."""
        tokens, counts, file = self._columns.tokens, self._columns.counts, self._target.file
        file.write(np.array([len(token) for token in tokens], "<i4").data)
        data = b"".join(tokens)
        more: dict[str, tuple[str, list[int]]] = {}
        if counts is not None:
            if counts.size and counts.max() > np.iinfo(np.int64).max:
                raise source_error("a count is 2^63 or more, which the file cannot hold; write HDF5", self._target.path)
            file.write(counts.astype("<i8").data)
            more[_COUNTS] = "I64", [len(tokens)]
        file.write(data)
        header = self._header(more | {_BYTES: ("U8", [len(data)])}, len(tokens))
        file.seek(0)
        file.write(self._room.to_bytes(8, "little") + header.ljust(self._room))
        self._target.commit()

    def abort(self) -> None:
        """Throw away what was written."""
        self._target.abort()
