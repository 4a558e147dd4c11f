"""A drift on the alerts' topic starts a training on what people have labelled, and nothing else."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alert_samples import alert
from clickhouse_samples import judgement
from clickhouse_server import clickhouse_server
from confluent_kafka import Producer
from msgspec.structs import replace
from test_datasets import data  # noqa: F401  a fixture
from typer.testing import CliRunner

from cli.main import app
from cli.retrain import _export_labels
from connectors.clickhouse import ClickHouseWriter, StoreError
from connectors.drift_alerts import DriftAlerts
from connectors.kafka import ALERTS_TOPIC, create_topics
from events.encode import encode
from events.messages import Alert, Label
from flows.settings import load_settings
from policy.taxonomy import TEXT_CATEGORIES
from training.datasets import OWN

AT = datetime(2026, 11, 17, 12, tzinfo=UTC)
DRIFT = replace(alert(1), alert_id="drift-1", kind="drift", state="open", severity="warning")


@pytest.fixture
def producer(own_broker: str) -> Producer:
    create_topics({"bootstrap.servers": own_broker}, partitions=2, replication=1)
    return Producer({"bootstrap.servers": own_broker})


def say(producer: Producer, *alerts: Alert | bytes) -> None:
    for each in alerts:
        value = each if isinstance(each, bytes) else encode(each)
        producer.produce(ALERTS_TOPIC, value, b"one partition")
    assert producer.flush(10) == 0


def first(alerts: Iterator[tuple[Alert, float]]) -> str:
    return next(alerts)[0].alert_id


class Deadline:
    """Stops a wait that nothing comes of."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def __call__(self) -> bool:
        return time.monotonic() > self._end


def test_only_drift_as_it_opens_asks_for_training_and_once_over_restarts(
    own_broker: str, producer: Producer
) -> None:
    config = {"bootstrap.servers": own_broker, "group.id": "retrain-test"}
    say(producer, replace(DRIFT, alert_id="said before anybody listened"))
    alerts = DriftAlerts(config)
    say(
        producer,
        replace(DRIFT, alert_id="viral", severity="info"),
        replace(DRIFT, alert_id="over", state="resolved"),
        replace(DRIFT, alert_id="surge", kind="surge"),
        b"no alert",
        replace(DRIFT, alert_id="one"),
        replace(DRIFT, alert_id="two"),
    )
    waiting = alerts.wait(Deadline(30))
    assert first(waiting) == "one"
    assert first(waiting) == "two"
    alerts.close()  # while the second was dealt with
    say(producer, replace(DRIFT, alert_id="three"))  # while nobody listened
    alerts = DriftAlerts(config)
    waiting = alerts.wait(Deadline(30))
    assert [first(waiting), first(waiting)] == ["two", "three"]
    alerts.close()


def labelled(number: int) -> Label:
    category = ("", *TEXT_CATEGORIES)[number % (1 + len(TEXT_CATEGORIES))]
    return Label(
        label_id=f"l{number}", content_id=f"c{number}", revision=0, reviewer_id="ann",
        action="block" if category else "allow", category=category, source="review", labeled_at=AT,
    )  # fmt: skip


def test_a_drift_makes_a_candidate_with_the_labels_so_far(
    own_broker: str,
    producer: Producer,
    tmp_path: Path,
    data: Path,  # noqa: F811
) -> None:
    rng = random.Random(1)
    texts = [" ".join(f"w{rng.randrange(900)}" for _ in range(8)) for _ in range(300)]
    with clickhouse_server(tmp_path / "clickhouse") as dsn:
        store = ClickHouseWriter(dsn)
        store.apply_schema()
        store.insert_judgements([judgement(f"c{n}", text=text) for n, text in enumerate(texts)])
        store.insert_labels([labelled(number) for number in range(300)])
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "models", "retrain", "fusion", "--data", str(data),
             "--out", str(tmp_path / "out")],
            env=os.environ
            | {"BREAKWATER_KAFKA_BROKERS": own_broker, "BREAKWATER_CLICKHOUSE_DSN": dsn,
               "BREAKWATER_KAFKA_GROUP": "candidates", "PYTHONUNBUFFERED": "1"},
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        assert process.stdout is not None
        told = [process.stdout.readline()]
        assert told[0].startswith("waiting for drift")
        say(producer, DRIFT, replace(DRIFT, alert_id="drift-2"))
        # The second was told before the training began: the same training answers it.
        while "answered by" not in told[-1] and told[-1]:
            told.append(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    shown = "".join(told)
    own = json.loads((data / OWN).read_text())
    assert sorted(row["text"] for row in own) == sorted(texts)
    assert "trained; it is in use after" in shown, shown
    card = json.loads((tmp_path / "out" / "drift-1" / "card.json").read_text())
    assert any(OWN in str(each) for each in card.values()), card
    assert not (tmp_path / "out" / "drift-2").exists()


@pytest.mark.parametrize("name", ["image", "text-fast"])
def test_what_cannot_be_promoted_is_bad_usage(name: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["models", "retrain", name, "--data", str(tmp_path)])
    assert result.exit_code != 0
    assert "text and fusion can be trained and promoted" in str(result.exception)


def test_a_store_that_cannot_answer_is_told_in_a_line(tmp_path: Path) -> None:
    settings = load_settings(clickhouse_dsn=f"chdb://{tmp_path / 'store'}")
    with pytest.raises(StoreError, match="the labels cannot be exported: no tables to ask"):
        _export_labels(settings, tmp_path)
    assert not (tmp_path / OWN).exists()
