"""What a job that is to stop waits for: its rows, but not once it has failed or before it began."""

import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from builders import content
from clickhouse_server import clickhouse_server
from servers import free_port, wait_for_port
from test_stream import BREAKWATER, ROOT, consume, environment, produce, stored

from connectors.clickhouse import RETRY_SECONDS, ClickHouseWriter
from connectors.kafka import DECISIONS_TOPIC, create_topics
from events.encode import encode
from policy.policy import BUILT_IN

POSTS = 200
RULE = "rules: [{id: llama, category: sexual, score: 0.97, pattern: llama, quota: 0}]"
"""What it matches opens an alert."""


class Job:
    """A process of the job whose ClickHouse goes away, while it has rows for it."""

    def __init__(self, home: Path, broker: str) -> None:
        self.home, self.broker = home, broker
        self.port = free_port()
        self.said: list[str] = []

    def run_until_clickhouse_is_away(self) -> None:
        create_topics({"bootstrap.servers": self.broker}, partitions=4, replication=1)
        with self.clickhouse() as dsn:
            store = ClickHouseWriter(dsn)
            store.apply_schema()
            store.close()
            self.process = self.start(dsn)
            self.post("hello", 1)
            consume(self.broker, DECISIONS_TOPIC, len)
        self.post("hello again", POSTS)
        self.wait_to_hear("retry")

    def clickhouse(self) -> AbstractContextManager[str]:
        return clickhouse_server(self.home / "server", self.port)

    def start(self, dsn: str) -> subprocess.Popen[bytes]:
        policy = self.home / "policy"
        (policy / "rules").mkdir(parents=True)
        (policy / "rules" / "r.yaml").write_text(RULE)
        for name in ("hashes", "policy.yaml"):
            (policy / name).symlink_to(BUILT_IN / name)
        settings = {
            "kafka_brokers": self.broker, "clickhouse_dsn": dsn, "policy": str(policy),
            "output": str(self.home / "out"), "epoch_seconds": "300", "store_rows": "100",
            "slack_webhook_url": "http://127.0.0.1:1/",
        }  # fmt: skip
        process = subprocess.Popen(
            [*BREAKWATER, "run"], cwd=ROOT, env=environment(**settings), stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self.listener = threading.Thread(target=self.listen, args=(process.stderr,), daemon=True)
        self.listener.start()
        return process

    def listen(self, stderr: Iterable[str]) -> None:
        for line in stderr:
            self.said.append(line)

    def post(self, text: str, count: int) -> None:
        made = [content(f"{text}-{number}", text=text) for number in range(count)]
        produce(self.broker, [encode(each) for each in made])

    def wait_to_hear(self, words: str) -> None:
        deadline = time.monotonic() + 60
        while not any(words in line for line in self.said):
            assert time.monotonic() < deadline, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.01)


@pytest.fixture
def job(tmp_path: Path, own_broker: str) -> Iterator[Job]:
    made = Job(tmp_path, own_broker)
    try:
        made.run_until_clickhouse_is_away()
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def test_a_job_that_fails_ends_before_its_inserts_give_up(job: Job) -> None:
    # A full disk: the outbox cannot take the alert.
    _, hard = resource.prlimit(job.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(job.process.pid, resource.RLIMIT_FSIZE, (0, hard))
    job.post("a llama", 1)
    assert job.process.wait(RETRY_SECONDS / 10) == 1
    job.listener.join(10)
    assert any('"step": "moderation.write_alerts.write"' in line for line in job.said)
    assert job.said[-1] == "breakwater: stopped: disk I/O error\n"


def test_a_process_that_waits_for_its_peers_ends_at_once(tmp_path: Path, own_broker: str) -> None:
    create_topics({"bootstrap.servers": own_broker}, partitions=4, replication=1)
    store = ClickHouseWriter(f"chdb://{tmp_path}/clickhouse")
    store.apply_schema()
    store.close()
    port, peers = free_port(), f"127.0.0.1:{free_port()};127.0.0.1:{free_port()}"
    settings = {
        "kafka_brokers": own_broker, "output": str(tmp_path), "metrics_port": str(port),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "bytewax.run", "flows.moderation:build_from_env", "-i", "1", "-a",
         peers], cwd=ROOT, env=environment(**settings), stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        wait_for_port(port, process)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert b"nothing was begun" in said


def test_a_job_that_is_told_to_stop_waits_for_its_rows(job: Job) -> None:
    job.process.send_signal(signal.SIGTERM)
    job.wait_to_hear("finishing what is on its way")
    with job.clickhouse() as dsn:
        assert job.process.wait(60) == 0
        [(rows,)] = stored(dsn, "SELECT count() FROM moderation.content FINAL")
    assert rows == 1 + POSTS
