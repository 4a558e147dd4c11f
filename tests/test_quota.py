"""Guardrails on automatic blocks: quotas of categories and rules, and a share of traffic."""

from datetime import timedelta

import pytest
from builders import AT, judgement
from servers import free_port

from connectors.redis_ledger import RedisLedger
from events.block_count import BlockCount, Rank
from events.messages import Alert, Signal
from events.records import Judgement
from operators.quota import MAX_EXAMPLES, BlockQuota, LocalLedger

QUOTA = 100


def block(number: int, *, rule: str = "", **fields) -> Judgement:
    defaults = {"action": "block", "category": "spam", "decided_at": AT}
    if rule:
        defaults["signals"] = (Signal("rules", rule, "spam", 0.9),)
    return judgement(f"c{number}", **defaults | fields)


def quota(ledger=None, **fields) -> BlockQuota:
    made = {"min_decisions": 10**9} | fields
    return BlockQuota({"spam": QUOTA, "hate": QUOTA}, ledger or LocalLedger(), **made)


def parts(out) -> tuple[list[str], list[Alert]]:
    """The actions in order, and the alerts."""
    actions = [one.decision.action for one in out if isinstance(one, Judgement)]
    return actions, [one for one in out if isinstance(one, Alert)]


@pytest.fixture(params=["local", "redis"])
def ledger(request: pytest.FixtureRequest):
    if request.param == "local":
        return LocalLedger()
    return RedisLedger(request.getfixturevalue("valkey_url"))


@pytest.mark.parametrize("batch", [1, 2, 7, 1000])
def test_of_twice_the_quota_half_is_reviewed_and_one_alert_opens(ledger, batch: int) -> None:
    hold = quota(ledger)
    blocks = [block(number) for number in range(2 * QUOTA)]
    out = [one for at in range(0, len(blocks), batch) for one in hold(blocks[at : at + batch])]
    actions, alerts = parts(out)
    assert actions == ["block"] * QUOTA + ["review"] * QUOTA
    assert [one.content.content_id for one in out if isinstance(one, Judgement)] == [
        one.content.content_id for one in blocks
    ]
    [alert] = alerts
    assert (alert.kind, alert.state, alert.key.category) == ("health", "open", "spam")
    assert alert.expected == QUOTA
    assert alert.observed > QUOTA
    assert alert.examples[0] == f"c{QUOTA}"
    assert "Daily quota of 100 automatic blocks for category spam" in alert.summary


def test_exactly_the_quota_passes_without_an_alert() -> None:
    assert parts(quota()([block(n) for n in range(QUOTA)])) == (["block"] * QUOTA, [])


def test_an_alert_tells_how_far_the_quota_was_passed_and_shows_a_few() -> None:
    _, [alert] = parts(quota()([block(number) for number in range(2 * QUOTA)]))
    assert alert.observed == 2 * QUOTA
    assert alert.examples == tuple(f"c{QUOTA + n}" for n in range(MAX_EXAMPLES))


def test_workers_share_one_quota_and_one_alert(ledger) -> None:
    first, second = quota(ledger), quota(ledger)
    out = []
    for number in range(QUOTA):
        out += first([block(number)]) + second([block(1000 + number)])
    actions, alerts = parts(out)
    assert actions.count("block") == QUOTA
    # Each says it once, and `operators.quota_alerts` makes one of them.
    assert len(alerts) == 2
    assert len({alert.alert_id for alert in alerts}) == 1


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_what_is_replayed_counts_once_and_is_decided_as_before(ledger, batch: int) -> None:
    blocks = [block(number, rule="wild") for number in range(QUOTA + 20)]
    first = quota(ledger, rule_quota={"wild": QUOTA + 10}.get)
    before, opened = parts(first(blocks[: QUOTA + 5]))
    # After a crash another worker, or this one again, reads from an earlier position on.
    again = quota(ledger, rule_quota={"wild": QUOTA + 10}.get)
    replayed = blocks[QUOTA // 2 :]
    actions, alerts = parts(
        [one for at in range(0, len(replayed), batch) for one in again(replayed[at : at + batch])]
    )
    assert actions[: QUOTA // 2 + 5] == before[QUOTA // 2 :]
    assert [(alert.key.signature, alert.observed >= alert.expected + 1) for alert in alerts] == [
        ("quota:category:spam", True),
        ("quota:rule:wild", True),
    ]
    assert alerts[0].alert_id == opened[0].alert_id
    day = f"{AT:%Y-%m-%d}"
    counters = ("category:spam", "rule:wild")
    [ranks], _ = ledger.count(day, [BlockCount("next", 0, counters, final=False)], {})
    assert ranks == dict.fromkeys(counters, Rank(day, QUOTA + 21))


@pytest.mark.parametrize(
    ("what", "again", "rank"),
    [
        ("the same", {}, 1),
        ("its quick answer", {"final": False}, 1),
        ("an edit", {"revision": 1}, 2),
        ("another content", {"content_id": "b"}, 2),
    ],
)
def test_an_identity_keeps_its_rank(ledger, what: str, again, rank: int) -> None:
    first = BlockCount("a", 0, ("rule:r",))
    ledger.count("2026-11-20", [first], {})
    [ranks], _ = ledger.count("2026-11-20", [first._replace(**again)], {})
    assert ranks == {"rule:r": Rank("2026-11-20", rank)}, what


def test_a_counter_that_is_new_to_an_identity_counts_it(ledger) -> None:
    ledger.count("2026-11-20", [BlockCount("a", 0, ("rule:r",))], {})
    [ranks], _ = ledger.count("2026-11-20", [BlockCount("a", 0, ("rule:r", "rule:s"))], {})
    assert ranks["rule:s"] == Rank("2026-11-20", 1)


def test_a_quick_answer_is_ranked_and_not_counted(ledger) -> None:
    quick = BlockCount("a", 0, ("rule:r",), final=False)
    for _ in range(2):
        assert ledger.count("2026-11-20", [quick], {})[0] == [{"rule:r": Rank("2026-11-20", 1)}]


def test_what_is_replayed_after_midnight_belongs_to_the_day_before(ledger) -> None:
    late = AT.replace(hour=23, minute=59)
    [opened] = parts(quota(ledger)([block(n, decided_at=late) for n in range(QUOTA + 1)]))[1]
    after = [block(n, decided_at=late + timedelta(minutes=1)) for n in range(QUOTA, 2 * QUOTA)]
    actions, [alert] = parts(quota(ledger)(after))
    assert actions == ["review"] + ["block"] * (QUOTA - 1)
    assert (alert.alert_id, alert.window_start) == (opened.alert_id, opened.window_start)


def test_traffic_adds_up(ledger) -> None:
    for total in (3, 6):
        assert ledger.count("2026-11-20", [], {"decisions:12": 3}) == ([], {"decisions:12": total})


def test_ranks_expire_with_the_claims_of_their_identities(valkey_url) -> None:
    ledger = RedisLedger(valkey_url)
    ledger.count("2026-11-20", [BlockCount("a", 0, ("rule:r",))], {})
    client = ledger._redis.client
    ttls = {key: client.ttl(key) for key in client.scan_iter()}
    assert 0 < ttls[b"breakwater:claim:0:a"] <= 24 * 3600
    assert all(ttl > 0 for ttl in ttls.values())


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("allowed", {"action": "allow", "category": ""}),
        ("reviewed", {"action": "review"}),
        ("in shadow", {"mode": "shadow"}),
        ("of another category", {"category": "hate"}),
        ("of a category without a quota", {"category": "threat"}),
    ],
)
def test_what_does_not_count(what: str, fields) -> None:
    hold = quota()
    hold([block(number) for number in range(QUOTA)])
    [other] = hold([block(QUOTA, **fields)])
    assert other == block(QUOTA, **fields), what


def test_a_quick_answer_is_held_back_too_but_counted_with_the_final_one() -> None:
    hold = quota()
    pairs = [block(number, final=final) for number in range(QUOTA) for final in (False, True)]
    assert parts(hold(pairs)) == (["block"] * 2 * QUOTA, [])
    actions, [alert] = parts(hold([block(QUOTA, final=False), block(QUOTA)]))
    assert actions == ["review", "review"]
    assert alert.observed == QUOTA + 1


def test_a_rule_has_its_own_quota() -> None:
    hold = quota(rule_quota={"wild": 3}.get)
    actions, alerts = parts(hold([block(n, rule="wild") for n in range(5)] + [block(9, rule="x")]))
    assert actions == ["block"] * 3 + ["review"] * 2 + ["block"]
    assert [alert.key.signature for alert in alerts] == ["quota:rule:wild"]


def test_a_day_later_there_is_room_again() -> None:
    hold = quota()
    hold([block(number) for number in range(QUOTA + 1)])
    later = [block(n, decided_at=AT + timedelta(days=1)) for n in range(QUOTA + 1, 2 * QUOTA + 2)]
    actions, [alert] = parts(hold(later))
    assert actions == ["block"] * QUOTA + ["review"]
    assert alert.window_start == AT.replace(hour=0) + timedelta(days=1)


def test_midnight_within_a_batch() -> None:
    late = AT.replace(hour=23, minute=59)
    batch = [block(n, decided_at=late) for n in range(QUOTA + 1)]
    batch += [block(1000 + n, decided_at=late + timedelta(minutes=1)) for n in range(2)]
    actions, [alert] = parts(quota()(batch))
    assert actions == ["block"] * QUOTA + ["review"] + ["block"] * 2
    assert alert.window_end == (late + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("what", "allowed", "blocked", "actions"),
    [
        ("too few decisions to tell", 0, 9, ["block"]),
        ("at the share", 5, 4, ["block"]),
        ("past the share", 4, 5, ["review"]),
    ],
)
def test_blocks_may_only_be_a_share_of_traffic(what, allowed, blocked, actions) -> None:
    hold = quota(min_decisions=10 if allowed else 11, max_share=0.5)
    hold([judgement(f"a{n}", decided_at=AT) for n in range(allowed)])
    hold([block(n) for n in range(blocked)])
    assert parts(hold([block(99)]))[0] == actions, what


def test_a_flood_opens_one_alert_an_hour() -> None:
    hold = quota(min_decisions=10, max_share=0.5)
    out = hold([block(n) for n in range(20)]) + hold([block(n) for n in range(20, 30)])
    actions, [alert] = parts(out)
    assert actions == ["review"] * 30
    assert alert.key.signature == "quota:share"
    assert (alert.window_start, alert.window_end) == (AT, AT + timedelta(hours=1))
    _, [next_hour] = parts(hold([block(n, decided_at=alert.window_end) for n in range(30, 50)]))
    assert next_hour.alert_id != alert.alert_id


def test_a_flood_is_told_by_who_has_examples_of_it() -> None:
    ledger = LocalLedger()
    first, second = (quota(ledger, min_decisions=10, max_share=0.5) for _ in range(2))
    assert len(parts(first([block(n) for n in range(20)]))[1]) == 1
    assert parts(second([judgement("a", decided_at=AT)])) == (["allow"], [])
    assert len(parts(second([block(20)]))[1]) == 1


def test_a_worker_counts_for_itself_while_the_ledger_is_down() -> None:
    hold = quota(RedisLedger(f"redis://127.0.0.1:{free_port()}/0"))
    actions, alerts = parts(hold([block(number) for number in range(2 * QUOTA)]))
    assert actions == ["block"] * QUOTA + ["review"] * QUOTA
    assert len(alerts) == 1


def test_a_quota_that_is_lowered_below_what_was_blocked_tells_of_it() -> None:
    hold = quota()
    hold([block(number) for number in range(QUOTA)])
    hold.limit({"spam": QUOTA // 2}, 1.0)
    actions, [alert] = parts(hold([block(QUOTA)]))
    assert (actions, alert.expected) == (["review"], QUOTA // 2)


def test_a_ledger_of_one_process_forgets_all_but_two_days_and_the_last_ranks(monkeypatch) -> None:
    monkeypatch.setattr(LocalLedger, "MAX_RANKS", 2)
    ledger = LocalLedger()
    for number, day in enumerate(("2026-11-19", "2026-11-20", "2026-11-21")):
        ledger.count(day, [BlockCount(f"c{number}", 0, ("rule:r",))], {})
    first, second = (
        ledger.count("2026-11-21", [BlockCount(name, 0, ("rule:r",), final=False)], {})[0][0][
            "rule:r"
        ]
        for name in ("c0", "c1")
    )
    assert (first, second) == (Rank("2026-11-21", 2), Rank("2026-11-20", 1))
    assert ledger.count("2026-11-19", [], {"decisions:12": 1})[1] == {"decisions:12": 1}
