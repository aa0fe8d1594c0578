"""Kernels: inner loops that numba makes machine code of, and the rule for when numba is loaded.

Nothing needs numba. Importing it takes a third of a second and 100 MB, and a kernel that is used for the first time on
a machine seconds to compile. So numpy works until it has taken as long as the import would have, and a process never
takes more than twice what it would have taken had it known what was to come (ski rental). Where numba is loaded anyhow,
kernels are used at once. The environment variable ``QEMB_JIT=0`` keeps them away.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOADING = 0.4
"""Seconds that importing numba takes, and reading kernels that are compiled already."""


def kernel(function: Callable[..., Any]) -> Any:  # noqa: ANN401
    """Compile a function at its first call; it runs without the GIL, divides as C does, and never fuses or reorders.

    Only for modules that are imported where `load` or `ready` has said yes. The machine code is kept beside the module
    or in the user's cache folder, where one of them can be written and has room.
    """
    import numba

    try:
        compiled = numba.njit(function, nogil=True, error_model="numpy", cache=True)
    except RuntimeError:  # nowhere to write
        return numba.njit(function, nogil=True, error_model="numpy")
    cache = compiled._cache  # noqa: SLF001 - numba has no other way: a full disk would end what only reads
    save = cache.save_overload

    def save_if_there_is_room(*arguments: object) -> None:
        with suppress(OSError):
            save(*arguments)

    cache.save_overload = save_if_there_is_room
    return compiled


def load() -> bool:
    """Import numba, if it is there and allowed; whether it is loaded."""
    if os.environ.get("QEMB_JIT") == "0":
        return False
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def ready() -> bool:
    """Whether kernels are to be used from now on: numba is loaded, or as much as loading takes was `spent` already."""
    return ("numba" in sys.modules or _meter.seconds >= LOADING) and load()


@contextmanager
def spent() -> Iterator[None]:
    """Around work that numpy does and a kernel would do quicker: its time counts towards loading numba."""
    start = time.perf_counter()
    try:
        yield
    finally:
        _meter.seconds += time.perf_counter() - start


class _Meter:
    seconds = 0.0


_meter = _Meter()
