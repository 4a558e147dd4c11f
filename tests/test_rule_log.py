"""Every change of the rules is in the tables once, whoever was down meanwhile."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_ruleset_store import Flaky, ruleset

from connectors.clickhouse import ClickHouseWriter, StoreError
from connectors.clickhouse_memory import MemoryStore
from connectors.ruleset_store import LocalRulesetStore, RedisRulesetStore, RulesetStore
from connectors.writers import GatheringWriter
from events.records import RuleChange, RuleFileChange
from flows.rule_log import RuleLog
from policy.changes import MAX_RULES, file_changes


@pytest.fixture(params=["local", "redis"])
def store(request: pytest.FixtureRequest) -> RulesetStore:
    if request.param == "local":
        return LocalRulesetStore()
    return RedisRulesetStore(request.getfixturevalue("valkey_url"))


def log(store: RulesetStore, keep: Callable[[Sequence[RuleChange]], None]) -> RuleLog:
    return RuleLog(store, GatheringWriter(keep, ThreadPoolExecutor(1)), beat_s=0.01)


def pushes(table: MemoryStore) -> list[int]:
    return [row["push"] for row in table.rows("rule_changes")]


def test_changes_are_remembered_in_order_each_with_an_id(store) -> None:
    for name in "abc":
        store.push(ruleset(**{name: name}))
    changes = store.changes()
    assert [change.push for change in changes] == [1, 2, 3]
    assert len({change.change_id for change in changes}) == 3
    assert store.changes(changes[0].change_id) == changes[1:]
    assert store.changes(changes[-1].change_id) == []
    assert (changes[0].author, changes[0].reason) == ("ann", "a wave")


def test_what_came_before_the_start_is_copied_and_a_repeat_is_one_row(store) -> None:
    table = MemoryStore()
    store.push(ruleset(a="1"))
    log(store, table.insert_rule_changes).copy()
    store.push(ruleset(a="2"))
    again = log(store, table.insert_rule_changes)
    again.copy()
    again.copy()
    assert pushes(table) == [1, 2]


def test_changes_wait_while_the_tables_or_the_store_are_away() -> None:
    store, table, refused = Flaky(LocalRulesetStore()), MemoryStore(), []

    copied = threading.Event()

    def keep(changes: Sequence[RuleChange]) -> None:
        if len(refused) < 3:
            refused.append([change.push for change in changes])
            store.down = len(refused) == 2
            raise StoreError("away")
        table.insert_rule_changes(changes)
        if pushes(table) == [1, 2]:
            copied.set()

    store.push(ruleset(a="1"))
    running = log(store, keep)
    running.start()
    assert store.refused.wait(10)
    store.down = False
    store.push(ruleset(a="2"))
    assert copied.wait(10)
    running.stop()
    assert refused[:2] == [[1], [1]]


def test_rows_are_one_a_file_and_one_for_a_change_without(tmp_path: Path) -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    files = (
        RuleFileChange(file="hashes/a.csv", entries=2, expires=at),
        RuleFileChange(file="rules/a.yaml", entries=1, rules=("x", "y")),
    )
    base = {"push": 1, "author": "ann", "reason": "r", "ruleset_version": "v", "changed_at": at}
    writer = ClickHouseWriter(f"chdb://{tmp_path}/store")
    writer.apply_schema()
    writer.insert_rule_changes([
        RuleChange(change_id="1-0", action="push", files=files, **base),
        RuleChange(change_id="2-0", action="rollback", **base),
    ])  # fmt: skip
    found = writer.client.query(
        "SELECT change_id, action, file, entries, rules, toUnixTimestamp(expires_at)"
        " FROM moderation.rule_changes FINAL ORDER BY change_id, file"
    )
    writer.close()
    assert found.result_rows == [
        ("1-0", "push", "hashes/a.csv", 2, [], int(at.timestamp())),
        ("1-0", "push", "rules/a.yaml", 1, ["x", "y"], 0),
        ("2-0", "rollback", "", 0, [], 0),
    ]


def rules(*lines: str) -> str:
    return "rules: [" + ", ".join(f"{{category: spam, score: 0.9, {line}}}" for line in lines) + "]"


SOON, LATER = datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)
A = "id: a, pattern: zebra"
B = f"id: b, pattern: lion, expires: {SOON.isoformat()}"
C = f"id: c, pattern: tiger, expires: {LATER.isoformat()}"
HASHES = "algorithm,hash,category,source,expires\nmd5," + "0" * 32 + ",spam,s,"


@pytest.mark.parametrize(
    ("what", "before", "after", "entries", "ids", "expires"),
    [
        ("a new file", None, rules(A), 1, ("a",), None),
        ("one rule more", rules(A), rules(A, B), 2, ("b",), None),
        ("another rule", rules(B), rules(C), 1, ("c", "b"), LATER),
        ("the last to expire", rules(A), rules(B, C), 2, ("b", "c", "a"), LATER),
        ("a file gone", rules(A), None, 0, ("a",), None),
        ("many rules", None, rules(*(f"id: r{n}, pattern: zebra" for n in range(MAX_RULES + 1))),
         MAX_RULES + 1, tuple(f"r{n}" for n in range(MAX_RULES)), None),
    ],
)  # fmt: skip
def test_what_changed_in_a_file(what, before, after, entries, ids, expires) -> None:
    old, new = ({"rules/t.yaml": text} if text else {} for text in (before, after))
    expected = RuleFileChange(file="rules/t.yaml", entries=entries, rules=ids, expires=expires)
    assert file_changes(old, new) == (expected,), what


def test_hash_lists_are_counted_and_unchanged_files_left_out() -> None:
    lists = {"hashes/a.csv": HASHES + LATER.isoformat() + "\n"}
    change = RuleFileChange(file="hashes/a.csv", entries=1, expires=LATER)
    kept = {"rules/t.yaml": rules(A)}
    assert file_changes(kept, kept | lists) == (change,)
