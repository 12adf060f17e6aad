"""HTTP reads that end: bounded in bytes, in total time, in redirects, and to http and https.

img2dataset reads with `urllib.request.urlopen`, whose timeout counts anew with every byte that arrives: a
server that sends one byte now and then holds a thread for ever, and one that never stops fills the memory.
`urlopen` also opens `file:` and `ftp:`. What `bounded_opener` installs through urllib's own door does neither.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_PIECE_BYTES = 1 << 16


@dataclass(frozen=True)
class HttpLimits:
    """What one download may cost.

    Attributes:
        max_bytes: Largest body.
        seconds: Longest time from the first request to the last byte, redirects included.
        max_redirects: Redirects that are followed.
    """

    max_bytes: int = 100_000_000
    seconds: float = 60.0
    max_redirects: int = 10


class TooLarge(OSError):
    """Raised when a body is, or says it is, larger than the limit."""


class TooSlow(TimeoutError):
    """Raised when a download takes longer than the limit, however busy its server looks."""


@contextlib.contextmanager
def bounded_opener(limits: HttpLimits) -> Iterator[None]:
    """While open, `urllib.request.urlopen` of this process stays within the limits."""
    urllib.request.install_opener(make_opener(limits))
    try:
        yield
    finally:
        urllib.request.install_opener(None)  # None: urllib makes its own anew


def make_opener(limits: HttpLimits) -> urllib.request.OpenerDirector:
    """An opener for http and https alone, within the limits; proxies are taken from the environment."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(limits),
        _Http(limits),
        _Https(limits),
    ):
        opener.add_handler(handler)
    return opener


class _Response(http.client.HTTPResponse):
    """A response whose every read, of header lines too, counts against time and bytes."""

    def __init__(self, sock: Any, *args: Any, deadline: float, limits: HttpLimits, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._limits = limits
        raw = _Timed(self.fp.detach(), sock, deadline=deadline, seconds=limits.seconds)
        self.fp = io.BufferedReader(raw)

    def read(self, amt: int | None = None) -> bytes:
        if amt is not None:
            return super().read(amt)
        declared = self.length
        if declared is not None and declared > self._limits.max_bytes:
            raise TooLarge(f"body of {declared} bytes exceeds the limit of {self._limits.max_bytes} bytes")
        body = bytearray()
        while piece := super().read(_PIECE_BYTES):
            body += piece
            if len(body) > self._limits.max_bytes:
                raise TooLarge(f"body exceeds the limit of {self._limits.max_bytes} bytes")
        if declared is not None and len(body) < declared:
            raise http.client.IncompleteRead(bytes(body), declared - len(body))
        return bytes(body)


class _Timed(io.RawIOBase):
    """A socket's raw stream: no read waits beyond the deadline."""

    def __init__(self, raw: Any, sock: Any, *, deadline: float, seconds: float) -> None:
        self._raw = raw
        self._sock = sock
        self._idle_seconds = sock.gettimeout()
        self._deadline = deadline
        self._seconds = seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self._too_slow()
        self._sock.settimeout(left if self._idle_seconds is None else min(left, self._idle_seconds))
        try:
            count: int | None = self._raw.readinto(buffer)
        except TimeoutError:
            if time.monotonic() >= self._deadline:
                raise self._too_slow() from None
            raise
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()

    def _too_slow(self) -> TooSlow:
        return TooSlow(f"download took longer than {self._seconds:g} s")


def _within(limits: HttpLimits, deadline: float, kind: type[http.client.HTTPConnection]) -> Any:
    """A connection of a kind, for urllib's `do_open`."""

    def response(sock: Any, *args: Any, **kwargs: Any) -> _Response:
        return _Response(sock, *args, deadline=deadline, limits=limits, **kwargs)

    def connect(host: str, **kwargs: Any) -> http.client.HTTPConnection:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TooSlow(f"download took longer than {limits.seconds:g} s")
        kwargs["timeout"] = min(left, kwargs.get("timeout") or left)
        connection = kind(host, **kwargs)
        connection.response_class = response  # type: ignore[assignment] # called like the class
        return connection

    return connect


def _deadline_of(request: urllib.request.Request, limits: HttpLimits) -> float:
    """When the download of a request must have ended: set at its first hop, handed on by redirects."""
    deadline: float = vars(request).setdefault("parrot_deadline", time.monotonic() + limits.seconds)
    return deadline


class _Http(urllib.request.HTTPHandler):
    def __init__(self, limits: HttpLimits) -> None:
        super().__init__()
        self._limits = limits

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        deadline = _deadline_of(req, self._limits)
        return self.do_open(_within(self._limits, deadline, http.client.HTTPConnection), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, limits: HttpLimits) -> None:
        super().__init__()
        self._limits = limits

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        deadline = _deadline_of(req, self._limits)
        return self.do_open(_within(self._limits, deadline, http.client.HTTPSConnection), req)


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self.max_redirections = limits.max_redirects  # type: ignore[misc] # a class variable to typeshed

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None:
            vars(following)["parrot_deadline"] = _deadline_of(req, self._limits)
        return following
