"""The specification as a program, `implementations/spec-decoder`: answers in full, where the corpus has none."""

from __future__ import annotations

import importlib.util
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from qemb_conformance.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from qemb_conformance.cases import Case
    from qemb_conformance.strict_json import Json

_importing = threading.Lock()


@dataclass(frozen=True)
class Refusal:
    """What `spec-decoder` says of a file that does not conform."""

    code: str
    requirement: str = ""


class Oracle:
    """`spec-decoder`, imported from the folder of the corpus when it is first needed."""

    def __init__(self, corpus: Path) -> None:
        self._place = corpus / "implementations" / "spec-decoder" / "qemb_spec.py"
        self._module: Any = None

    def answer(self, data: bytes) -> dict[str, Json] | Refusal:
        """Decode a file.

        Raises
        ------
        UsageError
            There is no `spec-decoder` in the corpus, or a package is missing that it needs for this file.
        """
        if self._module is None:
            self._module = load_module(self._place)
        try:
            return cast("dict[str, Json]", self._module.answer(data))
        except self._module.Rejected as error:
            return Refusal(error.code, error.requirement)
        except self._module.Unsupported as error:  # it leaves nothing out but what it cannot import
            raise UsageError("spec-decoder needs the package zstandard: pip install zstandard") from error

    def recompute(self, case: Case) -> dict[str, Json] | None:
        """The answer of a case of the corpus in full; None where it cannot be had."""
        try:
            answer = self.answer(case.file.read_bytes())
        except UsageError:
            return None
        return None if isinstance(answer, Refusal) else answer


def load_module(place: Path) -> Any:  # noqa: ANN401
    """Import a module of the corpus from its file; modules beside it are found as well.

    Raises
    ------
    UsageError
        It is not there.
    """
    if not place.is_file():
        raise UsageError(f"{place} is not there: the corpus is not complete")
    with _importing:
        if place.stem in sys.modules:
            return sys.modules[place.stem]
        folder = str(place.parent.resolve())
        if folder not in sys.path:
            sys.path.append(folder)
        specification = importlib.util.spec_from_file_location(place.stem, place)
        if specification is None or specification.loader is None:
            raise UsageError(f"{place} is no Python module")
        module = importlib.util.module_from_spec(specification)
        sys.modules[place.stem] = module  # dataclasses look their module up
        specification.loader.exec_module(module)
        return module
