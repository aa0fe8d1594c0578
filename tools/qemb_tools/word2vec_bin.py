"""word2vec ``.bin``: a header line, then for each row the token, a space, and ``dim`` little-endian float32.

The C tool writes a newline after each vector, gensim does not; both are read. Tokens are bytes: the files of the C tool
cut long tokens in the middle of a character.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qemb.atomic import AtomicFile
from qemb_tools.interface import MAX_DIM, Batch, ReadOptions, Source, source_error
from qemb_tools.rowfile import RowFile
from qemb_tools.stream import open_bytes
from qemb_tools.text import header_of, looks_like_rows
from qemb_tools.tokens import check_encoding, decodes, show, to_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 1 << 22
LONGEST_TOKEN = 1 << 16


def sniff(head: bytes, path: str) -> bool:  # noqa: ARG001 - every format's sniff takes both
    """Whether there is a header of word2vec, and no text behind it."""
    rest = head.partition(b"\n")[2]
    return header_of(head) is not None and bool(rest) and not looks_like_rows(rest)


class BinSource(Source):
    """A word2vec ``.bin`` file, streamed in blocks.

    Raises
    ------
    qemb.InvalidError
        The header is damaged or the file ends early; the message names the row and the byte.
    """

    def __init__(self, path: str, options: ReadOptions) -> None:
        super().__init__()
        check_encoding(options)
        # tokens that are not UTF-8 are usual here, so they are kept unless an encoding is named
        self._options = options
        self._path = path
        self._stream = open_bytes(path)
        line = self._stream.readline(64)
        header = header_of(line)
        if header is None or not line.endswith(b"\n") or not 1 <= header[1] <= MAX_DIM:
            self._stream.close()
            raise source_error("there is no word2vec header (rows and dim in one line); check the format", path)
        self.rows, self.dim = header
        self.expected = self.rows
        self._at = len(line)

    def close(self) -> None:
        """Release the file."""
        self._stream.close()

    def batches(self) -> Iterator[Batch]:
        """Yield the rows, block by block."""
        size = 4 * self.dim
        left = self.rows or 0
        buffer = b""
        not_text = 0
        while left:
            block = self._stream.read(max(BLOCK, size))
            buffer += block
            tokens: list[bytes] = []
            vectors: list[bytes] = []
            at = 0
            while len(tokens) < left:
                while buffer.startswith(b"\n", at):
                    at += 1
                space = buffer.find(b" ", at, at + LONGEST_TOKEN + 1)
                if space < 0 or space + 1 + size > len(buffer):
                    break
                tokens.append(buffer[at:space])
                at = space + 1 + size
                vectors.append(buffer[space + 1 : at])
            left -= len(tokens)
            self._at += at
            buffer = buffer[at:]
            if left and (not block or (len(buffer) > LONGEST_TOKEN and buffer.find(b" ", 0, LONGEST_TOKEN + 1) < 0)):
                self._fail(left, at_end=not block)
            if tokens:
                first = (self.rows or 0) - left - len(tokens)
                if self._options.encoding:
                    tokens = to_utf8(tokens, self._options, lambda i, row=first: f"{self._path}, row {row + i:,}")  # type: ignore[misc]
                else:
                    not_text += _count_not_utf8(tokens)
                values = np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(tokens), self.dim)
                yield Batch(tokens, values.astype(np.float32, copy=False))
        if not_text:
            self.notes.append(f"tokens that are not UTF-8, kept as bytes: {not_text:,}")
        if (buffer + self._stream.read(2)).strip(b"\n"):
            self.notes.append(f"there are bytes after the {self.rows:,} rows that the header promises; they were left")

    def _fail(self, left: int, *, at_end: bool) -> None:
        rows = self.rows or 0
        if at_end:
            message = f"the file ends in row {rows - left:,} of {rows:,}; it was cut short, so fetch it again"
        else:
            message = f"no token of at most {LONGEST_TOKEN:,} bytes starts here; the file or its header is damaged"
        raise source_error(message, f"{self._path}, row {rows - left:,}", self._at)


def _count_not_utf8(tokens: list[bytes]) -> int:
    try:
        b"\n".join(tokens).decode()
    except UnicodeDecodeError:
        return sum(not decodes(token) for token in tokens)
    return 0


class BinSink(RowFile):
    """A word2vec ``.bin`` file as the C tool writes it, with a newline after each vector."""

    def __init__(self, path: str, dim: int, rows: int | None) -> None:
        super().__init__(AtomicFile(path), dim, rows)

    def encode(self, batch: Batch) -> Iterator[bytes]:
        """Yield the rows of a batch."""
        vectors = np.ascontiguousarray(batch.vectors, dtype="<f4")
        for row, (token, vector) in enumerate(zip(batch.tokens, vectors, strict=True), start=self.written):
            if b" " in token or token.startswith(b"\n"):
                raise source_error(
                    f"the token {show(token)} cannot stand in word2vec .bin, where a space ends it; "
                    "write .qemb, text or HDF5 instead",
                    f"row {row:,}",
                )
            yield token + b" " + vector.tobytes() + b"\n"
