"""The queries of docs/cookbook.md, read by the page's own tool."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_specification = importlib.util.spec_from_file_location(
    "cookbook", Path(__file__).resolve().parent.parent / "docs" / "cookbook.py"
)
_cookbook = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(_cookbook)
queries = _cookbook.queries
with_answers = _cookbook.with_answers
