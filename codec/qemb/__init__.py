"""Quantized embeddings in one file: read, search and write ``.qemb``.

>>> import qemb
>>> qemb.write("tiny.qemb", ["king", "queen"], [[1.0, 0.5], [0.9, 0.6]])
>>> with qemb.open("tiny.qemb") as emb:
...     emb.nearest("king", k=1)[0][0]
'queen'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qemb.embedding import Embedding
from qemb.embedding import Embedding as open  # noqa: A004, N813  (qemb.open reads as open does)
from qemb.errors import InvalidError, LimitError, MalformedError, QembError, UnsupportedError
from qemb.info import Info
from qemb.limits import Limits
from qemb.subword import Subwords

if TYPE_CHECKING:
    from qemb.codes import CodeFormat, CodeWriter, write_codes
    from qemb.encode.options import EncoderOptions
    from qemb.salvage import Repaired, repair
    from qemb.writer import Writer, write

__version__ = "0.1.0"

__all__ = [
    "CodeFormat",
    "CodeWriter",
    "Embedding",
    "EncoderOptions",
    "Info",
    "InvalidError",
    "LimitError",
    "Limits",
    "MalformedError",
    "QembError",
    "Repaired",
    "Subwords",
    "UnsupportedError",
    "Writer",
    "open",
    "repair",
    "write",
    "write_codes",
]

_WRITERS = {
    "CodeFormat": "qemb.codes",
    "CodeWriter": "qemb.codes",
    "EncoderOptions": "qemb.encode.options",
    "Repaired": "qemb.salvage",
    "Writer": "qemb.writer",
    "repair": "qemb.salvage",
    "write": "qemb.writer",
    "write_codes": "qemb.codes",
}
"""What only those who write need: most of the code, loaded when it is first asked for."""


def __getattr__(name: str) -> object:
    if name not in _WRITERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_WRITERS[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
