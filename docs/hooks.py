"""What MkDocs is told beyond `mkdocs.yml`: pages from outside `docs/`, and links as they stand in the repository.

Every page is written to be read in the repository, too: its links are paths from where it lies there. On the site
`docs/` is the root and the other folders stand beside its pages, so that links between the two are rewritten. What else
of the repository a page links to is copied beside the pages; of a link to a folder its text is left.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = ("spec/*.md", "conformance/*.md", "CHANGELOG.md", "CONTRIBUTING.md")
_LINK = re.compile(r"\[((?:[^][]|\[[^]]*\])*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
_LOADED = re.compile(
    r"""<(?:script|img|iframe)[^>]* src=["']?(?:https?:)?//|<link[^>]*stylesheet[^>]* href=["']?https?:"""
)
_OTHERS = "Using it"


def on_config(config: MkDocsConfig) -> None:
    """Put pages that `mkdocs.yml` does not name at the end of a part."""
    assert config.nav is not None  # noqa: S101 - it is written there
    listed = set(_names(config.nav))
    part = next(entry[_OTHERS] for entry in config.nav if isinstance(entry, dict) and _OTHERS in entry)
    part += [name for path in sorted(Path(config.docs_dir).glob("*.md")) if (name := path.name) not in listed]


def _names(entry: Any) -> Iterator[str]:  # noqa: ANN401 - YAML
    if isinstance(entry, str):
        yield entry
    else:
        for item in entry.values() if isinstance(entry, dict) else entry:
            yield from _names(item)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Take the pages from outside, and what pages link to."""
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            _add(files, path, config)
    for page in list(files.documentation_pages()):
        source = Path(str(page.abs_src_path))
        for _, link, _ in _LINK.findall(source.read_text(encoding="utf-8")):
            _add(files, source.parent / link, config)
    return files


def _add(files: Files, path: Path, config: MkDocsConfig) -> None:
    path = Path(os.path.normpath(path))
    name = _name_on_site(path)
    if path.is_file() and name and files.get_file_from_path(name) is None:
        files.append(File.generated(config, name, abs_src_path=str(path), inclusion=InclusionLevel.INCLUDED))


def _name_on_site(path: Path) -> str | None:
    """Return the path of a file among the pages; none of what lies outside the repository."""
    path = Path(os.path.normpath(path))
    if not path.is_relative_to(ROOT):
        return None
    return path.relative_to(ROOT).as_posix().removeprefix("docs/")


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links of the repository into those of the site."""
    del config
    source = Path(str(page.file.abs_src_path))
    here = PurePosixPath(page.file.src_uri).parent

    def rewritten(match: re.Match[str]) -> str:
        text, link, anchor = match.groups()
        name = _name_on_site(source.parent / link)
        if name is None or files.get_file_from_path(name) is None:
            return text if (source.parent / link).is_dir() else match[0]
        return f"[{text}]({os.path.relpath(name, here)}{anchor or ''})"

    return _LINK.sub(rewritten, markdown)


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> str:
    """Refuse what a reader without a network would miss, and name the language of Chinese pages."""
    del config
    if found := _LOADED.search(output):
        raise PluginError(f"{page.file.src_uri}: the page loads something from the network: {found[0]}")
    chinese = page.file.src_uri.startswith("zh/")
    return output.replace('<html lang="en"', '<html lang="zh-Hans"', 1) if chinese else output
