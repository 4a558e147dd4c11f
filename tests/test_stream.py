"""The whole stream on real parts: files, then Kafka, ClickHouse and Valkey with two processes."""

import base64
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import msgspec
import pytest
import redis
from clickhouse_server import clickhouse_server
from confluent_kafka import Consumer, Producer, TopicPartition
from mixed_input import MixedInput, mixed_input
from servers import free_port

from connectors.clickhouse import ClickHouseWriter
from connectors.kafka import (
    CONTENT_TOPIC,
    DEAD_LETTER_TOPIC,
    DECISIONS_TOPIC,
    REVIEW_TOPIC,
    create_topics,
)
from events.messages import Decision

ROOT = Path(__file__).parent.parent
BREAKWATER = [sys.executable, "-m", "cli.main"]
TABLES = "content", "moderation_logs", "dead_letters"


@pytest.fixture(scope="module")
def mixed() -> MixedInput:
    return mixed_input()


def environment(**settings: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BREAKWATER_")}
    return kept | {f"BREAKWATER_{name.upper()}": value for name, value in settings.items()}


def stored(dsn: str, sql: str) -> list[tuple]:
    client = clickhouse_connect.get_client(dsn=dsn, database="default")
    rows = list(client.query(sql).result_rows)
    client.close()
    return rows


def counted_against_quotas(redis_url: str) -> dict[str, set[str]]:
    """The contents that were counted, by quota; each quota stands at their number."""
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    counted: defaultdict[str, set[str]] = defaultdict(set)
    for claim in client.scan_iter("breakwater:claim:*"):
        for name in client.hkeys(claim):
            if name.startswith("quota:"):
                counted[name.removeprefix("quota:")].add(claim.split(":", 3)[3])
    numbers: Counter[str] = Counter()
    for day in client.scan_iter("breakwater:quota:*"):
        totals = client.hgetall(day).items()
        numbers.update({k: int(v) for k, v in totals if k.startswith(("category:", "rule:"))})
    assert numbers == {name: len(contents) for name, contents in counted.items()}
    return counted


def identities(decisions: list[Decision]) -> list[tuple[str, int]]:
    return [(decision.content_id, decision.revision) for decision in decisions]


def check_store(dsn: str, mixed: MixedInput) -> None:
    expected = {"content": len(mixed.identities), "moderation_logs": len(mixed.identities),
                "dead_letters": len(mixed.broken)}  # fmt: skip
    counted = {t: stored(dsn, f"SELECT count() FROM moderation.{t} FINAL")[0][0] for t in TABLES}
    assert counted == expected
    kept = stored(dsn, "SELECT hex(raw) FROM moderation.dead_letters")
    raw = {bytes.fromhex(row[0]) for row in kept}
    assert raw == set(mixed.broken)


def run_file(
    input_path: str, output: Path, *options: str, **kwargs
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*BREAKWATER, "run", "--input", input_path, "--output", str(output), *options],
        cwd=ROOT, env=environment(), capture_output=True, timeout=300, check=False, **kwargs,
    )  # fmt: skip


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


@pytest.mark.parametrize("standard_input", [False, True], ids=["file", "standard input"])
def test_a_file_gets_one_final_decision_an_identity(tmp_path, mixed, standard_input) -> None:
    source, output = tmp_path / "posts.jsonl", tmp_path / "out"
    source.write_bytes(b"\n".join(mixed.messages) + b"\n")
    done = (
        run_file("-", output, input=source.read_bytes())
        if standard_input
        else run_file(str(source), output)
    )
    assert done.returncode == 0, done.stderr.decode()
    decisions = [
        msgspec.json.decode(line, type=Decision) for line in lines(output / "decisions.jsonl")
    ]
    assert sorted(identities(decisions)) == sorted(mixed.identities)
    assert all(decision.final for decision in decisions)
    assert {"allow", "review", "block"} == {decision.action for decision in decisions}

    letters = [msgspec.json.decode(line) for line in lines(output / "dead_letters.jsonl")]
    assert [base64.b64decode(letter["raw"]) for letter in letters] == mixed.broken
    places = {message: number for number, message in enumerate(mixed.messages, 1)}
    assert [letter["source"]["line"] for letter in letters] == [places[b] for b in mixed.broken]
    assert all(letter["error"] and letter["stage"] == "decode" for letter in letters)

    reviewed = [msgspec.json.decode(line) for line in lines(output / "review.jsonl")]
    to_review = {d.decision_id for d in decisions if d.action == "review"}
    assert to_review <= {review["decision"]["decision_id"] for review in reviewed}
    with clickhouse_server(output / "clickhouse") as dsn:
        check_store(dsn, mixed)


def test_a_second_run_over_the_same_file_changes_nothing_in_the_store(tmp_path, mixed) -> None:
    source, output = tmp_path / "posts.jsonl", tmp_path / "out"
    source.write_bytes(b"\n".join(mixed.messages) + b"\n")
    for _ in range(2):
        assert run_file(str(source), output, "--overwrite").returncode == 0
    assert len(lines(output / "decisions.jsonl")) == len(mixed.identities)
    with clickhouse_server(output / "clickhouse") as dsn:
        check_store(dsn, mixed)


class Cluster:
    """Two processes of the job over the same broker, store and features."""

    def __init__(self, settings: dict[str, str], recovery: Path) -> None:
        self.ports = free_port(), free_port()
        self.addresses = ";".join(f"127.0.0.1:{port}" for port in self.ports)
        self.settings, self.recovery = settings, recovery
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self.processes = [self._start(index) for index in range(2)]

    def _start(self, index: int) -> subprocess.Popen[bytes]:
        output = str(self.recovery.parent / f"out-{index}")
        return subprocess.Popen(
            [sys.executable, "-m", "bytewax.run", "flows.moderation:build_from_env",
             "-i", str(index), "-a", self.addresses, "-r", str(self.recovery), "-s", "1",
             "-b", "0"],
            cwd=ROOT, env=environment(**self.settings, output=output),
        )  # fmt: skip

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def stop(self) -> list[int]:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(60) for process in self.processes]


@pytest.fixture
def servers(tmp_path: Path, own_broker: str, valkey_url: str) -> Iterator[dict[str, str]]:
    """Settings of a broker, a ClickHouse and a Valkey of this test alone."""
    create_topics({"bootstrap.servers": own_broker}, partitions=4, replication=1)
    with clickhouse_server(tmp_path / "server") as dsn:
        store = ClickHouseWriter(dsn)
        store.apply_schema()
        store.close()
        yield {"kafka_brokers": own_broker, "clickhouse_dsn": dsn, "redis_url": valkey_url}


def produce(brokers: str, messages: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": brokers})
    for message in messages:
        try:
            key = msgspec.json.decode(message)["content_id"]
        except (msgspec.DecodeError, UnicodeDecodeError, TypeError):
            key = "broken"
        producer.produce(CONTENT_TOPIC, message, str(key).encode())
    assert producer.flush(30) == 0


def consume(brokers: str, topic: str, enough, seconds: float = 120) -> list[bytes]:
    """What is on `topic`, once `enough(messages)` says so."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "test"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(4)])
    found: list[bytes] = []
    deadline = time.monotonic() + seconds
    while not enough(found):
        assert time.monotonic() < deadline, f"{len(found)} messages on {topic}"
        found += [message.value() for message in consumer.consume(1000, 0.2) if not message.error()]
    consumer.close()
    return found


def decoded(messages: list[bytes]) -> list[Decision]:
    return [msgspec.json.decode(message, type=Decision) for message in messages]


def test_two_processes_on_kafka_clickhouse_and_valkey(tmp_path, servers, mixed) -> None:
    recovery = tmp_path / "recovery"
    recovery.mkdir()
    subprocess.run([sys.executable, "-m", "bytewax.recovery", recovery, "2"], check=True)
    cluster = Cluster(servers, recovery)
    brokers = servers["kafka_brokers"]
    produce(brokers, mixed.messages)
    cluster.start()
    try:
        decisions = decoded(
            consume(brokers, DECISIONS_TOPIC, lambda found: len(found) >= len(mixed.identities))
        )
        letters = consume(brokers, DEAD_LETTER_TOPIC, lambda found: len(found) >= len(mixed.broken))
        assert cluster.stop() == [0, 0]
    finally:
        cluster.kill()
    assert sorted(identities(decisions)) == sorted(mixed.identities)
    raw = {base64.b64decode(msgspec.json.decode(letter)["raw"]) for letter in letters}
    assert raw == set(mixed.broken)
    reviews = sum(decision.action == "review" for decision in decisions)
    assert consume(brokers, REVIEW_TOPIC, lambda found: len(found) >= reviews)
    check_store(servers["clickhouse_dsn"], mixed)


def test_a_cluster_killed_on_its_way_loses_nothing_and_doubles_nothing(
    tmp_path, servers, mixed
) -> None:
    recovery = tmp_path / "recovery"
    recovery.mkdir()
    subprocess.run([sys.executable, "-m", "bytewax.recovery", recovery, "2"], check=True)
    cluster = Cluster(servers, recovery)
    brokers = servers["kafka_brokers"]
    half = len(mixed.messages) // 2
    produce(brokers, mixed.messages[:half])
    cluster.start()
    try:
        consume(brokers, DECISIONS_TOPIC, lambda found: len(found) > 0)
        cluster.kill()
        produce(brokers, mixed.messages[half:])
        cluster.start()
        decisions = decoded(
            consume(
                brokers,
                DECISIONS_TOPIC,
                lambda found: set(identities(decoded(found))) >= mixed.identities,
            )
        )
        assert cluster.stop() == [0, 0]
    finally:
        cluster.kill()
    # A decision may come twice on the topic after a crash, under the same id.
    distinct = {decision.decision_id: decision for decision in decisions}
    assert len(distinct) == len(mixed.identities)
    check_store(servers["clickhouse_dsn"], mixed)
    # A block counts when it is decided, also if the crash kept it from the topic.
    blocks = {(d.content_id, f"category:{d.category}") for d in decisions if d.action == "block"}
    counted = counted_against_quotas(servers["redis_url"])
    assert blocks
    assert blocks <= {(one, name) for name, ones in counted.items() for one in ones}
