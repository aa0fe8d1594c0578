"""What tests of the implementations use."""

from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def require():
    """Skip a test where the machine lacks a program; fail it in CI, which has all of them."""

    def programs(*names):
        missing = [name for name in names if shutil.which(name) is None]
        if missing:
            reason = f"needs {', '.join(missing)}"
            pytest.fail(reason) if os.environ.get("QEMB_CI") == "1" else pytest.skip(reason)

    return programs
