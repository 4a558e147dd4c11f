"""What a soak scenario came to: what was sent, decided, stored and counted must be the same."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import clickhouse_connect
import msgspec
import redis
from confluent_kafka import Consumer, TopicPartition

from bench.cluster import PARTITIONS
from bench.soak.stage import Stage
from connectors.kafka import DECISIONS_TOPIC

_AUTHOR = "breakwater:author:"


@dataclass(frozen=True)
class Reckoning:
    """What became of the posts of a scenario; all but `sent` and `repeated` should be 0."""

    sent: int
    lost: int
    doubled: int
    miscounted: int
    """Authors whose counter is not the number of their posts."""
    alerts_doubled: int
    """Messages to Slack that came more than once."""
    repeated: int
    """Decisions that came again on the topic, under the same id: consumers drop them."""

    @property
    def fine(self) -> bool:
        """Whether nothing was lost and nothing had its effect twice."""
        return not (self.lost or self.doubled or self.miscounted or self.alerts_doubled)


def reckon(at: Stage, patience: float = 300.0) -> Reckoning:
    """Stop the load, wait until everything sent is decided, drain the job and count."""
    sent = at.feed.stop()
    decided = _decisions(at.servers.brokers, sent, patience)
    codes = at.cluster.stop()
    if any(codes):
        at.facts.append(f"exit codes on SIGTERM {codes}")
    client = clickhouse_connect.get_client(dsn=at.servers.clickhouse, database="default")
    found = client.query(
        "SELECT count(), uniqExact(content_id) FROM moderation.moderation_logs FINAL"
    ).result_rows[0]
    stored, distinct = int(found[0]), int(found[1])
    client.close()
    at.facts.append(f"{len(at.slack.messages)} messages to Slack")
    return Reckoning(
        sent=sent,
        lost=max(sent - len(decided), sent - distinct),
        doubled=stored - distinct,
        miscounted=_miscounted(at),
        alerts_doubled=len(at.slack.messages) - len(set(at.slack.messages)),
        repeated=decided.total() - len(decided),
    )


class _Id(msgspec.Struct):
    content_id: str


def _decisions(brokers: str, wanted: int, patience: float) -> Counter[str]:
    """How often each content was decided on the topic, once all are there or none comes."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "soak", "log_level": 0})
    consumer.assign([TopicPartition(DECISIONS_TOPIC, part, 0) for part in range(PARTITIONS)])
    decode = msgspec.json.Decoder(_Id).decode
    found: Counter[str] = Counter()
    changed = time.monotonic()
    while len(found) < wanted and time.monotonic() - changed < patience:
        before = len(found)
        for message in consumer.consume(5_000, 0.5):
            value = message.value()
            if message.error() is None and isinstance(value, bytes):
                found[decode(value).content_id] += 1
        if len(found) > before:
            changed = time.monotonic()
    consumer.close()
    return found


def _miscounted(at: Stage) -> int:
    client = redis.Redis.from_url(at.servers.redis)
    wrong = 0
    for author, posts in at.feed.authors.items():
        counted = client.hget(f"{_AUTHOR}{author}", "decisions")
        wrong += int(counted or 0) != posts
    client.close()
    return wrong
