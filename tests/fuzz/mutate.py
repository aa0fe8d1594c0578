"""Damaged ``.qemb`` files without end, each named by two numbers: `mutated` is a pure function of its arguments.

An edit changes a file that was taken apart (`parts`), which is then laid out again with everything else in order; a
scratch changes bytes of what was laid out. Checksums are mended afterwards more often than not, so that what was
changed is read.
"""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from pathlib import Path

import google_crc32c

from parts import ENTRY, HEADER, KINDS, parse

CORPUS = Path(__file__).parents[2] / "conformance"

HEADER_FIELDS = ((8, 2), (10, 2), (12, 4), (16, 4), (20, 4), (24, 8), (32, 8), (40, 8), (48, 4), (52, 4))
"""Place and width of each field of the header but magic and checksums."""
ENTRY_FIELDS = ((0, 4), (4, 2), (6, 2), (8, 8), (16, 8), (24, 8), (32, 4))
FRAME_FIELDS = ((0, 8), (8, 4))
STRUCTURE_FIELDS = {
    b"QUAN": (*((at, 1) for at in (0, 1, 2, 4, 5, 6, 7, 20, 21, 22)), *((at, 4) for at in (8, 12, 16, 20, 24))),
    b"TRNS": ((0, 1), (1, 1), (2, 1), (3, 1), (8, 8)),
    b"SUBW": ((0, 1), (1, 1), (4, 4), (8, 4), (12, 4)),
}
WIDTHS = {b"TOKO": 4, b"INDX": 4, b"EXCP": 12, b"CNTS": 8, b"NORM": 4, b"SCAL": 4, b"OFFS": 4, b"LEVL": 1}
"""Bytes of an element of a section; of others, any."""
EDGES = [0, 1, 2, 3, 7, 8, 63, 64, 127, 128, 255, 256, 65535, 65536, 65537, 1 << 20, 1 << 24, (1 << 24) + 1, 1 << 28]
EDGES += [2**power + more for power in (31, 32, 40, 47, 53, 61, 62, 63, 64) for more in (-2, -1, 0, 1)]
FLOATS = [0x7F800000, 0xFF800000, 0x7FC00000, 0x80000000, 0x00000001, 0x7F7FFFFF, 0xFF7FFFFF, 0x7C00, 0xFC00, 0x7E01]


def corpus(largest: int = 1 << 13, folders: tuple[str, ...] = ("valid", "limit", "invalid")) -> list[bytes]:
    """Files of the corpus of at most ``largest`` bytes, in the order of their names."""
    paths = sorted(path for folder in folders for path in (CORPUS / folder).rglob("*.qemb"))
    return [data for data in (path.read_bytes() for path in paths) if len(data) <= largest]


def mutated(seed_files: list[bytes], seed: int, number: int) -> bytes:
    """The damaged file of this seed and number, out of these files."""
    rng = random.Random(seed << 64 | number)
    return mutate(rng, pick(rng, seed_files), seed_files)


def mutate(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """One damaged file out of ``data``, and here and there a piece of another."""
    edits, scratches = _often(rng), _often(rng)
    if edits == scratches == 0:
        edits = 1
    if edits:
        file = parse(data)
        for _ in range(edits):
            pick(rng, EDITS)(rng, file, others)
        if rng.random() < 0.5:
            file.fit()
        scratched = file.build()
    else:
        scratched = bytearray(data)
    for _ in range(scratches):
        pick(rng, SCRATCHES)(rng, scratched, others)
    if rng.random() < 0.8:
        if rng.random() < 0.5 and len(scratched) >= 48:
            scratched[40:48] = len(scratched).to_bytes(8, "little")
        mend(scratched)
    return bytes(scratched)


def mend(data: bytearray) -> None:
    """Make the checksums of a file right, as far as it has a table, sections and frames."""
    size = len(data)
    if size < HEADER.size:
        return
    count = min(int.from_bytes(data[12:16], "little"), (size - HEADER.size) // ENTRY.size, 256)
    end = HEADER.size + count * ENTRY.size
    for at in range(HEADER.size, end, ENTRY.size):
        _, _, codec, offset, stored_size, raw_size, frame_size, _ = ENTRY.unpack_from(data, at)
        if offset > size or stored_size > size - offset:
            continue
        if codec == 1 and frame_size and stored_size >> 4 >= -(-raw_size // frame_size):
            _mend_frames(data, offset, offset + stored_size, -(-raw_size // frame_size))
        struct.pack_into("<I", data, at + 36, _crc(data, offset, offset + stored_size))
    struct.pack_into("<I", data, 56, _crc(data, HEADER.size, end))
    struct.pack_into("<I", data, 60, _crc(data, 0, 60))


def _crc(data: bytearray, start: int, end: int) -> int:
    return google_crc32c.value(bytes(data[start:end]))


def _mend_frames(data: bytearray, start: int, end: int, count: int) -> None:
    area = end - start - 16 * count
    for at in range(end - 16 * count, end, 16):
        offset, size = struct.unpack_from("<QI", data, at)
        if offset <= area and size <= area - offset:
            struct.pack_into("<I", data, at + 12, _crc(data, start + offset, start + offset + size))


# --- chance ---------------------------------------------------------------------------------------------------------
# random() alone gives the same numbers in every version of Python


def below(rng: random.Random, bound: int) -> int:
    return int(rng.random() * bound)


def pick(rng: random.Random, items):
    return items[int(rng.random() * len(items))]


def _often(rng: random.Random) -> int:
    """0 in a third of the cases, mostly 1 or 2, seldom many."""
    chance = rng.random()
    return 0 if chance < 0.35 else 1 if chance < 0.7 else 2 if chance < 0.9 else 3 + int(rng.random() * 4)


def _bytes(rng: random.Random, length: int) -> bytes:
    return b"".join(struct.pack("<d", rng.random())[:6] for _ in range(-(-length // 6)))[:length]


def interesting(rng: random.Random, value: int, width: int) -> int:
    """A number of ``width`` bytes that may hurt where ``value`` stood."""
    kind = int(rng.random() * 6)
    if kind == 0:
        value += pick(rng, (-1, 1, -64, 64, -2, 2))
    elif kind == 1:
        value ^= 1 << int(rng.random() * 8 * width)
    elif kind == 2:
        value = pick(rng, (value * 2, value // 2, value * 256, -value, value * 3, value + (1 << 32)))
    elif kind == 3:
        value = int(rng.random() * (1 << 8 * width))
    else:
        value = pick(rng, EDGES)
    return value & ((1 << 8 * width) - 1)


# --- edits: of a file taken apart -------------------------------------------------------------------------------------


def swap_sections(rng, file, others):
    if file.sections:
        one, two = below(rng, len(file.sections)), below(rng, len(file.sections))
        file.sections[one], file.sections[two] = file.sections[two], file.sections[one]


def drop_section(rng, file, others):
    if file.sections:
        del file.sections[below(rng, len(file.sections))]


def repeat_section(rng, file, others):
    """The same section twice, the copy mostly under another name."""
    if not file.sections or len(file.sections) > 250:
        return
    copied = replace(pick(rng, file.sections))
    chance = rng.random()
    if chance < 0.4:
        copied.kind, copied.flags = b"x%03d" % below(rng, 1000), below(rng, 4)
    elif chance < 0.8:
        copied.kind = pick(rng, KINDS)
    file.sections.insert(below(rng, len(file.sections) + 1), copied)


def rename_section(rng, file, others):
    if file.sections:
        section = pick(rng, file.sections)
        section.kind = pick(rng, KINDS) if rng.random() < 0.7 else _bytes(rng, 4)


def resize_section(rng, file, others):
    if not file.sections:
        return
    section = pick(rng, file.sections)
    old = len(section.data)
    size = pick(rng, (old + 1, old - 1, old + 4, old - 4, old * 2, old // 2, 0, 1, below(rng, old + 64), old + 64))
    more = bytes(max(0, size - old)) if rng.random() < 0.5 else _bytes(rng, max(0, size - old))
    section.data = (section.data + more)[: max(0, size)]
    if section.codec == 0 or rng.random() < 0.3:
        section.raw_size = len(section.data)


def claim_codec(rng, file, others):
    """Say of a section that it is in frames, or raw, which it is not."""
    if file.sections:
        section = pick(rng, file.sections)
        section.codec = 1 - section.codec if section.codec < 2 else below(rng, 4)
        section.frame_size = pick(rng, (0, 1, 16, 64, 1 << 15, 1 << 24, section.frame_size))


def frame_section(rng, file, others):
    """Put a section in frames, mostly rightly."""
    if file.sections:
        section = pick(rng, file.sections)
        if section.codec == 0:
            section.cut_into_frames(max(1, pick(rng, (1, 2, 4, 7, 16, 64, 4096, 1 << 24, len(section.data)))))


def bomb_section(rng, file, others):
    """A section of zeros, or of other equal bytes, much larger than what is stored of it."""
    if file.sections:
        section = pick(rng, file.sections)
        frame_size = pick(rng, (1 << 10, 1 << 17, 1 << 20, 1 << 22, 1 << 24))
        count = pick(rng, (1, 1, 2, 3, 16, 64))
        raw_size = frame_size * count - pick(rng, (0, 0, 1, frame_size - 1))
        section.set_frames(raw_size, frame_size, pick(rng, (0, 0, 0, 255, 0x7B, 1)))


def swap_frame(rng, file, others):
    """A frame of another content size in the place of one."""
    framed = [section for section in file.sections if section.codec == 1 and section.frame_size]
    if not framed:
        return
    section = pick(rng, framed)
    raw_size, frame_size = section.raw_size, section.frame_size
    size = min(frame_size, raw_size, 1 << 24)
    size = pick(rng, (size, size + 1, max(0, size - 1), 0, 1, 1 << 24, 1 << 28, 1 << 20))
    section.set_frames(size, max(1, size), below(rng, 256))
    section.raw_size = raw_size
    if rng.random() < 0.5:
        section.frame_size = frame_size


def replace_metadata(rng, file, others):
    data = pick(rng, LONG_METADATA) if rng.random() < 0.02 else pick(rng, METADATA)
    section = file.section(b"META")
    section.set_raw(data)
    if rng.random() < 0.2:
        section.cut_into_frames(pick(rng, (1, 7, 64, 1 << 20)) if len(data) < 10_000 else 1 << 20)


def set_structure(rng, file, others):
    """A field of the descriptor, the transform or the subword parameters; sections mostly follow."""
    sections = [section for section in file.sections if section.kind in STRUCTURE_FIELDS]
    if sections:
        section = pick(rng, sections)
        at, width = pick(rng, STRUCTURE_FIELDS[section.kind])
        old = int.from_bytes(section.data[at : at + width], "little")
        value = below(rng, 34) if width == 1 and rng.random() < 0.6 else interesting(rng, old, width)
        section.data = section.data[:at] + value.to_bytes(width, "little") + section.data[at + width :]
        if rng.random() < 0.75:
            file.fit()


def grow(rng, file, others):
    """Other rows, tokens or dimensions, and sections of the sizes that these call for."""
    size = pick(rng, (0, 1, 2, 3, 16, 17, 64, 300, 1000, 1 << 14, 1 << 16, 1 << 20, 1 << 24, 1 << 28, 1 << 32, 1 << 40))
    which = below(rng, 4)
    if which == 0:
        file.rows = file.tokens = size
    elif which == 1:
        file.rows = size
    elif which == 2:
        file.dim = min(size, 1 << 24)
    else:
        file.rows = size
        file.tokens = min(file.tokens, size)
        file.section(b"SUBW").set_raw(struct.pack("<4I", 1, 3, 6, (size - file.tokens) & 0xFFFFFFFF))
    file.fit()


def scratch_section(rng, file, others):
    """Any bytes of a section."""
    if file.sections:
        section = pick(rng, file.sections)
        data = bytearray(section.data)
        pick(rng, (flip_bit, set_byte, overwrite))(rng, data, others)
        section.data = bytes(data)[: len(section.data)]


def set_element(rng, file, others):
    """One number of a section, as wide as its elements are."""
    if not file.sections:
        return
    section = pick(rng, file.sections)
    width = WIDTHS.get(section.kind) or pick(rng, (1, 2, 4, 8))
    count = len(section.data) // width
    if count:
        at = pick(rng, (0, count - 1, below(rng, count))) * width
        if width == 12:
            at, width = pick(rng, ((at, 8), (at + 8, 4)))
        old = int.from_bytes(section.data[at : at + width], "little")
        value = pick(rng, FLOATS) & ((1 << 8 * width) - 1) if rng.random() < 0.2 else interesting(rng, old, width)
        section.data = section.data[:at] + value.to_bytes(width, "little") + section.data[at + width :]


def take_section(rng, file, others):
    """A section of another file, in the place of its like or beside the others."""
    theirs = parse(pick(rng, others)).sections
    if theirs and len(file.sections) < 250:
        taken = pick(rng, theirs)
        file.drop(taken.kind)
        file.sections.insert(below(rng, len(file.sections) + 1), taken)
        if rng.random() < 0.5:
            file.fit()


def make_tokens(rng, file, others):
    """Other tokens, of any bytes, and the index taken out."""
    tokens = [pick(rng, TOKENS) if rng.random() < 0.5 else _bytes(rng, below(rng, 9)) for _ in range(below(rng, 20))]
    file.set_tokens(tokens)
    if rng.random() < 0.7:
        file.drop(b"SUBW")
        file.rows = len(tokens)
    file.fit()


EDITS = (
    swap_sections, drop_section, repeat_section, rename_section, resize_section, claim_codec, frame_section,
    frame_section, bomb_section, swap_frame, replace_metadata, set_structure, set_structure, set_structure, grow, grow,
    set_element, set_element, set_element, scratch_section, scratch_section, scratch_section, take_section, make_tokens,
)  # fmt: skip

TOKENS = (b"", b"a", b"a", b"<unk>", "naïve".encode(), b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"x" * 70, b"\x80", b"\n")


def _metadata():
    for depth in (31, 32, 33, 1000, 100_000):
        yield b'{"a":' * depth + b"1" + b"}" * depth
        yield b'{"a":' + b"[" * depth + b"]" * depth + b"}"
        yield b"[" * depth
    yield from (
        b"", b"{}", b"[]", b"1", b"null", b'"', b"{", b'{"a":1', b'{"a":1e999999999}', b'{"a":-0}', b'{"a":1,"a":2}',
        b'{"a":NaN}', b'{"a":Infinity}', b'\xef\xbb\xbf{}', b'{"\\ud800":1,"\\uD800":2}', b'{"\\ud800":"\\udfff"}',
        b'{"\\ud83d\\ude00":1,"\xf0\x9f\x98\x80":2}', b'{"a\\u0000":1,"a\x00":2}', b'{"a":"\xed\xa0\x80"}',
        b'{"__proto__":{"x":1}}', b'{"a":01}', b'{"a":1}x', b'{"a":1} \n', b"\x00", b'{"a":"\\', b'{"\\"":"[[["}',
        b'{"license":"CC0-1.0","source":1,"creator":[],"created":{}}', b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":0.' + b"9" * 5000 + b"}", b'{"a":1e-' + b"9" * 400 + b"}", b'{"":{"":[]}}', b"{" + b" " * 999 + b"}",
        b"{" + b",".join(b'"%d":%d' % (n, n) for n in range(500)) + b"}", b'{"a":' + b"[]," * 300 + b"1}",
    )  # fmt: skip


METADATA = tuple(data for data in _metadata() if len(data) < 10_000)
_MIB = 1 << 20
LONG_METADATA = (
    *(data for data in _metadata() if len(data) >= 10_000),
    (b"[" * _MIB),
    (b'{"":' * (_MIB // 4)),
    (b'{"a":[' + b"[]," * (_MIB // 3 - 4) + b"1]}")[:_MIB],
    b'{"a":"' + b'\\"' * (_MIB // 2 - 4) + b'"}',
    b'{"a":' + b" " * (_MIB - 7) + b"1}",
    b'{"a":' + b"9" * (_MIB - 6) + b"}",
    b'{"a":1.' + b"9" * (_MIB - 8) + b"}",
    b'{"a":"' + b"\\ud800" * (_MIB // 6 - 2) + b'"}',
    b"{" + b",".join(b'"%d":0' % n for n in range(80_000)) + b"}",
)


# --- scratches: of bytes ----------------------------------------------------------------------------------------------


def flip_bit(rng, data, others):
    if data:
        data[below(rng, len(data))] ^= 1 << below(rng, 8)


def set_byte(rng, data, others):
    if data:
        data[below(rng, len(data))] = pick(rng, (0, 255, 128, 127, 1, below(rng, 256)))


def overwrite(rng, data, others):
    """A run of random bytes, of zeros or of bytes from elsewhere in the file."""
    at = below(rng, len(data) + 1)
    size = pick(rng, (2, 4, 8, 16, 40, 64, 512, below(rng, 100)))
    source = below(rng, len(data) + 1)
    run = pick(rng, (_bytes(rng, size), bytes(size), data[source : source + size]))
    data[at : at + len(run)] = run


def truncate(rng, data, others):
    del data[below(rng, len(data) + 1) if rng.random() < 0.7 else max(0, len(data) - 1 - below(rng, 70)) :]


def extend(rng, data, others):
    data += pick(rng, (bytes(1), bytes(64), bytes(4096), _bytes(rng, 40), data[:4096]))


def splice(rng, data, others):
    """The beginning of this file and the end of another."""
    other = pick(rng, others)
    at = below(rng, len(data) + 1)
    data[at:] = other[at if rng.random() < 0.5 else below(rng, len(other) + 1) :]


def set_header(rng, data, others):
    _set_field(rng, data, 0, HEADER_FIELDS)


def set_entry(rng, data, others):
    _set_field(rng, data, HEADER.size + ENTRY.size * below(rng, _count(data)), ENTRY_FIELDS)


def set_frame(rng, data, others):
    """A field of the frame table at the end of a section."""
    for _ in range(3):
        at = HEADER.size + ENTRY.size * below(rng, _count(data))
        if at + ENTRY.size <= len(data):
            _, _, codec, offset, stored_size, raw_size, frame_size, _ = ENTRY.unpack_from(data, at)
            count = -(-raw_size // frame_size) if codec == 1 and frame_size else 0
            if 0 < 16 * count <= stored_size <= len(data) - min(offset, len(data)):
                _set_field(rng, data, offset + stored_size - 16 * (1 + below(rng, count)), FRAME_FIELDS)
                return


def lay_over(rng, data, others):
    """A section where another one is, or as long."""
    count = _count(data)
    at, other = (HEADER.size + ENTRY.size * below(rng, count) for _ in range(2))
    if max(at, other) + ENTRY.size <= len(data):
        first, last = pick(rng, ((8, 16), (16, 24), (16, 32), (8, 32), (0, 4), (0, 40)))
        data[at + first : at + last] = data[other + first : other + last]


def _count(data: bytearray) -> int:
    return min(int.from_bytes(data[12:16], "little"), 256) or 1


def _set_field(rng, data, base, fields):
    at, width = pick(rng, fields)
    at += base
    if at + width <= len(data):
        value = interesting(rng, int.from_bytes(data[at : at + width], "little"), width)
        data[at : at + width] = value.to_bytes(width, "little")


SCRATCHES = (
    flip_bit, flip_bit, set_byte, set_byte, overwrite, overwrite, truncate, extend, splice, set_header, set_entry,
    set_entry, set_frame, lay_over,
)  # fmt: skip
