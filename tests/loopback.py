"""A threaded HTTP server on the loopback address that serves images, with faults planted by path."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DRIP_SECONDS = 0.1


@dataclass
class Loopback:
    """What is served, and what was asked for.

    Attributes:
        images: Bytes by name.
        repaired: Whether faults of kinds `flaky` (an error 503) and `flaky-FAULT` are gone.
        asked: Number of requests by path.
        url: Where the server listens, without a slash at the end.
    """

    images: dict[str, bytes]
    repaired: bool = False
    asked: Counter[str] = field(default_factory=Counter)
    url: str = ""

    def address(self, kind: str, name: str) -> str:
        """URL of an image behind a fault: `/KIND/NAME`."""
        return f"{self.url}/{kind}/{name}"


@contextlib.contextmanager
def serving(images: dict[str, bytes]) -> Iterator[Loopback]:
    """Serve images under `/KIND/NAME` until the block ends."""
    state = Loopback(images)
    handler = type("Handler", (_Handler,), {"state": state})
    server = _Server(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # its 5 let a burst of connections wait for a second


class _Handler(BaseHTTPRequestHandler):
    state: Loopback

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.state.asked[self.path] += 1
        _, kind, name = self.path.split("/", 2)
        kind, _, fault = kind.partition("-")
        if kind == "flaky":
            kind = "ok" if self.state.repaired else fault or "unavailable"
        with contextlib.suppress(OSError):  # the client has given up, as it should
            getattr(self, f"_{kind}")(self.state.images.get(name, b""))

    def _answer(self, body: bytes, *, length: int | None = None, **headers: str) -> None:
        self.send_response(200)
        for header, value in {"Content_Type": "image/jpeg", **headers}.items():
            self.send_header(header.replace("_", "-"), value)
        if length != 0:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    _ok = _answer

    def _unavailable(self, body: bytes) -> None:
        self.send_error(503)

    def _missing(self, body: bytes) -> None:
        self.send_error(404)

    def _redirect(self, body: bytes) -> None:
        self._moved(self.path.replace("/redirect/", "/ok/"))

    def _loop(self, body: bytes) -> None:
        self._moved(self.path + "x")

    def _to_file(self, body: bytes) -> None:
        self._moved("file:///etc/hostname")

    def _moved(self, place: str) -> None:
        self.send_response(302)
        self.send_header("Location", place)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _noai(self, body: bytes) -> None:
        self._answer(body, X_Robots_Tag="noai")

    def _nofollow(self, body: bytes) -> None:
        self._answer(body, X_Robots_Tag="nofollow")

    def _wrong_type(self, body: bytes) -> None:
        self._answer(body, Content_Type="text/html")

    def _html(self, body: bytes) -> None:
        self._answer(b"<!DOCTYPE html><html><body>This image is gone</body></html>")

    def _cut(self, body: bytes) -> None:
        self._answer(body[: len(body) // 2])

    def _promises_more(self, body: bytes) -> None:
        self._answer(body, length=len(body) + 1000)

    def _huge(self, body: bytes) -> None:
        self._answer(body, length=1 << 40)

    def _endless(self, body: bytes) -> None:
        self._answer(body, length=0)
        while True:
            self.wfile.write(bytes(1 << 16))

    def _drip(self, body: bytes) -> None:
        self._answer(b"", length=len(body))
        for byte in body:
            self.wfile.write(bytes([byte]))
            time.sleep(DRIP_SECONDS)

    def _drip_header(self, body: bytes) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
        for _ in range(10_000):
            self.wfile.write(b"x")
            time.sleep(DRIP_SECONDS)

    def _silent(self, body: bytes) -> None:
        time.sleep(20)

    def _hang_up(self, body: bytes) -> None:
        self.close_connection = True
