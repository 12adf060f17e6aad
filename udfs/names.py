"""The hint of every message about a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], *, count: int = 1) -> str:
    """Say which known names a mistyped one may have meant, whatever their case.

    Args:
        name: What was given.
        known: What there is.
        count: Most names that are named, the closest first.

    Returns:
        ` Did you mean CLOSEST?` with the space in front, to be put behind a sentence; empty where none is close.
    """
    by_lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=count)
    return f" Did you mean {' or '.join(by_lower[one] for one in close)}?" if close else ""
