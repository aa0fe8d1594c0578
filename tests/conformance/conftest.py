"""What tests of the implementations use."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


def lacking(reason):
    """Skip a test for what the machine does not have; fail it in CI, which has everything."""
    pytest.fail(reason) if os.environ.get("QEMB_CI") == "1" else pytest.skip(reason)


@pytest.fixture(scope="session")
def require():
    """Asks for programs."""

    def programs(*names):
        missing = [name for name in names if shutil.which(name) is None]
        if missing:
            lacking(f"needs {', '.join(missing)}")

    return programs


@pytest.fixture(scope="session")
def npm_ci(require):
    """Fetches what a folder's package-lock.json lists, and runs nothing of it."""

    def fetch(folder):
        require("node", "npm")
        # in the folder: with --prefix npm looks for its own settings there, certificates among them
        command = ["npm", "ci", "--ignore-scripts", "--no-audit"]
        result = subprocess.run(command, cwd=folder, capture_output=True, check=False, text=True)
        if result.returncode:
            lacking(f"npm cannot fetch packages: {result.stderr.strip().splitlines()[-1:]}")

    return fetch


@pytest.fixture(scope="session")
def alone():
    """Keeps another worker from building an implementation meanwhile: it, or one that shares its folder."""

    @contextlib.contextmanager
    def locked(implementation):
        key = hashlib.sha256(f"{Path(__file__)} {implementation.build or implementation.name}".encode()).hexdigest()[
            :16
        ]
        with Path(tempfile.gettempdir(), f"qemb-build-{key}").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    return locked
