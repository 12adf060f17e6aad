"""What mkdocs needs to be told: pages that lie outside docs/, and links between all of them.

Pages are written for the repository, where README.md links to docs/clip.md and that to ../README.md. In the built
site they lie in one folder, so links are rewritten; a link to a file that is no page becomes its name, and one that
shows a page's file name shows its title.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "deploy/databricks/README.md": "databricks.md",
    "deploy/emr/README.md": "emr.md",
    "notebooks/README.md": "notebooks.md",
    "tests/README.md": "tests.md",
}
"""Path in the repository -> page of the site."""

_LINK = re.compile(r"\[([^\[\]]*)\]\(([^()\s#]*)(#[^()\s]*)?\)")


def site_path(path: str) -> str | None:
    """Where a file of the repository lies in the site; None where it is no part of it."""
    if path in OUTSIDE:
        return OUTSIDE[path]
    return path.removeprefix("docs/") if re.fullmatch(r"docs/\w+\.(md|png)", path) else None


def title_of(place: str) -> str:
    """The heading of a page of the site."""
    path = {page: path for path, page in OUTSIDE.items()}.get(place, f"docs/{place}")
    return (ROOT / path).read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# ")


def relinked(markdown: str, path: str) -> str:
    """A page's text with the links of the repository as links of the site.

    Args:
        markdown: The page's text.
        path: The page's path in the repository.
    """

    def link(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        if not target or "://" in target:
            return found[0]
        place = site_path(posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))
        if place and text.endswith(".md"):
            text = title_of(place)
        return f"[{text}]({place}{anchor})" if place else text

    return _LINK.sub(link, markdown)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/."""
    from mkdocs.structure.files import File

    for path, page in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Rewrite a page's links."""
    paths = {place: path for path, place in OUTSIDE.items()}
    return relinked(markdown, paths.get(page.file.src_uri, f"docs/{page.file.src_uri}"))
