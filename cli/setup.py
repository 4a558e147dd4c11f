"""Setting up: topics."""

from __future__ import annotations

from connectors.kafka import create_topics
from flows.settings import BadSettingError, load_settings
from flows.sinks import kafka_config


def create_missing_topics(partitions: int, replication: int, max_message_bytes: int) -> None:
    """Create what is missing and say what was done."""
    settings = load_settings()
    if not settings.kafka_brokers:
        raise BadSettingError("BREAKWATER_KAFKA_BROKERS is not set")
    created = create_topics(
        kafka_config(settings),
        partitions=partitions,
        replication=replication,
        max_message_bytes=max_message_bytes,
    )
    print("\n".join(f"created {topic}" for topic in created) or "every topic exists")
