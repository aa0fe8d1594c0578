"""Bad files: a fault gets its code whatever else is wrong behind it. Each alone is a case of the conformance corpus."""

from __future__ import annotations

from itertools import combinations

import pytest

import bases
import qemb
import qemb_spec
import rawfile
from fault import apart
from faults_more import both, in_order


def first_error(data):
    """The code of what opening or verifying says; None where the file is good."""
    try:
        with qemb.open(data) as embedding:
            embedding.verify()
    except qemb.QembError as error:
        return error.code
    return None


@pytest.mark.parametrize("base", bases.BASES, ids=lambda base: base.__name__)
def test_of_two_faults_the_first_in_the_order_of_checks_is_reported(base):
    pairs = 0
    for first, second in combinations(in_order(base), 2):
        if apart(first, second):
            data = both(first, second).bytes()
            assert first_error(data) == first.code, f"{first.name}, and {second.name}"
            with pytest.raises(qemb_spec.Rejected) as caught:
                qemb_spec.answer(data)
            assert caught.value.code == first.code, f"{first.name}, and {second.name}"
            pairs += 1
    assert pairs


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data.replace(b"\r\n", b"\n"), "as text"),
        (lambda data: data.replace(b"\n", b"\r\n"), "as text"),
        (lambda data: data.decode("latin-1").encode("utf-8"), "as text"),
        (lambda data: data.decode("utf-8", "replace").encode("utf-8"), "as text"),
        (lambda data: bytes(byte & 0x7F for byte in data), "7-bit"),
        (lambda data: data.split(b"\x1a")[0], "a header has 64"),
        (lambda data: b"the 0.1 0.2\n", "not a .qemb file"),
    ],
    ids=["CR LF to LF", "LF to CR LF", "Latin-1 to UTF-8", "not UTF-8 replaced", "7 bits", "control-Z", "GloVe"],
)
def test_the_message_says_what_a_transfer_as_text_did(damage, message):
    with pytest.raises(qemb.MalformedError, match=message):
        qemb.open(damage(bases.linear().build()))


@pytest.mark.parametrize("base", bases.BASES, ids=lambda base: base.__name__)
def test_truncated_anywhere(base):
    data = base().build()
    for length in range(len(data)):
        assert first_error(data[:length]) == "malformed.truncated", length


@pytest.mark.parametrize("minor", [1, 65_535])
def test_newer_minor_versions_are_accepted(minor):
    file = bases.linear()
    file.set(minor=minor, optional_features=0xFFFF_FFFF)
    assert first_error(file.build()) is None
    assert qemb.open(file.build()).info.version == f"1.{minor}"


@pytest.mark.parametrize("kind", ["NEWS", "news", "x2Y9"])
@pytest.mark.parametrize("flags", [0, rawfile.COPY_SAFE])
def test_unknown_ancillary_sections_are_passed_over(kind, flags):
    file = bases.linear()
    file.insert(kind, b"whatever", flags=flags).entry.update(codec=77, raw_size=2**63, frame_size=5)
    data = file.build()
    assert first_error(data) is None
    assert qemb.open(data).info.sections[kind] == 8


def test_a_message_says_what_where_and_at_which_byte():
    data = bytearray(bases.linear().build())
    at = data.index(b"license")
    data[at] ^= 1
    with pytest.raises(qemb.MalformedError) as caught:
        qemb.open(bytes(data)).verify()
    error = caught.value
    assert (error.code, error.where, error.offset) == ("malformed.section_checksum", "section META", at - 2)
    assert str(error).endswith(f"(section META, byte {at - 2}, malformed.section_checksum)")
    assert "\n" not in str(error)
