"""What a file is, for people and scripts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from qemb import layout
from qemb.layout import FloatType, Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qemb.container import Container
    from qemb.quantization import Quantization
    from qemb.transform import Hadamard

_OF_VECTORS = {"QUAN", "TRNS", "LEVL", "SCAL", "OFFS", "CODE", "EXCP", *layout.HIGH_KINDS}
"""Sections that vectors are made of."""
_SHOWN = 8
"""Tokens that a notebook shows."""


@dataclass(frozen=True)
class Info:
    """What a file is, as `qemb info` prints it. Sizes are bytes."""

    path: str
    version: str
    tokens: int
    rows: int
    dim: int
    scheme: str
    values: str
    """What values are and what they take, in words: "five significant decimal digits, 18.1 bits a value"."""
    bits: int
    window: int
    sub_dim: int
    """Values that share a code; 0 but for product quantization."""
    scale: str
    offset: str
    transform: str
    byte_tokens: bool
    file_size: int
    bits_per_value: float
    """Bits a value of the vectors: codes, scales, offsets and levels; the vocabulary is not counted."""
    sections: dict[str, int]
    """Stored size of each section, in file order."""
    metadata: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data that `json.dumps` takes."""
        return asdict(self)


def describe(container: Container, q: Quantization, rotation: Hadamard | None, metadata: dict[str, Any]) -> Info:
    """What an open file is."""
    header = container.header
    sections = container.sections
    vectors = sum(section.stored_size for kind, section in sections.items() if kind in _OF_VECTORS)
    bits_per_value = 8 * vectors / (header.rows * header.dim) if header.rows else 0.0
    return Info(
        path=container.name,
        version=f"{header.major}.{header.minor}",
        tokens=header.tokens,
        rows=header.rows,
        dim=header.dim,
        scheme=q.scheme,
        values=f"{q.values}, {bits_per_value:.1f} bits a value",
        bits=q.bits,
        window=q.window,
        sub_dim=q.sub_dim,
        scale=_group(q.scale_group, q.scale_type, q.scale_block),
        offset=_group(q.offset_group, q.offset_type, q.offset_block),
        transform="none" if rotation is None else f"hadamard, {rotation.rounds} rounds",
        byte_tokens=bool(header.required_features & layout.FEATURE_BYTE_TOKENS),
        file_size=header.file_size,
        bits_per_value=round(bits_per_value, 4),
        sections={kind: section.stored_size for kind, section in sections.items()},
        metadata=metadata,
    )


def to_html(info: Info, tokens: Sequence[str]) -> str:
    """A file as a small table, for notebooks; whatever the file says is escaped."""
    from html import escape

    buckets = f" and {info.rows - info.tokens:,} subword buckets" if info.rows > info.tokens else ""
    cells = {
        "file": info.path,
        "tokens": f"{info.tokens:,}{buckets}",
        "dim": f"{info.dim:,}",
        "values": info.values,
        "size": f"{info.file_size:,} bytes",
        "first tokens": ", ".join(tokens[row] for row in range(min(_SHOWN, info.tokens))),
    }
    rows = "".join(
        f'<tr><th style="text-align: left">{name}</th><td style="text-align: left">{escape(text)}</td></tr>'
        for name, text in cells.items()
    )
    return f"<table><caption>qemb.Embedding</caption>{rows}</table>"


def _group(group: Group, element: FloatType, block: int) -> str:
    if group == Group.NONE:
        return "none"
    columns = f" of {block} columns" if group == Group.BLOCK else ""
    return f"{group.name.lower()}{columns}, {element.name.lower()}"
