"""Faults of frames, and of what they hold."""

from __future__ import annotations

import struct

import zstdframes
from bases import framed
from fault import fault, simple
from rawfile import crc32c


def frame_field(name, code, rule, number, field, value):
    """A field of an entry of the frame table overridden."""

    def apply(file):
        file["CODE"].frame_entries[number, field] = value

    simple(name, code, framed, rule, "CODE", apply)


def table_fault(name, number, field, value):
    frame_field(name, "invalid.frame_table", "FRM-03", number, field, value)


table_fault("first frame later", 0, "offset", 1)
table_fault("frames that overlap", 2, "offset", lambda offset: offset - 1)
table_fault("gap between frames", 3, "offset", lambda offset: offset + 1)
table_fault("frame near the top of 64 bits", 1, "offset", 2**64 - 1)
table_fault("frame at 2^32", 1, "offset", lambda offset: offset + 2**32)
table_fault("last frame shorter than its room", 3, "size", lambda size: size - 1)
table_fault("last frame in the frame table", 3, "size", lambda size: size + 16)
table_fault("frame of 2^32 - 1 bytes", 3, "size", 2**32 - 1)
table_fault("frames all at the beginning", 1, "offset", 0)
table_fault("offset from the start of the file", 0, "offset", 384)


@fault("invalid.frame_table", framed, "FRM-03", "CODE")
def frames_out_of_order(file):
    """The first where the second stands, and the other way round: there is one order only."""
    _, second = [len(stored) for _, stored in file["CODE"].stored_frames()][:2]
    file["CODE"].frame_entries |= {(0, "offset"): second, (1, "offset"): 0}


def last_frame_moved(name, by):
    """The last frame begins elsewhere and ends where it should; its CRC is right."""

    def apply(file):
        *before, (_, last) = file["CODE"].stored_frames()
        together = b"".join(stored for _, stored in before) + last + bytes(8)
        start = len(together) - 8 - len(last)
        piece = together[start + by : start + len(last)]
        file["CODE"].frame_entries |= {(3, "offset"): start + by, (3, "size"): len(piece), (3, "crc"): crc32c(piece)}

    simple(name, "invalid.frame_table", framed, "FRM-03", "CODE", apply)


last_frame_moved("last frame begins within the one before", -1)
last_frame_moved("last frame begins after a gap", 1)


@fault("invalid.frame_table", framed, "FRM-03", "META")
def a_byte_in_no_frame(file):
    file.insert("META", b"x", flags=2).entry.update(codec=1, raw_size=0, frame_size=64)


frame_field("crc of a frame", "malformed.frame_checksum", "FRM-04", 1, "crc", lambda crc: crc ^ 1)
frame_field("crc of the first frame", "malformed.frame_checksum", "FRM-04", 0, "crc", 0)
frame_field("crc of a frame stored as it is", "malformed.frame_checksum", "FRM-04", 2, "crc", lambda crc: crc ^ 1 << 31)


@fault("malformed.frame_checksum", framed, "FRM-04", "CODE", "A frame's CRC over what it holds.")
def crc_of_what_a_frame_holds(file):
    file["CODE"].frame_entries[1, "crc"] = crc32c(bytes([2]) * 80)


def frame(name, stored, guards=""):
    """The second frame, which holds eighty bytes of 2, stored as something else."""

    def apply(file):
        file["CODE"].frames[1] = stored

    simple(name, "malformed.frame", framed, "FRM-05", "CODE", apply, guards)


def pieces(*blocks, size=80, descriptor=0x20, tail=b""):
    """A frame of a single segment of these blocks: of each the type, the size and the bytes."""
    body = b"".join(
        (kind << 1 | length << 3 | (number == len(blocks) - 1)).to_bytes(3, "little") + stored
        for number, (kind, length, stored) in enumerate(blocks)
    )
    return zstdframes.MAGIC + bytes([descriptor, size]) + body + tail


RIGHT = bytes([2]) * 80
frame("frame of noise", b"noise, and no zstd")
frame("empty frame", b"")
frame("frame cut short", zstdframes.compress(RIGHT)[:-1])
frame("frame cut in its header", zstdframes.compress(RIGHT)[:5])
frame("frame with something after it", zstdframes.compress(RIGHT) + b"\0")
frame("frame with a skippable frame after it", zstdframes.compress(RIGHT) + b"\x50\x2a\x4d\x18" + bytes(4))
frame("skippable frame before it", b"\x5f\x2a\x4d\x18" + bytes(4) + zstdframes.compress(RIGHT))
frame("two frames in one", zstdframes.compress(RIGHT[:40]) + zstdframes.compress(RIGHT[40:]))
frame("empty frame before it", zstdframes.compress(b"") + zstdframes.compress(RIGHT))
frame("frame that holds less", zstdframes.compress(RIGHT[:-1]))
frame("frame that holds more", zstdframes.compress(RIGHT + b"\2"))
frame("frame that holds nothing", zstdframes.compress(b""))
frame("frame that says it holds more", pieces((zstdframes.RLE, 80, b"\2"), size=81))
frame("frame whose blocks hold less", pieces((zstdframes.RLE, 79, b"\2")))
frame("frame whose blocks hold more", pieces((zstdframes.RLE, 81, b"\2")))
frame("frame without a last block", zstdframes.compress(RIGHT)[:6] + (2 | 80 << 3).to_bytes(3, "little") + b"\2")
frame("block of a reserved type", pieces((3, 80, RIGHT)))
frame("compressed block of one byte", pieces((2, 1, b"\0")))
frame("compressed block of no bytes", pieces((2, 0, b"")))
frame("compressed block of ones", pieces((2, 60, b"\xff" * 60)))
frame("block past the end", pieces((zstdframes.RAW, 80, RIGHT[:79])))
frame("reserved bit of the frame header", pieces((zstdframes.RLE, 80, b"\2"), descriptor=0x28))
frame("zstd bomb", zstdframes.compress(bytes(1 << 26)), "A frame decompressed before its declared size is compared.")
frame("frame without a size", zstdframes.compress(RIGHT, content_size=False))
frame("skippable frame", b"\x50\x2a\x4d\x18" + struct.pack("<I", 16) + bytes(16))
frame("frame of a dictionary", zstdframes.MAGIC + b"\x21\x07\x50" + zstdframes.compress(RIGHT)[6:])
frame("frame of a dictionary of four bytes", zstdframes.MAGIC + b"\x23\0\0\0\x80\x50" + zstdframes.compress(RIGHT)[6:])
frame("checksum of its content", zstdframes.compress(RIGHT, checksum=True)[:-4] + b"\0\1\2\3")
frame("checksum missing", zstdframes.compress(RIGHT, checksum=True)[:-4])
frame("magic of zstd", b"\x27" + zstdframes.compress(RIGHT)[1:])
frame("magic of gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\xff")


def _claims_a_terabyte():
    """A frame that says it holds 2^40 bytes, and is 27 long."""
    return b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 40) + bytes(14)


frame("zstd frame that claims a terabyte", _claims_a_terabyte(), "Room made for what a frame says it holds.")


# --- frame by frame -------------------------------------------------------------------------------------------------

IN_TURN = "All frames put through one check before the next, so that another error is reported."


@fault("malformed.frame", framed, "FRM-05", "CODE", IN_TURN, "ORD-01 FRM-04")
def frame_of_noise_before_one_with_another_crc(file):
    file["CODE"].frames[0] = b"noise, and no zstd"
    file["CODE"].frame_entries[1, "crc"] = 0


@fault("malformed.frame_checksum", framed, "FRM-04", "CODE", IN_TURN, "ORD-01 FRM-05")
def crc_of_a_frame_before_one_of_noise(file):
    file["CODE"].frame_entries[0, "crc"] = 0
    file["CODE"].frames[1] = b"noise, and no zstd"


@fault("malformed.frame", framed, "FRM-05", "CODE", IN_TURN, "ORD-01 TAB-11")
def frame_of_noise_before_the_crc_of_a_section(file):
    file["CODE"].frames[0] = b"noise, and no zstd"
    file["SCAL"].entry["crc"] = 0
