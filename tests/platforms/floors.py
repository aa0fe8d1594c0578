"""The lowest versions that ``pyproject.toml`` promises to work with."""

from __future__ import annotations

import re
import tomllib

from here import ROOT


def floors() -> dict[str, str]:
    """Lowest version of each dependency and of each package of the extra `all`; the highest, where two name one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found: dict[str, str] = {}

    def take(requirements: list[str]) -> None:
        for requirement in requirements:
            name, extras = re.match(r"([\w-]+)(?:\[(.*)\])?", requirement).groups()
            if name == project["name"]:
                for extra in extras.split(","):
                    take(project["optional-dependencies"][extra])
            else:
                version = re.search(r">=([\d.]+)", requirement)[1]
                found[name] = max(found.get(name, "0"), version, key=lambda text: [int(n) for n in text.split(".")])

    take([*project["dependencies"], f"{project['name']}[all]"])
    return dict(sorted(found.items()))
