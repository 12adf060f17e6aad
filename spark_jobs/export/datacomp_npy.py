"""Format `datacomp-npy`: DataComp's subset file, a sorted numpy array "u8,u8" of 128-bit uids.

Source: mlfoundations/datacomp, `apply_filter.py` and `resharder.py`: the uid's first 16 hex digits, then its last.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from spark_jobs.export.base import FileFacts, Format, Settings

UID = "^[0-9a-fA-F]{32}$"
DTYPE = np.dtype("u8,u8")
NAME = "subset.npy"
_NPY: Any = np.lib.format  # ships no types
_PIECE = 4 << 20


def write(stream: BinaryIO, batches: Iterator[Any], settings: Settings) -> FileFacts:
    """Write the array; rows come in the order of their uids.

    The header tells the length, which is known at the end: values go to a temporary file first.
    """
    facts = FileFacts()
    with tempfile.TemporaryFile(prefix="parrot-uids-") as spool:
        for batch in batches:
            values = uids(batch.column("source_id").to_pylist())
            spool.write(values.tobytes())
            facts.rows += len(values)
        header = {
            "descr": _NPY.dtype_to_descr(DTYPE),
            "fortran_order": False,
            "shape": (facts.rows,),
        }
        _NPY.write_array_header_1_0(stream, header)
        spool.seek(0)
        while piece := spool.read(_PIECE):
            stream.write(piece)
    return facts


def uids(texts: list[str]) -> np.ndarray[Any, Any]:
    """Uids of 32 hex digits as structured array `(N,)` of dtype "u8,u8"."""
    return np.array([(int(text[:16], 16), int(text[16:], 16)) for text in texts], DTYPE)


def count(stream: Any) -> int:
    """Uids in the file."""
    version = _NPY.read_magic(stream)
    shape, _, dtype = _NPY.read_array_header_1_0(stream) if version == (1, 0) else ((0,), False, None)
    if dtype != DTYPE:
        raise ValueError(f"an array of {dtype}, expected u8,u8")
    return int(shape[0])


FORMAT = Format(
    name="datacomp-npy",
    meaning="DataComp's subset file: sorted u8,u8 uids",
    file_name=NAME,
    rows_per_file=None,
    write=write,
    count=count,
    # Lower case, so that text sorts as the numbers do.
    order=("lower(source_id)",),
)
