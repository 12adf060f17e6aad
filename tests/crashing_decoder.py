"""Stands in for `udfs.image_codec` in a decoder process: does to itself what a file says behind byte 8."""

from __future__ import annotations

import os
import sys
import time

import numpy as np

from udfs import image_codec
from udfs.image_codec import DecodeLimits

read_facts = image_codec.read_facts
_poisoned = []


def order(text: str) -> bytes:
    """A file that `decode` obeys; its first bytes are a TIFF's, which are always decoded apart."""
    return b"II*\0" + bytes(4) + text.encode()


def decode(data: bytes, limits: DecodeLimits) -> np.ndarray:
    name, _, argument = data[8:80].decode("latin-1").partition(" ")
    if _poisoned:
        os.kill(os.getpid(), 11)
    _ORDERS[name](argument)
    return np.full((2, 3, 3), os.getpid() % 251, np.uint8)


def _spin(seconds: str) -> None:
    # As a loop in C does: nothing in this process runs beside it.
    sys.setswitchinterval(1000)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        pass


_ORDERS = {
    "fine": lambda _: None,
    "signal": lambda number: os.kill(os.getpid(), int(number)),
    "exit": lambda code: os._exit(int(code)),
    "sleep": lambda seconds: time.sleep(float(seconds)),
    "spin": _spin,
    "allocate": lambda megabytes: bytearray(int(megabytes) * 2**20),
    "poison": lambda _: _poisoned.append(True),
    "print": lambda _: os.write(1, b"P" * 100),
}
