"""Any number of random files, with what `spec-decoder` says is in them."""

from __future__ import annotations

import json
import shutil
import struct
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, cast

from qemb_conformance.cases import Case, matches
from qemb_conformance.errors import UsageError
from qemb_conformance.oracle import Oracle, Refusal, load_module

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qemb_conformance.strict_json import Json

_LEVELS = ("linear", "codebook", "product", "decimal", "ieee")
_CORE = frozenset({"linear", "codebook", "trellis", "ieee", "split", "subwords", "bytes"})
_FRAME_ENTRY = 16


@dataclass(frozen=True)
class RandomFiles:
    """Which files: those of a seed up to a number, where ``core`` is set those that the profile core is asked for."""

    seed: int
    count: int
    core: bool


def make_cases(corpus: Path, into: Path, files: RandomFiles, patterns: Sequence[str], jobs: int) -> tuple[Case, ...]:
    """Write random files, and their answers, into a folder; only those whose id matches a pattern.

    Raises
    ------
    UsageError
        The generator or `spec-decoder` is not there, or the two do not agree on a file.
    """
    numbers = [number for number in range(files.count) if matches(_case(into, files, number), patterns)]
    make = partial(_make, corpus, into, files)
    if jobs == 1 or len(numbers) < 50:  # starting processes takes longer
        return tuple(map(make, numbers))
    with ProcessPoolExecutor(jobs) as pool:
        return tuple(pool.map(make, numbers, chunksize=20))


def keep(case: Case, folder: Path) -> Case:
    """Copy a file and its answer into a folder, made where there is none; the case with the copies."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{case.id.removeprefix('random/').replace('/', '-')}.qemb"
    expected = file.with_suffix(".json")
    shutil.copyfile(case.file, file)
    shutil.copyfile(cast("Path", case.expected), expected)
    return replace(case, file=file, expected=expected)


def _case(into: Path, files: RandomFiles, number: int) -> Case:
    folder = f"random/core/{files.seed}" if files.core else f"random/{files.seed}"
    return Case(
        id=f"{folder}/{number}",
        file=into / f"{number}.qemb",
        good=True,
        profile="full",
        requirements=(),
        features=frozenset(),
        guards="what nobody has thought of",
        description=f"Random file {number} of seed {files.seed}.",
        expected=into / f"{number}.json",
    )


def _make(corpus: Path, into: Path, files: RandomFiles, number: int) -> Case:
    module = load_module(corpus / "generator" / "random_files.py")
    data: bytes = module.random_file(files.seed, number, core=files.core)
    answer = Oracle(corpus).answer(data)
    if isinstance(answer, Refusal):
        raise UsageError(f"random file {number} of seed {files.seed} is refused by spec-decoder: {answer.code}")
    features = features_of(data, answer)
    case = replace(_case(into, files, number), features=features, profile="core" if features <= _CORE else "full")
    case.file.write_bytes(data)
    cast("Path", case.expected).write_text(json.dumps(answer), encoding="utf-8")
    return case


def features_of(data: bytes, answer: dict[str, Json]) -> frozenset[str]:
    """What decoding a file takes, by the names of PROTOCOL.md."""
    header = cast("dict[str, str]", answer["header"])
    quantization = cast("dict[str, str]", answer["quantization"])
    level = _LEVELS[int(quantization["level"])]
    trellis = level == "codebook" and int(quantization["window"]) > int(quantization["bits"])
    features = {"trellis" if trellis else level}
    if quantization["low_bits"] != quantization["bits"]:
        features.add("split")
    if int(header["required_features"]) & 1:
        features.add("bytes")
    features |= {name for name, key in (("transform", "transform"), ("subwords", "subword")) if key in answer}
    for section in cast("list[dict[str, str]]", answer["sections"]):
        # the codec of a section that a reader passes over is its own affair
        if section["codec"] == "1" and section["kind"] in _KINDS:
            features.add("frames")
            if _compressed(data, section):
                features.add("zstd")
    return frozenset(features)


_KINDS = frozenset(
    "META QUAN TRNS LEVL SCAL OFFS CODE HIG0 HIG1 HIG2 HIG3 EXCP TOKO TOKB INDX NORM CNTS SUBW".split()  # noqa: SIM905
)


def _compressed(data: bytes, section: dict[str, str]) -> bool:
    """Whether a frame of a section does not stand as it is."""
    offset, stored, raw, frame = (int(section[key]) for key in ("offset", "stored_size", "raw_size", "frame_size"))
    count = -(-raw // frame)
    table = data[offset + stored - _FRAME_ENTRY * count : offset + stored]
    sizes = (size for _, size, _ in struct.iter_unpack("<QII", table))
    return any(size != min(frame, raw - place * frame) for place, size in enumerate(sizes))
