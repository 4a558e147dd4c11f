"""Guardrails on automatic blocks: quotas of categories and rules, and a share of traffic."""

from datetime import timedelta

import pytest
from builders import AT, judgement
from servers import free_port

from connectors.redis_ledger import RedisLedger
from events.messages import Alert, Judgement, Signal
from operators.quota import BlockQuota, LocalLedger

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


def test_workers_share_one_quota_and_one_alert(ledger) -> None:
    first, second = quota(ledger), quota(ledger)
    out = []
    for number in range(QUOTA):
        out += first([block(number)]) + second([block(1000 + number)])
    actions, alerts = parts(out)
    assert actions.count("block") == QUOTA
    assert len(alerts) == 1


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


def test_a_day_later_there_is_room_again_and_the_alert_is_resolved() -> None:
    hold = quota()
    _, [opened] = parts(hold([block(number) for number in range(QUOTA + 1)]))
    actions, [resolved] = parts(hold([block(0, decided_at=AT + timedelta(days=1))]))
    assert actions == ["block"]
    assert (resolved.state, resolved.alert_id) == ("resolved", opened.alert_id)


def test_midnight_within_a_batch() -> None:
    late = AT.replace(hour=23, minute=59)
    batch = [block(n, decided_at=late) for n in range(QUOTA + 1)]
    batch += [block(n, decided_at=late + timedelta(minutes=1)) for n in range(2)]
    actions, alerts = parts(quota()(batch))
    assert actions == ["block"] * QUOTA + ["review"] + ["block"] * 2
    assert [alert.state for alert in alerts] == ["open", "resolved"]


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
    later = hold([judgement("a", decided_at=AT + timedelta(hours=1))])
    assert parts(later)[1][0].state == "resolved"


def test_a_worker_counts_for_itself_while_the_ledger_is_down() -> None:
    hold = quota(RedisLedger(f"redis://127.0.0.1:{free_port()}/0"))
    actions, alerts = parts(hold([block(number) for number in range(2 * QUOTA)]))
    assert actions == ["block"] * QUOTA + ["review"] * QUOTA
    assert len(alerts) == 1


def test_a_ledger_goes_on_from_its_snapshot() -> None:
    ledger = LocalLedger()
    quota(ledger)([block(number) for number in range(QUOTA - 1)])
    hold = quota(LocalLedger(ledger.snapshot()))
    assert parts(hold([block(1), block(2)]))[0] == ["block", "review"]


def test_a_ledger_forgets_all_but_two_days() -> None:
    ledger = LocalLedger()
    for day in ("2026-11-19", "2026-11-20", "2026-11-21"):
        ledger.add(day, {"a": 1})
    assert set(ledger.snapshot()) == {"2026-11-20", "2026-11-21"}
