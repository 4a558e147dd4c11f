"""Figures that were once wrong: each test is a small store in which the old answer shows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from clickhouse_samples import AT, blocked, judgement
from clickhouse_server import clickhouse_server
from msgspec.structs import replace

from connectors.clickhouse import ClickHouseWriter
from connectors.query_library import run
from events.messages import Label
from events.records import ModelOutput, RuleChange

WINDOW = {"since": "2026-11-01", "until": "2026-12-01"}
ANSWER = Label(
    label_id="l", content_id="c", revision=0, reviewer_id="m1", action="block", category="spam",
    source="review", labeled_at=AT + timedelta(hours=2),
)  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with clickhouse_server(tmp_path_factory.mktemp("figures") / "store") as dsn:
        yield dsn


@pytest.fixture
def writer(server):
    made = ClickHouseWriter(server)
    made.client.command("DROP DATABASE IF EXISTS moderation SYNC")
    made.apply_schema()
    yield made
    made.close()


def ask(writer, name, **params):
    answer = run(writer.client, name, WINDOW | params)
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def scored(content_id, confidence):
    made = blocked(content_id, scores={"spam": confidence})
    says = ModelOutput("text-fast", "3", "spam", confidence, {"spam": confidence})
    return replace(made, outputs=(says,))


@pytest.mark.parametrize(
    ("action", "category", "truth"),
    [
        ("allow", "spam", ""),  # allowed, although it was reported as spam
        ("block", "spam", "spam"),
        ("block", "", None),
        ("review", "", None),
    ],
)
def test_a_label_answers_by_its_action(writer, action, category, truth):
    writer.insert_judgements([scored("c", 0.97)])
    writer.insert_labels([replace(ANSWER, action=action, category=category)])
    known = [] if truth is None else [truth]
    assert [row["truth"] for row in ask(writer, "confusion_by_day")] == known
    assert [row["truth"] for row in ask(writer, "labelled_dataset")] == known
    [rule] = ask(writer, "rule_efficacy")
    assert (rule["labelled_hits"], rule["wrong_blocks"]) == (len(known), int(truth == ""))
    [model] = ask(writer, "model_versions_compared")
    assert model["labelled"] == len(known)
    assert sum(row["false_positives"] for row in ask(writer, "false_positives")) == (truth == "")
    assert len(ask(writer, "false_positive_examples")) == (truth == "")
    assert {row["positives"] for row in ask(writer, "precision_recall_by_threshold")} <= {
        int(truth == "spam")
    }
    [kept] = ask(writer, "what_if_threshold")
    assert (kept["labelled"], kept["violations"]) == (len(known), int(truth == "spam"))


def test_no_answer_takes_none_back(writer):
    writer.insert_judgements([blocked("c")])
    later = replace(ANSWER, label_id="later", action="review", category="", reviewer_id="m2")
    allowed = replace(ANSWER, action="allow", category="")
    writer.insert_labels([allowed, replace(later, labeled_at=AT + timedelta(hours=9))])
    [row] = ask(writer, "over_moderation")
    assert (row["restored"], row["hours_down"]) == (1, 2.0)


def test_who_reports_is_no_reviewer(writer):
    writer.insert_judgements([blocked(name) for name in "abcde"])
    for name in "abcde":
        one = replace(ANSWER, label_id=name, content_id=name)
        told = replace(one, label_id=f"told-{name}", reviewer_id="friend", source="user_report")
        writer.insert_labels([one, told])
    assert [row["reviewer_id"] for row in ask(writer, "reviewer_speed")] == ["m1"]
    assert ask(writer, "reviewer_agreement") == []


def test_nobody_votes_twice_on_one_content(writer):
    writer.insert_judgements([blocked("c")])
    writer.insert_labels(
        replace(
            ANSWER, label_id=f"l{number}", reviewer_id=reviewer, source=source,
            action="block" if category else "allow", category=category,
            labeled_at=AT + timedelta(hours=number),
        )
        for number, (reviewer, source, category) in enumerate(
            [("m1", "review", ""), ("m1", "appeal", "spam"), ("m2", "review", "spam")]
        )
    )  # fmt: skip
    [row] = ask(writer, "labelled_dataset")
    assert (row["truth"], row["votes"], row["agreeing"]) == ("spam", 2, 2)


@pytest.mark.parametrize("score", [0.1, 0.2, 0.3, 0.6, 0.7, 0.9])
def test_a_score_reaches_its_own_threshold_and_step(writer, score):
    writer.insert_judgements([scored("c", score)])
    writer.insert_labels([replace(ANSWER, content_id="c", action="allow", category="")])
    flagged = {
        row["threshold"]: row["flagged"]
        for row in ask(writer, "precision_recall_by_threshold", steps="10")
    }
    assert flagged[score] == 1
    assert [row["confidence_from"] for row in ask(writer, "false_positives")] == [score]


def test_a_step_of_confidence_has_no_more_digits_than_are_read(writer):
    writer.insert_judgements([scored("c", 0.5)])
    writer.insert_labels([replace(ANSWER, action="allow", category="")])
    assert ask(writer, "false_positives", steps="7")[0]["confidence_from"] == 0.4286


def test_what_was_labelled_before_it_was_decided_again_was_not_restored_in_no_time(writer):
    again = {"decided_at": AT + timedelta(hours=5)}
    writer.insert_judgements([blocked("a", **again), blocked("b", **again), blocked("once")])
    for name in ("a", "b", "once"):
        given = replace(ANSWER, label_id=name, content_id=name, action="allow", category="")
        writer.insert_labels([given])
    [row] = ask(writer, "over_moderation")
    assert (row["blocked"], row["restored"], row["hours_down"]) == (3, 3, 2.0)


def test_content_of_before_the_window_has_waited_too(writer):
    old = AT - timedelta(days=20)
    writer.insert_judgements([blocked("old", created_at=old, decided_at=old), blocked("new")])
    for name in ("old", "new"):
        writer.insert_labels([replace(ANSWER, label_id=name, content_id=name)])
    [row] = ask(writer, "reviewer_speed", since="2026-11-10")
    assert (row["labels"], row["hours_waited"]) == (2, 482.0)


def test_the_last_revision_comes_first(writer):
    writer.insert_judgements([judgement("c", revision=number) for number in (1, 0, 2)])
    rows = run(writer.client, "author_history", {"user_id": "u1"}).rows
    assert [row[2] for row in rows] == [2, 1, 0]
    [(_, _, last, *_)] = run(writer.client, "author_history", {"user_id": "u1", "rows": "1"}).rows
    assert last == 2


def test_a_model_that_is_seldom_asked_is_no_change(writer):
    both = {"text-fast": "3", "ocr": "1"}
    new = {"text-fast": "4"}
    for hours, versions in ((0, both), (30, {"text-fast": "3"}), (33, both), (34, new)):
        at = AT + timedelta(hours=hours)
        writer.insert_judgements([blocked(f"c{hours}", created_at=at, model_versions=versions)])
    since = f"{AT + timedelta(hours=30):%Y-%m-%dT%H:%M:%S}"
    rows = ask(writer, "spike_investigation", since=since)
    assert {change for row in rows for change in row["changed_before"]} == {"text-fast 4"}


def test_what_is_decided_again_under_another_policy_is_one_decision_of_a_model(writer):
    batch = [blocked(f"c{number}") for number in range(40)]
    writer.insert_judgements(batch)
    writer.insert_judgements(
        replace(each, decision=replace(each.decision, policy_version="p2")) for each in batch
    )
    counted = {row["version"]: row["decisions"] for row in ask(writer, "version_changes")}
    assert counted == {"p1": 40, "p2": 40, "r1": 40, "3": 40}
    change = RuleChange(
        change_id="1", push=1, action="push", author="ann", reason="a wave", ruleset_version="r1",
        changed_at=AT,
    )  # fmt: skip
    writer.insert_rule_changes([change])
    [row] = run(writer.client, "rule_changes", {"since": "2026-11-01"}).rows
    assert row[-2:] == (40, 1.0)
