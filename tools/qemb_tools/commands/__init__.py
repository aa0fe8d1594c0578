"""The commands of ``qemb``, one a module: ``add_to`` declares it, ``run`` does it.

What is slow to import is imported in ``run``, so that no command waits for another's needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import argparse

    Subparsers: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no public name
