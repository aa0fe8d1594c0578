"""Every example that a reader may copy out of the documentation works as it stands."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "conformance").glob("*.md")),
]
STORIES = [
    *(ROOT / "docs" / f"{name}.md" for name in ("quickstart", "tutorial", "exact", "hdf5", "token-tables", "terminal")),
    *sorted((ROOT / "docs" / "zh").glob("*.md")),
]
"""Pages whose blocks build upon those before them: run from top to bottom, in one folder and one Python."""
WORDS = ["the", "king", "queen", "man", "woman", "paris", "france", "london", "england", "river", "bank", "tea"]
SCRIPTS = Path(sysconfig.get_path("scripts"))
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^]]*\]\((?!https?:|#)([^)#\s]+)")


@dataclass(frozen=True)
class Example:
    document: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document.name}-line-{self.line}"


def examples() -> list[Example]:
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start(2)) + 1
            found.append(Example(document, line, match[1], match[2]))
    return found


def commands(example: Example) -> list[str]:
    """The ``qemb`` commands of a block, those continued with a backslash joined."""
    joined = example.text.replace("\\\n", " ")
    return [line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ qemb ")]


ALONE = [e for e in examples() if e.document not in STORIES]
PYTHON = [e for e in ALONE if e.language == "python"]
CONSOLE = [e for e in ALONE if e.language in {"console", "sh"} and commands(e)]
TELL = """
import json, subprocess, sys

names = {"__name__": "__main__"}
for page, line, code, commands in json.load(open("story.json", encoding="utf-8")):
    exec(compile("\\n" * (line - 1) + code, page, "exec"), names)
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{page}, line {line}: $ {command}: {done.stderr}"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with what the examples speak of: ``glove.txt`` and ``glove.qemb``."""
    import qemb

    vectors = np.random.default_rng(7).normal(size=(len(WORDS), 50)).astype(np.float32).round(5)
    with (tmp_path / "glove.txt").open("w", encoding="utf-8") as file:
        for word, vector in zip(WORDS, vectors, strict=True):
            print(word, *(f"{value:.5f}" for value in vector), file=file)
    qemb.write(tmp_path / "glove.qemb", WORDS, vectors)
    write_model(tmp_path / "model", vectors)
    if find_spec("gguf"):
        write_gguf(tmp_path / "model.gguf", vectors)
    write_sets(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_model(folder, vectors):
    """A static sentence model: safetensors and a tokenizer of whole words."""
    folder.mkdir()
    tensor = {"dtype": "F32", "shape": vectors.shape, "data_offsets": [0, vectors.nbytes]}
    header = json.dumps({"embeddings": tensor}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + vectors.tobytes())
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(WORDS)}, "unk_token": "the"},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def write_gguf(path, vectors):
    """A model of llama.cpp's with its token table in blocks of Q8_0."""
    import gguf

    padded = np.pad(vectors, ((0, 0), (0, -vectors.shape[1] % 32)))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_token_list(WORDS)
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor("token_embd.weight", gguf.quants.quantize(padded, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_sets(folder):
    """What vectors are evaluated on: pairs, analogies, a cluster with outliers, texts."""
    for name in ("EN-MEN-TR-3k.txt", "EN-SIMLEX-999.txt"):
        (folder / name).write_text("king\tqueen\t8.6\ntea\triver\t3.1\nman\twoman\t8.3\n")
    (folder / "questions-words.txt").write_text(
        ": family\nking queen man woman\n: capitals\nparis france london england\n"
    )
    (folder / "8-8-8_Dataset").mkdir()
    (folder / "8-8-8_Dataset" / "places.txt").write_text("paris\nlondon\nengland\n\ntea\nking\n")
    people, things = ["the king", "a queen and a man", "king and woman"] * 2, ["tea", "the river", "a bank"] * 2
    for name in ("train.tsv", "test.tsv"):
        (folder / name).write_text("".join(f"{a}\tperson\n{b}\tthing\n" for a, b in zip(people, things, strict=True)))
    for label, texts in (("people", people), ("things", things)):
        (folder / "reviews" / label).mkdir(parents=True)
        for i, text in enumerate(texts):
            (folder / "reviews" / label / f"{i}.txt").write_text(text)


def test_the_readme_has_examples_of_both_kinds():
    assert [e for e in PYTHON if e.document.name == "README.md"]
    assert [e for e in CONSOLE if e.document.name == "README.md"]


@pytest.mark.parametrize("example", PYTHON, ids=str)
def test_python_example(example, folder):
    if "import torch" in example.text and find_spec("torch") is None:
        pytest.skip("not run: torch is not installed; make test-torch installs it and runs this")
    # a process of its own, as a reader would: nothing imported, warnings are errors
    script = folder / "example.py"
    script.write_text("\n" * (example.line - 1) + example.text, encoding="utf-8")
    result = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("page", STORIES, ids=lambda path: str(path.relative_to(ROOT)))
def test_page_from_top_to_bottom(page, folder):
    told = []
    for example in examples():
        if example.document == page:
            code = example.text if example.language == "python" else ""
            lines = [shlex.split(command, comments=True) for command in commands(example)]
            told.append((page.name, example.line, code, [[str(SCRIPTS / words[0]), *words[1:]] for words in lines]))
    assert any(code for _, _, code, _ in told) or any(lines for *_, lines in told)
    (folder / "story.json").write_text(json.dumps(told), encoding="utf-8")
    result = subprocess.run([sys.executable, "-W", "error", "-c", TELL], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("example", CONSOLE, ids=str)
def test_console_example(example, folder):
    environment = os.environ | {"PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"}
    for command in commands(example):
        words = shlex.split(command, comments=True)
        words[0] = str(SCRIPTS / words[0])
        result = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=folder)
        assert result.returncode == 0, f"$ {command}\n{result.stdout}{result.stderr}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_into_the_repository_lead_somewhere(document):
    links = LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8")))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_pages_show_the_figures_of_the_run_that_is_kept():
    from qemb_tools.bench.speed.pages import fill

    saved = json.loads((ROOT / "docs" / "speed.json").read_text(encoding="utf-8"))
    for page in (ROOT / "README.md", ROOT / "docs" / "speed.md"):
        text = page.read_text(encoding="utf-8")
        assert "<!-- figures: " in text
        assert fill(text, saved) == text, f"qemb bench pages --json docs/speed.json --fill {page.relative_to(ROOT)}"


def test_the_picture_of_the_trellis_is_what_its_script_draws():
    script = runpy.run_path(str(ROOT / "docs" / "trellis.py"))
    for scheme, colours in script["COLOURS"].items():
        drawn = (ROOT / "docs" / f"trellis-{scheme}.svg").read_text(encoding="utf-8")
        assert script["draw"](colours) == drawn, "python docs/trellis.py"


def test_pages_of_docs_figures_show_what_was_measured():
    from qemb_tools.bench.figures import PARTS, filled

    for part in PARTS:
        text = (ROOT / "docs" / f"{part}.md").read_text(encoding="utf-8")
        saved = json.loads((ROOT / "docs" / f"{part}.json").read_text(encoding="utf-8"))
        assert "<!-- figures: " in text
        assert filled(part, text, saved) == text, f'make docs-figures FIGURES_ARGS="{part} --pages"'


def test_make_targets_named_in_the_documents_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set()
    for example in examples():
        for line in re.findall(r"^make ([^#&\n]+)", example.text, re.MULTILINE):
            named |= {word for word in shlex.split(line) if word.replace("-", "").isalpha()}
    assert {"demo", "test", "check"} <= named <= targets


def test_the_readme_lists_every_format_as_the_command_knows_it():
    from qemb_tools.formats import FORMATS

    _, _, table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| format |")
    listed = {}
    for line in table.partition("\n\n")[0].splitlines():
        names, *_, read, written = line.strip("|").split("|")
        for name in re.findall(r"`([\w-]+)`", names):
            listed[name] = (read.strip() == "yes", written.strip() == "yes")
    assert listed == {f.name: (f.read is not None, f.write is not None) for f in FORMATS}
