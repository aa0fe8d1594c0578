"""The ``qemb`` command and the converters between ``.qemb`` and other homes of embeddings.

>>> import qemb_tools
>>> qemb_tools.convert("glove.txt", "glove.qemb", bits=8)          # doctest: +SKIP
>>> qemb_tools.from_gensim(model.wv, "mine.qemb", bits=4)          # doctest: +SKIP
"""

from __future__ import annotations

from qemb_tools.convert import Summary, convert, from_gensim
from qemb_tools.formats import open_source
from qemb_tools.interface import Batch, ReadOptions, Source, UsageError

__all__ = ["Batch", "ReadOptions", "Source", "Summary", "UsageError", "convert", "from_gensim", "open_source"]
