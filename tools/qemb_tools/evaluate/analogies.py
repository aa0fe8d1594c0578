"""Analogies by 3CosAdd (Mikolov, Yih and Zweig, 2013): the word nearest to b - a + c, those three left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qemb_tools.evaluate.sets import line_error, numbered_lines, unit
from qemb_tools.interface import source_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from qemb_tools.evaluate.table import Table

_ROWS = 1 << 14
_QUESTIONS = 1 << 10
"""Rows and questions of a tile: 64 MB of scores."""

Question = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Section:
    """Questions of one kind: a is to b as c is to d."""

    name: str
    questions: list[Question]


@dataclass(frozen=True, slots=True)
class SectionScore:
    """How many questions of a section there are, how many have all words in the table, how many are answered right."""

    name: str
    correct: int
    found: int
    questions: int

    @property
    def accuracy(self) -> float | None:
        """Share of the questions found that are answered right; None where there are none."""
        return self.correct / self.found if self.found else None


@dataclass(frozen=True, slots=True)
class Analogies:
    """Scores by section and of all questions together, and the words that are not in the table."""

    sections: list[SectionScore]
    total: SectionScore
    missing: list[str]


def read_analogies(path: str) -> list[Section]:
    """Read a set in the format of questions-words.txt: ``: section``, then four words a line.

    Raises
    ------
    qemb.InvalidError
        A line is something else, or there is none.
    UsageError
        There is no such file.
    """
    sections: list[Section] = []
    for number, line in numbered_lines(path):
        if line.startswith(":"):
            sections.append(Section(line.lstrip(": ").strip(), []))
            continue
        words = line.split()
        if len(words) != 4:
            raise line_error(f"four words are expected, or a colon and a section; there are {len(words)}", path, number)
        if not sections:
            raise line_error("a line with a colon and a section's name has to come first", path, number)
        sections[-1].questions.append((words[0], words[1], words[2], words[3]))
    if not any(section.questions for section in sections):
        raise source_error("there is no question; lines of four words are expected, after ': section'", path)
    return sections


def score_analogies(table: Table, sections: Sequence[Section]) -> Analogies:
    """Answer the questions as gensim's ``evaluate_word_analogies`` does; those with a missing word are left out."""
    rows, missing = table.find(word for section in sections for question in section.questions for word in question)
    known = [[q for q in section.questions if all(word in rows for word in q)] for section in sections]
    asked = np.array([[rows[word] for word in q] for found in known for q in found], np.int64).reshape(-1, 4)
    right = _answers(table, asked[:, :3]) == asked[:, 3]
    ends = np.cumsum([len(found) for found in known])
    scores = [
        SectionScore(section.name, int(right[end - len(found) : end].sum()), len(found), len(section.questions))
        for section, found, end in zip(sections, known, ends, strict=True)
    ]
    questions = sum(score.questions for score in scores)
    return Analogies(scores, SectionScore("total", int(right.sum()), len(right), questions), missing)


def _answers(table: Table, asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row of the nearest word for each (a, b, c), the first row of those that count as one word."""
    asked, inverse = np.unique(asked, axis=0, return_inverse=True)
    needed, places = np.unique(asked, return_inverse=True)
    a, b, c = unit(table.take(needed))[places.reshape(asked.shape)].transpose(1, 0, 2)
    wanted = (b - a + c).astype(np.float32)
    best = np.full(len(asked), -np.inf, np.float32)
    answer = np.full(len(asked), -1, np.int64)
    # rows that are passed over, as (question, row) sorted by row
    out = np.array([(i, row) for i, three in enumerate(asked) for word in three for row in table.words.same(int(word))],
                   np.int64).reshape(-1, 2)  # fmt: skip
    for low in range(0, len(table.words), _ROWS):
        rows = np.arange(low, min(low + _ROWS, len(table.words)))
        vectors = unit(table.take(rows)).astype(np.float32).T
        passed = out[(out[:, 1] >= low) & (out[:, 1] <= rows[-1])]
        for first in range(0, len(asked), _QUESTIONS):
            tile = slice(first, first + _QUESTIONS)
            scores = wanted[tile] @ vectors
            mine = passed[(passed[:, 0] >= first) & (passed[:, 0] < first + _QUESTIONS)]
            scores[mine[:, 0] - first, mine[:, 1] - low] = -np.inf
            near = scores.argmax(axis=1)
            score = scores[np.arange(len(near)), near]
            better = score > best[tile]
            best[tile][better] = score[better]
            answer[tile][better] = near[better] + low
    return np.array([table.words.first(row) for row in answer.tolist()], np.int64)[inverse.reshape(-1)]
