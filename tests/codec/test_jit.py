"""When numba is loaded, and how work is shared among threads."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from importlib.util import find_spec

import numpy as np
import pytest

import qemb
from qemb import jit
from qemb.threads import count_threads, for_each

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")


@pytest.fixture
def unloaded(monkeypatch):
    """As in a process that has not loaded numba."""
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    monkeypatch.setattr(jit._meter, "seconds", 0.0)


@needs_numba
def test_numba_is_loaded_once_numpy_has_worked_as_long(unloaded, monkeypatch):
    import numba

    monkeypatch.delitem(sys.modules, "numba")
    monkeypatch.setattr(jit, "load", lambda: True)
    now = iter([0.0, 0.75 * jit.LOADING, 10.0, 10 + 0.5 * jit.LOADING])
    monkeypatch.setattr(jit.time, "perf_counter", lambda: next(now))
    assert not jit.ready()
    with jit.spent():
        pass
    assert not jit.ready()
    with jit.spent():
        pass
    assert jit.ready()
    monkeypatch.setattr(jit._meter, "seconds", 0.0)
    monkeypatch.setitem(sys.modules, "numba", numba)
    assert jit.ready(), "it was loaded by someone else"


@pytest.mark.parametrize("seconds", [0.0, 100.0])
def test_numba_is_kept_away(monkeypatch, seconds):
    monkeypatch.setattr(jit._meter, "seconds", seconds)
    monkeypatch.setenv("QEMB_JIT", "0")
    assert not jit.ready()
    assert not jit.load()


def test_without_numba_nothing_is_ready(unloaded, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)  # importing it fails
    monkeypatch.setattr(jit._meter, "seconds", 100.0)
    assert not jit.load()
    assert not jit.ready()


@pytest.mark.parametrize("bits", [4, 8])
def test_first_lookups_and_searches_load_no_numba(tmp_path, bits):
    matrix = np.random.default_rng(1).normal(size=(3000, 50)).astype(np.float32)
    qemb.write(tmp_path / "a.qemb", [str(row) for row in range(3000)], matrix, bits=bits)
    code = (
        "import sys, qemb; emb = qemb.open(sys.argv[1]); emb['17']; emb[['1', '2']]; emb.matrix(0, 100);"
        "emb.nearest('17'); print('numba' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.qemb")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(("limit", "expected"), [("1", 1), ("0", 1), ("1000000", None), ("many", None), ("", None)])
def test_threads_are_limited(monkeypatch, limit, expected):
    monkeypatch.delenv("QEMB_THREADS", raising=False)
    processors = count_threads()
    assert processors >= 1
    monkeypatch.setenv("QEMB_THREADS", limit)
    assert count_threads() == (expected or processors)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_every_part_is_worked_on_once(monkeypatch, threads):
    monkeypatch.setenv("QEMB_THREADS", threads)
    done = []
    for_each(done.append, range(50))
    assert sorted(done) == list(range(50))
    for_each(done.append, [])
    assert len(done) == 50

    def fail(part):
        if part == 3:
            raise KeyError(part)

    with pytest.raises(KeyError):
        for_each(fail, range(5))


def test_one_part_stays_on_this_thread():
    found = []
    for_each(lambda part: found.append(threading.current_thread()), [0])
    assert found == [threading.current_thread()]


FULL_CACHE = """
    import resource, signal, sys
    import numba, numpy as np, qemb

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))  # behaves as a disk that is full
    with qemb.open(sys.argv[1]) as emb:
        print(emb.nearest("a", k=1)[0][0])
"""


@needs_numba
@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on the size of files to set")
@pytest.mark.parametrize("cache", ["cache", "file/cache"])
def test_reading_needs_no_room_for_what_numba_keeps(tmp_path, cache):
    (tmp_path / "file").write_bytes(b"")  # no folder can be made in it
    qemb.write(tmp_path / "table.qemb", ["a", "b"], np.ones((2, 8), np.float32), bits=8)
    command = [sys.executable, "-c", textwrap.dedent(FULL_CACHE), tmp_path / "table.qemb"]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / cache)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "b\n", done.stderr
