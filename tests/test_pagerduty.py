"""What PagerDuty is sent, and what its answers mean."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import msgspec
import pytest
from alert_samples import OPEN, UNREADABLE, answering
from pytest_httpserver import HTTPServer

from connectors.outbox import PermanentError, RetryLater
from connectors.pagerduty import PagerDutySender, event
from events.messages import AlertKey, AlertSeverity

KEY = "k" * 28 + "ABCD"


def accept(httpserver: HTTPServer) -> PagerDutySender:
    httpserver.expect_request("/v2/enqueue", method="POST").respond_with_json(
        {"status": "success", "dedup_key": OPEN.alert_id}, status=202
    )
    return PagerDutySender(KEY, httpserver.url_for("/"))


def test_an_alert_triggers_and_resolves_under_its_own_id(httpserver: HTTPServer) -> None:
    sender = accept(httpserver)
    sender.send(OPEN)
    sender.send(msgspec.structs.replace(OPEN, state="update"))
    sender.acknowledge(OPEN.alert_id)
    sender.send(msgspec.structs.replace(OPEN, state="resolved"))
    bodies = [request.get_json() for request, _ in httpserver.log]
    assert [body["event_action"] for body in bodies] == [
        "trigger",
        "trigger",
        "acknowledge",
        "resolve",
    ]
    assert {body["dedup_key"] for body in bodies} == {OPEN.alert_id}
    assert {body["routing_key"] for body in bodies} == {KEY}


@pytest.mark.parametrize("severity", ["critical", "error", "warning", "info"])
def test_the_severity_is_the_alerts_own(severity: AlertSeverity) -> None:
    alert = msgspec.structs.replace(OPEN, severity=severity)
    assert event(alert)["payload"]["severity"] == severity


def test_bounds_of_the_api() -> None:
    alert = msgspec.structs.replace(
        OPEN,
        summary="x" * 5_000,
        key=AlertKey("spam", "s" * 128, "c" * 256),
        examples=tuple("e" * 128 for _ in range(5)),
    )
    assert len(event(alert)["payload"]["summary"]) == 1_024
    assert len(json.dumps(event(alert))) < 512_000


def test_an_answer_without_a_dedup_key_is_an_answer(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v2/enqueue").respond_with_data("accepted", status=202)
    PagerDutySender(KEY, httpserver.url_for("/")).send(OPEN)


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"Retry-After": "7"}, 7.0),
        (429, {}, None),
        (401, {}, None),
        (403, {}, None),
        (408, {}, None),
        (500, {}, None),
        (503, {}, None),
    ],
)
def test_what_is_tried_again(
    httpserver: HTTPServer, status: int, headers: dict[str, str], seconds: float | None
) -> None:
    httpserver.expect_request("/v2/enqueue").respond_with_data("", status=status, headers=headers)
    with pytest.raises(RetryLater) as error:
        PagerDutySender(KEY, httpserver.url_for("/")).send(OPEN)
    assert error.value.seconds == seconds
    assert len(httpserver.log) == 1  # the library itself does not retry


@pytest.mark.parametrize(("status", "body"), [(200, "<html>log in</html>"), (204, ""), (302, "")])
def test_what_somebody_in_between_answers_is_no_yes(
    httpserver: HTTPServer, status: int, body: str
) -> None:
    httpserver.expect_request("/v2/enqueue").respond_with_data(body, status=status)
    with pytest.raises(RetryLater):
        PagerDutySender(KEY, httpserver.url_for("/")).send(OPEN)


@pytest.mark.parametrize("status", [400, 404, 413])
def test_what_is_refused_for_good(httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_request("/v2/enqueue").respond_with_data("invalid event", status=status)
    with pytest.raises(PermanentError, match="invalid event"):
        PagerDutySender(KEY, httpserver.url_for("/")).send(OPEN)


@pytest.mark.parametrize("status", [400, 401, 500])
def test_no_part_of_the_key_is_told(httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_request("/v2/enqueue").respond_with_data("no", status=status)
    with pytest.raises((RetryLater, PermanentError)) as error:
        PagerDutySender(KEY, httpserver.url_for("/")).send(OPEN)
    assert KEY[-4:] not in "".join(traceback.format_exception(error.value))


def test_a_password_in_the_url_is_not_logged(httpserver: HTTPServer) -> None:
    accept(httpserver)
    url = httpserver.url_for("/").replace("://", "://user:hunter2@").rstrip("/")
    named = {"BREAKWATER_PAGERDUTY_ROUTING_KEY": KEY, "BREAKWATER_PAGERDUTY_URL": url}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "alerts", "test"],
        cwd=Path(__file__).parent.parent, env=os.environ | named, capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("pagerduty: sent\n" * 2, "")


def test_an_unreachable_pagerduty_is_tried_again() -> None:
    with pytest.raises(RetryLater):
        PagerDutySender(KEY, "http://127.0.0.1:1").send(OPEN)


@pytest.mark.parametrize("what", UNREADABLE)
def test_an_answer_that_cannot_be_read_is_tried_again(what: str) -> None:
    with answering(UNREADABLE[what]) as url, pytest.raises(RetryLater):
        PagerDutySender(KEY, url).send(OPEN)
