"""From what a caller asks for to the encoder that does it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, TypedDict, cast

from qemb.encode.auto import Budget
from qemb.encode.codebook import CodebookEncoder
from qemb.encode.exact import ExactEncoder
from qemb.encode.ieee import IeeeEncoder
from qemb.encode.normal import NORMAL_LEVELS, TRELLIS_LEVELS
from qemb.encode.product import MAX_TRAINED_BITS, ProductEncoder
from qemb.encode.scaled import LinearEncoder
from qemb.encode.shipped import SHIPPED_WIDTHS, ShippedEncoder
from qemb.encode.trellis import DEFAULT_EFFORT, EFFORTS, LEAST_MEMORY, MAX_DIM, MIN_DIM, TrellisEncoder
from qemb.errors import InvalidError
from qemb.layout import FloatType, Group, IeeeFormat, Level
from qemb.packing import packed_size
from qemb.quantization import MAX_WINDOW, Quantization

if TYPE_CHECKING:
    from qemb.encode.base import Encoder

SCHEMES = ("linear", "codebook", "trellis", "product", "float32", "float16", "bfloat16", "exact")
WIDTHS = (*range(1, 9), 16)
"""Bits a value, where no scheme is named."""


class EncoderOptions(TypedDict, total=False):
    """How values are stored, as keyword arguments; `qemb.write` says what each means."""

    bits: int | None
    scheme: str | None
    effort: int | None
    scale: str | None
    block: int | None
    scale_dtype: str | None
    offset: str | None
    clip: bool | None
    rotate: bool | None
    window: int | None
    compress: bool | None
    sub_dim: int | None
    max_bytes: int | None
    min_recall: float | None


@dataclass(frozen=True)
class Options:
    """`EncoderOptions`, each of which may be left out."""

    bits: int | None = None
    scheme: str | None = None
    effort: int | None = None
    scale: str | None = None
    block: int | None = None
    scale_dtype: str | None = None
    offset: str | None = None
    clip: bool | None = None
    rotate: bool | None = None
    window: int | None = None
    compress: bool | None = None
    sub_dim: int | None = None
    max_bytes: int | None = None
    min_recall: float | None = None

    @property
    def budget(self) -> Budget | None:
        """The bounds that a scheme is to be chosen by; None where the caller chose one.

        Raises
        ------
        InvalidError
            ``invalid.option``: a bound beside a width or a scheme, or out of range.
        """
        if self.scheme != "auto" and self.max_bytes is None and self.min_recall is None:
            return None
        if self.bits is not None or self.scheme not in (None, "auto"):
            raise _option("max_bytes and min_recall choose the scheme: leave bits and scheme out")
        return Budget(self.max_bytes, self.min_recall)

    def keywords(self) -> EncoderOptions:
        """The options that were not left out, as keyword arguments."""
        return cast("EncoderOptions", {name: getattr(self, name) for name in self.given()})

    def given(self) -> set[str]:
        """Names of the options that were not left out."""
        return {field.name for field in fields(self) if getattr(self, field.name) is not None}


def make_encoder(dim: int, options: Options) -> Encoder:
    """The encoder for what a caller asked for; see `qemb.write` for what the options mean.

    Raises
    ------
    InvalidError
        ``invalid.option``: options that do not exist or do not go together.
    """
    bits, scheme = options.bits, options.scheme
    if options.effort is not None and not 0 <= options.effort <= 9:
        raise _option(f"effort={options.effort}; it is 0 to 9")
    if bits is not None and bits in SHIPPED_WIDTHS and options.compress and options.given() == {"bits", "compress"}:
        return ShippedEncoder(bits, dim)
    if scheme is None:
        bits = 8 if bits is None else bits
        if bits not in WIDTHS:
            raise _option(f"bits={bits} does not exist; there are {', '.join(map(str, WIDTHS))}")
        scheme = "linear" if bits in (8, 16) else _normal_scheme(dim, options)
    if scheme not in SCHEMES:
        raise _option(f"scheme {scheme!r} does not exist; there are auto, {', '.join(SCHEMES)}")
    if scheme in ("linear", "codebook", "trellis"):
        bits = (8 if scheme == "linear" else 4) if bits is None else bits
        return _make_scaled(dim, scheme, bits, options)
    if scheme == "product":
        return _make_product(dim, 4 if bits is None else bits, options)
    taken = {"scheme", "effort", "compress"}
    if bits == {"float32": 32, "float16": 16, "bfloat16": 16}.get(scheme):
        taken.add("bits")
    _refuse(scheme, options, options.given() - taken)
    if scheme == "exact":
        return ExactEncoder(dim)
    return IeeeEncoder(IeeeFormat[scheme.upper()], dim)


def _normal_scheme(dim: int, options: Options) -> str:
    """The trellis is ahead at every width; effort 0, and rows that it is not made for, go without."""
    return "codebook" if options.effort == 0 or not MIN_DIM <= dim <= MAX_DIM else "trellis"


def _make_scaled(dim: int, scheme: str, bits: int, options: Options) -> Encoder:
    _refuse(scheme, options, {"sub_dim"})
    allowed = {"linear": WIDTHS, "codebook": tuple(NORMAL_LEVELS), "trellis": tuple(TRELLIS_LEVELS)}[scheme]
    if bits not in allowed:
        raise _option(f"bits={bits} does not exist for {scheme}; there are {', '.join(map(str, allowed))}")
    quantization = _grouped(dim, scheme, bits, options)
    # 16 bits a row are worth it where a row has few bits, not where they cost 8-bit codes the property that
    # quantizing what was decoded gives the same file
    may_widen = options.scale_dtype is None
    if scheme != "linear":
        _refuse(scheme, options, {"clip"})
    if scheme == "trellis":
        return _make_trellis(dim, quantization, options, may_widen=may_widen)
    if options.window is not None:
        raise _option(f"scheme {scheme!r} takes no window")
    if scheme == "linear":
        if bits == 1:
            quantization = replace(quantization, step=2, bias=-1)
        clip = bool(options.clip)
        if clip and quantization.scale_group not in (Group.ROW, Group.BLOCK):
            raise _option("clip=True goes with scales by row or block")
        return LinearEncoder(quantization, dim, may_widen=may_widen, rotate=options.rotate or False, clip=clip)
    return CodebookEncoder(replace(quantization, window=bits), dim, may_widen=may_widen, rotate=options.rotate)


def _make_trellis(dim: int, quantization: Quantization, options: Options, *, may_widen: bool) -> Encoder:
    bits = quantization.bits
    if not MIN_DIM <= dim <= MAX_DIM:
        raise _option(f"rows have {dim:,} values; a trellis is for {MIN_DIM} to {MAX_DIM:,}: use scheme='codebook'")
    effort = DEFAULT_EFFORT if options.effort is None else options.effort
    if effort not in EFFORTS:
        raise _option(f"effort={effort} is the scalar codebook's; a trellis takes 1 to 9")
    memory, scales_tried = EFFORTS[effort]
    memory = min(memory, MAX_WINDOW - bits)
    if options.window is not None:
        memory = options.window - bits
        if not LEAST_MEMORY <= memory <= min(MAX_WINDOW - bits, dim):
            least, most = bits + LEAST_MEMORY, bits + min(MAX_WINDOW - bits, dim)
            raise _option(f"window={options.window}; it is {least} to {most} for rows of {dim:,} values at {bits} bits")
    return TrellisEncoder(
        quantization,
        dim,
        memory=memory,
        scales_tried=scales_tried,
        fixed=options.window is not None,
        may_widen=may_widen,
        rotate=options.rotate,
    )


def _grouped(dim: int, scheme: str, bits: int, options: Options) -> Quantization:
    """The descriptor as far as scales and offsets decide it."""
    block = options.block
    scale = options.scale or ("row" if block is None else "block")
    if scale not in ("table", "row", "column", "block"):
        raise _option(f"scale {scale!r} does not exist; there are table, row, column, block")
    if (scale == "block") != (block is not None):
        raise _option("scale='block' and block= (columns that share a scale) go together")
    if block is not None and not 1 <= block <= dim:
        raise _option(f"block={block}; a block has 1 to {dim} columns here")
    linear = scheme == "linear"
    offset_group, offset_type = _offset(options.offset or ("none" if linear else "mean"))
    return Quantization(
        level=Level.LINEAR if linear else Level.CODEBOOK,
        bits=bits,
        row_stride=packed_size(dim, bits),
        low_bits=bits,
        scale_group=Group[scale.upper()],
        scale_type=_scale_type(options.scale_dtype or ("float32" if linear else "float16")),
        offset_group=offset_group,
        offset_type=offset_type,
        scale_block=block or 0,
    )


_SUB_DIM = {1: 8, 2: 4, 3: 3, 4: 2}
"""Values that share a code, for codes of 8 or 9 bits; more bits a value have a code each."""


def _make_product(dim: int, bits: int, options: Options) -> Encoder:
    _refuse("product", options, {"effort", "block", "rotate", "window"})
    sub_dim = min(_SUB_DIM.get(bits, 1), dim) if options.sub_dim is None else options.sub_dim
    if not 1 <= sub_dim <= dim:
        raise _option(f"sub_dim={sub_dim}; a sub-vector has 1 to {dim} values here")
    code_bits = bits * sub_dim
    if not 1 <= code_bits <= MAX_TRAINED_BITS:
        raise _option(f"bits={bits} for each of {sub_dim} values; a trained code has 1 to {MAX_TRAINED_BITS} bits")
    scale = options.scale or "row"
    if scale not in ("row", "none"):
        raise _option(f"scale {scale!r} does not go with scheme 'product'; there are row, none")
    if scale == "none":
        _refuse("product", options, {"scale_dtype"})
    offset_group, offset_type = _offset(options.offset or ("mean" if scale == "row" else "none"))
    quantization = Quantization(
        level=Level.PRODUCT,
        bits=code_bits,
        row_stride=packed_size(-(-dim // sub_dim), code_bits),
        low_bits=code_bits,
        scale_group=Group[scale.upper()],
        scale_type=FloatType.NONE if scale == "none" else _scale_type(options.scale_dtype or "float16"),
        offset_group=offset_group,
        offset_type=offset_type,
        sub_dim=sub_dim,
    )
    return ProductEncoder(quantization, dim, may_widen=options.scale_dtype is None)


def _scale_type(name: str) -> FloatType:
    if name not in ("float32", "float16"):
        raise _option(f"scale_dtype {name!r} does not exist; there are float32, float16")
    return FloatType[name.upper()]


def _offset(name: str) -> tuple[Group, FloatType]:
    if name not in ("mean", "none"):
        raise _option(f"offset {name!r} does not exist; there are mean, none")
    return (Group.COLUMN, FloatType.FLOAT32) if name == "mean" else (Group.NONE, FloatType.NONE)


def _refuse(scheme: str, options: Options, names: set[str]) -> None:
    """Raise `InvalidError` where one of these options was given: the scheme has no use for it."""
    for name in sorted(options.given() & names):
        raise _option(f"scheme {scheme!r} takes no {name}")


def _option(message: str) -> InvalidError:
    return InvalidError("invalid.option", message)
