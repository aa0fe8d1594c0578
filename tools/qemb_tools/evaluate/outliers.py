"""Outlier detection (Camacho-Collados and Navigli, 2016): which word does not belong to the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qemb_tools.evaluate.sets import numbered_lines, unit
from qemb_tools.interface import UsageError, source_error
from qemb_tools.stream import plain_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from qemb_tools.evaluate.table import Table


@dataclass(frozen=True, slots=True)
class Cluster:
    """Words that belong together, and others, each of which does not."""

    name: str
    members: list[str]
    outliers: list[str]


@dataclass(frozen=True, slots=True)
class Outliers:
    """What a table says of clusters.

    Attributes
    ----------
    accuracy : float or None
        Share of the questions in which the outlier was detected; None where none could be asked.
    opp : float or None
        Outlier position percentage, as a share: how far back the outlier stood, 1 for last, in the mean.
    found, questions : int
        Questions that could be asked, of one for each outlier.
    missing : list of str
        Words that are not in the table; members are left out of their cluster, of which two have to remain.
    """

    accuracy: float | None
    opp: float | None
    found: int
    questions: int
    missing: list[str]


def read_clusters(path: str) -> list[Cluster]:
    """Read a file in the format of the 8-8-8 set: members, one a line, an empty line, outliers; or a folder of such.

    Raises
    ------
    qemb.InvalidError
        A file has not two parts.
    UsageError
        There is no such file, or none in the folder.
    """
    if not Path(path).is_dir():
        return [_read_cluster(path)]
    files = sorted(str(file) for file in Path(path).iterdir() if file.is_file() and not file.name.startswith("."))
    if not files:
        raise UsageError(f"{path} has no files; a folder with a file for each cluster is expected")
    return [_read_cluster(file) for file in files]


def _read_cluster(path: str) -> Cluster:
    parts: list[list[str]] = [[]]
    last = 0
    for number, line in numbered_lines(path):
        if parts[-1] and number > last + 1:
            parts.append([])
        parts[-1].append(line.strip())
        last = number
    if len(parts) != 2 or len(parts[0]) < 2:
        sizes = " and ".join(str(len(part)) for part in parts)
        raise source_error(f"two words or more, an empty line and outliers are expected; there are {sizes} lines", path)
    return Cluster(Path(plain_name(path)).stem, *parts)


def score_clusters(table: Table, clusters: Sequence[Cluster]) -> Outliers:
    """Score a table: equations 1 to 3 of the paper.

    The compactness of a cluster with the outlier, a word left out, is the mean cosine of the pairs that remain; so the
    word whose cosines with all others have the smallest sum is the outlier. Its position counts the words that are
    strictly more at home, so that a tie is not in its favour.
    """
    positions: list[float] = []
    missing: dict[str, None] = {}
    for cluster in clusters:
        vectors = {word: phrase_vector(table, word) for word in [*cluster.members, *cluster.outliers]}
        missing |= dict.fromkeys(word for word, vector in vectors.items() if vector is None)
        members = [vector for word in cluster.members if (vector := vectors[word]) is not None]
        if len(members) < 2:
            continue
        for word in cluster.outliers:
            if (outlier := vectors[word]) is not None:
                cosines = (rows := np.stack([*members, outlier])) @ rows.T
                np.fill_diagonal(cosines, 0)
                sums = cosines.sum(axis=1)
                positions.append(float((sums[:-1] > sums[-1]).mean()))
    questions = sum(len(cluster.outliers) for cluster in clusters)
    if not positions:
        return Outliers(None, None, 0, questions, list(missing))
    detected = sum(position == 1 for position in positions)
    found = len(positions)
    return Outliers(detected / found, sum(positions) / found, found, questions, list(missing))


def phrase_vector(table: Table, phrase: str) -> NDArray[np.float64] | None:
    """Unit vector of a word; of a phrase that is no word, with ``_`` or spaces, that of the mean of its words."""
    for words in ([phrase], [phrase.replace("_", " ")], [phrase.replace(" ", "_")], phrase.replace("_", " ").split()):
        rows = [table.words.row(word) for word in words]
        if rows and min(rows) >= 0:
            return unit(unit(table.take(np.array(rows))).mean(axis=0))
    return None
