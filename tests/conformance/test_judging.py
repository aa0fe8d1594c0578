"""What the protocol says is right and wrong, case by case: profiles, features, keys, NaN, digests."""

from __future__ import annotations

import copy
import hashlib
import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemb_conformance.adapters import Outcome
from qemb_conformance.cases import Case, load_corpus
from qemb_conformance.differences import compare, describe
from qemb_conformance.digests import resolve
from qemb_conformance.judging import judge
from qemb_conformance.random_cases import features_of

CORPUS = Path(__file__).parents[2] / "conformance"
STRUCTURE = ("header", "sections", "quantization")
ANSWER = {
    "header": {"rows": "2", "tokens": "1", "dim": "2"},
    "sections": [{"kind": "QUAN", "flags": "1"}, {"kind": "SUBW", "flags": "0"}],
    "quantization": {"level": "0", "bits": "8"},
    "subword": {"hash": "1"},
    "tokens": ["78"],
    "vectors": [["3f800000", "7fc00000"], ["00000000", "80000000"]],
    "lookups": ["0", "absent", "absent"],
    "subword_vectors": ["none", ["3f800000", "7fc00000"]],
    "counts": ["18446744073709551615"],
}


@pytest.fixture
def case(tmp_path):
    """A case; good, and needing no more than `core`, where nothing else is said."""

    def make(answer=ANSWER, **fields):
        expected = tmp_path / "answer.json"
        expected.write_text(json.dumps(answer))
        known = {
            "id": "valid/x/y",
            "file": tmp_path / "file.qemb",
            "good": True,
            "profile": "core",
            "requirements": ("QEMB-LIN-01",),
            "features": frozenset({"linear", "subwords"}),
            "guards": "a bug",
            "description": "A file.",
            "expected": expected,
        }
        return Case(**known | fields)

    return make


@pytest.fixture
def bad(case):
    def make(check, profile):
        return case(good=False, error="invalid.scale", check=check, profile=profile, features=frozenset({"linear"}))

    return make


def marks(case, outcome, profile="full"):
    result = judge(case, outcome, profile, lambda _: None)
    assert result.passed == (not result.wrong)
    return result.verdict, result.precise, result.answered


def answers(**changes):
    """An answer with some keys changed, those changed to None left out."""
    return Outcome("answer", answer={k: v for k, v in (ANSWER | changes).items() if v is not None})


RIGHT, WRONG_ANSWER, WRONG, LEFT = (True, True, True), (True, False, True), (False, False, True), (True, True, False)
CRASH, REFUSED = Outcome("crash", "killed"), Outcome("error", "invalid.scale")


def lacks(feature):
    return Outcome("unsupported", feature)


# --- good files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["structure", "core", "full"])
def test_a_good_file(case, profile):
    assert marks(case(), answers(), profile) == RIGHT
    assert marks(case(), answers(note=["kept"]), profile) == RIGHT
    assert marks(case(), CRASH, profile) == WRONG
    assert marks(case(), REFUSED, profile) == WRONG
    # within the profile; but `structure` has no other way to say that it does not decode the file
    assert marks(case(), lacks("linear"), profile) == (LEFT if profile == "structure" else WRONG)
    assert marks(case(), lacks("zstd"), profile) == WRONG  # not even a feature of the file
    # what is there must be right, asked for or not
    assert marks(case(), answers(vectors=[["3f800000", "7fc00000"], ["00000000", "00000000"]]), profile) == WRONG_ANSWER
    assert marks(case(), answers(header={"rows": "2", "tokens": "1", "dim": "3"}), profile) == WRONG_ANSWER
    assert marks(case(), answers(norms=["3f800000"]), profile) == WRONG_ANSWER  # the file has none


@pytest.mark.parametrize("key", ANSWER)
def test_keys_that_each_profile_asks_for(case, key):
    gone = answers(**{key: None})
    structure = key in {*STRUCTURE, "subword"}
    assert marks(case(), gone, "full") == WRONG_ANSWER
    assert marks(case(), gone, "core") == (RIGHT if key == "subword_vectors" else WRONG_ANSWER)
    assert marks(case(), gone, "structure") == (WRONG_ANSWER if structure else RIGHT)


def test_a_good_file_past_the_profile(case):
    past = case(profile="full", features=frozenset({"linear", "transform"}))
    assert marks(past, lacks("transform"), "core") == LEFT
    assert marks(past, lacks("linear"), "core") == LEFT
    assert marks(past, lacks("zstd"), "core") == WRONG
    assert marks(past, answers(vectors=None, lookups=None), "core") == RIGHT
    assert marks(past, answers(tokens=["79"]), "core") == WRONG_ANSWER
    assert marks(past, CRASH, "core") == WRONG
    assert marks(past, REFUSED, "core") == WRONG
    assert marks(past, lacks("transform"), "full") == WRONG
    assert marks(past, lacks("transform"), "structure") == LEFT
    assert marks(past, lacks("zstd"), "structure") == WRONG
    # every good file has structures
    assert marks(past, answers(header=None), "structure") == WRONG_ANSWER


# --- bad files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["structure", "core", "full"])
@pytest.mark.parametrize("check", [1, 3, 4, 8])
def test_a_bad_file(bad, profile, check):
    case = bad(check, "structure" if check <= 3 else "core")
    assert marks(case, REFUSED, profile) == RIGHT
    assert marks(case, Outcome("error", "invalid.offset"), profile) == WRONG_ANSWER
    assert marks(case, CRASH, profile) == WRONG
    past = profile == "structure" and check > 3
    assert marks(case, answers(), profile) == (LEFT if past else WRONG)
    assert marks(case, lacks("linear"), profile) == (LEFT if past else WRONG)
    assert marks(case, lacks("zstd"), profile) == WRONG


def test_a_bad_file_past_the_profile_core(bad):
    case = bad(8, "full")
    assert marks(case, lacks("linear"), "core") == LEFT
    assert marks(case, REFUSED, "core") == RIGHT
    assert marks(case, answers(), "core") == WRONG  # who decodes it has to check it


# --- values -----------------------------------------------------------------------------------------------------------


def fields(got, expected=ANSWER):
    return [difference.field for difference in compare(expected, got, optional=frozenset())]


def test_each_difference_is_named():
    got = copy.deepcopy(ANSWER)
    got["vectors"][1][0] = "80000000"
    got["sections"][1]["flags"] = "1"
    del got["header"]["dim"]
    got["counts"] = ["18446744073709551614"]
    got["lookups"] = ["0", "absent"]
    got["tokens"] = "78"
    assert fields(got) == [
        "header.dim", "sections[1].flags", "tokens", "vectors[1][0]", "the length of lookups", "counts[0]"
    ]  # fmt: skip


def test_values_that_are_only_written_wrongly():
    def shown(got):
        (difference,) = compare(ANSWER, ANSWER | got, optional=frozenset())
        return difference.got

    assert shown({"header": {"rows": "02", "tokens": "1", "dim": "2"}}) == "02 (to be without leading zeros)"
    assert shown({"vectors": [["3F800000", "7fc00000"], ANSWER["vectors"][1]]}) == "3F800000 (to be lower case)"
    kinds = [{"kind": "5155414e", "flags": "1"}, ANSWER["sections"][1]]
    assert shown({"sections": kinds}) == "5155414e (to be its four characters)"
    assert shown({"counts": ["18446744073709551614"]}) == "18446744073709551614"
    assert shown({"vectors": [["003f800000", "7fc00000"], ANSWER["vectors"][1]]}) == "003f800000"


def test_a_nan_is_any_nan_where_an_operation_may_have_made_it():
    other = {"vectors": [["3f800000", "ffc00001"], ["00000000", "80000000"]]}
    assert fields(ANSWER | other) == ["vectors[0][1]"]
    rotated = ANSWER | {"transform": {"kind": "1"}}
    assert fields(rotated | other, rotated) == []
    assert fields(ANSWER | {"subword_vectors": ["none", ["3f800000", "ff800001"]]}) == []
    # infinity is none, nor is a number; nor NaN for a number
    for bits in ("7f800000", "3f800000", "7FC00000", "7fc0000", ""):
        wrong = {"subword_vectors": ["none", ["3f800000", bits]]}
        assert fields(ANSWER | wrong) == ["subword_vectors[1][1]"]
    assert fields(ANSWER | {"subword_vectors": ["none", ["7fc00000", "7fc00000"]]}) == ["subword_vectors[1][0]"]


def test_zeros_have_signs():
    assert fields(ANSWER | {"vectors": [["3f800000", "7fc00000"], ["80000000", "80000000"]]}) == ["vectors[1][0]"]


def test_values_are_shown_as_bits_and_as_what_they_stand_for():
    assert describe("vectors[3][17]", "bf787de6") == "bf787de6 = -0.970671058"
    assert describe("norms[0]", "7f800000") == "7f800000 = inf"
    assert describe("tokens[0]", "6e61c3af") == "6e61c3af = b'na\\xc3\\xaf'"
    assert describe("tokens[0]", "xyz") == "xyz, which is not hexadecimal"
    assert describe("tokens[0]", "") == "the empty string"
    assert describe("vectors[0][0]", "1.5") == "1.5"


# --- digests ----------------------------------------------------------------------------------------------------------

LONG = {
    "header": {"rows": "3", "dim": "2"},
    "metadata": "7b7d",
    "tokens": ["78", "", "c3af"],
    "vectors": [["3f800000", "80000000"], ["7fc00001", "00000001"], ["ff800000", "40490fdb"]],
    "lookups": ["0", "1", "2", "absent", "2"],
    "norms": ["3f800000", "7f800000", "00000000"],
    "counts": ["0", "1", "18446744073709551615"],
}


def digest(data, count):
    return {"count": str(count), "sha256": hashlib.sha256(data).hexdigest(), "probes": {}}


def short():
    """The same with digests, by the words of PROTOCOL.md."""
    floats = [int(value, 16) for row in LONG["vectors"] for value in row]
    tokens = [bytes.fromhex(token) for token in LONG["tokens"]]
    return {
        "header": LONG["header"],
        "metadata": digest(b"{}", 2),
        "tokens": digest(b"".join(struct.pack("<I", len(token)) + token for token in tokens), 3),
        "vectors": digest(struct.pack("<6I", *floats), 6),
        "lookups": digest(struct.pack("<5q", 0, 1, 2, -1, 2), 5),
        "norms": digest(struct.pack("<3I", 0x3F800000, 0x7F800000, 0), 3),
        "counts": digest(struct.pack("<3Q", 0, 1, 2**64 - 1), 3),
    }


def unreachable():
    raise AssertionError


def test_what_agrees_with_its_digest_is_right():
    assert resolve(short(), LONG, unreachable) == LONG


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("metadata", "7B7d"),
        ("metadata", "7b20"),
        ("metadata", ["7b", "7d"]),
        ("tokens", ["78", "c3", "af"]),  # the same bytes, cut elsewhere
        ("tokens", ["78", "", "C3AF"]),
        ("tokens", ["78", "", "c3a"]),
        ("vectors", [["3f800000"], ["80000000", "7fc00001"], ["00000001", "ff800000", "40490fdb"]]),
        ("vectors", [["3f800000", "80000000", "7fc00001"], ["00000001", "ff800000", "40490fdb"]]),
        ("vectors", [["3f800000", "80000000"], ["7fc00000", "00000001"], ["ff800000", "40490fdb"]]),
        ("vectors", "3f800000"),
        ("vectors", [["3F800000", "80000000"], ["7fc00001", "00000001"], ["ff800000", "40490fdb"]]),
        ("lookups", ["0", "1", "2", "-1", "2"]),
        ("lookups", ["0", "1", "02", "absent", "2"]),
        ("norms", ["3f800000", "7f800000"]),
        ("counts", ["0", "1", "18446744073709551616"]),
        ("counts", ["0", "+1", "18446744073709551615"]),
        ("counts", "018"),
        ("counts", ["0", ["1"], "18446744073709551615"]),
    ],
)
def test_what_does_not_is_compared_in_full(key, value):
    resolved = resolve(short(), LONG | {key: value}, lambda: LONG)
    assert resolved == LONG
    assert list(compare(resolved, LONG | {key: value}, optional=frozenset()))
    # without the full answer there is a difference all the same
    kept = resolve(short(), LONG | {key: value}, lambda: None)
    assert [d.field for d in compare(kept, LONG | {key: value}, optional=frozenset())] == [key]


def test_any_nan_in_a_digest_of_rotated_vectors():
    rotated = short() | {"transform": {}}
    bits = [0x3F800000, 0x80000000, 0x7FC00000, 1, 0xFF800000, 0x40490FDB]  # the payload is not looked at
    rotated["vectors"] = digest(struct.pack("<6I", *bits), 6)
    assert resolve(rotated, LONG, unreachable)["vectors"] == LONG["vectors"]


@given(st.integers(0, 2), st.integers(0, 1), st.integers(0, 31))
def test_any_bit_of_any_value_counts(row, column, bit):
    got = copy.deepcopy(LONG)
    got["vectors"][row][column] = f"{int(got['vectors'][row][column], 16) ^ 1 << bit:08x}"
    resolved = resolve(short(), got, lambda: LONG)
    assert [d.field for d in compare(resolved, got, optional=frozenset())] == [f"vectors[{row}][{column}]"]


# --- the corpus -------------------------------------------------------------------------------------------------------


def test_features_are_found_as_the_manifest_lists_them():
    """Two programs, written apart, on what it takes to decode each good file."""
    for case in load_corpus(CORPUS).cases:
        if case.good:
            assert features_of(case.file.read_bytes(), case.answer()) == case.features, case.id
