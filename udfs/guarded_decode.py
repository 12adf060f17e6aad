"""Decode files that nobody vouches for: ordinary ones here, suspicious ones in a process that may die.

A thread cannot be killed out of C code, so a file that might hang, take all memory or crash its decoder is
given to a child process (`udfs.decoder_child`) with limits on time and memory. The child is started at the
first suspicious file, kept for the next, and replaced when it dies; what it dies of becomes an `ImageFault`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from udfs import decoder_child as protocol
from udfs import image_codec
from udfs.image_codec import DecodeLimits, ImageFacts, ImageFault, TooManyPixels, check_file
from udfs.image_structure import format_of, oddity, plain_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

_START_SECONDS = 120.0
_TIME_SIGNALS = {signal.SIGALRM, signal.SIGXCPU}
_FACTS_LIMITS = DecodeLimits()


class Decoded(NamedTuple):
    """Pixels, and how they were made.

    Attributes:
        pixels: As `image_codec.decode` gives them.
        is_guarded: Whether the file was suspicious: nothing should open it in this process.
    """

    pixels: NDArray[np.uint8]
    is_guarded: bool


def decode(data: bytes, limits: DecodeLimits) -> Decoded:
    """Decode as `image_codec.decode` does, within limits on time and memory too.

    Args:
        data: The stored file.
        limits: What the decode may cost. Ordinary files stay far below `seconds` and `memory_mb`; for the
            others they are enforced.

    Raises:
        ImageFault: If the bytes are no image, are damaged, exceed a limit or kill their decoder.
        RuntimeError: If no decoder process can be started.
    """
    check_file(data, limits)
    if oddity(data) is None:
        plain = replace(limits, max_pixels=min(limits.max_pixels, plain_pixels(len(data))))
        try:
            return Decoded(image_codec.decode(data, plain), is_guarded=False)
        except TooManyPixels as fault:
            if fault.width * fault.height > limits.max_pixels:
                raise TooManyPixels(fault.width, fault.height, limits.max_pixels) from None
    return Decoded(_asked(protocol.DECODE, data, limits), is_guarded=True)


def read_facts(data: bytes) -> ImageFacts | None:
    """Read a header as `image_codec.read_facts` does; None also for one that kills its reader.

    Raises:
        RuntimeError: If no decoder process can be started.
    """
    if format_of(data) is None:
        return None
    if oddity(data) is None:
        return image_codec.read_facts(data)
    try:
        found = _asked(protocol.FACTS, data, _FACTS_LIMITS)
    except ImageFault:
        return None
    return None if found is None else ImageFacts(**found)


class _Crash(Exception):
    """Raised when the child died or answered nonsense."""


class _Child:
    """A decoder process. Used by one thread at a time."""

    codec = "udfs.image_codec"  # module whose `decode` the child calls; tests name one that crashes

    def __init__(self, seconds: float, memory_mb: int) -> None:
        self.limits = (seconds, memory_mb)
        self.is_fresh = True
        paths = [path or os.getcwd() for path in sys.path]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "udfs.decoder_child", str(seconds), str(memory_mb), self.codec],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            # As this process finds its modules, in archives that Spark ships too. One thread: every further
            # one takes address space.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
        )
        with self._deadline(_START_SECONDS):
            try:
                started = self._answer(0) == (protocol.READY, None)
            except (_Crash, OSError):
                started = False
        if not started:
            raise RuntimeError(
                f"the decoder process for suspicious images does not start: {sys.executable} -m "
                f"udfs.decoder_child ended with {self.end()}"
            )

    def ask(self, kind: bytes, data: bytes, limits: DecodeLimits) -> tuple[bytes, Any]:
        """Send a request and wait for the answer.

        Raises:
            _Crash: If the child died before it answered.
            TimeoutError: If the child was killed for taking too long.
        """
        answer = None
        with self._deadline(limits.seconds) as expired, contextlib.suppress(_Crash, OSError):
            self._write(protocol.REQUEST.pack(kind, limits.max_pixels, len(data)))
            self._write(data)
            answer = self._answer(limits.max_pixels)
        if answer is not None and not expired.is_set():
            self.is_fresh = False
            return answer
        code = self.end()
        if answer is not None:  # it came at the last moment, but the child is lost
            return answer
        if expired.is_set() or (code < 0 and -code in _TIME_SIGNALS):
            raise TimeoutError
        raise _Crash(f"decoder crashed (signal {-code})" if code < 0 else f"decoder ended (exit code {code})")

    def end(self) -> int:
        """Kill the process, wait for it, and return what it ended with: -N for signal N."""
        if self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                # A child that has closed its pipes is ending: what it ends with is the reason wanted.
                self._process.wait(0.5)
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return self._process.wait()

    @property
    def is_usable(self) -> bool:
        """Whether the process lives and can take a request."""
        return self._process.poll() is None

    @contextlib.contextmanager
    def _deadline(self, seconds: float) -> Iterator[threading.Event]:
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self._process.kill()

        timer = threading.Timer(seconds, expire)
        timer.daemon = True
        timer.start()
        try:
            yield expired
        finally:
            timer.cancel()
            timer.join()

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        view = memoryview(data)
        while view:
            view = view[self._process.stdin.write(view) :]

    def _answer(self, max_pixels: int) -> tuple[bytes, Any]:
        kind, first, second = protocol.ANSWER.unpack(self._read(protocol.ANSWER.size))
        if kind in (protocol.READY, protocol.NO_MEMORY):
            return kind, None
        if kind == protocol.PIXELS and 0 < first * second <= max_pixels:
            return kind, np.frombuffer(self._read(first * second * 3), np.uint8).reshape(first, second, 3)
        if kind in (protocol.FAULT, protocol.FACTS_FOUND) and first < 2**20:
            return kind, self._read(first).decode()
        raise _Crash("decoder answered nonsense")

    def _read(self, size: int) -> bytearray:
        assert self._process.stdout is not None
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = self._process.stdout.readinto(view)  # type: ignore[attr-defined] # it is unbuffered
            if not count:
                raise _Crash("decoder ended")
            view = view[count:]
        return data


# As many as threads have ever decoded suspicious files at the same time.
_idle: list[_Child] = []
_lock = threading.Lock()


def _forget_children() -> None:
    """After a fork: the children and their pipes belong to the parent."""
    global _lock
    _idle.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_children)


def _take(limits: DecodeLimits) -> _Child:
    wanted = (limits.seconds, limits.memory_mb)
    while True:
        with _lock:
            child = _idle.pop() if _idle else None
        if child is None:
            return _Child(*wanted)
        if child.is_usable and child.limits == wanted:
            return child
        child.end()


def _asked(kind: bytes, data: bytes, limits: DecodeLimits, *, child: _Child | None = None) -> Any:
    """Ask a child; ask a new one where one dies that an earlier file may have damaged."""
    child = child or _take(limits)
    was_fresh = child.is_fresh
    try:
        found, value = child.ask(kind, data, limits)
    except TimeoutError:
        raise ImageFault(f"decoding took longer than {limits.seconds:g} s") from None
    except _Crash as crash:
        if was_fresh:
            raise ImageFault(str(crash)) from None
        return _asked(kind, data, limits, child=_Child(limits.seconds, limits.memory_mb))
    if found == protocol.NO_MEMORY:
        child.end()
        raise ImageFault(f"decoding needed more than {limits.memory_mb} MB")
    if child.is_usable:
        with _lock:
            _idle.append(child)
    if found == protocol.FAULT:
        raise ImageFault(value)
    return json.loads(value) if found == protocol.FACTS_FOUND else value
