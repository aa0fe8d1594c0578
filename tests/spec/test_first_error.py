"""Where several rules are broken at once, or a rule has an edge, the first error is the one that the text names."""

from __future__ import annotations

import struct

import numpy as np
import pytest

import qemb
from qemb.container import ContainerWriter
from qemb.layout import FloatType, Group, IeeeFormat, Level
from qemb.quantization import Quantization

LINEAR = Quantization(Level.LINEAR, 8, 2, 8, scale_group=Group.TABLE, scale_type=FloatType.FLOAT32)
PLAIN = Quantization(Level.IEEE, 32, 8, 32, format=IeeeFormat.FLOAT32)


def crc32c(data):
    """CRC-32C bit by bit, as the text has it."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def table(tmp_path, sections=(), *, q=LINEAR, rows=2):
    """Tokens ``a``, ``b``, ... and zeros, two values a row; ``sections`` are added, or replace what is there."""
    parts = {
        "QUAN": q.build(),
        "CODE": bytes(rows * q.row_stride),
        "TOKO": np.arange(rows + 1, dtype="<u4"),
        "TOKB": bytes(range(ord("a"), ord("a") + rows)),
    }
    if q.scale_group != Group.NONE:
        parts["SCAL"] = np.ones(1, "<f4")
    parts |= dict(sections)
    writer = ContainerWriter(tmp_path / "table.qemb", len(parts))
    for kind, data in parts.items():
        writer.add(kind, data)
    writer.finish(rows=rows, tokens=rows, dim=2)
    return bytearray((tmp_path / "table.qemb").read_bytes())


def entry(data, kind):
    """Where the entry of a kind stands."""
    (count,) = struct.unpack_from("<I", data, 12)
    return next(at for at in range(64, 64 + 40 * count, 40) if data[at : at + 4] == kind)


def sealed(data):
    """The same with every CRC made right again."""
    (count,) = struct.unpack_from("<I", data, 12)
    for at in range(64, 64 + 40 * count, 40):
        start, size = struct.unpack_from("<QQ", data, at + 8)
        struct.pack_into("<I", data, at + 36, crc32c(data[start : start + size]))
    struct.pack_into("<I", data, 56, crc32c(data[64 : 64 + 40 * count]))
    struct.pack_into("<I", data, 60, crc32c(data[:60]))
    return bytes(data)


def first_error(data):
    """The code of what opening and verifying say; None where the file is good."""
    try:
        with qemb.open(bytes(data)) as embedding:
            embedding.verify()
    except qemb.QembError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("start", "code"),
    [
        (b"", "malformed.truncated"),
        (b"\x89QEMB", "malformed.truncated"),
        (b"\x89QEMBx", "malformed.magic"),
        (b"x", "malformed.magic"),
    ],
)
def test_a_file_shorter_than_its_magic(start, code):
    assert first_error(start) == code


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        (b'{"a": 1, "a": 2}', "invalid.metadata"),
        (b'{"a": {"b": 1, "b": 2}} x', "malformed.metadata"),  # JSON before keys
        (b"[" * 33 + b"x", "invalid.metadata"),  # depth before JSON
        (b"\xff" + b"[" * 33, "malformed.metadata"),  # UTF-8 before depth
        (b"[" * 32 + b"]" * 32, "invalid.metadata"),  # deep enough, and no object
        (b'{"a": "' + b"[" * 40 + b'\\"["}', None),
        (b'{"a": NaN}', "malformed.metadata"),
        (b"\xef\xbb\xbf{}", "malformed.metadata"),
        (b'{"a": ' + b"1" * 5000 + b', "b": 1e999}', None),  # nobody has to hold them
    ],
)
def test_metadata(tmp_path, metadata, code):
    assert first_error(table(tmp_path, {"META": metadata})) == code


@pytest.mark.parametrize(
    "offsets",
    [
        [0, 70_000, 2],  # above the last, before it is too long
        [0, 70_000, 70_000],  # the ends before any token
        [0, 2, 1, 3],
    ],
)
def test_token_offsets(tmp_path, offsets):
    data = table(tmp_path, {"TOKO": np.array(offsets, "<u4")}, rows=len(offsets) - 1)
    assert first_error(data) == "invalid.token_offsets"


def test_a_token_is_too_long_where_the_offsets_fit(tmp_path):
    sections = {"TOKB": bytes(70_000), "TOKO": np.array([0, 65_537, 70_000], "<u4")}
    assert first_error(table(tmp_path, sections)) == "invalid.token_length"


@pytest.mark.parametrize(("field", "value"), [(4, 5), (5, 3), (6, 5), (7, 3)])
def test_groups_and_types_that_are_not_defined(tmp_path, field, value):
    data = table(tmp_path)
    (start,) = struct.unpack_from("<Q", data, entry(data, b"QUAN") + 8)
    data[start + field] = value
    assert first_error(sealed(data)) == "invalid.quantization"


def test_products_of_counts_do_not_wrap(tmp_path):
    """2^52 rows of 2^14 bytes are 2^66 bytes of codes, not none."""
    data = table(tmp_path, {"CODE": b""})
    (start,) = struct.unpack_from("<Q", data, entry(data, b"QUAN") + 8)
    struct.pack_into("<I", data, start + 16, 1 << 14)
    struct.pack_into("<Q", data, 24, 1 << 52)
    struct.pack_into("<Q", data, 32, 1 << 52)
    assert first_error(sealed(data)) == "invalid.section_size"


def test_a_section_of_no_frames_is_empty(tmp_path):
    data = table(tmp_path, {"TOKB": b"", "TOKO": np.zeros(2, "<u4"), "CODE": bytes(2)}, rows=1)
    at = entry(data, b"TOKB")
    struct.pack_into("<H", data, at + 6, 1)
    struct.pack_into("<I", data, at + 32, 64)
    assert first_error(sealed(data)) is None
    # one stored byte behind the end, in no frame
    data = table(
        tmp_path, {"CODE": bytes(2), "TOKO": np.zeros(2, "<u4"), "SCAL": np.ones(1, "<f4"), "TOKB": b"x"}, rows=1
    )
    at = entry(data, b"TOKB")
    struct.pack_into("<HQQQI", data, at + 6, 1, *struct.unpack_from("<QQ", data, at + 8), 0, 64)
    assert first_error(sealed(data)) == "invalid.frame_table"


@pytest.mark.parametrize(
    ("row", "norm", "code"),
    [
        ([3, 4], 5.000004, None),
        ([3, 4], 5.00001, "invalid.norm"),
        ([3, 4], np.nan, "invalid.norm"),
        ([1e-45, 1e-45], 1e-45, None),  # the true norm, 2e-45, lies between two float32
        ([1e-45, 1e-45], 3e-45, None),
        ([1e-45, 1e-45], 6e-45, "invalid.norm"),
        ([3e38, 3e38], np.inf, None),
        ([3e38, 3e38], 0, None),
        ([np.inf, 1], np.inf, None),
        ([np.nan, 1], 7, None),
    ],
)
def test_norms(tmp_path, row, norm, code):
    bits = np.array(row, "<f4").view("<u4")
    codes = np.where(bits >> 31, ~bits, bits | 1 << 31).astype("<u4")
    sections = {"CODE": codes, "NORM": np.array([norm], "<f4")}
    assert first_error(table(tmp_path, sections, q=PLAIN, rows=1)) == code
