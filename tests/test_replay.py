"""Replays: the verdict over columns is that of one by one, and what a policy changes is told."""

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from builders import AT, item, items
from clickhouse_server import clickhouse_server
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec import structs
from next_model import all_is_spam
from typer.testing import CliRunner

from cli.errors import UsageError
from cli.main import app
from connectors.clickhouse import ClickHouseWriter, connect
from connectors.decision_log import DecisionLog
from connectors.ruleset_store import RedisRulesetStore, StoredRuleset
from events.messages import ACTIONS, Image, Signal
from events.records import AuthorFeatures, Judgement
from models.fusion.fusion import FusionModel
from models.text.cascade import Cascade
from operators.decide import Decider
from operators.fusion import Fuser
from operators.item import Item
from operators.normalize import Normalizer
from operators.redecide import redecide
from operators.regex_match import RuleMatcher
from operators.replay import ReplayTally
from operators.rescore import Rescorer
from operators.text_score import TextScorer
from policy.policy import BUILT_IN, Policy, parse_policy
from policy.rules import load_rules
from policy.taxonomy import CATEGORIES

TEXT = (BUILT_IN / "policy.yaml").read_text()
SPAM = "spam:              {severity: 1, review: 0.60, block: 0.90"
LOWERED = TEXT.replace(SPAM, SPAM.replace("0.90", "0.70"))
COMMUNITIES = ("", "pets", "medical")
MISSING = ((), ("ocr",), ("text_score",), ("image_score", "fusion"), ("text_language",))
LANGUAGE = next(line for line in TEXT.splitlines() if line.startswith("uncovered_language"))
OWN = "communities: {medical: {hate: {review: 0.8, fail: block}, spam: {severity: 5}}}"
POLICIES = [
    parse_policy(text, "p")
    for text in (
        TEXT,
        LOWERED,
        TEXT.replace("communities: {}", OWN),
        TEXT.replace("fail: allow", "fail: review").replace(LANGUAGE, "uncovered_language: review"),
    )
]


@dataclass
class Columns:
    scores: np.ndarray
    community: np.ndarray
    degraded: np.ndarray
    asked_review: np.ndarray


SCORES = st.sampled_from([0.0, 0.1, 0.3, 0.45, 0.55, 0.6, 0.7, 0.9, 0.92, 0.9999, 1.0])
CONTENTS = st.lists(
    st.tuples(
        st.lists(SCORES, min_size=8, max_size=8),
        st.integers(0, len(COMMUNITIES) - 1),
        st.integers(0, len(MISSING) - 1),
        st.integers(0, len(CATEGORIES)),
    ),
    max_size=30,
)


def one_by_one(policy: Policy, contents) -> list[tuple[str, str]]:
    made = []
    for scores, community, missing, asked in contents:
        one = item(
            community=COMMUNITIES[community], scores=dict(zip(CATEGORIES, scores, strict=True))
        )
        one.degraded += MISSING[missing]
        one.asked_review = ("", *CATEGORIES)[asked]
        made.append(one)
    return [(j.decision.action, j.decision.category) for j in Decider(policy)(made)]


@hypothesis_settings(max_examples=100)
@given(st.sampled_from(POLICIES), CONTENTS)
def test_columns_are_decided_as_contents_are_one_by_one(policy: Policy, contents) -> None:
    scores, community, degraded, asked = ([each[part] for each in contents] for part in range(4))
    columns = Columns(
        np.array(scores, np.float32).reshape(-1, 8),
        np.array(community, np.int64),
        np.array(degraded, np.int64),
        np.array(asked, np.uint8),
    )
    found = redecide(policy, columns, COMMUNITIES, MISSING)
    names = [("", *CATEGORIES)[category] for category in found.category]
    actions = [ACTIONS[action] for action in found.action]
    assert list(zip(actions, names, strict=True)) == one_by_one(policy, contents)


# From the store


HOSTILE = "<script>alert(1)</script>\x1b[31m buy [red]now[/red]"


def day(policy: Policy) -> list[Judgement]:
    """A day of spam of every score, in two communities."""
    items: list[Item] = []
    for number in range(1000):
        score = number / 1000
        one = item(
            f"c{number}",
            community=("pets", "news")[number % 2],
            text=HOSTILE if number == 700 else f"text {number}",
            scores=dict.fromkeys(CATEGORIES, 0.0) | {"spam": score},
        )
        at = AT + timedelta(minutes=number)
        one.content = structs.replace(one.content, created_at=at)
        one.signals.append(Signal("rules", "spam.earn-from-home", "spam", score))
        items.append(one)
    return Decider(policy)(items)


EARLIER = AT - timedelta(days=20)
TEXTS = {
    "spam": "Earn $5000 a week from home, add me on WhatsApp now",
    "fine": "The lake is calm today and the soup was good",
    "fine-again": "See you at practice on Tuesday",
    "gone": "nothing of this is kept",
    "picture": "look at this",
}
STAGES = (Normalizer(), RuleMatcher(load_rules()), TextScorer(Cascade.load()), Fuser(FusionModel()))


def scored_day() -> list[Judgement]:
    """One author's posts, judged as the job does: text models, rules, fusion and their history."""
    judged: list[Judgement] = []
    for number, (name, text) in enumerate(TEXTS.items()):
        images = [Image("i", data=b"x")] if name == "picture" else []
        one = item(name, author_id="one", text=text, images=images)
        at = EARLIER + timedelta(minutes=number)
        one.content = structs.replace(one.content, created_at=at)
        blocked = sum(each.decision.action == "block" for each in judged)
        one.author = AuthorFeatures(decisions=number, violations=blocked)
        for stage in STAGES:
            [one] = stage([one])
        judged += Decider(POLICIES[0], now=at.timestamp)([one])
    return judged


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory):
    live = day(POLICIES[0])
    shadow = [
        structs.replace(one, decision=structs.replace(one.decision, mode="shadow", action="block"))
        for one in live[:10]
    ]
    with clickhouse_server(tmp_path_factory.mktemp("store")) as dsn:
        writer = ClickHouseWriter(dsn)
        writer.apply_schema()
        writer.insert_judgements(live + shadow + live[:50] + scored_day())
        writer.client.command("DELETE FROM moderation.content WHERE content_id = 'gone'")
        writer.close()
        yield dsn


@pytest.fixture
def log(dsn: str):
    client = connect(dsn)
    yield lambda *window: DecisionLog(client, CATEGORIES, *window)
    client.close()


def replayed(log: DecisionLog, policy: Policy) -> ReplayTally:
    tally = ReplayTally(log.communities)
    for chunk in log.chunks({}, ()):
        after = redecide(policy, chunk, log.communities, log.degraded)
        tally.add(chunk.content, chunk.community, chunk, after)
    return tally


def test_the_policy_that_decided_changes_nothing(log) -> None:
    changes = list(replayed(log(), POLICIES[0]).changes())
    assert sum(change.contents for change in changes) == 1000
    assert all(change.before == change.after for change in changes)


def test_a_lowered_threshold_changes_what_lies_between(log) -> None:
    found = log()
    tally = replayed(found, POLICIES[1])
    changed = [change for change in tally.changes() if change.before != change.after]
    assert {(c.community, c.before, c.after, c.contents) for c in changed} == {
        ("pets", ("review", "spam"), ("block", "spam"), 100),
        ("news", ("review", "spam"), ("block", "spam"), 100),
    }
    texts = found.texts(tally.examples(("review", "spam"), ("block", "spam")))
    assert len(texts) == 3
    assert all(700 <= int(content_id[1:]) < 900 for content_id, _ in texts.values())


def test_only_the_days_that_are_asked_for(log) -> None:
    moments = [(AT + timedelta(minutes=minute)).isoformat() for minute in (100, 200)]
    assert sum(change.contents for change in replayed(log(*moments), POLICIES[0]).changes()) == 100


def test_rules_that_ask_for_review_or_are_watched_are_told_of(log) -> None:
    found = log()
    chunks = list(found.chunks({"spam.earn-from-home": "threat"}, ["spam.earn-from-home"]))
    number = CATEGORIES.index("threat") + 1
    assert all((chunk.asked_review == number).all() and chunk.hit.all() for chunk in chunks)


@pytest.fixture
def settings(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BREAKWATER_CLICKHOUSE_DSN", dsn)
    (tmp_path / "lower.yaml").write_text(LOWERED + "name: lower spam\n")
    return tmp_path


def call(*args: object) -> str:
    result = CliRunner().invoke(app, ["replay", *map(str, args)], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_the_command_tells_changes_by_category_and_community_with_examples(settings) -> None:
    page = settings / "replay.html"
    output = call("--policy", settings / "lower.yaml", "--html", page)
    assert "1,000 decisions" in output
    assert "80.00% alike, 200 newly blocked, 0 no longer blocked" in output
    assert "100 → 300" in output
    assert "review spam" in output
    assert "\x1b" not in output
    html = page.read_text()
    assert "lower spam" in html
    assert ">200<" in html
    assert "<script" not in html


def test_what_users_wrote_is_escaped(settings) -> None:
    around = [(AT + timedelta(minutes=minute)).isoformat() for minute in (700, 701)]
    page = settings / "replay.html"
    output = call(
        "--policy", settings / "lower.yaml", "--html", page, "--since", around[0],
        "--until", around[1],
    )  # fmt: skip
    assert "buy [red]now[/red]" in output
    assert "\x1b" not in output
    assert "&lt;script&gt;alert(1)" in page.read_text()


EARLIER_DAYS = ("--since", EARLIER.date(), "--until", (EARLIER + timedelta(days=1)).date())


def test_the_models_that_scored_it_score_it_alike(settings) -> None:
    output = call("--policy", BUILT_IN / "policy.yaml", "--rescore", *EARLIER_DAYS)
    assert "by policy policy.yaml and new scores: 100.00% alike" in output
    assert "community" not in output, "nothing changed in any"
    assert "before" not in output.partition("Verdicts")[0]
    assert "3 decisions were scored again by text" in output
    assert "1 keep their logged scores: their text is kept no more" in output
    assert "1 keep their logged scores: they have images" in output
    assert "without personal data (card, email, ip, phone)" in output


def test_other_models_change_what_they_see_otherwise(settings) -> None:
    page = settings / "replay.html"
    output = call(
        "--policy", BUILT_IN / "policy.yaml", "--text-model", all_is_spam(settings), *EARLIER_DAYS,
        "--html", page,
    )  # fmt: skip
    assert "2 newly blocked, 0 no longer blocked" in output
    assert "+next" in output
    assert "fine-again" in page.read_text()


def test_what_decided_is_read_with_the_history_before_it(log) -> None:
    found = log(EARLIER.isoformat(), (EARLIER + timedelta(minutes=3)).isoformat())
    [(chunk, contents)] = found.contents({}, ())
    by_id = {one.content.content_id: one for one in contents if one.content}
    assert set(by_id) == {"spam", "fine", "fine-again"}
    assert by_id["fine-again"].author == AuthorFeatures(decisions=2, violations=1)
    assert by_id["spam"].content.created_at == EARLIER
    assert "rules" in {signal.stage for signal in by_id["spam"].signals}
    assert chunk.action.max() == ACTIONS.index("block")


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_scores_are_of_text_models_and_of_what_others_had_found(count: int) -> None:
    batch = items(count, text="The lake is calm today", scores={"spam": 1.0})
    for one in batch:
        one.signals.append(Signal("text-fast", "text-fast", "spam", 0.99))
    for one in batch[1:]:
        one.signals.append(Signal("hash", "listed", "csam", 1.0))
    scores = Rescorer(Cascade.load().models[0], FusionModel())(batch)
    assert scores.shape == (count, len(CATEGORIES))
    assert (scores[:, CATEGORIES.index("spam")] < 0.5).all()
    assert scores[:, CATEGORIES.index("csam")].tolist() == [0.0, *[1.0] * (count - 1)][:count]


def test_a_quota_that_the_policy_would_use_up_is_told(settings) -> None:
    (settings / "tight.yaml").write_text(TEXT.replace("quota: 2000000", "quota: 99"))
    told = "spam: past its quota of 99 automatic blocks on 1 of the days, worst on 2026-11-21 (100)"
    assert told in call("--policy", settings / "tight.yaml")
    (settings / "tight.yaml").write_text(TEXT.replace("quota: 2000000", "quota: 100"))
    assert "quota of" not in call("--policy", settings / "tight.yaml")


def test_a_day_without_decisions_is_no_failure(settings) -> None:
    page = settings / "replay.html"
    output = call("--policy", settings / "lower.yaml", "--until", "2020-01-01",
                  "--since", "2019-01-01", "--html", page)  # fmt: skip
    assert output.startswith("no decisions from 2019-01-01")
    assert "%" not in output
    assert "<b>no decisions</b>" in page.read_text()


def test_rules_that_the_policy_allows_are_noted(settings) -> None:
    allows = "communities: {pets: {allows: [spam.earn-from-home]}}"
    (settings / "kind.yaml").write_text(TEXT.replace("communities: {}", allows))
    assert "500 decisions hit rules that this policy allows" in call(
        "--policy", settings / "kind.yaml"
    )


def test_a_pushed_rule_that_wants_a_human_is_held_to(settings, valkey_url, monkeypatch) -> None:
    assert " threat " not in call("--policy", settings / "lower.yaml")
    monkeypatch.setenv("BREAKWATER_REDIS_URL", valkey_url)
    rule = "{id: spam.earn-from-home, category: threat, score: 0.9, pattern: x1, action: review}"
    spam = (BUILT_IN / "rules" / "spam.yaml").read_text().replace("spam.earn-from-home", "other")
    RedisRulesetStore(valkey_url).push(
        StoredRuleset(
            files={"rules/spam.yaml": spam, "rules/pushed.yaml": f"rules: [{rule}]"},
            author="ann",
            reason="wave",
            pushed_at=AT,
        )
    )
    # All that no score reviews was hit by the rule, too.
    assert re.search(r" threat +499 .* 0 → 499\b", call("--policy", settings / "lower.yaml"))


@pytest.mark.parametrize(
    ("what", "args", "error"),
    [
        ("a moment that is none", ("--since", "yesterday"), "is not a time"),
        ("since after until", ("--since", "2026-12-01", "--until", "2026-11-01"), "empty window"),
        ("since after the newest", ("--since", "2100-01-01"), "empty window"),
        ("a policy with a typo", (), "did you mean 'block'"),
    ],
)
def test_what_cannot_be_replayed_is_told_in_one_line(settings, what, args, error) -> None:
    if not args:
        (settings / "lower.yaml").write_text(TEXT.replace("block: 0.90", "blok: 0.90", 1))
    with pytest.raises((UsageError, ValueError), match=error):
        call("--policy", settings / "lower.yaml", *args)


def test_without_a_store_it_says_what_to_set(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(TEXT)
    with pytest.raises(UsageError, match="BREAKWATER_OUTPUT"):
        call("--policy", tmp_path / "p.yaml")
