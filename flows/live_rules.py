"""Rules and hash lists that change while the job runs: the policy directory and what was pushed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from connectors.ruleset_store import RulesetStore, StoredRuleset, overlaid
from connectors.ruleset_watcher import RulesetWatcher
from operators.hash_match import HashMatcher
from operators.regex_match import AllowedRules, LiveRuleMatcher
from policy.hashlist import HashList
from policy.rulebook import parse_rulebook, read_rulebook


def worker_name() -> str:
    """A name for this process, unique in the cluster."""
    return f"{socket.gethostname()}:{os.getpid()}"


class LiveRulebook:
    """The hash and rule stages of a worker, and the watcher that keeps them at the active version.

    The version that is active now is in them when this returns. `watcher.start()`, for jobs alone,
    follows later ones and makes this process one that a push waits for. Workers on threads of one
    process share one.

    `allowed` names the rules that do not apply in a community.

    Raises:
        PolicyError: the policy directory or the active version cannot be used.
        RulesetStoreDownError: the store does not answer.
    """

    def __init__(
        self,
        directory: Path,
        store: RulesetStore,
        worker: str = "",
        allowed: AllowedRules = lambda _: (),
    ) -> None:
        self._files = read_rulebook(directory)
        self._listeners: list[Callable[[HashList], None]] = []
        book = parse_rulebook(self._files)
        self.watcher = RulesetWatcher(store, self._apply, worker or worker_name(), book.version)
        self.hash_matcher = HashMatcher(book.hashes)
        self.rule_matcher = LiveRuleMatcher(
            book.rules, book.version, age_s=lambda: self.watcher.age_s, allowed=allowed
        )
        self.hashes = book.hashes
        """The lists in force, for stages with an index of their own."""
        self.watcher.catch_up()

    def on_hashes(self, listener: Callable[[HashList], None]) -> None:
        """Call `listener` with every later hash list, for stages with an index of their own.

        It is called in the watcher's thread and builds beside what runs, then swaps.
        """
        self._listeners.append(listener)

    def _apply(self, stored: StoredRuleset) -> str:
        book = parse_rulebook(overlaid(self._files, stored))
        self.rule_matcher.swap(book.rules, book.version)
        self.hash_matcher.swap(book.hashes)
        self.hashes = book.hashes
        for listener in self._listeners:
            listener(book.hashes)
        return book.version
