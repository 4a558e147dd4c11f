"""Policies that change while the job runs: those of the policy directory and what was pushed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from connectors.ruleset_store import RulesetStore, StoredRuleset, overlaid
from connectors.ruleset_watcher import RulesetWatcher
from events.messages import Content
from flows.live_rules import worker_name
from policy.policies import Policies, parse_policies, read_policies


class LivePolicy:
    """The policies in force in a worker, and the watcher that keeps them at the active version.

    A pushed file takes the place of the directory's file of the same name. The version that is
    active now is in `current` when this returns; `follow`, for jobs alone, takes over later ones.

    Raises:
        PolicyError: the policy directory or the active version cannot be used.
        RulesetStoreDownError: the store does not answer.
    """

    def __init__(self, directory: Path, store: RulesetStore, worker: str = "") -> None:
        self._files = read_policies(directory)
        self._listeners: list[Callable[[Policies], None]] = []
        self.current = parse_policies(self._files)
        self.watcher = RulesetWatcher(
            store, self._apply, worker or worker_name(), self.current.version
        )
        self.watcher.catch_up()

    def follow(self) -> None:
        """Take over what is pushed from now on, in a thread of its own.

        Raises:
            RulesetStoreDownError: the store does not answer.
        """
        self.watcher.start()

    def hand_to(self, listener: Callable[[Policies], None]) -> None:
        """Call `listener` with the policies in force, and with later ones in another thread."""
        listener(self.current)
        self._listeners.append(listener)

    def allowed_rules(self, content: Content) -> Collection[str]:
        """Ids of the rules that do not apply to `content`."""
        return self.current.for_author(content.author_id).allowed_rules(content.community)

    def _apply(self, stored: StoredRuleset) -> str:
        self.current = parse_policies(overlaid(self._files, stored))
        for listener in self._listeners:
            listener(self.current)
        return self.current.version
