"""What tests of every folder use."""

from __future__ import annotations

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
