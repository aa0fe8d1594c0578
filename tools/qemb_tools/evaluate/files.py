"""All tasks on files side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import qemb
from qemb_tools.evaluate.analogies import Analogies, read_analogies, score_analogies
from qemb_tools.evaluate.classify import Classified, classify, require_sklearn
from qemb_tools.evaluate.intervals import Paired
from qemb_tools.evaluate.outliers import Outliers, read_clusters, score_clusters
from qemb_tools.evaluate.similarity import Similarity, read_pairs, score_pairs
from qemb_tools.evaluate.table import RESTRICT, as_qemb, open_table
from qemb_tools.evaluate.texts import read_sets
from qemb_tools.interface import UsageError
from qemb_tools.progress import progress
from qemb_tools.stream import is_pipe, size_of

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True)
class Evaluation:
    """What a file got; None for what was not asked.

    Attributes
    ----------
    file : str
        Its path.
    size, rows, dim : int
        Bytes of the file as it is, words, and values in a vector.
    similarity : list of Similarity
        By set.
    analogies, outliers : Analogies, Outliers or None
        As named.
    classified : dict
        By set, as it was named.
    """

    file: str
    size: int
    rows: int
    dim: int
    similarity: list[Similarity] = field(default_factory=list)
    analogies: Analogies | None = None
    outliers: Outliers | None = None
    classified: dict[str, Classified] = field(default_factory=dict)

    def paired(self, reference: Evaluation, name: str) -> Paired:
        """Classification by this file beside that by another, on the same texts."""
        return Paired.of(reference.classified[name].right, self.classified[name].right)

    def to_dict(self, reference: Evaluation) -> dict[str, Any]:
        """Everything, JSON-able; accuracies also as differences from those of another file."""
        found: dict[str, Any] = {"file": self.file, "size": self.size, "rows": self.rows, "dim": self.dim}
        if self.similarity:
            found["similarity"] = [asdict(score) for score in self.similarity]
        if self.analogies is not None:
            sections = [asdict(each) | {"accuracy": each.accuracy} for each in self.analogies.sections]
            total = self.analogies.total
            found["analogies"] = asdict(total) | {"accuracy": total.accuracy, "sections": sections,
                                                  "missing": self.analogies.missing}  # fmt: skip
        if self.outliers is not None:
            found["outliers"] = asdict(self.outliers)
        if self.classified:
            found["classify"] = [self._classified(name, reference) for name in self.classified]
        return found

    def _classified(self, name: str, reference: Evaluation) -> dict[str, Any]:
        result, paired = self.classified[name], self.paired(reference, name)
        return {
            "set": name,
            "tested": len(result.right),
            "accuracy": result.accuracy,
            "wilson_95": list(result.interval),
            "vectorize_seconds": result.seconds,
            "texts": result.texts,
            "gained": paired.gained,
            "lost": paired.lost,
            "difference": paired.difference,
            "difference_95": list(paired.interval),
            "mcnemar_p": paired.p,
        }


def evaluate(
    files: Sequence[str],
    *,
    similarity: Sequence[str] = (),
    analogies: str | None = None,
    outliers: str | None = None,
    texts: Sequence[str] = (),
    restrict: int | None = RESTRICT,
    fold: bool = True,
    whitespace: bool = False,
    seed: int = 0,
    show_progress: bool = False,
) -> list[Evaluation]:
    """Evaluate files of vectors, of any formats, side by side.

    Parameters
    ----------
    files : sequence of str
        The files. What is no ``.qemb`` file is copied into one, in float32, for as long as it is needed.
    similarity : sequence of str
        Files of word pairs.
    analogies, outliers : str, optional
        A file of analogies; a file of a cluster with outliers, or a folder of such.
    texts : sequence of str
        Labelled texts, ``TRAIN`` or ``TRAIN,TEST``, as `qemb_tools.evaluate.texts.read_sets` reads them.
    restrict : int or None
        Only so many words of a file are looked at in pairs, analogies and outliers.
    fold : bool
        Whether upper and lower case are the same in those.
    whitespace : bool
        Whether texts are cut at spaces only, for those that are in tokens already; and put into lower case.
    seed : int
        Of the split where only TRAIN is given.
    show_progress : bool
        Whether a bar may be shown.

    Raises
    ------
    UsageError
        Nothing is asked, a file does not exist, or scikit-learn is needed and not installed.
    qemb.QembError
        A file or a set is bad.
    """
    if not (similarity or analogies or outliers or texts):
        raise UsageError("name what to evaluate on: --similarity, --analogies, --outliers or --classify")
    if texts:
        require_sklearn()
    pairs = [read_pairs(path) for path in similarity]
    sections = read_analogies(analogies) if analogies is not None else None
    clusters = read_clusters(outliers) if outliers is not None else None
    labelled = {name: read_sets(name, seed=seed) for name in texts}
    words = split_at_spaces if whitespace else None
    evaluations = []
    with progress(len(files) * (len(labelled) + 1), "evaluating", unit=" tasks", wanted=show_progress) as bar:
        for path in files:
            with as_qemb(path) as copy:
                with qemb.open(copy) as embedding:
                    result = Evaluation(path, size_of(copy if is_pipe(path) else path), len(embedding), embedding.dim)
                if pairs or sections or clusters:
                    with open_table(copy, restrict=restrict, fold=fold) as table:
                        result.similarity = [score_pairs(table, each) for each in pairs]
                        result.analogies = score_analogies(table, sections) if sections else None
                        result.outliers = score_clusters(table, clusters) if clusters else None
                bar.update(1)
                for name, (train, test) in labelled.items():
                    result.classified[name] = classify(copy, train, test, words=words)
                    bar.update(1)
            evaluations.append(result)
    return evaluations


def split_at_spaces(text: str) -> list[str]:
    """The words of a text that is in tokens already, in lower case."""
    return text.lower().split()
