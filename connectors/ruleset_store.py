"""Live rule sets and policies: every version that was pushed, which is active, and who runs it.

A version is the whole overlay of files (rules and hash lists, or policies) that lies over those of
the policy directory. A push stores the next version, makes it active and tells everybody, in one
step; a rollback is a push of an older version's files.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol

import msgspec
import redis
from msgspec import Struct

from connectors.redis_breaker import why
from events.messages import Instant, RuleAction
from events.records import RuleChange, RuleFileChange

KEPT_VERSIONS: Final = 100
KEPT_CHANGES: Final = 10_000
"""Entries of the log of changes that wait to be copied into the tables."""
WORKER_TTL_S: Final = 6.0
"""A worker that has not reported for so long is gone."""

RulesetKind = Literal["rules", "policy"]
"""Versions of rules and hash lists, or of policies: each kind has a history of its own."""
RULESET_KINDS: Final[tuple[RulesetKind, ...]] = ("rules", "policy")


class StoredRuleset(Struct, frozen=True, kw_only=True):
    """One pushed version. `number` counts from 1; `files` are texts by name.

    `changes` says what it changed, `ruleset_version` what decisions will carry, `back_to` the push
    whose files a rollback has brought back (0: none).
    """

    number: int = 0
    files: dict[str, str]
    author: str
    reason: str
    pushed_at: Instant
    action: RuleAction = "push"
    ruleset_version: str = ""
    changes: tuple[RuleFileChange, ...] = ()
    back_to: int | None = None

    @property
    def origin(self) -> int:
        """The push that these files were made by: of a rollback the one it went back to."""
        return self.number if self.back_to is None else self.back_to

    def as_change(self, change_id: str = "", number: int = 0) -> RuleChange:
        """The entry of this push in the log of changes."""
        return RuleChange(
            change_id=change_id,
            push=number,
            action=self.action,
            author=self.author,
            reason=self.reason,
            ruleset_version=self.ruleset_version,
            changed_at=self.pushed_at,
            files=self.changes,
        )


class WorkerReport(Struct, frozen=True):
    """What a worker runs: version `number` (0: none that the store knows).

    `ruleset_version` is what its decisions carry; `error` says why it cannot run version `failed`.
    """

    number: int
    ruleset_version: str
    error: str = ""
    failed: int = -1


class RulesetStoreDownError(ConnectionError):
    """The store does not answer; what was asked of it may not have been done."""


class RulesetChangedError(RuntimeError):
    """Somebody else has pushed meanwhile; nothing was stored."""

    def __init__(self, active: int) -> None:
        super().__init__(
            f"somebody else stored push {active} meanwhile: nothing is changed, try again"
        )


class RulesetStore(Protocol):
    """Where versions are kept. Every method may raise `RulesetStoreDownError`."""

    def push(self, ruleset: StoredRuleset, after: int | None = None) -> int:
        """Store `ruleset` under the next number, activate and broadcast it; the number.

        `after`: the version that it was made from, which must be active still, or what was pushed
        since would be lost.

        Raises:
            RulesetChangedError: another version than `after` is active.
        """
        ...

    def active_number(self) -> int:
        """The number of the active version; 0 when nothing was pushed."""
        ...

    def load(self, number: int) -> StoredRuleset | None:
        """A version, None when it is unknown or too old to be kept."""
        ...

    def changes(self, after: str = "") -> list[RuleChange]:
        """Pushes after the one with change_id `after`, oldest first, some hundreds at a time."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Return when something was pushed since the last call, or after `timeout_s`."""
        ...

    def report(self, worker: str, report: WorkerReport, valid_s: float = WORKER_TTL_S) -> None:
        """Say what `worker` runs; to be said again within `valid_s`."""
        ...

    def workers(self) -> dict[str, WorkerReport]:
        """The last report of every living worker."""
        ...


class LocalRulesetStore:
    """The store without a server: it lives in one process, forgets at its end, is never down."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._versions: list[StoredRuleset] = []
        self._reports: dict[str, tuple[float, WorkerReport]] = {}
        """Until when a worker's report is valid, and the report."""
        self._pushed = threading.Condition()
        self._seen = 0

    def push(self, ruleset: StoredRuleset, after: int | None = None) -> int:
        """See `RulesetStore.push`."""
        with self._pushed:
            if after not in (None, len(self._versions)):
                raise RulesetChangedError(len(self._versions))
            number = len(self._versions) + 1
            self._versions.append(msgspec.structs.replace(ruleset, number=number))
            self._pushed.notify_all()
        return number

    def active_number(self) -> int:
        """See `RulesetStore.active_number`."""
        return len(self._versions)

    def load(self, number: int) -> StoredRuleset | None:
        """See `RulesetStore.load`."""
        kept = max(1, len(self._versions) - KEPT_VERSIONS + 1) <= number <= len(self._versions)
        return self._versions[number - 1] if kept else None

    def changes(self, after: str = "") -> list[RuleChange]:
        """See `RulesetStore.changes`."""
        return [
            version.as_change(str(version.number), version.number)
            for version in self._versions[int(after or 0) :]
        ]

    def wait(self, timeout_s: float) -> None:
        """See `RulesetStore.wait`."""
        with self._pushed:
            self._pushed.wait_for(lambda: len(self._versions) > self._seen, timeout_s)
            self._seen = len(self._versions)

    def report(self, worker: str, report: WorkerReport, valid_s: float = WORKER_TTL_S) -> None:
        """See `RulesetStore.report`."""
        self._reports[worker] = (self._now() + valid_s, report)

    def workers(self) -> dict[str, WorkerReport]:
        """See `RulesetStore.workers`."""
        now = self._now()
        return {name: report for name, (until, report) in self._reports.items() if until >= now}


# KEYS: counter, version prefix, channel, changes; ARGV: the version, how many are kept, the change,
# how many of these are kept, what must be active ("": anything). The number, or minus the active
# one.
_PUSH = """
local active = tonumber(redis.call('GET', KEYS[1]) or 0)
if ARGV[5] ~= '' and tonumber(ARGV[5]) ~= active then return -active end
local number = redis.call('INCR', KEYS[1])
redis.call('SET', KEYS[2] .. number, ARGV[1])
redis.call('DEL', KEYS[2] .. (number - ARGV[2]))
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[4], '*', 'push', number, 'change', ARGV[3])
redis.call('PUBLISH', KEYS[3], number)
return number
"""


class RedisRulesetStore:
    """The store on a Redis or Valkey server, shared by all workers and commands."""

    def __init__(self, url: str, kind: RulesetKind = "rules") -> None:
        self._prefix = f"breakwater:{kind}:"
        self._client = redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=1.0)
        self._push = self._client.register_script(_PUSH)
        self._subscription: Any = None

    def push(self, ruleset: StoredRuleset, after: int | None = None) -> int:
        """See `RulesetStore.push`."""
        keys = [self._prefix + name for name in ("active", "version:", "pushed", "changes")]
        version, change = (msgspec.json.encode(each) for each in (ruleset, ruleset.as_change()))
        args = [version, KEPT_VERSIONS, change, KEPT_CHANGES, "" if after is None else after]
        number = int(_answer(lambda: self._push(keys=keys, args=args)))
        if number <= 0:
            raise RulesetChangedError(-number)
        return number

    def active_number(self) -> int:
        """See `RulesetStore.active_number`."""
        return int(_answer(lambda: self._client.get(self._prefix + "active")) or 0)

    def load(self, number: int) -> StoredRuleset | None:
        """See `RulesetStore.load`."""
        body = _answer(lambda: self._client.get(f"{self._prefix}version:{number}"))
        if body is None:
            return None
        stored = msgspec.json.decode(body, type=StoredRuleset)
        return msgspec.structs.replace(stored, number=number)

    def changes(self, after: str = "") -> list[RuleChange]:
        """See `RulesetStore.changes`."""
        first = f"({after}" if after else "-"
        found = _answer(lambda: self._client.xrange(self._prefix + "changes", min=first, count=500))
        return [
            msgspec.structs.replace(
                msgspec.json.decode(entry[b"change"], type=RuleChange),
                change_id=change_id.decode(),
                push=int(entry[b"push"]),
            )
            for change_id, entry in found
        ]

    def wait(self, timeout_s: float) -> None:
        """See `RulesetStore.wait`."""
        try:
            if self._subscription is None:
                subscription = self._client.pubsub(ignore_subscribe_messages=True)
                subscription.subscribe(self._prefix + "pushed")
                self._subscription = subscription
                return  # a push may have come before the subscription did
            self._subscription.get_message(timeout=timeout_s)
        except redis.RedisError as error:
            self._subscription = None
            raise RulesetStoreDownError(why(error)) from None

    def report(self, worker: str, report: WorkerReport, valid_s: float = WORKER_TTL_S) -> None:
        """See `RulesetStore.report`."""
        key, body = f"{self._prefix}worker:{worker}", msgspec.json.encode(report)
        _answer(lambda: self._client.set(key, body, px=int(valid_s * 1000)))

    def workers(self) -> dict[str, WorkerReport]:
        """See `RulesetStore.workers`."""
        prefix = f"{self._prefix}worker:"
        keys = _answer(lambda: list(self._client.scan_iter(match=prefix + "*", count=1000)))
        bodies = _answer(lambda: self._client.mget(keys)) if keys else []
        return {
            key.decode().removeprefix(prefix): msgspec.json.decode(body, type=WorkerReport)
            for key, body in zip(keys, bodies, strict=True)
            if body is not None
        }


def _answer(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except redis.RedisError as error:
        raise RulesetStoreDownError(why(error)) from None


def overlaid(files: Mapping[str, str], stored: StoredRuleset | None) -> dict[str, str]:
    """`files` of a policy directory with those of the live version over them."""
    return {**files, **(stored.files if stored is not None else {})}
