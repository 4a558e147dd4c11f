"""Alerts to test with, and answers to them that are none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec

from events.messages import Alert, AlertKey, AlertState

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

OPEN = Alert(
    alert_id="a" * 32,
    kind="surge",
    state="open",
    severity="error",
    key=AlertKey("spam", "evil.example", "music"),
    window_start=START,
    window_end=START + timedelta(minutes=1),
    observed=40.0,
    expected=2.5,
    z_score=9.1,
    distinct_authors=31,
    examples=("c1", "c2"),
    texts=("win <big> at http://evil.example",),
    recent=(0, 1, 3, 40),
    last_hour=44,
    last_day=51,
    summary="Surge of spam sharing evil.example in music: 40 in 1 min where 2.5 were expected",
)


def alert(number: int, state: AlertState = "open", minute: int = 1) -> Alert:
    """The alert `number` in a state, `minute` minutes after it began."""
    return msgspec.structs.replace(
        OPEN,
        alert_id=f"{number:032}",
        state=state,
        window_end=START + timedelta(minutes=minute),
    )


UNREADABLE = {
    "bytes that are no UTF-8": b"HTTP/1.1 502 Bad\r\nContent-Length: 2\r\n\r\n\xff\xfe",
    "an unknown charset": b"HTTP/1.1 502 Bad\r\nContent-Type: text/html; charset=none\r\n\r\nbad",
    "a charset with a null": b"HTTP/1.1 502 Bad\r\nContent-Type: text/html; charset=a\0\r\n\r\nbad",
    "a body that ends too early": b"HTTP/1.1 502 Bad\r\nContent-Length: 20\r\n\r\nbad",
    "a chunk that is none": b"HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbad",
    "a body that is not packed": b"HTTP/1.1 502 Bad\r\nContent-Encoding: gzip\r\n\r\nbad",
    "a header too long": b"HTTP/1.1 502 Bad\r\nX-Trace: " + b"a" * 70_000 + b"\r\n\r\n",
    "no HTTP": b"\xff\xfe\r\n\r\n",
    "nothing": b"",
}
"""What proxies in trouble answer, byte for byte."""


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The URL of a server that answers one request with these bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.wfile.write(answer)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.handle_request)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        serving.join()
