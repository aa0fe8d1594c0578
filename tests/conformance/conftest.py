"""What tests of the implementations use."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import subprocess
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def npm_ci(require, lacking):
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
