"""Fresh processes: with so many threads, with files out of the page cache, with their memory read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path

    from qemb_tools.bench.speed.measure import Turn

THREADS = (1, 2)
CAN_DROP = hasattr(os, "posix_fadvise")
_VARIABLES = (
    "QEMB_THREADS",
    "OMP_NUM_THREADS",  # faiss, and most else
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",  # turbovec, safetensors
)


def limit_threads(threads: int | None) -> dict[str, str]:
    """The environment of a process that is to use so many threads; as it is for None."""
    return dict(os.environ) | ({} if threads is None else dict.fromkeys(_VARIABLES, str(threads)))


# keeps a process to so many processors, where the platform can: whatever starts more threads gains nothing
_PIN = """
import os
if {0} is not None and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-{0}:])
"""


def call(function: str, /, *, threads: int | None = None, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
    """Run ``module:function`` of `qemb_tools.bench` in a process of its own; give back what it returns, by JSON."""
    name, _, attribute = function.partition(":")
    code = _CALL.format(name=name, attribute=attribute)
    return run_code(code, json.dumps(arguments), threads=threads)


def run_code(code: str, *arguments: object, threads: int | None = None) -> Any:  # noqa: ANN401 - JSON
    """Run a few lines of Python in a process that has imported nothing; give back the JSON that it prints last."""
    command = [sys.executable, "-c", _PIN.format(threads) + code, *map(str, arguments)]
    result = subprocess.run(  # noqa: S603 - our own code
        command, capture_output=True, text=True, check=False, env=limit_threads(threads)
    )
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"a process ended with code {result.returncode}"]
        raise RuntimeError(lines[-1])
    return json.loads(result.stdout.splitlines()[-1])


def drop_from_cache(path: Path) -> None:
    """Let the system forget what it has read of a file, or of all files of a folder, where `CAN_DROP`."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # what is not written yet cannot be forgotten
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


class Worker:
    """A process that waits to be asked, so that sides take turns and none sees another's libraries, memory or crash.

    Parameters
    ----------
    function : str
        ``module:function`` of `qemb_tools.bench`, which gives a dict of callables by name.
    threads : int or None
        Threads and processors.
    package : str
        What is imported before memory is first read.
    **arguments
        Of the function; JSON-able.

    Raises
    ------
    RuntimeError
        The process ended; the message is its last line.
    """

    def __init__(self, function: str, /, *, threads: int | None, package: str = "", **arguments: Any) -> None:  # noqa: ANN401
        name, _, attribute = function.partition(":")
        code = _PIN.format(threads) + MEMORY + _WORKER.format(name=name, attribute=attribute, package=package or "sys")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._process = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-c", code, json.dumps(arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors, text=True, env=limit_threads(threads),
        )  # fmt: skip
        try:
            self.imported: dict[str, int] = self._answer()
        except BaseException:
            self.close()
            raise
        """Memory after the imports."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def ask(self, name: str, times: int = 1) -> dict[str, Any]:
        """Let it do something so many times: ``wall`` and ``cpu`` seconds, ``memory``, and ``value``, a number."""
        print(json.dumps([name, times]), file=self._process.stdin, flush=True)
        taken: dict[str, Any] = self._answer()
        return taken

    def turn(self, name: str) -> Turn:
        """What `measure.take_turns` takes."""

        def run(times: int) -> tuple[float, float]:
            taken = self.ask(name, times)
            return taken["wall"], taken["cpu"]

        return run

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _answer(self) -> Any:  # noqa: ANN401 - JSON
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            code = self._process.wait()
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
            raise RuntimeError(lines[-1] if lines else f"the process ended with code {code}")
        return json.loads(line)


# the peak of memory is counted from after loading; what libraries print does not stand among the answers
_WORKER = """
import json, os, sys, time
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
import {package}
from qemb_tools.bench.{name} import {attribute} as start
print(json.dumps(memory()), file=answers, flush=True)
calls = start(**json.loads(sys.argv[1]))
try:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
except OSError:
    pass
for line in sys.stdin:
    name, times = json.loads(line)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        value = calls[name]()
    taken = dict(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu, memory=memory())
    taken["value"] = value if isinstance(value, (int, float)) else None
    del value
    print(json.dumps(taken), file=answers, flush=True)
"""

_CALL = """
import json, sys
from qemb_tools.bench.{name} import {attribute}
print(json.dumps({attribute}(**json.loads(sys.argv[1]))))
"""

# Memory in bytes: resident, of those anonymous (not pages of a file), and the most that was resident. The peak is that
# of this program: ru_maxrss would be the parent's, where the parent is larger.
MEMORY = """
def memory():
    try:
        lines = open("/proc/self/status").read().splitlines()
    except OSError:
        return {}
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("Vm", "Rss"))}
    return {"resident": sizes["VmRSS"], "anonymous": sizes["RssAnon"], "peak": sizes["VmHWM"]}
"""
