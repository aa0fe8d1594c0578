"""``qemb completion``: a script that completes commands and options in a shell, made from the parsers themselves."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qemb_tools.commands import Subparsers

_HELP = "print a script that completes commands and options in a shell"


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser("completion", help=_HELP, description=_HELP)
    parser.add_argument("shell", choices=tuple(_SCRIPTS), metavar="SHELL", help=", ".join(_SCRIPTS))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    from qemb_tools.cli import build_parser

    print(_SCRIPTS[arguments.shell](_commands(build_parser())))
    return 0


@dataclass(frozen=True)
class _Option:
    """An option, or an argument by its place where it has no names."""

    names: tuple[str, ...]
    help: str
    choices: tuple[str, ...]
    takes_value: bool


@dataclass(frozen=True)
class _Command:
    name: str
    help: str
    options: tuple[_Option, ...]

    @property
    def names(self) -> list[str]:
        return [name for option in self.options for name in option.names]

    @property
    def places(self) -> list[str]:
        """The choices of what stands without an option's name."""
        return [choice for option in self.options if not option.names for choice in option.choices]


def _commands(parser: argparse.ArgumentParser) -> list[_Command]:
    (subparsers,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    helps = {action.dest: action.help or "" for action in subparsers._choices_actions}  # noqa: SLF001
    return [
        _Command(name, helps.get(name, ""), tuple(_option(action) for action in command._actions))  # noqa: SLF001
        for name, command in subparsers.choices.items()
    ]


def _option(action: argparse.Action) -> _Option:
    text = (action.help or "") % {"default": action.default}
    return _Option(tuple(action.option_strings), text, tuple(map(str, action.choices or ())), action.nargs != 0)


def _bash(commands: list[_Command]) -> str:
    names = " ".join(command.name for command in commands)
    values = [
        f"        {shlex.quote(f'{command.name} {name}')}) words={shlex.quote(' '.join(option.choices))};;"
        for command in commands
        for option in command.options
        if option.takes_value
        for name in option.names
    ]
    options = [f"        {command.name}) words={shlex.quote(' '.join(command.names))};;" for command in commands]
    places = [
        f"        {command.name}) words={shlex.quote(' '.join(command.places))};;"
        for command in commands
        if command.places
    ]
    return "\n".join((
        "# bash completion of qemb; file names where nothing else is known",
        "_qemb() {",
        "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= words=",
        "    [ $COMP_CWORD -gt 1 ] && command=${COMP_WORDS[1]}",
        '    case "$command $before" in',
        *values,
        '    *) case "$current" in',
        '        -*) case "$command" in',
        *options,
        "        '') words='--help --version';;",
        "        esac;;",
        '        *) case "$command" in',
        *places,
        f"        '') words={shlex.quote(names)};;",
        "        esac;;",
        "    esac;;",
        "    esac",
        '    COMPREPLY=($(compgen -W "$words" -- "$current"))',
        "}",
        "complete -o bashdefault -o default -F _qemb qemb",
    ))  # fmt: skip


def _zsh(commands: list[_Command]) -> str:
    def plain(text: str) -> str:
        return "".join(f"\\{c}" if c in "[]:\\" else c for c in text)

    def spec(option: _Option) -> list[str]:
        value = f":value:({' '.join(option.choices)})" if option.choices else ":value:_files"
        value = value if option.takes_value else ""
        return [shlex.quote(f"*{name}[{plain(option.help)}]{value}") for name in option.names]

    cases = []
    for command in commands:
        rest = f"({' '.join(command.places)})" if command.places else "_files"
        specs = [part for option in command.options for part in spec(option)]
        cases.append(f"    {command.name}) _arguments {' '.join([*specs, shlex.quote('*:file:' + rest)])};;")
    listed = " ".join(shlex.quote(f"{command.name}:{command.help.replace(':', chr(92) + ':')}") for command in commands)
    return "\n".join((
        "#compdef qemb",
        "_qemb() {",
        "    local -a commands",
        f"    commands=({listed})",
        "    if (( CURRENT == 2 )); then _describe command commands; return; fi",
        "    shift words; (( CURRENT-- ))",
        "    case $words[1] in",
        *cases,
        "    esac",
        "}",
        "compdef _qemb qemb",
    ))  # fmt: skip


def _fish(commands: list[_Command]) -> str:
    lines = ["complete -c qemb -n __fish_use_subcommand -f"]
    for command in commands:
        lines.append(f"complete -c qemb -n __fish_use_subcommand -a {command.name} -d {_fish_quoted(command.help)}")
        here = f"complete -c qemb -n '__fish_seen_subcommand_from {command.name}'"
        if command.places:
            lines.append(f"{here} -a {_fish_quoted(' '.join(command.places))}")
        for option in command.options:
            if option.names:
                names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
                value = [f"-xa {_fish_quoted(' '.join(option.choices))}"] if option.choices else ["-r"]
                parts = [*names, *(value if option.takes_value else []), f"-d {_fish_quoted(option.help)}"]
                lines.append(f"{here} {' '.join(parts)}")
    return "\n".join(lines)


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
