"""A deletion request reaches every table, and nobody else's rows."""

from __future__ import annotations

import pytest
from clickhouse_samples import AT, blocked, judgement
from clickhouse_server import clickhouse_server
from msgspec.structs import replace

from connectors.clickhouse import ClickHouseWriter, StoreError
from connectors.clickhouse_forget import forget_author
from connectors.clickhouse_hold import hold_author, release_author
from events.messages import (
    Alert,
    AlertKey,
    Appeal,
    DeadLetter,
    Label,
    Position,
    UserReport,
)

GONE = "it's \\ me"
TABLES = (
    "content", "moderation_logs", "model_outputs", "human_labels", "user_reports", "appeals",
    "dead_letters", "users", "flagged_logs", "labelled_logs", "labelled_outputs",
    "labelled_content", "author_posts",
)  # fmt: skip
LABEL = Label(
    label_id="l1", content_id="theirs", revision=0, reviewer_id="m1", action="block",
    category="spam", source="review", labeled_at=AT,
)  # fmt: skip
ALERT = Alert(
    alert_id="a1", kind="surge", state="open", severity="error", key=AlertKey("spam"),
    window_start=AT, window_end=AT, observed=4, expected=1, z_score=9, distinct_authors=2,
    examples=("theirs", "others"), summary="spam surges",
)  # fmt: skip
LETTER = DeadLetter(
    raw=b'{"author_id": "u1", "', error="cut", stage="decode", source=Position(file="f", line=1),
    failed_at=AT,
)  # fmt: skip

LETTERS = (
    # author, dead letter, whether it goes
    ("u1", b'{"author_id": "u1", "text": 3}', True),
    ("u1", b'{"author_id":"u1", "text": "cut', True),
    ("u1", b'{"text": "\xff", "author_id" : "u1"}', True),  # not UTF-8
    ("u1", b'{"reporter_id": "u1"}', True),
    ("u1", b'{"user_id": "u1"}', True),
    ("u1", b'{"author_id": "u11", "community": "u1"}', False),
    ("text", b'{"author_id": "u2", "text": "text"}', False),
    ("u1", rb'{"author_id": "u2", "text": "\"author_id\": \"u1\"', False),
    (".*", b'{"author_id": "u2"}', False),
    ("Jos\xe9", '{"author_id": "Jos\xe9"}'.encode(), True),
    ("Jos\xe9", rb'{"author_id": "Jos\u00E9", "', True),
    ('a"b\\c', rb'{"author_id": "a\"b\\c"}', True),
    ("\U0001f600", rb'{"author_id": "\ud83d\ude00"}', True),
)


@pytest.fixture(params=["embedded", "http"])
def store(request, tmp_path):
    if request.param == "http":
        with clickhouse_server(tmp_path / "store") as dsn:
            writer = ClickHouseWriter(dsn)
            yield fill(writer)
            writer.close()
    else:
        writer = ClickHouseWriter(f"chdb://{tmp_path}/store")
        yield fill(writer)
        writer.close()


def fill(writer):
    writer.apply_schema()
    writer.insert_judgements(
        [
            blocked("theirs", author_id=GONE),
            judgement("held", author_id=GONE),
            blocked("others", author_id="u1"),
        ]
    )
    writer.insert_labels([LABEL, replace(LABEL, label_id="l2", content_id="others")])
    writer.insert_alerts([ALERT])
    mine = b'{"author_id": "' + GONE.encode() + b'", "'
    writer.insert_dead_letters([LETTER, replace(LETTER, raw=mine)])
    writer.insert_appeals(
        [
            Appeal(appeal_id=content, content_id=content, user_id=user, appealed_at=AT)
            for content, user in (("theirs", GONE), ("others", "u1"))
        ]
    )
    writer.insert_user_reports(
        [
            UserReport(report_id=user, content_id=content, reporter_id=user, reported_at=AT)
            for content, user in (("theirs", "u1"), ("others", GONE), ("others", "u2"))
        ]
    )
    return writer.client


def counts(client):
    sql = "SELECT count() FROM moderation.{}"
    return {table: client.command(sql.format(table)) for table in TABLES}


def test_every_table_forgets_the_author_and_nobody_else(store):
    deleted = forget_author(store, GONE)
    assert deleted == {
        "content": 2, "moderation_logs": 2, "model_outputs": 2, "human_labels": 1,
        "user_reports": 2, "appeals": 1, "dead_letters": 1, "users": 1,
        "flagged_logs": 1, "labelled_logs": 1, "labelled_outputs": 1, "labelled_content": 1,
        "author_posts": 2,
    }  # fmt: skip
    assert set(counts(store).values()) == {1}, "what is the other author's stays"
    examples = store.query("SELECT examples FROM moderation.surge_alerts").result_rows
    assert examples == [(["others"],)]
    assert set(forget_author(store, GONE).values()) == {0}


def test_an_alert_about_one_content_of_theirs_names_it_no_more(store):
    for content in ("theirs", "others"):
        store.command(
            "INSERT INTO moderation.surge_alerts (alert_id, signature, summary) VALUES"
            f" ('{content}', 'content:{content}', 'Surge of spam sharing content:{content}: 9')"
        )
    forget_author(store, GONE)
    kept = store.query(
        "SELECT signature, summary FROM moderation.surge_alerts WHERE alert_id != 'a1' ORDER BY ALL"
    ).result_rows
    assert kept == [
        ("content:others", "Surge of spam sharing content:others: 9"),
        ("content:…", "Surge of spam sharing content:…: 9"),
    ]


def test_nothing_is_forgotten_of_an_author_under_legal_hold(store):
    before = counts(store)
    hold_author(store, GONE)
    with pytest.raises(StoreError, match="under legal hold"):
        forget_author(store, GONE)
    assert counts(store) == before
    release_author(store, GONE)
    assert forget_author(store, GONE)["content"] == 2


def test_a_legal_hold_is_kept_with_all_that_belongs_to_it(store):
    store.command(
        "ALTER TABLE moderation.content UPDATE legal_hold = true WHERE content_id = 'held'",
        settings={"mutations_sync": 2},
    )
    forget_author(store, GONE)
    for table in ("content", "moderation_logs", "model_outputs", "author_posts"):
        kept = store.query(f"SELECT content_id FROM moderation.{table} ORDER BY ALL").result_rows
        assert kept == [("held",), ("others",)], table


@pytest.mark.parametrize("author", ["nobody", "u", "' OR 1 = 1 --", "{author:String}", "%"])
def test_an_unknown_author_deletes_nothing(store, author):
    before = counts(store)
    assert set(forget_author(store, author).values()) == {0}
    assert counts(store) == before


def test_dead_letters_go_that_name_the_author(store):
    for author, raw, goes in LETTERS:
        store.command("TRUNCATE TABLE moderation.dead_letters")
        store.insert("dead_letters", [[raw, AT]], ["raw", "failed_at"], database="moderation")
        assert forget_author(store, author)["dead_letters"] == goes, raw
        assert store.command("SELECT count() FROM moderation.dead_letters") == (not goes), raw


def test_nobody_is_not_an_author(store):
    before = counts(store)
    for act in (forget_author, hold_author):
        with pytest.raises(StoreError, match="an author id is required"):
            act(store, "")
    assert counts(store) == before
