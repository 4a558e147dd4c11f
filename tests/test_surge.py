"""From judgements to alerts, through the engine: one alert for one attack."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import bytewax.operators as op
import msgspec
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main

from connectors.ruleset_store import LocalRulesetStore, StoredRuleset
from events.messages import (
    Alert,
    AlertKey,
    Content,
    Decision,
    Image,
    Signal,
    UserReport,
)
from events.records import Judgement, ReportedContent
from flows.live_policy import LivePolicy
from operators.alerts import severity_by
from operators.signature import text_cluster
from operators.surge import SHARDS, report_events, shard_of, surge, surge_events
from operators.surge_settings import SurgeSettings
from operators.surge_tally import SurgeEvent, Tick
from policy.personal_data import redactor
from policy.policies import read_policies
from policy.policy import BUILT_IN, load_policy

PICTURE = Image("i", data=b"1")
START = datetime(2026, 3, 2, tzinfo=UTC)


def judgement(
    number: int,
    second: float,
    category: str = "",
    text: str = "words",
    author: str = "a",
    community: str = "",
    **changed: Any,
) -> Judgement:
    at = START + timedelta(seconds=second)
    content = Content(f"c{number}", at, author, text=text, community=community)
    decision = Decision(
        **{
            "decision_id": f"d{number}",
            "content_id": content.content_id,
            "revision": 0,
            "author_id": author,
            "community": community,
            "kind": "post",
            "action": "block" if category else "allow",
            "category": category,
            "scores": {},
            "signals": (),
            "final": True,
            "mode": "live",
            "degraded": (),
            "policy_version": "1",
            "ruleset_version": "1",
            "model_versions": {},
            "created_at": at,
            "decided_at": at,
            "latency_ms": 1.0,
        }
        | changed
    )
    return Judgement(content, decision)


def keys_of(items: list[tuple[str, SurgeEvent | Tick]]) -> list[AlertKey]:
    return [item.key for _, item in items if isinstance(item, SurgeEvent)]


def test_a_violation_counts_under_all_that_may_name_its_campaign() -> None:
    items = surge_events([judgement(1, 0, "spam", "win at http://a.com", community="c")])
    wording = text_cluster("win at")
    assert keys_of(items) == [
        AlertKey("spam"),
        AlertKey("spam", "a.com"),
        AlertKey("spam", wording),
        AlertKey("spam", "", "c"),
        AlertKey("spam", "a.com", "c"),
    ]
    assert all(
        shard == shard_of(event.key) for shard, event in items if isinstance(event, SurgeEvent)
    )


@pytest.mark.parametrize("changed", [{"action": "allow"}, {"mode": "shadow"}, {"final": False}])
def test_only_final_live_decisions_other_than_allow_count(changed: dict[str, Any]) -> None:
    assert keys_of(surge_events([judgement(1, 0, "spam", **changed)])) == []


def test_a_matched_hash_is_the_signature() -> None:
    signal = Signal("hash", "pdq:list:17:3", "csam", 1.0)
    items = surge_events([judgement(1, 0, "csam", "http://a.com", signals=(signal,))])
    assert keys_of(items)[1].signature == "hash:pdq:list:17"


def test_all_content_moves_the_clock_of_every_shard() -> None:
    items = surge_events([judgement(n, second) for n, second in enumerate((0, 70, 90))])
    start = START.timestamp()
    minutes = {int(start // 60): 1, int(start // 60) + 1: 2}
    tick = Tick(start + 70, minutes, (("policy", "1"), ("rules", "1")))
    assert items == [(shard, tick) for shard in SHARDS]
    assert surge_events([]) == []


def events_of(judged: Judgement, **options: Any) -> list[SurgeEvent]:
    return [item for _, item in surge_events([judged], **options) if isinstance(item, SurgeEvent)]


@pytest.mark.parametrize(
    ("text", "category", "shown"),
    [
        ("write to ann@mail.example  now\n", "spam", "write to **************** now"),
        ("a" * 110 + " ann@mail.example", "spam", "a" * 110 + " *********"),  # cut afterwards
        ("to" + " " * 467 + "ann@mail.example", "spam", "to ****************"),
        ("anything", "csam", ""),
        ("", "spam", ""),
    ],
)
def test_an_excerpt_shows_what_the_policy_lets_be_shown(
    text: str, category: str, shown: str
) -> None:
    judged = judgement(1, 0, category, "x")
    judged = Judgement(
        msgspec.structs.replace(judged.content, text=text, images=[PICTURE]), judged.decision
    )
    redact = redactor(load_policy().file.personal_data)
    assert {event.text for event in events_of(judged, redact=redact)} == {shown}


def test_the_clock_carries_the_versions_that_decided() -> None:
    made = [
        judgement(n, 0, ruleset_version=rules, model_versions={"text": "3"})
        for n, rules in enumerate("12")
    ]
    told = {item.versions for _, item in surge_events(made) if isinstance(item, Tick)}
    assert [dict(versions) for versions in told] == [{"policy": "1", "rules": "2", "text": "3"}]


def test_a_policy_on_trial_is_no_change_of_the_policy() -> None:
    made = [judgement(1, 0), judgement(2, 0, policy_version="on trial")]
    items = [item for _, item in surge_events(made, policy_version=lambda: "1")]
    told = {item.versions for item in items if isinstance(item, Tick)}
    assert [dict(versions)["policy"] for versions in told] == ["1"]


def test_a_content_from_the_future_counts_when_it_was_decided() -> None:
    ahead = judgement(1, 0, "spam", created_at=START + timedelta(days=40_000))
    items = [item for _, item in surge_events([ahead])]
    assert {item.at for item in items} == {START.timestamp()}


def test_a_report_from_the_future_counts_now() -> None:
    ahead = report(1, second=1e9)
    items = [item for _, item in report_events([ahead], now=lambda: 17.0)]
    assert {item.at for item in items} == {17.0}


def report(number: int, second: float, category: str = "spam", about: str = "p1") -> UserReport:
    at = START + timedelta(seconds=second)
    return UserReport(
        report_id=f"r{number}",
        content_id=about,
        reporter_id=f"u{number}",
        category=category,
        reported_at=at,
    )


@pytest.mark.parametrize(("category", "named"), [("spam", "report:spam"), ("", "report:")])
def test_a_report_counts_under_its_category_and_its_content(category: str, named: str) -> None:
    items = report_events([report(1, 0, category)])
    assert keys_of(items) == [AlertKey(named), AlertKey(named, "content:p1")]
    assert sum(isinstance(item, Tick) for _, item in items) == len(SHARDS)
    assert report_events([]) == []


def test_a_report_counts_in_its_community_if_it_names_one() -> None:
    named = msgspec.structs.replace(report(1, 0), community="news")
    assert AlertKey("report:spam", community="news") in keys_of(report_events([named]))


@pytest.mark.parametrize(
    ("known", "keys"),
    [
        (
            ReportedContent("pets", "win at http://a.com"),
            [
                AlertKey("report:spam", "a.com"),
                AlertKey("report:spam", text_cluster("win at")),
                AlertKey("report:spam", "", "pets"),
                AlertKey("report:spam", "a.com", "pets"),
            ],
        ),
        (
            ReportedContent("", "", "s3://b/i.png", "pdq:list:17:3"),
            [AlertKey("report:spam", "hash:pdq:list:17")],
        ),
        (ReportedContent("", "", "s3://b/i.png"), 1),  # the picture by its URI
        (ReportedContent(), []),  # its text is gone
    ],
)
def test_a_report_counts_under_what_its_content_shares_with_others(
    known: ReportedContent, keys: list[AlertKey] | int
) -> None:
    items = report_events([report(1, 0)], lambda _: {"p1": known, "p2": ReportedContent("x", "y")})
    first, *shared, last = keys_of(items)
    assert [first, last] == [AlertKey("report:spam"), AlertKey("report:spam", "content:p1")]
    assert (shared if isinstance(keys, list) else len(shared)) == keys


@pytest.mark.parametrize(
    ("about", "named"),
    [
        (lambda _: "victim", "content:victim"),  # one content, whatever it shares with others
        (lambda n: f"bad{n}", "evil.example"),  # a campaign that was let through
    ],
)
@pytest.mark.parametrize("batch_size", [1, 20, 1000])
def test_a_wave_of_reports_is_one_alert(
    about: Callable[[int], str], named: str, batch_size: int
) -> None:
    def lookup(ids: Sequence[str]) -> dict[str, ReportedContent]:
        bad = {name for name in ids if not name.startswith("p")}
        return {
            name: ReportedContent("pets", f"look http://evil.example/{name}" * (name in bad))
            for name in ids
        }

    quiet = [report(n, 20.0 * n, about=f"p{n}") for n in range(300)]
    wave = [report(n, 3_600 + n, about=about(n)) for n in range(1_000, 1_100)]
    made = sorted(quiet + wave, key=lambda r: r.reported_at)
    out: list[Alert] = []
    flow = Dataflow("reports")
    source = TestingSource(made, batch_size=batch_size)
    counted = op.flat_map_batch(
        "count", op.input("in", flow, source), partial(report_events, lookup=lookup)
    )
    policy, text = (
        LivePolicy(BUILT_IN, store := LocalRulesetStore()),
        read_policies()["policy.yaml"],
    )
    rate = severity_by(lambda: policy.current.live)
    op.output("out", surge("find", counted, SurgeSettings(), rate).alerts, TestingSink(out))
    run_main(flow)
    files = {"policy.yaml": text.replace("{severity: 1", "{severity: 5")}
    store.push(StoredRuleset(files=files, author="ann", reason="brigades", pushed_at=START))
    policy.watcher.catch_up()
    run_main(flow)
    # The second run is after the push.
    assert [(a.key.signature, a.severity) for a in out if a.state == "open"] == [
        (named, "warning"), (named, "critical"),
    ]  # fmt: skip


def words(rng: random.Random) -> str:
    return " ".join(rng.choice("abcdefghijklmnop") * 4 for _ in range(12))


def day() -> list[Judgement]:
    """Six hours of background, a link-spam attack of 20 minutes, and a brigade of 30."""
    rng = random.Random(7)
    rows: list[tuple[float, str, str, str, str]] = []
    for _ in range(6_000):
        category = rng.choice(["spam", "hate"]) if rng.random() < 0.1 else ""
        author, community = f"a{rng.randrange(900)}", f"c{rng.randrange(9)}"
        rows.append((rng.random() * 21_600, category, words(rng), author, community))
    for n in range(400):
        link = f"win at http://x{n % 9}.evil.example/{n}"
        rows.append(
            (7_200 + rng.random() * 1_200, "spam", link, f"bot{n % 60}", f"c{rng.randrange(9)}")
        )
    rows += [
        (14_400 + rng.random() * 1_800, "hate", words(rng), f"brig{n % 80}", "c3")
        for n in range(400)
    ]
    return [judgement(n, *row) for n, row in enumerate(sorted(rows))]


def alerts_of(source: TestingSource[Any], out: list[Alert], **recovery: Any) -> None:
    flow = Dataflow("surges")
    judged = op.input("judged", flow, source)
    violations = op.flat_map_batch("count_violations", judged, surge_events)
    op.output("out", surge("find_surges", violations, SurgeSettings()).alerts, TestingSink(out))
    run_main(flow, **recovery)


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_two_attacks_are_two_alerts_each_opened_and_resolved_once(batch_size: int) -> None:
    out: list[Alert] = []
    alerts_of(TestingSource(day(), batch_size=batch_size), out)
    assert [alert.key for alert in out if alert.state == "open"] == [
        AlertKey("spam", "evil.example"),
        AlertKey("hate", "", "c3"),
    ]
    for state in ("open", "resolved"):
        assert len({alert.alert_id for alert in out if alert.state == state}) == 2
    spam = next(alert for alert in out if alert.state == "resolved")
    assert spam.observed == 400
    assert spam.distinct_authors == 60
    assert spam.window_start == START + timedelta(hours=2)
    opened = [alert.window_end for alert in out if alert.state == "open"]
    assert opened[0] <= START + timedelta(hours=2, minutes=5)
    assert opened[1] <= START + timedelta(hours=4, minutes=5)


def test_a_run_broken_off_and_resumed_says_what_an_unbroken_one_says(tmp_path: Path) -> None:
    whole: list[Alert] = []
    alerts_of(TestingSource(day(), batch_size=50), whole)
    broken: list[Any] = day()
    broken.insert(2_500, TestingSource.ABORT())  # in the middle of the first attack
    init_db_dir(tmp_path, 1)
    source, out = TestingSource(broken, batch_size=50), []
    recovery = {
        "epoch_interval": timedelta(0),
        "recovery_config": RecoveryConfig(str(tmp_path)),
    }
    alerts_of(source, out, **recovery)
    assert len(out) < len(whole)
    alerts_of(source, out, **recovery)
    assert list(dict.fromkeys(out)) == whole  # the last epoch may be said twice: ids tell
