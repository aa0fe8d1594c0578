"""What tests of every folder use."""

from __future__ import annotations

import signal

import pytest


@pytest.fixture
def signals_as_usual():
    """What a shell starts in the background ignores SIGINT, and so would all that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
