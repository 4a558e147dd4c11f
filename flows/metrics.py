"""What Prometheus can ask of a running job; one prefix, base units, no user or content ids."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, get_args

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.samples import Sample

from connectors.outbox import OUTCOMES, Outcome
from events.categories import CATEGORIES
from events.messages import ACTIONS, Alert, AlertKind, AlertState, DeadLetter
from events.records import Judgement, Raw
from operators.alerts import ShardReport
from operators.item import Item, Stage

X = TypeVar("X")
Y = TypeVar("Y")

_BATCH_SECONDS = (0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_LATENCY_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 10.0, 60.0)
_INSERT_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_SIZES = (1, 4, 16, 64, 256, 1024, 2048, 4096, 8192)

DECISIONS = Counter("breakwater_decisions_total", "Final decisions.", ["action", "category"])
QUICK_ANSWERS = Counter(
    "breakwater_quick_answers_total", "Answers given before images were seen.", ["action"]
)
LATENCY = Histogram(
    "breakwater_decision_latency_seconds", "From received to decided; both answers.",
    buckets=_LATENCY_SECONDS,
)  # fmt: skip
STAGE_DURATION = Histogram(
    "breakwater_stage_duration_seconds", "Time of a stage for a batch.", ["stage"],
    buckets=_BATCH_SECONDS,
)  # fmt: skip
BATCH_SIZE = Histogram("breakwater_batch_size", "Items in a batch as taken.", buckets=_SIZES)
DEAD_LETTERS = Counter(
    "breakwater_dead_letters_total", "Messages that could not be used.", ["stage"]
)
DEGRADED = Counter("breakwater_degraded_total", "Decisions made without a stage.", ["stage"])
STAGE_BROKEN = Gauge(
    "breakwater_stage_broken", "1 since the last try of a stage failed, 0 when it works.", ["stage"]
)
UNKNOWN_FIELDS = Counter("breakwater_unknown_fields_total", "Fields beyond the contract, left out.")
REPEATS = Counter("breakwater_repeats_total", "Contents that had been seen already.")
UNDECODABLE = Counter(
    "breakwater_undecodable_images_total", "Images that could not be decoded.", ["reason"]
)
ALERTS = Counter("breakwater_alerts_total", "Alerts by kind and state.", ["kind", "state"])
ALERT_DELIVERIES = Counter(
    "breakwater_alert_deliveries_total", "Attempts to send an alert to people.",
    ["sender", "outcome"],
)  # fmt: skip
ODD_EVENTS = Counter(
    "breakwater_surge_odd_events_total", "Late, far-future or dropped events of surges.", ["why"]
)
RULESET_AGE = Gauge(
    "breakwater_ruleset_age_seconds", "Since the store of pushed rules was last heard from."
)
RULESET_PUSH = Gauge("breakwater_ruleset_push", "Number of the push that runs; 0: none.")
CONSUMER_LAG = Gauge(
    "breakwater_consumer_lag", "Messages of a partition that are still to be read.", ["partition"]
)
BATCH_AGE = Histogram(
    "breakwater_batch_age_seconds", "How long ago a batch's oldest message was received.",
    buckets=_LATENCY_SECONDS,
)  # fmt: skip
WATERMARK_DELAY = Gauge(
    "breakwater_watermark_delay_seconds",
    "How far event time, the median creation time of the last batch, is behind the clock.",
)
STORE_ROWS = Counter("breakwater_store_rows_total", "Rows that ClickHouse has taken.", ["table"])
STORE_DURATION = Histogram(
    "breakwater_store_insert_seconds", "Time of an insert, with its retries.", ["table"],
    buckets=_INSERT_SECONDS,
)  # fmt: skip
STORE_OLDEST_INSERT = Gauge(
    "breakwater_store_oldest_insert_seconds", "For how long the oldest insert is under way, or 0."
)
LAST_BATCH = Gauge(
    "breakwater_last_batch_timestamp_seconds",
    "When a batch was last taken, or the process began, Unix time.",
)
READY = Gauge("breakwater_ready", "1 while the worker takes input, as /readyz says.")

METRICS = (
    DECISIONS, QUICK_ANSWERS, LATENCY, STAGE_DURATION, BATCH_SIZE, DEAD_LETTERS, DEGRADED,
    STAGE_BROKEN, UNKNOWN_FIELDS, REPEATS, UNDECODABLE, ALERTS, ALERT_DELIVERIES, ODD_EVENTS,
    RULESET_AGE, RULESET_PUSH, CONSUMER_LAG, BATCH_AGE, WATERMARK_DELAY, STORE_ROWS, STORE_DURATION,
    STORE_OLDEST_INSERT, LAST_BATCH, READY,
)  # fmt: skip
"""Every metric; the docs and the dashboards are tested against this list."""


def _begin() -> None:
    """Give every series that rules ask for its 0: one that begins at 1 has no increase."""
    LAST_BATCH.set_to_current_time()
    DECISIONS.labels("allow", "")
    for category in CATEGORIES:
        for action in ("review", "block"):
            DECISIONS.labels(action, category)
    for kind in get_args(AlertKind):
        for state in get_args(AlertState):
            ALERTS.labels(kind, state)
    DEAD_LETTERS.labels("decode")


_begin()


def timed(stage: str, function: Callable[[list[X]], list[Y]]) -> Callable[[list[X]], list[Y]]:
    """`function` with its duration for each batch counted under `stage`."""
    observe = STAGE_DURATION.labels(stage).observe

    def timed_function(batch: list[X]) -> list[Y]:
        start = time.perf_counter()
        result = function(batch)
        observe(time.perf_counter() - start)
        return result

    return timed_function


def timed_stage(name: str, stage: Stage) -> Stage:
    """`stage` with its duration for each batch counted, and told to each item of the batch."""
    observe = STAGE_DURATION.labels(name).observe

    def timed_items(items: list[Item]) -> list[Item]:
        start = time.perf_counter()
        items = stage(items)
        seconds = time.perf_counter() - start
        observe(seconds)
        milliseconds = round(seconds * 1000, 2)
        for item in items:
            item.stage_ms[name] = milliseconds
        return items

    return timed_items


def growing(
    counter: Counter, total: Callable[[], int], function: Callable[[list[X]], list[Y]]
) -> Callable[[list[X]], list[Y]]:
    """`function`, with what each call adds to `total()` counted on `counter`."""

    def counted_function(batch: list[X]) -> list[Y]:
        before = total()
        result = function(batch)
        counter.inc(total() - before)
        return result

    return counted_function


def count_batch(batch: list[Raw]) -> list[Raw]:
    """Count a batch, and how old it is, as it is taken from the source."""
    if batch:
        BATCH_SIZE.observe(len(batch))
        BATCH_AGE.observe(max(0.0, time.time() - min(raw.received_at for raw in batch)))
        LAST_BATCH.set_to_current_time()
    return batch


def observe_lag(partition: int, messages: int) -> None:
    """Note how many messages of a partition are still to be read."""
    CONSUMER_LAG.labels(str(partition)).set(messages)


_inserts: dict[object, float] = {}
"""When each insert that is under way began."""


@contextmanager
def watch_insert(table: str, rows: int) -> Iterator[None]:
    """Tell the time of an insert while it lasts, and count it when it was taken.

    Of a store that is away nothing ever ends.
    """
    insert, begin = object(), time.monotonic()
    _inserts[insert] = begin
    try:
        yield
    finally:
        del _inserts[insert]
    STORE_ROWS.labels(table).inc(rows)
    STORE_DURATION.labels(table).observe(time.monotonic() - begin)


def _oldest_insert() -> float:
    begun = list(_inserts.values())
    return time.monotonic() - min(begun) if begun else 0.0


STORE_OLDEST_INSERT.set_function(_oldest_insert)


def expect_deliveries(sender: str) -> None:
    """Begin to count the alerts that go to `sender`."""
    for outcome in OUTCOMES:
        ALERT_DELIVERIES.labels(sender, outcome)


def count_delivery(sender: str, outcome: Outcome) -> None:
    """Count an attempt to send an alert."""
    ALERT_DELIVERIES.labels(sender, outcome).inc()


def count_judgements(judgements: list[Judgement]) -> list[Judgement]:
    """Count decisions by action and category, their latency and what was degraded."""
    answers = [judgement.decision for judgement in judgements]
    decisions = [decision for decision in answers if decision.final]
    for decision in answers:
        LATENCY.observe(decision.latency_ms / 1000)
        if not decision.final:
            QUICK_ANSWERS.labels(decision.action).inc()
    for (action, category), count in Tally((d.action, d.category) for d in decisions).items():
        DECISIONS.labels(action, category).inc(count)
    for stage, count in Tally(stage for d in decisions for stage in d.degraded).items():
        DEGRADED.labels(stage).inc(count)
    if decisions:
        times = sorted(decision.created_at.timestamp() for decision in decisions)
        WATERMARK_DELAY.set(time.time() - times[len(times) // 2])
    return judgements


def count_dead_letters(letters: list[DeadLetter]) -> list[DeadLetter]:
    """Count dead letters by the stage that refused them."""
    for letter in letters:
        DEAD_LETTERS.labels(letter.stage).inc()
    return letters


def count_alerts(alerts: list[Alert]) -> list[Alert]:
    """Count alerts by kind and state."""
    for alert in alerts:
        ALERTS.labels(alert.kind, alert.state).inc()
    return alerts


def count_odd_events(reports: list[ShardReport]) -> list[ShardReport]:
    """Count the violations that came late, from the far future or in too large a crowd of keys."""
    for report in reports:
        for why, count in report.odd.items():
            ODD_EVENTS.labels(why).inc(count)
    return reports


def summary() -> str:
    """One line on what this process has decided so far."""
    counts = Tally[str]()
    for sample in _samples(DECISIONS):
        counts[sample.labels["action"]] += int(sample.value)
    letters = sum(sample.value for sample in _samples(DEAD_LETTERS))
    actions = ", ".join(f"{counts[action]:,} {action}" for action in ACTIONS)
    return f"{counts.total():,} decisions ({actions}), {int(letters):,} dead letters"


def _samples(counter: Counter) -> list[Sample]:
    families = counter.collect()
    return [s for family in families for s in family.samples if s.name.endswith("_total")]
