"""What a file may cost whoever reads it: memory and time in proportion to its size, whatever its fields say."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qemb.errors import LimitError
from qemb.layout import KINDS

if TYPE_CHECKING:
    from qemb.container import Container
    from qemb.transform import Hadamard

_TOKEN = 64
"""Bytes that a token counts for: about what a short str takes."""


@dataclass(frozen=True)
class Limits:
    """Bounds on what a file decodes to: a kilobyte of zstd frames can stand for a table of a billion rows.

    The decoded size is the raw bytes of every section, 4 bytes for every value of the table and every sign of the
    rotation, and 64 for every token. A file is refused when it exceeds both bounds.

    Parameters
    ----------
    decoded_size : int
        Bytes that any file may decode to, however small it is.
    expansion : int
        Bytes that it may decode to for each byte that it has. Real tables have 1 to 33; product codes of four bits for
        sixteen values have 129.
    """

    decoded_size: int = 1 << 25
    expansion: int = 160

    def check(self, container: Container, transform: Hadamard | None) -> None:
        """Refuse a file that decodes to more; its structure has been checked.

        Raises
        ------
        LimitError
            ``limit.memory``.
        """
        header = container.header
        raw = sum(section.raw_size for kind, section in container.sections.items() if kind in KINDS)
        rounds = 0 if transform is None else transform.rounds
        decoded = raw + 4 * (header.rows + rounds) * header.dim + _TOKEN * header.tokens
        size = len(container.data)
        if decoded > max(self.decoded_size, self.expansion * size):
            raise LimitError(
                "limit.memory",
                f"a file of {size:,} bytes that decodes to {decoded:,}: if that is what it should be, "
                "open it with limits=None, or set QEMB_LIMITS=0",
                where="header",
            )


LIMITS = Limits()
"""What is allowed where nothing else is said."""


def check_limits(container: Container, transform: Hadamard | None, limits: Limits | None) -> None:
    """Refuse a file that decodes to more than ``limits`` allow; None, or QEMB_LIMITS=0 in the environment, allow all.

    Raises
    ------
    LimitError
        ``limit.memory``.
    """
    if limits is not None and os.environ.get("QEMB_LIMITS") != "0":
        limits.check(container, transform)
