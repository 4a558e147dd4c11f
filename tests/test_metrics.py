"""What the job says of itself is what happened."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bytewax.operators as op
import msgspec
import pytest
from alert_samples import OPEN
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from prometheus_client import REGISTRY
from pytest_httpserver import HTTPServer

from connectors.local_sink import Writer
from events.encode import encode
from events.messages import AlertKey, Content, Position
from events.records import Raw
from flows import metrics
from flows.moderation import build
from flows.settings import load_settings
from flows.sinks import Sinks, open_outbox
from flows.stages import load_stages
from operators.surge import SHARDS, ShardItem, shard_of, surge
from operators.surge_settings import SurgeSettings
from operators.surge_tally import SurgeEvent, Tick


class Kept(Writer[Any]):
    def __init__(self) -> None:
        self.items: list = []

    def write(self, batch: list) -> None:
        self.items += batch

    def flush(self) -> None: ...

    def close(self) -> None: ...


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def raw(content_id: str, received_at: float, line: int, **extra: object) -> Raw:
    content = Content(content_id, datetime.fromtimestamp(1_760_000_000, UTC), "a", text="Hello all")
    fields = msgspec.json.decode(encode(content)) | extra
    return Raw(msgspec.json.encode(fields), Position(file="f", line=line), received_at)


def test_a_run_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics.time, "time", lambda: 1_760_000_100.0)
    counters = {
        name: value(name)
        for name in (
            "breakwater_unknown_fields_total",
            "breakwater_repeats_total",
            "breakwater_batch_age_seconds_count",
            "breakwater_batch_age_seconds_sum",
            "breakwater_batch_size_sum",
        )
    }
    letters = value("breakwater_dead_letters_total", stage="decode")
    messages = [
        raw("1", 1_760_000_099.0, 1, mood="sunny", weather="fine"),
        raw("2", 1_760_000_098.0, 2),
        raw("2", 1_760_000_099.0, 3),
        Raw(b"{", Position(file="f", line=4), 1_760_000_099.0),
    ]
    kept = Kept()
    sinks = Sinks(*[lambda: kept] * len(Sinks.__dataclass_fields__))
    settings = load_settings(output=tmp_path)
    stages = load_stages(settings, follow=True)
    run_main(build(TestingSource(messages, batch_size=4), sinks, stages))

    grown = {name: value(name) - before for name, before in counters.items()}
    assert grown == {
        "breakwater_unknown_fields_total": 2,
        "breakwater_repeats_total": 1,
        "breakwater_batch_age_seconds_count": 1,
        "breakwater_batch_age_seconds_sum": 2,
        "breakwater_batch_size_sum": 4,
    }
    assert value("breakwater_dead_letters_total", stage="decode") - letters == 1
    assert value("breakwater_watermark_delay_seconds") == 100


def test_lag_and_inserts_are_noted() -> None:
    rows = value("breakwater_store_rows_total", table="content")
    metrics.observe_lag(3, 17)
    with metrics.watch_insert("content", 40):
        pass
    assert value("breakwater_consumer_lag", partition="3") == 17
    assert value("breakwater_store_rows_total", table="content") - rows == 40


def test_an_insert_is_noted_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 160.0, 170.0])
    monkeypatch.setattr(metrics.time, "monotonic", lambda: next(clock))
    rows = value("breakwater_store_rows_total", table="content")

    def hang() -> None:
        with metrics.watch_insert("content", 1):
            assert value("breakwater_store_oldest_insert_seconds") == 60
            raise OSError("away")

    with pytest.raises(OSError, match="away"):
        hang()
    assert value("breakwater_store_oldest_insert_seconds") == 0
    assert value("breakwater_store_rows_total", table="content") == rows, "it was not taken"


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("breakwater_decisions_total", {"action": "block", "category": "spam"}),
        ("breakwater_decisions_total", {"action": "allow", "category": ""}),
        ("breakwater_alerts_total", {"kind": "surge", "state": "open"}),
        ("breakwater_dead_letters_total", {"stage": "decode"}),
    ],
)
def test_the_first_of_a_kind_is_an_increase(name: str, labels: dict[str, str]) -> None:
    """Prometheus sees none in a series that begins at 1; so each is there before."""
    assert REGISTRY.get_sample_value(name, labels) is not None


def test_alerts_on_their_way_to_people_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/hook").respond_with_data("no_service", status=404)
    monkeypatch.setenv("BREAKWATER_SLACK_WEBHOOK_URL", httpserver.url_for("/hook"))
    name = "breakwater_alert_deliveries_total"
    failed = value(name, sender="slack", outcome="failed")
    [outbox] = open_outbox(tmp_path / "outbox.sqlite", load_settings())
    assert REGISTRY.get_sample_value(name, {"sender": "slack", "outcome": "sent"}) is not None
    outbox.write([OPEN])
    outbox.close()
    assert value(name, sender="slack", outcome="failed") - failed == 1


def test_violations_that_come_late_or_from_the_future_are_noted() -> None:
    """Through the engine: nothing else reads the shards' reports."""
    start = 1_772_409_600.0
    minutes = [*range(30), 0, 10_000, 30, 31, 32]  # one late, one far ahead
    items: list[ShardItem] = []
    for n, minute in enumerate(minutes):
        key, at = AlertKey("spam"), start + 60 * minute
        items += [(shard_of(key), SurgeEvent(key, at, "a", f"c{n}"))]
        items += [(shard, Tick(at)) for shard in SHARDS]
    before = {
        why: value("breakwater_surge_odd_events_total", why=why) for why in ("late", "future")
    }
    flow, alerts = Dataflow("surges"), []
    surges = surge("find", op.input("in", flow, TestingSource(items)), SurgeSettings())
    op.flat_map_batch("count_odd_events", surges.reports, metrics.count_odd_events)
    op.output("out", surges.alerts, TestingSink(alerts))
    run_main(flow)
    after = {why: value("breakwater_surge_odd_events_total", why=why) for why in before}
    assert {why: after[why] - before[why] for why in before} == {"late": 1, "future": 1}
