"""The frames that the corpus is made with, against the zstd library."""

from __future__ import annotations

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import zstdframes
from corpus import CASES

runs = st.lists(st.tuples(st.integers(0, 255), st.integers(1, 40)), max_size=30)


@settings(deadline=None)
@given(runs, st.booleans(), st.booleans(), st.none() | st.integers(17, 22))
def test_zstd_reads_them(runs, content_size, checksum, window_log):
    data = b"".join(bytes([byte]) * length for byte, length in runs)
    frame = zstdframes.compress(data, content_size=content_size, checksum=checksum, window_log=window_log)
    declared = zstandard.get_frame_parameters(frame)
    assert declared.has_checksum == checksum
    assert zstandard.frame_content_size(frame) == (len(data) if content_size else -1)
    assert zstandard.ZstdDecompressor().decompress(frame, max_output_size=len(data) + 1) == data


@pytest.mark.parametrize("size", [0, 255, 256, 65_791, 65_792, 2**17, 2**17 + 1, 300_000])
@pytest.mark.parametrize("data", [b"\0", bytes(range(251))], ids=["run", "raw"])
def test_of_any_size(size, data):
    data = (data * size)[:size]
    frame = zstdframes.compress(data, checksum=True)
    assert zstandard.decompress(frame) == data


def test_frames_of_the_corpus_hold_what_they_stand_for():
    """Those of the zstd library among them, which are kept as files."""
    compressed = 0
    for case in CASES:
        for section in case.file.sections:
            for raw, stored in section.stored_frames() if section.frame_size else ():
                if raw != stored:
                    assert zstandard.decompress(stored) == raw, case.id
                    compressed += 1
    assert compressed > 100


def test_a_checksum_that_does_not_fit_is_seen():
    """That is, the library did compare it in the tests above."""
    frame = bytearray(zstdframes.compress(b"content", checksum=True))
    frame[-1] ^= 1
    with pytest.raises(zstandard.ZstdError, match="checksum"):
        zstandard.decompress(bytes(frame))
