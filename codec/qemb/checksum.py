"""CRC-32C, the one hash of the format: integrity of sections, and the key of the token index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def crc32c(data: bytes | memoryview | NDArray[Any], value: int = 0) -> int:
    """CRC-32C (Castagnoli, as in RFC 3720) of ``data``, going on from ``value``, the CRC of what came before it."""
    if not isinstance(data, bytes):
        data = np.frombuffer(data, np.uint8)
        data.flags.writeable = False  # the extension takes read-only buffers alone; this makes no copy
    return int(google_crc32c.extend(value, data))
