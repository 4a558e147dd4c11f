"""Rules on text: patterns and keywords of the rule set, one signal for each rule that matches."""

from __future__ import annotations

from collections.abc import Callable, Collection

from events.messages import Content, Evidence, Signal
from operators.item import Item
from policy.compiled import CompiledRules, Match
from policy.rules import Rule, RuleSet

AllowedRules = Callable[[Content], Collection[str]]
"""A content to the ids of the rules that do not apply to it."""


class RuleMatcher:
    """Adds a `Signal` (stage `rules`) for every rule that matches an item's text.

    Signals of rules in shadow, or of rules that do not apply to the content, go to
    `shadow_signals`.

    Evidence is in code points of the original text. A rule past its `expires` is ignored, by the
    clock of `Item.received_at`. An item with more keyword occurrences than can be looked at is
    marked degraded.

    Args:
        rules: the rule set; it is compiled here, which takes from milliseconds to minutes.
        previous: a matcher whose unchanged files are taken over instead of compiled again.
        allowed: ids of the rules that do not apply to a content.

    Raises:
        PolicyError: a rule does not compile.
    """

    STAGE = "rules"

    def __init__(
        self,
        rules: RuleSet,
        previous: RuleMatcher | None = None,
        *,
        allowed: AllowedRules = lambda _: (),
    ) -> None:
        self.rules = rules
        self._allowed = allowed
        self.compiled: CompiledRules = CompiledRules(rules, previous.compiled if previous else None)
        self._forms = self.compiled.forms()

    @property
    def version(self) -> str:
        """The version of the rule set."""
        return self.rules.version

    def __call__(self, items: list[Item]) -> list[Item]:
        """The same items, with the signals of the rules that match."""
        for item in items:
            if item.content.text:
                for form in self._forms:
                    self._read(item, form)
        return items

    def _read(self, item: Item, form: str) -> None:
        """Add the signals of the rules that match a form of an item's text."""
        text = item.content.text
        if form == "normalized" and item.normalized is not None:
            text = item.normalized.text
        try:
            matches = self.compiled.match(text, form)
        except OverflowError:
            item.degrade(self.STAGE)
            return
        allowed = self._allowed(item.content) if matches else ()
        for found in matches:
            rule = found.rule
            if not rule.expired(item.received_at):
                shadow = rule.mode == "shadow" or rule.id in allowed
                _note(item, rule, self._signal(item, found, form), shadow=shadow)

    def _signal(self, item: Item, found: Match, form: str) -> Signal:
        spans = found.spans
        if form == "normalized" and item.normalized is not None:
            spans = tuple(item.normalized.original_span(*span) for span in spans)
        evidence = tuple(Evidence("text", start, end) for start, end in spans)
        rule = found.rule
        return Signal(self.STAGE, rule.id, rule.category, rule.score, evidence)


def _note(item: Item, rule: Rule, signal: Signal, *, shadow: bool) -> None:
    if shadow:
        item.shadow_signals.append(signal)
        return
    item.signals.append(signal)
    if rule.role == "hint":
        item.hints += (rule.id,)
    if rule.action == "review" and not item.asked_review:
        item.asked_review = rule.category


class LiveRuleMatcher:
    """A `RuleMatcher` that can be exchanged while the stream runs.

    `swap` builds the new one beside the running one and then takes its place in one assignment: no
    batch waits and none is read by two sets. Every item is told the version that read it. `age_s`
    says for how long the source of the rules has been silent; past `stale_s` the items say that
    their rules may be old, by `STALE` in `degraded`. `allowed` is as `RuleMatcher` takes it.
    """

    STALE = "live_rules"

    def __init__(
        self,
        rules: RuleSet,
        version: str,
        *,
        age_s: Callable[[], float] = lambda: 0.0,
        stale_s: float = 10.0,
        allowed: AllowedRules = lambda _: (),
    ) -> None:
        self._allowed = allowed
        self._current = (RuleMatcher(rules, allowed=allowed), version)
        self._age_s = age_s
        self._stale_s = stale_s

    @property
    def current(self) -> RuleMatcher:
        """The matcher that reads the next batch."""
        return self._current[0]

    @property
    def version(self) -> str:
        """What `ruleset_version` of the next batch's items will be."""
        return self._current[1]

    def quota(self, rule: str) -> int | None:
        """Automatic blocks a day that `rule` may take part in; None: no quota, or no such rule."""
        found = self.current.rules.by_id.get(rule)
        return found.quota if found is not None else None

    def swap(self, rules: RuleSet, version: str) -> None:
        """Read from the next batch on with `rules`; call it from another thread than the stream's.

        Raises:
            PolicyError: a rule does not compile; the old rules run on.
        """
        matcher = RuleMatcher(rules, self._current[0], allowed=self._allowed)
        self._current = (matcher, version)

    def __call__(self, items: list[Item]) -> list[Item]:
        """The same items, with the signals of the rules that match."""
        matcher, version = self._current
        matcher(items)
        stale = self._age_s() > self._stale_s
        for item in items:
            item.ruleset_version = version
            if stale:
                item.degrade(self.STALE)
        return items
