"""fastText's own ``.bin``, read through gensim: the vectors of its words."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from qemb_tools.gensim_model import from_object
from qemb_tools.interface import ReadOptions, missing_extra, source_error
from qemb_tools.stream import check_file

if TYPE_CHECKING:
    from qemb_tools.interface import Source

_MAGIC = struct.pack("<i", 793712314)
_SETTINGS = struct.Struct("<12i")


def sniff(head: bytes, path: str) -> bool:  # noqa: ARG001 - every format's sniff takes both
    """Whether this is a fastText model: its magic, or the settings that the first version started with."""
    if head.startswith(_MAGIC):
        return True
    if len(head) < _SETTINGS.size:
        return False
    dim, window, epochs, least, negative, ngrams, loss, kind, _bucket, shortest, longest, _rate = _SETTINGS.unpack_from(
        head
    )
    return (
        0 < dim < 1 << 16
        and all(0 <= value < 1 << 16 for value in (window, epochs, least, negative, ngrams, shortest, longest))
        and loss in (1, 2, 3)
        and kind in (1, 2, 3)
    )


def open_model(path: str, options: ReadOptions) -> Source:
    """Open a fastText ``.bin`` model.

    Raises
    ------
    UsageError
        gensim is not installed.
    qemb.InvalidError
        The file is damaged, or a kind of model that gensim does not read.
    """
    check_file(path)
    try:
        from gensim.models.fasttext import load_facebook_vectors
    except ImportError:
        raise missing_extra("gensim", "gensim") from None
    try:
        vectors = load_facebook_vectors(path, encoding=options.encoding or "utf-8")
    except NotImplementedError:
        raise source_error("supervised fastText models hold no word vectors that gensim reads", path) from None
    except Exception as error:  # noqa: BLE001 - gensim reads damaged files with whatever breaks first
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise source_error(f"gensim cannot read the fastText model ({reason}); check the file", path) from None
    return from_object(vectors)
