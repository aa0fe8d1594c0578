"""The reader in C builds without a warning, answers right, and comes to no harm by damaged files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import bases
import qemb_spec
from faults import FAULTS
from parts import parse

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "conformance" / "implementations" / "c"
EXAMPLES = sorted((ROOT / "spec" / "examples").glob("*.qemb"))


def make(build, *arguments, **variables):
    """Run make with all that it builds in ``build``; what it and the compiler have to say."""
    command = ["make", "-C", FOLDER, f"BUILD={build}", *(f"{name}={value}" for name, value in variables.items())]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, env=clean)


@pytest.fixture(scope="module")
def sanitized(require, tmp_path_factory):
    """Folder of the programs under sanitizers."""
    require("make", "gcc")
    build = tmp_path_factory.mktemp("build")
    made = make(build, "sanitize", CC="gcc")
    assert (made.returncode, made.stderr) == (0, "")
    return build / "sanitized"


def answers(adapter, files):
    """(exit code, output) for each file, from one process."""
    lines = "".join(json.dumps({"file": str(file)}) + "\n" for file in files)
    run = subprocess.run([adapter, "--jsonl"], input=lines, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(found) == len(files)
    return [(answer["exit"], answer["output"]) for answer in found]


def write_all(folder, datas):
    files = [folder / f"{number}.qemb" for number in range(len(datas))]
    for file, data in zip(files, datas, strict=True):
        file.write_bytes(data)
    return files


@pytest.fixture(scope="module")
def good_files(tmp_path_factory):
    return [*write_all(tmp_path_factory.mktemp("good"), [base().build() for base in bases.BASES]), *EXAMPLES]


@pytest.mark.parametrize(("compiler", "flags"), [("gcc", "-O3 -march=native -ffp-contract=fast"), ("clang", "-O2")])
def test_builds_without_a_warning_to_the_same_bits(compiler, flags, good_files, require, tmp_path):
    require("make", "gcc")
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not there")
    made = make(tmp_path, tmp_path / "adapter", CC=compiler, CFLAGS=flags)
    assert (made.returncode, made.stderr) == (0, "")
    for file, answer in zip(good_files, answers(tmp_path / "adapter", good_files), strict=True):
        assert answer == ("0", qemb_spec.answer(file.read_bytes()))


def test_fast_math_is_refused(require, tmp_path):
    require("make", "gcc")
    made = make(tmp_path, CC="gcc", CFLAGS="-O2 -ffast-math")
    assert made.returncode != 0
    assert "cannot be compiled with -ffast-math" in made.stderr


def test_good_files(sanitized, good_files):
    for file, answer in zip(good_files, answers(sanitized / "adapter", good_files), strict=True):
        assert answer == ("0", qemb_spec.answer(file.read_bytes())), file


def test_faults(sanitized, tmp_path):
    files = write_all(tmp_path, [fault.bytes() for fault in FAULTS])
    for fault, (code, output) in zip(FAULTS, answers(sanitized / "adapter", files), strict=True):
        assert (code, output["error"]) == ("1", fault.code), fault.name


METADATA = [
    (r'{"a":[1,{"a":"a"}],"b":-0.5e+9}', None),
    (r' { "" : "\ud83d" , "\ud83d\ud83d" : null } ', None),
    (r'{"a":1,"\u0061":2}', "invalid.metadata"),
    (r'{"\n\/":1,"\u000A/":2}', "invalid.metadata"),
    (r'{"b":0,"😀":1,"a":2,"\uD83D\uDE00":3}', "invalid.metadata"),
    (r'{"b":{"a":1},"a":{"b":1,"c":2,"b":3}}', "invalid.metadata"),
    (r'{"a":1,"a":2', "malformed.metadata"),
    (r'{"a":1,}', "malformed.metadata"),
    (r'{"a":01}', "malformed.metadata"),
    (r'{"a":"\x"}', "malformed.metadata"),
    (r'{"a":"\u00g0"}', "malformed.metadata"),
    ('{"a":"\t"}', "malformed.metadata"),
    ('\ufeff{"a":1}', "malformed.metadata"),
    ("", "malformed.metadata"),
    ('"' + "[" * 40, "malformed.metadata"),
    ("[" * 33, "invalid.metadata"),
    ("]" * 9 + "[" * 41, "malformed.metadata"),
    ("]" * 9 + "[" * 42, "invalid.metadata"),
    ("[1]", "invalid.metadata"),
    ("{" + ",".join(f'"{key}":0' for key in range(9999)) + "}", None),
    ("{" + ",".join(f'"{key % 9999}":0' for key in range(10_000)) + "}", "invalid.metadata"),
]


def test_metadata(sanitized, tmp_path):
    files = [bases.linear() for _ in METADATA]
    for file, (text, _) in zip(files, METADATA, strict=True):
        file["META"].data = text.encode()
    found = answers(sanitized / "adapter", write_all(tmp_path, [file.build() for file in files]))
    assert [output.get("error") for _, output in found] == [code for _, code in METADATA]


def test_paths_that_are_not_ascii(sanitized, tmp_path):
    file = tmp_path / 'naïve "😀\\.qemb'
    file.write_bytes(bases.linear().build())
    ((code, _),) = answers(sanitized / "adapter", [file])
    assert code == "0"


LINES = [
    ("{}", "a line is not {"),
    ('{"file"', "a line is not {"),
    ('{"file": "a', "a path does not end"),
    ('{"file": "a\\', "a path does not end"),
    ('{"file": "a\\u1', "a path has a \\u without four digits"),
    ('{"file": "\\ud83d\\u+de0"}', "a path has a \\u without four digits"),
    ('{"file": "' + "x" * 70_000, "a path does not end"),
]


@pytest.mark.parametrize(("line", "complaint"), LINES, ids=range(len(LINES)))
def test_a_line_that_names_no_file(sanitized, line, complaint):
    run = subprocess.run([sanitized / "adapter", "--jsonl"], input=line, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr.startswith(f"adapter: {complaint}")
    assert len(run.stderr.splitlines()) == 1


def test_standard_input(sanitized):
    good = bases.linear().build()
    for data, code in ((good, 0), (good[:-1], 1), (b"", 1)):
        run = subprocess.run([sanitized / "adapter"], input=data, capture_output=True, check=False)
        assert (run.returncode, run.stderr) == (code, b"")
        assert run.stdout.endswith(b"}\n")


def test_without_zstd_only_compressed_frames_are_not_read(sanitized, good_files, tmp_path):
    made = make(tmp_path, tmp_path / "adapter", ZSTD="no", CC="gcc", CFLAGS="-O0")
    assert (made.returncode, made.stderr) == (0, "")
    with_zstd, without = (answers(build / "adapter", good_files) for build in (sanitized, tmp_path))
    for base, before, after in zip(bases.BASES, with_zstd, without, strict=False):
        assert after == (("2", {"unsupported": "zstd"}) if base is bases.framed else before), base.__name__
    assert without[len(bases.BASES) :] == with_zstd[len(bases.BASES) :]


def test_a_missing_zstd_is_said(require, tmp_path):
    require("make", "gcc")
    made = make(tmp_path, "--dry-run", ZSTD="missing")
    assert "libzstd-dev" in made.stderr
    assert "QEMB_ZSTD" not in made.stdout


def test_damaged_files_do_no_harm(sanitized, good_files):
    """Each byte changed, each length; checksums mended too, so that the damage is read."""
    run = subprocess.run([sanitized / "fuzz", *good_files], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_libfuzzer_finds_nothing(require, tmp_path):
    require("make", "clang")
    run = make(tmp_path, "fuzz", FUZZ_ARGS="-runs=20000 -seed=1")
    assert run.returncode == 0, run.stderr[-3000:]
    assert "Custom" in run.stderr  # the mutator that mends checksums


def test_fuzzing_without_clang_says_so(require, tmp_path):
    require("make", "gcc")
    run = make(tmp_path, "fuzz", CLANG="no-such-clang")
    assert (run.returncode, "there is no 'no-such-clang'" in run.stderr) == (2, True)


def test_a_changed_byte_is_seen(sanitized, tmp_path):
    data = bases.linear().build()
    changed = [data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :] for at in range(len(data))]
    files = write_all(tmp_path, changed + [data[:length] for length in range(len(data))])
    assert {code for code, _ in answers(sanitized / "adapter", files)} == {"1"}


def test_example(sanitized, tmp_path):
    (tmp_path / "t.qemb").write_bytes(bases.linear().build())
    run = subprocess.run([sanitized / "example", tmp_path / "t.qemb", "a"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    first, *lines = run.stdout.splitlines()
    assert first == "a, row 0, 3 dimensions: 63.5 1 0.5"
    vectors = np.array(bases.LINEAR_ROWS)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    order = sorted({1, 2, 3}, key=lambda row: -(unit @ unit[0])[row])
    assert lines == [f"{(unit @ unit[0])[row]:.4f}  {bases.TOKENS[row].decode()}" for row in order]


def test_example_without_the_word(sanitized):
    run = subprocess.run([sanitized / "example", EXAMPLES[0], "nowhere"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (1, "", "example: the word is not in the file\n")


def test_example_refuses_a_bomb(sanitized, tmp_path):
    file = parse(bases.linear().build())
    file.dim = 1 << 24
    file.fit()
    (tmp_path / "t.qemb").write_bytes(file.build())
    assert (tmp_path / "t.qemb").stat().st_size < 100_000
    run = subprocess.run([sanitized / "example", tmp_path / "t.qemb", "a"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (1, "example: the file decodes to far more than it has bytes\n")


def test_the_readme(require, tmp_path):
    require("gcc")
    code = (FOLDER / "README.md").read_text("utf-8").split("```c\n")[1].split("```")[0]
    program = """#include <stdio.h>
#include <stdlib.h>
#include "qemb.h"
int main(void)
{
static unsigned char data[1 << 16];
size_t size = fread(data, 1, sizeof data, stdin);
%s
printf("%%.9g", (double)vector[0]);
free(scratch), free(vector);
}
"""
    (tmp_path / "readme.c").write_text(program % code, "utf-8")
    command = ["gcc", "-std=c11", "-Wall", "-Werror", f"-I{FOLDER}", "-o", tmp_path / "readme", tmp_path / "readme.c"]
    subprocess.run([*command, FOLDER / "qemb.c", "-lm"], check=True)
    for data, said in (
        ((ROOT / "spec" / "examples" / "linear.qemb").read_bytes(), "0.503937006"),
        (b"no", "malformed.magic\n"),
    ):
        assert (
            subprocess.run([tmp_path / "readme"], input=data, capture_output=True, check=False).stdout == said.encode()
        )
