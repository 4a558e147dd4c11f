"""What is in shadow decides beside what is live: it is logged and never acted on."""

from __future__ import annotations

from collections.abc import Callable, Collection

from events.messages import Judgement
from operators.decide import Decider
from operators.item import Item, Stage
from policy.policies import Policies


class ShadowJudge:
    """Decides on items as they would be if all that is in shadow were live.

    That is a policy, rules, or a text model; where the policy is not in shadow, that of the author
    decides. While nothing is in shadow nothing is decided. The items are not touched.

    Args:
        decider: decides in mode `shadow`.
        fuse: fusion, for items in which something else was found; it does not raise.
        rules_in_shadow: whether the rules that read the items have some in shadow.
        score: the text model in shadow; it does not raise.
        live_models: the names under which the live text models signal.
    """

    def __init__(
        self,
        decider: Decider,
        fuse: Stage,
        rules_in_shadow: Callable[[], bool],
        score: Stage | None = None,
        live_models: Collection[str] = (),
    ) -> None:
        self._decider = decider
        self._fuse = fuse
        self._rules_in_shadow = rules_in_shadow
        self._score = score
        self._live_models = frozenset(live_models)
        self._policy_in_shadow = False

    def swap(self, policies: Policies) -> None:
        """Decide by `policies` from the next batch on; another thread may call."""
        shadow = policies.shadow
        self._decider.swap(Policies(shadow) if shadow else policies)
        self._policy_in_shadow = shadow is not None

    def __call__(self, items: list[Item]) -> list[Judgement]:
        """One judgement an item, in order, with the outputs of models in shadow; or none at all."""
        if not (self._policy_in_shadow or self._score or self._rules_in_shadow()):
            return []
        twins = [self._twin(item) for item in items]
        if self._score is not None:
            twins = self._score(twins)
        outputs = [twin.outputs.copy() for twin in twins]
        changed = [twin for twin in twins if self._score or twin.shadow_signals]
        fused = iter(self._fuse(changed))
        twins = [next(fused) if self._score or twin.shadow_signals else twin for twin in twins]
        for twin, own in zip(twins, outputs, strict=True):
            # The fusion model is live: its output is logged with the live decision.
            twin.outputs = own
        return self._decider(twins)

    def _twin(self, item: Item) -> Item:
        twin = item.copy()
        twin.outputs = []
        if self._score is not None:
            twin.signals = [each for each in twin.signals if each.stage not in self._live_models]
        twin.signals += twin.shadow_signals
        return twin
