"""`breakwater load`: times set before the run, latencies counted from them."""

import threading
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from servers import free_port, start_broker

from cli.errors import UsageError
from cli.load import demo_mix, load_phases, put_load, read_texts, summarise
from connectors.kafka import CONTENT_TOPIC, DECISIONS_TOPIC, BrokerError, create_topics
from connectors.load import LoadResult, Phase, due_times, run_load


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([Phase(2, 2)], [0, 0.5, 1, 1.5], id="even"),
        pytest.param([Phase(1, 2), Phase(4, 1)], [0, 1, 2, 2.25, 2.5, 2.75], id="a burst"),
        pytest.param([Phase(0.5, 1)], [], id="less than one post: round half to even"),
    ],
)
def test_posts_are_due_evenly_within_a_phase(phases, expected) -> None:
    assert due_times(phases).tolist() == expected


def result(arrived: list[float]) -> LoadResult:
    return LoadResult(np.arange(len(arrived), dtype=float), np.array(arrived), 0, 0.0)


def test_latency_counts_from_the_due_time_and_leaves_out_what_never_came() -> None:
    found = result([0.5, float("nan"), 2.25])
    assert found.latencies.tolist() == [0.5, 0.25]
    assert found.lost == 1


@pytest.mark.parametrize(
    ("arrived", "seconds"),
    [
        pytest.param([0.1, 1.1, 2.1, 3.1], 0.0, id="never behind"),
        pytest.param([0.1, 5.0, 5.0, 3.1], 1.0, id="the last late one counts"),
        pytest.param([0.1, 1.1, 2.1, 9.0], 0.0, id="what is late after a calm second does not"),
        pytest.param([9.0, 1.1, 2.1, 3.1], 0.0, id="what was late before does not"),
        pytest.param([0.1, 5.0, float("nan"), 3.1], 1.0, id="a lost one is late"),
    ],
)
def test_recovery_lasts_until_nothing_is_late_for_a_second(arrived, seconds) -> None:
    assert result(arrived).recovery(1.0, within=0.2) == seconds


@pytest.mark.parametrize(
    ("before", "seconds"),
    [
        pytest.param(0.1, 1.0, id="late beyond 200 ms"),
        pytest.param(0.3, 1.0, id="later than the slowest before"),
        pytest.param(0.5, 0.0, id="no later than the slowest before"),
    ],
)
def test_a_burst_is_over_when_all_is_as_it_was_before(before, seconds) -> None:
    found = result([before, 1.9, 2.1, 3.5, 4.1])
    report = summarise(found, [Phase(1, 1), Phase(1, 1), Phase(1, 3)])
    assert report["usual_ms"] == max(200, before * 1000)
    assert report["recovered_after_s"] == seconds


def test_a_burst_is_a_phase_between_two() -> None:
    assert load_phases(10, 30, "") == [Phase(10, 30)]
    assert load_phases(10, 30, "10x5") == [Phase(10, 10), Phase(100, 5), Phase(10, 15)]


@pytest.mark.parametrize("burst", ["10", "x", "ax5", "10x", "0x5", "2000x1", "10x16", "10x0"])
def test_a_burst_that_is_none_is_refused(burst: str) -> None:
    with pytest.raises(UsageError, match=r"--burst .*: expected TIMESxSECONDS"):
        load_phases(10, 30, burst)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no line has a text"),
        (b'{"text": ""}\n', "no line has a text"),
        (b'{"text": "a"}\n{"text"\n', "line 2"),
        (b'{"text": 3}\n', "line 1"),
        (b'{"text": "\xff"}\n', "line 1"),
    ],
)
def test_a_file_without_texts_is_refused(tmp_path, content: bytes, message: str) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_texts(path)


def test_a_missing_file_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_texts(tmp_path / "none.jsonl")


def test_too_many_posts_are_refused_before_anything_is_sent(monkeypatch) -> None:
    monkeypatch.setenv("BREAKWATER_KAFKA_BROKERS", "127.0.0.1:1")
    with pytest.raises(UsageError, match="too many"):
        put_load(1e6, 86_400, "", None, as_json=True)


def test_without_a_broker_there_is_one_error_and_nothing_of_the_client(monkeypatch, capfd) -> None:
    monkeypatch.setenv("BREAKWATER_KAFKA_BROKERS", f"127.0.0.1:{free_port()}")
    with pytest.raises(BrokerError, match="no Kafka broker answers"):
        put_load(1, 1, "", None, as_json=True)
    assert capfd.readouterr().err == ""


def answer(brokers: str, stopping: threading.Event) -> None:
    """Decides every post but each tenth, each fifth twice, and what nobody asked for."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "answers"})
    consumer.assign([TopicPartition(CONTENT_TOPIC, 0, 0)])
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 0})
    while not stopping.is_set():
        for message in consumer.consume(100, 0.05):
            content_id = msgspec.json.decode(message.value())["content_id"]
            if content_id.startswith("first-"):
                continue
            number = int(content_id.rpartition("-")[2])
            body = msgspec.json.encode({"content_id": content_id, "action": "allow"})
            for _ in range(0 if number % 10 == 0 else 2 if number % 5 == 0 else 1):
                producer.produce(DECISIONS_TOPIC, body)
            producer.produce(DECISIONS_TOPIC, b'{"content_id": "another-1"}')
        producer.poll(0)
    consumer.close()
    producer.flush(5)


@pytest.fixture
def broker() -> Iterator[str]:
    """`host:port` of a broker of one's own, whose topics have one partition."""
    port = free_port()
    process = start_broker(port)
    create_topics({"bootstrap.servers": f"127.0.0.1:{port}"}, partitions=1, replication=1)
    yield f"127.0.0.1:{port}"
    process.kill()
    process.wait()


def test_what_is_lost_or_said_twice_is_counted(broker) -> None:
    config = {"bootstrap.servers": broker}
    stopping = threading.Event()
    answers = threading.Thread(target=answer, args=(broker, stopping))
    answers.start()
    phases = [Phase(100, 0.5)]
    try:
        found = run_load(config, demo_mix(), due_times(phases), patience=5.0)
    finally:
        stopping.set()
        answers.join()
    report = msgspec.json.decode(msgspec.json.encode(summarise(found, phases)))
    assert (report["posts"], report["lost"], report["repeated"]) == (50, 5, 5)
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["max"]
