"""What readers of evaluation sets share: numbered lines of UTF-8, compressed or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qemb_tools.interface import source_error
from qemb_tools.stream import open_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    import qemb


def numbered_lines(path: str, *, comments: bool = False) -> Iterator[tuple[int, str]]:
    """Yield lines and their numbers, from 1; blank ones are left out, and with ``comments`` those that begin with #.

    Raises
    ------
    qemb.InvalidError
        A line is not UTF-8.
    UsageError
        There is no such file.
    """
    with open_bytes(path) as stream:
        for number, raw in enumerate(stream, 1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise line_error(f"this is not UTF-8 ({error.reason}); convert the file", path, number) from None
            if line.strip() and not (comments and line.startswith("#")):
                yield number, line


def line_error(message: str, path: str, number: int) -> qemb.InvalidError:
    """The error for a line that is not what is expected."""
    return source_error(message, f"{path}, line {number:,}")


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rows over their Euclidean norm, float64; rows of zeros stay zero."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=-1, keepdims=True)
    result: NDArray[np.float64] = np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0)
    return result
