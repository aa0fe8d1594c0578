"""safetensors: token tables of language models, and model2vec's static embeddings.

The format is eight bytes of length, a JSON header, then raw little-endian data; everything in the header is checked
against the file's size before it is used. The words come from ``--tokens`` or from a tokenizer beside the file.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qemb_tools.interface import ReadOptions, Source, UsageError, some_of, source_error
from qemb_tools.matrix import Bfloat16Source, MatrixSource, widen_bfloat16, without_padding
from qemb_tools.quantized import Int8Source
from qemb_tools.stream import check_file
from qemb_tools.tokens import read_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_HEADER = 100 << 20
_TYPES: Final = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I8": "<i1", "U8": "<u1"}
_FLOATS: Final = ("F64", "F32", "F16", "BF16")
# what the table of tokens is called, by model2vec, BERT, GPT-2, Llama and sentence-transformers
_USUAL: Final = ("embeddings", "embedding.weight", "word_embeddings.weight", "wte.weight", "embed_tokens.weight")


@dataclass(frozen=True)
class _Tensor:
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int


def sniff(head: bytes, path: str) -> bool:
    """Whether this is a safetensors file, or a folder with ``model.safetensors`` in it."""
    if Path(path).is_dir():
        return (Path(path) / "model.safetensors").is_file()
    return len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= LARGEST_HEADER


def open_tensors(path: str, options: ReadOptions) -> Source:
    """Open the table of tokens of a safetensors file or of a model's folder.

    Raises
    ------
    UsageError
        Several tensors could be meant, or there are no tokens to be found.
    qemb.InvalidError
        The header is damaged, or rows and tokens do not fit.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "model.safetensors"
    check_file(str(file))
    tensors = _read_header(str(file))
    tensor = _choose(tensors, options, str(file))
    matrix = _map(file, tensor)
    if options.tokens is None:
        beside = next((p for n in ("tokenizer.json", "vocab.txt") if (p := file.parent / n).is_file()), None)
        if beside is None:
            raise UsageError(f"{file} holds vectors only and no tokenizer is beside it; name its words: --tokens FILE")
        options = replace(options, tokens=str(beside))
    tokens = read_tokens(options)
    source: Source
    if tensor.dtype == "I8":
        source = Int8Source(tokens, matrix, _scales(tensors, tensor.name, file), str(file))
    else:
        matrix, notes = without_padding(matrix, len(tokens))
        source = (Bfloat16Source if tensor.dtype == "BF16" else MatrixSource)(tokens, matrix, str(file))
        source.notes += notes
    source.metadata["tensor"] = tensor.name
    return source


def _map(file: Path, tensor: _Tensor) -> NDArray[Any]:
    return np.memmap(file, _TYPES[tensor.dtype], "r", tensor.start, tensor.shape)


def _scales(tensors: dict[str, _Tensor], name: str, file: Path) -> NDArray[Any] | None:
    """The scales of an int8 tensor, where the file has them: what int8 values are multiplied by."""
    for candidate in (f"{name}_scale", f"{name}.scale", "scale", "scales"):
        tensor = tensors.get(candidate)
        if tensor is not None and tensor.dtype in _FLOATS:
            values = np.array(_map(file, tensor))
            return widen_bfloat16(values) if tensor.dtype == "BF16" else values
    return None


def _read_header(path: str) -> dict[str, _Tensor]:
    """Read and check the header; tensors of unknown types are left out."""
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, LARGEST_HEADER):
            raise source_error("the header runs past the end of the file; fetch it again", path, 0)
        data = stream.read(length)
    try:
        header = json.loads(data)
        header.pop("__metadata__", None)
        tensors = [_tensor(name, entry, size - 8 - length) for name, entry in header.items()]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise source_error("the header is not that of a safetensors file, or is damaged", path, 8) from None
    return {t.name: replace(t, start=8 + length + t.start) for t in tensors if t is not None}


def _tensor(name: str, entry: dict[str, Any], available: int) -> _Tensor | None:
    """Check one entry of the header; ValueError, TypeError or KeyError where it is wrong."""
    shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
    if not all(type(n) is int and 0 <= n < 1 << 53 for n in (*shape, begin, end)) or not begin <= end <= available:
        raise ValueError(name)
    kind = _TYPES.get(entry["dtype"])
    if kind is None:
        return None
    if prod(shape) * np.dtype(kind).itemsize != end - begin:
        raise ValueError(name)
    return _Tensor(name, entry["dtype"], shape, begin)


def _choose(tensors: dict[str, _Tensor], options: ReadOptions, path: str) -> _Tensor:
    tables = {name: tensor for name, tensor in tensors.items() if len(tensor.shape) == 2 and all(tensor.shape)}
    if not tables:
        raise source_error("there is no matrix of numbers in it; check the file", path)
    if options.dataset is not None:
        if options.dataset not in tables:
            raise UsageError(f"{path} has no matrix {options.dataset!r}; it has {some_of(tables)}")
        return tables[options.dataset]
    usual = [name for name in tables if name.endswith(_USUAL)]
    names = usual if len(usual) == 1 else list(tables)
    if len(names) != 1:
        raise UsageError(f"{path} holds {some_of(tables)}; name one: --dataset NAME")
    return tables[names[0]]
