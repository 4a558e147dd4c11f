"""The writer: what is stored is what was decided, on the embedded engine and over HTTP."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import msgspec
import pytest
import stamina
from clickhouse_samples import AT, blocked, judgement
from clickhouse_server import clickhouse_server, free_port
from msgspec.structs import replace

from connectors.clickhouse import ClickHouseWriter, StoreError, connect, public_dsn
from connectors.clickhouse_memory import MemoryStore
from connectors.clickhouse_rows import TABLES
from events.messages import (
    Alert,
    AlertKey,
    Appeal,
    DeadLetter,
    Image,
    Label,
    Position,
    UserReport,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with clickhouse_server(tmp_path_factory.mktemp("server")) as dsn:
        yield dsn


@pytest.fixture(scope="module", params=["embedded", "http"])
def opened(request, tmp_path_factory):
    if request.param == "embedded":
        dsn = f"chdb://{tmp_path_factory.mktemp('store')}/clickhouse"
    else:
        dsn = request.getfixturevalue("server")
    writer = ClickHouseWriter(dsn)
    yield writer
    writer.close()


@pytest.fixture
def store(opened):
    opened.client.command("DROP DATABASE IF EXISTS moderation")
    opened.apply_schema()
    opened.check_schema()
    return opened


def stored(store, table, columns="*"):
    sql = f"SELECT {columns} FROM moderation.{table} FINAL ORDER BY ALL"
    result = store.client.query(sql, column_formats={"raw": "bytes"})
    return list(result.named_results())


@pytest.mark.parametrize("size", [0, 1, 2, 1000])
def test_batches(store, size):
    store.insert_judgements([judgement(f"c{i}") for i in range(size)])
    assert len(stored(store, "moderation_logs")) == size
    assert len(stored(store, "content")) == size
    assert len(stored(store, "model_outputs")) == size


def test_a_decision_as_a_row(store):
    made = blocked(degraded=("ocr",))
    store.insert_judgements([made])
    (row,) = stored(store, "moderation_logs")
    assert row.pop("signals") == msgspec.json.encode(made.decision.signals).decode()
    assert row.pop("scores") == pytest.approx({"spam": 0.97})
    assert row.pop("top_score") == pytest.approx(0.97)
    naive = AT.replace(tzinfo=None)
    assert row == {
        "decision_id": made.decision.decision_id, "content_id": "c1", "revision": 0,
        "user_id": "u1", "community": "pets", "kind": "post", "action": "block",
        "category": "spam", "reason": "spam 0.97: r-1 of rules 0.97; without ocr",
        "stage": "rules", "rule": "r-1", "top_category": "spam", "rules": ["r-1"],
        "final": True, "mode": "live", "degraded": ["ocr"], "policy_version": "p1",
        "ruleset_version": "r1", "model_versions": {"text-fast": "3"}, "created_at": naive,
        "author_created_at": naive - timedelta(days=2), "language": "",
        "timestamp": naive + timedelta(milliseconds=7), "latency_ms": 7.0, "stage_ms": {},
        "version": row["version"],
    }  # fmt: skip


def test_the_times_of_stages_are_kept_for_one_content_in_16_the_same_ones_in_a_replay(store):
    waited = {"text_score": 4.5, "fusion": 0.25}
    made = [replace(judgement(f"c{i}"), stage_ms=waited) for i in range(1000)]
    store.insert_judgements(made)
    store.insert_judgements(made)
    kept = stored(store, "moderation_logs", "stage_ms")
    assert 30 < sum(row["stage_ms"] == waited for row in kept) < 100
    assert all(row["stage_ms"] in ({}, waited) for row in kept)


HOSTILE = {
    "quotes and backslashes": "it's \"x\" \\ \\' \t\n; DROP TABLE content",
    "a NUL": "a\0b",
    "astral and bidi": "\U0001f600 \u202egnp.exe",
    "64 KiB": "x" * 65536,
    "template braces": "{name:String} {{x}} %s %(a)s",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_text_is_stored_as_posted(store, text):
    made = judgement(text=text)
    store.insert_judgements([made])
    assert stored(store, "content", "text") == [{"text": text}]


@pytest.mark.parametrize(
    ("at", "kept"),
    [
        pytest.param("1970-01-01T00:00:05+14:00", "1969-12-31 10:00:05.000", id="earliest"),
        pytest.param("2026-02-03T04:05:06.999999Z", "2026-02-03 04:05:06.999", id="cut to ms"),
        pytest.param("2026-02-03T04:05:06.5-23:59", "2026-02-04 04:04:06.500", id="far west"),
        pytest.param("2105-12-31T23:59:59Z", "2105-12-31 23:59:59.000", id="latest"),
    ],
)
def test_times_are_kept_to_the_millisecond_in_utc(store, at, kept):
    made = judgement()
    at = msgspec.convert(at, datetime)
    content = replace(made.content, created_at=at, author_created_at=at)
    store.insert_judgements([replace(made, content=content)])
    (row,) = stored(store, "content", "toString(created_at), toString(author_created_at)")
    assert list(row.values()) == [kept, kept]


def test_image_bytes_are_not_stored(store):
    images = [Image("i1", data=b"\x89PNG"), Image("i2", uri="s3://bucket/i2")]
    made = judgement()
    store.insert_judgements([replace(made, content=replace(made.content, images=images))])
    (row,) = stored(store, "content", "image_ids, image_uris")
    assert row == {"image_ids": ["i1", "i2"], "image_uris": ["", "s3://bucket/i2"]}


def test_an_unknown_account_age_is_1970(store):
    made = judgement()
    store.insert_judgements([replace(made, content=replace(made.content, author_created_at=None))])
    (row,) = stored(store, "users", "toUnixTimestamp(created_at) AS at")
    assert row == {"at": 0}


@pytest.mark.parametrize(
    "source",
    [Position(topic="content.submitted.v1", partition=3, offset=2**40), Position(file="-", line=7)],
    ids=["kafka", "standard input"],
)
def test_dead_letters_keep_their_bytes_and_place(store, source):
    raw = bytes(range(256))
    letter = DeadLetter(raw=raw, error="not UTF-8", stage="decode", source=source, failed_at=AT)
    store.insert_dead_letters([letter])
    (row,) = stored(store, "dead_letters")
    assert row["raw"] == raw
    assert row["source_topic"] == source.topic
    assert row["source_partition"] == source.partition
    assert row["source_offset"] == source.offset
    assert row["source_file"] == source.file
    assert row["source_line"] == source.line


ALERT = Alert(
    alert_id="a1", kind="surge", state="open", severity="critical", key=AlertKey("spam"),
    window_start=AT, window_end=AT, observed=40.0, expected=2.0, z_score=9.5, distinct_authors=30,
    examples=("c1", "c2"), summary="spam surges",
)  # fmt: skip


def test_alerts_go_to_the_table_of_their_kind(store):
    drift = replace(ALERT, alert_id="a2", kind="drift")
    health = replace(ALERT, alert_id="a3", kind="health")
    resolved = replace(ALERT, state="resolved")
    store.insert_alerts([ALERT, resolved, drift, health])
    surges = [(row["alert_id"], row["state"]) for row in stored(store, "surge_alerts")]
    assert surges == [("a1", "open"), ("a1", "resolved"), ("a3", "open")]
    assert [row["alert_id"] for row in stored(store, "drift_alerts")] == ["a2"]


LABEL = Label(
    label_id="l1", content_id="c1", revision=0, reviewer_id="m1", action="block", category="spam",
    source="golden", labeled_at=AT,
)  # fmt: skip


REPORT = UserReport(report_id="r1", content_id="c1", reporter_id="u2", reported_at=AT)
APPEAL = Appeal(appeal_id="a1", content_id="c1", user_id="u1", appealed_at=AT)
ANSWER = replace(APPEAL, state="granted", reviewer_id="m1", resolved_at=AT + timedelta(hours=3))
LETTER = DeadLetter(
    raw=b"{", error="not JSON", stage="decode", source=Position(file="-", line=1), failed_at=AT
)


@pytest.mark.parametrize("order", [(APPEAL, ANSWER), (ANSWER, APPEAL)], ids=["in order", "late"])
def test_an_answer_replaces_the_open_appeal(store, order):
    memory = MemoryStore()
    for each in order:
        store.insert_appeals([each])
        memory.insert_appeals([each])
    kept = stored(store, "appeals", "state, reviewer_id")
    assert kept == [{"state": "granted", "reviewer_id": "m1"}]
    assert [row["state"] for row in memory.rows("appeals")] == ["granted"]


def test_the_twin_in_memory_keeps_the_same_rows(store):
    memory = MemoryStore()
    late = AT + timedelta(seconds=5)
    for each in (store, memory):
        each.insert_judgements([blocked(), judgement("c2", final=False)])
        each.insert_judgements([blocked("c2"), judgement(decided_at=late), judgement("c1")])
        each.insert_labels([LABEL, LABEL])
        each.insert_alerts([ALERT, replace(ALERT, kind="drift"), ALERT])
        each.insert_user_reports([REPORT, REPORT])
        each.insert_appeals([APPEAL, ANSWER])
        each.insert_dead_letters([LETTER, LETTER])
    for table in TABLES:
        identities = ", ".join(table.identity)
        there = {tuple(row.values()) for row in stored(store, table.name, identities)}
        here = {tuple(row[c] for c in table.identity) for row in memory.rows(table.name)}
        if "window_end" in table.identity:
            here = {tuple(v.replace(tzinfo=None) if v == AT else v for v in key) for key in here}
        assert here == there, table.name
    actions = [row["action"] for row in stored(store, "moderation_logs", "content_id, action")]
    assert (
        [row["action"] for row in memory.rows("moderation_logs")] == actions == ["allow", "block"]
    )


def test_what_users_wrote_is_redacted_before_it_is_stored(server):
    writer = ClickHouseWriter(server, redact=lambda texts: [t.replace("0123", "*") for t in texts])
    writer.client.command("DROP DATABASE IF EXISTS moderation")
    writer.apply_schema()
    writer.insert_judgements([judgement(text="call 0123"), judgement("c2", text="hello")])
    writer.insert_user_reports([replace(REPORT, reason="0123 is a scam")])
    writer.insert_appeals([replace(APPEAL, statement="that is 0123")])
    assert [row["text"] for row in stored(writer, "content", "text")] == ["call *", "hello"]
    assert stored(writer, "user_reports", "reason") == [{"reason": "* is a scam"}]
    assert stored(writer, "appeals", "statement") == [{"statement": "that is *"}]
    writer.insert_dead_letters([replace(LETTER, raw=b"\xff0123")])
    assert stored(writer, "dead_letters", "raw") == [{"raw": b"\xff*"}]
    writer.close()


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("http://user:secret@host:8123/db?password=secret", "http://host:8123/db"),
        ("http://user:se@cret@host", "http://host"),
        ("chdb:///data/clickhouse", "chdb:///data/clickhouse"),
        ("user:secret@host", "host"),
    ],
)
def test_messages_show_no_password(dsn, shown):
    assert public_dsn(dsn) == shown


@pytest.mark.parametrize(
    ("dsn", "told"),
    [
        ("nonsense", "no ClickHouse DSN: chdb:///PATH or http"),
        ("mysql://host/db", "no ClickHouse DSN"),
        (
            "http://u:secret@127.0.0.1:1",
            r"at http://127.0.0.1:1 \(Connection refused\): is it running",
        ),
        ("http://u:secret@host:port", "no ClickHouse at http://host:port"),
        ("http://127.0.0.1:1?password=secret", "no ClickHouse at http://127.0.0.1:1"),
        ("chdb:///proc/breakwater", "/proc/breakwater cannot hold the embedded ClickHouse"),
        (f"chdb://{__file__}", "cannot hold the embedded ClickHouse: File exists"),
    ],
)
def test_a_wrong_dsn_is_one_line_without_the_password(dsn, told):
    with pytest.raises(StoreError, match=told) as raised:
        connect(dsn)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


@contextmanager
def silent_server() -> Iterator[tuple[int, list[bytes]]]:
    """A port that takes connections and never answers, and the first byte of each of them."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server, suppress(OSError):

        def listen() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    heard.append(peer.recv(1))

        threading.Thread(target=listen, daemon=True).start()
        yield server.getsockname()[1], heard


@pytest.mark.parametrize(
    ("scheme", "first_byte"),
    [
        ("http", b"P"),  # of POST
        ("clickhouse", b"P"),
        ("https", b"\x16"),  # a TLS handshake (RFC 8446, 5.1)
        ("clickhouses", b"\x16"),
    ],
)
def test_the_scheme_says_whether_it_is_tls_and_a_silent_server_is_given_up(scheme, first_byte):
    with silent_server() as (port, heard):
        with pytest.raises(StoreError, match=f"no ClickHouse at {scheme}://127.0.0.1"):
            connect(f"{scheme}://u:secret@127.0.0.1:{port}", answer_timeout_s=1)
        assert set(heard) == {first_byte}


def test_the_embedded_engine_is_one_processs(tmp_path):
    with (
        clickhouse_server(tmp_path / "taken"),
        pytest.raises(StoreError, match=r"taken is open in process \d+: end that one first"),
    ):
        connect(f"chdb://{tmp_path}/taken")


def test_a_process_opens_one_path_and_many_clients_of_it(tmp_path):
    """In a process of its own: this one may have another open."""
    script = f"""
from connectors.clickhouse import StoreError, connect

first, second = (connect("chdb://{tmp_path}/one") for _ in range(2))
try:
    connect("chdb://{tmp_path}/two")
except StoreError as error:
    print(error)
assert second.command("SELECT 1") == 1
first.close()
second.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"this process has the embedded ClickHouse at {tmp_path}/one open" in done.stdout


@pytest.fixture
def no_waiting():
    stamina.set_testing(True, attempts=2)
    yield
    stamina.set_testing(False)


@pytest.mark.usefixtures("no_waiting")
def test_a_server_that_went_away_and_came_back(tmp_path):
    port = free_port()
    with clickhouse_server(tmp_path / "store", port) as dsn:
        writer = ClickHouseWriter(dsn)
        writer.apply_schema()
        writer.insert_judgements([judgement()])
    with pytest.raises(StoreError, match="did not take 1 rows of moderation_logs"):
        writer.insert_judgements([judgement("c2")])
    with clickhouse_server(tmp_path / "store", port):
        writer.insert_judgements([judgement("c2")])
        assert writer.client.command("SELECT count() FROM moderation.moderation_logs") == 2
    writer.close()


@pytest.mark.usefixtures("no_waiting")
def test_a_refusal_for_good_is_not_tried_again(store):
    store.insert_judgements([judgement()])
    store.client.command("DROP TABLE moderation.moderation_logs")
    with pytest.raises(StoreError, match="did not take 1 rows of moderation_logs"):
        store.insert_judgements([judgement()])
