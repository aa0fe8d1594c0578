"""What tests of every folder use."""

from __future__ import annotations

import os
import shutil
import signal

import pytest


@pytest.fixture
def signals_as_usual():
    """What a shell starts in the background ignores SIGINT, what nohup starts SIGHUP; so would all they start."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def lacking():
    """Skip a test for what the machine does not have; fail it in CI, which has everything."""

    def give_up(reason):
        pytest.fail(reason) if os.environ.get("QEMB_CI") == "1" else pytest.skip(reason)

    return give_up


@pytest.fixture(scope="session")
def require(lacking):
    """Asks for programs."""

    def programs(*names):
        missing = [name for name in names if shutil.which(name) is None]
        if missing:
            lacking(f"needs {', '.join(missing)}")

    return programs
