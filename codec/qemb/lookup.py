"""Many tokens looked up in the stored index at once, without a loop over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np

from qemb.layout import MAX_TOKEN

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMPTY = 0xFFFFFFFF
"""A slot of the index that holds no row."""
FEW = 64
"""Tokens that are looked up one by one as quickly."""
PATIENCE = 1 << 10
"""Slots that a search goes on to: an index that is half full has no run of a tenth of that, unless tokens were chosen
for their hashes, or it is damaged."""


def home_slots(hashes: NDArray[np.uint32], size: int) -> NDArray[np.int64]:
    """Where the search for each token starts: the CRC-32C of its bytes, times the size, over 2^32."""
    return (hashes.astype(np.uint64) * np.uint64(size) >> np.uint64(32)).astype(np.int64)


def probe(
    keys: list[bytes], slots: NDArray[np.uint32], offsets: NDArray[Any], data: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
    """Look all tokens up in their slots, then those that met another token in the next ones, until few are left.

    Parameters
    ----------
    keys : list of bytes
        The tokens.
    slots, offsets, data : arrays
        Sections INDX, TOKO and TOKB.

    Returns
    -------
    rows : int64 array of shape (len(keys),)
        Row of each, -1 where it is absent or unsettled.
    unsettled : list of (int, int)
        Tokens that are still to be looked up, in order, each with its slot: few, or such as met damage there.
    """
    hashes = np.fromiter(map(google_crc32c.value, keys), np.uint32, len(keys))
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    text = np.frombuffer(b"".join(keys), np.uint8)
    begins = np.cumsum(lengths) - lengths
    found = np.full(len(keys), -1, np.int64)
    slot = home_slots(hashes, len(slots))
    waiting = np.arange(len(keys))
    damaged: list[NDArray[np.int64]] = []
    for _ in range(min(len(slots), PATIENCE)):
        if len(waiting) < FEW:
            break
        rows = slots[slot[waiting]]
        taken = rows != EMPTY
        waiting, rows = waiting[taken], rows[taken].astype(np.int64)
        inside = np.minimum(rows, len(offsets) - 2)
        start, stop = offsets[inside].astype(np.int64), offsets[inside + 1].astype(np.int64)
        wanted = lengths[waiting]
        good = (rows == inside) & (start >= 0) & (start <= stop) & (stop <= len(data)) & (stop - start <= MAX_TOKEN)
        if not good.all():
            damaged.append(waiting[~good])
        same = np.flatnonzero(good & (stop - start == wanted))
        same = same[_equal(text, begins[waiting[same]], data, start[same], wanted[same])]
        found[waiting[same]] = rows[same]
        good[same] = False
        waiting = waiting[good]
        slot[waiting] += 1
        slot[waiting[slot[waiting] == len(slots)]] = 0
    left = np.sort(np.concatenate([waiting, *damaged]))
    return found, list(zip(left.tolist(), slot[left].tolist(), strict=True))


def _equal(
    text: NDArray[np.uint8],
    at: NDArray[np.int64],
    other_text: NDArray[np.uint8],
    other_at: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Whether each run of bytes of one text is that of the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    places = np.arange(total) + np.repeat(at - (ends - lengths), lengths)
    unequal = text[places] != other_text[places + np.repeat(other_at - at, lengths)]
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(unequal)])
    return np.asarray(before[ends] == before[ends - lengths])
