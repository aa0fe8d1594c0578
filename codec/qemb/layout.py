"""Every structure of a ``.qemb`` file, declared once with construct, in the order of the specification.

Each declaration is the encoder and the decoder of its structure, and the source of its field table in
``spec/qemb.md`` (``python spec/build.py`` writes the tables, CI checks them). Bulk data, such as codes and scales, is
described here by its element type and never goes through construct: an array of a million float32 takes 589 ms
through ``construct.Array`` and 0.02 ms through ``numpy.frombuffer``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np
from construct import (
    Bytes,
    Const,
    Construct,
    ConstructError,
    FormatField,
    Int8sl,
    Int8ul,
    Int16ul,
    Int32sl,
    Int32ul,
    Int64ul,
    Renamed,
    Struct,
    Switch,
    this,
)

from qemb.errors import MalformedError

MAGIC = b"\x89QEMB\r\n\x1a"
MAJOR = 1
MINOR = 0
ALIGNMENT = 64
"""Sections start at multiples of this."""
MAX_OFFSET = 2**53
"""Every offset, size and count is below this, so that a double holds it exactly."""
MAX_DIM = 2**24
MAX_SECTIONS = 256
MAX_METADATA = 2**20
MAX_METADATA_DEPTH = 32
MAX_TOKEN = 2**16
"""Bytes in the longest token."""
MAX_FRAME = 2**24
"""Raw bytes in the largest frame of a compressed section: bounds what reading one row can cost."""

FEATURE_BYTE_TOKENS = 1 << 0
"""Required feature: tokens are byte strings that need not be UTF-8."""
KNOWN_REQUIRED_FEATURES = FEATURE_BYTE_TOKENS

# --- header ---------------------------------------------------------------------------------------------------------

Header = Struct(
    "magic" / Const(MAGIC) * "`89 51 45 4D 42 0D 0A 1A`",
    "major" / Int16ul * "major version: 1",
    "minor" / Int16ul * "minor version: 0",
    "section_count" / Int32ul * "number of entries in the section table",
    "required_features" / Int32ul * "feature bits that a reader must know, or refuse the file",
    "optional_features" / Int32ul * "feature bits that a reader may ignore",
    "rows" / Int64ul * "number of rows (vectors)",
    "tokens" / Int64ul * "number of tokens; token *i* names row *i*",
    "file_size" / Int64ul * "size of the whole file in bytes",
    "dim" / Int32ul * "dimensions: values in a vector",
    "table_offset" / Int32ul * "offset of the section table: 64",
    "table_crc" / Int32ul * "CRC-32C of the section table",
    "header_crc" / Int32ul * "CRC-32C of the 60 bytes before this field",
)

# --- section table --------------------------------------------------------------------------------------------------

SectionEntry = Struct(
    "kind" / Bytes(4) * "four ASCII letters or digits, the first a letter",
    "flags" / Int16ul * "bit 0 *critical*, bit 1 *copy-safe*; the others are zero",
    "codec" / Int16ul * "0 *raw*, 1 *zstd frames*",
    "offset" / Int64ul * "where the section starts in the file",
    "stored_size" / Int64ul * "bytes in the file",
    "raw_size" / Int64ul * "bytes once decoded; equals `stored_size` where the codec is raw",
    "frame_size" / Int32ul * "zstd frames: raw bytes in every frame but the last; raw: 0",
    "crc" / Int32ul * "CRC-32C of the stored bytes",
)

FLAG_CRITICAL = 1
FLAG_COPY_SAFE = 2


class Codec(IntEnum):
    """How the bytes of a section are stored."""

    RAW = 0
    ZSTD = 1


FrameEntry = Struct(
    "offset" / Int64ul * "where the frame starts, from the start of the section",
    "size" / Int32ul * "bytes stored; equal to the frame's raw size where the frame is stored raw",
    "crc" / Int32ul * "CRC-32C of the stored bytes of the frame",
)

# --- sections -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SectionKind:
    """What the specification says of a kind of section."""

    kind: str
    flags: int
    element: str
    """Element type and shape, in words, for the specification's table."""
    doc: str


KINDS: dict[str, SectionKind] = {
    k.kind: k
    for k in (
        SectionKind("META", FLAG_COPY_SAFE, "UTF-8 JSON object", "metadata"),
        SectionKind("QUAN", FLAG_CRITICAL, "structure", "quantization descriptor: how codes become vectors"),
        SectionKind("TRNS", FLAG_CRITICAL, "structure", "transform: a rotation after scaling"),
        SectionKind("LEVL", FLAG_CRITICAL, "int8 or float32", "levels: what each state or code stands for"),
        SectionKind("SCAL", FLAG_CRITICAL, "float32 or float16", "scales"),
        SectionKind("OFFS", FLAG_CRITICAL, "float32 or float16", "offsets"),
        SectionKind("CODE", FLAG_CRITICAL, "packed bits, a row at a time", "codes, or their low bits"),
        SectionKind("HIG0", FLAG_CRITICAL, "uint8 (rows, codes)", "bits 0 to 7 of the high part of the codes"),
        SectionKind("HIG1", FLAG_CRITICAL, "uint8 (rows, codes)", "bits 8 to 15 of the high part"),
        SectionKind("HIG2", FLAG_CRITICAL, "uint8 (rows, codes)", "bits 16 to 23 of the high part"),
        SectionKind("HIG3", FLAG_CRITICAL, "uint8 (rows, codes)", "bits 24 to 31 of the high part"),
        SectionKind("EXCP", FLAG_CRITICAL, "structures", "exceptions: values kept verbatim"),
        SectionKind("TOKO", FLAG_CRITICAL, "uint32 or uint64 (tokens + 1)", "token offsets"),
        SectionKind("TOKB", FLAG_CRITICAL, "bytes", "token bytes, one after the other"),
        SectionKind("INDX", 0, "uint32 (slots)", "token index: a hash table of row numbers"),
        SectionKind("NORM", 0, "float32 (rows)", "Euclidean norms of the decoded rows"),
        SectionKind("CNTS", 0, "uint64 (tokens)", "counts: how often each token occurs in the training text"),
        SectionKind("SUBW", 0, "structure", "subword parameters: how the rows past the tokens are addressed"),
    )
}
HIGH_KINDS = ("HIG0", "HIG1", "HIG2", "HIG3")

# --- quantization descriptor ----------------------------------------------------------------------------------------


class Level(IntEnum):
    """What a code stands for before it is scaled."""

    LINEAR = 0
    CODEBOOK = 1
    PRODUCT = 2
    DECIMAL = 3
    IEEE = 4


class Group(IntEnum):
    """Which values share a scale or an offset."""

    NONE = 0
    TABLE = 1
    ROW = 2
    COLUMN = 3
    BLOCK = 4


class FloatType(IntEnum):
    """Element type of scales and offsets."""

    NONE = 0
    FLOAT32 = 1
    FLOAT16 = 2


class IeeeFormat(IntEnum):
    """Which IEEE 754 (or bfloat16) bits a code holds."""

    FLOAT32 = 0
    FLOAT16 = 1
    BFLOAT16 = 2


LinearParameters = Struct(
    "step" / Int32sl * "distance between neighbouring levels, 1 or more",
    "bias" / Int32sl * "subtracted from every level",
)
CodebookParameters = Struct(
    "window" / Int8ul * "*w*: bits of the state; equal to `bits` for a plain codebook, more for a trellis",
    "shift" / Int8ul * "*k*: bits of each code that the state remembers; 0 for a plain codebook",
    "reserved" / Const(bytes(6)) * "zero",
)
ProductParameters = Struct(
    "sub_dim" / Int32ul * "*L*: values in a sub-vector",
    "reserved" / Const(bytes(4)) * "zero",
)
DecimalParameters = Struct(
    "digits" / Int8ul * "*D*: significant digits, 1 to 9",
    "exponent_min" / Int8sl * "*E*: the smallest power of ten",
    "exponent_max" / Int8sl * "the largest power of ten",
    "reserved" / Const(bytes(5)) * "zero",
)
IeeeParameters = Struct(
    "format" / Int8ul * "0 float32, 1 float16, 2 bfloat16",
    "reserved" / Const(bytes(7)) * "zero",
)
PARAMETERS: dict[Level, Construct] = {
    Level.LINEAR: LinearParameters,
    Level.CODEBOOK: CodebookParameters,
    Level.PRODUCT: ProductParameters,
    Level.DECIMAL: DecimalParameters,
    Level.IEEE: IeeeParameters,
}

Quantization = Struct(
    "level" / Int8ul * "0 linear, 1 codebook, 2 product, 3 decimal, 4 ieee",
    "bits" / Int8ul * "*b*: bits of a code, 1 to 32",
    "low_bits" / Int8ul * "bits of a code kept in `CODE`; the others are in `HIG0` to `HIG3`",
    "reserved" / Const(b"\0") * "zero",
    "scale_group" / Int8ul * "0 none, 1 table, 2 row, 3 column, 4 block",
    "scale_type" / Int8ul * "0 none, 1 float32, 2 float16",
    "offset_group" / Int8ul * "0 none, 1 table, 2 row, 3 column, 4 block",
    "offset_type" / Int8ul * "0 none, 1 float32, 2 float16",
    "scale_block" / Int32ul * "columns that share a scale where `scale_group` is block; otherwise 0",
    "offset_block" / Int32ul * "columns that share an offset where `offset_group` is block; otherwise 0",
    "row_stride" / Int32ul * "bytes from one row of `CODE` to the next",
    "parameters" / Switch(this.level, PARAMETERS, default=Bytes(8)) * "depends on `level`: the structures below",
)

# --- transform, exceptions, subwords --------------------------------------------------------------------------------

Transform = Struct(
    "kind" / Int8ul * "1 randomized Hadamard",
    "generator" / Int8ul * "1 SplitMix64",
    "rounds" / Int8ul * "1 to 8",
    "reserved" / Const(bytes(5)) * "zero",
    "seed" / Int64ul * "first state of the generator",
)

ExceptionEntry = Struct(
    "position" / Int64ul * "row x dim + column",
    "bits" / Int32ul * "the value, as the bits of a float32",
)

Subword = Struct(
    "hash" / Int8ul * "1 fastText: FNV-1a over signed bytes",
    "reserved" / Const(bytes(3)) * "zero",
    "min_n" / Int32ul * "characters in the shortest n-gram, 1 or more",
    "max_n" / Int32ul * "characters in the longest",
    "buckets" / Int32ul * "rows past the tokens",
)

# --- both directions ------------------------------------------------------------------------------------------------

QUANTIZATION_SIZE = sum(field.sizeof() for field in Quantization.subcons[:-1]) + 8


def parse(declaration: Construct, data: bytes | memoryview, *, where: str, offset: int = 0) -> Any:  # noqa: ANN401
    """Parse one structure that fills ``data`` from its start; construct's errors end here.

    Raises
    ------
    MalformedError
        ``malformed.truncated`` where ``data`` is too short, ``malformed.structure`` where a constant is not what the
        declaration says.
    """
    size = _size(declaration)
    if len(data) < size:
        raise MalformedError(
            "malformed.truncated", f"{where} needs {size} bytes, {len(data)} are there", where=where, offset=offset
        )
    try:
        return declaration.parse(bytes(data[:size]))
    except ConstructError as error:
        path = str(error.path or "").removeprefix("(parsing) -> ")
        field = f"{where}, field {path}" if path else where
        raise MalformedError(
            "malformed.structure", "a reserved field is not zero, or a constant is wrong", where=field, offset=offset
        ) from error


@cache
def _size(declaration: Construct) -> int:
    """Bytes of a structure; construct adds them up anew each time, a quarter of what opening takes."""
    return QUANTIZATION_SIZE if declaration is Quantization else int(declaration.sizeof())


def dtype(declaration: Construct) -> np.dtype[Any]:
    """Numpy's packed dtype of a structure of little-endian integers: the same declaration, for arrays of them."""
    fields = []
    for named in declaration.subcons:
        element = unwrap(named)
        if not isinstance(element, FormatField):
            raise TypeError(f"{named.name} is not a plain integer")
        # struct's letters are not numpy's ("L" is 4 bytes in one, 8 in the other), so go by size and sign
        sign = "u" if element.fmtstr[-1].isupper() else "i"
        fields.append((named.name, np.dtype(f"<{sign}{element.sizeof()}")))
    return np.dtype(fields)


def unwrap(named: Construct) -> Construct:
    """The construct under a field's name and its documentation."""
    while isinstance(named, Renamed):
        named = named.subcon
    return named
