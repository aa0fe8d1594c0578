"""The terminal: completion, examples, suggestions, colours."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

import qemb as codec
from qemb_tools.cli import _COMMANDS, build_parser
from qemb_tools.commands.examples import EXAMPLES
from qemb_tools.terminal import columns_of, print_columns


@pytest.mark.parametrize("command", EXAMPLES)
def test_examples_stand_in_the_help_and_are_commands_that_are_accepted(command, capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args([command, "--help"])
    printed = capsys.readouterr().out
    for line, _ in EXAMPLES[command]:
        assert f"  {line}" in printed
        if line.startswith("qemb "):
            words = shlex.split(line.partition(" > ")[0])[1:]
            assert build_parser().parse_args(words).command == command


def test_every_command_has_examples():
    assert set(EXAMPLES) == set(_COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["convrt"], "did you mean convert?; see `qemb --help`"),
        (["convert", "a", "b", "--bist", "4"], "did you mean --bits?; see `qemb convert --help`"),
        (["nearest", "a", "b", "--mius=c"], "did you mean --minus?; see `qemb nearest --help`"),
        (["convert", "a", "b", "--merge", "frist"], "did you mean first?; see `qemb convert --help`"),
        (["info", "a", "--xyzzy"], "qemb: unrecognized arguments: --xyzzy; see `qemb info --help`"),
    ],
)
def test_what_was_meant_is_asked(qemb, arguments, meant):
    printed = qemb(*arguments, code=2).stderr
    assert printed.endswith(meant + "\n")
    assert len(printed.splitlines()) == 1


def complete(tmp_path, script, *words):
    """What bash offers for the last word."""
    line = " ".join(map(shlex.quote, words))
    asked = f'{script}\nCOMP_WORDS=({line})\nCOMP_CWORD={len(words) - 1}\n_qemb\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    return subprocess.run(
        ["bash", "-c", asked], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout.split()


def test_bash_completes(qemb, tmp_path):
    script = qemb("completion", "bash").stdout
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert complete(tmp_path, script, "qemb", "con") == ["convert", "conformance"]
    assert complete(tmp_path, script, "qemb", "convert", "a", "--b") == ["--bits", "--block", "--bytes"]
    assert complete(tmp_path, script, "qemb", "convert", "--offset", "") == ["mean", "none"]
    assert complete(tmp_path, script, "qemb", "completion", "") == ["bash", "zsh", "fish"]
    # what is no choice is left to bash, which completes the names of files
    assert complete(tmp_path, script, "qemb", "convert", "glo") == []
    assert complete(tmp_path, script, "qemb", "convert", "--tokens", "") == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_script(qemb, tmp_path, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    (tmp_path / "script").write_text(qemb("completion", shell).stdout)
    result = subprocess.run([shell, "-n", tmp_path / "script"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_fish_completes(qemb, tmp_path):
    if shutil.which("fish") is None:
        pytest.skip("needs fish")
    (tmp_path / "script").write_text(qemb("completion", "fish").stdout)
    asked = f"source {tmp_path}/script; complete -C 'qemb convert --offset '; complete -C 'qemb convert --bi'"
    home = os.environ | {"HOME": str(tmp_path)}
    result = subprocess.run(["fish", "-c", asked], capture_output=True, text=True, check=True, env=home)
    offered = [line.partition("\t")[0] for line in result.stdout.splitlines()]
    assert {"mean", "none", "--bits"} <= set(offered)


def test_colours_are_off_when_piped_and_as_the_environment_says(qemb, tmp_path):
    codec.write(tmp_path / "a.qemb", ["x"], np.ones((1, 4), np.float32))
    assert qemb("verify", "a.qemb").stdout == "a.qemb: good\n"
    assert qemb("verify", "a.qemb", env={"FORCE_COLOR": "1"}).stdout == "a.qemb: \x1b[32mgood\x1b[0m\n"
    both = {"FORCE_COLOR": "1", "NO_COLOR": "1"}
    assert qemb("verify", "a.qemb", env=both).stdout == "a.qemb: good\n"
    command = [sys.executable, "-m", "qemb_tools", "info", tmp_path / "b.qemb"]
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"FORCE_COLOR": "1"}
    error = subprocess.run(command, capture_output=True, text=True, check=False, env=environment).stderr
    assert error.startswith("\x1b[31mqemb:\x1b[0m ")


def test_columns_stand_under_each_other_in_any_script(capsys):
    assert columns_of("国王") == 4
    assert columns_of("cafe\u0301") == 4
    print_columns([("国王", "0.5"), ("queen", "0.25")], header=("word", "cosine"), right="lr")
    assert capsys.readouterr().out == "word   cosine\n国王      0.5\nqueen    0.25\n"
