"""A file that many read at once, in threads and processes, and that others cut, replace or close meanwhile."""

from __future__ import annotations

import copy
import functools
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import qemb

MATRIX = np.random.default_rng(4).normal(size=(3000, 24)).round(3).astype(np.float32)
TOKENS = [f"w{row}" for row in range(len(MATRIX))]
SCHEMES = {
    "int8": {"bits": 8},
    "trellis": {"bits": 4, "effort": 1},
    "exact": {"scheme": "exact"},
    "frames": {"bits": 8, "compress": True},
    "float32": {"scheme": "float32"},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file of each scheme, written when it is first asked for."""

    @functools.cache
    def write(scheme):
        path = tmp_path_factory.mktemp("sharing") / "table.qemb"
        qemb.write(path, TOKENS, MATRIX, **SCHEMES[scheme])
        return path

    return write


@pytest.fixture(params=SCHEMES)
def path(request, written):
    return written(request.param)


@pytest.fixture(params=["int8", "frames"])
def one_of_two(request, written):
    return written(request.param)


def answers(emb, seed):
    """A bit of everything, of words that depend on the seed."""
    rows = np.random.default_rng(seed).integers(0, len(TOKENS), 100).tolist()
    words = [TOKENS[row] for row in rows]
    return [
        np.stack([emb[word] for word in words[:30]]),
        emb[words],
        emb.matrix(rows[0], rows[0] + 700),
        emb.search(MATRIX[rows[:6]], k=5)[0],
        emb.nearest(words[0], k=5),
        [word in emb for word in (*words[:20], "absent")],
        [emb.tokens[row] for row in rows],
        list(emb.tokens)[rows[1] :][:50],
    ]


def equal(one, other):
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(one, other, strict=True))


def test_threads_that_do_everything_at_once(path):
    """The first calls, which open sections and measure norms, come from all threads together."""
    expected = []
    for seed in range(8):
        with qemb.open(path) as emb:
            expected.append(answers(emb, seed))
    for _ in range(2):
        with qemb.open(path) as emb, ThreadPoolExecutor(8) as pool:
            begin = threading.Barrier(8)

            def work(seed, emb=emb, begin=begin):
                begin.wait()
                return answers(emb, seed)

            assert all(map(equal, pool.map(work, range(8)), expected))
            emb.verify()


def test_closed_while_others_read(path):
    """Each call gives the right answer or says that the file is closed, and arrays stay good."""
    for _ in range(10):
        emb = qemb.open(path)
        expected = emb["w5"].copy(), emb.matrix()
        started = threading.Barrier(5)
        wrong = []

        def read(emb=emb, expected=expected, started=started, wrong=wrong):
            started.wait()
            try:
                while True:
                    if not (np.array_equal(emb["w5"], expected[0]) and np.array_equal(emb.matrix(), expected[1])):
                        wrong.append("another vector")
                    emb.nearest("w5", k=3)
                    emb.tokens.find(TOKENS[:100])
            except ValueError as error:
                if "closed" not in str(error):
                    wrong.append(error)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the wrong one
                wrong.append(error)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        started.wait()
        emb.close()
        for thread in threads:
            thread.join()
        assert wrong == []
        with pytest.raises(ValueError, match="closed"):
            emb["w5"]


# --- processes ------------------------------------------------------------------------------------------------------


def in_another_process(emb):
    return os.getpid(), answers(emb, 1)


@pytest.mark.parametrize("how", multiprocessing.get_all_start_methods())
def test_workers(one_of_two, how):
    """Sent by pickle, and by fork while it is open; a forked process uses what its parent has opened by then."""
    with qemb.open(one_of_two) as emb:
        expected = answers(emb, 1)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(how)) as pool:
            number, found = pool.submit(in_another_process, emb).result()
        assert number != os.getpid()
        assert equal(found, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_of_an_open_file(one_of_two):
    with qemb.open(one_of_two) as emb:
        expected = answers(emb, 2)
        child = os.fork()
        if not child:
            status = 1
            try:
                status = 0 if equal(answers(emb, 2), expected) else 2
                emb.close()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert equal(answers(emb, 2), expected)


def test_copies(one_of_two, tmp_path, monkeypatch):
    monkeypatch.chdir(one_of_two.parent)
    emb = qemb.open("table.qemb")
    sent = pickle.dumps(emb)
    assert len(sent) < 1000  # the name, not the bytes
    monkeypatch.chdir(tmp_path)
    for other in (pickle.loads(sent), copy.copy(emb), copy.deepcopy(emb)):
        assert equal(answers(other, 3), answers(emb, 3))
        other.close()
    emb.close()
    with pytest.raises(ValueError, match="closed"):
        pickle.dumps(emb)
    for source in (one_of_two.read_bytes(), one_of_two.open("rb")):
        emb = qemb.open(source)
        other = pickle.loads(pickle.dumps(emb))
        assert equal(answers(other, 3), answers(emb, 3))
        if not isinstance(source, bytes):
            source.close()


def test_what_was_read_whole_is_read_whole_again(one_of_two):
    emb = pickle.loads(pickle.dumps(qemb.open(one_of_two, memory_map=False)))
    with open(one_of_two, "r+b") as file:
        data = file.read()
        file.truncate(100)
        try:
            emb.verify()
        finally:
            file.seek(0)
            file.write(data)


def proportional(path):
    """KiB of a mapped file that count as this process's, each page divided by the processes that have it."""
    lines = Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines()
    starts = [number for number, line in enumerate(lines) if line.endswith(str(path))]
    return sum(int(next(line for line in lines[start:] if line.startswith("Pss:")).split()[1]) for start in starts)


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps"), reason="Linux tells what is shared")
def test_processes_share_the_pages(tmp_path):
    path = tmp_path / "table.qemb"
    qemb.write(path, TOKENS, np.repeat(MATRIX, 40, axis=1), bits=8)
    size = path.stat().st_size >> 10
    with qemb.open(path) as emb:
        emb.verify()
        alone = proportional(path)
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            also = pool.apply(read_and_measure, (emb, path))
    assert 0.9 * size < alone < 1.1 * size, (alone, size)
    assert 0.45 * size < also < 0.55 * size, (also, size)


def read_and_measure(emb, path):
    emb.verify()
    return proportional(path)


# --- files that change ----------------------------------------------------------------------------------------------

CUT = """
    import os, sys
    import numpy as np
    import qemb

    path = sys.argv[1]
    data = open(path, "rb").read()
    words = ["w1", "w2", "w3"]
    calls = {
        "one": lambda emb: emb["w1"],
        "some": lambda emb: emb[words],
        "many": lambda emb: emb[[f"w{i}" for i in range(500)]],
        "in": lambda emb: "w1" in emb,
        "rows": lambda emb: emb.rows([5]),
        "matrix": lambda emb: emb.matrix(),
        "nearest": lambda emb: emb.nearest("w1"),
        "search": lambda emb: emb.search(np.ones((5, 24))),
        "token": lambda emb: emb.tokens[7],
        "tokens": lambda emb: list(emb),
        "verify": lambda emb: emb.verify(),
        "metadata": lambda emb: emb.metadata,
        "save": lambda emb: emb.save(path + ".copy"),
    }
    emb, fresh, whole = qemb.open(path), qemb.open(path), qemb.open(path, memory_map=False)
    expected = emb.matrix()
    for call in calls.values():
        call(emb)
    del calls["metadata"]  # has been read
    for size, code in ((len(data) - 1, "malformed.truncated"), (64, "malformed.truncated"), (0, "malformed.truncated"),
                       (len(data) + 1, "invalid.trailing_bytes")):
        os.truncate(path, size)
        for kind in (emb, fresh):
            for name, call in calls.items():
                try:
                    call(kind)
                except qemb.QembError as error:
                    assert error.code == code, (name, size, error)
                    assert "while it was open" in str(error)
                else:
                    raise SystemExit(f"{name} at {size} bytes: no error")
        assert np.array_equal(whole.matrix(), expected)
        whole.verify()
    with open(path, "r+b") as file:
        file.write(data)
        file.truncate()
    assert np.array_equal(emb.matrix(), expected) and np.array_equal(fresh.matrix(), expected)
    print("done")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="files that are mapped cannot be cut")
def test_a_file_that_is_cut(path):
    """In another process: whoever looks into pages that are gone is killed."""
    command = [sys.executable, "-c", textwrap.dedent(CUT), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
