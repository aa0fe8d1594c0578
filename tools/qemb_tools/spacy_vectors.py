"""spaCy's word vectors: a model's folder, or its ``vocab`` folder, read without spaCy.

``vectors`` is a numpy matrix and ``key2row`` a msgpack map of keys to rows. The words of the keys are in
``strings.json``: a key is the MurmurHash64A of the word's UTF-8 with seed 1, or the number of a symbol of spaCy's that
is called the same. Several words may share a row (pruned vectors); each is given its own. Words come in the order of
rows.
"""

from __future__ import annotations

import json
import struct
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from qemb_tools.interface import ReadOptions, Source, UsageError, source_error
from qemb_tools.matrix import MatrixSource, RowView
from qemb_tools.npy import map_array
from qemb_tools.stream import check_growth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_SEED: Final = 1
_MULTIPLIER: Final = np.uint64(0xC6A4A7935BD1E995)
_SHIFT: Final = np.uint64(47)
# what spaCy numbers instead of hashing it, words as "number" and "mark" among it, by the first number of each run
_SYMBOLS: Final = {
    64: "ID ORTH LOWER NORM SHAPE PREFIX SUFFIX LENGTH CLUSTER LEMMA POS TAG DEP ENT_IOB ENT_TYPE HEAD "
    "SENT_START SPACY PROB LANG ADJ ADP ADV AUX CONJ CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ "
    "SYM VERB X EOL SPACE",
    380: "PERSON NORP FACILITY ORG GPE LOC PRODUCT EVENT WORK_OF_ART LANGUAGE LAW DATE TIME PERCENT MONEY "
    "QUANTITY ORDINAL CARDINAL acomp advcl advmod agent amod appos attr aux auxpass cc ccomp complm conj "
    "cop csubj csubjpass dep det dobj expl hmod hyph infmod intj iobj mark meta neg nmod nn npadvmod "
    "nsubj nsubjpass num number oprd obj obl parataxis partmod pcomp pobj poss possessive preconj prep "
    "prt punct quantmod relcl rcmod root xcomp acl ENT_KB_ID MORPH ENT_ID IDX _",
}
LONGEST_WORD: Final = 1 << 12
"""Bytes; longer strings are texts, and take long to be hashed."""
_INTEGERS: Final = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}


def sniff(head: bytes, path: str) -> bool:  # noqa: ARG001 - every format's sniff takes both
    """Whether this is the folder of a spaCy model, or the ``vocab`` in it."""
    return any((folder / "vectors").is_file() and (folder / "strings.json").is_file() for folder in _folders(path))


def _folders(path: str) -> tuple[Path, Path]:
    return Path(path) / "vocab", Path(path)


def open_vectors(path: str, options: ReadOptions) -> Source:  # noqa: ARG001 - no option applies
    """Open the vectors of a spaCy model.

    Raises
    ------
    UsageError
        There is no such folder.
    qemb.InvalidError
        A file in it is damaged, or the vectors have no words (floret).
    """
    if not sniff(b"", path):
        raise UsageError(
            f"{path} is no folder of a spaCy model: it has no vocab/vectors with strings.json; check the name"
        )
    folder = next(folder for folder in _folders(path) if (folder / "vectors").is_file())
    if _mode(folder) == "floret":
        raise source_error(
            "floret's vectors are those of hashed n-grams, without words; nothing to convert", str(folder)
        )
    rows = _unpack(folder / "key2row")
    table = map_array(str(folder / "vectors"))
    if table.ndim != 2:
        raise source_error(
            f"the array has {table.ndim} dimensions; rows and columns are wanted", str(folder / "vectors")
        )
    words = [word for word in _strings(folder / "strings.json") if len(word) <= LONGEST_WORD]
    keys = dict(zip(hash_strings(words).tolist(), words, strict=True)) | _symbols()
    named = [(rows[key], word) for key, word in keys.items() if key in rows]
    named.sort(key=lambda pair: pair[0])
    if named and not 0 <= named[0][0] <= named[-1][0] < len(table):
        raise source_error(f"key2row names rows that are not among {len(table):,}; fetch it again", str(folder))
    order = np.array([row for row, _ in named], np.intp)
    stored = sum((folder / name).stat().st_size for name in ("vectors", "key2row", "strings.json"))
    check_growth(len(order) * table.shape[1] * table.dtype.itemsize, stored, str(folder))
    view = RowView((len(order), table.shape[1]), table.dtype, lambda part: table[order[part]])
    source = MatrixSource([word for _, word in named], view, str(folder))
    left = len(rows) - len(named)
    if left:
        source.notes.append(f"words left out whose spelling is not in strings.json: {left:,}")
    return source


def _symbols() -> dict[int, bytes]:
    runs = [enumerate(names.split(), first) for first, names in _SYMBOLS.items()]
    return {number: name.encode() for run in runs for number, name in run}


def hash_strings(strings: list[bytes]) -> NDArray[np.uint64]:
    """Hash strings as spaCy's StringStore does: MurmurHash64A, seed 1; 0 for the empty string.

    Austin Appleby's function, all strings of a length at once.
    """
    hashes = np.zeros(len(strings), np.uint64)
    by_length = sorted(range(len(strings)), key=lambda i: len(strings[i]))
    for size, group in groupby(by_length, key=lambda i: len(strings[i])):
        places = np.fromiter(group, np.intp)
        if size:
            data = np.frombuffer(b"".join(strings[i] for i in places), np.uint8).reshape(-1, size)
            hashes[places] = _murmur(data)
    return hashes


def _murmur(data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """MurmurHash64A of rows of bytes; its arithmetic is modulo 2^64."""
    count, size = data.shape
    padded = np.zeros((count, -(-size // 8) * 8), np.uint8)
    padded[:, :size] = data
    words = padded.view("<u8").astype(np.uint64)
    start = np.full(1, size, np.uint64) * _MULTIPLIER ^ np.uint64(_SEED)
    hashes = np.repeat(start, count)
    whole = size // 8
    for i in range(whole):
        word = words[:, i] * _MULTIPLIER
        word = (word ^ (word >> _SHIFT)) * _MULTIPLIER
        hashes = (hashes ^ word) * _MULTIPLIER
    if size % 8:
        hashes = (hashes ^ words[:, whole]) * _MULTIPLIER
    hashes = (hashes ^ (hashes >> _SHIFT)) * _MULTIPLIER
    mixed: NDArray[np.uint64] = hashes ^ (hashes >> _SHIFT)
    return mixed


def _mode(folder: Path) -> str:
    """What ``vectors.cfg`` says; older models have none."""
    try:
        settings = json.loads((folder / "vectors.cfg").read_bytes())
    except FileNotFoundError:
        return ""
    except (ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        raise source_error("vectors.cfg is not JSON; fetch it again", str(folder))
    return str(settings.get("mode", ""))


def _strings(path: Path) -> list[bytes]:
    try:
        return [word.encode("utf-8", "surrogatepass") for word in dict.fromkeys(json.loads(path.read_bytes()))]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        raise source_error("strings.json is not a list of strings; fetch it again", str(path)) from None


def _unpack(path: Path) -> dict[int, int]:
    """The map of integers to integers that msgpack packed."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise source_error(f"key2row cannot be read ({error.strerror}); keep the folder together", str(path)) from None
    try:
        count, start = (data[0] & 0x0F, 1) if 0x80 <= data[0] < 0x90 else _length(data)
        numbers = list(_integers(data, start))
    except (ValueError, IndexError, struct.error):
        count, numbers = -1, []
    if len(numbers) != 2 * count:
        raise source_error("key2row is not a map of hashes to rows, or is cut short; fetch it again", str(path))
    return dict(zip(numbers[::2], numbers[1::2], strict=True))


def _length(data: bytes) -> tuple[int, int]:
    kind = {0xDE: ">H", 0xDF: ">I"}.get(data[0])
    if kind is None:
        raise ValueError("not a map")
    return int(struct.unpack_from(kind, data, 1)[0]), 1 + struct.calcsize(kind)


def _integers(data: bytes, at: int) -> Iterator[int]:
    """Yield the integers that follow; ValueError at anything else."""
    readers = {mark: struct.Struct(kind) for mark, kind in _INTEGERS.items()}
    while at < len(data):
        mark = data[at]
        at += 1
        if mark < 0x80:
            yield mark
        else:
            reader = readers.get(mark)
            if reader is None:
                raise ValueError("not an integer")
            yield reader.unpack_from(data, at)[0]
            at += reader.size
