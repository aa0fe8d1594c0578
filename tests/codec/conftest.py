"""What tests of the codec share: files taken apart without the codec."""

import pytest

import rawread


@pytest.fixture(scope="session")
def read_sections():
    """From a path: raw bytes, stored size and codec of each section, by struct and zstandard alone."""

    def read(path):
        found = rawread.read_sections(path.read_bytes())
        return {kind: (raw, entry["stored_size"], entry["codec"]) for kind, (entry, raw) in found.items()}

    return read
