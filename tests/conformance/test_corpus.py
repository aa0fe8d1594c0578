"""The corpus is what its generator makes, covers what it has to, and the codec agrees with every verdict in it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import qemb

ROOT = Path(__file__).parents[2]
CONFORMANCE = ROOT / "conformance"
MANIFEST = json.loads((CONFORMANCE / "manifest.json").read_text("utf-8"))
CASES = MANIFEST["cases"]


def test_the_generator_makes_the_same_files_and_finds_no_hole():
    build = [sys.executable, CONFORMANCE / "generator" / "build.py", "--check"]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_manifest_is_as_its_schema_says():
    schema = json.loads((CONFORMANCE / "manifest.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(MANIFEST)


def test_there_are_enough_cases():
    verdicts = [case["verdict"] for case in CASES]
    assert verdicts.count("valid") >= 150
    assert verdicts.count("invalid") >= 250
    assert len({case["id"] for case in CASES}) == len(CASES)


def numbers(value):
    """What stands in JSON and is neither string nor array nor object."""
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [] if isinstance(value, str) else [value]


def test_answers_are_made_of_strings():
    expected = [case["expected"] for case in CASES if case["verdict"] == "valid"]
    for path in ["manifest.json", *expected]:
        assert numbers(json.loads((CONFORMANCE / path).read_text("utf-8"))) == [], path


@pytest.mark.parametrize("verdict", ["valid", "invalid"])
def test_the_codec_agrees(verdict):
    """That is, with the first error; what it decodes is compared by the runner."""
    wrong = []
    for case in CASES:
        if case["verdict"] != verdict or case.get("error") == "limit.memory":
            continue
        data = (CONFORMANCE / case["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == case["sha256"]
        found = None
        try:
            with qemb.open(data) as embedding:
                embedding.verify()
        except qemb.QembError as error:
            found = error.code
        if found != case.get("error"):
            wrong.append(f"{case['id']}: {found}")
    assert not wrong
