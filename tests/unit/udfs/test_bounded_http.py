"""Bounded reads against a loopback server that is slow, endless, or lies."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request

import pytest

from tests.loopback import serving
from udfs.bounded_http import HttpLimits, TooLarge, TooSlow, bounded_opener, make_opener

BODY = bytes(range(256)) * 20
LIMITS = HttpLimits(max_bytes=100_000, seconds=0.8, max_redirects=3)


@pytest.fixture(scope="module")
def server():
    with serving({"a": BODY}) as server:
        yield server


def get(server, kind):
    with make_opener(LIMITS).open(server.address(kind, "a"), timeout=0.4) as response:
        return response.read()


@pytest.mark.parametrize("kind", ["ok", "redirect", "wrong_type"])
def test_sound_answers_are_read_whole(server, kind):
    assert get(server, kind) == BODY


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("huge", TooLarge, f"body of {1 << 40} bytes exceeds the limit of 100000 bytes"),
        ("endless", TooLarge, "body exceeds the limit of 100000 bytes"),
        ("drip", TooSlow, "took longer than 0.8 s"),
        ("drip_header", TooSlow, "took longer than 0.8 s"),
        ("silent", OSError, "timed out"),
        ("promises_more", http.client.IncompleteRead, "1000 more expected"),
        ("missing", urllib.error.HTTPError, "404"),
        ("loop", urllib.error.HTTPError, "infinite loop"),
        ("to_file", urllib.error.HTTPError, "not allowed"),
        ("hang_up", OSError, "closed connection"),
    ],
)
def test_other_answers_end_soon_with_a_reason(server, kind, error, message):
    started = time.monotonic()
    with pytest.raises(error, match=message):
        get(server, kind)
    assert time.monotonic() - started < 5, "the limits are below a second"


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/a", "data:text/plain,a"])
def test_only_http_is_opened(url):
    with pytest.raises(urllib.error.URLError, match="unknown url type"):
        make_opener(LIMITS).open(url)


def test_urlopen_is_bounded_inside_the_block_only(server):
    with bounded_opener(LIMITS), pytest.raises(urllib.error.URLError, match="unknown url type"):
        urllib.request.urlopen("file:///etc/hostname")
    with urllib.request.urlopen("file:///etc/hostname") as file:
        assert file.read()
