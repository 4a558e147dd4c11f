"""The one place that decides: scores and policy to an action, and what of it a human should see."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Final

from events.identity import crc, decision_id
from events.messages import ACTIONS, Action, Decision, Mode, ReviewItem
from events.records import Judgement
from operators.item import Item
from policy import review
from policy.policies import Policies
from policy.policy import CategoryPolicy, Policy
from policy.taxonomy import CATEGORIES, TEXT_CATEGORIES

LANGUAGE: Final = "text_language"
"""What `degraded` says where the text models do not cover a text's language."""
BY_MODEL = frozenset(TEXT_CATEGORIES)
SEEN_BY: dict[str, frozenset[str]] = {
    "text_score": BY_MODEL,
    LANGUAGE: frozenset(),  # the policy's own key for it decides
    "fusion": BY_MODEL,
    "image_score": frozenset({"sexual", "csam", "violent_extremism"}),
    # What is beyond the bounds of reading is no fault, and lists and model have seen the pictures:
    # to hide albums of screenshots as csam would be wrong far more often than right.
    "ocr_partial": frozenset(CATEGORIES) - {"csam"},
    "enrich": frozenset(),
    "live_rules": frozenset(),
}
"""The categories a stage can see; a stage that is not named here can see them all."""

DANGER: Final = "self_harm"
"""Category of the rules that find who may be in danger, and want a human to look."""
SPOKEN: Final = frozenset({"hate", "harassment", "threat", DANGER})
"""What models take words of despair for: a block for one of these gives way to such a rule. Known
pictures, scams and the like stay blocked, whatever is written beside them."""

RANK: Final[dict[Action, int]] = {action: rank for rank, action in enumerate(ACTIONS)}

Verdict = tuple[Action, str]
"""An action and the category that led to it ("" when allowed)."""
_ALLOWED: Final[Verdict] = ("allow", "")


def verdict(
    scores: dict[str, float],
    *,
    blind: Collection[str],
    categories: dict[str, CategoryPolicy],
    band: tuple[float, float],
    unseen: bool = False,
) -> Verdict:
    """What the policy says of `scores`.

    The strictest action of any category wins; among equals the more severe category, then the
    higher score. `blind`: categories that a missing stage might have seen; the fail mode of each
    is the least that happens. `unseen`: images are still to be looked at; categories that hold are
    reviewed at least.
    """
    best: tuple[int, int, float] = (0, 0, 0.0)
    result = _ALLOWED
    for category, treatment in categories.items():
        score = scores.get(category, 0.0)
        action = _action(score, treatment, band)
        if category in blind:
            action = max(action, treatment.blind_action, key=RANK.__getitem__)
        if unseen and treatment.hold:
            action = max(action, "review", key=RANK.__getitem__)
        if action == "allow":
            continue
        rank = (RANK[action], treatment.severity, score)
        if rank > best:
            best, result = rank, (action, category)
    return result


def blind_categories(degraded: Collection[str]) -> frozenset[str]:
    """The categories that the missing stages might have seen."""
    if not degraded:
        return frozenset()
    seen = [SEEN_BY.get(stage, frozenset(CATEGORIES)) for stage in degraded]
    return frozenset[str]().union(*seen)


def _action(score: float, treatment: CategoryPolicy, band: tuple[float, float]) -> Action:
    if score >= treatment.block:
        return "block"
    if score >= treatment.review or band[0] <= score <= band[1]:
        return "review"
    return "allow"


Gravity = Callable[[Decision], tuple[float, ...]]
"""Orders decisions: the higher one is worse."""


def gravity_by(policy: Callable[[], Policy]) -> Gravity:
    """The order of `verdict`, among decisions, by the policy that is in force when it is asked."""

    def key(decision: Decision) -> tuple[float, ...]:
        treatment = policy().categories(decision.community).get(decision.category)
        severity = treatment.severity if treatment else 0
        return RANK[decision.action], severity, decision.scores.get(decision.category, 0.0)

    return key


class Decider:
    """Makes the decision on each item, by the policy for its author.

    `now` gives Unix seconds; tests and replays set it.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        ruleset_version: str = "",
        model_versions: dict[str, str] | None = None,
        mode: Mode = "live",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._policies = Policies(policy)
        self._ruleset_version = ruleset_version
        self._model_versions = model_versions or {}
        self._mode = mode
        self._now = now

    def swap(self, policies: Policies) -> None:
        """Decide by `policies` from the next batch on; another thread may call."""
        self._policies = policies

    def __call__(self, items: list[Item]) -> list[Judgement]:
        """One judgement an item, in order."""
        return self._judge_all(items, final=True)

    def at_once(self, items: list[Item]) -> list[Judgement]:
        """The quick answer (`final` is false) on items whose images have not been looked at yet.

        Without model outputs: those come with the final answer.
        """
        return self._judge_all(items, final=False)

    def _judge_all(self, items: list[Item], *, final: bool) -> list[Judgement]:
        now, policies = self._now(), self._policies
        decided_at = datetime.fromtimestamp(now, UTC)
        return [
            self._judge(item, policies.for_author(item.content.author_id), now, decided_at, final)
            for item in items
        ]

    def _judge(
        self, item: Item, policy: Policy, now: float, decided_at: datetime, final: bool
    ) -> Judgement:
        content = item.content
        action, category = _concluded(item, policy, final=final)
        decision = Decision(
            decision_id=decision_id(
                content.content_id, content.revision, mode=self._mode, final=final
            ),
            content_id=content.content_id,
            revision=content.revision,
            author_id=content.author_id,
            community=content.community,
            kind=content.kind,
            action=action,
            category=category,
            scores=item.scores,
            signals=tuple(item.signals),
            final=final,
            mode=self._mode,
            degraded=tuple(item.degraded),
            policy_version=policy.version,
            ruleset_version=item.ruleset_version or self._ruleset_version,
            model_versions=self._versions(item),
            created_at=content.created_at,
            decided_at=decided_at,
            latency_ms=round(max(0.0, now - item.received_at) * 1e6) / 1e3,
            hold=category != "" and policy.categories(content.community)[category].hold,
        )
        outputs = tuple(item.outputs) if final else ()
        return Judgement(content, decision, outputs, item.stage_ms.copy())

    def _versions(self, item: Item) -> dict[str, str]:
        if not item.image_scores:
            return self._model_versions
        return self._model_versions | {output.model: output.version for output in item.outputs}


def _concluded(item: Item, policy: Policy, *, final: bool) -> Verdict:
    """What the policy says of the scores of `item`; a rule or a language may ask for a review."""
    community = item.content.community
    quiet = max(item.scores.values(), default=0.0) < policy.floor(community)
    # Most are: their categories need not be gone through.
    found = _ALLOWED
    if not (quiet and final) or item.degraded:
        found = verdict(
            item.scores,
            blind=blind_categories(item.degraded),
            categories=policy.categories(community),
            band=policy.file.uncertainty_band,
            unseen=not final,
        )
    action, category = found
    in_danger = item.asked_review == DANGER and action == "block" and category in SPOKEN
    if found != _ALLOWED and not in_danger:
        return found
    if item.asked_review:
        return "review", item.asked_review
    if policy.file.uncovered_language == "review" and LANGUAGE in item.degraded:
        return "review", max(TEXT_CATEGORIES, key=lambda name: item.scores.get(name, 0.0))
    return _ALLOWED


class ReviewPicker:
    """Picks the judgements that a human should see, most urgent first by `priority`."""

    def __init__(self, policy: Policy) -> None:
        self._policies = Policies(policy)

    def swap(self, policies: Policies) -> None:
        """Pick by `policies` from the next batch on; another thread may call."""
        self._policies = policies

    def __call__(self, judgements: list[Judgement]) -> list[ReviewItem]:
        """A review item for each decision with action `review`, and for a sample of the allowed.

        Quick answers are passed over: the final one follows.
        """
        policies = self._policies
        return [
            ReviewItem(
                decision=judgement.decision,
                text=judgement.content.text,
                priority=review.priority(judgement.decision, policy),
                reason=review.reason(judgement.decision, policy),
            )
            for judgement in judgements
            if judgement.decision.final
            for policy in (policies.for_author(judgement.decision.author_id),)
            if _is_seen(judgement.decision, policy)
        ]


def _is_seen(decision: Decision, policy: Policy) -> bool:
    if decision.action == "allow":
        # By the id rather than chance: a replay samples the same contents.
        return crc(decision.content_id) / 2**32 < policy.file.sample_rate
    return decision.action == "review"
