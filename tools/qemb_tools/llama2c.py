"""llama2.c's ``.bin``: seven integers, then the model's token table as float32; its words come from ``--tokens``."""

from __future__ import annotations

import os
import struct

import numpy as np

from qemb_tools.interface import ReadOptions, Source, UsageError, source_error
from qemb_tools.matrix import MatrixSource
from qemb_tools.stream import check_file
from qemb_tools.tokens import read_tokens

_HEADER = struct.Struct("<7i")


def sniff(head: bytes, path: str) -> bool:
    """Whether the seven settings fit together and give the file's size to the byte."""
    if len(head) < _HEADER.size or not os.path.isfile(path):
        return False
    dim, hidden, layers, heads, kv_heads, vocabulary, length = _HEADER.unpack_from(head)
    rows = abs(vocabulary)  # negative where the output layer has weights of its own
    if min(dim, hidden, layers, heads, kv_heads, rows, length) < 1 or dim % heads or heads % kv_heads:
        return False
    attention = 2 * dim * dim + 2 * dim * (dim // heads * kv_heads)
    weights = rows * dim + layers * (2 * dim + attention + 3 * dim * hidden) + dim + length * (dim // heads)
    if vocabulary < 0:
        weights += rows * dim
    return bool(os.path.getsize(path) == _HEADER.size + 4 * weights)


def open_table(path: str, options: ReadOptions) -> Source:
    """Open the token table of a llama2.c model.

    Raises
    ------
    UsageError
        ``--tokens`` is missing: the file has no words.
    qemb.InvalidError
        The file is too short for its table.
    """
    check_file(path)
    if options.tokens is None:
        raise UsageError(f"{path} is a llama2.c model, which has no words in it; name a file with them: --tokens FILE")
    with open(path, "rb") as stream:
        head = stream.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise source_error("the file ends in its header; fetch it again", path)
    dim, *_, vocabulary, _length = _HEADER.unpack(head)
    rows = abs(vocabulary)
    if min(dim, rows) < 1 or os.path.getsize(path) < _HEADER.size + 4 * rows * dim:
        raise source_error(f"the table of {rows:,} x {dim:,} runs past the end of the file; fetch it again", path)
    return MatrixSource(read_tokens(options), np.memmap(path, "<f4", "r", _HEADER.size, (rows, dim)), path)
