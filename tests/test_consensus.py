"""True labels from several people: who has been right counts for more, and nobody counts twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import bytewax.operators as op
import msgspec
import pytest
from builders import judgement
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main
from clickhouse_server import clickhouse_server
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.clickhouse import ClickHouseWriter
from connectors.kafka import (
    ALERTS_TOPIC,
    APPEALS_TOPIC,
    LABELS_TOPIC,
    TRUE_LABELS_TOPIC,
    USER_REPORTS_TOPIC,
    create_topics,
)
from connectors.local_sink import Writer
from events.encode import encode
from events.identity import label_id
from events.messages import Alert, AlertKey, Appeal, Label, Position, UserReport
from events.records import Raw
from flows.feedback import FeedbackSinks, FeedbackSources, build
from operators.consensus import (
    ANSWERS,
    CONSENSUS,
    ContentLabels,
    Reviewers,
    Votes,
    consensus,
    settled,
)

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def label(
    reviewer: str, category: str = "spam", content: str = "c1", minute: int = 0, **others: Any
) -> Label:
    source = others.setdefault("source", "review")
    made = {
        "label_id": label_id(content, 0, reviewer, source),
        "content_id": content,
        "revision": 0,
        "reviewer_id": reviewer,
        "action": "block" if category else "allow",
        "category": category,
        "labeled_at": AT + timedelta(minutes=minute),
    }
    return Label(**made | others)


def golden(category: str, content: str = "c1", minute: int = 0) -> Label:
    return label("trainer", category, content, minute, source="golden")


def votes_of(*labels: Label) -> Votes:
    return Votes(labels)


def answer(*labels: Label, reviewers: Reviewers | None = None, confidence: float = 0.9) -> str:
    """The settled category, `open` when there is none."""
    votes = votes_of(*labels)
    true = settled(votes, (reviewers or Reviewers()).posterior(votes), confidence)
    return "open" if true is None else true.category


def checked(**right_of_ten: int) -> Reviewers:
    """Reviewers that were checked ten times each."""
    reviewers = Reviewers()
    for name, right in right_of_ten.items():
        reviewers.learn([((name, "review", True), right), ((name, "review", False), 10 - right)])
    return reviewers


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([label("ann")], "open"),  # one person of whom nothing is known is not enough
        ([label("ann"), label("bob")], "spam"),
        ([label("ann", ""), label("bob", "")], ""),  # that it is allowed is an answer too
        ([label("ann"), label("bob", "hate")], "open"),  # one against one
        ([label("ann"), label("bob", "hate"), label("cleo")], "spam"),
        ([label("ann"), label("bob", ""), label("cleo", ""), label("dan", "")], ""),
        ([golden("threat")], "threat"),  # the truth needs no second opinion
        ([label("ann"), label("bob"), golden("threat")], "threat"),  # and stands against all
        ([golden("hate"), golden("threat", minute=1)], "threat"),  # the newest truth
        ([label("u1", source="user_report"), label("u2", source="user_report")], "open"),
        # nobody votes twice: an appeal answered by the same person is the same opinion
        ([label("ann"), label("ann", source="appeal")], "open"),
        ([label("ann", "boredom"), label("bob", "boredom")], "open"),  # no category of ours
        # the action decides: what is allowed is of no category, what is blocked must be of one
        ([label("ann", action="allow"), label("bob", action="allow")], ""),
        ([label("ann", "", action="block"), label("bob", "", action="block")], "open"),
        ([label("ann", action="review"), label("bob", action="review")], "open"),
        ([replace(golden("spam"), action="allow")], ""),
        # a truth that says nothing does not stand against those who say something
        ([golden("scam")], "open"),
        ([label("ann"), label("bob"), golden("scam")], "spam"),
        ([golden("hate"), golden("scam", minute=1)], "hate"),
    ],
)
def test_what_a_content_is(labels: list[Label], expected: str) -> None:
    assert answer(*labels) == expected


def test_the_truth_is_settled_whatever_confidence_is_asked_for() -> None:
    assert answer(golden("threat"), confidence=1.0) == "threat"
    assert answer(label("ann"), label("bob"), confidence=1.0) == "open"


def test_one_reviewer_who_is_always_right_outweighs_two_who_guess() -> None:
    reviewers = checked(ann=10, bob=0, cleo=0)
    votes = [label("ann", "hate"), label("bob"), label("cleo")]
    assert answer(*votes, reviewers=reviewers, confidence=0.6) == "hate"
    assert answer(*votes, confidence=0.6) == "spam"  # nothing known: the majority


def test_accuracy_begins_at_what_is_thought_of_the_source_and_moves_with_checks() -> None:
    reviewers = Reviewers()
    assert reviewers.accuracy("ann", "review") == 0.8
    assert reviewers.accuracy("ann", "user_report") == 0.4
    reviewers.learn([(("ann", "review", False), 10)])
    assert reviewers.accuracy("ann", "review") == 8 / 20
    assert reviewers.accuracy("bob", "review") == 0.8


@given(
    st.lists(
        st.tuples(st.sampled_from("abcde"), st.sampled_from(ANSWERS), st.integers(0, 5)),
        min_size=1,
        max_size=12,
    )
)
def test_probabilities_are_probabilities_and_order_does_not_matter(
    given_labels: list[tuple[str, str, int]],
) -> None:
    once = {who: label(who, what) for who, what, _ in given_labels}
    posterior = Reviewers().posterior(votes_of(*once.values()))
    assert sum(posterior.values()) == pytest.approx(1)
    assert all(0 <= each <= 1 for each in posterior.values())
    backwards = Reviewers().posterior(votes_of(*reversed(once.values())))
    assert backwards == pytest.approx(posterior)


class TestContentLabels:
    def test_a_repeat_says_nothing(self) -> None:
        labels = ContentLabels()
        assert labels.add(label("ann")) is not None
        assert labels.add(label("ann")) is None

    def test_an_older_answer_that_comes_late_says_nothing(self) -> None:
        labels = ContentLabels()
        labels.add(label("ann", "hate", minute=2))
        assert labels.add(label("ann", "spam", minute=1)) is None

    def test_a_later_answer_replaces_the_earlier(self) -> None:
        labels = ContentLabels()
        labels.add(label("ann", "spam", minute=1))
        votes = labels.add(label("ann", "hate", minute=2))
        assert votes is not None
        assert [vote.category for vote in votes.labels] == ["hate"]

    def test_the_truth_is_the_golden_label_that_was_given_last(self) -> None:
        labels = ContentLabels()
        labels.add(replace(golden("hate", minute=2), label_id="late", reviewer_id="second"))
        votes = labels.add(golden("spam", minute=1))
        assert votes is not None
        assert votes.truth == "hate"

    def test_an_answer_that_is_none_is_no_check(self) -> None:
        labels = ContentLabels()
        labels.add(label("ann", "", action="block"))
        votes = labels.add(golden("spam"))
        assert votes is not None
        assert votes.checks == ()

    def test_the_truth_checks_those_who_answered_before_and_after(self) -> None:
        labels = ContentLabels()
        for given_label in (label("ann", "spam"), label("bob", "hate")):
            votes = labels.add(given_label)
            assert votes is not None
            assert votes.checks == ()
        votes = labels.add(golden("spam"))
        assert votes is not None
        assert set(votes.checks) == {
            (("ann", "review", True), 1),
            (("bob", "review", False), 1),
        }
        votes = labels.add(label("cleo", "spam"))
        assert votes is not None
        assert votes.checks == ((("cleo", "review", True), 1),)

    def test_a_changed_answer_takes_its_check_back(self) -> None:
        labels = ContentLabels()
        labels.add(golden("spam"))
        labels.add(label("ann", "hate", minute=1))
        votes = labels.add(label("ann", "spam", minute=2))
        assert votes is not None
        assert set(votes.checks) == {
            (("ann", "review", False), -1),
            (("ann", "review", True), 1),
        }


def run_consensus(
    labels: Sequence[Any], batch_size: int = 1, recovery: RecoveryConfig | None = None
) -> list[Label]:
    """What comes out of the shell for `labels`, among which may be the engine's own markers."""
    out: list[Label] = []
    flow = Dataflow("consensus")
    up = op.input("in", flow, TestingSource(labels, batch_size=batch_size))
    op.output("out", consensus("consensus", up), TestingSink(out))
    run_main(flow, epoch_interval=timedelta(0), recovery_config=recovery)
    return out


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_in_a_flow_true_labels_come_when_they_are_settled(batch_size: int) -> None:
    made = run_consensus(
        [
            label("ann", content="c1"),
            label("ann", content="c2"),
            label("bob", content="c1", minute=5),
            label("bob", "hate", content="c2"),
        ],
        batch_size,
    )
    assert [(m.content_id, m.category, m.reviewer_id, m.action) for m in made] == [
        ("c1", "spam", CONSENSUS, "block")
    ]
    assert made[0].labeled_at == AT + timedelta(minutes=5)


def test_a_true_label_that_changes_replaces_itself() -> None:
    made = run_consensus(
        [label("ann"), label("bob"), golden("", minute=9)],
    )
    assert [m.category for m in made] == ["spam", ""]
    assert len({m.label_id for m in made}) == 1


def test_what_was_learnt_of_reviewers_and_contents_outlives_a_restart(tmp_path: Path) -> None:
    init_db_dir(tmp_path, 1)
    recovery = RecoveryConfig(tmp_path, timedelta(0))
    checks = [
        each
        for number in range(30)
        for each in (
            golden("hate", f"g{number}"),
            label("ann", "hate", f"g{number}"),
            label("bob", "spam", f"g{number}"),
        )
    ]
    steps = [
        *checks,
        label("bob", "spam", "c1"),
        TestingSource.ABORT(),
        label("ann", "hate", "c1"),
    ]
    run_consensus(steps, recovery=recovery)
    made = run_consensus(steps, recovery=recovery)
    assert [(m.content_id, m.category) for m in made] == [("c1", "hate")]


class _Kept(Writer[Any]):
    """A writer into a list."""

    def __init__(self, kept: list[Any]) -> None:
        self._kept = kept

    def write(self, batch: list[Any]) -> None:
        self._kept.extend(batch)

    def flush(self) -> None: ...

    def close(self) -> None: ...


REPORT = UserReport(
    report_id="r1", content_id="k1", reporter_id="u2", category="spam", reported_at=AT
)
APPEAL = Appeal(appeal_id="a1", content_id="k1", user_id="u1", category="hate", appealed_at=AT)


def messages(*raws: bytes) -> TestingSource[Raw]:
    return TestingSource(
        [Raw(raw, Position(file="-", line=n), 0.0) for n, raw in enumerate(raws, 1)]
    )


def test_the_feedback_flow_keeps_what_people_say_and_refuses_what_is_none() -> None:
    kept: dict[str, list[Any]] = {field.name: [] for field in fields(FeedbackSinks)}
    sinks = FeedbackSinks(**{name: partial(_Kept, rows) for name, rows in kept.items()})
    sources = FeedbackSources(
        labels=messages(
            encode(label("ann")),
            b'{"label_id": "x"}',
            b"not json",
            encode(label("bob")),
            encode(label("ann")).replace(b'"block"', b'"destroy"'),
        ),
        user_reports=messages(encode(REPORT), b"{}"),
        appeals=messages(b"[]", encode(APPEAL)),
    )
    run_main(build(sources, sinks))
    assert [each.reviewer_id for each in kept["labels"]] == ["ann", "bob"]
    assert [each.category for each in kept["true_labels"]] == ["spam"]
    assert kept["user_reports"] == [REPORT]
    assert kept["appeals"] == [APPEAL]
    letters = sorted((letter.stage, letter.source.line) for letter in kept["dead_letters"])
    assert letters == [
        ("decode_appeal", 1), ("decode_label", 2), ("decode_label", 3), ("decode_label", 5),
        ("decode_user_report", 2),
    ]  # fmt: skip
    assert any("action" in letter.error for letter in kept["dead_letters"])


def test_the_feedback_flow_alerts_on_surges_of_reports() -> None:
    kept: dict[str, list[Any]] = {field.name: [] for field in fields(FeedbackSinks)}
    sinks = FeedbackSinks(**{name: partial(_Kept, rows) for name, rows in kept.items()})
    # Forty users report one content in the fortieth minute, after one report a minute.
    minutes = [*range(40), *([40] * 40), 41, 42, 43]
    reports = [
        encode(
            replace(wave_report(n, minute), **({"content_id": "victim"} if minute == 40 else {}))
        )
        for n, minute in enumerate(minutes)
    ]
    run_main(build(FeedbackSources(messages(), messages(*reports), messages()), sinks))
    assert [(alert.state, alert.key.signature) for alert in kept["alerts"]] == [
        ("open", "content:victim")
    ]


def wave_report(number: int, minute: int) -> UserReport:
    """Of a content and by a user that nobody else has."""
    return replace(
        REPORT,
        report_id=f"w{number}",
        reporter_id=f"u{number}",
        content_id=f"w{number}",
        reported_at=AT + timedelta(minutes=minute),
    )


def test_on_kafka_and_clickhouse(own_broker: str, tmp_path: Path) -> None:
    """The real thing: labels in, rows and true labels out, SIGTERM ends it with 0.

    A link goes round in contents that were let through, and users report them: an alert.
    """
    servers = {"bootstrap.servers": own_broker}
    create_topics(servers, partitions=2, replication=1)
    producer = Producer(servers)
    for each in (label("ann", "hate", "k1"), label("bob", "hate", "k1"), label("ann", "", "k2")):
        producer.produce(LABELS_TOPIC, encode(each), each.content_id.encode())
    answer = replace(APPEAL, state="granted", reviewer_id="ann", resolved_at=AT)
    for topic, said in (
        (USER_REPORTS_TOPIC, REPORT), (USER_REPORTS_TOPIC, REPORT), (APPEALS_TOPIC, APPEAL),
        (APPEALS_TOPIC, answer),
    ):  # fmt: skip
        producer.produce(topic, encode(said), said.content_id.encode())
    say_report = partial(producer.produce, USER_REPORTS_TOPIC, partition=0)
    for n, minute in enumerate([*range(40), *([40] * 40)]):
        say_report(encode(wave_report(n, minute)))
    producer.flush(10)

    with clickhouse_server(tmp_path / "clickhouse") as dsn:
        store = ClickHouseWriter(dsn)
        store.apply_schema()
        links = [judgement(f"w{n}", f"see http://evil.example/{n}") for n in range(40, 80)]
        store.insert_judgements(links)
        process = subprocess.Popen(
            [sys.executable, "-m", "bytewax.run", "flows.feedback:build_from_env"],
            env=os.environ
            | {"BREAKWATER_KAFKA_BROKERS": own_broker, "BREAKWATER_CLICKHOUSE_DSN": dsn},
            cwd=Path(__file__).parents[1],
        )
        consumer = Consumer(servers | {"group.id": "reader"})
        consumer.assign(
            [
                TopicPartition(topic, n, OFFSET_BEGINNING)
                for n in (0, 1)
                for topic in (TRUE_LABELS_TOPIC, ALERTS_TOPIC)
            ]
        )
        deadline = time.monotonic() + 120
        made: list[Label] = []
        alerts: list[Alert] = []
        number = 0
        rows: list[Any] = []
        said: tuple[int, ...] = ()
        while time.monotonic() < deadline and not (
            made and alerts and len(rows) == 3 and said == (1, 1)
        ):
            assert process.poll() is None, "the flow has ended"
            number += 1
            say_report(encode(wave_report(1_000 + number, 41 + number)))  # time goes on
            producer.poll(0)
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                value = message.value() or b""
                if message.topic() == ALERTS_TOPIC:
                    alerts.append(msgspec.json.decode(value, type=Alert))
                else:
                    made.append(msgspec.json.decode(value, type=Label))
            rows = store.client.query(
                "SELECT content_id, true_label, reviewer_id FROM moderation.human_labels FINAL"
                " ORDER BY content_id, reviewer_id"
            ).result_rows
            said = store.client.query(
                "SELECT (SELECT countIf(report_id = 'r1') FROM moderation.user_reports FINAL),"
                " (SELECT countIf(state = 'granted') FROM moderation.appeals FINAL)"
            ).result_rows[0]
        consumer.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert [tuple(row) for row in rows] == [
        ("k1", "hate", "ann"),
        ("k1", "hate", "bob"),
        ("k2", "", "ann"),
    ]
    assert {(m.content_id, m.category) for m in made} == {("k1", "hate")}
    assert said == (1, 1), "a report sent twice is one, the answer replaces the open appeal"
    assert alerts[0].state == "open"
    assert alerts[0].key == AlertKey("report:spam", "evil.example")
