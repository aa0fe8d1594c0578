"""What is in an HDF5 file: tables by the layouts of the libraries that write them.

- **qemb-hdf5**: this project's own, as ``hdf5.py`` documents it.
- **pandas**: a frame that ``DataFrame.to_hdf`` (PyTables) wrote, such as Numberbatch's ``mat``. Fixed: a group with
  ``block0_values`` and the index in ``axis1``. Table: records with ``values_block_0`` and ``index``.
- **Keras**: the weights of `Embedding` layers. ``.weights.h5`` has ``.../NAME/vars/0``; the older ``.h5`` has
  ``.../NAME/embeddings`` or ``embeddings:0``.
- **ann-benchmarks**: ``train``, whose rows have no words and are called by their numbers.
- **PyTorch-BigGraph**: ``embeddings`` in ``embeddings_TYPE_PART.vN.h5``, names in ``entity_names_TYPE_PART.json``.
- **matrix**: any dataset with rows and columns. A dataset of as many strings holds its words, where there is only one,
  or only one in the same group.
"""

# ruff: noqa: ANN401 - h5py has no types
from __future__ import annotations

import codecs
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import qemb
from qemb_tools.interface import Found, UsageError, missing_extra, some_of, source_error
from qemb_tools.stream import ZIP_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

OURS: Final = "qemb-hdf5"
MATRIX: Final = "matrix"
_ERRORS: Final = (*ZIP_ERRORS, TypeError, AttributeError, ArithmeticError, MemoryError, RecursionError)
_MOST_LINKS: Final = 64
_PARTITION: Final = re.compile(r"embeddings_(.+)_(\d+)\.v\d+\.h5")


def import_h5py() -> Any:
    """Return h5py. Raises `UsageError` where it is not installed."""
    try:
        import h5py
    except ImportError:
        raise missing_extra("h5py", "hdf5") from None
    return h5py


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Put what h5py raises on a damaged file into one line."""
    try:
        yield
    except qemb.QembError:
        raise
    except _ERRORS as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise source_error(f"HDF5 cannot read the file ({reason}); check that it is whole", where) from None


class Part:
    """A dataset, or a field of a dataset of records, read in slices.

    Attributes
    ----------
    name : str
        Path of the dataset.
    shape : tuple of int
        Of all rows.
    dtype : numpy.dtype
        Of one value.
    """

    def __init__(self, dataset: Any, field: str | None = None) -> None:
        if dataset.is_virtual or dataset.external:
            raise ValueError(f"the data of {dataset.name} are in other files, which are not read")
        dtype = dataset.dtype if field is None else dataset.dtype[field]
        self.name = str(dataset.name)
        self.dtype: np.dtype[Any] = dtype.base
        self.shape: tuple[int, ...] = tuple(dataset.shape or ()) + dtype.shape
        self._dataset = dataset
        self._field = field

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Any:
        with reading(f"{self._dataset.file.filename}, {self.name}"):
            return self._dataset[rows] if self._field is None else self._dataset[self._field, rows]

    @property
    def is_matrix(self) -> bool:
        """Whether it has rows and columns of numbers."""
        return len(self.shape) == 2 and self.dtype.kind in "fiu"

    @property
    def is_list_of_strings(self) -> bool:
        """Whether it could be words."""
        return len(self.shape) == 1 and import_h5py().check_string_dtype(self.dtype) is not None


@dataclass(frozen=True)
class Table:
    """A matrix, and where its words are.

    Attributes
    ----------
    name : str
        What ``--dataset`` calls it.
    layout : str
        Who writes such tables.
    vectors : Part
        Shape (rows, dim).
    words : Part or Path or None
        A dataset of strings, a file of names, or None: the file has no words.
    numbered : bool
        Rows are called by their numbers, where no words are named.
    encoding : str or None
        Encoding of the words, where the file says that it is not UTF-8.
    problem : str
        Why it cannot be converted, and what helps; "" where it can.
    """

    name: str
    layout: str
    vectors: Part
    words: Part | Path | None = None
    numbered: bool = False
    encoding: str | None = None
    problem: str = ""

    def found(self) -> Found:
        """What ``qemb info`` says of it."""
        rows, dim = self.vectors.shape
        words = "their numbers" if self.numbered else ""
        if self.words is not None and not (isinstance(self.words, Path) and not self.words.exists()):
            words = self.words.name
        return Found(self.name, self.layout, rows, dim, str(self.vectors.dtype), words, self.problem)


def member(group: Any, path: str) -> Any:
    """What a group has under a path. Links to other files are not followed: ValueError."""
    h5py = import_h5py()
    for _ in range(_MOST_LINKS):
        name, _, rest = path.strip("/").partition("/")
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(f"{name} is in another file, which is not read")  # noqa: TRY004 - not a type of ours
        if isinstance(link, h5py.SoftLink):
            target = f"{link.path}/{rest}"
            group, path = (group.file, target) if target.startswith("/") else (group, target)
            continue
        group, path = group[name], rest
        if not path.strip("/"):
            return group
    raise ValueError(f"{path} leads too far")


def find_tables(file: Any, path: str) -> list[Table]:
    """List the tables of an open file, those of a layout that is known first."""
    h5py = import_h5py()
    items: list[tuple[str, Any]] = []
    file.visititems(lambda name, item: items.append((name, item)))
    frames = [(name, item) for name, item in items if isinstance(item, h5py.Group) and "pandas_type" in item.attrs]
    known = [table for name, group in frames if (table := _pandas(name, group)) is not None]
    matrices, strings = [], []
    for name, item in items:
        if isinstance(item, h5py.Dataset) and not any(name.startswith(f"{frame}/") for frame, _ in frames):
            with suppress(TypeError):  # a type that numpy has not is no table
                part = Part(item)
                if part.is_matrix:
                    matrices.append(part)
                elif part.is_list_of_strings:
                    strings.append(part)
    plain = []
    for part in matrices:
        table = _ours(file, part) or _keras(file, part) or _ann_benchmarks(file, part) or _biggraph(file, part, path)
        if table is not None:
            known.append(table)
        else:
            plain.append(Table(part.name, MATRIX, part, _words_of(part, strings)))
    return known + plain


def choose(file: Any, path: str, name: str | None) -> Table:
    """The table that is meant. Raises `UsageError` where it has to be named, or is not there."""
    tables = find_tables(file, path)
    if name is not None:
        table = next((t for t in tables if t.name.strip("/") == name.strip("/")), None)
        if table is None:
            table = Table(name, MATRIX, dataset(file, path, name, [t.name for t in tables]))
    else:
        known = [t for t in tables if t.layout != MATRIX] or tables
        if len(known) != 1:
            names = some_of([t.name for t in known]) or "nothing with rows and columns"
            raise UsageError(f"{path} holds {names}; name one: --dataset NAME (`qemb info` tells what they are)")
        table = known[0]
    if table.problem:
        raise source_error(table.problem, f"{path}, {table.name}")
    return table


def dataset(file: Any, path: str, name: str, others: list[str]) -> Part:
    """A dataset by its path. Raises `UsageError` where there is none; the message names others."""
    found = None
    with suppress(LookupError, AttributeError):
        found = member(file, name)
    if not isinstance(found, import_h5py().Dataset):
        raise UsageError(
            f"{path} has no dataset {name!r}; {some_of(others) or 'nothing with rows and columns'} is there"
        )
    return Part(found)


def text(value: Any) -> str:
    """An attribute as text; "" for what is none."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _ours(file: Any, part: Part) -> Table | None:
    if text(file.attrs.get("format")) != OURS or part.name != "/vectors" or "tokens" not in file:
        return None
    return Table(part.name, OURS, part, Part(member(file, "tokens")))


def _pandas(name: str, group: Any) -> Table | None:
    """Layouts of ``pandas.io.pytables``."""
    kind = text(group.attrs["pandas_type"])
    if kind == "frame":
        blocks = [Part(member(group, key)) for key in group if re.fullmatch(r"block\d+_values", key)]
        words = Part(member(group, "axis1"))
    elif kind in ("frame_table", "appendable_frame") and "table" in group:
        records = member(group, "table")
        fields = records.dtype.names or ()
        blocks = [Part(records, field) for field in fields if field.startswith("values_block_")]
        words = Part(records, "index")
    else:
        return None
    if not blocks or not blocks[0].is_matrix:
        return None
    problem = ""
    if len(blocks) > 1:
        problem = "the columns of the frame have several types; write it with one: frame.astype('float32').to_hdf(...)"
    index = words if words.is_list_of_strings else None
    return Table(f"/{name}", "pandas", blocks[0], index, encoding=_encoding(group), problem=problem)


def _encoding(group: Any) -> str | None:
    """The encoding of a frame's strings, where it is one that is known, and not UTF-8."""
    with suppress(LookupError, ValueError):
        name = codecs.lookup(text(group.attrs.get("encoding"))).name
        return None if name == "utf-8" else name
    return None


def _keras(file: Any, part: Part) -> Table | None:
    """Layouts of Keras 3 (``saving_lib``) and of all versions before (``legacy_h5_format``)."""
    *parents, name = part.name.strip("/").split("/")
    if not parents or parents[0] in ("optimizer", "optimizer_weights"):
        return None
    if name == "0" and parents[-1] == "vars":
        group = file["/" + "/".join(parents)]
        layer = "/".join(parents[-2:-1])
        if "embed" not in layer.lower() and "embed" not in text(group.attrs.get("name")).lower():
            return None
        problem = ""
        if part.dtype.kind != "f":
            problem = "Keras quantized these; save the weights before `quantize`"
        return Table(part.name, "Keras", part, problem=problem)
    if name in ("embeddings", "embeddings:0") and _has_weight_names(file, parents):
        return Table(part.name, "Keras", part)
    return None


def _has_weight_names(file: Any, parents: list[str]) -> bool:
    return any("weight_names" in file["/" + "/".join(parents[: i + 1])].attrs for i in range(len(parents)))


def _ann_benchmarks(file: Any, part: Part) -> Table | None:
    """The layout of its ``datasets.py``: train and test rows, and the neighbours of the latter."""
    if part.name != "/train" or not {"test", "neighbors"} <= set(file):
        return None
    return Table(part.name, "ann-benchmarks", part, numbered=True)


def _biggraph(file: Any, part: Part, path: str) -> Table | None:
    """The layout of its ``checkpoint_storage.py`` and ``graph_storages.py``."""
    if part.name != "/embeddings" or "format_version" not in file.attrs:
        return None
    match = _PARTITION.fullmatch(Path(path).name)
    names = None if match is None else Path(path).with_name(f"entity_names_{match[1]}_{match[2]}.json")
    return Table(part.name, "PyTorch-BigGraph", part, names)


def _words_of(part: Part, strings: list[Part]) -> Part | None:
    """The words of a matrix: the only strings that are as many, else the only ones in its group."""
    fitting = [s for s in strings if len(s) == len(part)]
    if len(fitting) > 1:
        group = part.name.rpartition("/")[0]
        fitting = [s for s in fitting if s.name.rpartition("/")[0] == group]
    return fitting[0] if len(fitting) == 1 else None
