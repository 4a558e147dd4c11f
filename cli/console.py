"""`breakwater console`: the review queue and the live page in a browser."""

from __future__ import annotations

import getpass
import io
import ipaddress
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from pathlib import Path

from flask import Flask
from werkzeug.serving import BaseWSGIServer, make_server

from cli.errors import UsageError, failed
from cli.live import open_store
from cli.store import existing_store
from connectors import kafka
from connectors.clickhouse import ClickHouseWriter
from connectors.kafka import KafkaWriter
from console.app import LOCAL_HOSTS, build_app
from console.desk import Desk, SubmitError
from console.security import is_reviewer_name
from console.store import ClickHouseStore
from events.encode import encode
from events.messages import Appeal, Label
from flows.live_policy import LivePolicy
from flows.settings import Settings, load_settings
from flows.sinks import kafka_config

LABEL_PATIENCE_S = 5.0
"""A reviewer does not wait longer for Kafka: the item then waits again, and the page says why."""


def console_command(
    output: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8050,
    allowed_hosts: Sequence[str] = (),
    reviewer: str = "",
) -> None:
    """Serve the console until Ctrl-C.

    Items and the state of the stream come from ClickHouse: the server that the settings name, else
    the embedded one of an earlier run under `output`. Labels go to the topic
    `moderation.labels.v1` and answers to appeals to `moderation.appeals.v1` when Kafka is set; else
    into that ClickHouse, `output`/labels.jsonl and `output`/appeals.jsonl.
    Thresholds and severities are those of the policy in force, as it was pushed.

    Raises:
        UsageError: it would be open to others without a password, the port is taken, or
            `reviewer` is not a name to sign in with.
        BadSettingError, BrokerError, PolicyError, RulesetStoreDownError, StoreError: it cannot
            start.
        typer.Exit: with 1, when an answer could not be sent at the end.
    """
    if reviewer and not is_reviewer_name(reviewer):
        raise UsageError(
            f"--reviewer {reviewer!r}: a name of letters, digits and . _ @ + - was expected"
        )
    settings = load_settings(output=output)
    secret = settings.console_password
    password = secret.get_secret_value() if secret else ""
    if not password and not _is_loopback(host):
        raise UsageError(
            f"--host {host} opens the console to others: set BREAKWATER_CONSOLE_PASSWORD first"
        )
    policy = LivePolicy(settings.policy, open_store("policy", shared=False))
    dsn = existing_store(settings)
    submit = _submit_to_kafka(settings) if settings.kafka_brokers else None
    writer = ClickHouseWriter(dsn)
    writer.check_schema()
    store = ClickHouseStore(writer.client, lambda: policy.current)
    desk = Desk(store, submit or _submit_to_store(writer, settings.output))
    app = build_app(
        store,
        desk,
        lambda: policy.current,
        reviewer=reviewer or getpass.getuser(),
        password=password,
        hosts=LOCAL_HOSTS | {name.lower() for name in allowed_hosts},
    )
    policy.follow()
    server = _open_server(app.server, host, port)
    # What is held back is sent on SIGTERM as on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
        try:
            desk.close()
        except SubmitError as error:
            raise failed(str(error)) from None
        finally:
            writer.close()


def _open_server(app: Flask, host: str, port: int) -> BaseWSGIServer:
    """A server that has its port, which is said."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    try:
        # Werkzeug prints an advice of its own before it exits.
        with redirect_stderr(io.StringIO()):
            server = make_server(host, port, app, threaded=True)
    except (OSError, SystemExit):
        raise UsageError(f"port {port} of {host} cannot be opened: try another --port") from None
    shown = f"[{host}]" if ":" in host else host
    print(f"the console answers on http://{shown}:{server.port} (Ctrl-C ends it)", file=sys.stderr)
    return server


def _submit_to_kafka(settings: Settings) -> Callable[[Label | Appeal], None]:
    config = kafka_config(settings)
    kafka.check_topics(config)

    def writer_to(topic: str) -> KafkaWriter[Label | Appeal]:
        return KafkaWriter(
            config, topic, lambda answer: answer.content_id, patience_s=LABEL_PATIENCE_S
        )

    labels, appeals = writer_to(kafka.LABELS_TOPIC), writer_to(kafka.APPEALS_TOPIC)

    def submit(answer: Label | Appeal) -> None:
        writer = appeals if isinstance(answer, Appeal) else labels
        writer.write([answer])
        writer.flush()

    return submit


def _submit_to_store(writer: ClickHouseWriter, output: Path) -> Callable[[Label | Appeal], None]:
    def submit(answer: Label | Appeal) -> None:
        if isinstance(answer, Appeal):
            name = "appeals.jsonl"
            writer.insert_appeals([answer])
        else:
            name = "labels.jsonl"
            writer.insert_labels([answer])
        with (output / name).open("ab") as lines:
            lines.write(encode(answer) + b"\n")

    return submit


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
