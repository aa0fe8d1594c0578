"""What goes wrong with the runner itself, as opposed to the implementation under test."""

from __future__ import annotations


class UsageError(ValueError):
    """The command, the corpus or a list that was given is not right: exit code 2 and one line."""
