"""What the query library takes for the truth: answers of reviewers, golden labels before them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from clickhouse_samples import AT, blocked
from clickhouse_server import clickhouse_server
from msgspec.structs import replace
from store_samples import END, history, store_history

from connectors.clickhouse import ClickHouseWriter
from connectors.query_library import list_queries, run
from events.messages import Image, Label

ABOUT_TRUTH = [
    query.name for query in list_queries() if re.search(r"\b(truth|restored_at)\b", query.sql)
]
ANSWER = Label(
    label_id="l", content_id="c", revision=0, reviewer_id="m1", action="block", category="spam",
    source="review", labeled_at=AT,
)  # fmt: skip


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    with clickhouse_server(tmp_path_factory.mktemp("truth") / "store") as dsn:
        made = ClickHouseWriter(dsn)
        made.apply_schema()
        yield made
        made.close()


@pytest.fixture(scope="module")
def answers(writer):
    """Of every query about the truth: before and after each content was reported to be fine."""
    made = history(800)
    store_history(writer, made)

    def ask():
        window = {"since": "2026-10-20", "until": END.isoformat()}
        more = {"missed_violations": {"sample": "1"}}
        return {
            name: run(writer.client, name, window | more.get(name, {})).rows for name in ABOUT_TRUTH
        }

    before = ask()
    writer.insert_labels(
        replace(
            ANSWER, label_id=f"report-{label.content_id}", content_id=label.content_id,
            reviewer_id="friend", action="allow", category="", source="user_report",
            labeled_at=END - timedelta(hours=1),
        )
        for label in made.labels
    )  # fmt: skip
    return before, ask()


@pytest.mark.parametrize("name", ABOUT_TRUTH)
def test_what_users_report_is_not_the_truth(answers, name):
    before, after = answers
    assert before[name], "no rows show nothing"
    assert after[name] == before[name]


@pytest.mark.parametrize(
    ("labels", "truth"),
    [
        ([("review", "spam"), ("review", "")], ""),  # the last one
        ([("golden", "spam"), ("review", "")], "spam"),
        ([("review", "spam"), ("golden", "")], ""),
        ([("review", "spam"), ("user_report", "")], "spam"),
        ([("user_report", "hate")], None),
    ],
)
def test_a_golden_label_outranks_a_later_answer(writer, labels, truth):
    for table in ("content", "labelled_content", "human_labels"):
        writer.client.command(f"TRUNCATE TABLE moderation.{table}")
    writer.insert_judgements([blocked("c")])
    writer.insert_labels(
        replace(
            ANSWER, label_id=f"l{number}", source=source, category=category,
            action="block" if category else "allow", labeled_at=AT + timedelta(hours=number),
        )
        for number, (source, category) in enumerate(labels)
    )  # fmt: skip
    rows = run(writer.client, "labelled_dataset").rows
    assert [row[6] for row in rows] == ([] if truth is None else [truth])


def test_a_verdict_on_a_picture_trains_no_text(writer):
    shown = blocked("with an image", text="my holiday")
    content = replace(shown.content, images=[Image(image_id="i", data=b"x")])
    writer.insert_judgements([replace(shown, content=content), blocked("words alone")])
    writer.insert_labels(
        replace(ANSWER, label_id=content_id, content_id=content_id)
        for content_id in ("with an image", "words alone")
    )
    rows = run(writer.client, "labelled_dataset").rows
    assert {row[0] for row in rows} & {"with an image", "words alone"} == {"words alone"}
