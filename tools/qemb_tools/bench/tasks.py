"""What quantizing costs where vectors are used: word similarity and sentiment, at every width beside float32."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from qemb_tools.bench.data import MissingTableError
from qemb_tools.bench.methods import Method, NotAvailableError, Stored, qemb_methods
from qemb_tools.evaluate.classify import predict
from qemb_tools.evaluate.similarity import read_pairs, score_pairs
from qemb_tools.evaluate.table import Table as Rated
from qemb_tools.evaluate.table import Vocabulary
from qemb_tools.evaluate.texts import read_labelled
from qemb_tools.sentences import mean_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from qemb_tools.bench.data import Places
    from qemb_tools.bench.report import Report, Row
    from qemb_tools.evaluate.texts import Labelled

TABLES = ("glove", "glove6b")
SIMILARITY = {"MEN": "EN-MEN-TR-3k.txt", "WordSim-353": "EN-WS-353-ALL.txt", "SimLex": "EN-SIMLEX-999.txt"}
_COLUMNS = [
    ("method", "method", ""),
    ("bits_a_value", "bits a value", ".2f"),
    *((name, f"{name}, Spearman", ".3f") for name in SIMILARITY),
    ("SST-2", "SST-2, accuracy", ".3f"),
]


def run(
    places: Places,
    report: Report,
    *,
    folder: Path | None,
    tables: Sequence[str] = TABLES,
    widths: Sequence[int],
    only: Sequence[str] = (),
) -> None:
    """Print a line for float32 and for each method.

    Parameters
    ----------
    folder : Path or None
        Holds ``similarity/EN-*.txt`` (word, word, score) and ``sst2/train.tsv``, ``test.tsv`` (sentence, 0 or 1).
    tables, widths : sequences
        Which tables, and which numbers of bits a value.
    only : sequence of str
        Parts of names of methods; none means all.
    """
    if find_spec("sklearn") is None:
        report.note('- tasks: not run without scikit-learn; pip install "qemb-format[bench]"')
        return
    if folder is None or not (folder / "similarity").is_dir() or not (folder / "sst2").is_dir():
        report.note(
            "- tasks: name a folder with --eval DIR that holds similarity/ (the sets of mfaruqui/eval-word-vectors) "
            "and sst2/ (train.tsv, test.tsv: sentence, tab, 0 or 1)"
        )
        return
    for name in tables:
        try:
            table = places.table(name)
        except MissingTableError as reason:
            report.note(f"- {reason}")
            continue
        report.heading(table.describe())
        words = Vocabulary(token.decode(errors="surrogateescape") for token in table.tokens)
        pairs = {title: read_pairs(str(folder / "similarity" / file)) for title, file in SIMILARITY.items()}
        train, test = (read_labelled(str(folder / "sst2" / f"{part}.tsv")) for part in ("train", "test"))
        rows = [[list(_rows(words, text)) for text in part.texts] for part in (train, test)]
        plain = Rated(words, table.vectors.__getitem__)
        covered = ", ".join(f"{title} {score_pairs(plain, each).found:,}" for title, each in pairs.items())
        report.note(f"Pairs with both words in the table: {covered}. SST-2: {len(train.labels):,} train, "
                    f"{len(test.labels):,} test.\n")  # fmt: skip
        found: list[Row] = []
        for method in [_FLOAT32, *qemb_methods()]:
            if method is not _FLOAT32 and (
                method.bits not in widths or (only and not any(part in method.name for part in only))
            ):
                continue
            try:
                stored = method.store(table.vectors)
            except NotAvailableError as reason:
                report.note(f"- {method.name}, {method.bits} bits: {reason}")
                continue
            if stored.decoded is None:
                continue
            row: Row = {"table": name, "method": f"{method.name}, {method.bits} bits", "bits_a_value": stored.bits}
            rated = Rated(words, stored.decoded.__getitem__)
            row |= {title: score_pairs(rated, each).spearman for title, each in pairs.items()}
            row["SST-2"] = _accuracy(stored.decoded, train, test, rows)
            found.append(row)
        report.table("tasks", _COLUMNS, found)


_FLOAT32 = Method("float32", 32, lambda vectors: Stored(32.0, 0.0, vectors))


def _rows(words: Vocabulary, text: str) -> Iterator[int]:
    """Rows of the words of a text that are there; SST-2 is in tokens already."""
    return (row for word in text.split() if (row := words.row(word)) >= 0)


def _accuracy(vectors: NDArray[np.float32], train: Labelled, test: Labelled, rows: Sequence[list[list[int]]]) -> float:
    """Accuracy of a logistic regression over mean vectors; ``rows`` are those of each text's words."""
    means = [np.zeros((len(part), vectors.shape[1]), np.float32) for part in rows]
    for part, out in zip(rows, means, strict=True):
        mean_rows(vectors.__getitem__, part, out)
    found = predict(means[0], train.labels, means[1])
    return float((found == np.array(test.labels)).mean())
