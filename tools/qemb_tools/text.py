"""Word vectors as text: word2vec (a header, then rows), GloVe (rows only) and fastText ``.vec`` are one family.

A row is a token, then ``dim`` numbers, with spaces or tabs between. Tokens may hold spaces themselves, so the vector is
the *last* ``dim`` fields; and only ASCII space and tab separate, because tokens may hold any other Unicode space.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from qemb.atomic import AtomicFile
from qemb_tools.decimals import parse_floats, read_rows
from qemb_tools.interface import MAX_DIM, Batch, ReadOptions, Source, source_error
from qemb_tools.rowfile import RowFile
from qemb_tools.stream import is_compressed, is_pipe, open_bytes
from qemb_tools.tokens import check_encoding, show, to_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

BLOCK = 1 << 22
"""Bytes read at a time: a batch of rows."""
TILE = 3 << 17
"""Bytes parsed at a time: what is made of them stays in the cache of one core. A megabyte takes half as long again."""
FEW = 1 << 12
"""Bytes of lines that are read one by one where any is unusual."""
MANY = 1 << 18
"""Numbers that take longer to print than importing Arrow does."""

LONGEST_LINE = 1 << 26

_HEADER = re.compile(rb"[ \t]*([0-9]{1,18})[ \t]+([0-9]{1,18})[ \t\r\n]*")
_FIELD = re.compile(rb"[^ \t\r\n]+")
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
_BOM = b"\xef\xbb\xbf"


def looks_like_rows(head: bytes) -> bool:
    """Whether ``head`` starts with a row of text vectors: a token, then mostly numbers."""
    line, newline, _ = head.removeprefix(_BOM).partition(b"\n")
    fields = _FIELD.findall(line)
    if not newline and len(fields) > 2:
        fields.pop()  # cut short by the end of what was peeked at
    return b"\0" not in line and len(fields) >= 2 and _count_numbers(fields) * 2 > len(fields) - 1


def _count_numbers(fields: list[bytes]) -> int:
    """How many of the last fields are numbers, the first field left out: it is the token whatever it looks like."""
    count = 0
    while count < len(fields) - 1 and _NUMBER.fullmatch(fields[-1 - count]):
        count += 1
    return count


def header_of(head: bytes) -> tuple[int, int] | None:
    """``(rows, dim)`` where ``head`` starts with a word2vec header line, else None."""
    match = _HEADER.fullmatch(head.removeprefix(_BOM).partition(b"\n")[0])
    return (int(match[1]), int(match[2])) if match else None


def sniff(head: bytes, path: str) -> bool:  # noqa: ARG001 - every format's sniff takes both
    """Whether this is text vectors: a header and a row, or a row at once."""
    if header_of(head) is None:
        return looks_like_rows(head)
    rest = head.partition(b"\n")[2]
    return not rest or looks_like_rows(rest)


class TextSource(Source):
    """Text vectors, streamed in blocks.

    Parameters
    ----------
    path : str
        The file, plain or gzip; ``-`` for standard input.
    options : ReadOptions
        ``encoding``, ``keep_bytes`` and ``skip_bad`` apply.
    header : bool
        False where the first line is a row whatever it looks like.

    Raises
    ------
    qemb.InvalidError
        The file is not such a table; the message names the line.
    """

    def __init__(self, path: str, options: ReadOptions, *, header: bool = True) -> None:
        super().__init__()
        check_encoding(options)
        self._path = path
        self._options = options
        self._stream = open_bytes(path)
        try:
            self._start(header=header)
        except BaseException:
            self._stream.close()
            raise

    def close(self) -> None:
        """Release the file."""
        self._stream.close()

    def _start(self, *, header: bool) -> None:
        self._spaced = self._blank = self._bad = 0
        self._first_spaced = self._first_bad = ""
        self._line = 1  # number of the line at hand, or the first one of several
        block = self._read_block()
        if not block:
            raise source_error("the file is empty; check the name", self._path)
        if block.startswith(_BOM):
            block = block[len(_BOM) :]
            self.notes.append("a byte order mark at the start of the file was left out")
        promised = header_of(block) if header else None
        if promised is not None:
            block = block.partition(b"\n")[2]
            self._line = 2
            block = block or self._read_block()
        self._pending = block
        self._promised = promised
        self.dim = self._find_dim(block, promised)
        self.rows = None
        self.expected = promised[0] if promised else self._estimate_rows(block)

    def _find_dim(self, block: bytes, promised: tuple[int, int] | None) -> int:
        """Take most rows' word for the number of values: one row may be short, and tokens may hold spaces."""
        dim = promised[1] if promised else 0
        votes: Counter[int] = Counter()
        for line in block.split(b"\n", 200)[:200]:
            fields = _FIELD.findall(line)
            # more fields than there should be are numbers, or words of the token
            have = len(fields) - 1 if len(fields) - 1 <= dim else max(dim, _count_numbers(fields))
            if fields:
                votes[have] += 1
        if not votes:
            raise source_error("there are no rows; check that the file is whole", self._path)
        usual = max(votes, key=lambda n: (votes[n], n))  # of equals the larger: a short row is refused, not misread
        if promised is None:
            if not 1 <= usual <= MAX_DIM:
                raise source_error(
                    "a line is not a token and its numbers; name the file's format with --from",
                    f"{self._path}, line {self._line:,}",
                )
            return usual
        if not 1 <= dim <= MAX_DIM:
            raise source_error(f"the header promises {dim:,} numbers a row; mend it", f"{self._path}, line 1")
        if usual != dim and b"\0" in block:
            raise source_error(
                "there are bytes in it that are no text; if this is word2vec .bin, say --from word2vec-bin", self._path
            )
        if usual != dim:
            raise source_error(
                f"the header promises {dim:,} numbers a row and the rows have {usual:,}; mend or remove the header",
                f"{self._path}, line 1",
            )
        return dim

    def _estimate_rows(self, block: bytes) -> int | None:
        if is_pipe(self._path) or is_compressed(self._stream) or not block:
            return None
        return round(os.path.getsize(self._path) / len(block) * (block.count(b"\n") + (not block.endswith(b"\n"))))

    def _read_block(self) -> bytes:
        """Return some whole lines, the last one's newline included where it has one; nothing at the end."""
        block = self._stream.read(BLOCK)
        if not block or block.endswith(b"\n"):
            return block
        rest = self._stream.readline(LONGEST_LINE)
        if len(rest) == LONGEST_LINE:
            raise source_error(
                "a line is longer than 64 MiB, so this is not text with one row a line; check the format", self._path
            )
        return block + rest

    def batches(self) -> Iterator[Batch]:
        """Yield the rows, block by block."""
        block, self._pending = self._pending, b""
        rows = 0
        while block:
            parts = [part for tile in _tiles(block) for part in self._read(tile)]
            if parts:
                tokens = [token for part in parts for token in part[0]]
                rows += len(tokens)
                yield Batch(tokens, np.concatenate([part[1] for part in parts]))
            block = self._read_block()
        self._report(rows)

    def _report(self, rows: int) -> None:
        if self._promised and self._promised[0] != rows + self._bad:
            self.notes.append(f"the header promises {self._promised[0]:,} rows; there are {rows + self._bad:,}")
        if self._spaced:
            self.notes.append(f"tokens with spaces in them: {self._spaced:,}, the first {self._first_spaced}")
        if self._blank:
            self.notes.append(f"blank lines passed over: {self._blank:,}")
        if self._bad:
            self.notes.append(f"bad rows left out: {self._bad:,}, the first {self._first_bad}")

    def _read(self, lines: bytes) -> Iterator[tuple[list[bytes], NDArray[np.float32]]]:
        """Read whole lines: all at once where all are usual, else those before, among and after the others apart."""
        rows = read_rows(lines, self.dim)
        if rows is not None:
            tokens, vectors = rows
            self._note_spaces(tokens)
            yield to_utf8(tokens, self._options, self._where), vectors
            self._line += len(tokens)
        elif len(lines) > FEW and (middle := lines.find(b"\n", len(lines) // 2, -1) + 1):
            yield from self._read(lines[:middle])
            yield from self._read(lines[middle:])
        else:
            for line in lines.removesuffix(b"\n").split(b"\n"):
                row = self._read_line(line.rstrip(b" \t\r"))
                if row is not None:
                    yield to_utf8([row[0]], self._options, self._where), row[1]
                self._line += 1

    def _where(self, place: int) -> str:
        return f"{self._path}, line {self._line + place:,}"

    def _read_line(self, line: bytes) -> tuple[bytes, NDArray[np.float32]] | None:
        """Read a line field by field; None where it is passed over."""
        fields = list(_FIELD.finditer(line))
        if not fields:
            self._blank += 1
            return None
        have = len(fields) - (line[0] not in b" \t")  # a line that starts with a space has an empty token
        if have < self.dim:
            self._refuse(f"the row has {have:,} numbers, not {self.dim:,}")
            return None
        start = fields[-self.dim].start()
        token = line[:start].rstrip(b" \t")
        self._note_spaces([token])
        numbers = [field[0] for field in fields[-self.dim :]]
        values = parse_floats(b" ".join(numbers))
        if values.size != self.dim or not np.isfinite(values).all():
            bad = (f for f in numbers if (v := parse_floats(f)).size != 1 or not np.isfinite(v[0]))
            self._refuse(f"{show(next(bad, line))} is not a finite number")
            return None
        return token, values.reshape(1, self.dim)

    def _note_spaces(self, tokens: list[bytes]) -> None:
        joint = b"".join(tokens)
        if b" " in joint or b"\t" in joint:
            for place, token in enumerate(tokens):
                if b" " in token or b"\t" in token:
                    self._spaced += 1
                    self._first_spaced = self._first_spaced or f"{show(token)} in line {self._line + place:,}"

    def _refuse(self, message: str) -> None:
        if not self._options.skip_bad:
            raise source_error(f"{message}; mend the line, or leave such rows out with --skip-bad", self._where(0))
        self._bad += 1
        self._first_bad = self._first_bad or f"in line {self._line:,}: {message}"


def _tiles(block: bytes) -> Iterator[bytes]:
    """Cut a block of whole lines into pieces of whole lines, the last one's newline included."""
    if not block.endswith(b"\n"):
        block += b"\n"
    start = 0
    while start < len(block):
        end = block.find(b"\n", min(start + TILE, len(block) - 1)) + 1
        yield block[start:end]
        start = end


class TextSink(RowFile):
    """Text vectors: word2vec with its header, or GloVe without.

    Numbers are printed with as few digits as bring the same float32 back.
    """

    def __init__(self, path: str, dim: int, rows: int | None, *, header: bool = True) -> None:
        super().__init__(AtomicFile(path), dim, rows, header=header)

    def encode(self, batch: Batch) -> Iterator[bytes]:
        """Yield the lines of a batch."""
        finite = np.asarray(np.isfinite(batch.vectors).all(axis=1))
        rows = zip(batch.tokens, finite, _print(batch.vectors), strict=True)
        for row, (token, good, numbers) in enumerate(rows, start=self.written):
            if b"\n" in token or token[-1:] in (b" ", b"\t", b"\r"):
                raise source_error(
                    f"the token {show(token)} cannot stand in text; write .qemb or HDF5 instead", f"row {row:,}"
                )
            if not good:
                raise source_error("the row is not finite; write .qemb, .bin or HDF5 instead", f"row {row:,}")
            yield token + b" " + numbers + b"\n"


def _print(vectors: NDArray[np.float32]) -> Iterable[bytes]:
    """Numbers of each row with spaces between, in their shortest form, which is ``str`` of a float32."""
    if vectors.size < MANY or find_spec("pyarrow") is None:
        return (" ".join(map(str, vector)).encode() for vector in vectors)
    step = max(1, MANY // vectors.shape[1])
    return (row for start in range(0, len(vectors), step) for row in _print_many(vectors[start : start + step]))


def _print_many(vectors: NDArray[np.float32]) -> list[bytes]:
    """What ``str`` gives, a sixth of the time.

    Arrow finds the same digits, but writes 1 for 1.0 and 0.00001 for 1e-05. So whole numbers, and those so small or
    large that they may have an exponent, are left to ``str``.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    values = np.ascontiguousarray(vectors).reshape(-1)
    magnitude = np.abs(values)
    others = ~((magnitude > 1e-4) & (magnitude < 1e5) & (magnitude != np.rint(magnitude)))
    numbers = pc.cast(pa.array(values), pa.string())
    numbers = pc.replace_with_mask(numbers, pa.array(others), pa.array(list(map(str, values[others])), pa.string()))
    ends = np.arange(0, values.size + 1, vectors.shape[1], dtype=np.int32)
    rows = pc.binary_join(pa.ListArray.from_arrays(ends, numbers), " ")
    encoded: list[bytes] = rows.cast(pa.binary()).to_pylist()
    return encoded


def open_text(path: str, options: ReadOptions) -> Source:
    """Open text vectors, with or without a header."""
    return TextSource(path, options)


def open_glove(path: str, options: ReadOptions) -> Source:
    """Open text vectors whose first line is a row, whatever it looks like."""
    return TextSource(path, options, header=False)
