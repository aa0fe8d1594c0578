"""The specification is current, and what it quotes is true."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import qemb
from qemb.checksum import crc32c
from qemb.transform import splitmix64
from rawread import decode

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "spec"
TEXT = (SPEC / "qemb.md").read_text("utf-8")
REQUIREMENTS = json.loads((SPEC / "requirements.json").read_text("utf-8"))["requirements"]
ERRORS = json.loads((SPEC / "errors.json").read_text("utf-8"))["errors"]
EXAMPLES = sorted(path.name for path in (SPEC / "examples").glob("*.qemb"))


def walk_through(name):
    """The part of the specification that walks through one example."""
    title = re.search(rf"^### \S+ `{re.escape(name)}`$", TEXT, re.MULTILINE)
    return re.split(r"^#|^<!-- end", TEXT[title.end() :], maxsplit=1, flags=re.MULTILINE)[0]


def undump(lines):
    """The bytes of a hexdump; a line that is ``*`` stands for zeros."""
    data = bytearray()
    for line in lines:
        if line != "*":
            offset, rest = int(line[:8], 16), line[8:57]
            data += bytes(offset - len(data))
            data += bytes.fromhex(rest)
    return bytes(data)


def test_generated_parts_are_current():
    result = subprocess.run(
        [sys.executable, SPEC / "build.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_there_are_examples():
    assert EXAMPLES == ["codebook.qemb", "linear.qemb", "trellis.qemb"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_hexdumps_are_the_files(name):
    dump = walk_through(name).split("```")[1].strip().splitlines()
    assert undump(dump) == (SPEC / "examples" / name).read_bytes()


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_decode_to_the_bits_that_the_text_shows(name):
    path = SPEC / "examples" / name
    rows = re.findall(r"^\| \d+ \| [01]+ \|.*\| `([0-9a-f]{8})` \|$", walk_through(name), re.MULTILINE)
    shown = [int(bits, 16) for bits in rows]
    tokens, vectors = decode(path.read_bytes())
    assert shown
    assert [struct.unpack("<I", struct.pack("<f", value))[0] for vector in vectors for value in vector] == shown
    with qemb.open(path) as embedding:
        embedding.verify()
        assert embedding.matrix().view("<u4").ravel().tolist() == shown
        assert [embedding.tokens.raw(row) for row in range(len(embedding))] == tokens


def test_every_error_of_files_has_a_requirement():
    named = {code for requirement in REQUIREMENTS for code in requirement["errors"]}
    assert named == {error["code"] for error in ERRORS if error["of"] == "file"}


def test_error_codes_are_unique():
    codes = [error["code"] for error in ERRORS]
    assert len(set(codes)) == len(codes)
    assert {error["of"] for error in ERRORS} == {"file", "input"}


def test_requirements_ascend_in_each_group():
    identifiers = [requirement["id"] for requirement in REQUIREMENTS]
    groups = {}
    for identifier in identifiers:
        prefix, group, number = re.fullmatch(r"(QEMB)-([A-Z]{3})-(\d\d)", identifier).groups()
        assert prefix == "QEMB"
        groups.setdefault(group, []).append(int(number))
    for group, numbers in groups.items():
        assert numbers[0] == 1, group
        assert all(first < second for first, second in pairwise(numbers)), group
    together = [group for group, _ in pairwise([*(i.split("-")[1] for i in identifiers), None])]
    runs = [group for group, following in pairwise([*together, None]) if group != following]
    assert len(runs) == len(groups), "the requirements of a group stand together"


def test_the_crc_that_is_quoted():
    data, value = re.search(r"CRC-32C of the nine bytes `(\d+)` is ([0-9A-F]{8})", TEXT).groups()
    assert crc32c(data.encode()) == int(value, 16)


def test_the_first_word_of_the_generator_that_is_quoted():
    word = re.search(r"From seed 0 the first\s+word is ([0-9A-F]{16})", TEXT)[1]
    assert splitmix64(0, 1) == [int(word, 16)]
