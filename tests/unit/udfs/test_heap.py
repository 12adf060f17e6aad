from __future__ import annotations

import os
import subprocess
import sys

import pytest

from udfs.heap import resident_bytes, trim_heap

MB = 1024 * 1024
FRAGMENTED = """
import ctypes
from udfs.heap import resident_bytes, trim_heap
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
blocks = []
for _ in range(200):
    for size in (1024 * 1024, 64):
        block = libc.malloc(size)
        ctypes.memset(block, 1, size)
        blocks.append(block)
for block in blocks[::2]:  # what stays lies between, so the heap's end cannot fall
    libc.free(block)
held = resident_bytes()
assert not trim_heap(above=held + 10**9)
assert trim_heap(above=0)
print(held, resident_bytes())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's heap")
def test_freed_memory_between_blocks_in_use_goes_back() -> None:
    gigabytes = str(4 * 1024**3)
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": gigabytes, "MALLOC_TRIM_THRESHOLD_": gigabytes}
    done = subprocess.run(
        [sys.executable, "-c", FRAGMENTED], env=environment, capture_output=True, text=True, check=True
    )
    held, left = map(int, done.stdout.split())
    assert held - left > 190 * MB


def test_a_small_process_is_left_alone() -> None:
    assert 0 < resident_bytes() < 2**40
    assert not trim_heap(above=2**40)
