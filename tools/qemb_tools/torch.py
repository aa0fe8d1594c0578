"""torch modules that hold a ``.qemb`` file instead of a float matrix, and decode the rows asked for.

>>> from qemb_tools.torch import Embedding, compress_
>>> compress_(model, bits=4)                                       # doctest: +SKIP
>>> Embedding.from_file("glove.qemb")(torch.tensor([0, 17]))       # doctest: +SKIP
"""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

import numpy as np

import qemb
from qemb_tools.interface import missing_extra

try:
    import torch
except ImportError:
    raise ImportError(str(missing_extra("torch", "torch"))) from None

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_ROWS = 2048
"""Tables of fewer rows, such as those of positions, are left as they are."""
_BATCH_VALUES = 1 << 22


class _Table(torch.nn.Module):  # type: ignore[misc]
    """Rows of a file that is a buffer of bytes, called ``qemb`` in the state_dict.

    The buffer stays in the memory of the processor wherever the module is moved. Vectors have the device and the dtype
    of the module, float32 at first. Nothing is trained: no gradient reaches the file.

    Parameters
    ----------
    data : torch.Tensor
        uint8, one dimension: the bytes of a file.

    Raises
    ------
    qemb.QembError
        They are not those of a file.
    """

    def __init__(self, data: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("qemb", data)
        self._like = torch.empty(0)
        self._file: qemb.Embedding | None = None
        self.num_embeddings: int = self._open().total_rows
        self.embedding_dim: int = self._open().dim

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Map a file, which processes then share."""
        size = os.path.getsize(path)
        return cls(torch.from_file(os.fspath(path), shared=False, size=size, dtype=torch.uint8))

    @classmethod
    def from_weight(cls, weight: torch.Tensor, **writer: Unpack[qemb.EncoderOptions]) -> Self:
        """Encode a matrix, shape (rows, dim), into a file whose tokens are the numbers of its rows.

        Arguments are those of `qemb.Writer`; ``bits=4`` where there are none.
        """
        rows, dim = weight.shape
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "table.qemb")
            step = max(1, _BATCH_VALUES // dim)
            with qemb.Writer(path, dim=dim, index=False, **(writer or {"bits": 4})) as file:
                for low in range(0, rows, step):
                    part = weight[low : low + step].detach().to("cpu", torch.float32).numpy()
                    file.append([str(row) for row in range(low, low + len(part))], part)
            data = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
        table = cls(data)
        table.to(weight.device, weight.dtype)
        return table

    @property
    def weight(self) -> torch.Tensor:
        """All rows, decoded anew each time: for code that looks at ``weight``."""
        return self._vectors(np.arange(self.num_embeddings))

    def _open(self) -> qemb.Embedding:
        if self._file is None:
            self._file = qemb.open(memoryview(self.qemb.numpy()))
        return self._file

    def _vectors(self, rows: Any) -> torch.Tensor:  # noqa: ANN401 - an array of integers
        return torch.from_numpy(self._open().rows(rows)).to(self._like)

    def _lookup(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Those rows of ``rows`` that differ, their vectors, and where in them each of ``rows`` is."""
        needed, places = torch.unique(rows.cpu(), return_inverse=True)
        if needed.numel() and not 0 <= int(needed[0]) <= int(needed[-1]) < self.num_embeddings:
            raise IndexError(f"an index is not one of {self.num_embeddings:,} rows")
        return needed, self._vectors(needed.numpy()), places.to(self._like.device)

    def _apply(self, function: Callable[[torch.Tensor], torch.Tensor], *_: object, **__: object) -> Self:
        """Move the module, all but the file."""
        self._like = function(self._like)
        return self

    def _load_from_state_dict(  # a file of other options has another size, which torch takes for an error
        self,
        state_dict: dict[str, torch.Tensor],
        prefix: str,
        local_metadata: object,  # noqa: ARG002
        strict: bool,  # noqa: FBT001
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        key = f"{prefix}qemb"
        if strict:
            unexpected_keys += [name for name in state_dict if name.startswith(prefix) and name != key]
        if key not in state_dict:
            missing_keys.append(key)
            return
        data = state_dict[key].detach().to("cpu", torch.uint8, copy=True)
        try:
            file = qemb.open(memoryview(data.numpy()))
        except (qemb.QembError, ValueError) as error:
            error_msgs.append(f"{key}: {error}")
            return
        if (file.total_rows, file.dim) != (self.num_embeddings, self.embedding_dim):
            found = f"{file.total_rows:,} x {file.dim}"
            error_msgs.append(f"{key}: it is {found}, the module {self.num_embeddings:,} x {self.embedding_dim}")
            return
        self.qemb, self._file = data, file

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None}

    def extra_repr(self) -> str:
        """Shape and size, for ``print(model)``."""
        return f"{self.num_embeddings}, {self.embedding_dim}, {self._open().info.values}"


class Embedding(_Table):
    """In place of ``torch.nn.Embedding``: row numbers of any shape to vectors, one more dimension."""

    padding_idx: int | None = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        """Vectors of the rows ``input``, integers of any shape; shape (..., embedding_dim).

        Raises
        ------
        IndexError
            A number is not a row.
        """
        _, vectors, places = self._lookup(input)
        return torch.nn.functional.embedding(places, vectors)


class EmbeddingBag(_Table):
    """In place of ``torch.nn.EmbeddingBag``: the mean, sum or maximum of the rows of each bag.

    Attributes
    ----------
    mode, include_last_offset, padding_idx
        As in torch.
    """

    mode: str = "mean"
    include_last_offset: bool = False
    padding_idx: int | None = None

    def forward(
        self,
        input: torch.Tensor,  # noqa: A002 - torch's name
        offsets: torch.Tensor | None = None,
        per_sample_weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """As torch's; shape (bags, embedding_dim).

        Raises
        ------
        IndexError
            A number is not a row.
        """
        rows, vectors, places = self._lookup(input)
        padding = (
            [] if self.padding_idx is None else (rows == self.padding_idx % self.num_embeddings).nonzero().tolist()
        )
        return torch.nn.functional.embedding_bag(
            places,
            vectors,
            None if offsets is None else offsets.to(places),
            mode=self.mode,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=padding[0][0] if padding else None,
        )


def compress_(model: torch.nn.Module, *, min_rows: int = MIN_ROWS, **writer: Unpack[qemb.EncoderOptions]) -> list[str]:
    """Replace the embeddings of a model by compressed ones, in place.

    Parameters
    ----------
    model : torch.nn.Module
        Each ``torch.nn.Embedding`` and ``torch.nn.EmbeddingBag`` in it is replaced that has rows enough.
    min_rows : int
        How many that is.
    **writer
        Arguments of `qemb.Writer`; ``bits=4`` where there are none.

    Returns
    -------
    list of str
        Names of the modules that were replaced.

    Raises
    ------
    ValueError
        There is none, or one has ``max_norm``, which changes rows as it reads them.
    """
    found = {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if type(module) in _REPLACEMENTS and module.num_embeddings >= min_rows and name
    }
    if not found:
        raise ValueError(f"the model has no Embedding of {min_rows:,} rows in it; min_rows says how many it takes")
    for name, module in found.items():
        if module.max_norm is not None:
            raise ValueError(f"{name} has max_norm, which changes rows as it reads them: it cannot be compressed")
    replaced: dict[torch.nn.Module, _Table] = {}
    for name, module in found.items():
        if module not in replaced:
            replaced[module] = _replacement(module, writer)
        model.set_submodule(name, replaced[module])
    tied = {id(module.weight) for module in replaced}
    others = [name for name, parameter in model.named_parameters(remove_duplicate=False) if id(parameter) in tied]
    if others:
        warnings.warn(f"the table is also {', '.join(others)}, where it stays as it was", stacklevel=2)
    return list(found)


def _replacement(module: torch.nn.Module, writer: qemb.EncoderOptions) -> _Table:
    table = _REPLACEMENTS[type(module)].from_weight(module.weight, **writer)
    for name in ("padding_idx", "mode", "include_last_offset"):
        if hasattr(module, name):
            setattr(table, name, getattr(module, name))
    table.train(module.training)
    return table


_REPLACEMENTS: dict[type, type[_Table]] = {torch.nn.Embedding: Embedding, torch.nn.EmbeddingBag: EmbeddingBag}
