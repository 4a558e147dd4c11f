"""`breakwater rules`: list, lint, test, push and roll back rules and hash lists."""

from __future__ import annotations

import getpass
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.errors import UsageError
from connectors.ruleset_store import (
    LocalRulesetStore,
    RedisRulesetStore,
    RulesetStore,
    StoredRuleset,
    overlaid,
)
from events.messages import RuleAction
from flows.settings import load_settings
from policy.changes import file_changes
from policy.lint import MAX_EVERYDAY_RATE, Finding, lint
from policy.rulebook import Rulebook, parse_rulebook, read_rulebook, read_rulebook_file
from policy.rules import Rule

app = typer.Typer(
    help="Patterns and hash lists, live on every worker in a second.", no_args_is_help=True
)

Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Rule files (.yaml) and hash lists (.csv); without any, those in force."),
]
Author = Annotated[str, typer.Option(help="Who changes the rules; your login by default.")]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for the workers.")]


@app.command("list", epilog="Example: breakwater rules list --category spam")
def list_rules(
    category: Annotated[str, typer.Option(help="Only rules of this category.")] = "",
) -> None:
    """The rules in force: those of the policy directory with the pushed ones over them."""
    book, stored = _in_force()
    table = Table("rule", "category", "score", "matches", "on", "expires", "description")
    for rule in book.rules.rules:
        if category in ("", rule.category):
            expires = rule.expires.isoformat(timespec="minutes") if rule.expires else ""
            row = (rule.id, rule.category, f"{rule.score:.2f}", _matches(rule), rule.on, expires)
            # Text: what is in a rule is no markup.
            table.add_row(*map(Text, (*row, rule.description)))
    Console().print(table)
    hashes = sum(map(len, (book.hashes.md5, book.hashes.pdq, book.hashes.phash)))
    pushed = f"push {stored.number} by {stored.author}: {stored.reason}" if stored else "no push"
    typer.echo(
        f"{len(book.rules.rules)} rules, {hashes} hashes, ruleset version {book.version}, {pushed}"
    )


@app.command("lint", epilog="Example: breakwater rules lint emergency.yaml")
def lint_files(
    files: Files = None,
    rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of everyday sentences a rule may match.")
    ] = MAX_EVERYDAY_RATE,
) -> None:
    """Whether files compile within bounds, keep their examples and leave everyday talk alone.

    They are read as a push would: over those of the policy directory.
    """
    texts = read_rulebook(load_settings().policy) | _texts(files)
    _fail_on(lint(texts, rate=rate))
    typer.echo(f"{len(texts)} files are fine")


@app.command("test", epilog="Example: breakwater rules test policy/rules/spam.yaml")
def hold_to_examples(files: Files = None) -> None:
    """Whether every rule matches what its examples say, and does not match what they forbid."""
    texts = _texts(files)
    _fail_on(lint(texts, rate=1.0))
    rules = parse_rulebook(texts).rules.rules
    count = sum(len(rule.examples.match) + len(rule.examples.no_match) for rule in rules)
    typer.echo(f"{count} examples of {len(rules)} rules hold")


@app.command("push", epilog="Example: breakwater rules push wave.yaml --reason 'link wave'")
def push(
    files: Annotated[list[Path], typer.Argument(help="Rule files (.yaml), hash lists (.csv).")],
    reason: Annotated[str, typer.Option(help="Why, for those who come after.")],
    author: Author = "",
    remove: Annotated[
        bool, typer.Option("--remove", help="Take files of these names away instead.")
    ] = False,
    permanent: Annotated[
        bool, typer.Option("--permanent", help="Rules without an expiry are meant so.")
    ] = False,
    wait: Wait = 10.0,
) -> None:
    """Put files over those of the policy directory, live on every worker.

    A file of the same name is replaced. Rules need an `expires`, unless --permanent says otherwise.
    """
    if not reason.strip():
        raise UsageError("--reason: say why the rules change")
    store = _store()
    active = store.load(store.active_number())
    overlay = dict(active.files) if active is not None else {}
    action: RuleAction = "remove" if remove else "push"
    if remove:
        for path in files:
            folder = "rules" if path.suffix == ".yaml" else "hashes"
            if overlay.pop(f"{folder}/{path.name}", None) is None:
                raise UsageError(f"{path.name}: no pushed file has this name")
    else:
        pushed = dict(map(read_rulebook_file, files))
        if not permanent:
            _check_expiry(pushed)
        overlay |= pushed
    _activate(store, active, _stored(overlay, action, author, reason), wait)


@app.command("rollback", epilog="Example: breakwater rules rollback --reason 'too many matches'")
def rollback(
    to: Annotated[int, typer.Option(min=-1, help="A push's number; the one before by default.")] = (
        -1
    ),
    reason: Annotated[str, typer.Option(help="Why.")] = "rollback",
    author: Author = "",
    wait: Wait = 10.0,
) -> None:
    """Make an earlier push active again; 0 is the policy directory alone."""
    store = _store()
    number = store.active_number()
    target = number - 1 if to < 0 else to
    if number == 0:
        raise UsageError("nothing was pushed yet")
    files: dict[str, str] = {}
    if target > 0:
        stored = store.load(target)
        if stored is None:
            raise UsageError(f"--to {target}: no such push is kept; the last is {number}")
        files = stored.files
    stored = _stored(files, "rollback", author, f"back to {target}: {reason}")
    _activate(store, store.load(number), stored, wait)


def _activate(
    store: RulesetStore, active: StoredRuleset | None, ruleset: StoredRuleset, wait_s: float
) -> None:
    """Check, push and wait until all workers that are up say that they run it."""
    directory = read_rulebook(load_settings().policy)
    before, after = overlaid(directory, active), overlaid(directory, ruleset)
    _fail_on(lint(after, only=[name for name, text in after.items() if before.get(name) != text]))
    ruleset = replace(
        ruleset,
        changes=file_changes(before, after),
        ruleset_version=parse_rulebook(after).version,
    )
    expected = set(store.workers())
    began = time.monotonic()
    number = store.push(ruleset)
    typer.echo(f"push {number} stored, roll back with: breakwater rules rollback")
    while True:
        reports = store.workers()
        # A worker that has ended meanwhile is not waited for.
        expected &= reports.keys()
        done = [name for name in expected if reports[name].number >= number]
        failed = {name: at.error for name, at in reports.items() if at.failed >= number}
        took = time.monotonic() - began
        if failed:
            name, error = next(iter(failed.items()))
            raise typer.Exit(_say(f"{len(failed)} workers cannot use it: {name}: {error}"))
        if len(done) == len(expected):
            typer.echo(f"active on {len(done)} of {len(expected)} workers in {took:.1f} s")
            return
        if took > wait_s:
            raise typer.Exit(
                _say(f"active on only {len(done)} of {len(expected)} workers after {took:.1f} s")
            )
        time.sleep(0.02)


def _stored(files: dict[str, str], action: RuleAction, author: str, reason: str) -> StoredRuleset:
    return StoredRuleset(
        files=files,
        action=action,
        author=author or getpass.getuser(),
        reason=reason,
        pushed_at=datetime.now(UTC),
    )


def _check_expiry(pushed: dict[str, str]) -> None:
    for rule in parse_rulebook(pushed).rules.rules:
        if rule.expires is None:
            tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
            raise UsageError(f"rule {rule.id!r}: add `expires: {tomorrow}`, or use --permanent")


def _in_force() -> tuple[Rulebook, StoredRuleset | None]:
    settings = load_settings()
    url = settings.redis_url
    store = RedisRulesetStore(url.get_secret_value()) if url is not None else LocalRulesetStore()
    stored = store.load(store.active_number())
    return parse_rulebook(overlaid(read_rulebook(settings.policy), stored)), stored


def _store() -> RulesetStore:
    url = load_settings().redis_url
    if url is None:
        raise UsageError("BREAKWATER_REDIS_URL: live rules need a Redis or Valkey server")
    return RedisRulesetStore(url.get_secret_value())


def _texts(files: list[Path] | None) -> dict[str, str]:
    if files:
        return dict(map(read_rulebook_file, files))
    return read_rulebook(load_settings().policy)


def _fail_on(findings: list[Finding]) -> None:
    """Print what is wrong and end with exit code 1, if anything is."""
    for finding in findings:
        _say(f"rule {finding.rule!r} {finding.message}" if finding.rule else finding.message)
    if findings:
        raise typer.Exit(1)


def _say(error: str) -> int:
    """Print to stderr; the exit code of what failed."""
    typer.echo(f"breakwater: {error}", err=True)
    return 1


def _matches(rule: Rule) -> str:
    if rule.keywords is not None:
        return f"{len(rule.keywords)} keywords"
    pattern = rule.pattern or ""
    return pattern if len(pattern) <= 40 else pattern[:39] + "…"
