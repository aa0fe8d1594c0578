"""Product quantization (Jégou, Douze and Schmid, 2011): a codebook for each run of columns, trained with faiss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.encode.base import need_finite
from qemb.encode.scaled import ScaledEncoder, round_scales, sum_rows
from qemb.encode.split import split
from qemb.errors import InvalidError
from qemb.layout import Group
from qemb.packing import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from qemb.encode.base import Tiles
    from qemb.quantization import Quantization

TRAINING_ROWS = 1 << 16
"""Rows the codebooks are trained on, at even distances in the table: 256 for each of 256 centroids, as faiss has it."""
MAX_TRAINED_BITS = 12
"""Bits of the longest code: k-means takes time and rows in proportion to 2^bits."""


class ProductEncoder(ScaledEncoder):
    """Centroids of sub-vectors by faiss's k-means. Rows are divided by their root mean square first: that is the scale.

    The same rows give the same codebooks whatever the number of threads; another version of faiss, or another
    processor, may give others.
    """

    needs_pass = True

    def __init__(self, quantization: Quantization, dim: int, *, may_widen: bool) -> None:
        super().__init__(quantization, dim, may_widen=may_widen)
        self._faiss = import_faiss()
        self._codes_per_row = quantization.codes_per_row(dim)
        self._padded = self._codes_per_row * quantization.sub_dim
        self._quantizer: Any = None

    def fit(self, tiles: Tiles) -> None:
        """The mean, then the codebooks."""
        super().fit(tiles)
        if self._quantizer is None:  # a wider type of scales leaves the codebooks as they are
            self._quantizer = self._train(self._sample(tiles))

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """The centroids, float32, shape (codes in a row, 2^bits, sub_dim), then the mean."""
        yield "LEVL", self._faiss.vector_to_array(self._quantizer.centroids)
        yield from super().head()

    def encode(self, tile: NDArray[np.float32], first: int) -> dict[str, NDArray[Any]]:
        """Subtract the mean, divide by the scale where there is one, take the nearest centroids."""
        if self.quantization.scale_group == Group.NONE:
            return {**split(self.codes(self._centred(tile, first), np.ones(1, np.float32)), self.quantization)}
        return super().encode(tile, first)

    def scales(self, groups: NDArray[np.float32]) -> NDArray[np.float32]:
        """Root mean squares of the rows, rounded to the stored type."""
        scales = round_scales(root_mean_squares(groups), self.quantization.scale_type)
        with np.errstate(over="ignore"):
            if np.isinf(scales * np.float32(self.top)).any():
                raise InvalidError("invalid.value", "values too large for product quantization; use scheme='float32'")
        return scales

    def codes(self, values: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[Any]:
        """The nearest centroid of each sub-vector, shape (n, codes in a row)."""
        units = self._pad(np.asarray(values / np.where(scales > 0, scales, np.float32(1)), np.float32))
        # faiss packs least significant bit first, as the format does
        return unpack(self._quantizer.compute_codes(units), self._codes_per_row, self.quantization.bits)

    @property
    def top(self) -> int:
        """The outermost level, rounded up."""
        return int(np.ceil(np.abs(self._faiss.vector_to_array(self._quantizer.centroids)).max()))

    def _centred(self, tile: NDArray[np.float32], first: int) -> NDArray[np.float32]:
        if self.mean is not None:
            with np.errstate(over="ignore"):
                tile = tile - self.mean
        need_finite(tile, first, "the distance from the mean overflows")
        return tile

    def _sample(self, tiles: Tiles) -> NDArray[np.float32]:
        """Rows to train on, as `codes` will see them, float32, shape (n, padded dim)."""
        rows = sum(len(tile) for tile in tiles())
        count = min(rows, TRAINING_ROWS)
        wanted = np.arange(count) * rows // max(count, 1)
        sample = np.empty((count, self.dim), np.float32)
        first = 0
        for tile in tiles():
            low, high = np.searchsorted(wanted, (first, first + len(tile)))
            sample[low:high] = self._centred(tile, first)[wanted[low:high] - first]
            first += len(tile)
        if self.quantization.scale_group != Group.NONE:
            scales = root_mean_squares(sample)
            sample /= np.where(scales > 0, scales, np.float32(1))[:, None]
        return self._pad(sample)

    def _pad(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Columns of zeros up to whole sub-vectors; what decodes there is not used."""
        padded = np.zeros((len(rows), self._padded), np.float32)
        padded[:, : self.dim] = rows
        return padded

    def _train(self, sample: NDArray[np.float32]) -> Any:  # noqa: ANN401  (faiss has no types)
        q = self.quantization
        quantizer = self._faiss.ProductQuantizer(self._padded, self._codes_per_row, q.bits)
        if len(sample) > 1 << q.bits:
            quantizer.cp.seed = 0
            quantizer.cp.min_points_per_centroid = 1  # fewer than 39 are no reason for a warning
            quantizer.cp.max_points_per_centroid = TRAINING_ROWS  # the sample has been drawn
            quantizer.train(sample)
        else:  # every sub-vector is a centroid; k-means refuses more centroids than points
            levels = np.zeros((self._codes_per_row, 1 << q.bits, q.sub_dim), np.float32)
            levels[:, : len(sample)] = sample.reshape(len(sample), self._codes_per_row, q.sub_dim).swapaxes(0, 1)
            self._faiss.copy_array_to_vector(levels.reshape(-1), quantizer.centroids)
        return quantizer


def root_mean_squares(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Root mean square of each row, float32, shape (n,); sums run over the columns in order."""
    columns = np.ascontiguousarray(rows.T)
    return np.asarray(np.sqrt(sum_rows(columns, columns) / rows.shape[1]), np.float32)


def import_faiss() -> Any:  # noqa: ANN401  (faiss has no types)
    """The module faiss.

    Raises
    ------
    ImportError
        It is not installed; the message names the extra that brings it.
    """
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            'product quantization is trained with faiss, which is not installed; run: pip install "qemb-format[faiss]"'
        ) from error
    return faiss
