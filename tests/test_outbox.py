"""The outbox: on disk first, each alert once and in order, whatever the other side does."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alert_samples import OPEN, alert
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from connectors.outbox import (
    GIVE_UP_AFTER,
    Outbox,
    PermanentError,
    RetryLater,
    Sender,
    refusal,
    seconds,
)
from connectors.outbox_store import KEEP, OutboxStore
from connectors.pagerduty import PagerDutySender
from connectors.slack import SlackSender
from events.messages import Alert, AlertKey

HERE = Path(__file__).parent


class Inbox:
    """The other side: takes alerts, after the troubles it was given."""

    def __init__(self, *troubles: Exception | None, name: str = "inbox") -> None:
        self.name = name
        self.taken: list[Alert] = []
        self._troubles = list(troubles)

    def send(self, alert: Alert) -> None:
        trouble = self._troubles.pop(0) if self._troubles else None
        if trouble is not None:
            raise trouble
        self.taken.append(alert)


def send_all(path: Path, *senders: Inbox, alerts: list[Alert]) -> None:
    outbox = Outbox(path, senders, first_pause=0.001)
    outbox.put(alerts)
    outbox.close(timeout=20)


def statuses(path: Path) -> list[str]:
    return [status for item in OutboxStore(path).newest(100) for status in item.statuses.values()]


@pytest.mark.parametrize(
    ("retry_after", "asked"),
    [
        (None, None),
        ("7", 7),
        ("-7", 0),
        ("1e9", 3_600),
        ("soon", None),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 3_600),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 0),
        ("Fri, 99 Jan 2027 00:00:00 GMT", None),
        ("1 Jan 99999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(retry_after: str | None, asked: float | None) -> None:
    assert seconds(retry_after) == asked


@pytest.mark.parametrize(
    "troubles",
    [
        [],
        [RetryLater("away")],
        [RetryLater("slow down", 0.01), RetryLater("away"), None, RetryLater("away")],
    ],
    ids=["none", "away once", "throttles, fails, takes one, fails"],
)
def test_each_alert_once_and_in_order(tmp_path: Path, troubles: list[Exception | None]) -> None:
    alerts = [alert(1), alert(2), alert(1, "update", 3), alert(1, "resolved", 20), alert(3)]
    inbox = Inbox(*troubles)
    send_all(tmp_path / "o.sqlite", inbox, alerts=alerts)
    assert inbox.taken == alerts
    assert set(statuses(tmp_path / "o.sqlite")) == {"sent"}


def test_what_was_said_before_is_not_said_again(tmp_path: Path) -> None:
    first, second = Inbox(), Inbox()
    send_all(tmp_path / "o.sqlite", first, alerts=[alert(1), alert(1)])
    send_all(tmp_path / "o.sqlite", second, alerts=[alert(1), alert(2)])
    assert first.taken == [alert(1)]
    assert second.taken == [alert(2)]


@pytest.mark.parametrize("trouble", [PermanentError("bad request"), ValueError("a bug")])
def test_a_refused_alert_does_not_hold_up_the_next(tmp_path: Path, trouble: Exception) -> None:
    inbox = Inbox(trouble)
    send_all(tmp_path / "o.sqlite", inbox, alerts=[alert(1), alert(2)])
    assert inbox.taken == [alert(2)]
    assert statuses(tmp_path / "o.sqlite") == ["sent", "failed"]


@pytest.mark.parametrize(
    ("status", "final"),
    [
        (301, False), (400, True), (401, False), (403, False), (404, True), (407, False),
        (408, False), (410, True), (413, True), (429, False), (500, False), (503, False),
    ],
)  # fmt: skip
def test_only_what_no_waiting_mends_is_refused(status: int, final: bool) -> None:
    error = refusal(status, "why", "7")
    assert isinstance(error, PermanentError if final else RetryLater)
    assert getattr(error, "seconds", None) == (None if final else 7.0)


@pytest.mark.parametrize(
    ("age", "fate"), [(GIVE_UP_AFTER - 60, "waiting"), (GIVE_UP_AFTER + 60, "failed")]
)
def test_an_alert_is_tried_for_a_day(tmp_path: Path, age: float, fate: str) -> None:
    OutboxStore(tmp_path / "o.sqlite").put(["inbox"], [alert(1)], now=time.time() - age)
    tried = threading.Event()
    outbox = Outbox(
        tmp_path / "o.sqlite",
        [Inbox(RetryLater("no such key", 3_600))],
        on_attempt=lambda _sender, _outcome: tried.set(),
    )
    assert tried.wait(20)
    outbox.close(timeout=0.1)
    assert statuses(tmp_path / "o.sqlite") == [fate]


def test_every_attempt_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    outbox = Outbox(
        tmp_path / "o.sqlite",
        [Inbox(RetryLater("away"), None, PermanentError("bad request"))],
        first_pause=0.001,
        on_attempt=lambda sender, outcome: told.append((sender, outcome)),
    )
    outbox.put([alert(1), alert(2)])
    outbox.close(timeout=20)
    assert told == [("inbox", "retried"), ("inbox", "sent"), ("inbox", "failed")]


def failing_once(method: Callable[..., Any]) -> Callable[..., Any]:
    """`method` of a store whose first call finds the disk full."""
    troubles = [sqlite3.OperationalError("database or disk is full")]

    def fail_once(*args: Any) -> Any:
        if troubles:
            raise troubles.pop()
        return method(*args)

    return fail_once


@pytest.mark.parametrize("method", ["oldest", "retry", "finish"])
def test_a_file_that_cannot_be_used_for_a_while_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("connectors.outbox._POLL", 0.001)
    monkeypatch.setattr(OutboxStore, method, failing_once(getattr(OutboxStore, method)))
    inbox = Inbox(RetryLater("away"))
    send_all(tmp_path / "o.sqlite", inbox, alerts=[alert(1), alert(2)])
    assert inbox.taken == [alert(1), alert(2)]
    assert statuses(tmp_path / "o.sqlite") == ["sent", "sent"]


def test_one_sender_in_trouble_does_not_hold_up_another(tmp_path: Path) -> None:
    away, well = Inbox(*[RetryLater("away", 3_600)], name="away"), Inbox(name="well")
    outbox = Outbox(tmp_path / "o.sqlite", [away, well])
    outbox.put([alert(1)])
    outbox.close(timeout=0.5)
    assert (away.taken, well.taken) == ([], [alert(1)])
    for thread in outbox._threads:
        thread.join(20)
        assert not thread.is_alive(), "nobody tries on when it is closed"


def test_what_could_not_be_sent_is_sent_by_the_next_run(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite", [Inbox(*[RetryLater("away")] * 1_000)], first_pause=0.01)
    outbox.put([alert(1), alert(2)])
    outbox.close(timeout=0.1)
    inbox = Inbox()
    send_all(tmp_path / "o.sqlite", inbox, alerts=[alert(3)])
    assert inbox.taken == [alert(1), alert(2), alert(3)]


def test_two_outboxes_on_one_file_send_each_alert_once(tmp_path: Path) -> None:
    one, two = Inbox(), Inbox()
    outboxes = [Outbox(tmp_path / "o.sqlite", [inbox]) for inbox in (one, two)]
    for number in range(20):
        outboxes[number % 2].put([alert(number)])
    for outbox in outboxes:
        outbox.close(timeout=20)
    assert sorted(a.alert_id for a in one.taken + two.taken) == [f"{n:032}" for n in range(20)]


def test_killed_between_writing_and_sending(tmp_path: Path) -> None:
    code = f"""
        import sys, time
        from pathlib import Path
        from connectors.outbox import Outbox
        from alert_samples import alert
        class Stuck:
            name = "inbox"
            def send(self, alert):
                time.sleep(60)
        Outbox(Path({str(tmp_path / "o.sqlite")!r}), [Stuck()]).put([alert(1), alert(2)])
        print("on disk", flush=True)
        time.sleep(60)
    """
    job = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": f"{HERE.parent}:{HERE}"},
    )
    assert job.stdout is not None
    assert job.stdout.readline() == b"on disk\n"
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    job.stdout.close()
    inbox = Inbox()
    # The restarted job says the first again: its state is of before.
    send_all(tmp_path / "o.sqlite", inbox, alerts=[alert(1)])
    assert inbox.taken == [alert(1), alert(2)]


@pytest.fixture
def patient_server() -> Iterator[HTTPServer]:
    """A server that answers one request while another hangs."""
    with HTTPServer(threaded=True) as server:
        yield server


def test_slack_and_pagerduty_that_fail_throttle_and_time_out(
    tmp_path: Path, patient_server: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver, done = patient_server, threading.Event()
    monkeypatch.setattr("connectors.slack.TIMEOUT", 0.2)
    monkeypatch.setattr("connectors.pagerduty._Client.timeout", 0.2)
    taken: dict[str, list[str]] = {"/slack": [], "/v2/enqueue": []}
    troubles = {path: [500, 429, "time out", 503, None, 429] for path in taken}

    def answer(request: Request) -> Response:
        trouble = troubles[request.path].pop(0) if troubles[request.path] else None
        if trouble == "time out":
            done.wait(20)
            return Response(status=500)
        if trouble is not None:
            return Response(status=int(trouble), headers={"Retry-After": "0.01"})
        body = request.get_json()
        if request.path == "/slack":
            taken[request.path].append(body["blocks"][-1]["elements"][0]["text"].split()[-1])
            return Response("ok")
        taken[request.path].append(f"{body['event_action']} {body['dedup_key']}")
        return Response('{"dedup_key": "x"}', status=202, content_type="application/json")

    for path in taken:
        httpserver.expect_request(path, method="POST").respond_with_handler(answer)
    senders: list[Sender] = [
        SlackSender(httpserver.url_for("/slack")),
        PagerDutySender("k" * 32, httpserver.url_for("/")),
    ]
    outbox = Outbox(tmp_path / "o.sqlite", senders, first_pause=0.01)
    outbox.put([alert(1), alert(2), alert(1, "resolved", 20)])
    outbox.close(timeout=30)
    done.set()
    ids = [alert(number).alert_id for number in (1, 2, 1)]
    assert taken["/slack"] == ids
    assert taken["/v2/enqueue"] == [f"trigger {ids[0]}", f"trigger {ids[1]}", f"resolve {ids[0]}"]


@pytest.mark.parametrize(
    ("mute", "status"),
    [
        (AlertKey("spam"), "muted"),
        (AlertKey("", "evil.example"), "muted"),
        (AlertKey("", "", ""), "muted"),  # maintenance: everything
        (AlertKey("hate"), "waiting"),
        (AlertKey("spam", "other.example"), "waiting"),
    ],
)
def test_muted_alerts_are_kept_and_not_sent(tmp_path: Path, mute: AlertKey, status: str) -> None:
    store = OutboxStore(tmp_path / "o.sqlite")
    store.mute(mute, until=1_000.0)
    store.put(["slack"], [OPEN], now=999.0)
    assert store.newest(1)[0].statuses == {"slack": status}


def test_a_mute_ends(tmp_path: Path) -> None:
    store = OutboxStore(tmp_path / "o.sqlite")
    store.mute(AlertKey("spam"), until=1_000.0)
    store.put(["slack"], [OPEN], now=1_000.0)
    assert store.newest(1)[0].statuses == {"slack": "waiting"}


def test_who_heard_of_the_beginning_hears_of_the_end_though_muted(tmp_path: Path) -> None:
    store = OutboxStore(tmp_path / "o.sqlite")
    store.put(["slack"], [alert(1)], now=0.0)
    store.mute(AlertKey("spam"), until=1_000.0)
    store.put(["slack"], [alert(2), alert(1, "resolved", 9), alert(2, "resolved", 9)], now=1.0)
    assert [item.statuses["slack"] for item in store.newest(9)] == ["muted", "waiting"]


@pytest.mark.parametrize(
    ("between", "end"),
    [
        ([], "muted"),  # nobody heard of it
        ([alert(1, "update", 5)], "waiting"),  # it has grown since, and was told
    ],
)
def test_of_what_was_muted_until_its_end_nothing_is_sent(
    tmp_path: Path, between: list[Alert], end: str
) -> None:
    store = OutboxStore(tmp_path / "o.sqlite")
    store.mute(AlertKey("spam"), until=1_000.0)
    store.put(["slack"], [alert(1)], now=999.0)
    store.put(["slack"], [*between, alert(1, "resolved", 9)], now=1_001.0)
    assert store.newest(1)[0].statuses == {"slack": end}


def test_an_acknowledged_alert_sends_its_end_only(tmp_path: Path) -> None:
    store = OutboxStore(tmp_path / "o.sqlite")
    store.put(["slack"], [alert(1)])
    assert store.acknowledge(alert(1).alert_id)
    assert not store.acknowledge("unknown")
    store.put(["slack"], [alert(1, "update", 2)])
    assert "acknowledged" in store.newest(1)[0].statuses["slack"]
    store.put(["slack"], [alert(1, "resolved", 3)])
    assert store.newest(1)[0].statuses["slack"].startswith("waiting")


def test_what_was_sent_long_ago_is_forgotten(tmp_path: Path) -> None:
    store = OutboxStore(tmp_path / "o.sqlite")
    store.put(["slack"], [alert(1), alert(2)], now=0.0)
    row = store.oldest("slack")
    assert row is not None
    store.finish(row, "sent")
    store.put(["slack"], [alert(3)], now=KEEP + 1)
    # What still waits is kept however old.
    assert [item.alert.alert_id for item in store.newest(9)] == [f"{n:032}" for n in (3, 2)]
