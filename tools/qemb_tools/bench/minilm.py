"""MiniLM with its token table compressed: similarity of sentences before and after."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb_tools.bench.data import MissingTableError, minilm_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from qemb_tools.bench.report import Report

SENTENCES = 1000
_BATCH = 64
_MAX_LENGTH = 256
_PACKAGES = ("torch", "tokenizers", "safetensors")


def run(report: Report, *, folder: Path | None, widths: Sequence[int]) -> None:
    """Print how near sentences' vectors and their similarities stay at each width."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        report.note(f'- minilm: not run without {", ".join(missing)}; pip install "qemb-format[torch]"')
        return
    texts = None if folder is None else folder / "sst2" / "test.tsv"
    if texts is None or not texts.is_file():
        report.note("- minilm: name the folder of sst2/test.tsv with --eval DIR")
        return
    try:
        model_folder = minilm_folder()
    except MissingTableError as absent:
        report.note(f"- {absent}")
        return
    lines = texts.read_text(encoding="utf-8").splitlines()[:SENTENCES]
    sentences = [line.partition("\t")[0] for line in lines]
    encode, table = _model(model_folder)
    before = encode(sentences)
    rows = []
    for bits in widths:
        encode, size = _model(model_folder, bits)
        rows.append({"bits": bits, "size": size / 1e6, "ratio": size / table, **_compare(before, encode(sentences))})
    report.heading(f"MiniLM, its token table compressed: {len(sentences):,} sentences")
    report.table("minilm", [
        ("bits", "bits", "d"),
        ("size", "table, MB", ".1f"),
        ("cosine", "cosine with the vector before", ".4f"),
        ("difference", "mean difference of a similarity", ".4f"),
        ("spearman", "Spearman of all similarities", ".4f"),
        ("nearest", "same nearest sentence", ".3f"),
    ], rows)  # fmt: skip
    report.note(f"\nThe table in float32 has {table / 1e6:.1f} MB.")


def _model(folder: Path, bits: int | None = None) -> tuple[Callable[[list[str]], NDArray[np.float32]], int]:
    """An encoder of sentences, and the bytes that its token table takes."""
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    from qemb_tools.torch import compress_

    settings = json.loads((folder / "config.json").read_bytes())
    model = _bert(settings, load_file(folder / "model.safetensors"))
    size = model["words"].weight.nbytes
    if bits is not None:
        compress_(model, bits=bits)
        size = model["words"].qemb.nbytes
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(_MAX_LENGTH)
    tokenizer.enable_padding()

    model.requires_grad_(requires_grad=False)

    def encode(texts: list[str]) -> NDArray[np.float32]:
        found = []
        for low in range(0, len(texts), _BATCH):
            encodings = tokenizer.encode_batch(texts[low : low + _BATCH])
            ids = torch.tensor([each.ids for each in encodings])
            mask = torch.tensor([each.attention_mask for each in encodings])
            hidden = model["words"](ids) + model["positions"](torch.arange(ids.shape[1])) + model["types"].weight[0]
            hidden = model["norm"](hidden)
            for layer in model["layers"]:
                hidden = layer(hidden, src_key_padding_mask=mask == 0)
            mean = (hidden * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True)
            found.append(torch.nn.functional.normalize(mean).numpy())
        return np.concatenate(found)

    return encode, size


def _bert(settings: dict[str, Any], tensors: dict[str, Any]) -> Any:  # noqa: ANN401 - torch.nn.ModuleDict
    """BERT out of torch's own layers, which are the same: post-norm, GELU."""
    import torch

    width = settings["hidden_size"]
    layers = [
        torch.nn.TransformerEncoderLayer(
            width, settings["num_attention_heads"], settings["intermediate_size"], activation="gelu",
            layer_norm_eps=settings["layer_norm_eps"], batch_first=True,
        )
        for _ in range(settings["num_hidden_layers"])
    ]  # fmt: skip
    model = torch.nn.ModuleDict({
        "words": torch.nn.Embedding(*tensors["embeddings.word_embeddings.weight"].shape),
        "positions": torch.nn.Embedding(*tensors["embeddings.position_embeddings.weight"].shape),
        "types": torch.nn.Embedding(*tensors["embeddings.token_type_embeddings.weight"].shape),
        "norm": torch.nn.LayerNorm(width, settings["layer_norm_eps"]),
        "layers": torch.nn.ModuleList(layers),
    })  # fmt: skip
    names = {
        "words": "word_embeddings", "positions": "position_embeddings", "types": "token_type_embeddings",
        "norm": "LayerNorm",
    }  # fmt: skip
    state = {}
    for name in ("weight", "bias"):
        for ours, theirs in names.items():
            if (tensor := tensors.get(f"embeddings.{theirs}.{name}")) is not None:
                state[f"{ours}.{name}"] = tensor
        for layer in range(len(layers)):
            old, new = f"encoder.layer.{layer}", f"layers.{layer}"
            parts = [tensors[f"{old}.attention.self.{part}.{name}"] for part in ("query", "key", "value")]
            state[f"{new}.self_attn.in_proj_{name}"] = torch.cat(parts)
            state[f"{new}.self_attn.out_proj.{name}"] = tensors[f"{old}.attention.output.dense.{name}"]
            state[f"{new}.norm1.{name}"] = tensors[f"{old}.attention.output.LayerNorm.{name}"]
            state[f"{new}.linear1.{name}"] = tensors[f"{old}.intermediate.dense.{name}"]
            state[f"{new}.linear2.{name}"] = tensors[f"{old}.output.dense.{name}"]
            state[f"{new}.norm2.{name}"] = tensors[f"{old}.output.LayerNorm.{name}"]
    model.load_state_dict(state)
    return model.eval()


def _compare(before: NDArray[np.float32], after: NDArray[np.float32]) -> dict[str, float]:
    pairs = np.triu_indices(len(before), 1)
    similar = [(vectors @ vectors.T) for vectors in (before, after)]
    one, other = (matrix[pairs] for matrix in similar)
    first, second = (np.argsort(np.argsort(values)) for values in (one, other))
    for matrix in similar:
        np.fill_diagonal(matrix, -1)
    return {
        "cosine": float((before * after).sum(axis=1).mean()),
        "difference": float(np.abs(one - other).mean()),
        "spearman": float(np.corrcoef(first, second).item(1)),
        "nearest": float((similar[0].argmax(axis=1) == similar[1].argmax(axis=1)).mean()),
    }
