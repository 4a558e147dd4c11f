"""What a push changes, file by file: for the log of changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from events.records import RuleFileChange
from policy.hashlist import Known
from policy.rulebook import parse_rulebook
from policy.rules import Rule

MAX_RULES: Final = 100
"""Ids of rules that one change of a file names."""


def file_changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[RuleFileChange, ...]:
    """The changed files between two rulebooks, given as texts by name, in the order of names.

    Raises:
        PolicyError: a changed file breaks its format.
    """
    names = sorted(name for name in {**before, **after} if before.get(name) != after.get(name))
    return tuple(_change(name, before.get(name), after.get(name)) for name in names)


def _change(name: str, before: str | None, after: str | None) -> RuleFileChange:
    old, new = (
        parse_rulebook({name: text} if text is not None else {}) for text in (before, after)
    )
    changed = [rule.id for rule in new.rules.rules if old.rules.by_id.get(rule.id) != rule]
    gone = [rule.id for rule in old.rules.rules if rule.id not in new.rules.by_id]
    lists = new.hashes.by_algorithm().values()
    known = [entry for entries in lists for entry in entries.values()]
    return RuleFileChange(
        file=name,
        entries=len(new.rules.rules) + len(known),
        rules=tuple((changed + gone)[:MAX_RULES]),
        expires=_last_expiry([*new.rules.rules, *known]),
    )


def _last_expiry(entries: Iterable[Rule | Known]) -> datetime | None:
    """When the last of `entries` expires; None when one never does."""
    latest: datetime | None = None
    for entry in entries:
        if entry.expires is None:
            return None
        latest = entry.expires if latest is None else max(latest, entry.expires)
    return latest
