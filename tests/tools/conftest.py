"""What the tests of the converters share: reading a whole source, and where the real files are."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from qemb import QembError
from qemb_tools import ReadOptions, UsageError, open_source

ROOT = Path(__file__).parents[2]


@dataclass
class Table:
    tokens: list[bytes]
    vectors: np.ndarray
    counts: np.ndarray | None
    notes: list[str]
    metadata: dict

    @property
    def words(self) -> list[str]:
        return [token.decode() for token in self.tokens]


@pytest.fixture(scope="session")
def read():
    """Read a whole source: ``read(path, format_name=None, **options)``."""

    def read_table(path, format_name=None, **options):
        with open_source(str(path), ReadOptions(**options), format_name) as source:
            batches = list(source.batches())
            for batch in batches:
                assert batch.vectors.dtype == np.float32
                assert batch.vectors.shape == (len(batch.tokens), source.dim)
            counts = [batch.counts for batch in batches if batch.counts is not None]
            return Table(
                [token for batch in batches for token in batch.tokens],
                np.concatenate([batch.vectors for batch in batches]) if batches else np.empty((0, source.dim)),
                np.concatenate(counts) if counts else None,
                source.notes,
                source.metadata,
            )

    return read_table


@pytest.fixture(scope="session")
def same_floats():
    """Assert that two arrays are float32 and equal bit for bit."""

    def check(left, right):
        left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
        assert left.dtype == right.dtype == np.float32
        assert left.shape == right.shape
        assert np.array_equal(left.view(np.uint32), right.view(np.uint32))

    return check


@pytest.fixture(scope="session")
def gensim_data():
    """The folder of gensim's own test files."""
    gensim = pytest.importorskip("gensim")
    return Path(gensim.__file__).parent / "test" / "test_data"


@pytest.fixture(scope="session")
def shared_tables():
    """The folder of real tables that are not part of the project."""
    folder = Path(os.environ.get("QEMB_SHARED_DATA") or ROOT.parent / "shared" / "data") / "tables"
    if not folder.is_dir():
        pytest.skip(f"not run: the real tables are not at {folder}; name their folder in QEMB_SHARED_DATA")
    return folder


@pytest.fixture
def qemb(tmp_path):
    """Run the command in a process of its own: ``qemb("info", path, code=0)`` gives what it printed."""

    def run(*arguments, code=0, cwd=tmp_path, stdin=None, env=None):
        result = subprocess.run(
            [sys.executable, "-m", "qemb_tools", *map(str, arguments)],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            check=False,
            env={**os.environ, **(env or {})},
        )
        result.stdout, result.stderr = result.stdout.decode(), result.stderr.decode()
        assert result.returncode == code, result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        if code:
            errors = [line for line in result.stderr.splitlines() if not line.startswith("qemb: note: ")]
            assert len(errors) == 1, result.stderr
            assert errors[0].startswith("qemb: ")
        return result

    return run


@pytest.fixture
def browse(require, tmp_path):
    """Open a page in headless Chromium; gives what it printed."""
    require("chromium")

    def run(page, *options):
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        return subprocess.run([*command, *options, page.as_uri()], capture_output=True, check=True, text=True).stdout

    return run


@pytest.fixture
def survives_damage(read):
    """Read a file cut short anywhere and with bytes changed: each damage is one line of error, or goes unnoticed."""

    def check(path, format_name, *, times=200, start=0, **options):
        whole = path.read_bytes()
        rng = np.random.default_rng(0)
        refused = 0
        for i in range(times):
            damaged = bytearray(whole)
            if i % 4 == 0:
                del damaged[rng.integers(start, len(whole)) :]
            else:
                for place in rng.integers(start, len(whole), 2):
                    damaged[place] = rng.integers(0, 256)
            path.write_bytes(damaged)
            try:
                read(path, format_name, **options)
            except (QembError, UsageError) as error:
                assert len(str(error).splitlines()) == 1  # noqa: PT017 - not every change can be noticed
                refused += 1
        path.write_bytes(whole)
        assert refused >= times // 8, "what is cut short should be noticed"

    return check
