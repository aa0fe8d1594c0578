"""Quantized embeddings in one file: read, search and write ``.qemb``.

>>> import qemb
>>> qemb.write("tiny.qemb", ["king", "queen"], [[1.0, 0.5], [0.9, 0.6]])
>>> with qemb.open("tiny.qemb") as emb:
...     emb.nearest("king", k=1)[0][0]
'queen'
"""

from qemb.codes import CodeFormat, CodeWriter, write_codes
from qemb.embedding import Embedding
from qemb.embedding import Embedding as open  # noqa: A004, N813  (qemb.open reads as open does)
from qemb.encode.options import EncoderOptions
from qemb.errors import InvalidError, LimitError, MalformedError, QembError, UnsupportedError
from qemb.info import Info
from qemb.subword import Subwords
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
    "MalformedError",
    "QembError",
    "Subwords",
    "UnsupportedError",
    "Writer",
    "open",
    "write",
    "write_codes",
]
