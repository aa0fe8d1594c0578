"""The command: ``python3 conformance/run.py``, and ``qemb conformance``.

Exit codes: 0 everything passes; 1 something does not; 2 the command or the corpus is wrong.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from qemb_conformance import reports, terminal
from qemb_conformance.cases import Case, expected_failures, find_corpus, load_corpus, matches, patterns_of
from qemb_conformance.decoders import DecoderWorker, Options
from qemb_conformance.encoders import EncoderWorker, load_encoder_cases
from qemb_conformance.errors import UsageError
from qemb_conformance.implementations import Implementation, build, load_implementations
from qemb_conformance.options import HELP, TIMEOUT, add_arguments
from qemb_conformance.oracle import Oracle
from qemb_conformance.processes import command_line
from qemb_conformance.random_cases import RandomFiles, keep, make_cases
from qemb_conformance.running import Run, Worker, run_cases

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qemb_conformance.judging import Result

_ENCODER = ", encoder"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command alone, without the rest of ``qemb``."""

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            print(f"{self.prog}: {message}; see --help", file=sys.stderr)
            sys.exit(2)

    parser = Parser(prog="conformance", description=HELP)
    add_arguments(parser)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    arguments = parser.parse_args(argv)
    try:
        return run(arguments)
    except UsageError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever reads has enough; Python would complain again when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"conformance: {error.strerror or error}: {error.filename}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("conformance: interrupted", file=sys.stderr)
        return 130


def run(arguments: argparse.Namespace) -> int:
    """Run what the options say; 0 where everything passes, otherwise 1.

    Raises
    ------
    UsageError
        The options, the corpus or a list are wrong.
    """
    listed = arguments.all or arguments.implementation
    if listed and (arguments.decoder or arguments.encoder or arguments.expected_failures or arguments.jsonl):
        raise UsageError("--all runs what implementations.json lists: it goes with no command, list or --jsonl")
    for command in (arguments.decoder, arguments.encoder):
        if command is not None:
            command_line(command)  # what is wrong with it, before anything else
    if not arguments.random and (arguments.seed is not None or arguments.keep):
        raise UsageError("--seed and --keep go with --random N")
    if arguments.keep and Path(arguments.keep).is_file():
        raise UsageError(f"--keep takes a folder; {arguments.keep} is a file")
    for path in (arguments.junit, arguments.json, arguments.badge):
        if path:
            reports.check_place(Path(path))
    folder = find_corpus(arguments.corpus)
    with ExitStack() as stack:
        work = _Work(arguments, folder, stack)
        runs = [one for entry in work.implementations() for one in work.run(entry)]
    if listed:
        print("\n".join(terminal.overview(runs)))
    for path, report in (
        (arguments.junit, reports.junit),
        (arguments.json, reports.as_json),
        (arguments.badge, reports.badge),
    ):
        if path:
            reports.write(Path(path), report(runs))
    return int(not all(one.good for one in runs))


class _Work:
    """Cases and options, made once for all implementations."""

    def __init__(self, arguments: argparse.Namespace, folder: Path, stack: ExitStack) -> None:
        self._arguments = arguments
        self._folder = folder
        self._oracle = Oracle(folder)
        self._only = patterns_of(folder, arguments.only)
        self._told: set[str] = set()
        self._kept: Path | None = None
        self._listed = bool(arguments.all or arguments.implementation)
        known: tuple[Case, ...]
        if arguments.random:
            into = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qemb-conformance-")))
            files = RandomFiles(arguments.seed or 0, arguments.random, arguments.profile == "core")
            known = make_cases(folder, into, files, self._only, arguments.jobs)
        else:
            known = load_corpus(folder).cases
        self._known = known
        self._cases = [case for case in known if matches(case, self._only)]

    def implementations(self) -> list[Implementation]:
        """Those that are to be run."""
        arguments = self._arguments
        if self._listed:
            entries = {entry.name: entry for entry in load_implementations(self._folder)}
            unknown = [name for name in arguments.implementation if name not in entries]
            if unknown:
                raise UsageError(f"there is no implementation {unknown[0]!r}; there are {', '.join(entries)}")
            return [entries[name] for name in ([] if arguments.all else arguments.implementation) or entries]
        if arguments.decoder or arguments.encoder:
            return [
                Implementation(
                    name=arguments.decoder or arguments.encoder,
                    profile=arguments.profile,
                    decoder=arguments.decoder or "",
                    encoder=arguments.encoder or "",
                    jsonl=arguments.jsonl,
                    expected_failures=arguments.expected_failures or "",
                )
            ]
        if find_spec("qemb") is None:
            raise UsageError("the reference codec is not installed here: name a decoder with --decoder")
        adapter = self._folder / "implementations" / "reference" / "adapter.py"
        command = f"python {shlex.quote(str(adapter))}"
        return [
            Implementation(
                "reference",
                arguments.profile,
                command,
                f"{command} --encode",
                jsonl=True,
                expected_failures=arguments.expected_failures or "",
            )
        ]

    def run(self, entry: Implementation) -> list[Run]:
        """Run an implementation: its decoder, and its encoder where it has one; and print what came out."""
        root = self._folder.resolve().parent if self._listed else None
        if entry.missing:
            missing = f"it needs {', '.join(entry.missing)}"
            if os.environ.get("QEMB_CI") == "1":  # where everything is to be there
                return [self._show(Run(entry.name, entry.decoder, entry.profile, broken=missing))]
            return [self._show(Run(entry.name, entry.decoder, entry.profile, skipped=missing))]
        if root is not None and (wrong := build(entry, root)):
            return [self._show(Run(entry.name, entry.decoder, entry.profile, broken=wrong))]
        options = Options(self._arguments.timeout, self._arguments.jobs, root)
        encoder_cases = [] if self._arguments.random or not entry.encoder else list(load_encoder_cases(self._folder))
        listed: frozenset[str] = frozenset()
        if entry.expected_failures:
            names = [case.id for case in (*self._known, *encoder_cases)]
            listed = expected_failures(str((root or Path()) / entry.expected_failures), names)
        encoder_cases = [case for case in encoder_cases if matches(case, self._only)]
        runs = []
        if entry.decoder and self._cases:

            def decoder() -> Worker:
                return DecoderWorker(entry.decoder, entry.profile, options, self._oracle, stays=entry.jsonl)

            runs.append(self._one(entry.name, entry.decoder, entry.profile, self._cases, decoder, listed))
        if encoder_cases:

            def encoder() -> Worker:
                return EncoderWorker(entry.encoder, options, self._oracle)

            name = f"{entry.name}{_ENCODER}" if entry.decoder else entry.name
            runs.append(self._one(name, entry.encoder, "encoder", encoder_cases, encoder, listed))
        if not runs:
            raise UsageError(
                f"no case matches {' or '.join(self._arguments.only)}: an id is such as valid/bases/linear, a folder "
                "valid/bases, a glob '*linear*'"
            )
        return runs

    def _one(
        self,
        name: str,
        command: str,
        profile: str,
        cases: Sequence[Case],
        worker: Callable[[], Worker],
        listed: frozenset[str],
    ) -> Run:
        progress = terminal.Progress(len(cases), name)
        start = time.monotonic()
        results = run_cases(cases, worker, self._arguments.jobs, progress)
        progress.clear()
        known = listed & {case.id for case in cases}
        return self._show(Run(name, command, profile, results, known, time.monotonic() - start))

    def _show(self, run: Run) -> Run:
        arguments = self._arguments
        kept = self._keep(run.failures) if arguments.random else run.failures
        for result in kept[: arguments.max_differences]:
            again = self._again(run, result.case.id)
            print("\n".join(terminal.failure(result, self._folder, again, self._told)), end="\n\n")
        if len(run.failures) > arguments.max_differences:
            print(f"and {len(run.failures) - arguments.max_differences} more failures; --max-differences shows them\n")
        for result in run.rotten:
            print(f"FAIL {result.case.id}: it passes, and is on the list of expected failures: strike it off\n")
        if run.results and not self._listed:
            print("\n".join(terminal.table(run)), end="\n\n")
        print(terminal.summary(run), flush=True)
        return run

    def _keep(self, failures: list[Result]) -> list[Result]:
        """Copy random files that failed to where they stay when the run is over."""
        if not failures:
            return []
        if self._kept is None:
            self._kept = Path(self._arguments.keep or tempfile.mkdtemp(prefix="qemb-failures-"))
        return [replace(result, case=keep(result.case, self._kept)) for result in failures]

    def _again(self, run: Run, case: str) -> str:
        words = [Path(sys.argv[0]).name, *([] if Path(sys.argv[0]).name != "qemb" else ["conformance"])]
        if words[0].endswith(".py"):
            words = ["python3", sys.argv[0]]
        arguments = self._arguments
        if self._listed:
            words += ["--implementation", run.name.removesuffix(_ENCODER)]
        elif run.profile == "encoder" and arguments.encoder:
            words += ["--encoder", run.command]
        elif run.profile != "encoder" and arguments.decoder:
            words += ["--decoder", run.command, *(["--jsonl"] if arguments.jsonl else [])]
        words += ["--only", case]
        if arguments.profile != "full" and run.profile != "encoder":
            words += ["--profile", arguments.profile]
        if arguments.corpus:
            words += ["--corpus", arguments.corpus]
        if arguments.timeout != TIMEOUT:
            words += ["--timeout", f"{arguments.timeout:g}"]
        if arguments.random:
            words += ["--random", str(arguments.random), "--seed", str(arguments.seed or 0)]
        return shlex.join(words)
