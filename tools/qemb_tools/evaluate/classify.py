"""Classification of texts: mean vectors of their words, and a logistic regression over them."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from qemb_tools.evaluate.intervals import wilson
from qemb_tools.interface import missing_extra, source_error
from qemb_tools.sentences import SentenceEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from qemb_tools.evaluate.texts import Labelled
    from qemb_tools.sentences import Words

_ROUNDS = 1000


@dataclass(frozen=True, slots=True)
class Classified:
    """What was got right.

    Attributes
    ----------
    right : ndarray
        Whether each text of the test set was, bool of shape (texts,).
    seconds : float
        What it took to make vectors of all texts, those of the training set too.
    texts : int
        How many those are.
    """

    right: NDArray[np.bool_]
    seconds: float
    texts: int

    @property
    def accuracy(self) -> float:
        """Share of the test set that was got right."""
        return float(self.right.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Its interval: Wilson's, 95%."""
        return wilson(int(self.right.sum()), len(self.right))


def classify(path: str, train: Labelled, test: Labelled, *, words: Words | None = None) -> Classified:
    """Train on texts as means of the vectors in a ``.qemb`` file, and test.

    Parameters
    ----------
    path : str
        The file.
    words : callable, optional
        What cuts a text into words; as `SentenceEncoder` does where left out.

    Raises
    ------
    UsageError
        scikit-learn is not installed.
    qemb.QembError
        The file is bad, or has vectors that are not finite.
    """
    encoder = SentenceEncoder(path, words)
    begun = time.perf_counter()
    vectors = encoder.encode([*train.texts, *test.texts])
    seconds = time.perf_counter() - begun
    encoder.embedding.close()
    if not np.isfinite(vectors).all():
        raise source_error("vectors of some words are not finite; nothing can be learned from them", path)
    return Classified(judge(vectors, train, test), seconds, len(vectors))


def judge(vectors: NDArray[np.float32], train: Labelled, test: Labelled) -> NDArray[np.bool_]:
    """Whether each text of the test set is got right; ``vectors`` are those of the texts to train on, then of these."""
    known = len(train.texts)
    right: NDArray[np.bool_] = predict(vectors[:known], train.labels, vectors[known:]) == np.array(test.labels)
    return right


def predict(train: NDArray[np.float32], labels: Sequence[object], test: NDArray[np.float32]) -> NDArray[np.object_]:
    """Labels of vectors, by a logistic regression that was trained on others, each dimension at unit variance.

    Raises
    ------
    UsageError
        scikit-learn is not installed.
    """
    require_sklearn()
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_ROUNDS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so near to the optimum that it makes no difference
        model.fit(train.astype(np.float64), labels)
    found: NDArray[np.object_] = model.predict(test.astype(np.float64))
    return found


def require_sklearn() -> None:
    """Raise `UsageError` where scikit-learn is not installed."""
    if find_spec("sklearn") is None:
        raise missing_extra("scikit-learn", "sklearn")
