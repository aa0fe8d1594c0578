"""A progress bar, where standard error is a terminal and the work takes more than a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def progress(total: int | None, what: str, *, unit: str = " rows", wanted: bool = True) -> AbstractContextManager[Any]:
    """Return a bar that counts rows, or another unit: so many a second, and the time left where ``total`` is known."""
    from tqdm import tqdm

    bar: AbstractContextManager[Any] = tqdm(
        total=total, desc=what, unit=unit, unit_scale=True, delay=1, leave=False, disable=None if wanted else True
    )
    return bar
