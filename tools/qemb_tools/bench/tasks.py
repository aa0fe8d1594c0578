"""What quantizing costs where vectors are used: word similarity and sentiment, at every width beside float32."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from qemb_tools.bench import recall
from qemb_tools.bench.data import MissingTableError
from qemb_tools.bench.methods import Method, NotAvailableError, Stored, qemb_methods

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from qemb_tools.bench.data import Places
    from qemb_tools.bench.report import Report, Row

TABLES = ("glove", "glove6b")
SIMILARITY = {"MEN": "EN-MEN-TR-3k.txt", "WordSim-353": "EN-WS-353-ALL.txt", "SimLex": "EN-SIMLEX-999.txt"}
_COLUMNS = [
    ("method", "method", ""),
    ("bits_a_value", "bits a value", ".2f"),
    *((name, f"{name}, Spearman", ".3f") for name in SIMILARITY),
    ("SST-2", "SST-2, accuracy", ".3f"),
]


@dataclass(frozen=True)
class Similarity:
    """Pairs of words that are in the table, and what people say of them."""

    pairs: NDArray[np.int64]
    scores: NDArray[np.float64]

    def spearman(self, vectors: NDArray[np.float32]) -> float:
        """Rank correlation between cosines and scores."""
        from scipy.stats import spearmanr

        first, second = (recall.unit(vectors[self.pairs[:, side]]) for side in (0, 1))
        return float(spearmanr(np.einsum("ij,ij->i", first, second, dtype=np.float64), self.scores)[0])


@dataclass(frozen=True)
class Sentiment:
    """Sentences as rows of a table, and whether they are positive."""

    sentences: list[list[int]]
    labels: NDArray[np.int64]

    def means(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """The mean vector of each sentence's words; zeros where none is in the table."""
        zero = np.zeros(vectors.shape[1])
        return np.stack([vectors[words].mean(axis=0, dtype=np.float64) if words else zero for words in self.sentences])


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
    missing = [name for name in ("scipy", "sklearn") if find_spec(name) is None]
    if missing:
        report.note(f'- tasks: not run without {" and ".join(missing)}; pip install "qemb-format[bench]"')
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
        rows = {token: row for row, token in reversed(list(enumerate(table.tokens)))}
        similarity = {title: _read_pairs(folder / "similarity" / file, rows) for title, file in SIMILARITY.items()}
        train, test = (_read_sentences(folder / "sst2" / f"{part}.tsv", rows) for part in ("train", "test"))
        covered = ", ".join(f"{title} {len(s.scores):,}" for title, s in similarity.items())
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
            row |= {title: pairs.spearman(stored.decoded) for title, pairs in similarity.items()}
            row["SST-2"] = _accuracy(stored.decoded, train, test)
            found.append(row)
        report.table("tasks", _COLUMNS, found)


_FLOAT32 = Method("float32", 32, lambda vectors: Stored(32.0, 0.0, vectors))


def _read_pairs(path: Path, rows: dict[bytes, int]) -> Similarity:
    pairs, scores = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        first, second, score = line.split()
        places = [rows.get(word.lower().encode(), -1) for word in (first, second)]
        if min(places) >= 0:
            pairs.append(places)
            scores.append(float(score))
    return Similarity(np.array(pairs, np.int64).reshape(-1, 2), np.array(scores))


def _read_sentences(path: Path, rows: dict[bytes, int]) -> Sentiment:
    sentences, labels = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        text, _, label = line.rpartition("\t")
        sentences.append([rows[word] for word in text.lower().encode().split() if word in rows])
        labels.append(int(label))
    return Sentiment(sentences, np.array(labels, np.int64))


def _accuracy(vectors: NDArray[np.float32], train: Sentiment, test: Sentiment) -> float:
    """Accuracy of a logistic regression over mean vectors, each dimension at unit variance."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(train.means(vectors), train.labels)
    return float(model.score(test.means(vectors), test.labels))
