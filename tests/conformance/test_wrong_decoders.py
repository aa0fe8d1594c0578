"""The corpus finds every decoder out that has a bug, by the cases of the requirement that the bug is against."""

from __future__ import annotations

from pathlib import Path

import pytest

import qemb_spec
from qemb_conformance.adapters import Outcome
from qemb_conformance.cases import load_corpus
from qemb_conformance.judging import judge
from wrong_decoders import BUGS

CASES = load_corpus(Path(__file__).parents[2] / "conformance").cases


def passes(decoder, case):
    """Whether the runner takes what a decoder makes of a case."""
    try:
        outcome = Outcome("answer", answer=decoder.answer(case.file.read_bytes()))
    except decoder.Rejected as error:
        outcome = Outcome("error", error.code)
    except Exception as error:  # noqa: BLE001  (a decoder with a bug may raise anything)
        outcome = Outcome("crash", str(error))
    return judge(case, outcome, "full", lambda case: qemb_spec.answer(case.file.read_bytes())).passed


def test_the_decoder_without_a_bug_passes_every_case():
    assert [case.id for case in CASES if not passes(qemb_spec, case)] == []


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_bug_is_found(bug):
    decoder = bug.decoder()
    cases = [case for case in CASES if bug.requirement in case.requirements]
    assert not all(passes(decoder, case) for case in cases), f"none of {len(cases)} cases of {bug.requirement} finds it"
