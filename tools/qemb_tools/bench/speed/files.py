"""The same table in every kind of file that is measured, each made once a run; how each gives one vector."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

import qemb
from qemb_tools.bench.data import MissingTableError, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from qemb_tools.bench.data import Places, Table
    from qemb_tools.bench.report import Report

WORDS = "words.txt"
_ROW_GROUP = 10_000


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes
    ----------
    title : str
        What it is called in the report.
    make : callable
        ``make(table, path)`` writes it, beside ``path`` too where it has to.
    imports, one : str
        Python that imports what reading needs, and an expression for the vector of ``word`` in ``path``.
    package : str
        What has to be installed.
    """

    title: str
    make: Callable[[Table, Path], None]
    imports: str = ""
    one: str = ""
    package: str = ""


@dataclass
class Workspace:
    """A folder of files made as they are asked for, each in a folder of its own, which leaves the cache whole."""

    folder: Path
    places: Places
    only: Sequence[str] = ()
    """Parts of names of sides that are to be measured; none means all."""
    tables: Sequence[str] = ()
    """Tables that are to be measured, of those that a part has; none means all."""
    rounds: int | None = None
    """Turns of each side, where not as many as each part has by itself."""
    _read: dict[str, Table] = field(default_factory=dict)

    def table(self, name: str) -> Table:
        """A table with unique tokens; ``wide`` has 300 columns, rows of the main table joined.

        Raises
        ------
        MissingTableError
            It is not there.
        """
        if name not in self._read:
            table = joined(self.table(self.main)) if name == "wide" else self.places.table(name)
            first = {token: row for row, token in reversed(list(enumerate(table.tokens)))}
            if len(first) < len(table.tokens):
                table = replace(table, tokens=list(first), vectors=table.vectors[list(first.values())])
            self._read[name] = table
        return self._read[name]

    def chosen(self, names: Sequence[str], report: Report) -> list[str]:
        """Those of a part's tables that are to be measured and are there; the others get a line in the report."""
        found = []
        for name in names:
            if self.tables and name not in self.tables:
                continue
            try:
                self.table(name)
            except MissingTableError as missing:
                report.note(f"- {missing}")
                continue
            found.append(name)
        return found

    @property
    def main(self) -> str:
        """GloVe's 341,479 words where the command names the file, otherwise GloVe 6B, which a package carries."""
        return "glove6b" if self.places.glove is None else "glove"

    def wants(self, side: str, package: str, report: Report) -> bool:
        """Whether a side is to be measured; where a package is missing, the report gets a line."""
        if self.only and not any(part in side for part in self.only):
            return False
        if package and find_spec(package) is None:
            report.note(f'- {side}: not run without {package}; pip install "qemb-format[bench]"')
            return False
        return True

    def turns(self, rounds: int) -> int:
        """Turns of each side, ``rounds`` unless the command says otherwise."""
        return self.rounds or rounds

    def text(self) -> Path:
        """The main table as GloVe text: the file that the command names, or one made of the table."""
        if self.places.glove is None:
            return self.file(self.main, "text")
        link = self.folder / "text" / "glove.txt"
        if not link.parent.exists():
            link.parent.mkdir()
            try:
                link.symlink_to(self.places.glove_text().resolve())
            except OSError:  # Windows lets few users make them
                shutil.copyfile(self.places.glove_text(), link)
        return link

    def file(self, table: str, kind: str) -> Path:
        """The file of a table, made when it is first asked for."""
        path = self.folder / table / kind / f"table.{_ENDINGS.get(kind, kind)}"
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
            KINDS[kind].make(self.table(table), path)
        return path


def _qemb(table: Table, path: Path, **options: Any) -> None:  # noqa: ANN401
    qemb.write(path, table.tokens, table.vectors, **options)


def _npy(table: Table, path: Path) -> None:
    np.save(path, table.vectors)
    _words(table, path)


def _text(table: Table, path: Path) -> None:
    form = b" ".join([b"%s"] + [b"%.5g"] * table.vectors.shape[1]) + b"\n"
    with path.open("wb") as file:
        file.writelines(form % (token, *row.tolist()) for token, row in zip(table.tokens, table.vectors, strict=True))


def _words(table: Table, path: Path) -> None:
    (path.parent / WORDS).write_bytes(b"\n".join(table.tokens))


def _keyed(table: Table) -> Any:  # noqa: ANN401 - gensim's
    from gensim.models import KeyedVectors

    keyed = KeyedVectors(table.vectors.shape[1])
    keyed.add_vectors([token.decode() for token in table.tokens], table.vectors)
    return keyed


def _native(table: Table, path: Path) -> None:
    _keyed(table).save(str(path), separately=["vectors"])


def _word2vec(table: Table, path: Path) -> None:
    _keyed(table).save_word2vec_format(str(path), binary=True)


def _safetensors(table: Table, path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"vectors": table.vectors}, path)
    _words(table, path)


def _hdf5(table: Table, path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["vectors"] = table.vectors
        file["words"] = np.frombuffer(b"\n".join(table.tokens), np.uint8)


def _parquet(table: Table, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    vectors = pa.FixedSizeListArray.from_arrays(table.vectors.reshape(-1), table.vectors.shape[1])
    words = pa.array([token.decode() for token in table.tokens])
    parquet.write_table(pa.table({"word": words, "vector": vectors}), path, row_group_size=_ROW_GROUP)


def _sqlite(table: Table, path: Path) -> None:
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE vectors (word TEXT PRIMARY KEY, vector BLOB)")
        rows = ((token.decode(), row.tobytes()) for token, row in zip(table.tokens, table.vectors, strict=True))
        base.executemany("INSERT INTO vectors VALUES (?, ?)", rows)
    base.close()


_LIST = f"open(os.path.join(os.path.dirname(path), '{WORDS}'), 'rb').read().split(b'\\n').index(word.encode())"
_OPEN = "qemb.open(path)[word]"
_PARQUET_ONE = f"""
(lambda file: (lambda row: file.read_row_group(row // {_ROW_GROUP}, ["vector"])["vector"][row % {_ROW_GROUP}].as_py())(
    file.read(["word"])["word"].index(word).as_py()))(parquet.ParquetFile(path, memory_map=True))
""".strip()

KINDS: dict[str, Kind] = {
    "8": Kind("qemb, 8 bits", partial(_qemb, bits=8), "import qemb", _OPEN),
    "4": Kind("qemb, 4 bits", partial(_qemb, bits=4), "import qemb", _OPEN),
    "4c": Kind("qemb, 4 bits, codebook", partial(_qemb, bits=4, effort=0), "import qemb", _OPEN),
    "exact": Kind("qemb, exact", partial(_qemb, scheme="exact"), "import qemb", _OPEN),
    "native": Kind(
        "gensim, native, mmap", _native, "from gensim.models import KeyedVectors",
        "KeyedVectors.load(path, mmap='r')[word]", "gensim",
    ),
    "word2vec": Kind(
        "gensim, word2vec .bin", _word2vec, "from gensim.models import KeyedVectors",
        "KeyedVectors.load_word2vec_format(path, binary=True)[word]", "gensim",
    ),
    "text": Kind("GloVe text", _text),
    "npy": Kind(".npy, mapped, and words", _npy, "import os, numpy", f"numpy.load(path, mmap_mode='r')[{_LIST}]"),
    "safetensors": Kind(
        "safetensors and words", _safetensors, "import os\nfrom safetensors import safe_open",
        f"safe_open(path, 'numpy').get_slice('vectors')[{_LIST}]", "safetensors",
    ),
    "hdf5": Kind(
        "HDF5", _hdf5, "import h5py",
        "(lambda f: f['vectors'][f['words'][:].tobytes().split(b'\\n').index(word.encode())])(h5py.File(path))", "h5py",
    ),
    "parquet": Kind("Parquet", _parquet, "from pyarrow import parquet", _PARQUET_ONE, "pyarrow"),
    "sqlite": Kind(
        "SQLite", _sqlite, "import sqlite3, numpy",
        "numpy.frombuffer(sqlite3.connect(path).execute("
        "'SELECT vector FROM vectors WHERE word = ?', (word,)).fetchone()[0], numpy.float32)",
    ),
}  # fmt: skip
"""By name. Word lists are read in one piece and split, which is quicker than reading strings one by one."""
_ENDINGS = {
    "8": "qemb",
    "4": "qemb",
    "4c": "qemb",
    "exact": "qemb",
    "native": "kv",
    "word2vec": "bin",
    "hdf5": "h5",
    "text": "txt",
}
