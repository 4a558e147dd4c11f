"""What is in shadow decides beside what is live: it is logged and never acted on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from events.records import Judgement
from operators.decide import Decider
from operators.fusion import Fuser
from operators.item import Item, Stage
from operators.regex_match import RuleMatcher
from operators.text_score import TextScorer
from policy.policies import Policies
from policy.rules import RuleSet

_SCORED_ANEW: Final = (TextScorer.STAGE, Fuser.STAGE)


class ShadowJudge:
    """Decides on items as they would be if all that is in shadow were live.

    That is a policy, rules, or a text model; where the policy is not in shadow, that of the author
    decides. While nothing is in shadow nothing is decided. The items are not touched.

    Args:
        decider: decides in mode `shadow`.
        policies: those in force now.
        fuse: fusion, for items in which something else was found; it does not raise.
        rules: the rules that read the items.
        score: the text model in shadow, on contents and on what their images say; it does not
            raise.
        live_models: the names under which the live text models signal.
    """

    def __init__(
        self,
        decider: Decider,
        policies: Policies,
        fuse: Stage,
        rules: Callable[[], RuleSet],
        score: Stage | None = None,
        live_models: Collection[str] = (),
    ) -> None:
        self._decider = decider
        self._fuse = fuse
        self._rules = rules
        self._score = score
        self._live_models = frozenset(live_models)
        self.swap(policies)

    def swap(self, policies: Policies) -> None:
        """Decide by `policies` from the next batch on; another thread may call."""
        shadow = policies.shadow
        self._would_be_live = Policies(shadow) if shadow else policies
        self._decider.swap(self._would_be_live)
        self._policy_in_shadow = shadow is not None

    def __call__(self, items: list[Item]) -> list[Judgement]:
        """One judgement an item, in order, with the outputs of models in shadow; or none at all."""
        rules = self._rules()
        if not (self._policy_in_shadow or self._score or rules.in_shadow):
            return []
        twins = [self._twin(item, rules) for item in items]
        if self._score is not None:
            twins = self._score(twins)
        outputs = [twin.outputs.copy() for twin in twins]
        changed = [
            self._score is not None or twin.signals != item.signals
            for twin, item in zip(twins, items, strict=True)
        ]
        fused = iter(self._fuse([twin for twin, new in zip(twins, changed, strict=True) if new]))
        twins = [next(fused) if new else twin for twin, new in zip(twins, changed, strict=True)]
        for twin, own in zip(twins, outputs, strict=True):
            # The fusion model is live: its output is logged with the live decision.
            twin.outputs = own
        return self._decider(twins)

    def _twin(self, item: Item, rules: RuleSet) -> Item:
        twin = item.copy()
        twin.outputs = []
        if self._score is not None:
            twin.text_scores = {}
            twin.degraded = [each for each in twin.degraded if each not in _SCORED_ANEW]
            twin.signals = [each for each in twin.signals if each.stage not in self._live_models]
        policy = self._would_be_live.for_author(item.content.author_id)
        allowed = policy.allowed_rules(item.content.community)
        of_rules = [each for each in twin.signals if each.stage == RuleMatcher.STAGE]
        counted = [each for each in of_rules + twin.shadow_signals if each.rule not in allowed]
        if counted != of_rules:
            others = [each for each in twin.signals if each.stage != RuleMatcher.STAGE]
            twin.signals = others + counted
            asking = (each.category for each in counted if each.rule in rules.review_rules)
            twin.asked_review = next(asking, "")
            twin.hints = tuple(each.rule for each in counted if each.rule in rules.hints)
        return twin
