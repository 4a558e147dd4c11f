"""Who is looking at what: hands out waiting items, takes answers, and takes them back."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from console.data import ConsoleStore, Key, key_of
from events.identity import label_id
from events.messages import Action, Label, ReviewItem
from policy.taxonomy import CATEGORIES

BATCH = 100
LEASE_S = 600.0
"""An item that was shown is kept for its reviewer this long, then anyone may get it."""
HOLD_S = 15.0
"""An answer is held back this long, or until the next one: undoing it then leaves no trace."""
REMEMBERED = 20
COUNT_S = 5.0

log = logging.getLogger(__name__)


class AnswerError(ValueError):
    """An answer that makes no sense: what was wrong with it."""


class SubmitError(RuntimeError):
    """A label could not be sent; its item waits again."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An item and what its reviewer said."""

    item: ReviewItem
    label: Label


@dataclass(slots=True)
class _Reviewer:
    current: ReviewItem | None = None
    held: Answered | None = None
    history: deque[Answered] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    skipped: set[Key] = field(default_factory=set)
    answered: int = 0


class Desk:
    """The queue as its reviewers see it; safe to use from several threads.

    Two reviewers never hold the same item. `submit` receives each label once it is certain; when it
    raises, the item waits again. `clock` gives Unix seconds; `hold_s` 0 sends every label at once.
    """

    def __init__(
        self,
        store: ConsoleStore,
        submit: Callable[[Label], None],
        clock: Callable[[], float] = time.time,
        hold_s: float = HOLD_S,
    ) -> None:
        self._store = store
        self._submit = submit
        self._clock = clock
        self._hold_s = hold_s
        self._lock = threading.RLock()
        self._reviewers: dict[str, _Reviewer] = {}
        self._leases: dict[Key, tuple[str, float]] = {}
        self._done: set[Key] = set()
        self._fetched: list[ReviewItem] = []
        self._count, self._counted_at = 0, float("-inf")

    def current(self, reviewer: str) -> ReviewItem | None:
        """What `reviewer` is looking at, until answered or skipped; None: nothing waits."""
        with self._lock:
            who = self._who(reviewer)
            if who.current is None:
                who.current = self._next(reviewer, who, self._fetched)
            if who.current is None:
                self._fetch(len(who.skipped))
                who.current = self._next(reviewer, who, self._fetched)
            if who.current is not None:
                self._leases[key_of(who.current)] = (reviewer, self._clock() + LEASE_S)
            return who.current

    def answer(self, reviewer: str, key: Key, action: Action, category: str) -> None:
        """Say what the current item is; an answer to another item (a double click) is nothing.

        Raises:
            AnswerError: an action that is no answer, or a category that does not go with it.
            SubmitError: the answer before this one could not be sent.
        """
        if action not in ("allow", "block"):
            raise AnswerError(f"{action!r} is no answer: allow or block")
        if action == "block" and category not in CATEGORIES:
            raise AnswerError("a blocked item needs its category")
        with self._lock:
            who = self._who(reviewer)
            if who.current is None or key_of(who.current) != key:
                return
            self.settle(reviewer)
            who.held = Answered(who.current, self._label(reviewer, key, action, category))
            who.history.append(who.held)
            who.answered += 1
            who.current = None
            self._done.add(key)
        if self._hold_s:
            timer = threading.Timer(self._hold_s, self._settle_if_held, (reviewer, who.held))
            timer.daemon = True
            timer.start()
        else:
            self.settle(reviewer)

    def skip(self, reviewer: str, key: Key) -> None:
        """Leave the current item to others; `reviewer` sees it no more before a restart."""
        with self._lock:
            who = self._who(reviewer)
            if who.current is not None and key_of(who.current) == key:
                who.skipped.add(key)
                self._leases.pop(key, None)
                who.current = None

    def undo(self, reviewer: str) -> bool:
        """Bring back the last answered item; False: there is none.

        An answer that was still held back is forgotten. One that was sent stands until the item is
        answered again, which replaces it.
        """
        with self._lock:
            who = self._who(reviewer)
            if not who.history:
                return False
            last = who.history.pop()
            if who.current is not None:
                self._leases.pop(key_of(who.current), None)
            if who.held is last:
                who.held = None
            who.answered -= 1
            who.current = last.item
            self._done.discard(key_of(last.item))
            return True

    def settle(self, reviewer: str) -> None:
        """Send the answer that is held back for `reviewer`, if any.

        Raises:
            SubmitError: it could not be sent.
        """
        with self._lock:
            who = self._who(reviewer)
            held, who.held = who.held, None
            if held is None:
                return
            try:
                self._submit(held.label)
            except Exception as error:
                self._done.discard(key_of(held.item))
                if held in who.history:
                    who.history.remove(held)
                    who.answered -= 1
                raise SubmitError(
                    f"the answer on {held.label.content_id} was not taken ({error}): it waits again"
                ) from error

    def close(self) -> None:
        """Send everything that is held back."""
        for reviewer in list(self._reviewers):
            self.settle(reviewer)

    def history(self, reviewer: str) -> list[Answered]:
        """The last answers of `reviewer`, newest first."""
        with self._lock:
            return list(reversed(self._who(reviewer).history))

    def waiting(self, *, recount: bool = True) -> int:
        """How many items nobody had labelled; `recount` allows a new count every `COUNT_S`."""
        with self._lock:
            if recount and self._clock() >= self._counted_at + COUNT_S:
                self._count, self._counted_at = self._store.count_waiting(), self._clock()
            return self._count

    def answered(self, reviewer: str) -> int:
        """How many items `reviewer` has answered since the console started."""
        return self._who(reviewer).answered

    def _settle_if_held(self, reviewer: str, answered: Answered) -> None:
        with self._lock:
            if self._who(reviewer).held is answered:
                try:
                    self.settle(reviewer)
                except SubmitError as error:
                    log.warning("%s", error)

    def _fetch(self, skipped: int) -> None:
        self._fetched = self._store.waiting(BATCH + len(self._done) + skipped)
        # What the store no longer offers has its label there; what is held back has not.
        held = {key_of(who.held.item) for who in self._reviewers.values() if who.held}
        self._done &= {key_of(item) for item in self._fetched} | held

    def _who(self, reviewer: str) -> _Reviewer:
        return self._reviewers.setdefault(reviewer, _Reviewer())

    def _next(self, reviewer: str, who: _Reviewer, items: list[ReviewItem]) -> ReviewItem | None:
        now = self._clock()
        for item in items:
            key = key_of(item)
            holder, until = self._leases.get(key, ("", 0.0))
            taken = holder not in ("", reviewer) and until > now
            if not taken and key not in self._done and key not in who.skipped:
                return item
        return None

    def _label(self, reviewer: str, key: Key, action: Action, category: str) -> Label:
        return Label(
            label_id=label_id(*key, reviewer, "review"),
            content_id=key[0],
            revision=key[1],
            reviewer_id=reviewer,
            action=action,
            category=category if action == "block" else "",
            source="review",
            labeled_at=datetime.fromtimestamp(self._clock(), UTC),
        )
