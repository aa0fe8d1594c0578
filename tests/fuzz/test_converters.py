"""A short run of the fuzzer over every format: see ``converters.py`` for long ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

for package in ("faiss", "gensim", "h5py", "pyarrow"):
    pytest.importorskip(package)


def test_damaged_sources_are_converted_or_refused(tmp_path):
    command = [sys.executable, str(Path(__file__).with_name("converters.py")), "640", "--seed", "1", "--seconds", "8"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("\n") > 16
