"""Verifying names what is damaged and which rows, the first fault or all of them."""

from __future__ import annotations

import pickle
import struct

import numpy as np
import pytest

import qemb
import rawfile
import rawread
from test_damage import reseal

ROWS, DIM = 30_000, 12
MATRIX = np.random.default_rng(3).normal(size=(ROWS, DIM)).astype(np.float32)
TOKENS = [f"word {row}" for row in range(ROWS)]
PAGE = 4096


def written(path, **options):
    """The bytes of a file, to be damaged, and where each section is: offset, stored size."""
    qemb.write(path, TOKENS, MATRIX, **options)
    data = bytearray(path.read_bytes())
    entries = {kind: entry for kind, (entry, _) in rawread.read_sections(bytes(data)).items()}
    return data, {kind: (entry["offset"], entry["stored_size"]) for kind, entry in entries.items()}


def faults(data):
    with qemb.open(bytes(data)) as emb:
        return list(emb.faults())


def test_a_good_file_has_no_faults(tmp_path):
    assert faults(written(tmp_path / "t.qemb", bits=8)[0]) == []


def test_pages_of_zeros_in_raw_sections_name_their_rows(tmp_path):
    data, places = written(tmp_path / "t.qemb", bits=8)
    hit = {}
    for kind, size in (("CODE", DIM), ("SCAL", 4)):
        offset, _ = places[kind]
        start = -(-offset // PAGE) * PAGE + PAGE
        data[start : start + PAGE] = bytes(PAGE)
        hit[kind] = ((start - offset) // size, -(-(start + PAGE - offset) // size))
    offset, _ = places["TOKB"]
    start = -(-offset // PAGE) * PAGE
    texts = [token.encode() for token in TOKENS]
    ends = np.cumsum([len(text) for text in texts]).tolist()
    data[start : start + PAGE] = bytes(PAGE)
    inside = [
        row for row, end in enumerate(ends) if end > start - offset and end - len(texts[row]) < start + PAGE - offset
    ]
    hit["TOKB"] = (inside[0], inside[-1] + 1)
    found = [fault for fault in faults(data) if fault.code == "malformed.section_checksum"]
    assert {fault.where.split()[-1]: fault.rows for fault in found} == {kind: (span,) for kind, span in hit.items()}
    low, high = hit["CODE"]
    assert f"rows {low:,} to {high - 1:,}" in str(found[0])


def test_other_damage_of_a_raw_section_names_no_rows(tmp_path):
    data, places = written(tmp_path / "t.qemb", bits=8)
    data[places["CODE"][0] + 5] ^= 1
    (fault,) = faults(data)
    assert (fault.code, fault.where, fault.rows) == ("malformed.section_checksum", "section CODE", ())


def test_damaged_frames_name_their_rows(tmp_path):
    data, places = written(tmp_path / "t.qemb", scheme="codebook", bits=4, compress=True)
    kind = next(kind for kind in ("CODE", "SCAL") if rawread.read_sections(bytes(data))[kind][0]["codec"] == 1)
    entry, raw = rawread.read_sections(bytes(data))[kind]
    offset, stored = places[kind]
    frames = -(-len(raw) // entry["frame_size"])
    table = offset + stored - 16 * frames
    number = frames - 1
    (start,) = struct.unpack_from("<Q", data, table + 16 * number)
    data[offset + start + 3] ^= 0x40
    row_bytes = len(raw) // ROWS
    span = (number * entry["frame_size"] // row_bytes, ROWS)
    section, frame = faults(data)
    assert (section.code, section.rows) == ("malformed.section_checksum", (span,))
    assert (frame.code, frame.where, frame.rows) == (
        "malformed.frame_checksum",
        f"section {kind}, frame {number}",
        (span,),
    )
    with qemb.open(bytes(data)) as emb, pytest.raises(qemb.MalformedError) as caught:
        emb.verify()
    assert str(caught.value) == str(section)


def test_rules_that_are_broken_behind_good_checksums(tmp_path):
    data, places = written(tmp_path / "t.qemb", bits=8)
    scales = places["SCAL"][0]
    for row in (7, 8, 29_000):
        struct.pack_into("<f", data, scales + 4 * row, float("inf"))
    tokens = places["TOKB"][0]
    data[tokens : tokens + 6] = b"word \xff"  # "word 0"
    length = len("word 2")
    data[tokens + 2 * length : tokens + 3 * length] = b"word 1"
    by_code = {fault.code: fault for fault in faults(reseal(data))}
    assert by_code["invalid.scale"].rows == ((7, 9), (29_000, 29_001))
    assert by_code["invalid.token_utf8"].rows == ((0, 1),)
    assert by_code["invalid.duplicate_token"].rows == ((2, 3),)
    assert "invalid.index" in by_code
    assert next(iter(by_code)) == "invalid.scale"
    again = pickle.loads(pickle.dumps(by_code["invalid.scale"]))
    assert (again.rows, str(again)) == (by_code["invalid.scale"].rows, str(by_code["invalid.scale"]))
    assert "3 rows: 7 to 8, 29,000" in str(again)


@pytest.mark.parametrize(
    ("tokens", "code"),
    [([b"\xff", b"b", b"b"], "invalid.token_utf8"), ([b"b", b"b", b"\xff"], "invalid.duplicate_token")],
)
def test_of_two_faults_of_tokens_the_one_in_the_earlier_row_comes_first(tokens, code):
    file = rawfile.RawFile(3, 3, 1)
    file.add("QUAN", rawfile.descriptor(rawfile.IEEE, 32, 1, parameters=bytes(8)))
    file.add("CODE", bytes(12))
    rawfile.add_tokens(file, tokens, index=False)
    assert faults(file.build())[0].code == code


def test_progress_goes_up_to_the_whole(tmp_path):
    path = tmp_path / "t.qemb"
    written(path, scheme="exact")
    told = []
    with qemb.open(path) as emb:
        emb.verify(lambda done, total: told.append((done, total)))
    assert len({total for _, total in told}) == 1
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1]
