"""A scikit-learn transformer of texts into the means of their tokens' vectors, for a Pipeline.

>>> from qemb_tools.sklearn import EmbeddingVectorizer
>>> make_pipeline(EmbeddingVectorizer("glove.qemb"), LogisticRegression())          # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from qemb_tools.interface import missing_extra
from qemb_tools.sentences import SentenceEncoder

try:
    from sklearn.base import BaseEstimator, TransformerMixin
except ImportError:
    raise ImportError(str(missing_extra("scikit-learn", "sklearn"))) from None

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from numpy.typing import NDArray


class EmbeddingVectorizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Texts to mean vectors, float32, out of a ``.qemb`` file; nothing is learned.

    A pickle names the file, and so does a clone: they have to find it where it was.

    Parameters
    ----------
    path : path
        The ``.qemb`` file.
    tokenizer, normalize, max_length, drop_unknown
        As for `qemb_tools.sentences.SentenceEncoder`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        tokenizer: Any = None,  # noqa: ANN401 - as SentenceEncoder has it
        *,
        normalize: bool | None = None,
        max_length: int | None = None,
        drop_unknown: bool | None = None,
    ) -> None:
        self.path = path
        self.tokenizer = tokenizer
        self.normalize = normalize
        self.max_length = max_length
        self.drop_unknown = drop_unknown

    def fit(self, texts: object = None, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's interface
        """Open the file, so that one that is missing or bad shows here.

        Raises
        ------
        qemb.QembError, UsageError, OSError
            As from `SentenceEncoder`.
        """
        self._encoder = SentenceEncoder(**self.get_params(deep=False))
        return self

    def transform(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Vectors of texts, float32, shape (n, dim); zeros where no token has a vector.

        Raises
        ------
        TypeError
            One string was given instead of several.
        """
        if isinstance(texts, str):
            raise TypeError("an iterable of texts is wanted, not one string")
        if not self.__sklearn_is_fitted__():
            self.fit()
        return self._encoder.encode(list(texts))

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:  # noqa: ARG002
        """Names of the columns: embeddingvectorizer0, embeddingvectorizer1, ..."""
        if not self.__sklearn_is_fitted__():
            self.fit()
        return np.array([f"embeddingvectorizer{i}" for i in range(self._encoder.dim)], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_encoder")

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
