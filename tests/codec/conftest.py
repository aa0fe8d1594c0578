"""What tests of the codec share: files taken apart without the codec."""

import struct

import pytest
import zstandard


@pytest.fixture(scope="session")
def read_sections():
    """From a path: raw bytes, stored size and codec of each section, by struct and zstandard alone."""
    return _read_sections


def _read_sections(path):
    data = path.read_bytes()
    found = {}
    for number in range(struct.unpack_from("<I", data, 12)[0]):
        kind, _, codec, at, stored, raw, frame, _ = struct.unpack_from("<4sHHQQQII", data, 64 + 40 * number)
        whole = data[at : at + stored]
        if codec == 1:
            entries = list(struct.iter_unpack("<QII", whole[stored - 16 * -(-raw // frame) :]))
            sizes = [min(frame, raw - frame * number) for number in range(len(entries))]
            parts = [whole[start : start + size] for start, size, _ in entries]
            whole = b"".join(
                part if len(part) == size else zstandard.ZstdDecompressor().decompress(part)
                for part, size in zip(parts, sizes, strict=True)
            )
        found[kind.decode()] = whole, stored, codec
    return found
