"""Run the suite where releases are to work: ``make platforms``; some parts: ``tests/platforms/check.py NAME...``.

Each part builds what it needs in ``build/platforms/`` and uses it again the next time; ``--fresh`` builds all anew. A
part that cannot be run here says what is missing and counts as failed: a release is checked everywhere.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import s390x
from floors import floors
from here import BUILD, ROOT, NotHereError, run

PYTHONS = ("3.12", "3.13")
"""Versions that are run beside the one that starts this."""


def oldest() -> str:
    """The lowest version of each dependency that pyproject.toml allows, of `all` the extras."""
    BUILD.mkdir(parents=True, exist_ok=True)
    pinned = BUILD / "floors.txt"
    pinned.write_text("".join(f"{name}=={version}\n" for name, version in floors().items()))
    return _suite("oldest", find_python("3.11"), "--constraint", str(pinned))


def newest() -> str:
    """The newest version of each dependency."""
    return _suite("newest", find_python("3.11"), "--upgrade", "--upgrade-strategy", "eager")


def find_python(version: str) -> str:
    """An interpreter of this version: ``python3.N`` on the path, else among pyenv's."""
    candidates = [shutil.which(f"python{version}"), sys.executable]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates += [str(path / "bin" / "python") for path in sorted(pyenv.glob(f"{version}.*"))]
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, candidates):
        answer = subprocess.run([candidate, "-c", question], capture_output=True, text=True, check=False)
        if answer.stdout.strip() == version:
            return candidate
    raise NotHereError(f"no python{version} on the path or among pyenv's versions")


def _suite(name: str, python: str, *options: str) -> str:
    """The whole suite in an environment of its own; what ran it, and its closing line."""
    folder = BUILD / name
    own = str(folder / "bin" / "python")
    ready = folder / "ready"
    if not ready.exists() or ready.stat().st_mtime < (ROOT / "pyproject.toml").stat().st_mtime:
        run(python, "-m", "venv", "--clear", str(folder))
        run(own, "-m", "pip", "install", "--quiet", "--editable", ".[dev]", *options)
        ready.touch()
    versions = run(
        own, "-c", "import sys, numpy; print('Python %d.%d.%d' % sys.version_info[:3], 'numpy', numpy.__version__)"
    )
    return f"{versions}: {run(own, '-m', 'pytest', '-q', '-n', 'auto')}"


PARTS = {
    "oldest": oldest,
    "newest": newest,
    **{f"python{version}": lambda v=version: _suite(f"python{v}", find_python(v)) for version in PYTHONS},
    **s390x.PARTS,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="NAME", help=f"one of {', '.join(PARTS)}; default: all")
    parser.add_argument("--fresh", action="store_true", help="build the environments anew")
    arguments = parser.parse_args()
    if unknown := [part for part in arguments.parts if part not in PARTS]:
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    if arguments.fresh:
        shutil.rmtree(BUILD, ignore_errors=True)
    failed = []
    for name in arguments.parts or PARTS:
        start = time.monotonic()
        try:
            said = PARTS[name]()
        except NotHereError as error:
            failed.append(name)
            said = f"NOT RUN: {error}"
        except subprocess.CalledProcessError as error:
            failed.append(name)
            said = f"FAILED: {error}\n{error.output[-4000:]}"
        print(f"{name} ({time.monotonic() - start:.0f} s): {said}", flush=True)
    if failed:
        print(f"not good: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
