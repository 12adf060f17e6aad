"""PySpark's daemon of Python workers, without the archives that Spark puts on its path.

Spark has its Python code in `pyspark.zip`, and its own jar, on every worker's path. A worker asks Python at each task
to look at its path anew, and Python reads the whole directory of each archive then, .06 to .1 s of a core a task; and
what it imports from an archive it compiles at each start. In a local session PySpark is installed, as files.

`spark.python.daemon.module` names this module; what it does else is `pyspark.daemon`'s.
"""

from __future__ import annotations

import sys
from collections.abc import MutableMapping, Sequence
from importlib.util import find_spec
from typing import Any

_ARCHIVES = (".zip", ".jar")


def leave_archives_out(path: list[str], importers: MutableMapping[str, Any]) -> None:
    """Take archives off a path, unless PySpark is only in one of them.

    Args:
        path: `sys.path`.
        importers: `sys.path_importer_cache`: what it knows of an archive is looked at anew at each task, too.
    """
    before = list(path)
    path[:] = _without_archives(before)
    if find_spec("pyspark") is None:
        path[:] = before
        return
    for name in [name for name in importers if any(f"{end}/" in f"{name}/" for end in _ARCHIVES)]:
        del importers[name]


def _without_archives(path: Sequence[str]) -> list[str]:
    return [place for place in path if not place.endswith(_ARCHIVES)]


if __name__ == "__main__":
    leave_archives_out(sys.path, sys.path_importer_cache)
    from pyspark.daemon import manager

    manager()  # type: ignore[no-untyped-call]
