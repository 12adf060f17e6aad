"""docs/troubleshooting.md quotes messages that the code says, and sends nobody where nothing is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.unit.test_layout import PACKAGES, ROOT, modules

PAGE = Path(__file__).resolve().parents[2] / "docs/troubleshooting.md"
HOLE = "\0"


def template(node: ast.AST) -> str | None:
    """A string as it is written, with a hole for each value that is put in; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) or HOLE for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return "".join(template(side) or HOLE for side in (node.left, node.right))
    return None


def messages() -> list[str]:
    """All strings of the code, and what the Makefile says."""
    found = [
        text
        for tree in modules(*PACKAGES).values()
        for node in ast.walk(tree)
        if (text := template(node)) is not None
    ]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return [*found, *re.findall(r'echo "([^"]+)"', makefile)]


def quoted() -> list[str]:
    """The messages of the page: first cells of its tables."""
    cells = re.findall(r"^\| (`.+?`|`` .+? ``) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [cell.strip("` ") for cell in cells]


def says(message: str, texts: list[str]) -> bool:
    """Whether a text reads like the message, with something in place of each `...`."""
    pattern = re.compile(".*".join(re.escape(part) for part in message.split("...")), re.DOTALL)
    return any(pattern.search(text) for text in texts)


def test_messages_are_found_on_the_page():
    assert len(quoted()) > 50
    assert "no warehouse at ..." in quoted()


def test_every_quoted_message_stands_in_the_code():
    texts = messages()
    assert [message for message in quoted() if not says(message, texts)] == []


@pytest.mark.parametrize("message", ["no warehouse in ...", "the configuration has ... faults at once"])
def test_a_message_that_is_not_the_codes_would_be_found(message):
    assert not says(message, messages())


def test_every_line_says_why_and_what_to_do():
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            assert len(cells) == 3, line
            assert all(cells), line
