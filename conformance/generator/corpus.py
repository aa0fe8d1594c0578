"""The whole corpus as bytes by path: the files, their answers and the manifest."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import sys
from collections import Counter
from pathlib import Path

import holes
import rawfile
import valid_container  # noqa: F401
import valid_exact  # noqa: F401
import valid_frames  # noqa: F401
import valid_linear  # noqa: F401
import valid_scales  # noqa: F401
import valid_together  # noqa: F401
import valid_tokens  # noqa: F401
import valid_trellis  # noqa: F401
from case import CASES
from faults import FAULTS, GUARDS
from faults_more import MEMORY, ORDERED
from tables import bits32

sys.path.append(str(Path(__file__).parents[1] / "implementations" / "spec-decoder"))

import qemb_spec

ROOT = Path(__file__).resolve().parents[1]
"""The folder that paths of the corpus begin in."""
FULL = {"product", "decimal", "frames", "zstd", "transform"}
"""Features that the profile `core` does without."""
LONG = 64
"""Most strings of an array, or values of vectors, that stand in full."""
PACKED = {"norms": ("<I", 16), "counts": ("<Q", 10), "lookups": ("<q", 10)}


# --- answers --------------------------------------------------------------------------------------------------------


def shortened(answer):
    """An answer as it stands beside its file: see PROTOCOL.md."""
    return {key: _short(key, value, "transform" in answer) for key, value in answer.items()}


def _short(key, value, transformed):
    if key == "vectors":
        flat = [number for row in value for number in row]
        data = b"".join(_float(number, any_nan=transformed) for number in flat) if len(flat) > LONG else b""
    elif key == "tokens" and len(value) > LONG:
        flat = value
        data = b"".join(struct.pack("<I", len(token) // 2) + bytes.fromhex(token) for token in value)
    elif key == "metadata" and len(value) > 32 * LONG:
        flat = [value[at : at + 2] for at in range(0, len(value), 2)]
        data = bytes.fromhex(value)
    elif key in PACKED and len(value) > LONG:
        form, base = PACKED[key]
        flat = value
        data = b"".join(struct.pack(form, -1 if item == "absent" else int(item, base)) for item in value)
    else:
        return value
    if len(flat) <= LONG:
        return value
    places = sorted({0, 1, 63, 64, len(flat) // 2, len(flat) - 1})
    return {
        "count": str(len(flat)),
        "sha256": hashlib.sha256(data).hexdigest(),
        "probes": {str(place): flat[place] for place in places},
    }


def _float(digits, *, any_nan):
    bits = int(digits, 16)
    return struct.pack("<I", 0x7FC00000 if any_nan and bits & 0x7FFFFFFF > 0x7F800000 else bits)


def written(answer):
    """JSON with a line for each key, and for each section and row."""
    lines = []
    for key, value in answer.items():
        text = json.dumps(value, separators=(",", ":"))
        if key in ("sections", "vectors", "subword_vectors") and isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(json.dumps(item, separators=(",", ":")) for item in value) + "\n ]"
        lines.append(f" {json.dumps(key)}: {text}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


# --- the manifest ---------------------------------------------------------------------------------------------------


def descriptor_of(file):
    return next(section.data for section in file.sections if section.kind == "QUAN")


def features(file, quan):
    """What decoding a file takes, by the names of PROTOCOL.md. The descriptor is given: that of the file may be bad."""
    kinds = {section.kind for section in file.sections}
    known = [section for section in file.sections if section.kind in rawfile.FLAGS]
    framed = [section for section in known if section.frame_size]
    claimed = any(section.entry.get("codec") == 1 for section in known)
    level = ("linear", "codebook", "product", "decimal", "ieee")[quan[0]]
    found = {
        "trellis" if level == "codebook" and quan[20] > quan[1] else level: True,
        "split": "HIG0" in kinds,
        "frames": claimed or bool(framed),
        "zstd": claimed or any(raw != stored for section in framed for raw, stored in section.stored_frames()),
        "transform": "TRNS" in kinds,
        "subwords": "SUBW" in kinds,
        "bytes": bool(file.required_features & 1),
    }
    return [name for name, needed in found.items() if needed]


def _entry(name, data, requirements, needed, profile, guards, description):
    return {
        "id": name,
        "file": f"{name}.qemb",
        "sha256": hashlib.sha256(data).hexdigest(),
        "verdict": "valid",
        "profile": profile,
        "requirements": [f"QEMB-{number}" for number in requirements],
        "features": needed,
        "guards": guards,
        "description": description,
    }


def _profile(needed):
    return "full" if FULL & set(needed) else "core"


def valid_cases():
    """Manifest entry, file and full answer of each."""
    wrong = []
    for case in CASES:
        data = case.file.build()
        try:
            answer = qemb_spec.answer(data)
        except qemb_spec.Rejected as error:
            wrong.append(f"{case.id} does not conform: {error}")
            continue
        if case.rows is not None:
            by_hand = [[f"{bits32(value):08x}" for value in row] for row in case.rows]
            if answer["vectors"] != by_hand:
                wrong.append(f"{case.id}: decoded to {answer['vectors']}, by hand {by_hand}")
        needed = features(case.file, descriptor_of(case.file))
        entry = _entry(case.id, data, case.requirements, needed, _profile(needed), case.guards, case.description)
        entry["expected"] = f"{case.id}.json"
        yield entry, data, answer
    if wrong:
        raise ValueError("\n".join(wrong))


def slug(name):
    """A phrase as the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def refused(data):
    """Code and requirement that the specification as a program refuses a file by."""
    try:
        qemb_spec.answer(data)
    except qemb_spec.Rejected as error:
        return error.code, error.requirement
    return None, None


def invalid_cases():
    """Manifest entry and file of each."""
    faults = [*FAULTS, *ORDERED, *MEMORY]
    alike = Counter((fault.code, fault.name) for fault in faults)
    for fault in faults:
        file = fault.file()
        data = file.build()
        code, requirement = refused(data)
        if code != fault.code:
            raise ValueError(
                f"{fault.base.__name__}, {fault.name}: refused as {code} by {requirement}, not {fault.code}"
            )
        check = str(fault.rank[0])
        needed = features(file, descriptor_of(fault.base()))
        folder = "limit" if fault.code.startswith("limit.") else f"invalid/{fault.code}"
        name = fault.name if alike[fault.code, fault.name] == 1 else f"{fault.name} of {fault.base.__name__}"
        requirements = list(dict.fromkeys(fault.requirements))
        count = "two faults" if "ORD-01" in requirements else "a fault"
        entry = _entry(
            f"{folder}/{slug(name)}",
            data,
            requirements,
            needed,
            "structure" if check <= "3" else _profile(needed),
            fault.guards or GUARDS[requirements[0]],
            f"The file `{fault.base.__name__}`, with {count}: {fault.name}.",
        )
        entry |= {
            "verdict": "invalid",
            "error": fault.code,
            "check": check,
            "parent": f"valid/bases/{fault.base.__name__}",
            "mutation": fault.name,
        }
        yield entry, data


class Corpus:
    """All cases; ``files`` are the bytes of each file by its path."""

    def __init__(self):
        self.files = {}
        self.entries = []
        self.twice = []
        self.answers = {}
        """Full answers of valid cases, by their ids."""
        for entry, data, answer in valid_cases():
            self._add(entry, data)
            self.answers[entry["id"]] = answer
            self.files[entry["expected"]] = written(shortened(answer))
        for entry, data in invalid_cases():
            self._add(entry, data)
        self.coverage = holes.coverage(self.entries, {case.id: case.file for case in CASES}, self.answers)
        self.files["coverage.md"] = holes.markdown(self.coverage, self.entries).encode()
        if self.twice:
            raise ValueError(f"several cases of one name: {', '.join(self.twice)}")
        lines = ",\n  ".join(json.dumps(entry, ensure_ascii=False) for entry in self.entries)
        self.files["manifest.json"] = f'{{\n "version": "1.0",\n "cases": [\n  {lines}\n ]\n}}\n'.encode()

    def _add(self, entry, data):
        if entry["file"] in self.files:
            self.twice.append(entry["id"])
        self.files[entry["file"]] = data
        self.entries.append(entry)
