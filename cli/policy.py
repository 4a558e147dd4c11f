"""`breakwater policy`: list, lint, push and roll back policies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.errors import UsageError, say
from cli.live import open_store, push_and_wait, rollback_of, rules_in_force, version_of
from connectors.ruleset_store import (
    RulesetStore,
    RulesetStoreDownError,
    StoredRuleset,
    overlaid,
)
from events.records import RuleFileChange
from flows.settings import load_settings
from policy.errors import PolicyError
from policy.policies import ROLES, parse_policies, read_policies
from policy.policy import check_policy, parse_policy, read_policy_file, unknown_rules

app = typer.Typer(
    help="Thresholds, fail modes and quotas, live on every worker in a second.",
    no_args_is_help=True,
)

Role = Literal["policy", "trial", "shadow"]
Author = Annotated[str, typer.Option(help="Who changes the policy; your login by default.")]
Reason = Annotated[str, typer.Option(help="Why, for those who come after.")]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for the workers.")]
_UNDO = "breakwater policy rollback"


@app.command("list", epilog="Example: breakwater policy list")
def list_policies() -> None:
    """The policies in force, and the pushes that can be gone back to."""
    store = open_store("policy", shared=False)
    number = store.active_number()
    active = store.load(number)
    policies = parse_policies(overlaid(read_policies(load_settings().policy), active))
    table = Table("role", "version", "name", "from", "applies to")
    share = policies.trial.file.share or 0.0 if policies.trial else 0.0
    applies = (f"{1 - share:.0%} of authors", f"{share:.0%} of authors", "nobody, is only logged")
    in_force = (policies.live, policies.trial, policies.shadow)
    for role, policy, to in zip(ROLES, in_force, applies, strict=True):
        if policy is not None:
            pushed = active is not None and f"{role}.yaml" in active.files
            source = f"push {number}" if pushed else "the policy directory"
            # Text: what is in a policy is no markup.
            table.add_row(role, policy.version, Text(policy.file.name), source, to)
    Console().print(table)
    for earlier in range(number, max(0, number - 10), -1):
        stored = store.load(earlier)
        if stored is not None:
            files = ", ".join(sorted(stored.files)) or "the directory alone"
            when = f"{stored.pushed_at:%Y-%m-%d %H:%M} UTC"
            typer.echo(f"push {earlier}, {when}, {files}, by {stored.author}: {stored.reason}")


@app.command("lint", epilog="Example: breakwater policy lint policy.yaml")
def lint_files(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Policy files; without any, those in force.")
    ] = None,
) -> None:
    """Whether files can be used; every fault is named by line and key.

    A rule that communities allow and that is not in force is a warning.
    """
    texts = (
        {str(path): read_policy_file(path) for path in files}
        if files
        else read_policies(load_settings().policy)
    )
    _fail_on(texts)
    typer.echo(f"{', '.join(texts)}: fine")
    try:
        _warn_of(texts)
    except (RulesetStoreDownError, PolicyError) as error:
        say(f"warning: what communities allow was not compared with the rules: {error}")


@app.command("push", epilog="Example: breakwater policy push strict.yaml --reason 'spam wave'")
def push(
    file: Annotated[Path, typer.Argument(help="The policy.")],
    reason: Reason,
    role: Annotated[
        Role,
        typer.Option(
            "--as",
            help="policy: decides; trial: decides for its `share` of authors; shadow: is only"
            " logged.",
        ),
    ] = "policy",
    author: Author = "",
    wait: Wait = 10.0,
) -> None:
    """Put a policy in the place of the one in force, live on every worker."""
    text = read_policy_file(file)
    _fail_on({str(file): text})
    store = open_store("policy")
    _warn_of({str(file): text})
    number = store.active_number()
    files = _active_files(store) | {f"{role}.yaml": text}
    try:
        _activate(store, number, version_of(files, author, reason), wait)
    except PolicyError as error:
        # Whoever pushes knows the file by its own name.
        raise PolicyError(str(error).replace(f"{role}.yaml:", f"{file}:", 1)) from None


@app.command("remove", epilog="Example: breakwater policy remove trial --reason 'trial is over'")
def remove(
    role: Annotated[Role, typer.Argument(help="Which pushed policy.")],
    reason: Reason,
    author: Author = "",
    wait: Wait = 10.0,
) -> None:
    """Take a pushed policy away; that of the policy directory, if any, is in force again."""
    store = open_store("policy")
    number = store.active_number()
    files = _active_files(store)
    if files.pop(f"{role}.yaml", None) is None:
        raise UsageError(f"{role}: no such policy was pushed")
    _activate(store, number, version_of(files, author, reason, "remove"), wait)


@app.command("rollback", epilog="Example: breakwater policy rollback --reason 'too many blocks'")
def rollback(
    to: Annotated[int, typer.Option(min=-1, help="A push's number; the one before by default.")] = (
        -1
    ),
    reason: Reason = "rollback",
    author: Author = "",
    wait: Wait = 10.0,
) -> None:
    """Make an earlier push active again; 0 is the policy directory alone.

    Rollbacks are skipped: a second rollback goes one push further back.
    """
    store = open_store("policy")
    number = store.active_number()
    _activate(store, number, rollback_of(store, to, author, reason), wait)


def _activate(store: RulesetStore, number: int, version: StoredRuleset, wait_s: float) -> None:
    """Check `version`, which was made from push `number`, push it and wait for the workers."""
    if not version.reason.strip():
        raise UsageError("--reason: say why the policy changes")
    policies = parse_policies(overlaid(read_policies(load_settings().policy), version))
    before, after = _active_files(store), version.files
    changed = sorted(name for name in {**before, **after} if before.get(name) != after.get(name))
    version = replace(
        version,
        changes=tuple(RuleFileChange(file=name, entries=int(name in after)) for name in changed),
        ruleset_version=policies.live.version,
    )
    push_and_wait(store, version, number, wait_s, _UNDO)


def _active_files(store: RulesetStore) -> dict[str, str]:
    active = store.load(store.active_number())
    return dict(active.files) if active is not None else {}


def _fail_on(texts: dict[str, str]) -> None:
    """Print what is wrong and end with exit code 1, if anything is."""
    findings = [finding for name, text in texts.items() for finding in check_policy(text, name)]
    for finding in findings:
        say(finding)
    if findings:
        raise typer.Exit(1)


def _warn_of(texts: dict[str, str]) -> None:
    """Print what communities allow though no rule in force is called so: it changes nothing."""
    policies = [parse_policy(text, name) for name, text in texts.items()]
    if any(each.allows for policy in policies for each in policy.file.communities.values()):
        known = rules_in_force()[0].rules.by_id
        for name, text in texts.items():
            for finding in unknown_rules(text, name, known):
                say(f"warning: {finding}")
