"""`breakwater alerts`: what was sent, and what shall not be."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.errors import UsageError
from cli.terminal import printable, write_out
from connectors.outbox import PermanentError, RetryLater
from connectors.outbox_store import OutboxStore
from connectors.pagerduty import PagerDutySender
from events.encode import encode
from events.identity import alert_id
from events.messages import Alert, AlertKey
from flows.settings import load_settings

app = typer.Typer(
    help="Alerts on their way to Slack and PagerDuty: list, acknowledge, mute, test.",
    no_args_is_help=True,
)
OutputOption = Annotated[
    Path, typer.Option(help="The job's output directory, where its outboxes are.")
]
_UNITS = {"m": 60, "h": 3_600, "d": 86_400}


@app.command("list", epilog="Example: breakwater alerts list --output out --json")
def list_alerts(
    output: OutputOption = Path("out"),
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many, the newest first.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="One alert a line, as JSON.")] = False,
) -> None:
    """Show the newest alerts, how each stands, and whether it was sent."""
    listed = [item for store in _stores(output) for item in store.newest(limit)]
    listed.sort(key=lambda item: item.alert.window_end, reverse=True)
    if json:
        for item in listed[:limit]:
            write_out(encode(item.alert) + b"\n")
        return
    table = Table("alert", "state", "severity", "since", "what", "sent")
    for item in listed[:limit]:
        alert = item.alert
        sent = ", ".join(f"{name}: {status}" for name, status in item.statuses.items())
        table.add_row(
            alert.alert_id,
            alert.state,
            alert.severity,
            f"{alert.window_start:%Y-%m-%d %H:%M}",
            # Text: what is in a summary is no markup.
            Text(printable(alert.summary)),
            sent,
        )
    Console().print(table)


@app.command(epilog="Example: breakwater alerts ack 3f0c9a… --output out")
def ack(
    alert: Annotated[str, typer.Argument(help="An alert_id of `breakwater alerts list`.")],
    output: OutputOption = Path("out"),
) -> None:
    """Say that somebody is on it: no more updates are sent, only the end; PagerDuty is told."""
    known = [store.acknowledge(alert) for store in _stores(output)]
    if not any(known):
        raise UsageError(f"no alert {alert!r} in {output}: see `breakwater alerts list`")
    settings = load_settings()
    if settings.pagerduty_routing_key is not None:
        key = settings.pagerduty_routing_key.get_secret_value()
        sender = PagerDutySender(key, settings.pagerduty_url.get_secret_value())
        if not _tried(sender.name, lambda: sender.acknowledge(alert)):
            raise typer.Exit(1)
    typer.echo(f"{alert}: acknowledged")


@app.command(epilog="Example: breakwater alerts mute --category spam --for 2h --output out")
def mute(
    duration: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 1d.")],
    output: OutputOption = Path("out"),
    category: Annotated[str, typer.Option(help="A category; any without it.")] = "",
    signature: Annotated[str, typer.Option(help="A link domain or cluster; any without it.")] = "",
    community: Annotated[str, typer.Option(help="A community; any without it.")] = "",
) -> None:
    """Send nothing about these for a while; without a key, about nothing at all: maintenance."""
    until = time.time() + _seconds(duration)
    for store in _stores(output):
        store.mute(AlertKey(category, signature, community), until)
    typer.echo(f"muted until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC")


@app.command(epilog="Example: BREAKWATER_SLACK_WEBHOOK_URL=https://… breakwater alerts test")
def test() -> None:
    """Send a test alert, and its end, to Slack and PagerDuty as they are set."""
    # The sinks bring the store's engine with them, which the other commands need not wait for.
    from flows.sinks import senders

    targets = senders(load_settings())
    if not targets:
        raise UsageError(
            "nothing to test: set BREAKWATER_SLACK_WEBHOOK_URL or BREAKWATER_PAGERDUTY_ROUTING_KEY"
        )
    now = datetime.now(UTC)
    fine = True
    for sender in targets:
        for alert in (_test_alert(now, over=False), _test_alert(now, over=True)):
            fine = _tried(sender.name, partial(sender.send, alert)) and fine
    if not fine:
        raise typer.Exit(1)


def _test_alert(now: datetime, *, over: bool) -> Alert:
    key = AlertKey("test")
    return Alert(
        alert_id=alert_id("health", key, now),
        kind="health",
        state="resolved" if over else "open",
        severity="info",
        key=key,
        window_start=now,
        window_end=now,
        observed=1.0,
        expected=1.0,
        z_score=0.0,
        distinct_authors=0,
        examples=(),
        summary="A test of Breakwater's alerts. Nothing is wrong.",
    )


def _tried(name: str, attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except (RetryLater, PermanentError) as error:
        typer.echo(f"{name}: {error}", err=True)
        return False
    typer.echo(f"{name}: sent")
    return True


def _stores(output: Path) -> list[OutboxStore]:
    """Every outbox of the job: one over files, one a worker over Kafka."""
    paths = sorted(output.glob("outbox*.sqlite"))
    if not paths:
        raise UsageError(
            f"no outbox in {output}: name the job's --output; one is made when Slack or PagerDuty"
            " is set"
        )
    return [OutboxStore(path) for path in paths]


def _seconds(duration: str) -> float:
    number, unit = duration[:-1], duration[-1:]
    if unit not in _UNITS or not number.isdecimal() or not 0 < int(number[:9]) <= 100_000:
        raise UsageError(f"--for {duration}: a number and m, h or d was expected, as in 30m")
    return float(int(number) * _UNITS[unit])
