"""Implementations agree on damaged files; one that does not is found out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from agree import ROOT, Panel, agree, built
from qemb_conformance.implementations import Implementation, load_implementations
from wrong_decoders import BUGS, SOURCE

IMPLEMENTATIONS = load_implementations(ROOT / "conformance")


def test_all_full_implementations_agree(require, alone):
    with ExitStack() as stack:
        for each in (each for each in IMPLEMENTATIONS if each.profile == "full"):
            require(*each.needs)
            stack.enter_context(alone(each))
        counts, found = agree(built(["full"]), 600, seed=0)
    assert [(number, wrong) for number, _, wrong in found] == []
    assert counts["compared"] + counts["left out, too large"] == 600
    assert counts["compared"] > 550
    assert counts["verified"] > 30


@pytest.fixture
def with_bug(tmp_path):
    """Makes `spec-decoder` and the same with a bug, by the bug's name."""

    def make(name):
        (bug,) = (bug for bug in BUGS if bug.name == name)
        Path(tmp_path, "wrong.py").write_text(SOURCE.replace(bug.old, bug.new), "utf-8")
        right = next(each for each in IMPLEMENTATIONS if each.name == "spec-decoder")
        return [right, Implementation("wrong", "full", f"python {tmp_path / 'wrong.py'}", jsonl=True)]

    return make


@pytest.mark.parametrize("name", ["unsigned levels", "padding not looked at"])
def test_a_bug_is_found(with_bug, name):
    _, ((_, data, wrong), *_) = agree(with_bug(name), 300, seed=0)
    with Panel(with_bug(name)) as panel:
        expected, again, _ = panel.ask(data)
    assert {"expected": f"{expected.kind} {expected.word}", **again} == wrong
