"""What is said on standard error: for people as it stands, or for programs as one JSON object per line."""

from __future__ import annotations

import datetime
import io
import json
import logging
import sys
from typing import Any

_is_json = False


def use_json(wanted: bool) -> None:
    """Say what follows as JSON, or as text again; what libraries log and warn of too."""
    global _is_json
    _is_json = wanted
    logging.captureWarnings(wanted)
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _Records)]:
        root.removeHandler(handler)
    if wanted:
        root.addHandler(_Records(logging.WARNING))


def is_json() -> bool:
    """Whether a program reads what is said."""
    return _is_json


def record(level: str, message: str, **fields: Any) -> None:
    """Write one object: time (UTC), level, message, and what else is known.

    Args:
        level: info, warning or error.
        message: What a person would read.
        **fields: JSON-able, or said as text.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    line = {"time": now, "level": level, "message": message, **fields}
    sys.stderr.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
    sys.stderr.flush()


class JsonLines(io.TextIOBase):
    """A stream whose lines become messages."""

    def __init__(self) -> None:
        self._begun = ""

    def write(self, text: str) -> int:
        """Take text; each line of it that is whole is one object."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if line.strip():
                record("info", line.strip())
        return len(text)


class _Records(logging.Handler):
    def emit(self, entry: logging.LogRecord) -> None:
        record(entry.levelname.lower(), entry.getMessage().strip(), logger=entry.name)
