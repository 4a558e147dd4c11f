"""`breakwater rules`: list, lint, test, push and roll back rules and hash lists."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace
from rich.table import Column, Table
from rich.text import Text

from cli.errors import UsageError, failed, say
from cli.live import open_store, push_and_wait, rollback_of, rules_in_force, version_of
from cli.terminal import table_console
from connectors.ruleset_store import RulesetStore, StoredRuleset, overlaid
from events.categories import CATEGORIES
from events.messages import RuleAction
from flows.settings import load_settings
from operators.normalize import normalize
from policy.changes import file_changes
from policy.exchange import as_hash_list, read_exchange
from policy.hashlist import parse_hashes, read_hash_file
from policy.lint import MAX_EVERYDAY_RATE, Finding, lint
from policy.rulebook import parse_rulebook, read_rulebook, read_rulebook_file
from policy.rules import Rule

app = typer.Typer(
    help="Patterns and hash lists, live on every worker in a second.", no_args_is_help=True
)

_COLUMNS = ("rule", "category", "score", "matches", "on", "expires", "description")

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
    if category:
        _check_category(category)
    book, stored = rules_in_force()
    listed = [_row(rule) for rule in book.rules.rules if category in ("", rule.category)]
    # What no rule has takes no room.
    names = [name for name in _COLUMNS if any(row[name] for row in listed)]
    # Ids whole, however narrow the terminal: policies name rules by them.
    table = Table(*(Column(name, no_wrap=name == "rule") for name in names), box=None)
    for row in listed:
        # Text: what is in a rule is no markup.
        table.add_row(*(Text(row[name]) for name in names))
    table_console().print(table if listed else "no rules")
    hashes = sum(map(len, book.hashes.by_algorithm().values()))
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

    They are read as a push would: over those of the policy directory. What a push would refuse
    for its expiry is a warning: what has none, and what has expired.
    """
    texts = _texts(files)
    everything = read_rulebook(load_settings().policy) | texts
    _fail_on(lint(everything, normalize, only=texts, rate=rate))
    for finding in (*_expired(texts), *_without_expiry(texts)) if files else ():
        say(f"warning: {_line(finding)}")
    typer.echo(f"{len(texts)} files are fine" if len(texts) != 1 else "1 file is fine")


@app.command("test", epilog="Example: breakwater rules test policy/rules/spam.yaml")
def hold_to_examples(files: Files = None) -> None:
    """Whether every rule matches what its examples say, and does not match what they forbid."""
    texts = _texts(files)
    _fail_on(lint(texts, normalize, rate=1.0))
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
        bool, typer.Option("--permanent", help="Allow rules and hashes without an expiry.")
    ] = False,
    wait: Wait = 10.0,
) -> None:
    """Put files over those of the policy directory, live on every worker.

    A file of the same name is replaced. Rules and hashes need an `expires` in the future; those
    without one need --permanent.
    """
    if not reason.strip():
        raise UsageError("--reason: say why the rules change")
    store = open_store("rules")
    number = store.active_number()
    active = store.load(number)
    overlay = dict(active.files) if active is not None else {}
    action: RuleAction = "remove" if remove else "push"
    pushed: dict[str, str] = {}
    if remove:
        for path in files:
            folder = "rules" if path.suffix == ".yaml" else "hashes"
            if overlay.pop(f"{folder}/{path.name}", None) is None:
                raise UsageError(f"{path.name}: no pushed file has this name")
    else:
        pushed = _read(files)
        overlay |= pushed

    def refused() -> list[Finding]:
        return _expired(pushed) + ([] if permanent else _without_expiry(pushed))

    _activate(store, number, active, version_of(overlay, author, reason, action), wait, refused)


@app.command("rollback", epilog="Example: breakwater rules rollback --reason 'too many matches'")
def rollback(
    to: Annotated[int, typer.Option(min=-1, help="A push's number; the one before by default.")] = (
        -1
    ),
    reason: Annotated[str, typer.Option(help="Why.")] = "rollback",
    author: Author = "",
    wait: Wait = 10.0,
) -> None:
    """Make an earlier push active again; 0 is the policy directory alone.

    Rollbacks are skipped: a second rollback goes one push further back.
    """
    store = open_store("rules")
    number = store.active_number()
    active = store.load(number)
    _activate(store, number, active, rollback_of(store, to, author, reason), wait)


@app.command(
    "import",
    epilog="Example: breakwater rules import ncmec.csv --category csam --source ncmec > csam.csv",
)
def import_list(
    file: Annotated[Path, typer.Argument(help="The CSV that an exchange handed out.")],
    category: Annotated[str, typer.Option(help="Category of a match.")],
    source: Annotated[str, typer.Option(help="Name of the list, in every match's rule.")],
    algorithm: Annotated[
        str, typer.Option(help="md5, pdq or phash: of a bare list of hashes, one a line.")
    ] = "",
    expires: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"], help="Last moment; dates: UTC."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="A file instead of standard output.")] = None,
) -> None:
    """Turn an exchange's hash list (NCMEC, StopNCII, ThreatExchange, GIFCT) into one to push.

    docs/hash-lists.md has the columns that are read. What is left out is counted on standard error.
    """
    _check_category(category)
    imported = read_exchange(file.name, read_hash_file(file), algorithm)
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    text = as_hash_list(imported, category=category, source=source, expires=expires)
    parse_hashes({file.name: text})
    counts = Counter(algorithm for algorithm, _ in imported.entries)
    for what, count in [*sorted(counts.items()), *sorted(imported.left_out.items())]:
        typer.echo(f"{count} {what}{'' if what in counts else ': left out'}", err=True)
    if not imported.entries:
        raise failed(f"{file}: no hash of an algorithm that is matched here")
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text)


def _check_category(category: str) -> None:
    if category not in CATEGORIES:
        known = ", ".join(CATEGORIES)
        raise UsageError(f"unknown category {category!r}; expected one of {known}")


def _activate(
    store: RulesetStore,
    number: int,
    active: StoredRuleset | None,
    version: StoredRuleset,
    wait_s: float,
    refused: Callable[[], list[Finding]] = list,
) -> None:
    """Check, push and wait until all workers that are up say that they run it.

    `version` was made from push `number`, `active`. `refused` is asked what else speaks against
    files that lint lets pass.
    """
    directory = read_rulebook(load_settings().policy)
    before, after = overlaid(directory, active), overlaid(directory, version)
    changed = [name for name, text in after.items() if before.get(name) != text]
    _fail_on(lint(after, normalize, only=changed))
    if findings := refused():
        raise UsageError(_line(findings[0]))
    version = replace(
        version,
        changes=file_changes(before, after),
        ruleset_version=parse_rulebook(after).version,
    )
    push_and_wait(store, version, number, wait_s, "breakwater rules rollback")


def _without_expiry(texts: dict[str, str]) -> list[Finding]:
    """What would stay in force until somebody thinks of it."""
    book = parse_rulebook(texts)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    rules = [
        Finding(rule.id, f"has no expiry: add `expires: {tomorrow}`, or push it with --permanent")
        for rule in book.rules.rules
        if rule.expires is None
    ]
    hashes = [
        Finding(
            "",
            f"{algorithm} hashes without expiry: add a column `expires` ({tomorrow}),"
            " or push them with --permanent",
        )
        for algorithm, entries in book.hashes.by_algorithm().items()
        if any(known.expires is None for known in entries.values())
    ]
    return rules + hashes


def _expired(texts: dict[str, str]) -> list[Finding]:
    """What would match nothing: rules past their expiry, and lists of nothing but such hashes."""
    now = datetime.now(UTC).timestamp()
    book = parse_rulebook(texts)
    rules = [
        Finding(rule.id, f"expired on {rule.expires:%Y-%m-%d %H:%M} UTC: give it a later `expires`")
        for rule in book.rules.rules
        if rule.expires is not None and rule.expired(now)
    ]
    hashes = [
        Finding("", f"all {algorithm} hashes have expired: give them a later `expires`")
        for algorithm, entries in book.hashes.by_algorithm().items()
        if entries and all(known.expired(now) for known in entries.values())
    ]
    return rules + hashes


def _texts(files: list[Path] | None) -> dict[str, str]:
    return _read(files) if files else read_rulebook(load_settings().policy)


def _read(files: Iterable[Path]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for path in files:
        name, text = read_rulebook_file(path)
        if name in texts:
            # One would take the place of the other, unread.
            raise UsageError(f"{path}: two files are called {path.name}: rename one")
        texts[name] = text
    return texts


def _fail_on(findings: list[Finding]) -> None:
    """Print what is wrong and end with exit code 1, if anything is."""
    for finding in findings:
        say(_line(finding))
    if findings:
        raise typer.Exit(1)


def _line(finding: Finding) -> str:
    return f"rule {finding.rule!r} {finding.message}" if finding.rule else finding.message


def _row(rule: Rule) -> dict[str, str]:
    expired = "expired " if rule.expired(datetime.now(UTC).timestamp()) else ""
    until = rule.expires.isoformat(timespec="minutes") if rule.expires else ""
    shown = (rule.id, rule.category, f"{rule.score:.2f}", _matches(rule), rule.on, expired + until)
    return dict(zip(_COLUMNS, (*shown, rule.description), strict=True))


def _matches(rule: Rule) -> str:
    if rule.keywords is not None:
        return f"{len(rule.keywords)} keywords"
    pattern = rule.pattern or ""
    cut = sys.stdout.isatty() and len(pattern) > 40
    return pattern[:39] + "…" if cut else pattern
