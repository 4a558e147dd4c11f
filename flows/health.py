"""/metrics, /livez and /readyz of a running job, on one port in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import REGISTRY, make_wsgi_app

from flows.settings import BadSettingError

ALIVE_S = 60.0
"""A worker that has not asked for input for so long hangs: start it anew."""
READY_S = 10.0
"""A worker that has not asked for input for so long is held up by a part: send no traffic."""

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Heartbeat:
    """When the worker last asked its source for input; `now` gives seconds and never steps back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last = self._waited = now()
        self._begun = False

    def beat(self) -> None:
        """The worker is at its source now."""
        self._last = self._now()
        self._begun = True

    def polled(self, connected: bool) -> None:
        """The worker is at its source now; without a broker there it is held up."""
        if connected:
            self.beat()
        else:
            self.wait()

    def wait(self) -> None:
        """The worker is held up by a part that does not answer; starting it anew would not help."""
        self._waited = self._now()

    @property
    def alive(self) -> bool:
        """Whether the worker goes round, knows what it waits for, or is still starting."""
        return self._now() - max(self._last, self._waited) < ALIVE_S

    @property
    def ready(self) -> bool:
        """Whether the worker has begun and takes input now."""
        return self._begun and self._now() - self._last < READY_S


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """A probe a second is nothing to log."""


def _ruleset() -> str:
    """Which pushed rules run, and how old that knowledge is."""
    number = REGISTRY.get_sample_value("breakwater_ruleset_push") or 0.0
    age_s = REGISTRY.get_sample_value("breakwater_ruleset_age_seconds") or 0.0
    return f"ruleset: push {number:.0f}, its store last heard from {age_s:.1f} s ago"


def serve_health(host: str, port: int, heartbeat: Heartbeat) -> WSGIServer:
    """Serve until the process ends.

    Raises:
        BadSettingError: the port cannot be opened.
    """
    metrics = make_wsgi_app()

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        probes = {"/livez": heartbeat.alive, "/readyz": heartbeat.ready}
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            page: Iterable[bytes] = metrics(environ, start_response)
            return page
        if path not in probes:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/metrics, /livez and /readyz are here\n"]
        fine = probes[path]
        status = "200 OK" if fine else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain")])
        state = "ok" if fine else "no input taken for too long"
        return [f"{state}\n{_ruleset()}\n".encode()]

    try:
        server = make_server(host, port, answer, handler_class=_QuietHandler)
    except OSError as error:
        raise BadSettingError(
            f"BREAKWATER_METRICS_PORT: {host}:{port} cannot be opened ({error.strerror})"
        ) from None
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
