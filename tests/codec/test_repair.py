"""What is whole in a damaged file is saved, bit for bit under its token; what is lost is counted, and is no more."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bases
import qemb
import rawfile
import rawread
from test_damage import reseal

ROWS, DIM, PAGE = 30_000, 12, 4096
VALUES = np.round(np.random.default_rng(5).normal(size=(ROWS, DIM)), 3).astype(np.float32) + np.float32(0)  # no -0.0
TOKENS = [f"{row:x} wörd"[: 3 + row % 7] + str(row) for row in range(ROWS)]
SCHEMES = [{"bits": 8}, {"bits": 4, "compress": True}, {"scheme": "exact"}, {"scheme": "float16"}]

each_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=str)


def written(path, **options):
    qemb.write(path, TOKENS, VALUES, metadata={"a": 1}, counts=range(ROWS), **options)
    return bytearray(path.read_bytes())


def entries(data):
    """Where each section is, and what the table says of it."""
    return {kind: entry for kind, (entry, _) in rawread.read_sections(bytes(data)).items()}


def repaired(tmp_path, data, **options):
    """The report, and tokens and vectors of the new file, which verifies."""
    path = tmp_path / "repaired.qemb"
    report = qemb.repair(bytes(data), path, **options)
    with qemb.open(path) as emb:
        emb.verify()
        assert len(emb) == report.kept
        return report, list(emb), emb.matrix()


def check(report, tokens, vectors, before):
    """All that is there is as it was, in its order, and what is not there is what the report names."""
    lost = np.zeros(ROWS, bool)
    for start, stop in report.lost:
        lost[start:stop] = True
    kept = np.flatnonzero(~lost)
    assert tokens == [TOKENS[row] for row in kept]
    assert np.array_equal(vectors.view(np.uint32), before[kept].view(np.uint32))
    assert report.kept + report.lost_vectors + report.lost_words == report.tokens == ROWS
    return set(np.flatnonzero(lost).tolist())


def raw_bytes_in(data, entry, low, high):
    """The raw bytes of a section that stand in bytes ``low`` to ``high`` of the file, as ranges."""
    start, stop = max(low - entry["offset"], 0), min(high - entry["offset"], entry["stored_size"])
    if start >= stop:
        return []
    if not entry["codec"]:
        return [(start, stop)]
    size, count = entry["frame_size"], -(-entry["raw_size"] // entry["frame_size"])
    table = entry["stored_size"] - 16 * count
    found = []
    for number in range(count):
        at = table + 16 * number
        place, length, _ = struct.unpack_from("<QII", data, entry["offset"] + at)
        if any(start < end and stop > begin for begin, end in ((at, at + 16), (place, place + length))):
            found.append((number * size, min((number + 1) * size, entry["raw_size"])))
    return found


def rows_in(data, low, high):
    """Rows of which something stands in bytes ``low`` to ``high`` of the file."""
    sections = rawread.read_sections(bytes(data))
    offsets = np.frombuffer(sections["TOKO"][1], "<u4").astype(np.int64)
    found = set()
    for kind, (entry, _) in sections.items():
        if kind in ("INDX", "META", "CNTS"):
            continue
        for start, stop in raw_bytes_in(data, entry, low, high):
            if kind == "TOKB":
                found |= set(np.flatnonzero((offsets[:-1] < stop) & (offsets[1:] > start)).tolist())
            elif kind == "TOKO":  # a token lies between two offsets
                found |= {row for row in range(ROWS) if 4 * row < stop and 4 * (row + 2) > start}
            else:
                size = entry["raw_size"] // ROWS
                found |= set(range(start // size, -(-stop // size)))
    return found


@each_scheme
@pytest.mark.parametrize("seed", range(3))
def test_zeroed_pages_take_their_rows_and_no_others(tmp_path, scheme, seed):
    good = written(tmp_path / "t.qemb", **scheme)
    with qemb.open(bytes(good)) as emb:
        before = emb.matrix()
    data, expected = bytearray(good), set()
    for page in random.Random(seed).sample(range(1, len(data) // PAGE), 8):  # all rows need what stands in the first
        expected |= rows_in(good, page * PAGE, (page + 1) * PAGE)
        data[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    if len(expected) == ROWS:  # the page was that of a table of frames, as long as the section has one of a page
        with pytest.raises(qemb.MalformedError, match="no row"):
            qemb.repair(bytes(data), tmp_path / "repaired.qemb")
        return
    report, tokens, vectors = repaired(tmp_path, data)
    assert check(report, tokens, vectors, before) == expected


@each_scheme
def test_a_file_without_damage_is_all_there(tmp_path, scheme):
    data = written(tmp_path / "t.qemb", **scheme)
    with qemb.open(bytes(data)) as emb:
        before = emb.matrix()
    report, tokens, vectors = repaired(tmp_path, data)
    assert check(report, tokens, vectors, before) == set()
    assert (report.lost, report.dropped, report.notes) == ((), (), ())
    with qemb.open(tmp_path / "repaired.qemb") as emb:
        assert emb.metadata == {"a": 1}
        assert np.array_equal(emb.counts, np.arange(ROWS))
        assert TOKENS[-1] in emb


def test_a_damaged_word_is_told_by_the_index(tmp_path):
    data = written(tmp_path / "t.qemb", bits=8)
    offset = entries(data)["TOKB"]["offset"]
    place = data.index(TOKENS[1234].encode(), offset)
    data[place] ^= 1
    report, tokens, _ = repaired(tmp_path, data)
    assert report.lost == ((1234, 1235),)
    assert (report.lost_vectors, report.lost_words) == (0, 1)
    assert tokens == TOKENS[:1234] + TOKENS[1235:]


def test_rows_that_cannot_be_told_apart_are_kept_on_request_alone(tmp_path):
    good = written(tmp_path / "t.qemb", bits=8)
    data = bytearray(good)
    data[entries(data)["CODE"]["offset"] + 5 * DIM + 1] ^= 1
    with pytest.raises(qemb.MalformedError, match="keep_suspect=True"):
        qemb.repair(bytes(data), tmp_path / "repaired.qemb")
    assert not (tmp_path / "repaired.qemb").exists()
    report, tokens, vectors = repaired(tmp_path, data, keep_suspect=True)
    assert (report.kept, tokens) == (ROWS, TOKENS)
    assert report.notes == ("CODE: damaged",)
    with qemb.open(bytes(good)) as emb:
        assert np.flatnonzero((vectors != emb.matrix()).any(axis=1)).tolist() == [5]


def test_what_all_rows_need(tmp_path):
    good = written(tmp_path / "t.qemb", scheme="codebook", bits=4)
    for kind in ("QUAN", "LEVL", "OFFS"):
        data = bytearray(good)
        data[entries(data)[kind]["offset"]] ^= 1
        with pytest.raises(qemb.MalformedError, match="damaged") as caught:
            qemb.repair(bytes(data), tmp_path / "repaired.qemb")
        assert caught.value.where == f"section {kind}"


def test_ancillary_sections_that_are_damaged_are_left_out(tmp_path):
    data = written(tmp_path / "t.qemb", bits=8)
    for kind in ("META", "CNTS", "INDX"):
        data[entries(data)[kind]["offset"] + 2] ^= 1
    report, tokens, _ = repaired(tmp_path, data)
    assert (tokens, report.lost) == (TOKENS, ())
    assert sorted(report.dropped) == ["CNTS", "META"]
    with qemb.open(tmp_path / "repaired.qemb") as emb:
        assert (emb.counts, emb.metadata) == (None, {})


@pytest.mark.parametrize("source", ["path", "bytes"])
def test_a_file_that_was_cut_off(tmp_path, source):
    data = written(tmp_path / "t.qemb", bits=8)
    entry = entries(data)["TOKB"]
    cut = bytes(data[: entry["offset"] + 70_001])
    ends = np.cumsum([len(token.encode()) for token in TOKENS])
    whole = int((ends <= 70_001).sum())
    (tmp_path / "cut.qemb").write_bytes(cut)
    report = qemb.repair(cut if source == "bytes" else tmp_path / "cut.qemb", tmp_path / "repaired.qemb")
    assert report.lost == ((whole, ROWS),)
    with qemb.open(tmp_path / "repaired.qemb") as emb:
        emb.verify()
        assert list(emb) == TOKENS[:whole]
    with pytest.raises(qemb.MalformedError, match="bytes"):
        qemb.repair(cut[: len(data) // 5], tmp_path / "other.qemb")


def test_bytes_after_the_end(tmp_path):
    data = written(tmp_path / "t.qemb", bits=8)
    assert repaired(tmp_path, bytes(data) + b"\r\n")[1] == TOKENS


def test_broken_rules_behind_good_checksums(tmp_path):
    data = written(tmp_path / "t.qemb", bits=8)
    places = entries(data)
    struct.pack_into("<f", data, places["SCAL"]["offset"] + 4 * 77, float("nan"))
    offset = places["TOKB"]["offset"]
    place = data.index(TOKENS[9].encode(), offset)
    data[place : place + 2] = b"\xff\xff"
    report, tokens, _ = repaired(tmp_path, reseal(data))
    assert report.lost == ((9, 10), (77, 78))
    assert len(tokens) == ROWS - 2


@pytest.mark.parametrize("mend", [bytes, reseal])
def test_a_damaged_frame_takes_its_rows(tmp_path, mend):
    """Whether or not the checksum of the section shows it."""
    data = written(tmp_path / "t.qemb", bits=4, compress=True)
    with qemb.open(bytes(data)) as emb:
        before = emb.matrix()
    entry = entries(data)["CODE"]
    assert entry["codec"] == 1
    size = entry["frame_size"] // (entry["raw_size"] // ROWS)
    count = -(-entry["raw_size"] // entry["frame_size"])
    table = entry["offset"] + entry["stored_size"] - 16 * count
    (place,) = struct.unpack_from("<Q", data, table + 16 * 1)  # of frame 1
    data[entry["offset"] + place + 7] ^= 0x20
    report, tokens, vectors = repaired(tmp_path, mend(data))
    assert check(report, tokens, vectors, before) == set(range(size, min(2 * size, ROWS)))


def test_lost_exceptions_take_the_rows_that_may_have_had_one(tmp_path):
    """Zeros among decimals; -0.0 is an exception on the code of 0.0."""
    values = VALUES.copy()
    some = np.arange(0, ROWS, 2)
    values[some, 3] = -0.0
    path = tmp_path / "t.qemb"
    qemb.write(path, TOKENS, values, scheme="exact", compress=False)
    data = bytearray(path.read_bytes())
    entry = entries(data)["EXCP"]
    start = -(-entry["offset"] // PAGE) * PAGE + PAGE
    data[start : start + PAGE] = bytes(PAGE)
    first = (start - entry["offset"]) // 12
    last = -(-(start + PAGE - entry["offset"]) // 12)
    positions = np.flatnonzero((values == 0) & np.signbit(values))
    report, tokens, vectors = repaired(tmp_path, data)
    lost = check(report, tokens, vectors, values)
    must = set((positions[first:last] // DIM).tolist())
    may = range(positions[first - 1] // DIM, positions[last] // DIM + 1)
    assert must <= lost <= {row for row in may if (values[row] == 0).any()}


def test_a_damaged_bucket_takes_the_subwords(tmp_path):
    path = tmp_path / "t.qemb"
    subwords = qemb.Subwords(min_n=3, max_n=4)
    qemb.write(path, TOKENS[:500], VALUES[:500], subwords=subwords, buckets=VALUES[500:6000], bits=8)
    data = bytearray(path.read_bytes())
    offset = entries(data)["CODE"]["offset"]
    start = -(-(offset + 2000 * DIM) // PAGE) * PAGE
    data[start : start + PAGE] = bytes(PAGE)
    report, tokens, _ = repaired(tmp_path, data)
    assert tokens == TOKENS[:500]
    assert report.dropped == ("SUBW",)
    with qemb.open(tmp_path / "repaired.qemb") as emb:
        assert (emb.subwords, emb.total_rows) == (None, 500)


def test_norms_of_other_rows_are_left_out(tmp_path):
    file = bases.linear()
    file["NORM"].data = struct.pack(f"<{file.rows}f", *range(1000, 1000 + file.rows))
    report, tokens, _ = repaired(tmp_path, file.build())
    assert (len(tokens), report.kept, report.dropped) == (file.tokens, file.tokens, ("NORM",))


def test_the_damaged_file_is_not_written_over(tmp_path):
    path = tmp_path / "t.qemb"
    written(path, bits=8)
    with pytest.raises(qemb.InvalidError, match="name another"):
        qemb.repair(path, path)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(bases.BASES), st.data())
def test_whatever_the_damage_the_new_file_verifies(tmp_path_factory, base, data):
    file = bytearray(base().build())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(file) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        file[at : at + len(piece)] = piece[: len(file) - at]
    file = reseal(file) if data.draw(st.booleans()) else bytes(file)
    path = tmp_path_factory.getbasetemp() / "random.qemb"
    try:
        qemb.repair(
            file[: data.draw(st.integers(len(file) // 4, len(file)))], path, keep_suspect=data.draw(st.booleans())
        )
    except qemb.QembError:
        return
    with qemb.open(path) as emb:
        emb.verify()


def test_nothing_is_left_of_a_file_whose_codes_are_all_high_bits(tmp_path):
    file = rawfile.RawFile(1, 1, 2)
    scale = rawfile.TABLE, rawfile.FLOAT32, 0
    parameters = struct.pack("<ii", 1, 0)
    file.add("QUAN", rawfile.descriptor(rawfile.LINEAR, 8, 2, low_bits=0, scale=scale, parameters=parameters))
    file.add("HIG0", bytes(2)).add("SCAL", struct.pack("<f", 1))
    rawfile.add_tokens(file, [b"\xff"], index=False)
    with pytest.raises(qemb.MalformedError, match=r"no row of the file can be saved \(section TOKB"):
        qemb.repair(file.build(), tmp_path / "out.qemb")
    assert not any(tmp_path.iterdir())
