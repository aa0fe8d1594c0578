"""Files that ask for more than a machine has, and what opening a large one costs."""

from __future__ import annotations

import pickle
import struct
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qemb
import rawfile
import zstdframes
from qemb import vocabulary
from qemb.lookup import EMPTY, PATIENCE

FRAME = 2**24


def vast():
    """700 bytes that stand for 2^23 rows of 2^24 values: a product code of one bit for a whole row."""
    file = rawfile.RawFile(2**23, 0, 2**24)
    file.add("QUAN", rawfile.descriptor(rawfile.PRODUCT, 1, 1, stride=1, parameters=struct.pack("<I", 2**24))).add(
        "SUBW", struct.pack("<B3x3I", 1, 3, 6, 2**23)
    )
    rawfile.add_tokens(file, [])
    for kind, size in (("CODE", 2**23), ("LEVL", 4 * 2 * 2**24)):
        frames = -(-size // 2**24)
        file.add(kind, bytes(16 * frames))[kind].entry.update(codec=1, raw_size=size, frame_size=2**24)
    return file.build()


def test_more_than_memory_holds_has_a_code():
    data = vast()
    assert len(data) < 1200
    emb = qemb.open(data, limits=None)
    assert (emb.total_rows, emb.dim, len(emb)) == (2**23, 2**24, 0)
    for ask in (emb.matrix, lambda: emb.matrix(1), lambda: emb.rows(np.arange(emb.total_rows))):
        with pytest.raises(qemb.LimitError) as caught:
            ask()
        assert caught.value.code == "limit.memory"
    assert emb.matrix(5, 5).shape == (0, 2**24)


def write_sparse(path, rows):
    """Rows of 64 values at 8 bits whose tokens are their numbers, in eight digits; nearly all of it is holes."""
    tokens = [b"%08d" % row for row in (0, 1, rows // 2, rows - 1)]
    sizes = {
        "QUAN": 28,
        "CODE": 64 * rows,
        "SCAL": 4 * rows,
        "TOKO": 4 * (rows + 1),
        "TOKB": 8 * rows,
        "INDX": 8 * rows,
    }
    end, entries, starts = 64 + 40 * len(sizes), b"", {}
    descriptor = rawfile.descriptor(
        rawfile.LINEAR, 8, 64, scale=(rawfile.ROW, rawfile.FLOAT32, 0), parameters=struct.pack("<ii", 1, 0)
    )
    for kind, size in sizes.items():
        starts[kind] = -(-end // 64) * 64
        end = starts[kind] + size
        crc = rawfile.crc32c(descriptor) if kind == "QUAN" else 0
        values = (kind.encode(), rawfile.FLAGS[kind], 0, starts[kind], size, size, 0, crc)
        entries += rawfile.pack_fields(rawfile.ENTRY, dict(zip(rawfile.ENTRY, values, strict=True)))
    values = (b"\x89QEMB\r\n\x1a", 1, 0, len(sizes), 0, 0, rows, rows, end, 64, 64, rawfile.crc32c(entries))
    header = rawfile.pack_fields(rawfile.HEADER, dict(zip(list(rawfile.HEADER)[:-1], values, strict=True)))
    with path.open("wb") as file:
        file.write(header + struct.pack("<I", rawfile.crc32c(header)) + entries)
        file.seek(starts["QUAN"])
        file.write(descriptor)
        for token in tokens:
            row = int(token)
            file.seek(starts["TOKO"] + 4 * row)
            file.write(struct.pack("<2I", 8 * row, 8 * row + 8))
            file.seek(starts["TOKB"] + 8 * row)
            file.write(token)
            slot = rawfile.crc32c(token) * 2 * rows >> 32
            file.seek(starts["INDX"] + 4 * slot)
            file.write(struct.pack("<I", row))
            file.seek(starts["SCAL"] + 4 * row)
            file.write(struct.pack("<f", 1))
            file.seek(starts["CODE"] + 64 * row)
            file.write(bytes([row % 100]) * 64)
        file.truncate(end)
    return tokens, end


def resident(path):
    """Bytes of a mapped file that have been brought into this process: what has been looked at, in whole pages."""
    with open("/proc/self/smaps", encoding="utf-8") as maps:
        for line in maps:
            if str(path) in line:
                return next(int(below.split()[1]) << 10 for below in maps if below.startswith("Rss:"))
    return 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads what Linux says of its memory maps")
def test_opening_and_looking_up_cost_the_same_for_any_number_of_rows(tmp_path):
    touched = {}
    for rows in (100_000, 20_000_000):
        path = tmp_path / f"{rows}.qemb"
        tokens, size = write_sparse(path, rows)
        with qemb.open(path) as emb:
            assert len(emb) == rows
            _ = emb.info
            opened = resident(path)
            for token in tokens:
                assert (emb[token] == int(token) % 100).all()
            touched[rows] = opened, resident(path)
    # the kernel maps up to 64 KiB around each page that is touched
    room = 2**16
    assert size > 1.7e9
    for opened, looked_up in touched.values():
        assert 0 < opened <= 2 * room
        assert looked_up <= (2 + 5 * 8) * room


def zeros(file, kind, size):
    """Give a section that many zero bytes, in frames of a few hundred."""
    sizes = [min(FRAME, size - at) for at in range(0, size, FRAME)]
    frames = {length: zstdframes.run(0, length) for length in set(sizes)}
    table, at = b"", 0
    for length in sizes:
        table += struct.pack("<QII", at, len(frames[length]), rawfile.crc32c(frames[length]))
        at += len(frames[length])
    file.add(kind, b"".join(frames[length] for length in sizes) + table)
    file[kind].entry.update(codec=1, raw_size=size, frame_size=FRAME)


def empty_tokens(rows, *, slots=0):
    """Rows of one value of a bit whose tokens are all empty, and an index of zeros."""
    file = rawfile.RawFile(rows, rows, 1)
    scale = rawfile.TABLE, rawfile.FLOAT32, 0
    file.add("QUAN", rawfile.descriptor(rawfile.LINEAR, 1, 1, scale=scale, parameters=struct.pack("<ii", 1, 0)))
    file.add("SCAL", struct.pack("<f", 1))
    zeros(file, "CODE", rows)
    zeros(file, "TOKO", 4 * rows + 4)
    file.add("TOKB", b"")
    if slots:
        zeros(file, "INDX", 4 * slots)
    return file.build()


@pytest.mark.parametrize("opener", [qemb.open, lambda data: qemb.repair(data, "unused.qemb")])
def test_a_small_file_is_no_table_of_a_billion_rows(opener):
    for data in (vast(), empty_tokens(2**30)):
        assert len(data) < 200_000
        with pytest.raises(qemb.LimitError, match="limits=None") as caught:
            opener(data)
        assert caught.value.code == "limit.memory"


def test_the_caller_sets_how_much_a_file_may_decode_to(monkeypatch):
    data = empty_tokens(1000)
    decoded = 28 + 4 + 1000 + 4 * 1001 + 4 * 1000 + 64 * 1000
    for limits in (
        None,
        qemb.Limits(),
        qemb.Limits(decoded_size=decoded, expansion=0),
        qemb.Limits(0, decoded // len(data) + 1),
    ):
        qemb.open(data, limits=limits).close()
    for limits in (qemb.Limits(decoded - 1, 0), qemb.Limits(0, decoded // len(data))):
        with pytest.raises(qemb.LimitError, match=f"decodes to {decoded:,}"):
            qemb.open(data, limits=limits)
    monkeypatch.setenv("QEMB_LIMITS", "0")
    qemb.open(data, limits=qemb.Limits(0, 0)).close()


def test_a_table_that_is_compressed_well_is_within_the_limits(tmp_path):
    path = tmp_path / "ones.qemb"
    table = np.ones((20_000, 300), np.float32)
    qemb.write(path, [str(row) for row in range(len(table))], table, scheme="exact")
    assert path.stat().st_size < table.nbytes // 40
    with qemb.open(path) as emb:
        assert (emb.matrix() == 1).all()


class CountingSlots:
    """The slots of an index, and how often one was looked at."""

    def __init__(self, slots):
        self.slots, self.looks = slots, 0

    def __len__(self):
        return len(self.slots)

    def __getitem__(self, slot):
        self.looks += 1
        return self.slots[slot]


def test_a_search_does_not_go_round_an_index_without_an_end():
    emb = qemb.open(empty_tokens(10, slots=1_000_000))
    emb.tokens.row("a")
    counting = emb.tokens._slots = CountingSlots(emb.tokens._slots)
    assert emb.tokens.row("a") == -1
    assert emb.tokens.row("") == 0
    assert counting.looks <= PATIENCE + 1
    assert emb.tokens.find(["a", ""] * 40).tolist() == [-1, 0] * 40


@settings(max_examples=50)
@given(st.lists(st.integers(0, 2**32 - 1), max_size=60), st.integers(1, 5))
def test_an_index_of_tokens_chosen_for_their_hashes_is_that_of_one_insertion_after_the_other(hashes, distinct):
    few = np.array(hashes, np.uint32) % np.uint32(distinct) * np.uint32(2**31 // distinct)
    size = len(few) + len(few) // 2 + 1
    expected = [EMPTY] * size
    for row, crc in enumerate(few.tolist()):
        slot = crc * size >> 32
        while expected[slot] != EMPTY:
            slot = (slot + 1) % size
        expected[slot] = row
    for asking in (0, 16):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(vocabulary, "_ASKING", asking)
            assert vocabulary.build_index(few).tolist() == expected


def test_what_the_caller_allowed_goes_with_a_pickle():
    emb = qemb.open(empty_tokens(600_000), limits=None)
    assert len(pickle.loads(pickle.dumps(emb))) == 600_000


def test_signs_of_a_rotation_count():
    dim = 4_000_000
    file = rawfile.RawFile(0, 0, dim)
    scale = rawfile.TABLE, rawfile.FLOAT32, 0
    file.add("QUAN", rawfile.descriptor(rawfile.LINEAR, 8, dim, scale=scale, parameters=struct.pack("<ii", 1, 0)))
    file.add("TRNS", struct.pack("<BBB5xQ", 1, 1, 8, 7)).add("CODE", b"").add("SCAL", struct.pack("<f", 1))
    data = rawfile.add_tokens(file, []).build()
    with pytest.raises(qemb.LimitError, match=f"decodes to {28 + 16 + 4 + 4 + 4 + 4 * 8 * dim:,}"):
        qemb.open(data, limits=qemb.Limits(expansion=0))
