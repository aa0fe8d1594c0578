"""The JavaScript reader: its types, its own tests, and its page in a browser, over a real table where there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import qemb
from javascript import exercise

ROOT = Path(__file__).parents[2]
FOLDER = Path("conformance/implementations/javascript")
SHARED = Path(os.environ.get("QEMB_SHARED_DATA") or ROOT.parent / "shared" / "data") / "tables"
FASTTEXT = SHARED / "fasttext-en-35k-100d.bin"
WORDS = ["good", "movies", "unbelievably"]


@pytest.fixture(scope="module")
def folder(npm_ci, tmp_path_factory):
    """The implementation with its packages, in a copy, so that nothing else installs in the same place."""
    root = tmp_path_factory.mktemp("javascript")
    shutil.copytree(ROOT / FOLDER, root / FOLDER, ignore=shutil.ignore_patterns("node_modules"))
    for examples in ("spec/examples", "conformance/valid/zstd"):
        shutil.copytree(ROOT / examples, root / examples)
    npm_ci(root / FOLDER)
    return root / FOLDER


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """More than 40 MB of real vectors, where they are there."""
    if not FASTTEXT.exists():
        return None
    path = tmp_path_factory.mktemp("table") / "fasttext.qemb"
    subprocess.run(
        [sys.executable, "-m", "qemb_tools", "convert", "--quiet", FASTTEXT, path, "--scheme", "float32"], check=True
    )
    return path


def run_tests(folder, *names, **environment):
    done = subprocess.run(
        ["node", "--test", "--test-reporter=spec", *(f"test/{name}.test.mjs" for name in names)],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_types(folder):
    subprocess.run(["npm", "run", "--silent", "check"], cwd=folder, check=True)


def test_own_tests(folder):
    names = sorted(path.name.removesuffix(".test.mjs") for path in (folder / "test").glob("*.test.mjs"))
    names.remove("browser")
    assert "bytes fetched for a word" in run_tests(folder, *names)


def test_damaged_files(folder):
    counts, _, findings = exercise(folder, 150, seed=0)
    assert findings == []
    assert counts["verify: good"] > 3


def test_another_error_is_found(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "javascript")
    (tmp_path / "javascript" / "src" / "crc32c.mjs").write_text("export const crc32c = () => null.crc;\n", "utf-8")
    _, _, findings = exercise(tmp_path / "javascript", 20, seed=0)
    assert all(finding.startswith("open: TypeError") for _, finding in findings)
    assert len(findings) > 10


def test_page_in_a_browser(folder, require, table):
    require("chromium")
    environment = {"CHROMIUM": shutil.which("chromium")}
    if table:
        environment |= {"QEMB_TABLE": str(table), "QEMB_TABLE_WORDS": json.dumps(WORDS)}
    assert "skipped 0" in run_tests(folder, "browser", **environment)


def test_bits_of_a_real_table(folder, table):
    """Tokens, and words that n-grams make."""
    if not table:
        pytest.skip(f"needs {FASTTEXT}")
    words = [*WORDS, "unbelievablest", "naïvetés", "電影"]
    script = """
        const { open } = await import("./src/qemb.mjs");
        const emb = await open(process.argv[1]);
        const bits = async (word) => Buffer.from((await emb.get(word)).buffer).toString("hex");
        console.log(JSON.stringify(await Promise.all(JSON.parse(process.argv[2]).map(bits))));
    """
    command = ["node", "--input-type=module", "--eval", script, table, json.dumps(words)]
    found = json.loads(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)
    with qemb.open(table) as embedding:
        assert found == [embedding.get(word).tobytes().hex() for word in words]
