"""`breakwater alerts`: what was sent, and what shall not be."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from msgspec.json import encode as json_encode
from msgspec.structs import asdict
from rich.table import Column, Table
from rich.text import Text

from cli.errors import UsageError, say
from cli.terminal import printable, table_console, write_out
from connectors.outbox import PermanentError, RetryLater
from connectors.outbox_store import Listed, OutboxStore
from connectors.pagerduty import PagerDutySender
from events.categories import CATEGORIES
from events.encode import encode
from events.identity import alert_id
from events.messages import Alert, AlertKey
from flows.settings import load_settings

app = typer.Typer(
    help="Alerts on their way to Slack and PagerDuty: list, acknowledge, mute, test.",
    no_args_is_help=True,
)
T = TypeVar("T")

OutputOption = Annotated[
    Path | None,
    typer.Option(
        help="The job's output directory, where its outboxes are; else BREAKWATER_OUTPUT."
    ),
]
Category = Annotated[str, typer.Option(help="A category; any without it.")]
Signature = Annotated[str, typer.Option(help="A link domain or cluster; any without it.")]
Community = Annotated[str, typer.Option(help="A community; any without it.")]
_SHOWN_OF_ID = 8
_SETTINGS = {
    "slack": "BREAKWATER_SLACK_WEBHOOK_URL",
    "pagerduty": "BREAKWATER_PAGERDUTY_ROUTING_KEY and BREAKWATER_PAGERDUTY_URL",
}
"""What says where a sender sends."""
_UNITS = {"m": 60, "h": 3_600, "d": 86_400}


@app.command("list", epilog="Example: breakwater alerts list --output out --json")
def list_alerts(
    output: OutputOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many, the newest first.")] = 20,
    json: Annotated[
        bool, typer.Option("--json", help="One alert a line, as JSON; then one mute a line.")
    ] = False,
) -> None:
    """Show the newest alerts, how each stands, and whether it was sent; and what is muted."""
    listed = _all(output, lambda store: store.newest(limit))
    listed.sort(key=lambda item: item.alert.window_end, reverse=True)
    mutes = sorted(set(_all(output, OutboxStore.mutes)))
    if json:
        for item in listed[:limit]:
            write_out(encode(item.alert) + b"\n")
        for until, key in mutes:
            write_out(json_encode({"mute": key, "until": _moment(until)}) + b"\n")
        return
    whole_ids = not sys.stdout.isatty()
    table_console().print(alert_table(listed[:limit], whole_ids=whole_ids))
    for until, key in mutes:
        typer.echo(f"muted until {_moment(until):%Y-%m-%d %H:%M} UTC: {_named(key)}")


def alert_table(listed: Iterable[Listed], *, whole_ids: bool = False) -> Table:
    """A line an alert; how its id begins is enough for `ack`, and leaves room for what it says.

    `whole_ids`: for other tools, which know an alert by nothing less.
    """
    short = (Column(name, no_wrap=True) for name in ("alert", "state", "severity", "since"))
    table = Table(*short, *(Column(name, overflow="fold") for name in ("what", "sent")), box=None)
    for item in listed:
        alert = item.alert
        sent = ", ".join(f"{name}: {status}" for name, status in item.statuses.items())
        if item.error:
            sent += f" ({item.error})"
        table.add_row(
            alert.alert_id if whole_ids else alert.alert_id[:_SHOWN_OF_ID],
            alert.state,
            alert.severity,
            f"{alert.window_start:%Y-%m-%d %H:%M}",
            # Text: what is in a summary is no markup.
            Text(printable(alert.summary)),
            Text(printable(sent)),
        )
    return table


@app.command(epilog="Example: breakwater alerts ack 3f0c9a --output out")
def ack(
    alert: Annotated[
        str, typer.Argument(help="An alert_id of `breakwater alerts list`, or how it begins.")
    ],
    output: OutputOption = None,
) -> None:
    """Say that somebody is on it: no more updates are sent, only the end; PagerDuty is told."""
    ids = set(_all(output, lambda store: store.ids(alert))) if alert else set[str]()
    if not ids:
        raise UsageError(f"no alert {alert!r}: see `breakwater alerts list`")
    if len(ids) > 1:
        raise UsageError(f"{len(ids)} alerts begin with {alert!r}: give more of its id")
    [alert_id] = ids
    _each(output, lambda store: store.acknowledge(alert_id))
    settings = load_settings()
    if settings.pagerduty_routing_key is not None:
        routing_key = settings.pagerduty_routing_key.get_secret_value()
        sender = PagerDutySender(routing_key, settings.pagerduty_url.get_secret_value())
        if not _tried(sender.name, lambda: sender.acknowledge(alert_id)):
            raise typer.Exit(1)
    typer.echo(f"{alert_id}: acknowledged")


@app.command(epilog="Example: breakwater alerts mute --category spam --for 2h --output out")
def mute(
    duration: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 1d.")],
    output: OutputOption = None,
    category: Category = "",
    signature: Signature = "",
    community: Community = "",
) -> None:
    """Send nothing about these for a while; without a key, about nothing at all: maintenance."""
    key, until = AlertKey(category, signature, community), time.time() + _seconds(duration)
    _each(output, lambda store: store.mute(key, until))
    # Reports have categories of their own, and drift has series in their place.
    if category not in ("", *CATEGORIES) and category not in _categories(output):
        known = ", ".join(CATEGORIES)
        say(f"no alert had the category {category!r} yet: {known}?")
    typer.echo(f"muted until {_moment(until):%Y-%m-%d %H:%M} UTC: {_named(key)}")


@app.command(epilog="Example: breakwater alerts unmute --category spam --output out")
def unmute(
    output: OutputOption = None,
    category: Category = "",
    signature: Signature = "",
    community: Community = "",
) -> None:
    """End a mute before its time; it is named as it was made."""
    key = AlertKey(category, signature, community)
    if not any(_each(output, lambda store: store.unmute(key))):
        raise UsageError(f"{_named(key)}: no such mute, see `breakwater alerts list`")
    typer.echo(f"no longer muted: {_named(key)}")


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
        alerts = _test_alert(now, over=False), _test_alert(now, over=True)
        # Where the alert does not arrive, its end would not either.
        fine &= all(_tried(sender.name, partial(sender.send, alert)) for alert in alerts)
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
        typer.echo(f"{name}: {error}; see {_SETTINGS[name]}", err=True)
        return False
    typer.echo(f"{name}: sent")
    return True


def _each(output: Path | None, question: Callable[[OutboxStore], T]) -> list[T]:
    """The answer of every outbox of the job: one over files, one a worker over Kafka."""
    directory = output or load_settings().output
    paths = sorted(directory.glob("outbox*.sqlite"))
    if not paths:
        raise UsageError(
            f"no outbox in {directory}: name the job's --output; one is made when Slack or"
            " PagerDuty is set"
        )
    return [_answer(path, question) for path in paths]


def _all(output: Path | None, question: Callable[[OutboxStore], list[T]]) -> list[T]:
    """What every outbox has of something, in one list."""
    return [found for answer in _each(output, question) for found in answer]


def _categories(output: Path | None) -> set[str]:
    return {item.alert.key.category for item in _all(output, lambda store: store.newest(1_000))}


def _answer(path: Path, question: Callable[[OutboxStore], T]) -> T:
    try:
        with closing(OutboxStore(path)) as store:
            return question(store)
    except sqlite3.Error as error:
        raise UsageError(f"{path} cannot be used as an outbox: {error}") from None


def _named(key: AlertKey) -> str:
    parts = [f"{name} {value}" for name, value in asdict(key).items() if value]
    return printable(", ".join(parts)) or "everything"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(duration: str) -> float:
    number, unit = duration[:-1], duration[-1:]
    if unit not in _UNITS or not number.isdecimal() or not 0 < int(number[:9]) <= 100_000:
        raise UsageError(f"--for {duration}: a number and m, h or d was expected, as in 30m")
    return float(int(number) * _UNITS[unit])
