"""The worked examples of the specification: three small files, and their walk through, field by field."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from construct import Construct, Switch

import qemb
from qemb import layout
from qemb.container import Container, ContainerWriter
from qemb.decode import trellis_states
from qemb.layout import FloatType, Group, Level
from qemb.quantization import Quantization, float_dtype
from qemb.vocabulary import VocabularyBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def linear(path: Path) -> None:
    """Two tokens of three values, 8 bits linear by row."""
    qemb.write(path, ["king", "queen"], [[0.5, -1.0, 0.25], [0.0, 0.0, 0.0]], bits=8)


def codebook(path: Path) -> None:
    """Three tokens of five values at 2 bits: a codebook, a mean, float16 scales, metadata and counts."""
    matrix = [[0.9, -0.4, 0.1, 0.3, -1.2], [-0.7, 0.6, 0.2, -0.1, 1.1], [0.1, 0.4, 0.9, 0.1, 0.4]]
    qemb.write(path, ["", "naïve", "New York"], matrix, bits=2, counts=[7, 5, 3], metadata={"license": "CC0-1.0"})


def trellis(path: Path) -> None:
    """Two rows of five codes of 2 bits in a window of 5 that shifts by 1, in frames of one row; rows are circles."""
    levels = np.array([(37 * state + 11) % 255 - 127 for state in range(32)], np.int8)
    codes = np.array([[0b00_01_10_11 >> 2 * (j % 4) & 3 for j in range(5)], [3, 0, 2, 2, 1]], np.uint8)
    packed = np.packbits(
        np.unpackbits(codes[:, :, None], axis=2, bitorder="little")[:, :, :2].reshape(2, 10), axis=1, bitorder="little"
    )
    q = Quantization(
        level=Level.CODEBOOK,
        bits=2,
        low_bits=2,
        window=5,
        shift=1,
        row_stride=2,
        scale_group=Group.ROW,
        scale_type=FloatType.FLOAT32,
    )
    tokens = VocabularyBuilder()
    tokens.add("a", 0)
    tokens.add("b", 1)
    writer = ContainerWriter(path, 6)
    writer.add("QUAN", q.build())
    writer.add("LEVL", levels)
    writer.add("CODE", packed, frame_size=2)
    writer.add("SCAL", np.array([0.01, 0.1], "<f4"))
    writer.add("TOKO", tokens.offsets())
    writer.add("TOKB", tokens.data())
    writer.finish(rows=2, tokens=2, dim=5)


EXAMPLES: dict[str, Callable[[Path], None]] = {
    "linear.qemb": linear,
    "codebook.qemb": codebook,
    "trellis.qemb": trellis,
}


@cache
def files() -> dict[str, bytes]:
    """The bytes of every example."""
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, make in EXAMPLES.items():
            path = Path(folder) / name
            make(path)
            out[name] = path.read_bytes()
            with qemb.open(path) as emb:
                emb.verify()
    return out


# --- the walk through -----------------------------------------------------------------------------------------------


def document() -> str:
    """The section of the specification that walks through the examples."""
    parts = []
    for number, (name, data) in enumerate(files().items(), 1):
        parts += [f"### 11.{number} `{name}`", "", (EXAMPLES[name].__doc__ or "").strip(), ""]
        parts += ["```", *hexdump(data), "```", ""]
        parts += ["| offset | bytes | field | value |", "|---:|---|---|---|"]
        parts += [f"| {at} | `{shown(raw)}` | {field} | {value} |" for at, raw, field, value in fields(data)]
        parts += ["", *decoding(data), ""]
    return "\n".join(parts).rstrip()


def hexdump(data: bytes) -> Iterator[str]:
    """Sixteen bytes a line, hexadecimal and ASCII; lines of zeros that repeat are left out, as in xxd -a."""
    skipped = False
    for start in range(0, len(data), 16):
        line = data[start : start + 16]
        if not any(line) and 0 < start < len(data) - 16 and not any(data[start - 16 : start]):
            if not skipped:
                yield "*"
            skipped = True
            continue
        skipped = False
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        yield f"{start:08x}  {line.hex(' ', 1):<47}  {text}"


def shown(raw: bytes) -> str:
    """Bytes in hexadecimal, cut where they are many."""
    return raw.hex(" ") if len(raw) <= 16 else f"{raw[:12].hex(' ')} ... ({len(raw)} bytes)"


Row = tuple[int, bytes, str, str]


def structure(declaration: Construct, data: bytes, at: int, name: str) -> Iterator[Row]:
    """One line for each field of a structure at an offset."""
    parsed: Any = None
    for field in declaration.subcons:
        element = layout.unwrap(field)
        if isinstance(element, Switch):
            parsed = declaration.parse(data[at - 20 :])
            yield from structure(layout.PARAMETERS[Level(parsed.level)], data, at, f"{name}.{field.name}")
            continue
        size = element.sizeof()
        raw = data[at : at + size]
        value = element.parse(raw)
        if isinstance(value, bytes):
            value = f"`{value.decode('ascii')}`" if field.name == "kind" else ""
        elif "crc" in field.name:
            value = f"{value:08X}"
        yield at, raw, f"{name}.{field.name}", str(value)
        at += size


def fields(data: bytes) -> Iterator[Row]:
    """One line for each field of a file, from its first byte to its last."""
    yield from structure(layout.Header, data, 0, "header")
    container = Container(data)
    entry_size = layout.SectionEntry.sizeof()
    for number in range(len(container.sections)):
        yield from structure(layout.SectionEntry, data, 64 + number * entry_size, f"entry {number}")
    end = 64 + entry_size * len(container.sections)
    for section in container.sections.values():
        if section.offset > end:
            yield end, data[end : section.offset], "padding", ""
        raw = data[section.offset : section.end]
        if section.kind == "QUAN":
            yield from structure(layout.Quantization, data, section.offset, "QUAN")
        elif section.frames:
            size = section.frames * layout.FrameEntry.sizeof()
            for frame in range(section.frames):
                at = section.end - size + frame * 16
                start = section.offset + int.from_bytes(data[at : at + 8], "little")
                yield (
                    start,
                    data[start : start + section.frame_size],
                    f"{section.kind} frame {frame}",
                    "stored as it is",
                )
            for frame in range(section.frames):
                at = section.end - size + frame * 16
                yield from structure(layout.FrameEntry, data, at, f"{section.kind} frame {frame}")
        else:
            yield section.offset, raw, section.kind, section_value(container, section.kind)
        end = section.end


def section_value(container: Container, kind: str) -> str:
    """What the elements of a section are, in numbers or text."""
    raw = container.read(kind)
    if kind in ("META", "TOKB"):
        return f"`{raw.tobytes().decode('utf-8')}`"
    if kind in ("SCAL", "OFFS"):
        which = "scale_type" if kind == "SCAL" else "offset_type"
        fields = layout.Quantization.parse(container.read("QUAN").tobytes())
        values = raw.view(float_dtype(FloatType(fields[which])))
        return ", ".join(str(value) for value in values)
    if kind == "CODE":
        return "rows " + ", ".join(f"`{row.tobytes().hex(' ')}`" for row in raw.reshape(container.header.rows, -1))
    element = {"LEVL": "<i1", "TOKO": "<u4", "INDX": "<u4", "CNTS": "<u8"}[kind]
    return ", ".join("empty" if kind == "INDX" and value == 0xFFFFFFFF else str(value) for value in raw.view(element))


def decoding(data: bytes) -> Iterator[str]:
    """How each row becomes numbers: a table for each."""
    emb = qemb.open(data)
    decoder = emb._decoder
    q = decoder.quantization
    rows = emb.total_rows
    codes = decoder.codes(slice(0, rows), rows)
    states = trellis_states(codes, q) if q.window > q.bits else codes
    levels = decoder._levels[states]
    scales, offsets = (
        np.broadcast_to(0 if factors is None else decoder._broadcast(factors, block), (rows, emb.dim))
        for factors, block in (decoder._factors(kind, slice(0, rows), rows) for kind in ("SCAL", "OFFS"))
    )
    values = emb.matrix()
    for row in range(rows):
        yield (
            f"Row {row}, token `{emb.tokens[row]}`, scale {scales[row, 0]}:"
            if emb.tokens[row]
            else (f"Row {row}, the empty token, scale {scales[row, 0]}:")
        )
        yield ""
        yield "| value | code | state | level | scale x level | offset | value | as bits |"
        yield "|---:|---:|---:|---:|---:|---:|---:|---|"
        for column in range(emb.dim):
            product = scales[row, column] * levels[row, column]
            state = f"{states[row, column]:0{q.window}b}" if q.window > q.bits else str(states[row, column])
            yield (
                f"| {column} | {codes[row, column]:0{q.bits}b} | {state} | {levels[row, column]:g} | {product} | "
                f"{offsets[row, column] if q.offset_group else '-'} | {values[row, column]} | "
                f"`{values[row, column].view(np.uint32):08x}` |"
            )
        yield ""
