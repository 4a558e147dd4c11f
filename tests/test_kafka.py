"""Kafka against a real broker: positions, resuming, delivery that is checked."""

import itertools
import logging
import os
import signal
import threading
import time
from datetime import UTC, datetime

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from servers import free_port, start_broker

from connectors import kafka_source
from connectors.kafka import (
    CONTENT_TOPIC,
    DEAD_LETTER_TOPIC,
    TOPICS,
    BrokerError,
    KafkaWriter,
    RepeatFilter,
    check_topics,
    create_topics,
    list_partitions,
)
from connectors.kafka_source import PAUSE, KafkaSource, next_tick, starting_point
from events.encode import encode
from events.messages import DeadLetter, Position
from events.records import Raw

LETTER = DeadLetter(
    raw=b"\xff", error="not UTF-8", stage="decode", source=Position(file="f", line=1),
    failed_at=datetime(2026, 1, 1, tzinfo=UTC),
)  # fmt: skip


@pytest.fixture
def config(kafka_broker: str, request: pytest.FixtureRequest) -> dict[str, str]:
    return {"bootstrap.servers": kafka_broker, "group.id": request.node.name}


@pytest.fixture
def topic(config: dict[str, str], request: pytest.FixtureRequest) -> str:
    """A topic of two partitions that holds 0..9 in partition 0 and nothing in partition 1."""
    name = f"topic-{request.node.name}".replace("[", "-").replace("]", "")
    admin = AdminClient({"bootstrap.servers": config["bootstrap.servers"]})
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(10)
    produce(config, name, range(10))
    return name


def produce(config: dict[str, str], topic: str, numbers: range, partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": config["bootstrap.servers"]})
    for number in numbers:
        producer.produce(topic, str(number).encode(), partition=partition)
    assert producer.flush(10) == 0


def read(partition, count: int, *others) -> list[Raw]:
    batch: list[Raw] = []
    deadline = time.monotonic() + 30
    while len(batch) < count and time.monotonic() < deadline:
        batch += [raw for part in (partition, *others) for raw in part.next_batch()]
        time.sleep(0.001)
    return batch


def values(batch: list[Raw]) -> list[int]:
    return [int(raw.value) for raw in batch]


def test_messages_come_with_their_positions_and_the_brokers_time(config, topic) -> None:
    source = KafkaSource(config, topic)
    assert source.list_parts() == ["0", "1"]
    batch = read(source.build_part("step", "0", None), 10)
    assert values(batch) == list(range(10))
    assert [raw.position for raw in batch] == [
        Position(topic=topic, partition=0, offset=offset) for offset in range(10)
    ]
    assert all(raw.received_at > 1.7e9 for raw in batch)


def test_lag_is_told_until_there_is_none(config, topic) -> None:
    told: list[tuple[int, int]] = []
    source = KafkaSource(config, topic, on_lag=lambda *lag: told.append(lag))
    partition = source.build_part("step", "0", 7)
    deadline = time.monotonic() + 30
    while told[-1:] != [(0, 0)] and time.monotonic() < deadline:
        partition.next_batch()
    assert told[-1] == (0, 0)
    assert {index for index, _ in told} == {0}


def test_a_partition_read_to_its_end_is_left_alone_for_a_moment(config, topic) -> None:
    partition = KafkaSource(config, topic).build_part("step", "0", 7)
    assert partition.next_awake() is None
    read(partition, 3)
    assert partition.next_awake() > datetime.now(UTC) - PAUSE


@pytest.mark.parametrize(
    ("what", "now", "tick"),
    [
        ("on the tick", 60.0, 60.04),
        ("just after it", 60.001, 60.04),
        ("just before it", 60.039, 60.04),
    ],
)
def test_partitions_that_wait_wake_together(what, now, tick) -> None:
    woken = next_tick(datetime.fromtimestamp(now, UTC))
    assert woken.timestamp() == pytest.approx(tick, abs=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 4, 1000])
def test_what_is_fetched_together_is_taken_apart_in_bounds(config, topic, batch: int) -> None:
    produce(config, topic, range(100, 110), partition=1)
    source = KafkaSource(config, topic, batch=batch)
    parts = [source.build_part("step", index, None) for index in source.list_parts()]
    taken: list[list[int]] = [[], []]
    deadline = time.monotonic() + 30
    while sum(map(len, taken)) < 20 and time.monotonic() < deadline:
        for index, part in enumerate(parts):
            found = part.next_batch()
            assert len(found) <= max(1, batch // len(parts)), "its share of the batch"
            assert {raw.position.partition for raw in found} <= {index}
            taken[index] += values(found)
    assert taken == [list(range(10)), list(range(100, 110))]
    assert [part.snapshot() for part in parts] == [10, 10]


def test_a_message_larger_than_a_fetch_is_read_like_the_others(config, topic) -> None:
    huge = b"x" * 101_000_000
    producer = Producer({**config, "message.max.bytes": len(huge) + 1000})
    for value in (huge, b"after"):
        producer.produce(topic, value, partition=1)
    assert producer.flush(60) == 0
    batch = read(KafkaSource(config, topic).build_part("step", "1", None), 2)
    assert [len(raw.value) for raw in batch] == [len(huge), len(b"after")]


def test_a_source_tells_when_no_broker_answers_and_when_one_does_again(monkeypatch) -> None:
    monkeypatch.setattr(kafka_source, "STATE_EVERY_S", 0.1)
    monkeypatch.setattr(kafka_source, "SILENT_S", 0.5)
    port = free_port()
    config = {"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "g"}
    broker = start_broker(port)
    create_topics(config, partitions=1, replication=1)
    told: list[bool] = []
    source = KafkaSource(config, CONTENT_TOPIC, on_poll=told.append)
    partition = source.build_part("step", "0", None)

    def poll_until(connected: bool) -> bool:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            partition.next_batch()
            if told[-1] == connected:
                return True
            time.sleep(0.01)
        return False

    assert poll_until(connected=True)
    broker.send_signal(signal.SIGSTOP)
    assert poll_until(connected=False), "its connection is still there"
    broker.send_signal(signal.SIGCONT)
    assert poll_until(connected=True)
    broker.kill()
    broker.wait()
    assert poll_until(connected=False)
    broker = start_broker(port)
    assert poll_until(connected=True)
    broker.kill()
    broker.wait()


def test_a_partition_that_is_closed_leaves_the_others_open(config, topic) -> None:
    produce(config, topic, range(100, 110), partition=1)
    source = KafkaSource(config, topic, batch=1)
    first, second = (source.build_part("step", index, None) for index in source.list_parts())
    taken = [number for number in values(read(first, 1, second)) if number >= 100]
    first.close()
    taken += values(read(second, 10 - len(taken)))
    assert taken == list(range(100, 110))
    second.close()


@pytest.mark.parametrize(
    ("what", "resume", "committed", "oldest", "start"),
    [
        ("nothing is known", None, OFFSET_INVALID, 0, (OFFSET_BEGINNING, 0)),
        ("nothing is known of an old topic", None, OFFSET_INVALID, 70, (OFFSET_BEGINNING, 0)),
        ("the recovery store before the group", 7, 5, 0, (7, 0)),
        ("a recovery store that has read nothing", 0, 5, 0, (0, 0)),
        ("the group alone", None, 5, 0, (5, 0)),
        ("just not expired", 70, 60, 70, (70, 0)),
        ("just expired", 69, 60, 70, (70, 1)),
        ("the group's has expired", None, 60, 70, (70, 10)),
        ("a recovery store made before anything was read", -2, 5, 70, (OFFSET_BEGINNING, 0)),
    ],
)
def test_where_a_partition_is_read_on(what, resume, committed, oldest, start) -> None:
    assert starting_point(resume, committed, oldest) == start


def test_the_recovery_stores_position_wins(config, topic) -> None:
    partition = KafkaSource(config, topic).build_part("step", "0", 7)
    assert values(read(partition, 3)) == [7, 8, 9]
    assert partition.snapshot() == 10


def test_without_a_recovery_store_the_groups_offset_counts(config, topic) -> None:
    first = KafkaSource(config, topic).build_part("step", "0", None)
    read(first, 10)
    # An epoch is surely delivered when the fourth one after it has ended.
    for _ in range(5):
        first.snapshot()
    first.close()
    consumer = Consumer(config)
    assert consumer.committed([TopicPartition(topic, 0)], timeout=10)[0].offset == 10
    consumer.close()
    produce(config, topic, range(10, 12))
    second = KafkaSource(config, topic).build_part("step", "0", None)
    assert values(read(second, 2)) == [10, 11]


def test_nothing_is_committed_that_may_be_on_its_way(config, topic) -> None:
    partition = KafkaSource(config, topic).build_part("step", "0", None)
    read(partition, 10)
    for _ in range(3):
        partition.snapshot()
    partition.close()
    consumer = Consumer(config)
    assert consumer.committed([TopicPartition(topic, 0)], timeout=10)[0].offset < 0
    consumer.close()


def test_a_message_without_a_value_is_an_empty_one(config, topic) -> None:
    producer = Producer({"bootstrap.servers": config["bootstrap.servers"]})
    producer.produce(topic, None, key=b"k", partition=1)
    producer.flush(10)
    batch = read(KafkaSource(config, topic).build_part("step", "1", None), 1)
    assert [raw.value for raw in batch] == [b""]


def test_the_input_ends_when_it_is_told_to_stop(config, topic) -> None:
    stop = threading.Event()
    partition = KafkaSource(config, topic, stop.is_set).build_part("step", "0", None)
    read(partition, 10)
    stop.set()
    with pytest.raises(StopIteration):
        partition.next_batch()


def test_topics_are_created_once(config) -> None:
    create_topics(config, partitions=3, replication=1)
    assert create_topics(config, partitions=3, replication=1) == []
    check_topics(config)
    partitions = list_partitions(config)
    assert all(partitions[topic] > 0 for topic in TOPICS)


def test_a_missing_topic_says_which_command_makes_it() -> None:
    port = free_port()
    broker = start_broker(port)
    with pytest.raises(BrokerError, match="run `breakwater topics create`"):
        check_topics({"bootstrap.servers": f"127.0.0.1:{port}"})
    broker.kill()
    broker.wait()


def test_brokers_that_do_not_answer_are_named() -> None:
    where = f"127.0.0.1:{free_port()}"
    with pytest.raises(BrokerError, match=f"no Kafka broker answers at {where}"):
        check_topics({"bootstrap.servers": where})


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_flush_returns_when_everything_is_on_the_topic(config, topic, count: int) -> None:
    writer = KafkaWriter[DeadLetter](config, topic, lambda _: "key")
    writer.write([LETTER] * count)
    writer.flush()
    writer.close()
    source = KafkaSource(config, topic)
    parts = [source.build_part("step", part, None) for part in source.list_parts()]
    found = [raw.value for raw in read(parts[0], 10 + count, parts[1])]
    assert found.count(encode(LETTER)) == count


def test_a_refused_message_raises_instead_of_being_lost(config) -> None:
    writer = KafkaWriter[DeadLetter](config, "no such topic!", lambda _: "key")
    writer.write([LETTER])
    with pytest.raises(KafkaException):
        writer.flush()


def test_who_has_no_time_hears_of_a_broker_that_is_away_and_may_try_again() -> None:
    port = free_port()
    broker = start_broker(port)
    config = {"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "g"}
    create_topics(config, partitions=1, replication=1)
    writer = KafkaWriter[DeadLetter](config, DEAD_LETTER_TOPIC, lambda _: "key", patience_s=1.0)
    os.kill(broker.pid, signal.SIGSTOP)
    writer.write([LETTER])
    with pytest.raises(BrokerError, match=r"dead-letter.v1: no Kafka broker took it in time"):
        writer.flush()
    os.kill(broker.pid, signal.SIGCONT)
    deadline = time.monotonic() + 30
    while True:
        writer.write([LETTER])
        try:
            writer.flush()
            break
        except BrokerError:
            assert time.monotonic() < deadline, "the broker is back and nothing is taken"
    broker.kill()
    broker.wait()


def test_a_broker_that_is_away_holds_the_flush_up_until_it_is_back() -> None:
    port = free_port()
    broker = start_broker(port)
    config = {"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "g"}
    create_topics(config, partitions=1, replication=1)
    writer = KafkaWriter[DeadLetter](config, DEAD_LETTER_TOPIC, lambda _: "key")
    # A stopped process answers nothing and keeps its connections: an outage without an error.
    os.kill(broker.pid, signal.SIGSTOP)
    writer.write([LETTER] * 100)
    flushed = threading.Thread(target=writer.flush)
    flushed.start()
    flushed.join(0.5)
    assert flushed.is_alive()
    os.kill(broker.pid, signal.SIGCONT)
    flushed.join(30)
    assert not flushed.is_alive()
    assert len(read(KafkaSource(config, DEAD_LETTER_TOPIC).build_part("s", "0", None), 100)) == 100
    broker.kill()
    broker.wait()


def test_what_the_library_repeats_is_logged_once_in_a_while() -> None:
    now = [0.0]
    spared = RepeatFilter(10.0, lambda: now[0])

    def logged(message: str) -> bool:
        return spared.filter(logging.LogRecord("x", logging.ERROR, "", 0, message, None, None))

    assert logged("127.0.0.1:9092: refused after 3 ms")
    assert not logged("127.0.0.1:9092: refused after 17 ms")
    assert logged("127.0.0.1:9092: closed by peer"), "another message"
    now[0] = 9.9
    assert not logged("127.0.0.1:9092: refused after 3 ms"), "just not again"
    now[0] = 10.0
    assert logged("127.0.0.1:9092: refused after 3 ms")


def test_waiting_for_a_slow_broker_costs_no_processor_time() -> None:
    port = free_port()
    broker = start_broker(port)
    config = {"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "g"}
    create_topics(config, partitions=4, replication=1)
    keys = itertools.count()
    writer = KafkaWriter[DeadLetter](config, DEAD_LETTER_TOPIC, lambda _: str(next(keys)))
    writer.write([LETTER] * 100)
    writer.flush()
    os.kill(broker.pid, signal.SIGSTOP)
    writer.write([LETTER] * 100)
    flushed = threading.Thread(target=writer.flush)
    flushed.start()
    for _ in range(30):  # what is flushed goes at once: more requests than may be under way
        writer.write([LETTER] * 100)
    spent = time.process_time()
    flushed.join(1.0)
    spent = time.process_time() - spent
    os.kill(broker.pid, signal.SIGCONT)
    flushed.join(30)
    broker.kill()
    broker.wait()
    assert spent < 0.2, "librdkafka spins"
