"""The probes tell the truth: starting, going round, held up, hanging."""

import re
import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client import REGISTRY
from servers import free_port

from flows.health import ALIVE_S, READY_S, Heartbeat, serve_health
from flows.settings import BadSettingError


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("what", "beats", "waited", "alive", "ready"),
    [
        ("just started", False, 0, True, False),
        ("still starting", False, ALIVE_S - 1, True, False),
        ("waits for its peers", False, 10 * ALIVE_S, True, False),
        ("goes round", True, 0, True, True),
        ("just in time", True, READY_S - 1, True, True),
        ("held up", True, READY_S, True, False),
        ("hangs", True, ALIVE_S, False, False),
    ],
)
def test_heartbeat(what: str, beats: bool, waited: float, alive: bool, ready: bool) -> None:
    clock = Clock()
    heartbeat = Heartbeat(clock)
    if beats:
        heartbeat.beat()
    clock.seconds += waited
    assert (heartbeat.started, heartbeat.alive, heartbeat.ready) == (beats, alive, ready)


def test_waiting_for_a_part_is_alive_and_not_ready() -> None:
    clock = Clock()
    heartbeat = Heartbeat(clock)
    heartbeat.beat()
    for _ in range(10):
        clock.seconds += READY_S
        heartbeat.wait()
    assert (heartbeat.alive, heartbeat.ready) == (True, False)
    clock.seconds += ALIVE_S
    assert not heartbeat.alive


def status(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_port_answers_probes_and_metrics() -> None:
    clock, port = Clock(), free_port()
    heartbeat = Heartbeat(clock)
    server = serve_health("127.0.0.1", port, heartbeat)
    probes = ("/startedz", "/livez", "/readyz")
    assert [status(port, probe) for probe in probes] == [503, 200, 503]
    assert REGISTRY.get_sample_value("breakwater_ready") == 0
    heartbeat.beat()
    assert [status(port, probe) for probe in probes] == [200, 200, 200]
    assert REGISTRY.get_sample_value("breakwater_ready") == 1
    clock.seconds += ALIVE_S
    assert [status(port, probe) for probe in probes] == [200, 503, 503]
    assert (status(port, "/metrics"), status(port, "/")) == (200, 404)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert b"breakwater_ruleset_age_seconds" in answer.read()
    clock.seconds -= ALIVE_S
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=10) as answer:
        said = answer.read().decode()
    assert re.fullmatch(r"ok\nruleset: push \d+, its store last heard from \d+\.\d s ago\n", said)
    server.shutdown()
    server.server_close()


def test_a_caller_that_says_nothing_holds_nobody_up() -> None:
    port = free_port()
    server = serve_health("127.0.0.1", port, Heartbeat())
    with (
        socket.create_connection(("127.0.0.1", port)),
        socket.create_connection(("127.0.0.1", port)),
    ):
        assert [status(port, path) for path in ("/livez", "/metrics")] == [200, 200]
    server.shutdown()
    server.server_close()


def test_a_silent_caller_is_sent_away(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flows.health._QuietHandler.timeout", 0.01)
    port = free_port()
    server = serve_health("127.0.0.1", port, Heartbeat())
    with socket.create_connection(("127.0.0.1", port), timeout=20) as silent:
        assert silent.recv(1) == b""
    assert capfd.readouterr().err == ""
    server.shutdown()
    server.server_close()


def test_a_port_that_is_taken_says_which_setting_names_it() -> None:
    port = free_port()
    server = serve_health("127.0.0.1", port, Heartbeat())
    with pytest.raises(BadSettingError, match=f"BREAKWATER_METRICS_PORT: 127.0.0.1:{port}"):
        serve_health("127.0.0.1", port, Heartbeat())
    server.shutdown()
    server.server_close()
