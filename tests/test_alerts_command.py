"""`breakwater alerts`: list, ack, mute, test."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from alert_samples import alert
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner

from cli.alerts import app
from cli.errors import UsageError
from connectors.outbox_store import OutboxStore
from events.messages import Alert


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output directory of a job with two alerts, and no settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("SLACK_WEBHOOK_URL", "PAGERDUTY_ROUTING_KEY", "PAGERDUTY_URL"):
        monkeypatch.delenv(f"BREAKWATER_{name}", raising=False)
    store = OutboxStore(tmp_path / "outbox.sqlite")
    store.put(["slack"], [alert(1), alert(1, "resolved", 9), alert(2)])
    return tmp_path


def test_list_shows_each_alert_as_it_stands(output: Path) -> None:
    result = CliRunner().invoke(app, ["list", "--output", str(output), "--json"])
    assert result.exit_code == 0
    listed = [msgspec.json.decode(line, type=Alert) for line in result.stdout.splitlines()]
    assert listed == [alert(1, "resolved", 9), alert(2)]
    assert CliRunner().invoke(app, ["list", "--output", str(output)]).exit_code == 0


def test_ack_holds_back_updates(output: Path) -> None:
    assert (
        CliRunner().invoke(app, ["ack", alert(2).alert_id, "--output", str(output)]).exit_code == 0
    )
    store = OutboxStore(output / "outbox.sqlite")
    store.put(["slack"], [alert(2, "update", 5)])
    assert "acknowledged" in store.newest(1)[0].statuses["slack"]


def test_mute_holds_back_alerts(output: Path) -> None:
    arguments = ["mute", "--for", "30m", "--category", "spam", "--output", str(output)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    store = OutboxStore(output / "outbox.sqlite")
    store.put(["slack"], [alert(3)])
    assert store.newest(1)[0].statuses == {"slack": "muted"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["ack", "unknown", "--output", "."],
        ["list", "--output", "elsewhere"],
        ["mute", "--for", "soon", "--output", "."],
        ["mute", "--for", "0m", "--output", "."],
        ["mute", "--for", "-1h", "--output", "."],
        ["mute", "--for", "9999999999999d", "--output", "."],
        ["test"],  # nothing is set
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_says_why(output: Path, arguments: list[str]) -> None:
    assert isinstance(CliRunner().invoke(app, arguments).exception, UsageError)


def test_test_sends_an_alert_and_its_end(
    output: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/slack").respond_with_data("ok")
    httpserver.expect_request("/v2/enqueue").respond_with_json({"dedup_key": "x"}, status=202)
    monkeypatch.setenv("BREAKWATER_SLACK_WEBHOOK_URL", httpserver.url_for("/slack"))
    monkeypatch.setenv("BREAKWATER_PAGERDUTY_ROUTING_KEY", "k" * 32)
    monkeypatch.setenv("BREAKWATER_PAGERDUTY_URL", httpserver.url_for("/").rstrip("/"))
    result = CliRunner().invoke(app, ["test"])
    assert result.exit_code == 0, result.output
    assert [request.path for request, _ in httpserver.log] == ["/slack"] * 2 + ["/v2/enqueue"] * 2


def test_test_fails_when_a_sender_does(
    output: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/slack").respond_with_data("no_service", status=404)
    monkeypatch.setenv("BREAKWATER_SLACK_WEBHOOK_URL", httpserver.url_for("/slack"))
    result = CliRunner().invoke(app, ["test"])
    assert result.exit_code == 1
    assert "no_service" in result.stderr
