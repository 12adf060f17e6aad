"""Give freed memory back to the operating system, where much of it has piled up.

Workers run with glibc's thresholds raised to gigabytes, because giving every large tensor back at once costs a
fifth of the time. But a heap that is never trimmed grows with every other image size: freed blocks do not fit
the next image's tensors. Between two batches, or two large images, nothing of it is needed.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from collections.abc import Iterator
from pathlib import Path

_TRIM_ABOVE = 3 * 1024**3  # bytes; a model with its usual images stays below, and keeps its heap
_STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Resident memory of this process, bytes; 0 where the system does not tell."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def trim_heap(above: int = _TRIM_ABOVE) -> bool:
    """Return freed memory to the operating system if this process holds much; does nothing without glibc.

    Args:
        above: Resident bytes from which on it is worth its time (some 0.1 s per GB).

    Returns:
        Whether it was tried.
    """
    if resident_bytes() <= above:
        return False
    try:
        trim = ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):
        return False
    trim(0)
    return True


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Make many objects without cycles: the collector's looks at them would cost a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
