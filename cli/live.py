"""What `rules` and `policy` share: versions that are pushed, and workers that are waited for."""

from __future__ import annotations

import getpass
import time
from datetime import UTC, datetime

import typer
from msgspec.structs import replace

from cli.errors import UsageError, failed
from connectors.ruleset_store import (
    LocalRulesetStore,
    RedisRulesetStore,
    RulesetChangedError,
    RulesetKind,
    RulesetStore,
    StoredRuleset,
    overlaid,
)
from events.messages import RuleAction
from flows.settings import load_settings
from policy.rulebook import Rulebook, parse_rulebook, read_rulebook


def open_store(kind: RulesetKind, *, shared: bool = True) -> RulesetStore:
    """The store of pushed versions; without a server an empty one, unless it must be `shared`.

    Raises:
        UsageError: there is no server to share.
    """
    url = load_settings().redis_url
    if url is not None:
        return RedisRulesetStore(url.get_secret_value(), kind)
    if shared:
        raise UsageError(f"BREAKWATER_REDIS_URL: live {kind} needs a Redis or Valkey server")
    return LocalRulesetStore()


def rules_in_force() -> tuple[Rulebook, StoredRuleset | None]:
    """The rules of the policy directory with the pushed ones over them, and that push if any.

    Raises:
        PolicyError: a file cannot be read or breaks its format.
    """
    store = open_store("rules", shared=False)
    stored = store.load(store.active_number())
    return parse_rulebook(overlaid(read_rulebook(load_settings().policy), stored)), stored


def version_of(
    files: dict[str, str], author: str = "", reason: str = "", action: RuleAction = "push"
) -> StoredRuleset:
    """A version that is not pushed yet; your login signs it by default."""
    return StoredRuleset(
        files=files,
        author=author or getpass.getuser(),
        reason=reason,
        action=action,
        pushed_at=datetime.now(UTC),
    )


def rollback_of(store: RulesetStore, to: int, author: str, reason: str) -> StoredRuleset:
    """A version that goes back to push `to`; says which that is.

    -1 is the one before that whose files are active, so that a second rollback goes further back
    and not forth again; 0 is the directory alone.

    Raises:
        UsageError: there is no such push, or no reason.
    """
    if not reason.strip():
        raise UsageError("--reason: say why an earlier push is gone back to")
    active = store.load(store.active_number())
    if active is None:
        raise UsageError("nothing was pushed yet")
    target = active.origin - 1 if to < 0 else to
    if target < 0:
        raise UsageError("nothing is before the policy directory alone: name a push with --to")
    files, told = dict[str, str](), "the policy directory alone"
    if target:
        stored = store.load(target)
        if stored is None:
            raise UsageError(f"--to {target}: no such push is kept; the last is {active.number}")
        target, files = stored.origin, stored.files
        told = f"push {target}"
    typer.echo(f"going back to {told}")
    version = version_of(files, author, f"back to {target}: {reason}", "rollback")
    return replace(version, back_to=target)


def push_and_wait(
    store: RulesetStore, version: StoredRuleset, after: int, wait_s: float, undo: str
) -> None:
    """Push and wait until all workers that are up say that they run it; `undo` is what undoes it.

    `after`: number of the push that `version` was made from.

    Raises:
        typer.Exit: with 1, when somebody else pushed meanwhile, or a worker cannot use it or takes
            longer than `wait_s`.
    """
    expected = set(store.workers())
    began = time.monotonic()
    try:
        number = store.push(version, after)
    except RulesetChangedError as changed:
        raise failed(str(changed)) from None
    if version.back_to is not None:
        undo += f" --to {number - 1}"
    typer.echo(f"push {number} stored, roll back with: {undo}")
    while True:
        reports = store.workers()
        # A worker that has ended meanwhile is not waited for.
        expected &= reports.keys()
        done = [name for name in expected if reports[name].number >= number]
        errors = {name: at.error for name, at in reports.items() if at.failed >= number}
        took = time.monotonic() - began
        if errors:
            name, error = next(iter(errors.items()))
            raise failed(f"{len(errors)} workers cannot use it: {name}: {error}")
        if len(done) == len(expected):
            typer.echo(f"active on {len(done)} of {len(expected)} workers in {took:.1f} s")
            return
        if took > wait_s:
            raise failed(
                f"active on only {len(done)} of {len(expected)} workers after {took:.1f} s"
            )
        time.sleep(0.02)
