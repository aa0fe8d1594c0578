"""A short run of what `make fuzz` does at length, and that the fuzzing finds what there is to find."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import exercise
import flips
import mutate
import qemb
import run
from parts import parse

FILES = mutate.corpus()
SEED = 3
each_part = pytest.mark.parametrize("part", range(4))


@each_part
def test_damaged_files_give_errors_or_numbers_and_nothing_else(part):
    for number in range(500 * part, 500 * (part + 1)):
        assert not run.measure(mutate.mutated(FILES, SEED, number)).findings, (SEED, number)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(FILES),
    st.lists(st.sampled_from(mutate.EDITS), max_size=4),
    st.lists(st.sampled_from(mutate.SCRATCHES), max_size=4),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_edits_one_on_top_of_the_other(data, edits, scratches, fit, rng):
    file = parse(data)
    for edit in edits:
        edit(rng, file, FILES)
    if fit:
        file.fit()
    changed = file.build()
    for scratch in scratches:
        scratch(rng, changed, FILES)
    mutate.mend(changed)
    assert not run.measure(bytes(changed)).findings


@pytest.mark.parametrize("name", flips.FILES)
def test_a_bit_that_changes_is_noticed(name):
    codes, findings = flips.flip(name, step=61)
    assert not findings
    assert codes.total() > 70


# --- the fuzzing itself ---------------------------------------------------------------------------------------------


def test_damage_reaches_past_the_checks():
    opened, codes = 0, Counter()
    for number in range(1500):
        try:
            with qemb.open(mutate.mutated(FILES, SEED, number)) as emb:
                opened += 1
                emb.verify()
                codes["good"] += 1
        except qemb.QembError as error:
            codes[error.code] += 1
    assert opened > 300
    assert codes["good"] > 100
    assert len(codes) > 50


def test_a_file_is_named_by_seed_and_number():
    files = [mutate.mutated(FILES, SEED, number) for number in range(300)]
    assert files == [mutate.mutated(FILES, SEED, number) for number in range(300)]
    assert len(set(files)) > 290
    assert mutate.mutated(FILES, SEED + 1, 0) != files[0]


@pytest.mark.parametrize("name", flips.FILES)
def test_a_file_taken_apart_is_put_together_again(name):
    data = (flips.VALID / f"{name}.qemb").read_bytes()
    assert parse(data).build() == data
    mended = bytearray(data)
    mutate.mend(mended)
    assert mended == data
    fitted = parse(data)
    fitted.fit()
    assert fitted.build() == data


def test_checksums_are_mended():
    data = bytearray((flips.VALID / "frames/linear-all-64.qemb").read_bytes())
    with qemb.open(bytes(data)) as emb:
        place = emb._container.sections["CNTS"].offset
    data[place] ^= 1
    with qemb.open(bytes(data)) as emb, pytest.raises(qemb.MalformedError, match="damaged"):
        emb.verify()
    mutate.mend(data)
    with qemb.open(bytes(data)) as emb:
        emb.verify()


WHOLE = (flips.VALID / "bases" / "whole.qemb").read_bytes()


@pytest.mark.parametrize(
    ("method", "wrong", "finding"),
    [
        ("verify", lambda emb: emb.dim[1:], "verify: TypeError"),
        ("verify", lambda emb: {}[1], "verify: KeyError"),
        ("matrix", lambda emb, *_: np.ones(50 << 20).sum(), "matrix took"),
        ("nearest", lambda emb, *_, **__: sum(range(1 << 23)), "nearest to a vector took"),
        ("rows", lambda emb, rows: np.zeros((len(rows), emb.dim), np.float32), "not those of the matrix"),
        ("get", lambda emb, word: emb.tokens.raw(99), "get: IndexError"),
    ],
)
def test_what_must_not_happen_is_a_finding(monkeypatch, method, wrong, finding):
    assert not exercise.exercise(WHOLE).findings
    monkeypatch.setattr(exercise, "SECONDS", 0.05)
    monkeypatch.setattr(qemb.Embedding, method, wrong)
    assert any(finding in text for text in exercise.exercise(WHOLE).findings)


def test_a_process_that_ends_names_the_file(tmp_path):
    script = (
        "import os, signal, run\n"
        "measure = run.measure\n"
        f"def kill(data): os.kill(os.getpid(), signal.SIGKILL) if data == {mutate.mutated(FILES, 5, 7)!r} else None\n"
        "run.measure = lambda data: kill(data) or measure(data)\n"
        "run.main()\n"
    )
    options = ["12", "--seed", "5", "--workers", "2", "--findings", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", script, *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(run.__file__).parent,
    )
    assert done.returncode == 1
    assert "5-7.qemb: ended its process: -9" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["5-7.qemb"]


def test_interesting_numbers_fit_their_fields():
    rng = random.Random(1)
    for width in (1, 2, 4, 8):
        found = {mutate.interesting(rng, 5, width) for _ in range(2000)}
        assert {0, 1, 4, 6, (1 << 8 * width) - 1} <= found
        assert max(found) < 1 << 8 * width
