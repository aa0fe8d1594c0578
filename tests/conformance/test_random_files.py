"""Random files: the codec reads all of them as the specification has it, and among them is what there is to read."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import qemb_spec
import random_files
from agreement import assert_the_codec_agrees

SEED, COUNT = 1, 150


@pytest.fixture(scope="module")
def files():
    return [random_files.random_file(SEED, number) for number in range(COUNT)]


def test_the_codec_agrees(files):
    for data in files:
        assert_the_codec_agrees(data)


def test_there_is_everything_to_read(files):
    found = set()
    for data in files:
        answer = qemb_spec.answer(data)
        header, q = answer["header"], answer["quantization"]
        found |= {f"{name} {q[name]}" for name in ("level", "scale_group", "scale_type", "offset_group", "offset_type")}
        found |= {f"format {q.get('format')}", f"features {header['required_features']}"}
        found |= {section["kind"] for section in answer["sections"]} & set(qemb_spec.KINDS.split())
        bits = [int(word, 16) for vector in answer["vectors"] for word in vector]
        found |= {f"{word:08x}" for word in bits}
        statements = {
            "trellis": q["level"] == "1" and q["window"] != q["bits"],
            "split": q["low_bits"] not in ("0", q["bits"]),
            "frames": any(section["codec"] == "1" for section in answer["sections"]),
            "unknown": any(section["kind"] not in qemb_spec.KINDS for section in answer["sections"]),
            "newer": header["minor"] != "0",
            "no rows": header["rows"] == "0",
            "subnormal": any(0 < word & 0x7FFFFFFF < 0x00800000 for word in bits),
            "NaN": any(word & 0x7FFFFFFF > 0x7F800000 for word in bits),
            "another order": answer["sections"][0]["kind"] == "TOKB",
        }
        found |= {name for name, holds in statements.items() if holds}
    wanted = {f"level {level}" for level in range(5)} | {f"format {format_}" for format_ in range(3)}
    wanted |= {f"{name}_group {group}" for name in ("scale", "offset") for group in range(5)}
    wanted |= {f"{name}_type {type_}" for name in ("scale", "offset") for type_ in range(3)}
    wanted |= {"features 0", "features 1", "7f800000", "ff800000", "00000000", "80000000", *statements}
    assert wanted | set(qemb_spec.KINDS.split()) <= found


def test_the_same_seed_gives_the_same_files(files, tmp_path):
    command = [sys.executable, random_files.__file__, "--seed", str(SEED), "--count", "5", "--out", str(tmp_path)]
    subprocess.run(command, check=True)
    for number in range(5):
        path = tmp_path / f"{SEED}-{number}.qemb"
        assert path.read_bytes() == files[number]
        assert json.loads(path.with_suffix(".json").read_text("utf-8")) == qemb_spec.answer(files[number])
    assert random_files.random_file(SEED + 1, 0) != files[0] != files[1]
