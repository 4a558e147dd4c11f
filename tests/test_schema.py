"""What the tables promise: one row an identity, comments everywhere, retention, safe repetition."""

from __future__ import annotations

from datetime import timedelta

import pytest
from clickhouse_samples import AT, blocked, judgement

from connectors.clickhouse import ClickHouseWriter, StoreError
from connectors.clickhouse_hold import hold_author, is_held, release_author
from events.identity import alert_id
from events.messages import Alert, AlertKey, DeadLetter, Label, Position, Signal
from events.records import RuleChange, RuleFileChange

TABLES = {
    "content", "moderation_logs", "model_outputs", "human_labels", "users", "user_reports",
    "appeals", "surge_alerts", "drift_alerts", "dead_letters", "decisions_by_minute",
    "decisions_by_hour", "schema_migrations", "rule_changes", "legal_holds", "flagged_logs",
    "labelled_logs", "labelled_outputs", "labelled_content", "author_posts", "versions_by_hour",
    "label_answers",
}  # fmt: skip


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    writer = ClickHouseWriter(f"chdb://{tmp_path_factory.mktemp('schema')}/clickhouse")
    yield writer
    writer.close()


@pytest.fixture
def store(opened):
    opened.client.command("DROP DATABASE IF EXISTS moderation")
    opened.apply_schema()
    return opened


def rows(store, sql):
    return store.client.query(sql).result_rows


def count(store, table):
    return rows(store, f"SELECT count() FROM moderation.{table} FINAL")[0][0]


def test_has_every_table_of_the_design(store):
    sql = """
        SELECT name FROM system.tables
        WHERE database = 'moderation' AND engine != 'MaterializedView'
    """
    assert {name for (name,) in rows(store, sql)} == TABLES


def test_every_column_and_table_says_what_it_is(store):
    silent = """
        SELECT table, name FROM system.columns WHERE database = 'moderation' AND comment = ''
            AND table IN (SELECT name FROM system.tables WHERE engine != 'MaterializedView')
        UNION ALL
        SELECT name, '' FROM system.tables
        WHERE database = 'moderation' AND comment = '' AND engine != 'MaterializedView'
    """
    assert rows(store, silent) == []


def test_applies_twice_without_loss(store):
    store.insert_judgements([judgement()])
    store.apply_schema()
    assert count(store, "moderation_logs") == 1


def test_names_what_is_missing(store):
    store.client.command("ALTER TABLE moderation.model_outputs DROP COLUMN scores")
    with pytest.raises(StoreError, match=r"model_outputs \(scores\): run `breakwater schema"):
        store.check_schema()


LABEL = Label(
    label_id="l1", content_id="c1", revision=0, reviewer_id="m1", action="block", category="spam",
    source="review", labeled_at=AT,
)  # fmt: skip
KEY = AlertKey("spam", "scam.example", "pets")
ALERT = Alert(
    alert_id=alert_id("surge", KEY, AT), kind="surge", state="open", severity="error", key=KEY,
    window_start=AT, window_end=AT + timedelta(minutes=1), observed=40, expected=2, z_score=9,
    distinct_authors=30, examples=("c1",), summary="spam surges",
)  # fmt: skip
LETTER = DeadLetter(
    raw=b"\xff{", error="not UTF-8", stage="decode",
    source=Position(topic="content.submitted.v1", partition=0, offset=7), failed_at=AT,
)  # fmt: skip


CHANGE = RuleChange(
    change_id="1-0", push=1, action="push", author="ann", reason="wave", ruleset_version="r1",
    changed_at=AT, files=(RuleFileChange(file="rules/urgent.yaml", entries=1, rules=("urgent",)),),
)  # fmt: skip


@pytest.mark.parametrize("batches", [1, 2], ids=["within one insert", "in a replay after a crash"])
def test_a_repeat_is_one_row_in_every_table(store, batches):
    for _ in range(batches):
        times = 3 - batches
        store.insert_judgements([judgement(), blocked("c2")] * times)
        store.insert_labels([LABEL] * times)
        store.insert_alerts([ALERT] * times)
        store.insert_dead_letters([LETTER] * times)
        store.insert_rule_changes([CHANGE] * times)
    # A Join table knows no FINAL, and no repeats.
    counts = {table: count(store, table) for table in sorted(TABLES - {"legal_holds"})}
    assert counts == {
        "appeals": 0, "author_posts": 2, "content": 2, "dead_letters": 1, "decisions_by_hour": 2,
        "decisions_by_minute": 2, "drift_alerts": 0, "flagged_logs": 1, "human_labels": 1,
        "label_answers": 1, "labelled_content": 1, "labelled_logs": 1, "labelled_outputs": 1,
        "model_outputs": 2, "moderation_logs": 2, "rule_changes": 1, "schema_migrations": 7,
        "surge_alerts": 1, "user_reports": 0, "users": 1, "versions_by_hour": 1,
    }  # fmt: skip


LATER = AT + timedelta(seconds=9)


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (judgement(final=False), blocked(decided_at=LATER), "block"),
        (blocked(), judgement(final=False, decided_at=LATER), "block"),
        (blocked(), judgement(decided_at=LATER), "allow"),
    ],
    ids=["final after quick", "a late quick one loses to the final", "the later of two final"],
)
def test_which_decision_stays(store, first, second, kept):
    store.insert_judgements([first])
    store.insert_judgements([second])
    for table in ("moderation_logs", "content"):
        assert rows(store, f"SELECT action FROM moderation.{table} FINAL") == [(kept,)]


def test_a_shadow_decision_stands_beside_the_live_one_and_leaves_the_content_alone(store):
    store.insert_judgements([blocked()])
    store.insert_judgements([judgement(mode="shadow", decided_at=LATER)])
    logged = rows(store, "SELECT mode, action FROM moderation.moderation_logs FINAL ORDER BY mode")
    assert logged == [("live", "block"), ("shadow", "allow")]
    assert rows(store, "SELECT action FROM moderation.content FINAL") == [("block",)]


@pytest.mark.parametrize("table", ["decisions_by_minute", "decisions_by_hour"])
def test_aggregates_do_not_count_a_replay_twice(store, table):
    batch = [blocked(f"c{i}", author_id=f"u{i % 3}") for i in range(50)]
    store.insert_judgements(batch)
    store.insert_judgements(batch)
    sql = f"SELECT uniqMerge(decisions), uniqMerge(authors) FROM moderation.{table}"
    assert rows(store, sql) == [(50, 3)]


FLAGGED = "SELECT content_id, action FROM moderation.flagged_logs FINAL ORDER BY ALL"


@pytest.mark.parametrize(
    ("decisions", "kept"),
    [
        ([judgement()], []),
        ([blocked()], [("c1", "block")]),
        ([judgement(signals=(Signal("normalize", "leet", "", 0.4),))], [("c1", "allow")]),
        ([blocked(), judgement(decided_at=LATER)], [("c1", "allow")]),
        ([judgement(), blocked(decided_at=LATER)], [("c1", "block")]),
    ],
    ids=["allowed", "blocked", "allowed though a rule fired", "blocked, then allowed",
         "allowed, then blocked"],
)  # fmt: skip
def test_flagged_logs_are_the_flagged_rows_of_the_logs(store, decisions, kept):
    for each in decisions:
        store.insert_judgements([each, judgement("other")])
    assert rows(store, FLAGGED) == kept


def test_what_one_insert_flags_and_allows_is_allowed(store):
    store.insert_judgements([blocked(), judgement(decided_at=LATER), judgement("other")])
    assert rows(store, FLAGGED) == [("c1", "allow")]


@pytest.mark.parametrize("order", ["label last", "label first", "decided again"])
def test_labelled_tables_hold_what_people_labelled_whatever_came_first(store, order):
    if order != "label first":
        store.insert_judgements([judgement(), judgement("c2")])
    store.insert_labels([LABEL])
    if order != "label last":
        store.insert_judgements([blocked(decided_at=LATER), judgement("c2")])
    action = "allow" if order == "label last" else "block"
    for table in ("labelled_logs", "labelled_outputs", "labelled_content"):
        assert rows(store, f"SELECT content_id FROM moderation.{table} FINAL") == [("c1",)]
    for table in ("labelled_logs", "labelled_content"):
        assert rows(store, f"SELECT action FROM moderation.{table} FINAL") == [(action,)]


@pytest.mark.parametrize(
    ("decisions", "kept"),
    [
        ([judgement()], [("c1",)]),
        ([judgement(), blocked(decided_at=LATER)], [("c1",)]),
        ([judgement("c2"), judgement("c1")], [("c1",), ("c2",)]),
        ([judgement(final=False)], []),
        ([judgement(final=False), judgement(decided_at=LATER)], [("c1",)]),
        ([judgement(mode="shadow")], []),
    ],
    ids=["one", "decided again", "two", "a quick answer only", "quick, then final", "in shadow"],
)
def test_author_posts_are_the_contents_with_a_final_live_decision(store, decisions, kept):
    for each in decisions:
        store.insert_judgements([each])
    posts = "SELECT content_id FROM moderation.author_posts FINAL WHERE user_id = 'u1' ORDER BY ALL"
    assert rows(store, posts) == kept


def test_users_keep_their_first_and_last_appearance(store):
    later = AT + timedelta(hours=5)
    store.insert_judgements([judgement("c2", created_at=later, decided_at=later)])
    store.insert_judgements([judgement("c1")])
    sql = """
        SELECT user_id, toUnixTimestamp(first_seen), toUnixTimestamp(last_seen)
        FROM moderation.users FINAL
    """
    assert rows(store, sql) == [("u1", AT.timestamp(), later.timestamp())]


LONG_AGO = AT - timedelta(days=400)


@pytest.mark.parametrize(
    ("made", "hold", "kept"),
    [
        (judgement(created_at=LONG_AGO, decided_at=LONG_AGO), False, 0),
        (blocked(created_at=LONG_AGO, decided_at=LONG_AGO), False, 1),
        (judgement(created_at=LONG_AGO, decided_at=LONG_AGO), True, 1),
    ],
    ids=["allowed text goes", "a violation stays", "a legal hold stays"],
)
def test_retention(store, made, hold, kept):
    store.client.command("SYSTEM STOP TTL MERGES")
    store.insert_judgements([made])
    store.insert_labels([LABEL])
    if hold:
        hold_author(store.client, "u1")
    store.client.command("SYSTEM START TTL MERGES")
    for table in ("content", "labelled_content"):
        store.client.command(f"OPTIMIZE TABLE moderation.{table} FINAL")
        assert count(store, table) == kept
    assert count(store, "moderation_logs") == 1, "the decision itself is kept"


@pytest.mark.parametrize("again", [False, True], ids=["once", "held twice"])
def test_a_legal_hold_covers_what_comes_later_until_its_end(store, again):
    held = "SELECT content_id FROM moderation.content FINAL WHERE legal_hold ORDER BY ALL"
    store.insert_judgements([judgement("before"), judgement("other", author_id="u2")])
    assert hold_author(store.client, "u1") == 1
    if again:
        assert hold_author(store.client, "u1") == 1
    store.insert_judgements(
        [judgement("later"), judgement("before"), blocked("o2", author_id="u2")]
    )
    assert rows(store, held) == [("before",), ("later",)]
    assert is_held(store.client, "u1")
    release_author(store.client, "u1")
    store.insert_judgements([judgement("free")])
    assert rows(store, held) == []
    assert not is_held(store.client, "u1")


def test_takes_contents_of_many_months_in_one_insert(store):
    months = [AT - timedelta(days=31 * i) for i in range(300)]
    store.insert_judgements([judgement(f"c{i}", created_at=at) for i, at in enumerate(months)])
    assert count(store, "moderation_logs") == 300


# The aggregates as the first version had them, before migration 0001.
OLD_AGGREGATES = """
DROP VIEW moderation.decisions_by_hour_from_logs;
DROP VIEW moderation.decisions_by_minute_from_logs;
DROP TABLE moderation.decisions_by_minute;
DROP TABLE moderation.schema_migrations;
CREATE TABLE moderation.decisions_by_minute
(
    minute DateTime('UTC'), mode Enum8('live' = 1, 'shadow' = 2), community LowCardinality(String),
    action Enum8('allow' = 1, 'review' = 2, 'block' = 3), category LowCardinality(String),
    decisions AggregateFunction(uniq, String), authors AggregateFunction(uniq, String),
    latency_max SimpleAggregateFunction(max, Float32)
)
ENGINE = AggregatingMergeTree ORDER BY (minute, mode, community, action, category);
ALTER TABLE moderation.content MODIFY COLUMN legal_hold Bool DEFAULT false;
ALTER TABLE moderation.content DROP COLUMN cluster;
DROP VIEW moderation.versions_by_hour_from_logs;
DROP TABLE moderation.versions_by_hour;
DROP VIEW moderation.flagged_logs_from_logs;
DROP VIEW moderation.labelled_logs_from_logs;
DROP VIEW moderation.labelled_logs_from_labels;
DROP VIEW moderation.labelled_outputs_from_outputs;
DROP VIEW moderation.labelled_outputs_from_labels;
DROP TABLE moderation.flagged_logs;
DROP TABLE moderation.labelled_logs;
DROP TABLE moderation.labelled_outputs;
DROP VIEW moderation.labelled_content_from_content;
DROP VIEW moderation.labelled_content_from_labels;
DROP VIEW moderation.author_posts_from_logs;
DROP TABLE moderation.labelled_content;
DROP TABLE moderation.author_posts;
DROP TABLE moderation.legal_holds;
CREATE MATERIALIZED VIEW moderation.decisions_by_minute_from_logs
TO moderation.decisions_by_minute AS
SELECT toDateTime(toStartOfMinute(created_at), 'UTC') AS minute, mode, community, action, category,
    uniqState(decision_id) AS decisions, uniqState(user_id) AS authors,
    max(latency_ms) AS latency_max
FROM moderation.moderation_logs GROUP BY minute, mode, community, action, category
"""


DECIDED = "SELECT uniqCombinedMerge(14)(decisions) FROM moderation.versions_by_hour"


OLD_FLAGGED = """
ALTER TABLE moderation.flagged_logs_from_logs MODIFY QUERY
SELECT content_id, revision, user_id, community, action, category, rule, rules, final, mode,
    created_at, author_created_at, timestamp, version
FROM moderation.moderation_logs WHERE action != 'allow' OR notEmpty(rules);
ALTER TABLE moderation.schema_migrations DELETE WHERE name LIKE '0007%' SETTINGS mutations_sync = 2
"""


def test_a_migration_finds_what_was_flagged_and_allowed_in_one_insert(store):
    for statement in OLD_FLAGGED.split(";\n"):
        store.client.command(statement)
    store.insert_judgements([blocked(), judgement(decided_at=LATER), judgement("other")])
    assert rows(store, FLAGGED) == [("c1", "block")]
    store.apply_schema()
    assert rows(store, FLAGGED) == [("c1", "allow")]
    store.insert_judgements([blocked("c2"), judgement("c2", decided_at=LATER)])
    assert rows(store, FLAGGED) == [("c1", "allow"), ("c2", "allow")]


def test_migrates_an_older_store_without_loss(store):
    for statement in OLD_AGGREGATES.split(";\n"):
        store.client.command(statement)
    first = [judgement(f"c{i}", community=f"k{i % 3}", author_id=f"u{i % 4}") for i in range(30)]
    store.insert_judgements([*first[:-1], blocked("c29", community="k2", author_id="u1")])
    store.insert_labels([LABEL])
    store.client.command("ALTER TABLE moderation.moderation_logs DROP COLUMN stage_ms")
    store.client.command(
        "ALTER TABLE moderation.content UPDATE legal_hold = true WHERE author_id = 'u0'",
        settings={"mutations_sync": 2},
    )
    store.apply_schema()
    store.check_schema()
    assert is_held(store.client, "u0"), "what was held stays held"
    assert count(store, "flagged_logs") == 1
    assert rows(store, DECIDED) == [(30,)]
    clusters = "SELECT DISTINCT cluster FROM moderation.content FINAL ORDER BY cluster"
    assert rows(store, clusters) == [("",), ("text hello",)]
    for table in ("labelled_logs", "labelled_outputs", "labelled_content"):
        assert count(store, table) == 1
    assert count(store, "author_posts") == 30
    store.insert_judgements(first[:10])
    store.insert_judgements([judgement("new")])
    sql = "SELECT uniqMerge(decisions), uniqMerge(authors) FROM moderation.decisions_by_minute"
    assert rows(store, sql) == [(31, 4)]
    assert count(store, "moderation_logs") == 31
    done = rows(store, "SELECT name FROM moderation.schema_migrations FINAL ORDER BY name")
    assert [name[:4] for (name,) in done] == [f"000{n}" for n in range(1, 8)]
    store.apply_schema()
    assert rows(store, sql) == [(31, 4)], "a migration runs once"
