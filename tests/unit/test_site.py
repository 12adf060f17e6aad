"""The built pages: what mkdocs.yml names is there, and links of the repository become links of the site."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MKDOCS = ROOT / ".venv-docs/bin/mkdocs"

_specification = importlib.util.spec_from_file_location("site_hook", ROOT / "docs/site_hook.py")
hook = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(hook)


def named(entries) -> list[str]:
    """Pages of a navigation, in order."""
    pages = []
    for entry in entries:
        for value in entry.values():
            pages += named(value) if isinstance(value, list) else [value]
    return pages


def test_the_navigation_names_every_page_once():
    navigation = named(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    pages = [page.name for page in (ROOT / "docs").glob("*.md")]
    assert len(pages) > 20
    assert sorted(navigation) == sorted([*pages, *hook.OUTSIDE.values()])
    for path in hook.OUTSIDE:
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize(
    ("path", "written", "expected"),
    [
        ("README.md", "[a](docs/clip.md#x)", "[a](clip.md#x)"),
        ("README.md", "![a](docs/report.png)", "![a](report.png)"),
        ("docs/clip.md", "[a](../README.md#stages)", "[a](index.md#stages)"),
        ("docs/clip.md", "[a](world.md)", "[a](world.md)"),
        ("docs/clip.md", "[world.md](world.md)", "[The drawn world](world.md)"),
        ("deploy/emr/README.md", "[a](../../docs/clip.md)", "[a](clip.md)"),
        ("deploy/emr/README.md", "[cluster.yaml](cluster.yaml)", "cluster.yaml"),
        ("docs/clip.md", "[a](https://arxiv.org/abs/2312.14232)", "[a](https://arxiv.org/abs/2312.14232)"),
        ("docs/clip.md", "[a](#below)", "[a](#below)"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(path, written, expected):
    assert hook.relinked(f"see {written}.", path) == f"see {expected}."


def test_the_page_on_the_report_has_its_sections_in_order():
    template = (ROOT / "spark_jobs/report/templates/report.html.j2").read_text(encoding="utf-8")
    contents = template.split('<nav aria-label="Contents">')[1].split("</nav>")[0]
    sections = re.findall(r'<a href="#[\w-]+">([^<]+)</a>', contents)
    assert len(sections) > 10
    page = (ROOT / "docs/report.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == sections


@pytest.mark.skipif(not MKDOCS.is_file(), reason="`make docs` makes .venv-docs")
def test_the_pages_build_without_a_warning(tmp_path):
    built = subprocess.run(
        [MKDOCS, "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    assert "Measure parrot captions" in (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert not list((tmp_path / "site").rglob("*.py"))
