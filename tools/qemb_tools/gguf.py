"""GGUF, the model files of llama.cpp: the token table and its tokens.

The header (metadata, then the list of tensors) is read here, and every length in it is checked against the file. A
tensor of blocks is kept as it is: each block of 32 values has a float16 scale, which `qemb.CodeFormat` has as well.
Layouts are those of ggml-quants.c.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from dataclasses import dataclass, replace
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import qemb
from qemb_tools.interface import MAX_DIM, Kept, ReadOptions, Source, UsageError, some_of, source_error
from qemb_tools.matrix import Bfloat16Source, MatrixSource, check_shape, without_padding
from qemb_tools.quantized import QuantizedSource
from qemb_tools.stream import check_file
from qemb_tools.tokens import read_tokens, to_utf8

if TYPE_CHECKING:
    from numpy.typing import NDArray

TABLE: Final = "token_embd.weight"
BLOCK: Final = 32
"""Values in a block of the types that are kept."""
_TOKENS = "tokenizer.ggml.tokens"
_ALIGNMENT = "general.alignment"
_STRING, _ARRAY = 8, 9
MAX_DIMENSIONS = 4
MAX_DEPTH = 4
"""Of arrays in arrays, which no file has."""
_REALS = (6, 12)
_NUMBERS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_FLOATS: Final = {0: ("F32", "<f4"), 1: ("F16", "<f2"), 30: ("BF16", "<u2")}
_SCHEMES: Final = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
# fmt: off
_OTHERS: Final = {
    9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS",
    18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 34: "TQ1_0",
    35: "TQ2_0", 39: "MXFP4",
}
# fmt: on


@dataclass(frozen=True)
class _Blocks:
    """A type of blocks: a float16 scale, a float16 minimum where it has one, the fifth bits, then nibbles or bytes."""

    name: str
    bits: int
    minimum: bool = False

    @property
    def size(self) -> int:
        """Bytes of a block."""
        return 2 + 2 * self.minimum + BLOCK * self.bits // 8

    @property
    def code_format(self) -> qemb.CodeFormat:
        """Value = scale * signed integer; with a minimum, minimum + scale * unsigned integer."""
        return qemb.CodeFormat(
            bits=self.bits,
            bias=-(1 << (self.bits - 1)) if self.minimum else 0,
            scale="block",
            scale_block=BLOCK,
            scale_dtype="float16",
            offset="block" if self.minimum else "none",
            offset_block=BLOCK if self.minimum else None,
            offset_dtype="float16",
        )

    def codes(self, blocks: NDArray[np.uint8]) -> NDArray[np.int8]:
        """Signed codes of blocks, shape (..., size), as int8 of shape (..., 32)."""
        data = blocks[..., 2 + 2 * self.minimum :]
        if self.bits == 8:
            return data.view(np.int8)
        high, nibbles = data[..., : -BLOCK // 2], data[..., -BLOCK // 2 :]
        unsigned = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1)
        if self.bits == 5:
            unsigned |= np.unpackbits(high, axis=-1, bitorder="little") << 4
        return unsigned.view(np.int8) - np.int8(1 << (self.bits - 1))


_BLOCKS: Final = {
    2: _Blocks("Q4_0", 4),
    3: _Blocks("Q4_1", 4, minimum=True),
    6: _Blocks("Q5_0", 5),
    7: _Blocks("Q5_1", 5, minimum=True),
    8: _Blocks("Q8_0", 8),
}


def sniff(head: bytes, path: str) -> bool:  # noqa: ARG001 - every format's sniff takes both
    """Whether this is a GGUF file."""
    return head.startswith(b"GGUF")


def open_table(path: str, options: ReadOptions) -> Source:
    """Open the token table of a model.

    Raises
    ------
    UsageError
        There is no table of that name, or there are no tokens in the file and none were named.
    qemb.InvalidError
        The header is damaged, or the table is of a type that is not read.
    """
    check_file(path)
    header = _read_header(path)
    tensor = _table(header, options.dataset, path)
    if options.tokens is not None:
        tokens = read_tokens(options)
    elif header.tokens is not None:
        tokens = to_utf8(header.tokens, options, lambda i: f"{path}, token {i:,}")
    else:
        raise UsageError(f"{path} has no tokens in it; name a file with them: --tokens FILE")
    floats = tensor.type in _FLOATS
    name, dtype = _FLOATS.get(tensor.type, ("", "u1"))
    rows, dim = tensor.shape
    shape = (rows, dim) if floats else (rows, dim // BLOCK, _BLOCKS[tensor.type].size)
    data, notes = without_padding(np.memmap(path, dtype, "r", tensor.start, shape), len(tokens))
    source: Source
    if floats:
        source = (Bfloat16Source if name == "BF16" else MatrixSource)(tokens, data, path)
        source.kept = Kept(f"GGML {name}", options={"scheme": _SCHEMES[name]})
    else:
        source = _BlockSource(tokens, data, _BLOCKS[tensor.type], path)
    source.notes += notes
    source.metadata["tensor"] = tensor.name
    return source


class _BlockSource(QuantizedSource):
    """A table of blocks, uint8, shape (rows, blocks, bytes of a block)."""

    def __init__(self, tokens: list[bytes], blocks: NDArray[np.uint8], kind: _Blocks, where: str) -> None:
        dim = blocks.shape[1] * BLOCK
        check_shape(len(blocks), dim, tokens, where)
        super().__init__(tokens, dim, f"GGML {kind.name}", kind.code_format)
        self._blocks = blocks
        self._kind = kind

    def codes(self, rows: slice) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]:
        blocks = np.array(self._blocks[rows])
        halves = np.ascontiguousarray(blocks[..., :4]).view("<f2")
        codes = self._kind.codes(blocks).reshape(len(blocks), -1)
        return codes, halves[..., 0], halves[..., 1] if self._kind.minimum else None


@dataclass(frozen=True)
class _Tensor:
    """An entry of the list; ``shape`` is in C order, ``start`` where its data begin in the file."""

    name: str
    shape: tuple[int, ...]
    type: int
    start: int


@dataclass(frozen=True)
class _Header:
    tokens: list[bytes] | None
    tensors: dict[str, _Tensor]


def _read_header(path: str) -> _Header:
    """Metadata and tensors of a file, as far as they matter here."""
    with open(path, "rb") as stream:
        if not sniff(stream.read(4), path):
            raise source_error("this is no GGUF file; check the name", path, 0)
        with mmap(stream.fileno(), 0, access=ACCESS_READ) as data:
            reader = _Reader(data, path)
            version = reader.number("I")
            if version not in (2, 3):
                kind = "for a big-endian machine" if version & 0xFFFF == 0 else f"of version {version}"
                raise source_error(f"this GGUF file is {kind}; versions 2 and 3, little-endian, are read", path, 4)
            tensor_count, entries = reader.number("Q"), reader.number("Q")
            found: dict[str, Any] = {}
            for _ in range(entries):
                key = reader.string().decode("utf-8", "replace")
                found[key] = reader.value(reader.number("I"), wanted=key in (_TOKENS, _ALIGNMENT))
            tensors = [reader.tensor() for _ in range(tensor_count)]
            alignment = found.get(_ALIGNMENT, 32)
            if not isinstance(alignment, int) or alignment < 1:
                raise reader.damaged()
            start = -(-reader.at // alignment) * alignment
    tokens = found.get(_TOKENS)
    strings = isinstance(tokens, list) and all(isinstance(token, bytes) for token in tokens)
    return _Header(
        tokens if strings else None,
        {tensor.name: replace(tensor, start=start + tensor.start) for tensor in tensors},
    )


class _Reader:
    """A cursor over the header: no length is believed before the bytes are known to be there."""

    def __init__(self, data: mmap, path: str) -> None:
        self.at = 4
        self._data = data
        self._path = path

    def damaged(self) -> qemb.InvalidError:
        return source_error("the header is damaged or cut short; fetch the file again", self._path, self.at)

    def skip(self, size: int) -> int:
        """Move on by ``size`` bytes; where they begin."""
        start = self.at
        if size > len(self._data) - start:
            raise self.damaged()
        self.at += size
        return start

    def number(self, kind: str) -> int:
        size = struct.calcsize(kind)
        return int(struct.unpack_from(f"<{kind}", self._data, self.skip(size))[0])

    def string(self) -> bytes:
        length = self.number("Q")
        start = self.skip(length)
        return self._data[start : start + length]

    def value(self, kind: int, *, wanted: bool, depth: int = 0) -> Any:  # noqa: ANN401 - what metadata hold
        """One value, or None where it is not wanted."""
        if kind in _NUMBERS:
            size = struct.calcsize(_NUMBERS[kind])
            return self.number(_NUMBERS[kind]) if wanted and kind not in _REALS else self.skip(size)
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY or depth > MAX_DEPTH:
            raise self.damaged()
        item, count = self.number("I"), self.number("Q")
        if item in _NUMBERS:
            return self.skip(count * struct.calcsize(_NUMBERS[item]))
        items = (self.value(item, wanted=wanted, depth=depth + 1) for _ in range(count))
        return list(items) if wanted else deque(items, 0)

    def tensor(self) -> _Tensor:
        name = self.string().decode("utf-8", "replace")
        dimensions = self.number("I")
        if dimensions > MAX_DIMENSIONS:
            raise self.damaged()
        shape = tuple(self.number("Q") for _ in range(dimensions))
        return _Tensor(name, shape[::-1], self.number("I"), self.number("Q"))


def _table(header: _Header, name: str | None, path: str) -> _Tensor:
    """The tensor to read, checked against the file."""
    tensor = header.tensors.get(name or TABLE)
    if tensor is None or len(tensor.shape) != 2:
        tables = [t.name for t in header.tensors.values() if len(t.shape) == 2]
        raise UsageError(f"{path} has no matrix {name or TABLE!r}; it has {some_of(tables) or 'none'}: --dataset NAME")
    rows, dim = tensor.shape
    if tensor.type in _FLOATS:
        size = rows * dim * np.dtype(_FLOATS[tensor.type][1]).itemsize
    elif tensor.type in _BLOCKS and dim % BLOCK == 0:
        size = rows * dim // BLOCK * _BLOCKS[tensor.type].size
    else:
        kind = _OTHERS.get(tensor.type, f"type {tensor.type}")
        readable = ", ".join([kind.name for kind in _BLOCKS.values()] + [name for name, _ in _FLOATS.values()])
        advice = "make one with `llama-quantize --token-embedding-type q8_0`"
        raise source_error(f"{tensor.name} is {kind}; only {readable} are read: {advice}", path)
    if rows < 1 or not 1 <= dim <= MAX_DIM or size > os.path.getsize(path) - tensor.start:
        raise source_error(f"{tensor.name} runs past the end of the file; fetch it again", path, tensor.start)
    return tensor
