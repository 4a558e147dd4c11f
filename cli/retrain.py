"""`breakwater models retrain`: a drift alert starts a training on what people have said since."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import typer

from connectors import kafka
from connectors.clickhouse import StoreError, connect
from connectors.drift_alerts import DriftAlerts
from connectors.query_library import QueryError, export
from flows.job import stop_on_signal
from flows.settings import BadSettingError, Settings, load_settings
from flows.sinks import kafka_config
from training.datasets import OWN


def retrain_command(name: str, data: Path, out: Path) -> None:
    """Wait for drifts until told to stop; for each, train a candidate into `out`.

    Drifts that were told before a training had begun are answered by it.

    Raises:
        BadSettingError, BrokerError: it cannot wait.
        StoreError: the labels cannot be exported.
    """
    settings = load_settings()
    if not settings.kafka_brokers:
        raise BadSettingError("BREAKWATER_KAFKA_BROKERS is not set: drift is told on Kafka")
    if settings.clickhouse_dsn is None:
        raise BadSettingError(
            "BREAKWATER_CLICKHOUSE_DSN is not set: labels are exported from there"
        )
    config = kafka_config(settings) | {"group.id": f"{settings.kafka_group}-retrain-{name}"}
    kafka.check_topics(config)
    stopping = stop_on_signal()
    alerts = DriftAlerts(config)
    typer.echo(f"waiting for drift on {kafka.ALERTS_TOPIC}")
    began = 0.0
    for alert, said_at in alerts.wait(stopping):
        if said_at < began:
            typer.echo(f"{alert.alert_id}: answered by the training just done")
            continue
        began = time.time()
        typer.echo(f"{alert.alert_id}: {alert.summary[:300]!r}")
        _export_labels(settings, data)
        candidate = out / alert.alert_id
        if _train(name, data, candidate, stopping):
            typer.echo(f"{candidate}: trained; it is in use after `breakwater models promote`")
        elif not stopping():
            typer.echo(f"{candidate}: training failed, see above", err=True)
    alerts.close()


def _export_labels(settings: Settings, data: Path) -> None:
    """What people have labelled, as the corpus reads it."""
    client = connect(settings.store_dsn)
    try:
        labels = export(client, "labelled_dataset", {}, "JSONEachRow")
    except QueryError as error:
        # The alert is read again by whoever starts the command again.
        raise StoreError(f"the labels cannot be exported: {error}") from None
    finally:
        client.close()
    target = data / OWN
    target.parent.mkdir(parents=True, exist_ok=True)
    # A training that reads meanwhile finds the old labels or the new ones.
    target.with_suffix(".new").write_bytes(labels)
    target.with_suffix(".new").replace(target)


def _train(name: str, data: Path, out: Path, stopping: Callable[[], bool]) -> bool:
    """Whether the training has come to its end; a process of its own, which may be ended."""
    command = ["models", "train", name, "--data", str(data), "--out", str(out)]
    with subprocess.Popen([sys.executable, "-m", "cli.main", *command]) as training:  # noqa: S603
        while training.poll() is None:
            if stopping():
                training.terminate()
            time.sleep(0.5)
    return training.returncode == 0
