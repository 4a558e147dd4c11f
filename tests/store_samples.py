"""Two weeks of a small platform, drawn from a seed, for the tests of the query library."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from connectors.clickhouse import ClickHouseWriter
from events.identity import decision_id
from events.messages import (
    Action,
    Appeal,
    AppealState,
    Content,
    DeadLetter,
    Decision,
    Label,
    Position,
    Signal,
    UserReport,
)
from events.records import Judgement, ModelOutput, RuleChange, RuleFileChange

END = datetime(2026, 11, 17, tzinfo=UTC)
START = END - timedelta(days=14)
SURGE_AT = END - timedelta(hours=34)
NEW_POLICY_AT = SURGE_AT - timedelta(hours=1)
RESENT_AT = datetime(2026, 9, 10, 12, tzinfo=UTC)
COMMUNITIES = ("pets", "news", "music")
CATEGORIES = ("hate", "harassment", "spam")
RULES = {"spam": "scam-link", "hate": "slur-1", "harassment": "insult-2"}


@dataclass
class History:
    """Everything that happened."""

    judgements: list[Judgement] = field(default_factory=list)
    shadows: list[Judgement] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    appeals: list[Appeal] = field(default_factory=list)
    reports: list[UserReport] = field(default_factory=list)
    changes: list[RuleChange] = field(default_factory=list)
    resent: list[Judgement] = field(default_factory=list)
    """Long before the rest: some of it again, with another day's created_at."""


def history(contents: int = 3000, seed: int = 11) -> History:
    """`contents` contents over two weeks, a spam surge on the last but one day among them."""
    rng = random.Random(seed)
    made = History()
    ages = {f"u{i}": START + timedelta(days=rng.uniform(-30, 13)) for i in range(120)}
    times = [START + timedelta(seconds=rng.uniform(0, 14 * 86400)) for _ in range(contents - 150)]
    times += [SURGE_AT + timedelta(seconds=rng.uniform(0, 900)) for _ in range(150)]
    for number, at in enumerate(sorted(times)):
        surging = SURGE_AT <= at < SURGE_AT + timedelta(seconds=900)
        living = sorted(user for user, born in ages.items() if born < at)
        judgement = _judgement(rng, f"c{number:05d}", at, rng.choice(living), ages, surging=surging)
        made.judgements.append(judgement)
        if rng.random() < 0.1:
            made.shadows.append(_shadow(rng, judgement))
        if rng.random() < 0.3:
            made.labels += _labels(rng, judgement)
        if judgement.decision.action == "block" and rng.random() < 0.4:
            made.appeals.append(_appeal(rng, judgement))
        if rng.random() < 0.02:
            made.reports.append(_report(rng, judgement))
    for number in range(40):
        made.letters.append(_letter(rng, number))
    made.changes = [_change(number) for number in range(1, 6)]
    made.resent = [
        _resent(made.judgements[0], *what)
        for what in (
            ("r1", "s1", 0), ("r1", "s1", 24), ("r1", "s2", 48),
            ("r2", "s2", 11.9), ("r2", "s2", 12),
            ("once", "s1", 0),
            ("the same day", "s1", 0), ("the same day", "s1", 11.9),
        )
    ]  # fmt: skip
    return made


def store_history(writer: ClickHouseWriter, made: History) -> None:
    """Write everything into the tables, and a third of it twice, as after a crash."""
    third = len(made.judgements) // 3
    for batch in (made.judgements, made.shadows, made.judgements[:third], made.shadows[:10]):
        writer.insert_judgements(batch)
    writer.insert_judgements(made.resent)
    writer.insert_labels(made.labels + made.labels[:50])
    writer.insert_dead_letters(made.letters + made.letters[:5])
    writer.insert_appeals(made.appeals + made.appeals[:3])
    writer.insert_user_reports(made.reports + made.reports[:3])
    writer.insert_rule_changes(made.changes + made.changes[:2])


def _judgement(
    rng: random.Random,
    content_id: str,
    at: datetime,
    author: str,
    ages: dict[str, datetime],
    *,
    surging: bool,
) -> Judgement:
    bad = surging or rng.random() < 0.15 + 0.2 * (author in ("u3", "u4"))
    category = "spam" if surging else rng.choice(CATEGORIES) if bad else ""
    scores = {c: round(rng.betavariate(1, 9), 6) for c in CATEGORIES}
    if bad:
        scores[category] = round(rng.uniform(0.5, 0.999), 6)
    top = scores[category] if bad else 0.0
    action = "block" if top >= 0.75 else "review" if top >= 0.55 else "allow"
    signals = []
    if bad and rng.random() < 0.7:
        signals.append(Signal("rules", RULES[category], category, round(rng.uniform(0.6, 1), 4)))
    if rng.random() < 0.05:
        signals.append(
            Signal("normalize", rng.choice(("obfuscation.leet", "obfuscation.zero_width")), "", 0.4)
        )
    if bad:
        signals.append(Signal("text-fast", "text-fast", category, round(top, 4)))
    text = f"buy {rng.randrange(10**6)} at https://www.deal-{rng.randrange(2)}.example/x" if (
        category == "spam"
    ) else f"{category or 'fine'} words number {rng.randrange(100)}"  # fmt: skip
    community = "news" if surging else rng.choice(COMMUNITIES)
    content = Content(
        content_id=content_id, created_at=at, author_id=author,
        author_created_at=None if author == "u9" else ages[author],
        kind=rng.choice(("post", "comment")), community=community, text=text,
        language=rng.choice(("en", "en", "de", "")),
    )  # fmt: skip
    decision = Decision(
        decision_id=decision_id(content_id, 0), content_id=content_id, revision=0,
        author_id=author, community=community, kind=content.kind, action=action,
        category="" if action == "allow" else category, scores=scores, signals=tuple(signals),
        final=True, mode="live", degraded=(),
        policy_version="p2" if at >= NEW_POLICY_AT else "p1", ruleset_version="r1",
        model_versions={"text-fast": "3", "fusion": "1"}, created_at=at,
        decided_at=at + timedelta(milliseconds=rng.randrange(1, 200)),
        latency_ms=round(rng.lognormvariate(2, 1), 3),
    )  # fmt: skip
    version = "4" if at >= END - timedelta(days=5) else "3"
    best = max(scores, key=scores.__getitem__)
    says = best if scores[best] > 0.5 else ""
    confidence = scores[best] if says else round(1 - scores[best], 6)
    outputs = [ModelOutput("text-fast", version, says, confidence, scores)]
    if rng.random() < 0.2:
        outputs.append(ModelOutput("transformer", "1", category, 0.8, scores))
    # Of its own chance: the history of the other tests stays as it was.
    times = random.Random(content_id)
    waited = {"text_score": times.uniform(3, 30), "fusion": times.uniform(0.5, 2)}
    return Judgement(content, decision, tuple(outputs), waited)


def _shadow(rng: random.Random, live: Judgement) -> Judgement:
    other: Action = "block" if live.content.content_id.endswith("7") else "review"
    action = live.decision.action if rng.random() < 0.8 else other
    decision = replace(
        live.decision, mode="shadow", action=action, policy_version="p3",
        category="" if action == "allow" else live.decision.category or "spam",
        decision_id=decision_id(live.content.content_id, 0, mode="shadow"),
    )  # fmt: skip
    return Judgement(live.content, decision)


def _resent(like: Judgement, content_id: str, author: str, hours: float) -> Judgement:
    at = RESENT_AT + timedelta(hours=hours)
    content = replace(
        like.content, content_id=content_id, author_id=author, author_created_at=None, created_at=at
    )
    decision = replace(
        like.decision, content_id=content_id, author_id=author, created_at=at, decided_at=at,
        decision_id=decision_id(content_id, 0),
    )  # fmt: skip
    return Judgement(content, decision)


def _labels(rng: random.Random, judgement: Judgement) -> list[Label]:
    labels = []
    for reviewer in rng.sample(("m1", "m2", "m3"), rng.choice((1, 1, 2))):
        truth = judgement.decision.category if rng.random() < 0.8 else rng.choice(("", *CATEGORIES))
        at = judgement.decision.decided_at + timedelta(seconds=rng.uniform(60, 20000))
        labels.append(
            Label(
                label_id=f"{reviewer}-{judgement.content.content_id}",
                content_id=judgement.content.content_id,
                revision=0,
                reviewer_id=reviewer,
                action="block" if truth else "allow",
                category=truth,
                source="review",
                labeled_at=at.replace(microsecond=at.microsecond // 1000 * 1000),
            )
        )
    return labels


def _appeal(rng: random.Random, judgement: Judgement) -> Appeal:
    decision = judgement.decision
    state: AppealState = rng.choice(("open", "granted", "denied"))
    asked = decision.decided_at + timedelta(seconds=rng.randrange(60, 9000))
    answered = asked + timedelta(seconds=rng.randrange(60, 90000))
    return Appeal(
        appeal_id=f"a-{decision.content_id}", content_id=decision.content_id,
        decision_id=decision.decision_id, user_id=decision.author_id, category=decision.category,
        policy_version=decision.policy_version, statement="please", state=state,
        reviewer_id="" if state == "open" else "m1", appealed_at=asked,
        resolved_at=None if state == "open" else answered,
    )  # fmt: skip


def _report(rng: random.Random, judgement: Judgement) -> UserReport:
    at = judgement.decision.decided_at + timedelta(seconds=rng.randrange(5, 900))
    content_id = judgement.content.content_id
    return UserReport(
        report_id=f"r-{content_id}", content_id=content_id, reporter_id=f"u{rng.randrange(120)}",
        category="spam", reason="look", reported_at=at,
    )  # fmt: skip


def _change(number: int) -> RuleChange:
    at = START + timedelta(days=number)
    lists = RuleFileChange(file="hashes/known.csv", entries=number * 10)
    urgent = RuleFileChange(
        file="rules/urgent.yaml", entries=1, rules=("link-wave",), expires=at + timedelta(days=3)
    )
    back = number == 5
    return RuleChange(
        change_id=f"{number}-0", push=number, action="rollback" if back else "push",
        author="bob" if back else "ann", reason="too broad" if back else "a link wave",
        ruleset_version="p2" if number == 4 else "r1" if back else f"r{number}", changed_at=at,
        files=(lists, urgent) if number % 2 else (urgent,),
    )  # fmt: skip


def _letter(rng: random.Random, number: int) -> DeadLetter:
    topic = rng.random() < 0.5
    source = (
        Position(topic="content.submitted.v1", partition=rng.randrange(2), offset=number)
        if topic
        else Position(file="posts.jsonl", line=number + 1)
    )
    error = f"not JSON: at byte {number}" if rng.random() < 0.5 else "`text` is too long"
    return DeadLetter(
        raw=b"{" * (number + 1), error=error, stage="decode", source=source,
        failed_at=START + timedelta(hours=number * 8),
    )  # fmt: skip
