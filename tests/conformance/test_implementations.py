"""Every implementation of the repository is built and passes the whole corpus, in its profile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qemb_conformance import cli
from qemb_conformance.cases import load_corpus
from qemb_conformance.implementations import load_implementations

CORPUS = Path(__file__).parents[2] / "conformance"
IMPLEMENTATIONS = load_implementations(CORPUS)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS, ids=lambda entry: entry.name)
def test_it_passes_the_corpus(implementation, require, alone, tmp_path, capsys):
    require(*implementation.needs)
    report = tmp_path / "report.json"
    with alone(implementation):
        code = cli.main(["--implementation", implementation.name, "--json", str(report)])
    assert code == 0, capsys.readouterr().out
    decoder, *encoder = json.loads(report.read_text())
    assert decoder["cases"] == len(decoder["results"]) == len(load_corpus(CORPUS).cases)
    assert decoder["asked"] == decoder["passed"]
    assert len(encoder) == bool(implementation.encoder)
    if implementation.profile == "full":
        assert decoder["asked"] == decoder["cases"]


def test_the_format_is_read_in_four_languages_without_exception():
    profiles = {entry.name: entry.profile for entry in IMPLEMENTATIONS}
    full = {name for name, profile in profiles.items() if profile == "full"}
    assert {"reference", "spec-decoder", "javascript", "c"} <= full
    assert profiles["kaitai-javascript"] == profiles["kaitai-python"] == "structure"
    assert not any(entry.expected_failures for entry in IMPLEMENTATIONS)
