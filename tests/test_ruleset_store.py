"""Live rule sets: the same on both stores, followed by watchers, up on every worker."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import redis
from builders import items
from servers import free_port

from connectors.ruleset_store import (
    KEPT_VERSIONS,
    WORKER_TTL_S,
    LocalRulesetStore,
    RedisRulesetStore,
    RulesetChangedError,
    RulesetStore,
    RulesetStoreDownError,
    StoredRuleset,
    WorkerReport,
)
from connectors.ruleset_watcher import RulesetWatcher
from flows.live_rules import LiveRulebook
from operators.regex_match import LiveRuleMatcher
from policy.rules import parse_rules

URGENT = "rules: [{id: urgent, category: spam, score: 0.9, pattern: zebra crossing}]"
BROKEN = "rules: [{id: urgent, category: spam, score: 0.9, pattern: '(a+)+$'}]"


def ruleset(**files: str) -> StoredRuleset:
    named = {f"rules/{name}.yaml": text for name, text in files.items()}
    return StoredRuleset(
        files=named, author="ann", reason="a wave", pushed_at=datetime(2026, 11, 21, tzinfo=UTC)
    )


@pytest.fixture(params=["local", "redis"])
def store(request: pytest.FixtureRequest) -> RulesetStore:
    if request.param == "local":
        return LocalRulesetStore()
    return RedisRulesetStore(request.getfixturevalue("valkey_url"))


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    for folder in ("rules", "hashes"):
        (tmp_path / folder).mkdir()
    (tmp_path / "rules" / "base.yaml").write_text(
        "rules: [{id: base, category: spam, score: 0.9, pattern: free money}]"
    )
    return tmp_path


class Applied:
    """What a watcher applied, to be waited for."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._changed = threading.Condition()

    def __call__(self, stored: StoredRuleset) -> str:
        if BROKEN in stored.files.values():
            raise ValueError("does not compile")
        with self._changed:
            self.numbers.append(stored.number)
            self._changed.notify_all()
        return f"v{stored.number}"

    def wait_for(self, number: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: number in self.numbers, 10)


def watch(store: RulesetStore, apply: Callable[[StoredRuleset], str]) -> RulesetWatcher:
    return RulesetWatcher(store, apply, "w1", "v0", jitter_s=0.0, beat_s=0.05)


# The store


def test_a_new_store_has_nothing(store) -> None:
    assert store.active_number() == 0
    assert store.load(1) is None
    assert store.workers() == {}


def test_versions_are_numbered_and_the_last_is_active(store) -> None:
    assert [store.push(ruleset(a="1")), store.push(ruleset(a="2"))] == [1, 2]
    assert store.active_number() == 2
    assert store.load(1).files == {"rules/a.yaml": "1"}
    assert (store.load(2).number, store.load(2).author) == (2, "ann")
    assert store.load(3) is None


def test_a_version_made_from_another_than_the_active_one_is_not_stored(store) -> None:
    store.push(ruleset(a="1"), after=0)
    with pytest.raises(RulesetChangedError, match="push 1 meanwhile"):
        store.push(ruleset(b="1"), after=0)
    assert (store.active_number(), store.load(2)) == (1, None)
    assert store.push(ruleset(a="1", b="1"), after=1) == 2


def test_old_versions_are_let_go(store) -> None:
    for _ in range(KEPT_VERSIONS + 1):
        store.push(ruleset())
    assert store.load(1) is None
    assert store.load(2) is not None


def test_a_wait_is_over_with_a_push_or_with_its_time(store) -> None:
    store.wait(0.01)
    with ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(store.wait, 60)
        store.push(ruleset())
        waiting.result(30)
    for _ in range(3):  # what the server said besides
        store.wait(0.01)
    began = time.monotonic()
    store.wait(0.1)
    assert time.monotonic() - began > 0.09


def test_a_server_whose_memory_is_full_says_what_to_do(valkey_url) -> None:
    client = redis.Redis.from_url(valkey_url)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(RulesetStoreDownError, match=r"is full.*raise its maxmemory"):
            RedisRulesetStore(valkey_url).push(ruleset())
    finally:
        client.config_set("maxmemory", 0)


def test_reports_of_workers_are_kept_by_name(store) -> None:
    store.report("w1", WorkerReport(0, "v0"))
    store.report("w1", WorkerReport(1, "v1"))
    failed = WorkerReport(1, "v1", "why", 2)
    store.report("w:2", failed)
    assert store.workers() == {"w1": WorkerReport(1, "v1"), "w:2": failed}


def test_a_silent_worker_is_gone() -> None:
    now = [0.0]
    store = LocalRulesetStore(lambda: now[0])
    store.report("w1", WorkerReport(0, "v0"))
    now[0] = WORKER_TTL_S
    assert set(store.workers()) == {"w1"}
    now[0] += 0.1
    assert store.workers() == {}


def test_a_server_that_does_not_answer_is_said_so() -> None:
    store = RedisRulesetStore(f"redis://127.0.0.1:{free_port()}/0")
    for ask in (store.active_number, store.workers, lambda: store.wait(0.1)):
        with pytest.raises(RulesetStoreDownError, match="BREAKWATER_REDIS_URL"):
            ask()


# The watcher


def test_a_missed_broadcast_is_noticed_with_the_next_beat(valkey_url) -> None:
    store, applied = RedisRulesetStore(valkey_url), Applied()
    watcher = watch(store, applied)
    watcher.start()
    with redis.Redis.from_url(valkey_url) as client:
        client.set("breakwater:rules:version:1", msgspec.json.encode(ruleset(a="1")))
        client.incr("breakwater:rules:active")
    assert applied.wait_for(1)
    watcher.stop()


def test_a_store_that_lost_its_memory_takes_no_rules_away(valkey_url) -> None:
    store, applied = RedisRulesetStore(valkey_url), Applied()
    watcher = watch(store, applied)
    store.push(ruleset(a="1"))
    watcher.catch_up()
    with redis.Redis.from_url(valkey_url) as client:
        client.flushdb()
    watcher.start()
    assert applied.numbers == [1]
    assert store.workers() == {"w1": WorkerReport(0, "v1")}
    # The number of a push that was applied before: only the report tells of the new one.
    store.push(ruleset(a="1"))
    deadline = time.monotonic() + 10
    while store.workers()["w1"].number != 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    watcher.stop()
    assert store.workers() == {"w1": WorkerReport(1, "v1")}


def test_rules_age_only_while_they_are_followed() -> None:
    watcher = watch(Flaky(LocalRulesetStore()), Applied())
    watcher.catch_up()
    assert watcher.age_s == 0.0
    watcher.start()
    watcher.stop()
    assert watcher.age_s > 0.0


def test_an_error_of_ours_does_not_end_the_following() -> None:
    store, applied = LocalRulesetStore(), Applied()

    def apply(stored: StoredRuleset) -> str:
        if stored.number == 1:
            raise KeyError("a mistake")
        return applied(stored)

    watcher = watch(store, apply)
    watcher.start()
    store.push(ruleset(a="1"))
    store.push(ruleset(a="2"))
    assert applied.wait_for(2)
    watcher.stop()


def test_a_worker_that_starts_late_catches_up(store) -> None:
    store.push(ruleset(a="1"))
    store.push(ruleset(a="2"))
    applied = Applied()
    watcher = watch(store, applied)
    watcher.catch_up()
    assert applied.numbers == [2]
    assert store.workers() == {}  # only who follows is waited for
    watcher.catch_up()
    assert applied.numbers == [2]
    watcher.start()
    assert store.workers() == {"w1": WorkerReport(2, "v2")}
    watcher.stop()


def test_a_push_reaches_a_running_worker(store) -> None:
    applied = Applied()
    watcher = watch(store, applied)
    watcher.start()
    store.push(ruleset(a="1"))
    assert applied.wait_for(1)
    store.push(ruleset(a="2"))
    assert applied.wait_for(2)
    watcher.stop()
    assert store.workers() == {"w1": WorkerReport(2, "v2")}


def test_a_version_that_cannot_be_used_leaves_the_old_one_running(store) -> None:
    applied = Applied()
    watcher = watch(store, applied)
    store.push(ruleset(a="1"))
    watcher.catch_up()
    store.push(ruleset(a=BROKEN))
    watcher.start()
    assert watcher.number == 1
    assert store.workers() == {"w1": WorkerReport(1, "v1", "does not compile", 2)}
    store.push(ruleset(a="3"))
    assert applied.wait_for(3)
    watcher.stop()
    assert store.workers() == {"w1": WorkerReport(3, "v3")}


class Flaky:
    """A store whose line can be cut."""

    def __init__(self, store: RulesetStore) -> None:
        self._store = store
        self.down = False
        self.refused = threading.Event()

    def __getattr__(self, name: str):
        if self.down:
            self.refused.set()
            raise RulesetStoreDownError("down")
        return getattr(self._store, name)


def test_the_last_version_runs_on_while_the_store_is_down() -> None:
    store, applied = Flaky(LocalRulesetStore()), Applied()
    store.push(ruleset(a="1"))
    watcher = watch(store, applied)
    watcher.start()
    assert applied.wait_for(1)
    store.down = True
    assert store.refused.wait(10)
    assert watcher.number == 1
    store.down = False
    store.push(ruleset(a="2"))
    assert applied.wait_for(2)
    watcher.stop()


# The stages


def rules_of(book: LiveRulebook, text: str) -> list[str]:
    batch = book.rule_matcher(book.hash_matcher(items(2, text=text)))
    assert {one.ruleset_version for one in batch} == {book.rule_matcher.version}
    return [":".join(signal.rule.split(":")[:2]) for signal in batch[0].signals]


def test_a_pushed_file_lies_over_the_policy_directory(store, policy) -> None:
    book = LiveRulebook(policy, store, "w1")
    before = book.rule_matcher.version
    assert rules_of(book, "free money at the zebra crossing") == ["base"]
    store.push(ruleset(urgent=URGENT))
    book.watcher.catch_up()
    assert rules_of(book, "free money at the zebra crossing") == ["base", "urgent"]
    store.push(ruleset(base="rules: []"))
    book.watcher.catch_up()
    assert rules_of(book, "free money at the zebra crossing") == []
    store.push(ruleset())
    book.watcher.catch_up()
    assert rules_of(book, "free money at the zebra crossing") == ["base"]
    assert book.rule_matcher.version == before


def test_a_pushed_hash_list_is_looked_up(store, policy) -> None:
    book, heard = LiveRulebook(policy, store, "w1"), []
    book.on_hashes(heard.append)
    entry = "md5,5d41402abc4b2a76b9719d911017c592,spam,test\n"  # of `hello`
    pushed = ruleset()
    pushed.files["hashes/new.csv"] = "algorithm,hash,category,source\n" + entry
    store.push(pushed)
    book.watcher.catch_up()
    assert rules_of(book, "hello") == ["md5:test"]
    assert heard == [book.hashes]


def test_a_broken_push_leaves_the_stages_as_they_were(store, policy) -> None:
    book = LiveRulebook(policy, store, "w1")
    before = book.rule_matcher.current
    store.push(ruleset(urgent=BROKEN))
    book.watcher.start()
    book.watcher.stop()
    assert book.rule_matcher.current is before
    assert "catastrophic" in store.workers()["w1"].error


def test_items_say_when_their_rules_may_be_old() -> None:
    age = [30.0]
    matcher = LiveRuleMatcher(parse_rules({}), "v", age_s=lambda: age[0], stale_s=30.0)
    assert matcher(items(1))[0].degraded == []
    age[0] = 30.1
    assert matcher(items(1))[0].degraded == [LiveRuleMatcher.STALE]


def test_no_item_is_lost_or_read_twice_across_a_hundred_pushes(policy) -> None:
    store = LocalRulesetStore()
    book = LiveRulebook(policy, store, "w1")
    book.watcher.start()
    seen, wrong = [], []
    for number in range(100):
        urgent = f"rules: [{{id: r{number}, category: spam, score: 0.9, pattern: zebra}}]"
        store.push(ruleset(urgent=urgent))
        for one in book.rule_matcher(items(20, text="zebra with free money")):
            seen.append(one.ruleset_version)
            # The rules of one version and of no other: at most one `r<number>` beside the base.
            rules = [signal.rule for signal in one.signals]
            wrong += [rules] if rules.count("base") != 1 or len(rules) > 2 else []
    book.watcher.stop()
    assert len(seen) == 2000
    assert wrong == []
