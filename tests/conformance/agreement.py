"""Whether the reference codec and the specification as a program agree on a file."""

from __future__ import annotations

import runpy
from pathlib import Path

import qemb_spec

IMPLEMENTATIONS = Path(__file__).parents[2] / "conformance" / "implementations"
codec_answer = runpy.run_path(str(IMPLEMENTATIONS / "reference" / "adapter.py"))["answer"]
INFINITY, MAGNITUDE = 0x7F800000, 0x7FFFFFFF


def comparable(answer):
    """An answer in which every NaN whose bits are not fixed is the same one."""
    loose = {"subword_vectors"} | ({"vectors"} if "transform" in answer else set())
    return answer | {key: [any_nan(vector) for vector in answer[key]] for key in loose & answer.keys()}


def any_nan(vector):
    return (
        vector
        if isinstance(vector, str)
        else [word if int(word, 16) & MAGNITUDE <= INFINITY else "nan" for word in vector]
    )


def assert_the_codec_agrees(data):
    """The codec's answer to a good file is that of the specification."""
    answer = qemb_spec.answer(data)
    assert comparable(codec_answer(data)) == comparable(answer)
    return answer
