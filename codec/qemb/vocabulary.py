"""Tokens: read from the map, looked up through the stored index, collected and indexed by a writer."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice, pairwise
from typing import TYPE_CHECKING, Any, overload

import google_crc32c
import numpy as np

from qemb.errors import InvalidError, LimitError
from qemb.layout import FEATURE_BYTE_TOKENS, MAX_TOKEN
from qemb.lookup import EMPTY, FEW, PATIENCE, home_slots, probe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qemb.container import Container

MAX_INDEXED = EMPTY
"""An index holds fewer tokens than this: row numbers are 32 bits wide and one is taken for the empty slot."""
_CHUNK = 4096
_ASKING = 16
"""Slots that each token may ask for, on average, while an index is built for all at once; two are enough."""


def to_bytes(token: str | bytes) -> bytes:
    """The bytes of a token; lone surrogates U+DC80 to U+DCFF stand for bytes that are not UTF-8.

    Raises
    ------
    TypeError
        It is neither str nor bytes.
    """
    if isinstance(token, str):
        return token.encode("utf-8", "surrogateescape")
    if isinstance(token, bytes):
        return token
    raise TypeError(f"a token is str or bytes, not {type(token).__name__}")


def to_text(token: bytes) -> str:
    """The inverse of `to_bytes`, for any bytes."""
    return token.decode("utf-8", "surrogateescape")


# --- reading --------------------------------------------------------------------------------------------------------


class Tokens(Sequence[str]):
    """The vocabulary of an open file: a sequence of str, in row order, that answers `index` by hashing.

    Tokens that are not UTF-8 come as str with surrogate escapes, and are looked up by the same str or by their bytes.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self._count = container.header.tokens
        self._size = container.sections["TOKB"].raw_size
        self._offsets: memoryview | None = None
        self._slots: memoryview | None = None
        self._text: memoryview | None = None
        self._dictionary: dict[bytes, int] | None = None

    def __len__(self) -> int:
        return self._count

    def raw(self, row: int) -> bytes:
        """Token ``row`` as bytes.

        Raises
        ------
        IndexError
            There is no such row among the tokens.
        InvalidError
            ``invalid.token_offsets`` or ``invalid.token_length``, where the file is damaged there.
        """
        if not -self._count <= row < self._count:
            raise IndexError(f"row {row:,} of {self._count:,} tokens")
        if row < 0:
            row += self._count
        offsets = self._open_offsets()
        start, stop = offsets[row], offsets[row + 1]
        check_offsets(row, start, stop, self._size)
        return self._container.read("TOKB", start, stop).tobytes()

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(self._count))]
        return to_text(self.raw(row))

    def __iter__(self) -> Iterator[str]:
        return map(to_text, self.iter_raw())

    def iter_raw(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Tokens ``start`` to ``stop`` as bytes, a few thousand read at a time."""
        stop = self._count if stop is None else stop
        for low in range(start, stop, _CHUNK):
            offsets = self._open_offsets()
            high = min(low + _CHUNK, stop)
            ends = offsets[low : high + 1].tolist()
            for row, (first, last) in enumerate(pairwise(ends), low):
                check_offsets(row, first, last, self._size)
            data = self._container.read("TOKB", ends[0], ends[-1]).tobytes()
            base = ends[0]
            for first, last in pairwise(ends):
                yield data[first - base : last - base]

    def row(self, token: str | bytes) -> int:
        """Row of a token, -1 where there is none."""
        try:
            key = to_bytes(token)
        except UnicodeEncodeError:
            return -1  # a lone surrogate that stands for no byte is in no file
        slots = self._open_index()
        return self._search(key, slots, google_crc32c.value(key) * len(slots) >> 32)

    def _search(self, key: bytes, slots: memoryview, slot: int) -> int:
        """Row of a token, from a slot of the index on; -1 where there is none."""
        offsets, text = self._offsets, self._text
        if offsets is None:
            offsets = self._open_offsets()
        size, length = len(slots), len(key)
        for _ in range(min(size, PATIENCE)):
            row: int = slots[slot]
            if row == EMPTY:
                return -1
            if row >= self._count:
                raise InvalidError("invalid.index", f"slot {slot} names row {row:,}", where="section INDX")
            start, stop = offsets[row], offsets[row + 1]
            if stop - start != length or stop > self._size:
                check_offsets(row, start, stop, self._size)
            elif (self._container.read("TOKB", start, stop) if text is None else text[start:stop]).tobytes() == key:
                return row
            slot = slot + 1 if slot + 1 < size else 0
        if self._dictionary is None:  # the index is as good as none
            rows = range(self._count - 1, -1, -1)  # of a token that is there twice the first row stays
            self._dictionary = dict(zip(reversed(list(self.iter_raw())), rows, strict=True))
        return self._dictionary.get(key, -1)

    def find(self, tokens: Iterable[str | bytes]) -> NDArray[np.int64]:
        """Rows of many tokens, int64, -1 for each that is absent.

        No dictionary is ever made: it would take as long to make as 170,000 tokens one by one or 800,000 at once take
        to look up beside it, and 100 bytes a token.
        """
        tokens = tokens if isinstance(tokens, list | tuple) else list(tokens)
        if len(tokens) < FEW or not self._container.is_raw("TOKB"):
            return np.fromiter(map(self.row, tokens), np.int64, len(tokens))
        try:
            keys = list(map(to_bytes, tokens))
        except UnicodeEncodeError:
            return np.fromiter(map(self.row, tokens), np.int64, len(tokens))
        slots = self._open_index()
        rows, unsettled = probe(keys, np.asarray(slots), np.asarray(self._open_offsets()), self._container.read("TOKB"))
        for number, slot in unsettled:
            rows[number] = self._search(keys[number], slots, slot)
        return rows

    def index(self, token: object, start: int = 0, stop: int | None = None) -> int:
        """Row of a token.

        Raises
        ------
        ValueError
            There is no such token, or not between ``start`` and ``stop``.
        """
        row = self.row(token) if isinstance(token, str | bytes) else -1
        if row < 0 or row not in range(self._count)[start:stop]:
            raise ValueError(f"{token!r} is not in the vocabulary")
        return row

    def count(self, token: object) -> int:
        """1 where the token is there, otherwise 0: tokens are unique."""
        return int(token in self)

    def __contains__(self, token: object) -> bool:
        return isinstance(token, str | bytes) and self.row(token) >= 0

    def __repr__(self) -> str:
        shown = ", ".join(repr(token) for token in self[:5])
        return f"<{self._count:,} tokens: {shown}{', …' if self._count > 5 else ''}>"

    def release(self) -> None:
        """Let go of the map, as `qemb.Embedding.close` needs it."""
        self._offsets = self._slots = self._text = None
        self._dictionary = None

    def _open_offsets(self) -> memoryview:
        """The offsets, when they can be looked at."""
        self._container.check_open()
        offsets = self._offsets
        if offsets is None:
            offsets = self._offsets = numbers(self._container.array("TOKO", offset_dtype(self._size)))
        return offsets

    def _open_index(self) -> memoryview:
        """The index, when it can be looked at."""
        self._container.check_open()
        slots = self._slots
        if slots is None:
            slots = self._slots = numbers(self._read_index())
            if self._container.is_raw("TOKB"):
                self._text = self._container.read("TOKB").data
        return slots

    def _read_index(self) -> NDArray[np.uint32]:
        if "INDX" in self._container.sections:
            return self._container.array("INDX", "<u4")
        check_indexable(self._count)
        hashes = np.fromiter((google_crc32c.value(token) for token in self.iter_raw()), np.uint32, self._count)
        return build_index(hashes)


def numbers(values: NDArray[Any]) -> memoryview:
    """A memoryview, which gives Python's own numbers several times quicker than a numpy array does.

    It wants the machine's own byte order, and numbers that do not lie askew, as they may in a frame that is stored
    raw; no copy is made where both hold.
    """
    return np.require(values, values.dtype.newbyteorder("="), ["ALIGNED"]).data


def check_indexable(count: int) -> None:
    """Raise `LimitError` where an index of ``count`` tokens has more slots than 32 bits number."""
    if index_size(count) >= MAX_INDEXED:
        raise LimitError("limit.index", f"{count:,} tokens are too many for an index: index=False")


def offset_dtype(size: int) -> str:
    """Numpy's name for the elements of TOKO: 32 bits wide while the token bytes are below 4 GiB."""
    return "<u8" if size >= 1 << 32 else "<u4"


def check_offsets(row: int, start: int, stop: int, size: int) -> None:
    """Check the place of one token among ``size`` token bytes, as lookups and the verifier do."""
    if not start <= stop <= size:
        raise InvalidError(
            "invalid.token_offsets",
            f"it runs from byte {start:,} to {stop:,} of {size:,}",
            where=f"section TOKO, token {row}",
        )
    if stop - start > MAX_TOKEN:
        raise InvalidError(
            "invalid.token_length",
            f"it has {stop - start:,} bytes; at most {MAX_TOKEN:,} are allowed",
            where=f"section TOKO, token {row}",
        )


# --- index ----------------------------------------------------------------------------------------------------------


def index_size(count: int) -> int:
    """Slots of the index that this codec writes: two in three are taken, and one at least is empty."""
    return count + count // 2 + 1


def build_index(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The index of tokens with these CRC-32C values, as if they had been inserted one by one in row order.

    All tokens that have no slot yet ask for their next one at once, and a slot keeps the lowest row that asks. That
    is deferred acceptance (Gale and Shapley, 1962), and where all slots prefer lower rows its outcome is the one that
    inserting the rows in order gives.
    """
    size = index_size(len(hashes))
    slots = np.full(size, EMPTY, np.uint32)
    place = home_slots(hashes, size)
    waiting = np.arange(len(hashes), dtype=np.uint32)
    asking = _ASKING * (len(hashes) + FEW)
    while len(waiting):
        asking -= len(waiting)
        if asking < 0:
            return _insert_in_order(home_slots(hashes, size).tolist(), size)
        asked = place[waiting]
        before = slots[asked]
        np.minimum.at(slots, asked, waiting)
        after = slots[asked]
        evicted = np.unique(before[(before != after) & (before != EMPTY)])
        waiting = np.concatenate([waiting[after != waiting], evicted])
        place[waiting] = (place[waiting] + 1) % size
    return slots


def _insert_in_order(homes: list[int], size: int) -> NDArray[np.uint32]:
    """The index of tokens with these homes, one token after the other, in a time that does not grow with their runs.

    Each slot that is taken points on towards the next empty one, and pointers are halved on the way (Tarjan and
    van Leeuwen, 1984): tokens chosen for their hashes are no slower than others.
    """
    slots = np.full(size, EMPTY, np.uint32)
    following = list(range(size))
    for row, home in enumerate(homes):
        slot = home
        while following[slot] != slot:
            following[slot] = following[following[slot]]
            slot = following[slot]
        slots[slot] = row
        following[slot] = (slot + 1) % size
    return slots


# --- writing --------------------------------------------------------------------------------------------------------


class VocabularyBuilder:
    """Collects tokens in row order and checks each: unique, not too long."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q", [0])
        self._hashes = array("I")
        self._seen: set[bytes] = set()
        self.required_features = 0

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, token: str | bytes, row: int) -> bool:
        """Take a token; False, and nothing taken, where it is there already. ``row`` is for messages.

        Raises
        ------
        InvalidError
            ``invalid.token_length``, or ``invalid.token_utf8`` for a str with a lone surrogate that stands for no byte.
        """
        try:
            data = to_bytes(token)
        except UnicodeEncodeError as error:
            raise InvalidError(
                "invalid.token_utf8", f"{token!r} has a lone surrogate at {error.start}", where=f"row {row}"
            ) from error
        if len(data) > MAX_TOKEN:
            raise InvalidError(
                "invalid.token_length",
                f"the token has {len(data):,} bytes; at most {MAX_TOKEN:,} are allowed: shorten it or leave it out",
                where=f"row {row}",
            )
        if data in self._seen:
            return False
        self._seen.add(data)
        self._take([data])
        return True

    def extend(self, tokens: Sequence[str | bytes]) -> bool:
        """Take many tokens at once; False, and nothing taken, where one of them needs the closer look of `add`."""
        try:
            data: list[Any] = list(tokens if set(map(type, tokens)) == {bytes} else map(to_bytes, tokens))
        except UnicodeEncodeError:
            return False
        if max(map(len, data), default=0) > MAX_TOKEN or not self._seen.isdisjoint(data):
            return False
        self._seen.update(data)
        if len(self._seen) != len(self._ends) - 1 + len(data):  # one stands twice among them
            self._seen.difference_update(data)
            return False
        self._take(data)
        return True

    def _take(self, tokens: list[bytes]) -> None:
        joint = b"".join(tokens)
        if not self.required_features and not joint.isascii():
            try:
                # a newline is never part of a longer sequence, so that what is torn stays torn
                b"\n".join(tokens).decode()
            except UnicodeDecodeError:
                self.required_features = FEATURE_BYTE_TOKENS
        self._ends.extend(islice(accumulate(map(len, tokens), initial=len(self._bytes)), 1, None))
        self._bytes += joint
        self._hashes.extend(map(google_crc32c.value, tokens))

    def offsets(self) -> NDArray[np.uint32] | NDArray[np.uint64]:
        """Section TOKO: 32 bits wide while the token bytes are below 4 GiB."""
        ends = np.frombuffer(self._ends, np.uint64)
        return ends.astype(offset_dtype(len(self._bytes)))

    def data(self) -> NDArray[np.uint8]:
        """Section TOKB."""
        return np.frombuffer(self._bytes, np.uint8)

    def index(self) -> NDArray[np.uint32]:
        """Section INDX."""
        return build_index(np.frombuffer(self._hashes, np.uint32)).astype("<u4", copy=False)
