"""Examples in the help of each command."""

from __future__ import annotations

import argparse
from typing import Final

EXAMPLES: Final = {
    "convert": (
        ("qemb convert glove.txt glove.qemb --bits 4", "an eighth of float32"),
        ("qemb convert glove.txt glove.qemb --scheme exact", "every bit comes back"),
        ("qemb convert glove.txt glove.qemb --max-bytes 20MB", "the best that fits"),
        ("qemb convert glove.qemb glove.bin", "for word2vec and gensim"),
        ("qemb convert model.safetensors tokens.qemb --bits 4", "the token table of a model"),
        ("qemb convert words.vec.gz words.qemb --dry-run", "read everything, write nothing"),
    ),
    "info": (
        ("qemb info glove.qemb", "what is in it"),
        ("qemb info vectors.h5", "the tables that can be converted"),
        ("qemb info glove.qemb --json", "for scripts"),
    ),
    "verify": (
        ("qemb verify *.qemb", "each is good, or its first fault"),
        ("qemb verify glove.qemb --all", "all faults"),
    ),
    "repair": (("qemb repair damaged.qemb saved.qemb", "the rows that are whole"),),
    "get": (
        ("qemb get glove.qemb king queen", "a line a word"),
        ("qemb get glove.qemb king --json", "for scripts"),
    ),
    "nearest": (
        ("qemb nearest glove.qemb king -k 5", "the five nearest words"),
        ("qemb nearest glove.qemb king --minus man --plus woman", "an analogy"),
        ("qemb nearest glove.qemb king --approximate", "with the index of `qemb index`"),
    ),
    "index": (("qemb index glove.qemb", "writes glove.qemb.faiss"),),
    "compare": (
        ("qemb compare glove.txt glove.qemb", "what compression did"),
        ("qemb compare glove.txt glove.qemb --html lost.html", "a page with plots"),
        ("qemb compare glove.txt glove.qemb --json", "for scripts"),
    ),
    "evaluate": (
        ("qemb evaluate glove.txt glove.qemb --similarity MEN.txt", "beside each other"),
        ("qemb evaluate glove.qemb --classify train.tsv,test.tsv", "texts by their mean vectors"),
    ),
    "sweep": (
        ("qemb sweep glove.txt", "every width, and a recommendation"),
        ("qemb sweep glove.txt --bits 8,4,2 --html ways.html", "some of them, as a page"),
    ),
    "map": (
        ("qemb map glove.qemb king paris --top 5 -o map.html", "their neighbours, to zoom and search"),
        ("qemb map glove.qemb --top 500 -o words.svg", "the first words, for a paper"),
    ),
    "formats": (("qemb formats", "their names, for --from and --to"),),
    "conformance": (
        ("qemb conformance", "the reference codec"),
        ("qemb conformance --decoder 'node reader.js' --profile core", "a reader of yours"),
    ),
    "bench": (
        ("qemb bench", "speed, on GloVe 6B"),
        ("qemb bench quality --bits 4,2 --only qemb", "a part, some widths, some methods"),
    ),
    "completion": (
        ('eval "$(qemb completion bash)"', "in ~/.bashrc"),
        ('eval "$(qemb completion zsh)"', "in ~/.zshrc, after compinit"),
        ("qemb completion fish > ~/.config/fish/completions/qemb.fish", "once"),
    ),
}
"""By command: lines to copy, and what each does."""


def add_examples(parser: argparse.ArgumentParser, command: str) -> None:
    """Put the examples of a command at the end of its help."""
    lines = EXAMPLES.get(command)
    if not lines or (parser.epilog and "  qemb " in parser.epilog):
        return
    width = max(len(line) for line, _ in lines)
    shown = "examples:\n" + "\n".join(f"  {line:<{width}}  {meaning}" for line, meaning in lines)
    parser.epilog = f"{(parser.epilog or '').strip()}\n\n{shown}".strip()
    parser.formatter_class = HelpFormatter


class HelpFormatter(argparse.HelpFormatter):
    """Wraps paragraphs as argparse does, and leaves lists of examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        wrapped = super()._fill_text
        paragraphs = text.strip().split("\n\n")
        return "\n\n".join(p if "\n  " in p else wrapped(p, width, indent) for p in paragraphs)
