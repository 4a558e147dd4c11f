"""Rules and hash lists that change while the job runs: the policy directory and what was pushed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from connectors.ruleset_store import RulesetStore, StoredRuleset, overlaid
from connectors.ruleset_watcher import RulesetWatcher
from flows import metrics
from operators.hash_match import HashMatcher
from operators.regex_match import AllowedRules, LiveRuleMatcher
from policy.hashlist import HashList
from policy.rulebook import parse_rulebook, read_rulebook


def worker_name() -> str:
    """A name for this process, unique in the cluster."""
    return f"{socket.gethostname()}:{os.getpid()}"


class LiveRulebook:
    """The hash and rule stages of a worker, and the watcher that keeps them at the active version.

    The version that is active now is in them when this returns. `follow`, for jobs alone, takes
    over later ones and makes this process one that a push waits for. Workers on threads of one
    process share one.

    `allowed` names the rules that do not apply to a content.

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
        self._book = book = parse_rulebook(self._files)
        self.watcher = RulesetWatcher(store, self._apply, worker or worker_name(), book.version)
        self.hash_matcher = HashMatcher(book.hashes)
        self.rule_matcher = LiveRuleMatcher(
            book.rules, book.version, age_s=lambda: self.watcher.age_s, allowed=allowed
        )
        self.watcher.catch_up()

    @property
    def hashes(self) -> HashList:
        """The lists in force, for stages with an index of their own."""
        return self._book.hashes

    def follow(self) -> None:
        """Take over what is pushed from now on, in a thread of its own.

        Raises:
            RulesetStoreDownError: the store does not answer.
        """
        self.watcher.start()
        metrics.RULESET_AGE.set_function(lambda: self.watcher.age_s)
        metrics.RULESET_PUSH.set_function(lambda: self.watcher.number)

    def on_hashes(self, listener: Callable[[HashList], None]) -> None:
        """Call `listener` with every later hash list, for stages with an index of their own.

        It is called in the watcher's thread and builds beside what runs, then swaps.
        """
        self._listeners.append(listener)

    def _apply(self, stored: StoredRuleset) -> str:
        book = parse_rulebook(overlaid(self._files, stored), self._book)
        self.rule_matcher.swap(book.rules, book.version)
        self.hash_matcher.swap(book.hashes)
        changed = book.hashes.version != self._book.hashes.version
        self._book = book
        for listener in self._listeners if changed else ():
            listener(book.hashes)
        return book.version
