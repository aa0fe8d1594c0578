"""Encoders under test: a table in, a file out, judged by what `spec-decoder` finds in the file."""

from __future__ import annotations

import json
import math
import struct
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from qemb_conformance.adapters import Outcome, judge_ending
from qemb_conformance.cases import Case
from qemb_conformance.differences import Difference, compare
from qemb_conformance.errors import UsageError
from qemb_conformance.judging import MAX_KEPT, Bench
from qemb_conformance.oracle import Refusal
from qemb_conformance.processes import command_line, run_once

if TYPE_CHECKING:
    from qemb_conformance.decoders import Options
    from qemb_conformance.judging import Result
    from qemb_conformance.oracle import Oracle
    from qemb_conformance.strict_json import Json


@dataclass(frozen=True)
class EncoderCase(Case):
    """A table that an encoder is given."""

    request: str = ""
    """The object, as JSON."""
    max_error: float = 0.0
    """The greatest relative error; 0 where every bit comes back."""


def load_encoder_cases(corpus: Path) -> tuple[EncoderCase, ...]:
    """Read ``encode/*.json``; a lossy one stands for a case for each of its bits.

    Raises
    ------
    UsageError
        There are none, or one cannot be read.
    """
    cases: list[EncoderCase] = []
    for path in sorted((corpus / "encode").glob("*.json")):
        try:
            cases.extend(_cases(path, json.loads(path.read_bytes())))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{path} is no case for encoders: {error!r}") from error
    if not cases:
        raise UsageError(f"{corpus / 'encode'} holds no cases for encoders")
    return tuple(cases)


def _cases(path: Path, entry: dict[str, Any]) -> list[EncoderCase]:
    def case(name: str, request: dict[str, Json], max_error: float) -> EncoderCase:
        return EncoderCase(
            id=f"encode/{name}",
            file=path,
            good=entry["verdict"] == "valid",
            profile="full",
            requirements=tuple(entry["requirements"]),
            features=frozenset([cast("str", request["scheme"])]),
            guards=entry["guards"],
            description=entry["description"],
            error=entry.get("error", ""),
            request=json.dumps(request),
            max_error=max_error,
        )

    errors: dict[str, str] = entry.get("max_error", {})
    if not errors:
        return [case(path.stem, entry["request"], 0.0)]
    return [
        case(f"{path.stem}-{bits}", {**entry["request"], "bits": bits}, float(most)) for bits, most in errors.items()
    ]


class EncoderWorker:
    """Gives tables to an encoder."""

    def __init__(self, command: str, options: Options, oracle: Oracle) -> None:
        self._command = command_line(command)
        self._options = options
        self._oracle = oracle
        self._folder = tempfile.TemporaryDirectory(prefix="qemb-conformance-")

    def run(self, case: Case) -> Outcome:
        """Give it the table; the answer is that of `spec-decoder` to the file it made."""
        assert isinstance(case, EncoderCase)
        request = Path(self._folder.name, "request.json")
        request.write_text(case.request, encoding="utf-8")
        ended = run_once(self._command, request, self._options.timeout, self._options.cwd)
        if ended.status != 0 or ended.flooded:
            return judge_ending(ended, self._options.timeout)
        answer = self._oracle.answer(ended.output)
        if isinstance(answer, Refusal):
            rule = f" ({answer.requirement})" if answer.requirement else ""
            return Outcome("answer", f"spec-decoder says {answer.code}{rule}", complaint=ended.complaint)
        return Outcome("answer", answer=answer, complaint=ended.complaint)

    def judge(self, case: Case, outcome: Outcome, seconds: float) -> Result:
        """Compare what is in the file with the table."""
        assert isinstance(case, EncoderCase)

        bench = Bench(case, outcome, seconds)
        if outcome.kind == "crash":
            return bench.wrong(f"crash: {outcome.word}")
        if outcome.kind == "unsupported":
            if outcome.word not in case.features:
                return bench.wrong(f"unsupported {outcome.word!r}, which is not the scheme that was asked for")
            return bench.right(answered=False)
        if outcome.kind == "error":
            if case.good:
                return bench.wrong(f"refused as {outcome.word}, a table that a file can hold")
            if outcome.word != case.error:
                return bench.wrong(f"refused as {outcome.word}; it is {case.error}", verdict=True)
            return bench.right()
        if not case.good:
            return bench.wrong(f"taken; it is to be refused as {case.error}")
        if outcome.answer is None:
            return bench.wrong(f"the file does not conform: {outcome.word}")
        wrong, differences = _judge_table(case, outcome.answer)
        return bench.wrong(wrong, differences, verdict=True) if wrong else bench.right()

    def close(self) -> None:
        """Remove what was written."""
        self._folder.cleanup()


def _judge_table(case: EncoderCase, answer: dict[str, Json]) -> tuple[str, tuple[Difference, ...]]:
    """What is wrong with a file that conforms, and where."""
    request = json.loads(case.request)
    rows = str(len(request["vectors"]))
    wanted: dict[str, Json] = {
        "header": {"rows": rows, "tokens": rows, "dim": request["dim"]},
        "tokens": request["tokens"],
        "vectors": request["vectors"],
    }
    got = {key: answer[key] for key in wanted}
    if not case.max_error:
        # no leave for NaN here: a file that holds every bit has no operation that could give one
        differences = tuple(islice(compare(wanted, got, optional=frozenset()), MAX_KEPT))
        return ("the table that comes back differs" if differences else "", differences)
    shape = {key: wanted[key] for key in ("header", "tokens")}
    differences = tuple(islice(compare(shape, {key: got[key] for key in shape}, optional=frozenset()), MAX_KEPT))
    if differences:
        return "the table that comes back differs", differences
    error = relative_error(request["vectors"], cast("list[list[str]]", got["vectors"]))
    if error <= case.max_error:
        return "", ()
    return f"the relative error is {error:.4f}; at {request['bits']} bits it is {case.max_error:g} at most", ()


def relative_error(table: list[list[str]], got: list[list[str]]) -> float:
    """Norm of the difference of two tables of float32, over that of the first; the first where that is 0."""
    flat = [_values(rows) for rows in (table, got)]
    difference = math.sqrt(math.fsum((x - y) ** 2 for x, y in zip(*flat, strict=True)))
    norm = math.sqrt(math.fsum(x * x for x in flat[0]))
    return difference / norm if norm else difference


def _values(rows: list[list[str]]) -> tuple[float, ...]:
    data = bytes.fromhex("".join("".join(row) for row in rows))
    return struct.unpack(f">{len(data) // 4}f", data)
