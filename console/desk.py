"""Who is looking at what: hands out waiting items, takes answers, and takes them back."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from console.appeals import closed
from console.data import ConsoleStore, Key, WaitingItem, answers_wanted, key_of
from events.identity import label_id
from events.messages import Action, Appeal, Label, LabelSource
from policy.taxonomy import CATEGORIES

BATCH = 100
LEASE_S = 600.0
"""An item that was shown is kept for its reviewer this long, then anyone may get it."""
HOLD_S = 15.0
"""An answer is held back this long, or until the next one: undoing it then leaves no trace."""
REMEMBERED = 20
FRESH_S = 5.0
"""What was read of the queue is not asked for again within this time."""

_log = structlog.get_logger(__name__)


class AnswerError(ValueError):
    """An answer that makes no sense: what was wrong with it."""


class SubmitError(RuntimeError):
    """A label could not be sent; its item waits again."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An item and what its reviewer said."""

    item: WaitingItem
    label: Label


@dataclass(slots=True)
class _Reviewer:
    current: WaitingItem | None = None
    held: Answered | None = None
    fetched: list[WaitingItem] = field(default_factory=list)
    fetched_at: float = float("-inf")
    history: deque[Answered] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    skipped: set[Key] = field(default_factory=set)
    skips: list[WaitingItem] = field(default_factory=list)
    """What was skipped since the last answer, to be undone."""
    answered: int = 0
    problem: str = ""


class Desk:
    """The queue as its reviewers see it; safe to use from several threads.

    Two reviewers never hold the same item. `submit` receives each label once it is certain, and
    after that of an appeal its answer; when it raises, the item waits again. `clock` gives Unix
    seconds; `hold_s` 0 sends every label at once.
    """

    def __init__(
        self,
        store: ConsoleStore,
        submit: Callable[[Label | Appeal], None],
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
        self._done: dict[tuple[str, Key], Appeal | None] = {}
        """Who has answered about what, and the appeal that they answered, if it was one."""
        self._count, self._counted_at = 0, float("-inf")

    def current(self, reviewer: str) -> WaitingItem | None:
        """What `reviewer` is looking at, until answered or skipped; None: nothing waits.

        An item whose lease has ended stays until another reviewer gets it.
        """
        with self._lock:
            who = self._who(reviewer)
            if who.current is None and (item := self._next(reviewer, who)) is not None:
                self._give(reviewer, who, item)
            return who.current

    def answer(self, reviewer: str, key: Key, action: Action, category: str) -> None:
        """Say what the current item is; a second answer to one that was answered is nothing.

        Raises:
            AnswerError: an action that is no answer, a category that does not go with it, or an
                item that `reviewer` does not hold.
            SubmitError: the answer before this one could not be sent.
        """
        if action not in ("allow", "block"):
            raise AnswerError(f"{action!r} is no answer: allow or block")
        if action == "block" and category not in CATEGORIES:
            raise AnswerError("a blocked item needs its category")
        with self._lock:
            who = self._who(reviewer)
            if who.current is None or key_of(who.current) != key:
                if any(key_of(answered.item) == key for answered in who.history):
                    return  # a double click
                raise AnswerError(
                    "not taken: the item has gone to another, or the console was restarted"
                )
            self.settle(reviewer)
            who.held = Answered(who.current, self._label(reviewer, who.current, action, category))
            who.history.append(who.held)
            who.answered += 1
            self._done[reviewer, key] = who.current.appeal
            who.skips.clear()
            self._let_go(who)
        if self._hold_s:
            timer = threading.Timer(self._hold_s, self._settle_if_held, (reviewer, who.held))
            timer.daemon = True
            timer.start()
        else:
            self.settle(reviewer)

    def skip(self, reviewer: str, key: Key) -> None:
        """Leave the current item to others; only `undo` brings it back before a restart."""
        with self._lock:
            who = self._who(reviewer)
            if who.current is not None and key_of(who.current) == key:
                who.skipped.add(key)
                who.skips.append(who.current)
                self._let_go(who)

    def undo(self, reviewer: str) -> bool:
        """Bring back what was skipped last, else the last answered item; False: there is none.

        What another has taken since stays theirs. An answer that was still held back is forgotten.
        One that was sent stands until the item is answered again, which replaces it.
        """
        with self._lock:
            who = self._who(reviewer)
            while who.skips:
                skipped = who.skips.pop()
                who.skipped.discard(key_of(skipped))
                if self._is_open(reviewer, who, skipped):
                    self._let_go(who)
                    self._give(reviewer, who, skipped)
                    return True
            if not who.history:
                return False
            last = who.history.pop()
            if who.held is last:
                who.held = None
            who.answered -= 1
            self._done.pop((reviewer, key_of(last.item)), None)
            self._let_go(who)
            self._give(reviewer, who, last.item)
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
                if held.item.appeal is not None:
                    self._submit(closed(held.item.appeal, held.label))
            except Exception as error:
                self._done.pop((reviewer, key_of(held.item)), None)
                if held in who.history:
                    who.history.remove(held)
                    who.answered -= 1
                raise SubmitError(
                    f"the answer on {held.label.content_id} was not taken ({error}): it waits again"
                ) from error

    def close(self) -> None:
        """Send everything that is held back.

        Raises:
            SubmitError: something could not be sent; everything else was.
        """
        failed = []
        for reviewer in list(self._reviewers):
            try:
                self.settle(reviewer)
            except SubmitError as error:
                failed.append(str(error))
        if failed:
            raise SubmitError("; ".join(failed))

    def problem(self, reviewer: str) -> str:
        """What went wrong for `reviewer` while they did something else; told once."""
        with self._lock:
            who = self._who(reviewer)
            told, who.problem = who.problem, ""
            return told

    def history(self, reviewer: str) -> list[Answered]:
        """The last answers of `reviewer`, newest first."""
        with self._lock:
            return list(reversed(self._who(reviewer).history))

    def waiting(self, *, recount: bool = True) -> int:
        """How many items wanted an answer; `recount` allows a new count every `FRESH_S`."""
        with self._lock:
            if recount and self._clock() >= self._counted_at + FRESH_S:
                self._count, self._counted_at = self._store.count_waiting(), self._clock()
            return self._count

    def answered(self, reviewer: str) -> int:
        """How many items `reviewer` has answered since the console started."""
        with self._lock:
            return self._who(reviewer).answered

    def _settle_if_held(self, reviewer: str, answered: Answered) -> None:
        with self._lock:
            who = self._who(reviewer)
            if who.held is answered:
                try:
                    self.settle(reviewer)
                except SubmitError as error:
                    who.problem = str(error)
                    _log.warning("answer not taken", error=str(error))

    def _who(self, reviewer: str) -> _Reviewer:
        who = self._reviewers.setdefault(reviewer, _Reviewer())
        if who.current is not None and self._holder(key_of(who.current)) != reviewer:
            who.current = None
        return who

    def _holder(self, key: Key) -> str:
        return self._leases.get(key, ("", 0.0))[0]

    def _give(self, reviewer: str, who: _Reviewer, item: WaitingItem) -> None:
        who.current = item
        self._leases[key_of(item)] = (reviewer, self._clock() + LEASE_S)

    def _let_go(self, who: _Reviewer) -> None:
        if who.current is not None:
            del self._leases[key_of(who.current)]
            who.current = None

    def _next(self, reviewer: str, who: _Reviewer) -> WaitingItem | None:
        # An old batch lacks what is worse and came since, and holds what was deleted since.
        if self._clock() >= who.fetched_at + FRESH_S:
            self._fetch(reviewer, who)
        return next((item for item in who.fetched if self._is_open(reviewer, who, item)), None)

    def _is_open(self, reviewer: str, who: _Reviewer, item: WaitingItem) -> bool:
        """Whether `item` may be given to `reviewer`."""
        key = key_of(item)
        holder, until = self._leases.get(key, ("", 0.0))
        taken = holder not in ("", reviewer) and until > self._clock()
        if taken or key in who.skipped or (reviewer, key) in self._done:
            return False
        answers = [appeal for (_, answered), appeal in self._done.items() if answered == key]
        if item.appeal is not None:
            # Others have answered about the content before, or there would be no appeal.
            return item.appeal not in answers
        return len(answers) < answers_wanted(key)

    def _fetch(self, reviewer: str, who: _Reviewer) -> None:
        limit = BATCH + len(self._done) + len(who.skipped)
        who.fetched, who.fetched_at = self._store.waiting(limit, reviewer), self._clock()
        # What the store no longer offers has its label there; what is held back has not.
        open_keys = {key_of(item) for item in who.fetched}
        if who.held:
            open_keys.add(key_of(who.held.item))
        self._done = {
            (by, key): appeal
            for (by, key), appeal in self._done.items()
            if by != reviewer or key in open_keys
        }

    def _label(self, reviewer: str, item: WaitingItem, action: Action, category: str) -> Label:
        content_id, revision = key_of(item)
        source: LabelSource = "appeal" if item.appeal else "review"
        return Label(
            label_id=label_id(content_id, revision, reviewer, source),
            content_id=content_id,
            revision=revision,
            reviewer_id=reviewer,
            action=action,
            category=category if action == "block" else "",
            source=source,
            labeled_at=datetime.fromtimestamp(self._clock(), UTC),
        )
