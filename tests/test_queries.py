"""Every query against a second computation in pandas, on the embedded engine and over HTTP."""

from __future__ import annotations

import io
import json
import math
import re
import shlex
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import query_expectations
from alert_samples import OPEN
from builders import AT, content, decision, judgement
from clickhouse_server import clickhouse_server
from msgspec import structs
from store_samples import END, history, store_history

from connectors.alert_text import first_command
from connectors.clickhouse import ClickHouseWriter
from connectors.query_library import QueryError, bind, export, list_queries, load, run
from events.messages import AlertKey, Label
from events.records import Judgement

WINDOW = {"since": "2026-10-20", "until": END.isoformat()}
EXTRA = {
    "cohort_audit": {"accounts": "1000"},
    "surge_z_scores": {"least_z": "3"},
    "author_history": {"user_id": "u3"},
    "content_history": {},
    "text_search": {"word": "Harassment", "rows": "1000"},
    "community_outliers": {"least_decisions": "1"},
    "labelled_dataset": {"until": "2027-01-01"},
    "repeated_contents": {"since": "2026-09-01", "until": "2026-10-01"},
    "reviewer_agreement": {"until": "2027-01-01"},
    "reviewer_speed": {"until": "2027-01-01"},
    "appeals_by_policy": {"until": "2027-01-01"},
    "reports_by_category": {"until": "2027-01-01"},
    "missed_violations": {"sample": "0.5"},
}
# Columns that the second computation leaves out: free text, and any one of several examples.
LEFT_OUT = {
    "author_history": {"reason"},
    "content_history": {"revision", "who", "category", "detail"},
    "dead_letters_by_producer": {"example"},
}
# t-digests estimate.
TOLERANCE = {"latency_by_stage": 0.15}
QUERIES = list_queries()


@pytest.fixture(scope="module")
def made():
    return history()


@pytest.fixture(scope="module")
def data(made):
    return query_expectations.frames(made)


@pytest.fixture(scope="module", params=["embedded", "http"])
def store(request, made, tmp_path_factory):
    path = tmp_path_factory.mktemp("queries") / "store"
    if request.param == "http":
        with clickhouse_server(path) as dsn:
            yield from filled(ClickHouseWriter(dsn), made)
    else:
        yield from filled(ClickHouseWriter(f"chdb://{path}"), made)


def filled(writer, made):
    writer.apply_schema()
    store_history(writer, made)
    yield writer.client
    writer.close()


def busiest_content(made):
    """The content with an appeal, a report and labels, so that its history has every event."""
    appealed = {appeal.content_id for appeal in made.appeals}
    reported = {report.content_id for report in made.reports}
    labelled = {label.content_id for label in made.labels}
    return min(appealed & reported & labelled or appealed & labelled)


def parameters(query, made):
    known = {parameter.name: parameter.default for parameter in query.parameters}
    chosen = {name: value for name, value in WINDOW.items() if name in known}
    chosen |= EXTRA.get(query.name, {})
    if "content_id" in known:
        chosen["content_id"] = busiest_content(made)
    return {**{k: v for k, v in known.items() if v is not None}, **chosen}


@pytest.mark.parametrize("query", [q for q in QUERIES if q.name != "storage"], ids=lambda q: q.name)
def test_answers_as_pandas_does(store, data, made, query):
    params = parameters(query, made)
    answer = run(store, query.name, params)
    kept = [i for i, c in enumerate(answer.columns) if c not in LEFT_OUT.get(query.name, ())]
    rows = [tuple(row[i] for i in kept) for row in answer.rows]
    expected = getattr(query_expectations, query.name)(data, params)
    assert expected, "a second computation without rows shows nothing"
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected, strict=True):
        assert len(row) == len(wanted)
        for column, (cell, value) in enumerate(zip(row, wanted, strict=True)):
            name = answer.columns[kept[column]]
            assert same(cell, value, TOLERANCE.get(query.name, 1.1e-4)), (name, row, wanted)


def same(cell, value, tolerance):
    if isinstance(value, pd.Timestamp | datetime):
        return pd.Timestamp(cell).tz_localize("UTC") == pd.Timestamp(value)
    if isinstance(value, date) or value is None:
        return cell == value
    if isinstance(value, float):
        return math.isclose(cell, value, rel_tol=tolerance, abs_tol=tolerance)
    return cell == value


def test_storage_counts_every_table_with_rows(store):
    answer = run(store, "storage")
    tables = {row[0] for row in answer.rows}
    assert {"content", "moderation_logs", "model_outputs", "decisions_by_hour", "users"} <= tables
    assert all(row[2] > 0 for row in answer.rows if row[1] > 1000)


def test_an_emptied_table_has_no_bytes_a_row(tmp_path):
    with clickhouse_server(tmp_path / "emptied") as dsn:
        writer = ClickHouseWriter(dsn)
        writer.apply_schema()
        writer.insert_user_reports(history(200).reports)
        writer.client.command(
            "ALTER TABLE moderation.user_reports DELETE WHERE 1", settings={"mutations_sync": 2}
        )
        rows = {row[0]: row[1:] for row in run(writer.client, "storage").rows}
        writer.close()
    stored, _, compression, bytes_a_row, _ = rows["user_reports"]
    assert (stored, compression, bytes_a_row) == (0, None, None)


@pytest.mark.parametrize("query", QUERIES, ids=lambda q: q.name)
def test_runs_on_defaults_and_its_sample_has_its_columns(store, query, made):
    needed = {p.name: "x" for p in query.parameters if p.default is None}
    answer = run(store, query.name, needed)
    assert query.sample, "a sample result belongs in the head"
    assert tuple(re.split(r"  +", query.sample[0].strip())) == answer.columns


@pytest.mark.parametrize("query", QUERIES, ids=lambda q: q.name)
def test_every_file_says_what_it_answers(query):
    text = Path("clickhouse/queries", f"{query.name}.sql").read_text("utf-8")
    assert query.question.endswith("?")
    assert query.description
    used = set(re.findall(r"\{(\w+):([^}]+)\}", query.sql))
    assert used == {(p.name, p.type) for p in query.parameters}
    assert all(len(line) <= 120 for line in text.replace(*sample_of(text)).splitlines())


def sample_of(text):
    """The sample rows, which are as wide as they are, and what to put in their place."""
    return text[text.index("-- Sample:") : text.index("\n\n")], ""


def test_the_usual_hour_counts_every_hour_that_the_window_touches(store):
    # Spam surges in the middle one of three hours; the other two have two posts at most.
    window = {"since": "2026-11-15T13:30:00", "until": "2026-11-15T15:30:00", "category": "spam"}
    rows = [row for row in run(store, "spike_investigation", window).rows if row[2] == "news"]
    assert max(row[3] for row in rows) > 100
    assert all(row[5] <= 2 for row in rows), rows


def test_the_first_command_of_an_alert_finds_the_excess_that_it_tells(store):
    began = datetime(2026, 11, 15, 14, 24, tzinfo=UTC)
    alert = structs.replace(OPEN, key=AlertKey("spam", community="news"), window_start=began)
    _, _, name, *options = shlex.split(first_command(alert))
    assigned = [option.split("=", 1) for option in options if option != "--param"]
    [worst, *_] = run(store, name, dict(assigned)).rows
    hour, category, community, moderated, _, usual, excess = worst[:7]
    assert (f"{hour:%Y-%m-%d %H}", category, community) == ("2026-11-15 14", "spam", "news")
    assert moderated > 100
    assert (usual, excess) == (0, moderated)


@pytest.mark.parametrize("query", QUERIES, ids=lambda q: q.name)
def test_no_number_has_more_digits_than_are_read(store, made, query):
    numbers = [v for row in run(store, query.name, parameters(query, made)).rows for v in row]
    assert all(number == round(number, 4) for number in numbers if isinstance(number, float))


def test_what_was_labelled_before_it_was_decided_has_not_waited(tmp_path):
    writer = ClickHouseWriter(f"chdb://{tmp_path}")
    writer.apply_schema()
    for number, hours in enumerate((-12, 2, 3)):
        about = {"content_id": f"c{number}", "revision": 0, "reviewer_id": "demo"}
        said = {"action": "block", "category": "spam", "source": "golden"}
        at = AT + timedelta(hours=hours)
        writer.insert_judgements([judgement(f"c{number}")])
        writer.insert_labels([Label(label_id=f"l{number}", **about, **said, labeled_at=at)])
    [(reviewer, labels, _, _, hours_waited)] = run(writer.client, "reviewer_speed").rows
    writer.close()
    assert (reviewer, labels, hours_waited) == ("demo", 3, 3.0)


def test_a_video_is_one_post_of_its_author(tmp_path):
    writer = ClickHouseWriter(f"chdb://{tmp_path}")
    writer.apply_schema()
    shown = content("v-0", kind="video_frame", parent_id="v")
    made = decision("v-0", kind="video_frame", action="block", category="sexual")
    frames = [
        Judgement(
            structs.replace(shown, content_id=f"v-{number}"),
            structs.replace(made, content_id=f"v-{number}", action=action),
        )
        for number, action in enumerate(("block", "block", "allow"))
    ]
    verdict = Judgement(shown, structs.replace(made, content_id="v", frames=3))
    post = judgement("c1", action="block", category="hate")
    writer.insert_judgements([*frames, verdict, post, judgement("c2")])
    asked = {"since": "2026-11-20", "until": "2026-11-21"}
    [answer] = run(writer.client, "repeat_offenders", asked | {"blocks": "2"}).rows
    assert answer[:5] == ("a1", 2, 3, 0.6667, ["hate", "sexual"])
    assert run(writer.client, "repeat_offenders", asked | {"blocks": "3"}).rows == []
    writer.close()


def test_words_are_found_in_either_case_of_ascii(store):
    found = [run(store, "text_search", {"word": word}).rows for word in ("hate", "HATE")]
    assert found[0] == found[1] != []
    assert run(store, "text_search", {"word": "\u00fcber"}).rows == []


def test_default_window_ends_with_the_newest_decision(store):
    assert run(store, "review_share_by_day").rows[-1][0] == date(2026, 11, 16)


@pytest.mark.parametrize("query", QUERIES, ids=lambda q: q.name)
def test_what_the_clock_dates_is_asked_for_until_now_and_posts_until_the_newest(query):
    clocks = "labeled_at|appealed_at|failed_at|changed_at|reported_at"
    by_clock = re.search(rf"\b({clocks}) < \{{until", query.sql)
    for parameter in query.parameters:
        if parameter.name == "until":
            assert parameter.default == ("now" if by_clock else "newest")


def test_now_is_the_clock_whatever_the_newest_post(store):
    before = datetime.now(UTC)
    until = bind(store, load("dead_letters_by_producer"), {})["until"]
    assert until >= f"{before:%Y-%m-%d %H:%M:%S}"
    earlier = bind(store, load("dead_letters_by_producer"), {"since": "now - 2 days"})["since"]
    assert earlier >= f"{before - timedelta(days=2):%Y-%m-%d %H:%M:%S}"


@pytest.mark.parametrize("threshold", ["0", "1", "0.5", "1e-3"])
def test_every_probability_is_a_threshold(store, threshold):
    run(store, "what_if_threshold", {"threshold": threshold})


@pytest.mark.parametrize(
    ("name", "params", "told"),
    [
        ("zzz", {}, "unknown query 'zzz'; there are appeals_by_policy, author_history"),
        ("cohort", {}, "unknown query 'cohort'; did you mean cohort_audit?"),
        ("cohort_audit", {"size": "3"}, "has no parameter 'size'; it takes accounts, since, until"),
        ("storage", {"since": "x"}, "storage has no parameter 'since'; it takes none"),
        ("author_history", {}, "author_history needs --param user_id=…"),
        ("cohort_audit", {"since": "yesterday"}, "since: 'yesterday' is not a time"),
        ("cohort_audit", {"since": "newest - 999999 days"}, "is not between 1970 and 2200"),
        ("cohort_audit", {"since": f"now - {10**12} days"}, "is not between 1970 and 2200"),
        ("cohort_audit", {"since": "0001-01-01T00:00:00+05:00"}, "is not between 1970 and 2200"),
        ("cohort_audit", {"until": "2201-01-01"}, "'2201-01-01' is not between 1970 and 2200"),
        (
            "cohort_audit",
            {"accounts": "many"},
            "accounts: 'many' is not a whole number from 0 to 429",
        ),
        ("cohort_audit", {"accounts": "1) OR (1"}, "'1) OR (1' is not a whole number"),
        ("cohort_audit", {"accounts": "-1"}, "'-1' is not a whole number from 0 to 4294967295"),
        ("cohort_audit", {"accounts": "4294967296"}, "not a whole number from 0 to 4294967295"),
        ("cohort_audit", {"accounts": "9" * 5000}, "not a whole number from 0 to 4294967295"),
        ("false_positives", {"steps": "256"}, "steps: '256' is not a whole number from 1 to 255"),
        ("false_positives", {"steps": "0"}, "steps: '0' is not a whole number from 1 to 255"),
        ("surge_z_scores", {"minutes": "0"}, "minutes: '0' is not a whole number from 1 to"),
        ("surge_z_scores", {"past": "0"}, "past: '0' is not a whole number from 1 to"),
        ("text_search", {"word": "two words"}, "word: 'two words' is not one word of letters and"),
        ("text_search", {"word": "a_b"}, "word: 'a_b' is not one word"),
        ("text_search", {"word": ""}, "word: '' is not one word"),
        ("what_if_threshold", {"category": "spm"}, "unknown category 'spm'; expected one of hate"),
        ("what_if_threshold", {"category": ""}, "unknown category ''; expected one of hate"),
        ("spike_investigation", {"category": "Spam"}, "unknown category 'Spam'; expected"),
        ("spike_investigation", {"category": "report:spam"}, "unknown category 'report:spam'"),
        ("what_if_threshold", {"threshold": "7"}, "threshold: '7' is not between 0 and 1"),
        ("what_if_threshold", {"threshold": "nan"}, "threshold: 'nan' is not between 0 and 1"),
        ("what_if_threshold", {"threshold": "half"}, "threshold: 'half' is not between 0 and 1"),
        ("missed_violations", {"sample": "1.5"}, "sample: '1.5' is not between 0 and 1"),
        ("surge_z_scores", {"least_z": "nan"}, "least_z: 'nan' is not a number"),
        ("surge_z_scores", {"least_z": "high"}, "least_z: 'high' is not a number"),
        (
            "volume_by_hour",
            {"since": "2026-11-10", "until": "2026-11-10"},
            "an empty window: since 2026-11-10 00:00:00.000 is not before until 2026-11-10 00:00",
        ),
        ("volume_by_hour", {"since": "2026-12-01"}, "until 2026-11-17 00:00:00.000"),
    ],
)
def test_wrong_questions_are_told_in_one_line(store, name, params, told):
    with pytest.raises(QueryError, match=re.escape(told)) as raised:
        run(store, name, params)
    assert "\n" not in str(raised.value)


def test_a_store_without_tables_says_so(tmp_path):
    with clickhouse_server(tmp_path / "empty") as dsn:
        writer = ClickHouseWriter(dsn)
        with pytest.raises(QueryError, match="`breakwater schema apply` makes them"):
            run(writer.client, "cohort_audit")
        writer.close()


@pytest.mark.parametrize(
    "value", ["it's", "a\\b", "x' OR '1'='1", "{x}", "tab\tnew\nline", "ü \U0001f600"]
)
def test_parameters_are_values_and_never_sql(store, value):
    assert run(store, "author_history", {"user_id": value}).rows == []


def test_exports(store, tmp_path):
    params = {"until": END.isoformat()}
    rows = run(store, "review_share_by_day", params).rows
    csv = export(store, "review_share_by_day", params, "CSVWithNames").decode()
    assert csv.splitlines()[0] == '"day","decided","reviewed","blocked","review_share"'
    assert len(csv.splitlines()) == len(rows) + 1
    decoded = json.loads(export(store, "review_share_by_day", params, "JSONEachRow"))
    assert [each["decided"] for each in decoded] == [row[1] for row in rows]
    parquet = tmp_path / "days.parquet"
    parquet.write_bytes(export(store, "review_share_by_day", params, "Parquet"))
    assert list(pd.read_parquet(parquet).decided) == [row[1] for row in rows]


def test_an_unknown_value_is_an_empty_cell_of_csv(store):
    params = {"since": "2026-10-20", "until": END.isoformat()}
    answer = run(store, "rule_efficacy", params)
    unknown = [row[answer.columns.index("precision")] is None for row in answer.rows]
    data = io.BytesIO(export(store, "rule_efficacy", params, "CSVWithNames"))
    assert list(pd.read_csv(data).precision.isna()) == unknown


def test_load_gives_parameters_with_types_and_defaults():
    audit = load("cohort_audit")
    assert [(p.name, p.type, p.default) for p in audit.parameters] == [
        ("since", "DateTime64(3, 'UTC')", "newest - 7 days"),
        ("until", "DateTime64(3, 'UTC')", "newest"),
        ("accounts", "UInt32", "100"),
    ]


@pytest.mark.parametrize(
    ("name", "params", "index"),
    [
        ("content_history", {"content_id": "c00001"}, "content_id_bloom"),
        ("author_history", {"user_id": "u1"}, "PrimaryKey"),
        ("text_search", {"word": "deal"}, "text_tokens"),
        ("latency_by_stage", {}, "PrimaryKey"),
    ],
)
def test_look_ups_use_their_index(store, name, params, index):
    query = load(name)
    values = bind(store, query, params)
    # The text is of `EXPLAIN indexes = 1`; it lists each index that was asked.
    plan = store.query(f"EXPLAIN indexes = 1 {query.sql}", values).result_rows
    assert index in "\n".join(line for (line,) in plan)
