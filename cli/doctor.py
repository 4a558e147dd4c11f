"""`breakwater doctor`: asks every part that the settings name, and says what does not answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console
from rich.text import Text

from cli.terminal import printable
from connectors.clickhouse import ClickHouseWriter
from connectors.kafka import check_topics
from connectors.redis_features import RedisFeatureStore
from flows.job import START_ERRORS
from flows.settings import Settings, load_settings
from flows.sinks import kafka_config
from flows.stages import load_stages


def examine() -> bool:
    """Whether everything answers; a line for each part on standard output."""
    settings = load_settings()
    console = Console()
    fine = True
    for name, ask in _questions(settings):
        try:
            answer, mark = ask(), "ok"
        except START_ERRORS as error:
            answer, mark, fine = str(error), "FAILED", False
        style = "red" if mark == "FAILED" else "green" if answer != "not set" else "dim"
        console.print(Text(f"{name:<12}{mark:<8}{answer}", style=style), soft_wrap=True)
    for name, doubt in doubts(settings, os.environ):
        console.print(Text(f"{name:<12}{'CHECK':<8}{doubt}", style="yellow"), soft_wrap=True)
    return fine


def doubts(settings: Settings, environment: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What works and is hardly meant: of which part, and what it is.

    `environment`: the names of its variables, of which unknown ones change nothing.
    """
    directory = settings.models
    if directory is not None and not any(directory.glob("*/history.json")):
        what = "has no promoted model" if directory.is_dir() else "is no directory"
        yield "models", f"BREAKWATER_MODELS: {directory} {what}, the built-in models score"
    known = {f"BREAKWATER_{name}".upper() for name in Settings.model_fields}
    for name in sorted(environment):
        if name.upper().startswith("BREAKWATER_") and name.upper() not in known:
            yield "settings", f"unknown setting {printable(name)}"


def _questions(settings: Settings) -> list[tuple[str, Callable[[], str]]]:
    return [
        ("policy", lambda: _policy(settings)),
        ("kafka", lambda: _kafka(settings)),
        ("clickhouse", lambda: _clickhouse(settings)),
        ("redis", lambda: _redis(settings)),
        ("slack", lambda: "set" if settings.slack_webhook_url else "not set"),
        ("pagerduty", lambda: "set" if settings.pagerduty_routing_key else "not set"),
    ]


def _policy(settings: Settings) -> str:
    load_stages(settings.model_copy(update={"redis_url": None}))
    return f"{settings.policy}: policy, rules, hash lists and models loaded"


def _kafka(settings: Settings) -> str:
    if not settings.kafka_brokers:
        return "not set"
    check_topics(kafka_config(settings))
    return f"{settings.kafka_brokers} answers, every topic exists"


def _clickhouse(settings: Settings) -> str:
    if settings.clickhouse_dsn is None:
        return "embedded, under the output directory"
    store = ClickHouseWriter(settings.clickhouse_dsn.get_secret_value())
    store.check_schema()
    store.close()
    return "answers, every table exists"


def _redis(settings: Settings) -> str:
    if settings.redis_url is None:
        return "not set"
    RedisFeatureStore(settings.redis_url.get_secret_value()).ping()
    return "answers"
