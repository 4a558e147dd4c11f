"""`breakwater topics create`, `breakwater schema apply`: what there must be before the job runs."""

from __future__ import annotations

from typing import Annotated

import typer

from events.messages import MAX_MESSAGE_BYTES
from flows.settings import BadSettingError, load_settings

topics_app = typer.Typer(help="The Kafka topics.", no_args_is_help=True)
schema_app = typer.Typer(help="The tables in ClickHouse.", no_args_is_help=True)


@topics_app.command("create", epilog="Example: breakwater topics create --partitions 12")
def create_missing_topics(
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each topic.")] = 8,
    replication: Annotated[int, typer.Option(min=1, help="Copies of each partition.")] = 1,
    max_message_bytes: Annotated[
        int,
        typer.Option(min=100_000, help="Largest content, with its images."),
    ] = MAX_MESSAGE_BYTES,
) -> None:
    """Create the topics that are missing."""
    # Imported here: `--help` need not wait for the clients of Kafka and ClickHouse.
    from connectors.kafka import create_topics
    from flows.sinks import kafka_config

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


@schema_app.command("apply", epilog="Example: breakwater schema apply")
def apply_schema() -> None:
    """Create the tables that are missing."""
    from connectors.clickhouse import ClickHouseWriter, public_dsn

    settings = load_settings()
    store = ClickHouseWriter(settings.store_dsn)
    try:
        store.apply_schema()
        store.check_schema()
    finally:
        store.close()
    print(f"the tables are at {public_dsn(settings.store_dsn)}")
