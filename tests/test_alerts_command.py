"""`breakwater alerts`: list, ack, mute, test."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from alert_samples import alert
from pytest_httpserver import HTTPServer
from rich.console import Console
from typer.testing import CliRunner

from cli.alerts import alert_table, app
from cli.errors import UsageError
from connectors.outbox_store import OutboxStore
from events.messages import Alert, AlertKey


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


def test_how_an_id_begins_is_enough_to_ack(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = msgspec.structs.replace(alert(3), alert_id="3f0c9a" + "e" * 26)
    OutboxStore(output / "outbox-1.sqlite").put(["slack"], [one])
    monkeypatch.setenv("BREAKWATER_OUTPUT", str(output))
    listed = CliRunner().invoke(app, ["list"]).stdout
    assert one.summary in listed, "nothing is cut in a pipe"
    assert one.alert_id in listed, "other tools know it by nothing less"
    assert f"{one.alert_id}: acknowledged" in CliRunner().invoke(app, ["ack", "3f0c9aee"]).stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_has_room_for_state_severity_and_time(output: Path, columns: int) -> None:
    shown = io.StringIO()
    listed = OutboxStore(output / "outbox.sqlite").newest(9)
    Console(file=shown, width=columns).print(alert_table(listed))
    assert "00000000  open      error     2026-03-02 12:00" in shown.getvalue()


def test_why_an_alert_was_not_sent_is_listed(output: Path) -> None:
    store = OutboxStore(output / "outbox-1.sqlite")
    store.put(["slack"], [alert(3)])
    store.finish(store.oldest("slack"), "failed", "404 no_service")
    listed = CliRunner().invoke(app, ["list", "--output", str(output)]).stdout
    assert "slack: failed (404 no_service)" in listed


def test_mute_holds_back_alerts(output: Path) -> None:
    arguments = ["mute", "--for", "30m", "--category", "spam", "--output", str(output)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    store = OutboxStore(output / "outbox.sqlite")
    store.put(["slack"], [alert(3)])
    assert store.newest(1)[0].statuses == {"slack": "muted"}


def test_mutes_are_listed_until_they_end(output: Path) -> None:
    run = ["--output", str(output)]
    muted = ["--category", "spam", "--community", "music", *run]
    OutboxStore(output / "outbox-1.sqlite").mute(AlertKey("hate"), time.time() - 1)
    assert CliRunner().invoke(app, ["mute", "--for", "30m", *muted]).exit_code == 0
    assert CliRunner().invoke(app, ["mute", "--for", "1h", *run]).exit_code == 0
    told = CliRunner().invoke(app, ["list", *run]).stdout.splitlines()[-2:]
    assert [line.partition(" UTC: ")[2] for line in told] == [
        "category spam, community music",
        "everything",
    ]
    lines = CliRunner().invoke(app, ["list", "--json", *run]).stdout.splitlines()[-2:]
    assert [json.loads(line)["mute"] for line in lines] == [
        {"category": "spam", "signature": "", "community": "music"},
        {"category": "", "signature": "", "community": ""},
    ]
    assert CliRunner().invoke(app, ["unmute", *muted]).exit_code == 0
    assert "category spam" not in CliRunner().invoke(app, ["list", *run]).stdout
    assert isinstance(CliRunner().invoke(app, ["unmute", *muted]).exception, UsageError)


@pytest.mark.parametrize(
    ("what", "category", "told"),
    [
        ("any", "", ""),
        ("one that there is", "hate", ""),
        ("one of an alert", "report:rudeness", ""),
        ("a misspelt one", "spma", "no alert had the category 'spma' yet: hate, harassment,"),
    ],
)
def test_a_category_that_nothing_has_is_doubted(
    output: Path, what: str, category: str, told: str
) -> None:
    report = msgspec.structs.replace(alert(3), key=AlertKey("report:rudeness"))
    OutboxStore(output / "outbox.sqlite").put(["slack"], [report])
    arguments = ["mute", "--for", "1h", "--category", category, "--output", str(output)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert bool(done.stderr) == bool(told), what
    assert told in done.stderr


@pytest.mark.parametrize(
    "arguments", [["list"], ["ack", "0"], ["mute", "--for", "1h"], ["unmute"]], ids=" ".join
)
def test_an_outbox_that_cannot_be_used_is_named(output: Path, arguments: list[str]) -> None:
    (output / "outbox-1.sqlite").write_bytes(b"not SQLite\n" * 100)
    error = CliRunner().invoke(app, [*arguments, "--output", str(output)]).exception
    assert isinstance(error, UsageError)
    assert f"{output / 'outbox-1.sqlite'} cannot be used as an outbox: " in str(error)


@pytest.mark.parametrize(
    "arguments",
    [
        ["ack", "unknown", "--output", "."],
        ["ack", "0000", "--output", "."],  # two alerts begin so
        ["ack", "", "--output", "."],
        ["unmute", "--output", "."],
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
    assert result.stderr.endswith("; see BREAKWATER_SLACK_WEBHOOK_URL\n")
    assert result.stderr.count("\n") == 1, "once, not of the end too"


def test_test_with_slack_away_is_one_line() -> None:
    settings = {"BREAKWATER_SLACK_WEBHOOK_URL": "http://127.0.0.1:1/"}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "alerts", "test"],
        cwd=Path(__file__).parent.parent, env=os.environ | settings,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = "slack: Slack is unreachable: URLError; see BREAKWATER_SLACK_WEBHOOK_URL\n"
    assert (done.returncode, done.stderr) == (1, told)
