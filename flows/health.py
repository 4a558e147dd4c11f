"""/metrics, /startedz, /livez and /readyz of a running job, on one port in threads of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import REGISTRY, make_wsgi_app

from flows.metrics import READY
from flows.settings import BadSettingError

ALIVE_S = 60.0
"""A worker that has not asked for input for so long hangs: restart it."""
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
        """The worker is held up by a part that does not answer; restarting it would not help."""
        self._waited = self._now()

    @property
    def started(self) -> bool:
        """Whether the worker has asked for input; before, it may wait for others of its cluster."""
        return self._begun

    @property
    def alive(self) -> bool:
        """Whether the worker goes round, knows what it waits for, or is still starting."""
        return not self._begun or self._now() - max(self._last, self._waited) < ALIVE_S

    @property
    def ready(self) -> bool:
        """Whether the worker has begun and takes input now."""
        return self._begun and self._now() - self._last < READY_S


class _QuietHandler(WSGIRequestHandler):
    timeout = 5
    """Seconds for which a caller may be silent."""

    def log_message(self, *_: object) -> None:
        """A probe a second is nothing to log."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each caller: one that connects and says nothing must not hold up the probes."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A caller that goes away or stays silent is nothing to log."""


def _ruleset() -> str:
    """Which pushed rules run, and how old that knowledge is."""
    number = REGISTRY.get_sample_value("breakwater_ruleset_push") or 0.0
    age_s = REGISTRY.get_sample_value("breakwater_ruleset_age_seconds") or 0.0
    return f"ruleset: push {number:.0f}, its store last heard from {age_s:.1f} s ago"


def serve_health(host: str, port: int, heartbeat: Heartbeat) -> WSGIServer:
    """Serve until the process ends; `/startedz` is for a probe that is patient.

    Raises:
        BadSettingError: the port cannot be opened.
    """
    metrics = make_wsgi_app()
    READY.set_function(lambda: heartbeat.ready)

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        probes = {
            "/startedz": heartbeat.started,
            "/livez": heartbeat.alive,
            "/readyz": heartbeat.ready,
        }
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            page: Iterable[bytes] = metrics(environ, start_response)
            return page
        if path not in probes:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/metrics, /startedz, /livez and /readyz are here\n"]
        fine = probes[path]
        status = "200 OK" if fine else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain")])
        why = "no input taken for too long" if heartbeat.started else "no input taken yet"
        state = "ok" if fine else why
        return [f"{state}\n{_ruleset()}\n".encode()]

    try:
        server = make_server(host, port, answer, server_class=_Server, handler_class=_QuietHandler)
    except OSError as error:
        raise BadSettingError(
            f"BREAKWATER_METRICS_PORT: {host}:{port} cannot be opened ({error.strerror})"
        ) from None
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
