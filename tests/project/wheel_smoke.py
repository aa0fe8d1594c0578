"""Build the sdist and, from it, the wheel; then use the wheel as a stranger would: alone, in an empty environment.

Run by ``make package``, not by pytest: it builds, and installs into an environment of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

import numpy as np
from gensim.models import KeyedVectors

ROOT = Path(__file__).parents[2]

SDIST = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "codec/qemb/__init__.py",
    "codec/qemb/py.typed",
    "conformance/LICENSE",
    "conformance/manifest.json",
    "conformance/run.py",
    "docs/benchmarks.md",
    "mkdocs.yml",
    "pyproject.toml",
    "spec/LICENSE",
    "spec/build.py",
    "spec/errors.json",
    "spec/qemb.md",
    "spec/requirements.json",
    "tests/project/wheel_smoke.py",
    "tools/qemb_tools/cli.py",
    "tools/qemb_tools/py.typed",
]
WHEEL = [
    "qemb/__init__.py",
    "qemb/py.typed",
    "qemb_conformance/cli.py",
    "qemb_conformance/py.typed",
    "qemb_tools/cli.py",
    "qemb_tools/py.typed",
]

# written, read back and compared with what half a step of each row's scale allows
ROUND_TRIP = """
import numpy as np
import qemb

rng = np.random.default_rng(3)
words = [f"word{i}" for i in range(500)]
matrix = rng.normal(size=(500, 40)).astype(np.float32)
qemb.write("small.qemb", words, matrix, bits=8)
with qemb.open("small.qemb") as emb:
    assert len(emb) == 500 and emb.dim == 40
    half_step = np.abs(matrix).max(axis=1, keepdims=True) / 127 / 2
    assert np.all(np.abs(emb.matrix() - matrix) <= half_step * 1.001)
    assert emb.nearest("word7", k=3)
    emb.verify()
qemb.write("whole.qemb", words, matrix, scheme="float32")
with qemb.open("whole.qemb") as emb:
    assert np.array_equal(emb["word7"], matrix[7])
"""

# a conversion that needs an optional package, and the extra that must be named
MISSING = [
    (["table.h5"], "qemb-format[hdf5]"),
    (["vectors.npy", "--tokens", "words.parquet"], "qemb-format[parquet]"),
    (["vectors.npy", "--tokens", "words.txt", "--scheme", "product"], "qemb-format[faiss]"),
]


def run(*command: object, cwd: Path, code: int = 0) -> str:
    """Run a command that sees nothing of this repository, and return what it printed."""
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    result = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode != code:
        line = " ".join(str(part) for part in command)
        sys.exit(f"{line}\nexit code {result.returncode}, not {code}\n{result.stdout}{result.stderr}")
    return result.stdout + result.stderr


def expect(condition: bool, complaint: str) -> None:  # noqa: FBT001
    if not condition:
        sys.exit(complaint)


def build(folder: Path) -> Path:
    """Build both packages and look into them; return the wheel."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")

    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    missing = [name for name in SDIST if name not in inside]
    expect(not missing, f"{sdist.name} lacks {missing}")

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = next(archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    missing = [name for name in WHEEL if name not in names]
    expect(not missing, f"{wheel.name} lacks {missing}")
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    expect(tops == {"qemb", "qemb_conformance", "qemb_tools"}, f"{wheel.name} holds {sorted(tops)}")
    expect(any(name.endswith(".dist-info/licenses/LICENSE") for name in names), f"{wheel.name} lacks its licence")
    expect("License-Expression: MIT\n" in metadata, "the wheel does not say its licence")
    print(f"built {sdist.name} and, from it, {wheel.name}")
    return wheel


def use(wheel: Path, folder: Path) -> None:
    """Install the wheel alone; write, read, convert, and ask for what is not there."""
    environment = folder / "empty"
    venv.create(environment, with_pip=True, symlinks=os.name != "nt")
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    python, qemb = scripts / "python", scripts / "qemb"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=folder)

    run(python, "-c", ROUND_TRIP, cwd=folder)
    print("the wheel alone writes and reads .qemb")

    printed = run(qemb, "info", "small.qemb", cwd=folder)
    expect("500" in printed and "40" in printed, f"qemb info does not show rows and dimensions:\n{printed}")
    (folder / "words.txt").write_text("king 0.5 -0.25 1\nqueen 0.125 0.75 -1\n", encoding="utf-8")
    run(qemb, "convert", "words.txt", "words.qemb", cwd=folder)
    expect("king" in run(qemb, "nearest", "words.qemb", "queen", cwd=folder), "qemb nearest does not find king")
    print("qemb info, convert and nearest run")

    printed = run(qemb, "conformance", cwd=folder, code=2)
    expect("--corpus" in printed and len(printed.splitlines()) == 1, f"the corpus is not asked for:\n{printed}")
    command = [qemb, "conformance", "--corpus", ROOT / "conformance", "--only", "valid/linear/*"]
    expect("good" in run(*command, cwd=folder), "qemb conformance does not run the corpus of the checkout")
    print("qemb conformance runs")

    model = KeyedVectors(vector_size=3)
    model.add_vectors(["king", "queen"], np.eye(2, 3, dtype=np.float32))
    model.save(str(folder / "gensim.kv"))
    run(qemb, "convert", "gensim.kv", "gensim.qemb", cwd=folder)
    print("a model saved by gensim converts without gensim")

    np.save(folder / "vectors.npy", np.eye(2, dtype=np.float32))
    (folder / "words.parquet").write_bytes(b"PAR1" + bytes(64) + b"PAR1")
    (folder / "table.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2040))
    for source, extra in MISSING:
        printed = run(qemb, "convert", *source, "out.qemb", cwd=folder, code=2)
        expect(extra in printed, f"converting {source} without its extra does not ask for {extra}:\n{printed}")
        expect(len(printed.splitlines()) == 1, f"more than one line to say that {extra} is missing:\n{printed}")
        expect(not (folder / "out.qemb").exists(), f"a refused conversion of {source} left a file")
    print("missing extras are asked for by name:", ", ".join(extra for _, extra in MISSING))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="qemb-wheel-") as name:
        folder = Path(name)
        use(build(folder), folder)


if __name__ == "__main__":
    main()
