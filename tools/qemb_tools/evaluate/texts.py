"""Labelled texts: a folder of class folders, or TSV or CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from qemb_tools.evaluate.sets import line_error
from qemb_tools.interface import UsageError, source_error
from qemb_tools.stream import open_bytes, plain_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TEST_SHARE = 0.2
_LABEL = {"label", "labels", "class", "category", "sentiment", "target", "polarity"}
"""What headings call a column of labels."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts and their labels."""

    texts: list[str]
    labels: list[str]

    def take(self, rows: Iterable[int]) -> Labelled:
        """Some of them."""
        chosen = list(rows)
        return Labelled([self.texts[i] for i in chosen], [self.labels[i] for i in chosen])


def read_sets(argument: str, *, seed: int = 0) -> tuple[Labelled, Labelled]:
    """Read ``TRAIN,TEST``, or TRAIN alone, of which a fifth of each class, drawn with the seed, is tested on.

    Raises
    ------
    UsageError
        A file does not exist.
    qemb.InvalidError
        A set is not what is expected, has one class only, or the test set a class that the other has not.
    """
    train_path, comma, test_path = (argument, "", "") if Path(argument).exists() else argument.rpartition(",")
    if not comma:
        train, test = split(read_labelled(argument), seed)
        train_path = test_path = argument
    else:
        train, test = read_labelled(train_path), read_labelled(test_path)
    if len(set(train.labels)) < 2:
        raise source_error("texts of two classes or more are expected; all have one label", train_path)
    if strange := sorted(set(test.labels) - set(train.labels)):
        raise source_error(f"the label {strange[0]!r} is not among those of {train_path}; check the columns", test_path)
    if not test.labels:
        raise source_error("nothing is left to test on; name a test set as TRAIN,TEST", test_path)
    return train, test


def split(texts: Labelled, seed: int) -> tuple[Labelled, Labelled]:
    """Train and test: of each class a fifth, rounded down, is tested on."""
    order = np.random.default_rng(seed).permutation(len(texts.labels)).tolist()
    chosen: set[int] = set()
    for label in sorted(set(texts.labels)):
        rows = [i for i in order if texts.labels[i] == label]
        chosen |= set(rows[: int(TEST_SHARE * len(rows))])
    return texts.take(i for i in range(len(order)) if i not in chosen), texts.take(sorted(chosen))


def read_labelled(path: str) -> Labelled:
    """Read a folder of class folders, each text a file; CSV, if the name ends so; or lines with tabs.

    Of the columns, the one with the longest fields is the text, and of the others the one with the fewest different
    fields the label; a first line that says so is a heading. Bytes that are not UTF-8 become U+FFFD.

    Raises
    ------
    UsageError
        There is no such file.
    qemb.InvalidError
        It is not what is expected.
    """
    if Path(path).is_dir():
        return _read_folder(Path(path))
    is_csv = plain_name(path).lower().endswith(".csv")
    newline = "" if is_csv else "\n"
    with io.TextIOWrapper(open_bytes(path), "utf-8-sig", errors="replace", newline=newline) as text:
        rows_of = _rows_of_csv(text, path) if is_csv else _rows_of_tsv(text)
        numbered = [(number, row) for number, row in rows_of if any(field.strip() for field in row)]
    if not numbered:
        raise source_error("it is empty; lines of a label and a text are expected, with a tab between", path)
    rows = [row for _, row in numbered]
    width = len(rows[0])
    for number, row in numbered:
        if len(row) != width or width < 2:
            wanted = f"{width} fields, as the first line has," if width > 1 else "a label and a text with a tab between"
            raise line_error(f"{wanted} are expected; the line has {len(row)}", path, number)
    text_column, label_column = _columns(rows)
    texts, labels = [row[text_column] for row in rows], [row[label_column].strip() for row in rows]
    headed = labels[0].lower() in _LABEL and labels[0] not in labels[1:]
    return Labelled(texts[headed:], labels[headed:])


def _rows_of_tsv(text: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Fields of lines, and their numbers; a quote is a quote."""
    for number, line in enumerate(text, 1):
        yield number, line.rstrip("\r\n").split("\t")


def _rows_of_csv(text: TextIO, path: str) -> Iterator[tuple[int, list[str]]]:
    """Fields of rows, and the number of the line where each ends."""
    reader = csv.reader(text, strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise line_error(f"the CSV is damaged ({error}); check the quotes", path, reader.line_num) from None


def _columns(rows: list[list[str]]) -> tuple[int, int]:
    columns = range(len(rows[0]))
    text = max(columns, key=lambda column: sum(len(row[column]) for row in rows))
    label = min((column for column in columns if column != text), key=lambda column: len({row[column] for row in rows}))
    return text, label


def _read_folder(folder: Path) -> Labelled:
    texts, labels = [], []
    for part in sorted(each for each in folder.iterdir() if each.is_dir()):
        for file in sorted(each for each in part.iterdir() if each.is_file()):
            texts.append(file.read_text(encoding="utf-8", errors="replace"))
            labels.append(part.name)
    if not texts:
        raise UsageError(f"{folder} has no folders with files; a folder for each class is expected")
    return Labelled(texts, labels)
