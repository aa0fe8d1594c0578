"""Damaged files: whatever the bytes, a reader answers or raises `QembError`, and verifying finds every flipped bit."""

from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bases
import qemb
import rawfile

any_base = st.sampled_from(bases.BASES)
many = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read_everything(data, *, verify):
    """Ask all that can be asked; the errors that are allowed end here."""
    with suppress(qemb.QembError), qemb.open(data) as emb:
        if verify:
            emb.verify()
        questions = [
            emb.matrix,
            lambda: emb.rows(range(emb.total_rows)[::-1]),
            lambda: list(emb),
            lambda: [emb.tokens.raw(row) for row in range(len(emb))],
            lambda: [token in emb for token in ("a", "x", "7", b"\xff", "missing")],
            lambda: [emb[token] for token in ("a", "x", "7", "missing")],
            lambda: [emb.tokens[row] in emb for row in range(len(emb))],
            lambda: emb.counts,
            lambda: emb.metadata,
            lambda: emb.info,
            lambda: emb.nearest(np.ones(emb.dim), k=3),
            lambda: emb.nearest("x", k=3),
            lambda: emb.similarity("x", "y"),
            emb.verify,
        ]
        for ask in questions:
            # a word that damage has made unfindable is a KeyError
            with suppress(qemb.QembError, KeyError):
                ask()


def reseal(data):
    """The same with every CRC made right again, as far as header and table still say where things are."""
    data = bytearray(data)
    count = min(struct.unpack_from("<I", data, 12)[0], (len(data) - 64) // 40)
    for at in range(64, 64 + 40 * count, 40):
        start, size = struct.unpack_from("<QQ", data, at + 8)
        if start + size <= len(data):
            section = bytes(data[start : start + size])
            struct.pack_into("<I", data, at + 36, rawfile.crc32c(section))
    struct.pack_into("<I", data, 56, rawfile.crc32c(bytes(data[64 : 64 + 40 * count])))
    struct.pack_into("<I", data, 60, rawfile.crc32c(bytes(data[:60])))
    return bytes(data)


@pytest.mark.parametrize("base", bases.BASES, ids=lambda base: base.__name__)
def test_verifying_finds_a_flipped_bit_in_any_byte(base):
    data = bytearray(base().build())
    for at in range(len(data)):
        data[at] ^= 1 << at % 8
        with pytest.raises(qemb.QembError), qemb.open(bytes(data)) as emb:
            emb.verify()
        data[at] ^= 1 << at % 8


@pytest.mark.parametrize("base", bases.BASES, ids=lambda base: base.__name__)
def test_any_byte_changed_with_checksums_that_fit(base):
    """A damaged field behind a right checksum: what a writer with a bug leaves."""
    data = base().build()
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= (0x01, 0x80, 0xFF)[at % 3]
        read_everything(reseal(changed), verify=False)


@many
@given(any_base, st.data())
def test_random_damage(base, data):
    file = bytearray(base().build())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(file) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        file[at : at + len(piece)] = piece[: len(file) - at]
    read_everything(reseal(file) if data.draw(st.booleans()) else bytes(file), verify=data.draw(st.booleans()))


@many
@given(st.binary(max_size=300), st.booleans())
def test_random_bytes(data, magic):
    read_everything((b"\x89QEMB\r\n\x1a" if magic else b"") + data, verify=True)


@many
@given(any_base, st.data())
def test_random_sections(base, data):
    """Sections of the right size and any contents."""
    file = base()
    section = data.draw(st.sampled_from([section for section in file.sections if section.data]))
    size = len(section.data)
    section.data = data.draw(st.binary(min_size=size, max_size=size))
    section.frames.clear()
    read_everything(file.build(), verify=False)


@many
@given(any_base, st.data())
def test_random_fields_of_header_and_table(base, data):
    file = base()
    numbers = st.integers(0, 300) | st.sampled_from([2**k + d for k in (15, 31, 32, 53, 63, 64) for d in (-1, 0)])
    fitting = {"H": 2**16, "I": 2**32, "Q": 2**64}
    for types, overrides in (
        (rawfile.HEADER, file.header),
        (rawfile.ENTRY, data.draw(st.sampled_from(file.sections)).entry),
    ):
        names = st.sampled_from([name for name in types if name not in ("magic", "kind", "table_crc", "header_crc")])
        for name in data.draw(st.sets(names, max_size=2)):
            overrides[name] = data.draw(numbers) % fitting[types[name]]
    read_everything(file.build(), verify=False)
