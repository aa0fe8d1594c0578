"""Zstd frames: how a section is cut and compressed, and how one frame comes back."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import zstandard

from qemb import layout
from qemb.errors import MalformedError
from qemb.layout import MAX_FRAME

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME_ENTRY = layout.dtype(layout.FrameEntry)
FRAME_BYTES = 1 << 15
"""Raw bytes of a frame, about. One row costs one frame: decoding 32 KiB and its checksum take 30 microseconds. Frames
of 64 KiB would save 0.2%."""
MIN_SAVING = 0.03
"""What frames have to save, as a share of the raw size, to be worth decoding."""
MIN_GAIN = 0.1
"""What a slower compressor has to save on top of that, to be worth its time."""
SAMPLE = 2 * FRAME_BYTES
"""Raw bytes that each compressor is tried on."""

_LITERALS = zstandard.ZstdCompressionParameters(
    strategy=zstandard.STRATEGY_FAST, window_log=17, hash_log=6, chain_log=6, search_log=1, min_match=7, target_length=0
)
"""Nearly no matches, Huffman coding alone. Codes do not repeat, and the matches that an ordinary level finds by chance
cost more than they save: sign and exponent of MiniLM's float32 take 2.72 bits so, 3.04 at level 1, 2.70 at level 19,
which is 150 times slower."""
_SETTINGS = (
    _LITERALS,
    zstandard.ZstdCompressionParameters.from_level(3),
    zstandard.ZstdCompressionParameters.from_level(19),
)
"""Fastest first. Level 19 alone finds matches of three bytes: it brings token offsets from 0.69 to 0.28."""


def whole_rows(row_bytes: int) -> int:
    """Raw bytes in a frame of a section whose rows have ``row_bytes``: whole rows, about `FRAME_BYTES`."""
    return min(max(1, FRAME_BYTES // row_bytes) * row_bytes, MAX_FRAME)


def make_compressor(sample: bytes, size: int) -> zstandard.ZstdCompressor:
    """The compressor for frames of ``size`` bytes that does best on a sample; a slower one has to save 10% more."""
    best, least = None, float(len(sample))
    for parameters in _SETTINGS:
        compressor = zstandard.ZstdCompressor(compression_params=parameters)
        pieces = (sample[start : start + size] for start in range(0, len(sample), size))
        total = sum(min(len(compressor.compress(piece)), len(piece)) for piece in pieces)
        if best is None or total < least - MIN_GAIN * len(sample):
            best, least = compressor, total
    return best or zstandard.ZstdCompressor(compression_params=_LITERALS)


def literal_size(data: bytes, size: int) -> int:
    """Bytes that ``data`` takes in frames of ``size`` bytes by Huffman coding, their table counted, or as it is."""
    compressor = zstandard.ZstdCompressor(compression_params=_LITERALS)
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    framed = sum(min(len(compressor.compress(piece)), len(piece)) + FRAME_ENTRY.itemsize for piece in pieces)
    return framed if framed <= (1 - MIN_SAVING) * len(data) else len(data)


class _Decompressors(threading.local):
    """One for each thread: making one costs as much as decoding a small frame, and they are not to be shared."""

    def __init__(self) -> None:
        self.one = zstandard.ZstdDecompressor()


_DECOMPRESSORS = _Decompressors()


def decompress(stored: NDArray[np.uint8], raw_size: int, where: str, offset: int) -> NDArray[np.uint8]:
    """One frame of ``raw_size`` bytes back from its zstd form.

    Raises
    ------
    MalformedError
        ``malformed.frame``: it is no zstd frame of its own, or does not hold that many bytes.
    """
    data = bytes(stored)
    try:
        # The content size is checked before anything is allocated for it, so that no frame can claim a gigabyte.
        declared = zstandard.get_frame_parameters(data).content_size
        if declared != raw_size:
            raise MalformedError(
                "malformed.frame",
                f"the zstd frame declares {declared:,} bytes, {raw_size:,} belong there",
                where=where,
                offset=offset,
            )
        decoded = _DECOMPRESSORS.one.decompress(data, max_output_size=raw_size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MalformedError(
            "malformed.frame", f"not a zstd frame of its own: {error}", where=where, offset=offset
        ) from error
    if len(decoded) != raw_size:  # a skippable frame declares its size, and decodes to nothing
        raise MalformedError("malformed.frame", "not a zstd frame that holds data", where=where, offset=offset)
    return np.frombuffer(decoded, np.uint8)
