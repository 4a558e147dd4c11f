"""Alerts of the guardrails: opened once, resolved once, also when the job restarts between."""

from datetime import UTC, datetime, timedelta

import bytewax.operators as op
import pytest
from builders import AT
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main
from test_quota import QUOTA, block, quota

from events.messages import Alert, AlertKey
from operators import quota_alerts
from operators.quota import hold_quota
from operators.quota_alerts import LINGER, QuotaAlerts

HOUR = timedelta(hours=1)


def alert(name: str = "a", end: datetime = AT, **fields) -> Alert:
    defaults = {
        "alert_id": name, "kind": "health", "state": "open", "severity": "error",
        "key": AlertKey("spam"), "window_start": end - HOUR, "window_end": end, "observed": 2.0,
        "expected": 1.0, "z_score": 0.0, "distinct_authors": 1, "examples": (), "summary": "s",
    }  # fmt: skip
    return Alert(**defaults | fields)


def told(alerts: list[Alert]) -> list[tuple[str, str]]:
    return [(one.alert_id, one.state) for one in alerts]


def test_what_several_workers_say_opens_once() -> None:
    alerts = QuotaAlerts()
    assert told(alerts.open([alert("a"), alert("b"), alert("a", observed=3.0)])) == [
        ("a", "open"),
        ("b", "open"),
    ]
    assert alerts.open([alert("b")]) == []


@pytest.mark.parametrize(
    ("what", "now", "resolved"),
    [
        ("in its window", AT - HOUR / 2, []),
        ("at its end", AT, []),
        ("within a minute of it", AT + LINGER - timedelta(seconds=1), []),
        ("a minute after it", AT + LINGER, [("a", "resolved")]),
        ("long after it", AT + 48 * HOUR, [("a", "resolved"), ("b", "resolved")]),
    ],
)
def test_it_is_resolved_when_its_window_is_over(what, now, resolved) -> None:
    alerts = QuotaAlerts()
    alerts.open([alert("a"), alert("b", AT + 24 * HOUR)])
    assert told(alerts.resolve(now)) == resolved, what
    assert alerts.resolve(now) == []


def test_it_is_due_with_the_first_of_the_windows() -> None:
    alerts = QuotaAlerts()
    assert alerts.due_at() is None
    alerts.open([alert("a", AT + HOUR), alert("b")])
    assert alerts.due_at() == AT + LINGER
    alerts.resolve(AT + LINGER)
    assert alerts.due_at() == AT + HOUR + LINGER


def test_a_snapshot_goes_on() -> None:
    alerts = QuotaAlerts()
    alerts.open([alert("a")])
    again = QuotaAlerts(alerts.snapshot())
    assert again.open([alert("a")]) == []
    assert again.resolve(AT + LINGER) == alerts.resolve(AT + LINGER)


def run(source: TestingSource, out: list[Alert], *, ends: bool = False, **recovery) -> None:
    flow = Dataflow("test")
    held = hold_quota("quota", op.input("in", flow, source), quota(), ends)
    op.output("out", held.alerts, TestingSink(out))
    run_main(flow, **recovery)


def blocks_of_today() -> list:
    now = datetime.now(UTC)
    return [block(number, decided_at=now) for number in range(2 * QUOTA)]


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_the_shell(batch: int) -> None:
    out: list[Alert] = []
    run(TestingSource(blocks_of_today(), batch), out)
    assert [one.state for one in out] == ["open"]


def test_the_end_of_a_file_resolves_what_is_open() -> None:
    out: list[Alert] = []
    run(TestingSource(blocks_of_today()), out, ends=True)
    assert told(out) == [(out[0].alert_id, "open"), (out[0].alert_id, "resolved")]


@pytest.mark.parametrize("end", [TestingSource.EOF, TestingSource.ABORT], ids=["stop", "crash"])
def test_an_alert_that_was_open_at_a_restart_is_resolved_once(tmp_path, monkeypatch, end) -> None:
    init_db_dir(tmp_path, 1)
    recovery = {
        "recovery_config": RecoveryConfig(str(tmp_path)),
        "epoch_interval": timedelta(0),
    }
    blocks = blocks_of_today()
    source = TestingSource([*blocks, end(), *blocks[:1], TestingSource.EOF(), *blocks[:1]], 1)
    out: list[Alert] = []
    run(source, out, **recovery)
    assert [one.state for one in out] == ["open"]
    # The day of the alert is over.
    monkeypatch.setattr(quota_alerts, "LINGER", -timedelta(days=2))
    for _ in range(2):
        run(source, out, **recovery)
        assert [one.state for one in out] == ["open", "resolved"]
    assert len({one.alert_id for one in out}) == 1
