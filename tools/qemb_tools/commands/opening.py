"""What the commands that look into a ``.qemb`` file share."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import qemb
from qemb.source import is_url
from qemb_tools.cli import AnswerIsNoError
from qemb_tools.interface import UsageError
from qemb_tools.stream import STANDARD_INPUT, check_file, standard_input

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CANDIDATES = 20_000
"""Tokens that are looked through for a similar one: files have the frequent words first, and difflib is slow."""


def open_embedding(path: str, opener: Callable[[str], qemb.Embedding] = qemb.open) -> qemb.Embedding:
    """Open a ``.qemb`` file: a path, or, where nothing else needs its name, a URL or ``-`` for standard input.

    Raises `UsageError` if there is none of that name, `qemb.QembError` if it is bad.
    """
    anything = opener is qemb.open
    if not (anything and (is_url(path) or path == STANDARD_INPUT)):
        check_file(path)
    try:
        return qemb.open(standard_input()) if anything and path == STANDARD_INPUT else opener(path)
    except ImportError as error:
        raise UsageError(str(error)) from None
    except qemb.MalformedError as error:
        if error.code != "malformed.magic":
            raise
        hint = f"{error.message}; if it holds vectors, `qemb convert` makes one of it"
        raise qemb.MalformedError(error.code, hint, where=error.where, offset=error.offset) from None


def require_words(embedding: qemb.Embedding, words: Iterable[str], path: str) -> None:
    """Raise `AnswerIsNoError` for the first word that has no vector, with those that look like it."""
    for word in words:
        if embedding.get(word) is None:
            similar = suggest(embedding, word)
            hint = f"did you mean {', '.join(similar)}?" if similar else "check the spelling"
            raise AnswerIsNoError(f"the word {word!r} is not in {path}; {hint}")


def suggest(embedding: qemb.Embedding, word: str) -> list[str]:
    """Return up to three tokens that look like a word."""
    from difflib import get_close_matches

    variants = dict.fromkeys((word.lower(), word.capitalize(), word.upper(), word.strip(), word.replace(" ", "_")))
    found = [variant for variant in variants if variant and variant != word and variant in embedding]
    return (found + [t for t in get_close_matches(word, islice(embedding, CANDIDATES), 3) if t not in found])[:3]
