"""The readers that Kaitai Struct generates from spec/qemb.ksy see what the reference codec sees."""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import kaitaistruct
import numpy as np
import pytest

import bases
import qemb
import qemb_spec
from faults import FAULTS
from faults_more import in_order
from qemb import layout

ROOT = Path(__file__).parents[2]
FOLDER = Path("conformance/implementations/kaitai")
STRUCTURES = {"QUAN": "quantization", "TRNS": "transform", "SUBW": "subword"}


@pytest.fixture(scope="module")
def folder(npm_ci, tmp_path_factory):
    """The implementation, built in a copy, so that nothing else builds in the same place."""
    root = tmp_path_factory.mktemp("kaitai")
    shutil.copytree(ROOT / FOLDER, root / FOLDER, ignore=shutil.ignore_patterns("build", "node_modules"))
    (root / "spec").mkdir()
    shutil.copy(ROOT / "spec" / "qemb.ksy", root / "spec")
    npm_ci(root / FOLDER)
    subprocess.run(["node", root / FOLDER / "build.mjs"], check=True)
    return root / FOLDER


@pytest.fixture(scope="module")
def reader(folder):
    """The generated Python module."""
    spec = importlib.util.spec_from_file_location("qemb_ksy", folder / "build" / "qemb_ksy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Qemb


@pytest.fixture(scope="module")
def adapters(folder):
    return {"python": [sys.executable, folder / "adapter.py"], "javascript": ["node", folder / "adapter.mjs"]}


@pytest.fixture(scope="module")
def answers(adapters, tmp_path_factory):
    """What both adapters, which must agree, answer for each of many files."""

    def ask(files):
        target = tmp_path_factory.mktemp("files")
        lines = []
        for number, data in enumerate(files):
            (target / str(number)).write_bytes(data)
            lines.append(json.dumps({"file": str(target / str(number))}) + "\n")
        answered = {}
        for language, command in adapters.items():
            done = subprocess.run(
                [*command, "--jsonl"], input="".join(lines), capture_output=True, text=True, check=True
            )
            answered[language] = [json.loads(line) for line in done.stdout.splitlines()]
        for answer in answered["python"] + answered["javascript"]:
            answer["output"].pop("message", None)
        assert answered["python"] == answered["javascript"]
        assert len(answered["python"]) == len(lines)
        return answered["python"]

    return ask


def declared(data):
    """The answer of the profile `structure`, from the declarations of the codec."""

    def shown(name, value):
        if isinstance(value, bytes):
            return value.decode()
        return f"{value:08x}" if name.endswith("crc") else str(value)

    def fields(declaration, part):
        found = layout.parse(declaration, part, where="").items()
        plain = {name: value for name, value in found if name not in {"_io", "magic", "reserved"}}
        parameters = dict(plain.pop("parameters", {}))
        plain |= {name: value for name, value in parameters.items() if name not in {"_io", "reserved"}}
        return {name: shown(name, value) for name, value in plain.items()}

    answer = {"header": fields(layout.Header, data[:64]), "sections": []}
    for number in range(int(answer["header"]["section_count"])):
        entry = fields(layout.SectionEntry, data[64 + 40 * number :][:40])
        answer["sections"].append(entry)
        if entry["kind"] in STRUCTURES:
            start, size = int(entry["offset"]), int(entry["stored_size"])
            name = STRUCTURES[entry["kind"]]
            answer[name] = fields(getattr(layout, name.capitalize()), data[start : start + size])
    return answer


def first_error(data):
    """The code that the specification as a program gives; None where two faults make a file that is good."""
    try:
        qemb_spec.answer(data)
    except qemb_spec.Rejected as error:
        return error.code
    return None


def test_both_readers_give_the_fields_that_the_codec_declares(answers):
    backwards = [base() for base in bases.BASES]
    for file in backwards:
        file.sections.reverse()
    files = [base().build() for base in bases.BASES] + [file.build() for file in backwards]
    files += [path.read_bytes() for path in sorted((ROOT / "spec" / "examples").glob("*.qemb"))]
    for data, answer in zip(files, answers(files), strict=True):
        assert answer == {"exit": "0", "output": declared(data)}
        assert answer["output"].items() <= qemb_spec.answer(data).items()


def test_integers_past_those_that_a_double_holds(answers):
    file = bases.rotated()
    file.patch("TRNS", 8, bytes([1, 0, 0, 0, 0, 0, 0x20, 0]))
    (answer,) = answers([file.build()])
    assert answer["output"]["transform"]["seed"] == str(2**53 + 1)


def test_one_file_on_standard_input(adapters):
    good, bad = bases.linear().build(), bases.linear().build()[:-1]
    for command in adapters.values():
        done = subprocess.run(command, input=good, capture_output=True, check=False)
        assert (done.returncode, json.loads(done.stdout)) == (0, declared(good))
        done = subprocess.run(command, input=bad, capture_output=True, check=False)
        assert (done.returncode, json.loads(done.stdout)["error"]) == (1, "malformed.truncated")


def test_faults_that_the_checks_1_to_4_find(answers):
    faults = [fault for fault in FAULTS if fault.rank[0] <= 4]
    found = [answer["output"].get("error") for answer in answers(fault.bytes() for fault in faults)]
    assert found == [fault.code for fault in faults]


def test_of_two_faults_the_first(answers):
    files, expected = [], []
    pairs = [pair for base in bases.BASES for pair in combinations(in_order(base), 2)]
    for first, second in pairs:
        if second.rank[0] > 4:
            continue
        file = first.base()
        first.apply(file)
        try:
            second.apply(file)
        except StopIteration:
            continue  # the section is gone
        files.append(file.build())
        expected.append(first_error(files[-1]))
    assert [answer["output"].get("error") for answer in answers(files)] == expected
    assert len(files) > 1000


class Counted(io.FileIO):
    """A file that counts what is read of it."""

    count = 0

    def read(self, size=-1):
        data = super().read(size)
        self.count += len(data)
        return data


def test_opening_a_large_file_reads_the_header_and_the_table(reader, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "large.qemb"
    words = [f"word {row}" for row in range(20_000)]
    qemb.write(path, words, rng.normal(size=(len(words), 64)).astype(np.float32), bits=8)
    with Counted(path) as stored:
        file = reader(kaitaistruct.KaitaiStream(stored))
        # each entry is looked for among those before it (QEMB-TAB-03)
        assert stored.count < 64 + 40 * len(file.sections) ** 2
        assert {name: str(getattr(file.header, name)) for name in ("rows", "dim")} == {"rows": "20000", "dim": "64"}
        assert file.quantization.bits == 8
        assert stored.count < 10_000
    assert path.stat().st_size > 1_000_000


@pytest.mark.parametrize(
    "options",
    [
        {"bits": 8, "scheme": "linear"},
        {"bits": 4, "scheme": "codebook", "scale_dtype": "float16"},
        {"bits": 2, "scheme": "trellis", "scale_dtype": "float32"},
        {"scheme": "exact"},
        {"bits": 8, "scheme": "linear", "compress": True},
    ],
    ids=str,
)
def test_bodies_hold_the_bytes_of_their_sections(reader, tmp_path, options):
    rng = np.random.default_rng(1)
    path = tmp_path / "some.qemb"
    vectors = rng.integers(-99, 99, size=(500, 12)).astype(np.float32) / 100
    qemb.write(path, [f"w{row}" for row in range(500)], vectors, **options)
    data = path.read_bytes()
    with reader.from_file(path) as file:
        types = {"TOKO": "<u4", "INDX": "<u4", "NORM": "<f4", "OFFS": "<f4"}
        types["SCAL"] = "<u2" if file.quantization.scale_type == layout.FloatType.FLOAT16 else "<f4"
        for section in file.sections:
            stored = data[section.offset : section.offset + section.stored_size]
            body = section.body
            if section.framed:
                frames = b"".join(frame.stored for frame in section.frame_table)
                assert frames == stored[: len(stored) - 16 * section.frames]
            elif section.name in {"CODE", *layout.HIGH_KINDS}:
                assert len(body.rows) == len(vectors)
                assert b"".join(body.rows) == stored
            elif section.name in types:
                assert np.array(body.elements, types[section.name]).tobytes() == stored
            elif section.name == "LEVL":
                assert np.array(body.of_states, np.int8).tobytes() == stored
            elif section.name in {"TOKB", "META"}:
                assert body == stored


ARRAYS = """
const KaitaiStream = require("kaitai-struct/KaitaiStream");
const { Qemb } = require("./build/qemb_ksy.js");
const file = new Qemb(new KaitaiStream(require("node:fs").readFileSync(0)));
const array = (body) => body.elements ?? body.ofStates ?? body.rows?.map((row) => [...row]) ?? null;
console.log(JSON.stringify(Object.fromEntries(file.sections.map(({ name, body }) => [name, array(body)]))));
"""


@pytest.mark.parametrize("base", [bases.linear, bases.split, bases.codebook], ids=lambda base: base.__name__)
def test_arrays_are_the_same_in_javascript(folder, reader, base):
    def array(body):
        if hasattr(body, "rows"):
            return [list(row) for row in body.rows]
        return getattr(body, "elements", getattr(body, "of_states", None))

    data = base().build()
    done = subprocess.run(["node", "-e", ARRAYS], input=data, capture_output=True, cwd=folder, check=True)
    sections = reader.from_bytes(data).sections
    assert json.loads(done.stdout) == {section.name: array(section.body) for section in sections}


def test_product_levels_exceptions_and_counts(reader):
    file = reader.from_bytes(bases.product().build())
    by_name = {section.name: section for section in file.sections}
    values = [code.sub_vectors[k].values for code in by_name["LEVL"].body.of_codes for k in range(2)]
    assert values == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12]]
    file = reader.from_bytes(bases.decimal().build())
    (entry,) = next(section for section in file.sections if section.name == "EXCP").body.entries
    assert (entry.position, entry.bits) == (2, 0x80000000)
    file = reader.from_bytes(bases.linear().build())
    assert next(section for section in file.sections if section.name == "CNTS").body.elements == [9, 7, 5, 3]


@pytest.mark.parametrize("place", ["header", "sections", "quantization"])
def test_the_generated_reader_refuses_what_is_not_valid(reader, place):
    file = bases.linear()
    if place == "header":
        file.set(dim=0)
    elif place == "sections":
        file["CODE"].entry["codec"] = 2
    else:
        file.patch("QUAN", 1, b"\0")
    with pytest.raises(kaitaistruct.ValidationExprError):
        _ = reader.from_bytes(file.build()).quantization
