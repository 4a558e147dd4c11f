"""What the topics are created with, against a real broker."""

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource
from servers import free_port, start_broker
from test_kafka import read

from connectors.kafka import (
    CONTENT_TOPIC,
    DECISIONS_TOPIC,
    create_topics,
    producer_config,
    topic_config,
)
from connectors.kafka_source import KafkaSource
from events.messages import MAX_MESSAGE_BYTES
from flows.settings import load_settings
from flows.sinks import kafka_config

CONTENT = {
    "max.message.bytes": str(MAX_MESSAGE_BYTES),
    # Latency counts from when the broker has a post, not from a clock of its producer.
    "message.timestamp.type": "LogAppendTime",
}


@pytest.mark.parametrize(
    ("topic", "replication", "expected"),
    [
        (DECISIONS_TOPIC, 1, {}),
        (DECISIONS_TOPIC, 2, {}),  # else none of the two might be away
        (DECISIONS_TOPIC, 3, {"min.insync.replicas": "2"}),
        (CONTENT_TOPIC, 1, CONTENT),
        (CONTENT_TOPIC, 3, CONTENT | {"min.insync.replicas": "2"}),
    ],
)
def test_a_topic_is_created_with(topic: str, replication: int, expected: dict[str, str]) -> None:
    assert topic_config(topic, replication=replication) == expected


def test_ten_full_images_go_through_the_content_topic() -> None:
    port = free_port()
    broker = start_broker(port)
    config = kafka_config(load_settings(kafka_brokers=f"127.0.0.1:{port}"))
    create_topics(config, partitions=1, replication=1)
    place = ConfigResource("topic", CONTENT_TOPIC)
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"})
    entries = admin.describe_configs([place])[place].result(10)
    assert {name: entry.value for name, entry in entries.items()} == CONTENT
    producer = Producer(producer_config(config, message_max_bytes=2 * MAX_MESSAGE_BYTES))
    producer.produce(CONTENT_TOPIC, bytes(MAX_MESSAGE_BYTES))
    assert producer.flush(60) == 0
    [raw] = read(KafkaSource(config, CONTENT_TOPIC).build_part("step", "0", None), 1)
    assert len(raw.value) == MAX_MESSAGE_BYTES
    broker.kill()
    broker.wait()
