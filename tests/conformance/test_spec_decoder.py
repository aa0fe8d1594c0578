"""The specification as a program, the reference codec and the faults of the corpus agree."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import bases
import qemb
import qemb_spec
from agreement import assert_the_codec_agrees
from faults import FAULTS

SPEC = Path(__file__).parents[2] / "spec"


def first_error(data):
    """The code of the first check that fails and its requirement; None where the file is good."""
    try:
        qemb_spec.answer(data)
    except qemb_spec.Rejected as error:
        return error.code, error.requirement
    return None


@pytest.mark.parametrize("base", bases.BASES, ids=lambda base: base.__name__)
def test_good_files(base):
    answer = assert_the_codec_agrees(base().build())
    rows = getattr(bases, f"{base.__name__.upper()}_ROWS", None)
    if rows is not None:
        values = [[int(bits, 16) for bits in row] for row in answer["vectors"]]
        assert values == [[qemb_spec.bits_of(value) for value in row] for row in rows]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.base.__name__}: {fault.name}")
def test_each_fault_has_its_code_and_requirement(fault):
    assert first_error(fault.bytes()) == (fault.code, f"QEMB-{fault.rule.rstrip('abc')}")


@pytest.mark.parametrize("name", ["linear", "codebook", "trellis"])
def test_examples_of_the_specification(name):
    assert_the_codec_agrees((SPEC / "examples" / f"{name}.qemb").read_bytes())


SCHEMES = [
    *({"bits": bits, "scheme": "linear"} for bits in (1, 3, 8, 16)),
    {"bits": 4, "scheme": "linear", "scale": "block", "block": 3, "scale_dtype": "float16"},
    {"bits": 8, "scale": "column", "offset": "none"},
    *({"bits": bits, "scheme": "codebook"} for bits in (1, 4, 7)),
    *(
        {"bits": bits, "scheme": "trellis", "effort": 1, "rotate": rotate}
        for bits in (1, 4)
        for rotate in (False, True)
    ),
    {"bits": 4, "compress": True},
    {"bits": 4, "scheme": "product"},
    *({"scheme": scheme, "compress": compress} for scheme in ("float32", "float16", "bfloat16") for compress in (0, 1)),
    {"scheme": "exact"},
]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_every_scheme_of_the_writer(tmp_path, scheme):
    rng = np.random.default_rng(1)
    table = np.round(rng.normal(size=(60, 21)), 3).astype(np.float32)
    table[7] = 0
    qemb.write(tmp_path / "t.qemb", [f"w{row}" for row in range(60)], table, **scheme)
    assert_the_codec_agrees((tmp_path / "t.qemb").read_bytes())


def test_subwords_of_the_writer(tmp_path):
    words = ["naïve", "New York", "", "👩‍👩‍👧"]
    table = np.random.default_rng(2).normal(size=(len(words) + 50, 8)).astype(np.float32)
    with qemb.Writer(tmp_path / "t.qemb", dim=8, subwords=qemb.Subwords(1, 6)) as writer:
        writer.append(words, table[:4])
        writer.append_buckets(table[4:])
    answer = assert_the_codec_agrees((tmp_path / "t.qemb").read_bytes())
    assert all(isinstance(vector, list) for vector in answer["subword_vectors"])


@pytest.mark.parametrize(
    ("x", "bits"),
    [
        ("0", 0),
        ("1", 0x3F800000),
        ("0.1", 0x3DCCCCCD),
        ("16777217", 0x4B800000),  # ties go to even
        ("16777219", 0x4B800002),
        ("16777217.000000001", 0x4B800001),  # which a float64 would take for a tie
        ("340282356779733661637539395458142568447", 0x7F7FFFFF),
        ("340282356779733661637539395458142568448", 0x7F800000),
        ("1e47", 0x7F800000),
        (2.0**-150, 0),
        (Fraction(2**60 + 1, 2**210), 1),
    ],
)
def test_decimals_are_rounded_once(x, bits):
    assert qemb_spec.nearest(Fraction(x)) == bits


def test_as_a_program(tmp_path):
    good, bad = bases.linear().build(), bases.linear().build()[:-1]
    outputs = []
    for number, data in enumerate((good, bad)):
        path = tmp_path / f"{number}.qemb"
        path.write_bytes(data)
        run = subprocess.run([sys.executable, qemb_spec.__file__], input=data, capture_output=True, check=False)
        assert (run.returncode, run.stderr) == (number, b"")
        outputs.append({"exit": str(number), "output": json.loads(run.stdout)})
    assert outputs[0]["output"] == qemb_spec.answer(good)
    assert outputs[1]["output"]["error"] == "malformed.truncated"
    lines = "".join(json.dumps({"file": str(tmp_path / f"{number}.qemb")}) + "\n" for number in range(2))
    run = subprocess.run(
        [sys.executable, qemb_spec.__file__, "--jsonl"], input=lines, capture_output=True, text=True, check=True
    )
    assert [json.loads(line) for line in run.stdout.splitlines()] == outputs


def test_a_compressed_frame_needs_zstandard_and_nothing_else_does(monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(qemb_spec.Unsupported, match="zstd") as caught:
        qemb_spec.answer(bases.framed().build())
    assert caught.value.feature == "zstd"
    qemb_spec.answer(bases.linear().build())
