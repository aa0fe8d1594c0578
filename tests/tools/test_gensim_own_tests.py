"""gensim's own tests of KeyedVectors, as they come with the installed gensim, run against the one over a file.

Whatever the tests load goes through an exact ``.qemb`` file, and what they construct is the drop-in's class.
"""

from __future__ import annotations

import importlib.util
import itertools
import unittest
from pathlib import Path

import pytest

from qemb_tools import from_gensim

gensim = pytest.importorskip("gensim")
from gensim.models import keyedvectors  # noqa: E402

from qemb_tools.gensim import KeyedVectors, load  # noqa: E402

FAILURES: dict[str, str] = {}
"""Reason by name of a test; a test that is listed has to fail, and every one that fails is listed."""


def own_tests():
    path = Path(gensim.__file__).parent / "test" / "test_keyedvectors.py"
    spec = importlib.util.spec_from_file_location("gensim_test_keyedvectors", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    return module, {case.id().partition(".")[2]: case for case in itertools.chain.from_iterable(suite)}


MODULE, TESTS = own_tests()


@pytest.fixture
def through_files(tmp_path, monkeypatch):
    """Let everything that gensim loads come from a ``.qemb`` file; the objects that came."""
    loaded = []
    original, original_load = keyedvectors._load_word2vec_format, keyedvectors.KeyedVectors.load.__func__

    def over_file(vectors):
        path = tmp_path / f"{len(loaded)}.qemb"
        from_gensim(vectors, path, scheme="exact")
        loaded.append(load(path))
        return loaded[-1]

    def load_text(cls, *args, **kwargs):
        return over_file(original(keyedvectors.KeyedVectors, *args, **kwargs))

    def load_saved(cls, *args, **kwargs):
        return over_file(original_load(cls, *args, **kwargs))

    monkeypatch.setattr(keyedvectors, "_load_word2vec_format", load_text)
    monkeypatch.setattr(keyedvectors.KeyedVectors, "load", classmethod(load_saved))
    monkeypatch.setattr(MODULE, "KeyedVectors", KeyedVectors)
    return loaded


@pytest.mark.parametrize("name", TESTS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_of_gensim(name, through_files):
    result = unittest.TestResult()
    TESTS[name].run(result)
    problems = [text for _, text in result.failures + result.errors]
    assert bool(problems) == (name in FAILURES), FAILURES.get(name) or problems[0]


def test_the_list_of_failures_names_tests_that_there_are():
    assert TESTS.keys() >= FAILURES.keys()
    assert len(TESTS) >= 30


def test_the_tests_run_over_files(through_files):
    for name in ("TestKeyedVectors.test_most_similar", "TestKeyedVectors.test_add_single", "Gensim320Test.test"):
        TESTS[name].run(unittest.TestResult())
    read, changed, old = through_files
    assert read._file is not None
    assert "vectors" not in vars(read)
    assert changed._file is None  # a test that adds words takes them into memory
    assert old._file is not None
