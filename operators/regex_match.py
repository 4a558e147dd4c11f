"""Rules on text: patterns and keywords of the rule set, one signal for each rule that matches."""

from __future__ import annotations

import bytewax.operators as op
from bytewax.dataflow import Stream, operator

from events.messages import Evidence, Signal
from operators.item import Item
from policy.compiled import CompiledRules, Match
from policy.rules import RuleSet


class RuleMatcher:
    """Adds a `Signal` (stage `rules`) for every rule that matches an item's text.

    Evidence is in code points of the original text. A rule past its `expires` is asleep, by the
    clock of `Item.received_at`. An item with more keyword occurrences than can be looked at is
    marked degraded.

    Args:
        rules: the rule set; it is compiled here, which takes from milliseconds to minutes.
        previous: a matcher whose unchanged files are taken over instead of compiled again.

    Raises:
        PolicyError: a rule does not compile.
    """

    STAGE = "rules"

    def __init__(self, rules: RuleSet, previous: RuleMatcher | None = None) -> None:
        self.rules = rules
        self.compiled: CompiledRules = CompiledRules(rules, previous.compiled if previous else None)
        self._forms = self.compiled.forms()

    @property
    def version(self) -> str:
        """The version of the rule set."""
        return self.rules.version

    def __call__(self, items: list[Item]) -> list[Item]:
        """The same items, with the signals of the rules that match."""
        match = self.compiled.match
        for item in items:
            if not item.content.text:
                continue
            for form in self._forms:
                read = item.content.text
                if form == "normalized" and item.normalized is not None:
                    read = item.normalized.text
                try:
                    matches = match(read, form)
                except OverflowError:
                    item.degraded.append(self.STAGE)
                    continue
                if matches:
                    item.signals += [
                        self._signal(item, found, form)
                        for found in matches
                        if not found.rule.expired(item.received_at)
                    ]
        return items

    def _signal(self, item: Item, found: Match, form: str) -> Signal:
        spans = found.spans
        if form == "normalized" and item.normalized is not None:
            spans = tuple(item.normalized.original_span(*span) for span in spans)
        evidence = tuple(Evidence("text", start, end) for start, end in spans)
        rule = found.rule
        return Signal(self.STAGE, rule.id, rule.category, rule.score, evidence)


@operator
def regex_match(
    step_id: str,  # noqa: ARG001  taken by the @operator decorator
    up: Stream[Item],
    matcher: RuleMatcher,
) -> Stream[Item]:
    """Bytewax shell of `RuleMatcher`."""
    return op.flat_map_batch("match", up, matcher)
