"""PySpark's daemon of Python workers, without the archives that Spark puts on its path.

Spark has its Python code in `pyspark.zip`, and its own jar, on every worker's path. A worker asks Python at each task
to look at its path anew, and Python reads the whole directory of each archive then, .06 to .1 s of a core a task; and
what it imports from an archive it compiles at each start. In a local session PySpark is installed, as files.

`spark.python.daemon.module` names this module; what it does else is `pyspark.daemon`'s.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from importlib.machinery import PathFinder
from typing import Any

_ARCHIVES = (".zip", ".jar")


def leave_archives_out(path: list[str], importers: MutableMapping[str, Any]) -> None:
    """Take the archives of PySpark's own folder off a path; nothing where PySpark is only in an archive.

    Args:
        path: `sys.path`. Archives of the user's stay.
        importers: `sys.path_importer_cache`: what it knows of an archive is looked at anew at each task, too.
    """
    installed = PathFinder.find_spec("pyspark", [place for place in path if not place.endswith(_ARCHIVES)])
    if installed is None or installed.origin is None:
        return
    home = os.path.realpath(os.path.dirname(installed.origin))

    def is_sparks_archive(place: str) -> bool:
        real = os.path.realpath(place)
        return real.startswith(f"{home}/") and any(f"{end}/" in f"{real}/" for end in _ARCHIVES)

    path[:] = [place for place in path if not is_sparks_archive(place)]
    for name in [name for name in importers if is_sparks_archive(name)]:
        del importers[name]


if __name__ == "__main__":
    leave_archives_out(sys.path, sys.path_importer_cache)
    from pyspark.daemon import manager

    manager()  # type: ignore[no-untyped-call]
