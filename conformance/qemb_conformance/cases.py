"""The corpus: its manifest, its files and what is expected of an implementation that is given one."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from qemb_conformance.errors import UsageError
from qemb_conformance.options import PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qemb_conformance.strict_json import Json

STRUCTURE_KEYS = ("header", "sections", "quantization", "transform", "subword")
"""Keys of the answer that the profile `structure` is compared in."""


@dataclass(frozen=True)
class Case:
    """A file, and what an implementation owes it."""

    id: str
    """Path in the corpus without its suffix, such as ``valid/linear/bits-8``."""
    file: Path
    good: bool
    """Whether the file conforms, and is to be decoded; otherwise it is to be refused."""
    profile: str
    """The least profile that shall answer in full."""
    requirements: tuple[str, ...]
    """What an implementation that fails has got wrong, most likely first."""
    features: frozenset[str]
    guards: str
    """The bug that it is there to catch."""
    description: str
    error: str = ""
    """Of a bad file: the code of the first check that fails."""
    check: int = 0
    """Of a bad file: the step of section 8 that finds it."""
    expected: Path | None = field(default=None, compare=False)
    """Of a good file: where the answer is."""
    origin: str = ""
    """Of a bad file: what it was made from, and how."""

    @property
    def folder(self) -> str:
        """What the table of results puts it under."""
        return self.id.rpartition("/")[0]

    def asked_of(self, profile: str) -> bool:
        """Whether an implementation of a profile shall answer: `structure`, of every good file, in some keys."""
        return (self.good and profile == "structure") or PROFILES.index(self.profile) <= PROFILES.index(profile)

    def answer(self) -> dict[str, Json]:
        """The answer expected, as it is stored: long arrays may stand as a digest."""
        if self.expected is None:
            raise TypeError(f"{self.id} has no answer")
        return cast("dict[str, Json]", json.loads(self.expected.read_bytes()))


@dataclass(frozen=True)
class Corpus:
    """A folder with a manifest, and the cases that it lists."""

    folder: Path
    cases: tuple[Case, ...]


def find_corpus(given: str | None) -> Path:
    """The folder of the corpus: the one given, the one beside this package in a checkout, or ``./conformance``.

    Raises
    ------
    UsageError
        There is none.
    """
    places = [Path(given)] if given else [Path(__file__).resolve().parents[1], Path("conformance")]
    for place in places:
        if (place / "manifest.json").is_file():
            return place
    if given:
        raise UsageError(f"{given} holds no manifest.json: name the folder conformance/ of a clone of the repository")
    raise UsageError(
        "the corpus is not here: name the folder conformance/ of a clone of the repository with --corpus, or run in it"
    )


def load_corpus(folder: Path) -> Corpus:
    """Read the manifest, and make sure that the files are those it speaks of.

    Raises
    ------
    UsageError
        The manifest cannot be read, or a file is missing or another one.
    """
    manifest = _read_json(folder / "manifest.json")
    try:
        cases = tuple(_case(folder, entry) for entry in manifest["cases"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{folder / 'manifest.json'} is not a manifest: {error!r}") from error
    for case, entry in zip(cases, manifest["cases"], strict=True):
        try:
            data = case.file.read_bytes()
        except OSError as error:
            raise UsageError(f"{case.file}: {error.strerror}; the clone is not complete") from error
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise UsageError(
                f"{case.file} is not the file of the manifest: its SHA-256 differs; was it checked out as text?"
            )
    return Corpus(folder, cases)


def _case(folder: Path, entry: dict[str, Any]) -> Case:
    good = entry["verdict"] == "valid"
    return Case(
        id=entry["id"],
        file=folder / entry["file"],
        good=good,
        profile=PROFILES[PROFILES.index(entry["profile"])],
        requirements=tuple(entry["requirements"]),
        features=frozenset(entry["features"]),
        guards=entry["guards"],
        description=entry["description"],
        error="" if good else entry["error"],
        check=0 if good else int(entry["check"]),
        expected=folder / entry["expected"] if good else None,
        origin="" if good else f"{entry['parent']}: {entry['mutation']}",
    )


def matches(case: Case, patterns: Sequence[str]) -> bool:
    """Whether a pattern matches its id, a folder it is in, or a requirement: of a bad file, the one that it breaks.

    Patterns are those of the shell. Everything matches where there is none.
    """
    folders = (parent.as_posix() for parent in PurePosixPath(case.id).parents)
    names = (case.id, *folders, *(case.requirements if case.good else case.requirements[:1]))
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)


def patterns_of(corpus: Path, given: Iterable[str]) -> list[str]:
    """What `matches` takes, from patterns that may also be paths of the corpus's folders and files."""
    patterns = []
    for pattern in given:
        path = Path(pattern.removesuffix(".qemb").removesuffix(".json"))
        patterns += [pattern, path.as_posix()]
        if path.resolve().is_relative_to(corpus.resolve()):
            patterns.append(path.resolve().relative_to(corpus.resolve()).as_posix())
    return patterns


def expected_failures(path: str, known: Iterable[str]) -> frozenset[str]:
    """Read a list of cases that are known to fail, an id or a glob a line; what follows ``#`` is a remark.

    Raises
    ------
    UsageError
        It names a case that does not exist, or a glob matches none.
    """
    lines = (line.partition("#")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    names = list(known)
    listed: set[str] = set()
    for line in filter(None, lines):
        found = fnmatch.filter(names, line)
        if not found:
            raise UsageError(f"{path} names {line!r}, which is no case of the corpus: strike it off")
        listed.update(found)
    return frozenset(listed)


def _read_json(path: Path) -> Any:  # noqa: ANN401
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}") from error
