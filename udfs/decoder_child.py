"""The process that decodes suspicious files and may die of them: `python -m udfs.decoder_child`.

It reads requests from its standard input and answers on what was its standard output, until the input ends:
so it ends with the process that started it. Started and watched by `udfs.guarded_decode` alone.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import signal
import struct
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from udfs.image_codec import DecodeLimits

# kind, max_pixels, length; then the file
REQUEST = struct.Struct("<cQQ")
DECODE, FACTS = b"D", b"F"
# kind and two numbers: height and width, then the pixels; or a length, then text
ANSWER = struct.Struct("<cQQ")
READY, PIXELS, FACTS_FOUND, FAULT, NO_MEMORY = b"R", b"P", b"I", b"E", b"M"

_GRACE_SECONDS = 5  # the parent's clock should strike first: this one is for a parent that died


def main(arguments: list[str]) -> None:
    """Answer requests until there are no more.

    Args:
        arguments: Seconds and MB that a decode may take, and the module whose `decode` and `read_facts` are
            called.
    """
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    from udfs.image_codec import DecodeLimits

    limits = DecodeLimits(max_bytes=sys.maxsize, seconds=float(arguments[0]), memory_mb=int(arguments[1]))
    codec = importlib.import_module(arguments[2])
    _limit_memory(limits.memory_mb)
    for number in (signal.SIGALRM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    _answer(answers, READY)
    requests = sys.stdin.buffer
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        kind, max_pixels, length = REQUEST.unpack(head)
        try:
            data = requests.read(length)
            _limit_time(limits.seconds)
            _serve(codec, kind, data, limits=replace(limits, max_pixels=max_pixels), answers=answers)
        except MemoryError:
            _answer(answers, NO_MEMORY)
            return
        signal.setitimer(signal.ITIMER_REAL, 0)


def _serve(codec: Any, kind: bytes, data: bytes, *, limits: DecodeLimits, answers: BinaryIO) -> None:
    from udfs.image_codec import ImageFault, OutOfMemory

    if kind == FACTS:
        facts = codec.read_facts(data)
        _answer_text(answers, FACTS_FOUND, json.dumps(asdict(facts) if facts else None))
        return
    try:
        pixels = codec.decode(data, limits)
    except OutOfMemory:
        _answer(answers, NO_MEMORY)
    except ImageFault as fault:
        _answer_text(answers, FAULT, str(fault))
    else:
        height, width = pixels.shape[:2]
        body = memoryview(pixels.copy(order="C")).cast("B")
        _answer(answers, PIXELS, first=height, second=width, body=body)


def _answer_text(answers: BinaryIO, kind: bytes, text: str) -> None:
    body = text.encode("utf-8", "backslashreplace")
    _answer(answers, kind, first=len(body), body=body)


def _answer(
    answers: BinaryIO, kind: bytes, *, first: int = 0, second: int = 0, body: bytes | memoryview = b""
) -> None:
    answers.write(ANSWER.pack(kind, first, second))
    answers.write(body)
    answers.flush()


def _limit_memory(megabytes: int) -> None:
    import resource

    # Threads' stacks and libraries have taken address space already; the limit is for the decode.
    limit = _address_space() + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _address_space() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return 2**29


def _limit_time(seconds: float) -> None:
    """Let the system end this process; both signals kill, wherever it is."""
    import resource

    signal.setitimer(signal.ITIMER_REAL, seconds + _GRACE_SECONDS)
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed = (seconds + _GRACE_SECONDS) * (os.cpu_count() or 1)  # some decoders use every core
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(used.ru_utime + used.ru_stime + allowed)
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )


if __name__ == "__main__":
    main(sys.argv[1:])
