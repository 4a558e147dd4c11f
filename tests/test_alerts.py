"""One attack, one alert: how surging keys are grouped and followed."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from events.messages import Alert, AlertKey, AlertState
from operators.alerts import AlertGrouper, ShardReport, rated, severity_by
from operators.incident import MAX_MEMBERS
from operators.sketch import hash64
from operators.surge_settings import KeySurge
from operators.surge_tally import Example
from policy.policy import CategoryOverride, CommunityPolicy, Policy, load_policy

START = 1_772_409_600.0


def surge(
    category: str = "spam",
    signature: str = "",
    community: str = "",
    *,
    state: AlertState = "open",
    minute: int = 1,
    opened: int = 0,
    observed: int = 40,
    expected: float = 2.0,
    authors: Sequence[str] = ("a", "b", "c", "d", "e", "f"),
) -> KeySurge:
    return KeySurge(
        key=AlertKey(category, signature, community),
        state=state,
        opened_at=START + 60 * opened,
        window_end=START + 60 * minute,
        observed=observed,
        expected=expected,
        z_score=9.0,
        authors=tuple(sorted(map(hash64, authors))),
        examples=(Example("c1", "buy at evil.example"),),
    )


def say(*changes: KeySurge, grouper: AlertGrouper | None = None) -> list[Alert]:
    """What one shard's changes make, window by window."""
    grouper = grouper or AlertGrouper(shards=1)
    alerts: list[Alert] = []
    for end in sorted({change.window_end for change in changes}):
        now = tuple(change for change in changes if change.window_end == end)
        alerts += grouper.observe(ShardReport("s", end, now))
    return alerts


OTHERS = ("u", "v", "w", "x", "y", "z")


D1, D2 = ("spam", "evil.example"), ("spam", "bad.example")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        # The narrowest key that holds most of the excess names the alert.
        ([surge(), surge(*D1)], [D1]),
        (
            [surge(observed=90), surge(*D1, observed=80), surge(*D1, "c1", observed=20)],
            [D1],
        ),
        ([surge("hate"), surge("hate", "", "c1", observed=38)], [("hate", "", "c1")]),
        # Most is from six tenths of the largest excess on.
        ([surge(observed=12), surge(*D1, observed=8)], [D1]),
        ([surge(observed=12), surge(*D1, observed=7)], [("spam",)]),
        # What was expected is no excess.
        ([surge(*D1, observed=130, expected=100), surge(*D2, observed=40)], [D2]),
        # A link names better than the wording around it, a content that was reported best.
        ([surge("spam", "text:1"), surge(*D1, observed=38)], [D1]),
        ([surge(*D1), surge("spam", "content:c1", observed=38)], [("spam", "content:c1")]),
        # Many domains, none of which holds much.
        (
            [surge(observed=200), *(surge("spam", f"d{n}.example", observed=20) for n in range(5))],
            [("spam",)],
        ),
        # One crowd under two categories, one signature under two.
        (
            [surge("hate", "", "c1"), surge("harassment", "", "c1", observed=30)],
            [("hate", "", "c1")],
        ),
        ([surge(*D1), surge("sexual", D1[1], authors=OTHERS, observed=30)], [D1]),
        # One wording in two clusters.
        (
            [surge("spam", "text:1"), surge("spam", "text:2", authors=OTHERS, observed=30)],
            [("spam", "text:1")],
        ),
        # Two attacks at once.
        ([surge(*D1), surge(*D2, authors=OTHERS, observed=30)], [D1, D2]),
    ],
)
def test_keys_that_surge_together(changes: list[KeySurge], named: list[tuple[str, ...]]) -> None:
    assert [alert.key for alert in say(*changes)] == [AlertKey(*key) for key in named]


def test_a_key_that_follows_joins_and_says_nothing() -> None:
    first = surge("spam", "evil.example")
    assert len(say(first, replace(surge(), opened_at=START + 60, window_end=START + 120))) == 1


def test_a_second_attack_inside_a_broad_surge_is_an_alert_of_its_own() -> None:
    grouper = AlertGrouper(shards=1)
    say(surge("spam", "evil.example"), surge(authors=("a", "b", "c", *OTHERS)), grouper=grouper)
    second = surge("spam", "bad.example", minute=2, opened=1, authors=OTHERS)
    assert [alert.key.signature for alert in say(second, grouper=grouper)] == ["bad.example"]


def test_who_shares_authors_with_any_narrow_key_of_an_attack_belongs_to_it() -> None:
    grouper = AlertGrouper(shards=1)
    beside = surge("spam", "beside.example", observed=30, authors=("a", "b", *OTHERS))
    assert len(say(surge(*D1), beside, grouper=grouper)) == 1
    assert say(surge(*D2, minute=2, opened=1, authors=OTHERS), grouper=grouper) == []


def test_an_update_comes_when_the_count_has_doubled() -> None:
    counts = [40, 60, 79, 80, 150, 170]
    alerts = say(*(
        surge("spam", "evil.example", state="update" if n else "open", minute=n + 1, observed=count)
        for n, count in enumerate(counts)
    ))  # fmt: skip
    assert [(alert.state, alert.observed) for alert in alerts] == [
        ("open", 40),
        ("update", 80),
        ("update", 170),
    ]
    assert len({alert.alert_id for alert in alerts}) == 1


def test_growth_and_a_new_leader_in_one_window_are_one_update() -> None:
    grouper = AlertGrouper(shards=1)
    say(surge("spam", observed=100), surge("spam", "a.example", observed=20), grouper=grouper)
    (told,) = say(
        surge("spam", state="update", minute=2, observed=200),
        surge("spam", "b.example", minute=2, opened=1, observed=90),
        grouper=grouper,
    )
    assert (told.state, told.observed) == ("update", 200)
    assert "most of it b.example (90)" in told.summary


def test_an_alert_is_over_when_all_its_keys_are_and_a_while_has_passed() -> None:
    grouper = AlertGrouper(shards=1, linger=300)
    say(surge("spam", "evil.example"), surge(), grouper=grouper)
    one = surge("spam", "evil.example", state="resolved", minute=10)
    both = surge(state="resolved", minute=20)
    assert say(one, both, grouper=grouper) == []
    assert grouper.observe(ShardReport("s", START + 60 * 24, ())) == []
    (end,) = grouper.observe(ShardReport("s", START + 60 * 25, ()))
    assert (end.state, end.key.signature) == ("resolved", "evil.example")
    assert grouper.finish() == []


def test_flapping_is_one_alert_that_adds_up() -> None:
    alerts = say(
        surge("spam", "evil.example", observed=40),
        surge("spam", "evil.example", state="resolved", minute=12, observed=50),
        surge("spam", "evil.example", minute=15, opened=14, observed=45),
        replace(
            surge("spam", "evil.example", state="resolved", minute=30, opened=14, observed=60),
            z_score=6.0,
        ),
        surge("hate", minute=60, opened=59),
    )
    assert [alert.state for alert in alerts] == ["open", "update", "resolved", "open"]
    assert (alerts[2].observed, alerts[2].z_score) == (110, 9.0)
    assert alerts[2].window_start.timestamp() == START


def test_shards_are_waited_for_so_that_their_order_makes_no_difference() -> None:
    broad, narrow = surge(), surge("spam", "evil.example")
    reports = [ShardReport("x", START + 60, (broad,)), ShardReport("y", START + 60, (narrow,))]
    for order in (reports, reports[::-1]):
        grouper = AlertGrouper(shards=2)
        assert grouper.observe(order[0]) == []
        assert [alert.key for alert in grouper.observe(order[1])] == [narrow.key]


def test_the_end_of_the_stream_resolves_everything_once() -> None:
    grouper = AlertGrouper(shards=1)
    say(surge(), grouper=grouper)
    over = surge(state="resolved", minute=2)
    alerts = grouper.observe(ShardReport("s", math.inf, (over,))) + grouper.finish()
    assert [alert.state for alert in alerts] == ["resolved"]


def test_severity_is_what_the_policy_says_of_the_category_there() -> None:
    policy = load_policy()
    file = msgspec.structs.replace(
        policy.file,
        communities={"kids": CommunityPolicy(categories={"spam": CategoryOverride(severity=5)})},
    )
    severity_of = severity_by(lambda: Policy(file, "1"))
    alerts = say(
        surge("spam"),
        surge("hate", authors=OTHERS),
        surge("threat", authors=("t", "s", "r")),
        surge("spam", "", "kids", authors=("k", "l", "m")),
        surge("other", authors=("n", "o", "p")),
        grouper=AlertGrouper(1),
    )
    rate = [rated(alert, severity_of) for alert in alerts]
    assert {(a.key.category, a.key.community): a.severity for a in rate} == {
        ("spam", ""): "warning",
        ("hate", ""): "error",
        ("threat", ""): "critical",
        ("spam", "kids"): "critical",
        ("other", ""): "error",  # no category of the policy
    }


def test_a_new_leading_cluster_is_news() -> None:
    grouper = AlertGrouper(shards=1)
    broad = surge("spam", observed=100)
    first = surge("spam", "a.example", observed=20)
    (opened,) = say(broad, first, grouper=grouper)
    assert "most of it a.example (20)" in opened.summary
    close = surge("spam", "b.example", minute=2, opened=1, observed=25)
    assert say(close, grouper=grouper) == []
    (told,) = say(
        replace(close, observed=30, state="update", window_end=START + 180), grouper=grouper
    )
    assert (told.state, told.alert_id) == ("update", opened.alert_id)
    assert "most of it b.example (30)" in told.summary


def test_a_campaign_that_outgrows_the_wording_that_named_it_is_news() -> None:
    grouper = AlertGrouper(shards=1)
    wording, broad = surge("spam", "text:1", observed=15), surge("spam", observed=17)
    (opened,) = say(wording, broad, grouper=grouper)
    assert opened.key.signature == "text:1"
    totals = [20, 27, 28, 40, 56, 57, 112]
    told = say(
        *(surge("spam", state="update", minute=2 + n, observed=at) for n, at in enumerate(totals)),
        grouper=grouper,
    )
    assert [(alert.state, alert.alert_id) for alert in told] == [("update", opened.alert_id)] * 3
    assert [alert.summary.rpartition(", ")[2] for alert in told] == [
        "by now 28 of spam", "by now 56 of spam", "by now 112 of spam",
    ]  # fmt: skip
    over = [replace(wording, state="resolved"), surge("spam", state="resolved", observed=150)]
    (end,) = say(*(replace(c, window_end=START + 900) for c in over), grouper=grouper) + (
        grouper.finish()
    )
    assert "by now 150 of spam" in end.summary


def test_the_first_campaign_in_a_broad_surge_is_news() -> None:
    grouper = AlertGrouper(shards=1)
    (opened,) = say(surge("spam", observed=100), grouper=grouper)
    assert "most of it" not in opened.summary
    first = surge("spam", "a.example", minute=2, opened=1, observed=20)
    (told,) = say(first, grouper=grouper)
    assert (told.state, told.alert_id) == ("update", opened.alert_id)
    assert "most of it a.example (20)" in told.summary


def test_the_campaign_that_leads_is_the_one_with_most_of_the_excess() -> None:
    (opened,) = say(
        surge("spam", observed=100),
        surge("spam", "usual.example", observed=50, expected=45),
        surge("spam", "new.example", observed=20),
    )
    assert "most of it new.example (20)" in opened.summary


def test_an_attack_with_keys_without_end_stays_bounded() -> None:
    grouper = AlertGrouper(shards=1)
    many = [surge("spam", f"d{n}.example", observed=20) for n in range(2_000)]
    assert len(say(surge(observed=4_000), *many, grouper=grouper)) == 1
    assert len(grouper._incidents[0].members) <= MAX_MEMBERS + 1
    (told,) = say(surge(state="update", minute=2, observed=8_000), grouper=grouper)
    assert (told.state, told.observed) == ("update", 8_000), "what it knows it follows"


def test_an_alert_shows_three_examples_and_the_last_windows() -> None:
    change = replace(
        surge(),
        examples=tuple(Example(f"c{n}", f"text {n}" if n else "") for n in range(5)),
        recent=(0, 0, 40),
        last_hour=40,
        last_day=45,
        changed="rules 1 to 2 at 00:00 UTC",
    )
    (alert,) = say(change)
    assert alert.examples == ("c0", "c1", "c2", "c3", "c4")
    assert alert.texts == ("text 1", "text 2", "text 3")
    assert (alert.recent, alert.last_hour, alert.last_day) == ((0, 0, 40), 40, 45)
    assert "shortly after a change: rules 1 to 2" in alert.summary


def test_a_restored_grouper_goes_on() -> None:
    grouper = AlertGrouper(shards=1)
    opened = say(surge("spam", "evil.example"), grouper=grouper)
    grouper = pickle.loads(pickle.dumps(grouper))
    grown = surge("spam", "evil.example", state="update", minute=2, observed=100)
    assert say(grown, grouper=grouper)[0].alert_id == opened[0].alert_id


def test_the_summary_says_what_how_much_who_and_since_when() -> None:
    (alert,) = say(surge("spam", "evil.example", "c1"))
    assert alert.summary == (
        "Surge of spam sharing evil.example in c1: 40 in 1 min where 2.0 were expected,"
        " by about 6 authors, since 2026-03-02 00:00 UTC"
    )
    (alert,) = say(surge(), surge("spam", "evil.example", observed=20))
    assert alert.summary.endswith("UTC, seen under 2 keys, most of it evil.example (20)")
