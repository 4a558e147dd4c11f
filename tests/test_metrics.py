"""What the job says of itself is what happened."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from bytewax.testing import TestingSource, run_main
from prometheus_client import REGISTRY

from events.encode import encode
from events.messages import Content, Position, Raw
from flows import metrics
from flows.moderation import build
from flows.settings import load_settings
from flows.sinks import Sinks


class Kept:
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
    run_main(build(TestingSource(messages, batch_size=4), sinks, settings))

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
    metrics.count_insert("content", 40, 0.2)
    assert value("breakwater_consumer_lag", partition="3") == 17
    assert value("breakwater_store_rows_total", table="content") - rows == 40
