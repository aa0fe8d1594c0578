"""The ``qemb`` command.

Exit codes: 0 done; 1 the file is bad or the answer is no; 2 the command is wrong; 130 interrupted, and 128 plus the
signal's number for others that end it. An error is one line on standard error: what, where, and what to do.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COMMANDS = (
    "convert",
    "info",
    "verify",
    "repair",
    "get",
    "nearest",
    "index",
    "compare",
    "evaluate",
    "sweep",
    "map",
    "formats",
    "conformance",
    "bench",
    "completion",
)


class AnswerIsNoError(Exception):
    """What was asked is answered by no, such as a word that is not there: exit code 1 and one line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # argparse prints the usage as well; one line is easier to read and to parse
        wrong = re.search(r"invalid choice: '(.*?)'.*\(choose from (.*)\)", message)
        hint = _did_you_mean(wrong[1], re.findall(r"[^\s,']+", wrong[2])) if wrong else ""
        _complain(f"{message}{hint}; see `{self.prog} --help`")
        sys.exit(2)


def _refuse(parser: argparse.ArgumentParser, command: str | None, unknown: Sequence[str]) -> NoReturn:
    """Let the command complain of arguments that it does not know: it has the options that they may have been."""
    for action in parser._actions:  # noqa: SLF001 - it has no public name
        if command and isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            parser = action.choices[command]
    known = [name for action in parser._actions for name in action.option_strings]  # noqa: SLF001
    parser.error(f"unrecognized arguments: {' '.join(unknown)}{_did_you_mean(unknown[0], known)}")


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    similar = get_close_matches(word.partition("=")[0], known, 1)
    return f"; did you mean {similar[0]}?" if similar else ""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; each command is one module of ``qemb_tools.commands``."""
    from qemb_tools.commands.examples import add_examples

    parser = _Parser(prog="qemb", description="Small, exact files of word and token embeddings.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name in _COMMANDS:
        import_module(f"qemb_tools.commands.{name}").add_to(commands)
        add_examples(commands.choices[name], name)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the console script exits with what is returned.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process where left out.
    """
    if sys.stdout is None or sys.stderr is None:  # closed by whoever started us
        sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
        sys.stderr = sys.stderr or sys.stdout
    for stream in (sys.stdout, sys.stderr):
        # a token that is no UTF-8, or that the terminal cannot show, must not break the output
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _signals_unwind():
            parser = build_parser()
            arguments, unknown = parser.parse_known_args(argv)
            if unknown:
                _refuse(parser, arguments.command, unknown)
            if arguments.version:
                import qemb

                print(f"qemb {qemb.__version__}")
                return 0
            if arguments.command is None:
                parser.error("a command is missing")
            return _guarded(arguments)
    except KeyboardInterrupt as interrupt:
        _complain("interrupted; no file was left unfinished")
        return 128 + int(interrupt.args[0] if interrupt.args else signal.SIGINT)


@contextmanager
def _signals_unwind() -> Iterator[None]:
    """Let signals that end the process do it as Ctrl-C does, so that no half of a file is left behind."""

    def stop(number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            if signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _guarded(arguments: argparse.Namespace) -> int:
    """Run a command and turn what goes wrong into one line and an exit code."""
    import qemb
    from qemb_tools.interface import UsageError

    try:
        status = int(arguments.run(arguments) or 0)
        sys.stdout.flush()  # here, so that a reader that is gone is noticed here
    except UsageError as error:
        _complain(error)
        return 2
    except qemb.QembError as error:
        # the codec knows places in a file, not its name
        name = getattr(arguments, "file", None) or getattr(arguments, "source", None) or ""
        _complain(error if name in str(error) else f"{name}: {error}")
        return 1
    except AnswerIsNoError as error:
        _complain(error)
        return 1
    except BrokenPipeError:
        # whoever read our output has enough; Python would complain again when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        what = "permissions" if isinstance(error, PermissionError) else "name"
        _complain(f"{error.strerror}: {error.filename}; check the {what}")
        return 2
    except OSError as error:
        place = error.filename or getattr(arguments, "target", None)
        _complain(f"{error.strerror or error}{f': {place}' if place else ''}; nothing was written")
        return 1
    except MemoryError:
        _complain("the memory is not enough; a .qemb file is read with less than its source takes")
        return 1
    return status


def _complain(message: object) -> None:
    from qemb_tools.terminal import paint

    # names in files are quoted, and may hold what a terminal obeys
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(str(message).split()))
    print(paint("qemb:", "red", sys.stderr), text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
