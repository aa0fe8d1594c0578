"""What holds of the repository as a whole: licences, versions, and which package may import which."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HARD_DEPENDENCIES = {"construct", "google_crc32c", "numpy", "tqdm", "zstandard"}


def imports(folder: Path) -> dict[str, set[str]]:
    """Top-level packages that each file imports, at its top or inside a function."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add((node.module or "").partition(".")[0])
        found[str(path.relative_to(ROOT))] = names - sys.stdlib_module_names - {"_typeshed"}
    assert found, f"no Python files under {folder}"
    return found


def test_the_codec_imports_nothing_above_it():
    # training, URLs, kernels, products: where they are used
    optional = {"faiss", "fsspec", "llvmlite", "numba", "numkong", "simsimd"}
    strangers = {
        path: names - HARD_DEPENDENCIES - optional - {"qemb"} for path, names in imports(ROOT / "codec").items()
    }
    assert {path: names for path, names in strangers.items() if names} == {}


def test_the_tools_import_only_the_codec_and_declared_packages():
    ours = {"qemb", "qemb_conformance", "qemb_tools"}
    declared = HARD_DEPENDENCIES | {
        "faiss",
        "gensim",
        "h5py",
        "matplotlib",
        "pandas",
        "pyarrow",
        "sklearn",
        "tokenizers",
        "torch",
        "umap",
    }
    measured_beside = {
        "blosc2",
        "gguf",
        "model2vec",
        "numkong",
        "pcodec",
        "rabitqlib",
        "safetensors",
        "scipy",
        "simsimd",
        "sklearn",
        "turbovec",
        "usearch",
    }
    strangers = {
        path: names - ours - declared - (measured_beside if "/bench/" in path else set())
        for path, names in imports(ROOT / "tools").items()
    }
    assert {path: names for path, names in strangers.items() if names} == {}


def test_the_conformance_runner_needs_nothing():
    found = imports(ROOT / "conformance" / "qemb_conformance")
    assert set().union(*found.values()) == {"qemb_conformance"}


def test_import_qemb_loads_no_optional_package():
    code = "import sys, qemb; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"faiss", "fsspec", "gensim", "h5py", "pyarrow", "numba", "scipy", "qemb_tools"} & set(loaded)


def test_readers_load_no_writers():
    code = "import sys, qemb; before = set(sys.modules); qemb.write; print(*before); print(*sys.modules)"
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    before, after = (set(line.split()) for line in lines)
    assert not {"qemb.writer", "qemb.encode", "qemb.codes", "tempfile"} & before
    assert "qemb.writer" in after


def test_everything_that_qemb_names_is_there():
    import qemb

    assert {name for name in qemb.__all__ if not callable(getattr(qemb, name))} == set()
    assert set(qemb.__all__) <= set(dir(qemb))
    assert not hasattr(qemb, "read")


def test_versions_agree():
    import qemb

    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\]", changelog, re.MULTILINE)
    assert newest is not None
    assert qemb.__version__ == newest[1] == metadata.version("qemb-format")


def test_the_changelog_lists_versions_newest_first():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = [tuple(map(int, v.split("."))) for v in re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, re.MULTILINE)]
    assert versions == sorted(set(versions), reverse=True)


@pytest.mark.parametrize(
    ("path", "first", "passage"),
    [
        ("LICENSE", "MIT License", "WITHOUT WARRANTY OF ANY KIND"),
        ("spec/LICENSE", "Creative Commons Attribution 4.0 International", "Section 8 – Interpretation."),
        ("conformance/LICENSE", "Creative Commons Legal Code", "CC0 1.0 Universal"),
    ],
)
def test_each_part_carries_its_whole_licence(path, first, passage):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert text.splitlines()[0] == first
    assert passage in text


def test_hard_dependencies_are_those_the_tests_allow():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=~!\[]", need)[0].replace("-", "_") for need in project["dependencies"]}
    assert names == HARD_DEPENDENCIES


RUNS_WHAT_A_FILE_SAYS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler",
    "marshal.load", "marshal.loads", "shelve.open", "joblib.load", "torch.load", "yaml.load", "yaml.unsafe_load",
    "shutil.unpack_archive",
}  # fmt: skip
"""Calls that run code out of a file, or write what it names."""
UNPACKS = {"extract", "extractall"}
NOT_FOR_FILES = {
    "tools/qemb_tools/bench/speed/fresh.py",  # runs what the benchmark itself asks for
}


def test_nothing_runs_or_unpacks_what_a_file_says():
    found = []
    for folder in ("codec", "conformance/qemb_conformance", "tools"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                name = ast.unparse(node.func)
                pickles = any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords)
                shell = any(k.arg == "shell" for k in node.keywords)
                if name in RUNS_WHAT_A_FILE_SAYS or name.rpartition(".")[2] in UNPACKS or pickles or shell:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert [place for place in found if place.partition(":")[0] not in NOT_FOR_FILES] == []
