"""The quantization descriptor: parsed, checked, and what it implies for the other sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qemb import layout
from qemb.errors import InvalidError, UnsupportedError
from qemb.layout import HIGH_KINDS, FloatType, Group, IeeeFormat, Level
from qemb.packing import packed_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from construct import Container as Fields

MAX_WINDOW = 16
MAX_CODEBOOK_BITS = 8
MAX_PRODUCT_BITS = 16
MAX_LEVEL = 2**24
"""Every linear level is within this, so that float32 holds it exactly."""
_WHERE = "section QUAN"
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Quantization:
    """How codes become values; the fields are those of the descriptor, in the words of the specification."""

    level: Level
    bits: int
    row_stride: int
    low_bits: int
    scale_group: Group = Group.NONE
    scale_type: FloatType = FloatType.NONE
    offset_group: Group = Group.NONE
    offset_type: FloatType = FloatType.NONE
    scale_block: int = 0
    offset_block: int = 0
    step: int = 1
    bias: int = 0
    window: int = 0
    shift: int = 0
    sub_dim: int = 0
    digits: int = 0
    exponent_min: int = 0
    exponent_max: int = 0
    format: IeeeFormat = IeeeFormat.FLOAT32

    @property
    def high_planes(self) -> int:
        """How many byte planes hold the bits that are not in ``CODE``."""
        return packed_size(1, self.bits - self.low_bits)

    def codes_per_row(self, dim: int) -> int:
        """Codes in a row: one a value, or one a sub-vector."""
        return -(-dim // self.sub_dim) if self.level == Level.PRODUCT else dim

    @property
    def max_rank(self) -> int:
        """Decimal: the rank of the largest magnitude."""
        return int(10**self.digits + (self.exponent_max - self.exponent_min) * 9 * 10 ** (self.digits - 1) - 1)

    @property
    def scheme(self) -> str:
        """The name of the scheme, as `qemb.write` takes it."""
        if self.level == Level.CODEBOOK:
            return "codebook" if self.window == self.bits else "trellis"
        if self.level == Level.IEEE:
            return self.format.name.lower()
        return self.level.name.lower()

    @property
    def values(self) -> str:
        """What values are, in words."""
        each = {Group.ROW: "row", Group.COLUMN: "column", Group.BLOCK: f"block of {self.scale_block} columns"}
        match self.level:
            case Level.LINEAR:
                shared = f"a scale for each {each[self.scale_group]}" if self.scale_group in each else "one scale"
                return f"int{self.bits} with {shared}"
            case Level.CODEBOOK if self.window == self.bits:
                return f"{1 << self.bits} levels"
            case Level.CODEBOOK:
                return f"{1 << self.window:,} levels, {self.bits} bits each chosen by the codes before"
            case Level.PRODUCT:
                return f"parts of {self.sub_dim} values, each one of {1 << self.bits:,}"
            case Level.IEEE:
                return self.format.name.lower()
            case Level.DECIMAL:
                if self.exponent_min == self.exponent_max < 0:
                    return f"decimal numbers with {_count(-self.exponent_min)} digits after the point"
                return f"{_count(self.digits)} significant decimal digit{'s' if self.digits > 1 else ''}"

    def group_count(self, group: Group, block: int, rows: int, dim: int) -> int:
        """How many scales, or offsets, a table has."""
        match group:
            case Group.NONE:
                return 0
            case Group.TABLE:
                return 1
            case Group.ROW:
                return rows
            case Group.COLUMN:
                return dim
            case Group.BLOCK:
                return rows * -(-dim // block)

    def sections(self, rows: int, dim: int) -> Iterator[tuple[str, int]]:
        """Kind and raw size of every section that the descriptor calls for, besides itself."""
        codes = self.codes_per_row(dim)
        if self.level == Level.CODEBOOK:
            yield "LEVL", 1 << self.window
        elif self.level == Level.PRODUCT:
            yield "LEVL", 4 * codes * (1 << self.bits) * self.sub_dim
        for kind, group, element, block in (
            ("SCAL", self.scale_group, self.scale_type, self.scale_block),
            ("OFFS", self.offset_group, self.offset_type, self.offset_block),
        ):
            if group != Group.NONE:
                yield kind, self.group_count(group, block, rows, dim) * float_size(element)
        if self.low_bits:
            yield "CODE", rows * self.row_stride
        for kind in HIGH_KINDS[: self.high_planes]:
            yield kind, rows * codes

    def build(self) -> bytes:
        """The descriptor's bytes."""
        parameters = {
            Level.LINEAR: {"step": self.step, "bias": self.bias},
            Level.CODEBOOK: {"window": self.window, "shift": self.shift},
            Level.PRODUCT: {"sub_dim": self.sub_dim},
            Level.DECIMAL: {
                "digits": self.digits,
                "exponent_min": self.exponent_min,
                "exponent_max": self.exponent_max,
            },
            Level.IEEE: {"format": self.format},
        }[self.level]
        return bytes(
            layout.Quantization.build(
                {
                    "level": self.level,
                    "bits": self.bits,
                    "low_bits": self.low_bits,
                    "scale_group": self.scale_group,
                    "scale_type": self.scale_type,
                    "offset_group": self.offset_group,
                    "offset_type": self.offset_type,
                    "scale_block": self.scale_block,
                    "offset_block": self.offset_block,
                    "row_stride": self.row_stride,
                    "parameters": parameters,
                }
            )
        )


def _count(number: int) -> str:
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def float_size(element: FloatType) -> int:
    """Bytes of a scale or an offset."""
    return {FloatType.NONE: 0, FloatType.FLOAT32: 4, FloatType.FLOAT16: 2}[element]


def float_dtype(element: FloatType) -> str:
    """Numpy's name for the element type of scales and offsets."""
    return "<f2" if element == FloatType.FLOAT16 else "<f4"


def parse(data: bytes, dim: int, offset: int) -> Quantization:
    """Parse and check a descriptor; ``offset`` is where it stands in the file.

    Raises
    ------
    MalformedError, InvalidError, UnsupportedError
        ``malformed.structure``, ``unsupported.level``, or ``invalid.quantization`` naming the first bad field, in the
        order of the fields.
    """
    fields = layout.parse(layout.Quantization, data, where=_WHERE, offset=offset)
    if fields.level not in layout.PARAMETERS:
        raise UnsupportedError(
            "unsupported.level",
            f"level kind {fields.level} is not known to this reader: upgrade qemb",
            where=f"{_WHERE}, field level",
            offset=offset,
        )
    level = Level(fields.level)
    _Checker(fields, level, dim, offset).check()
    p = fields.parameters
    return Quantization(
        level=level,
        bits=fields.bits,
        row_stride=fields.row_stride,
        low_bits=fields.low_bits,
        scale_group=Group(fields.scale_group),
        scale_type=FloatType(fields.scale_type),
        offset_group=Group(fields.offset_group),
        offset_type=FloatType(fields.offset_type),
        scale_block=fields.scale_block,
        offset_block=fields.offset_block,
        step=p.step if level == Level.LINEAR else 1,
        bias=p.bias if level == Level.LINEAR else 0,
        window=p.window if level == Level.CODEBOOK else 0,
        shift=p.shift if level == Level.CODEBOOK else 0,
        sub_dim=p.sub_dim if level == Level.PRODUCT else 0,
        digits=p.digits if level == Level.DECIMAL else 0,
        exponent_min=p.exponent_min if level == Level.DECIMAL else 0,
        exponent_max=p.exponent_max if level == Level.DECIMAL else 0,
        format=IeeeFormat(p.format) if level == Level.IEEE else IeeeFormat.FLOAT32,
    )


class _Checker:
    """The rules of the descriptor, one after the other in the order of its fields."""

    def __init__(self, fields: Fields, level: Level, dim: int, offset: int) -> None:
        self.fields = fields
        self.parameters = fields.parameters
        self.level = level
        self.dim = dim
        self.offset = offset

    def need(self, condition: bool, field: str, rule: str) -> None:  # noqa: FBT001
        if not condition:
            raise InvalidError("invalid.quantization", rule, where=f"{_WHERE}, field {field}", offset=self.offset)

    def check(self) -> None:
        fields = self.fields
        most = {
            Level.LINEAR: 16,
            Level.CODEBOOK: MAX_CODEBOOK_BITS,
            Level.PRODUCT: MAX_PRODUCT_BITS,
            Level.DECIMAL: 32,
            Level.IEEE: 32,
        }[self.level]
        self.need(1 <= fields.bits <= most, "bits", f"it is {fields.bits}; 1 to {most} are allowed here")
        self.need(fields.low_bits <= fields.bits, "low_bits", f"it is {fields.low_bits} of {fields.bits} bits")
        self.check_group("scale")
        self.check_group("offset")
        self.check_parameters()
        codes = -(-self.dim // self.parameters.sub_dim) if self.level == Level.PRODUCT else self.dim
        least = packed_size(codes, fields.low_bits)
        if fields.low_bits:
            self.need(fields.row_stride >= least, "row_stride", f"it is {fields.row_stride}, a row has {least} bytes")
        else:
            self.need(fields.row_stride == 0, "row_stride", "it is 0 where no bits are in CODE")

    def check_group(self, name: str) -> None:
        group = self.fields[f"{name}_group"]
        element = self.fields[f"{name}_type"]
        block = self.fields[f"{name}_block"]
        self.need(group <= Group.BLOCK, f"{name}_group", f"{group} is not a group")
        if self.level in (Level.DECIMAL, Level.IEEE):
            self.need(group == Group.NONE, f"{name}_group", "decimal and ieee levels have none")
        elif name == "scale" and self.level != Level.PRODUCT:
            self.need(group != Group.NONE, f"{name}_group", "linear and codebook levels have a scale")
        self.need(element <= FloatType.FLOAT16, f"{name}_type", f"{element} is not a type")
        self.need(
            (element == FloatType.NONE) == (group == Group.NONE),
            f"{name}_type",
            "it is 0 where the group is, only there",
        )
        if group == Group.BLOCK:
            self.need(1 <= block <= self.dim, f"{name}_block", f"it is {block}; a block has 1 to {self.dim} columns")
        else:
            self.need(block == 0, f"{name}_block", "it is 0 where the group is not block")

    def check_parameters(self) -> None:
        p = self.parameters
        bits = self.fields.bits
        match self.level:
            case Level.LINEAR:
                self.need(p.step >= 1, "step", f"it is {p.step}; it is 1 or more")
                half = 1 << (bits - 1)
                fits = max(abs(p.step * -half - p.bias), abs(p.step * (half - 1) - p.bias)) <= MAX_LEVEL
                self.need(fits, "bias", f"levels past {MAX_LEVEL:,}")
            case Level.CODEBOOK:
                self.need(
                    bits <= p.window <= MAX_WINDOW, "window", f"it is {p.window}; it is {bits} to {MAX_WINDOW} here"
                )
                least, most = int(p.window > bits), min(bits, p.window - bits)
                self.need(least <= p.shift <= most, "shift", f"it is {p.shift}; it is {least} to {most} here")
            case Level.PRODUCT:
                self.need(1 <= p.sub_dim <= self.dim, "sub_dim", f"it is {p.sub_dim}; it is 1 to {self.dim}")
            case Level.DECIMAL:
                self.need(1 <= p.digits <= 9, "digits", f"it is {p.digits}; it is 1 to 9")
                self.need(p.exponent_min >= -60, "exponent_min", f"it is {p.exponent_min}; it is -60 or more")
                self.need(
                    p.exponent_min <= p.exponent_max <= 38,
                    "exponent_max",
                    f"it is {p.exponent_max}; it is {p.exponent_min} to 38",
                )
                top = 10**p.digits + (p.exponent_max - p.exponent_min) * 9 * 10 ** (p.digits - 1) - 1
                self.need(2 * top < 1 << bits, "bits", f"{bits} bits are too few for ranks up to {top:,}")
            case Level.IEEE:
                self.need(p.format <= IeeeFormat.BFLOAT16, "format", f"{p.format} is not a format")
                width = 32 if p.format == IeeeFormat.FLOAT32 else 16
                self.need(bits == width, "bits", f"it is {bits}; this format has {width}")
