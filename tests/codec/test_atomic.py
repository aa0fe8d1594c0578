"""Files appear whole or not at all, and what was there before stays until then."""

from __future__ import annotations

import errno
import gc
import os
import signal
import stat
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import qemb

MATRIX = np.random.default_rng(1).normal(size=(20_000, 8)).astype(np.float32)
TOKENS = [f"w{row}" for row in range(len(MATRIX))]
SCHEMES = [{"bits": 8}, {"scheme": "codebook", "bits": 4}, {"scheme": "exact"}, {"bits": 8, "compress": True}]

each_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=str)


@pytest.fixture(params=["new", "replaced"])
def target(request, tmp_path):
    """A path where a file may be already, and a check that the folder is as it was."""
    path = tmp_path / "table.qemb"
    if request.param == "replaced":
        path.write_bytes(b"what was there")

    def unharmed(*, leftovers=False):
        names = [entry.name for entry in tmp_path.iterdir() if not (leftovers and entry.suffix == ".part")]
        assert names == (["table.qemb"] if request.param == "replaced" else [])
        assert request.param == "new" or path.read_bytes() == b"what was there"

    return path, unharmed


@each_scheme
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_in_the_block(target, scheme, error):
    path, unharmed = target
    writer = qemb.Writer(path, dim=8, **scheme)

    def interrupted():
        with writer:
            writer.append(TOKENS, MATRIX)
            raise error

    with pytest.raises(error):
        interrupted()
    unharmed()
    writer.close()
    writer.abort()
    unharmed()


@each_scheme
def test_aborted_and_forgotten_writers(target, scheme):
    path, unharmed = target
    writer = qemb.Writer(path, dim=8, **scheme)
    writer.append(TOKENS, MATRIX)
    writer.abort()
    unharmed()
    with pytest.raises(ValueError, match="closed"):
        writer.append(["x"], MATRIX[:1])
    writer.close()
    unharmed()
    writer = qemb.Writer(path, dim=8, **scheme)
    writer.append(TOKENS, MATRIX)
    del writer
    gc.collect()
    unharmed()


@each_scheme
def test_the_old_file_is_there_until_the_new_one_is_whole(target, scheme):
    path, unharmed = target
    with qemb.Writer(path, dim=8, **scheme) as writer:
        writer.append(TOKENS, MATRIX)
        unharmed(leftovers=True)
    assert [entry.name for entry in path.parent.iterdir()] == ["table.qemb"]
    with qemb.open(path) as emb:
        emb.verify()
    written = path.read_bytes()
    writer.close()
    writer.abort()
    assert path.read_bytes() == written


def python(code, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


WRITE = """
    import sys, time, numpy as np, qemb
    rng = np.random.default_rng(1)
    with qemb.Writer(sys.argv[1], dim=8, **eval(sys.argv[2])) as writer:
        for batch in range(3):
            writer.append([f"{batch} {row}" for row in range(5000)], rng.normal(size=(5000, 8)))
        print("ready", flush=True)
        while True:  # a signal that comes just before a single long wait would not end it
            time.sleep(0.01)
"""


@each_scheme
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_dies(target, signals_as_usual, scheme, how):
    path, unharmed = target
    process = python(WRITE, path, scheme, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(how)
        assert process.wait(timeout=60) != 0
    # nobody can tidy up after a kill but the next writer; a file with a name of its own is all that may be left
    unharmed(leftovers=how == signal.SIGKILL)
    qemb.write(path, TOKENS[:3], MATRIX[:3])
    assert [entry.name for entry in path.parent.iterdir()] == ["table.qemb"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize(
    "script",
    [
        ["codec/kill_writers.py", "15"],
        ["codec/replace_readers.py", "--readers", "4", "--lookups", "500", "--replacements", "10"],
        ["tools/interrupt_converters.py", "9"],
    ],
    ids=lambda script: script[0],
)
def test_at_random_moments(script):
    """A little of each; `make stress` does a thousand times as much."""
    command = [sys.executable, Path(__file__).parents[1] / script[0], *script[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


RACE = """
    import sys, numpy as np, qemb
    number = int(sys.argv[2])
    for again in range(10):
        qemb.write(sys.argv[1], [f"{number} {i}" for i in range(2000)], np.full((2000, 8), number + 1), bits=8)
"""


def test_the_last_of_several_writers_stays_whole(tmp_path):
    path = tmp_path / "table.qemb"
    processes = [python(RACE, path, number) for number in range(4)]
    seen = set()
    while any(process.poll() is None for process in processes):
        if path.exists():
            with qemb.open(path) as emb:
                number = int(emb.tokens[0].split()[0])
                assert emb.tokens[1999] == f"{number} 1999"
                assert (emb.matrix() == number + 1).all()
                seen.add(number)
    for process in processes:
        with process:
            assert process.wait() == 0
    assert seen
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.qemb"]


@each_scheme
@pytest.mark.parametrize("where", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.ENOENT])
def test_a_disk_that_fails_at_the_end(target, monkeypatch, scheme, where, number):
    """Quotas and network file systems say only then that there is no room."""
    path, unharmed = target

    def fail(*arguments):
        raise OSError(number, os.strerror(number), *arguments[: where == "replace"])

    with monkeypatch.context() as patch:
        patch.setattr(os, where, fail)
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            qemb.write(path, TOKENS[:3], MATRIX[:3], **scheme)
    assert caught.value.errno == number
    assert caught.value.filename == (str(path) if where == "replace" else None)
    unharmed()


def test_a_folder_that_may_not_be_written_any_more(target, monkeypatch):
    """Nobody can remove the temporary file then; the error is of the target, and the next write finds the file."""
    path, unharmed = target

    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        patch.setattr(os, "unlink", refuse)
        with pytest.raises(PermissionError) as caught:
            qemb.write(path, TOKENS[:3], MATRIX[:3], bits=8)
    assert caught.value.filename == str(path)
    unharmed(leftovers=True)
    qemb.write(path, TOKENS[:3], MATRIX[:3])
    assert [entry.name for entry in path.parent.iterdir()] == ["table.qemb"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")
def test_what_was_private_is_never_open_to_others(tmp_path, monkeypatch):
    path = tmp_path / "table.qemb"
    qemb.write(path, TOKENS[:3], MATRIX[:3])
    path.chmod(0o600)
    modes = []
    chmod = os.chmod

    def look(name, mode):
        modes.append(stat.S_IMODE(os.stat(name).st_mode))
        chmod(name, mode)

    monkeypatch.setattr(os, "chmod", look)
    qemb.write(path, TOKENS[:4], MATRIX[:4])
    assert modes == [0o600]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_writers_to_one_name_do_not_sweep_each_other(tmp_path):
    path = tmp_path / "table.qemb"
    writers = [qemb.Writer(path, dim=8, bits=8) for _ in range(3)]
    for number, writer in enumerate(writers):
        writer.append([f"{number}"], MATRIX[:1])
    for number, writer in enumerate(writers):
        writer.close()
        with qemb.open(path) as emb:
            assert list(emb) == [f"{number}"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.qemb"]


def test_what_a_dead_writer_left_goes_and_nothing_else(tmp_path):
    others = ["table.qemb.part", ".table.qemb.part", ".table.qemb.0123abcd.part.txt", ".table.qemb.0123abcg.part"]
    others += [".other.qemb.0123abcd.part", ".table.qemb.x.0123abcd.part"]
    for name in [*others, ".table.qemb.0123abcd.part"]:
        (tmp_path / name).write_bytes(b"x")
    os.utime(tmp_path / ".table.qemb.0123abcd.part", (0, 0))  # Windows, without locks, goes by age
    (tmp_path / ".table.qemb.0123abce.part").mkdir()
    qemb.write(tmp_path / "table.qemb", TOKENS[:3], MATRIX[:3])
    names = {entry.name for entry in tmp_path.iterdir()}
    assert names == {"table.qemb", ".table.qemb.0123abce.part", *others}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root alone may give files away")
def test_the_owner_of_a_file_that_is_replaced_is_kept(tmp_path):
    path = tmp_path / "table.qemb"
    qemb.write(path, TOKENS[:3], MATRIX[:3])
    os.chown(path, 1234, 4321)
    path.chmod(0o640)
    qemb.write(path, TOKENS[:4], MATRIX[:4])
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 4321, 0o640)


def test_a_disk_that_fills_up():
    """A real one, in memory, and every format; `test_a_disk_that_is_full` has the moments."""
    script = Path(__file__).parents[1] / "tools" / "fill_disk.py"
    try:
        done = subprocess.run(
            ["unshare", "-rm", sys.executable, script, "1"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if done.returncode == 77 or (done.returncode == 1 and "unshare" in done.stderr):
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    assert done.returncode == 0, done.stderr


FULL = """
    import resource, signal, sys, numpy as np, qemb
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
    matrix = np.random.default_rng(1).normal(size=(20000, 8))
    try:
        qemb.write(sys.argv[1], [f"w{row}" for row in range(20000)], matrix, **eval(sys.argv[2]))
    except OSError as error:
        print(error.errno)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on the size of files to set")
@each_scheme
@pytest.mark.parametrize("room", [0, 100, 70_000, 200_000])
def test_a_disk_that_is_full(target, scheme, room):
    """Files that may not grow behave as a disk does that is full: writes fail, at whatever place."""
    path, unharmed = target
    with python(FULL, path, scheme, room) as process:
        printed = process.communicate()[0]
    assert printed.split() == [str(errno.EFBIG)]
    unharmed()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(target):
    path, unharmed = target
    path.parent.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match=r"table\.qemb"):
            qemb.write(path, TOKENS, MATRIX)
    finally:
        path.parent.chmod(0o700)
    unharmed()


@each_scheme
def test_targets_that_cannot_be(tmp_path, scheme):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name, error in (
        ("missing/table.qemb", FileNotFoundError),
        ("file/table.qemb", NotADirectoryError),
        ("folder", IsADirectoryError),
    ):
        with pytest.raises(error):
            qemb.write(tmp_path / name, TOKENS, MATRIX, **scheme)
    with pytest.raises(OSError, match="not a regular file"):
        qemb.write("/dev/null", TOKENS[:1], MATRIX[:1])
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.qemb").symlink_to("real/table.qemb")
    for words in (3, 5):  # first the link leads nowhere yet
        qemb.write(tmp_path / "link.qemb", TOKENS[:words], MATRIX[:words])
        assert (tmp_path / "link.qemb").is_symlink()
        with qemb.open(tmp_path / "real" / "table.qemb") as emb:
            assert len(emb) == words
    assert [entry.name for entry in (tmp_path / "real").iterdir()] == ["table.qemb"]


def test_modes_are_those_that_open_would_give_and_those_that_were_there(tmp_path):
    path = tmp_path / "table.qemb"
    before = os.umask(0o027)
    try:
        qemb.write(path, TOKENS[:3], MATRIX[:3])
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        qemb.write(path, TOKENS[:4], MATRIX[:4])
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(before)


def test_the_longest_name_and_paths_of_every_kind(tmp_path, monkeypatch):
    name = "n" * 250 + ".qemb"
    qemb.write(tmp_path / name, TOKENS[:3], MATRIX[:3])
    expected = (tmp_path / name).read_bytes()
    monkeypatch.chdir(tmp_path)
    odd = [b"caf\xe9.qemb"] if sys.platform == "linux" else []  # elsewhere names are text
    for path in ("plain.qemb", b"bytes.qemb", str(tmp_path / "absolute.qemb"), "./é ü.qemb", "a\nb [x]*.qemb", *odd):
        qemb.write(path, TOKENS[:3], MATRIX[:3])
        with open(path, "rb") as file:
            assert file.read() == expected


@each_scheme
def test_an_open_file_stays_readable_while_it_is_replaced(tmp_path, scheme):
    path = tmp_path / "table.qemb"
    qemb.write(path, TOKENS, MATRIX, **scheme)
    with qemb.open(path) as emb:
        expected = emb.matrix()
        qemb.write(path, ["x"], MATRIX[:1], **scheme)
        assert np.array_equal(emb.matrix(), expected)
        emb.verify()
    with qemb.open(path) as emb:
        assert list(emb) == ["x"]


@pytest.mark.parametrize(
    "scheme", [*SCHEMES, {"bits": 8, "block": 1}, {"bits": 16, "scale": "column"}, {"scheme": "float32"}], ids=str
)
def test_a_stream_takes_memory_for_its_vocabulary_alone(tmp_path, scheme):
    """Twice as many rows of 512 bytes take no more room than their words; samples and tiles have their size by then."""

    def peak(batches):
        rng = np.random.default_rng(2)
        with qemb.Writer(tmp_path / "table.qemb", dim=128, **scheme) as writer:
            vectors = rng.normal(size=(1000, 128)).astype(np.float32)
            gc.collect()
            tracemalloc.start()
            for batch in range(batches):
                writer.append([f"{batch} {row}" for row in range(1000)], vectors)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(5)  # what is imported and compiled on the way is not counted
    few, many = peak(30), peak(60)
    assert (many - few) / 30_000 < 200, f"{few:,} and {many:,}"
