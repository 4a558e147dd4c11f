"""`breakwater replay`: what another policy would have decided on logged traffic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from cli.errors import UsageError
from cli.live import open_store
from cli.query import shown
from cli.rescore import RescoredLog, load_rescorer
from cli.store import existing_store
from connectors.clickhouse import connect
from connectors.decision_log import DecisionLog
from connectors.query_library import QueryError
from connectors.ruleset_store import overlaid
from console.replay_report import ChangeExample, ReplaySummary, Shift, render_replay
from events.messages import ACTIONS
from flows.settings import Settings, load_settings
from operators.decide import Verdict
from operators.redecide import Verdicts, redecide
from operators.replay import Change, ReplayTally
from operators.rescore import Rescorer
from policy.policy import Policy, parse_policy, read_policy_file
from policy.rulebook import parse_rulebook
from policy.rules import RuleSet, read_rule_files
from policy.taxonomy import CATEGORIES

MAX_COMMUNITIES = 20
MAX_CHANGES = 12
"""Kinds of change that examples are shown of, the most frequent ones."""
_EPOCH: Final = date(1970, 1, 1).toordinal()


def replay_command(
    file: Path,
    since: str,
    until: str,
    html: Path | None,
    *,
    rescore: bool = False,
    text_model: Path | None = None,
) -> None:
    """Print, and write to `html`, what the policy in `file` changes of what was decided.

    `rescore`: the models in use, or those in the directory `text_model`, score what texts are kept.

    Raises:
        PolicyError: the policy or the rules cannot be used.
        RegistryError, ModelError: a model cannot be used.
        UsageError: there is no store, or a moment is malformed.
        RulesetStoreDownError: Redis, which has the pushed rules, does not answer.
        StoreError: ClickHouse does not answer.
        OSError: `html` cannot be written; it is tried before anything is computed.
    """
    if html is not None:
        html.open("a").close()
    policy = parse_policy(read_policy_file(file), str(file))
    settings = load_settings()
    rescorer = load_rescorer(settings, text_model) if rescore or text_model else None
    client = connect(existing_store(settings))
    try:
        log = DecisionLog(client, CATEGORIES, since, until)
        summary = replay(policy, log, settings, policy.file.name or file.name, rescorer)
    except QueryError as error:
        raise UsageError(str(error)) from None
    finally:
        client.close()
    _print(Console(), summary)
    if html is not None:
        html.write_text(render_replay(summary), encoding="utf-8")


def replay(
    policy: Policy,
    log: DecisionLog,
    settings: Settings,
    name: str,
    rescorer: Rescorer | None = None,
) -> ReplaySummary:
    """What `policy`, called `name`, and `rescorer`, if any, change of the decisions in `log`."""
    rules = _rules_in_force(settings)
    if rescorer is None:
        return _replay(policy, log, log, rules, name)
    with _progress(log.decisions) as advance:
        rescored = RescoredLog(log, rescorer, rules.hints, advance)
        summary = _replay(policy, log, rescored, rules, name)
    return replace(summary, scores="new scores", notes=[*rescored.notes(settings), *summary.notes])


def _rules_in_force(settings: Settings) -> RuleSet:
    """Those of the policy directory with the pushed ones over them, as the job has them.

    Without the hash lists, which may be large and ask for nothing.
    """
    store = open_store("rules", shared=False)
    directory = {f"rules/{name}": text for name, text in read_rule_files(settings.policy).items()}
    files = overlaid(directory, store.load(store.active_number()))
    return parse_rulebook({name: files[name] for name in files if name.startswith("rules/")}).rules


def _replay(
    policy: Policy,
    log: DecisionLog,
    scored: DecisionLog | RescoredLog,
    rules: RuleSet,
    name: str,
) -> ReplaySummary:
    review_rules = {rule: rules.by_id[rule].category for rule in rules.review_rules}
    allowed = {name: policy.allowed_rules(name) for name in log.communities}
    tally = ReplayTally(log.communities)
    blocks: Counter[tuple[int, int]] = Counter()
    unsure = 0
    for chunk in scored.chunks(review_rules, frozenset[str]().union(*allowed.values())):
        after = redecide(policy, chunk, log.communities, scored.degraded)
        blocked = after.action == ACTIONS.index("block")
        blocks.update(
            zip(after.category[blocked].tolist(), chunk.day[blocked].tolist(), strict=True)
        )
        tally.add(chunk.content, chunk.community, Verdicts(chunk.action, chunk.category), after)
        hit = Counter(chunk.community[chunk.hit].tolist())
        unsure += sum(count for number, count in hit.items() if allowed[log.communities[number]])
    return _summary(name, log, tally, _used_up(policy, blocks), unsure)


def _used_up(policy: Policy, blocks: Counter[tuple[int, int]]) -> Iterator[str]:
    """The daily quotas that `blocks`, by category and day, are past, each on its worst day."""
    for number, category in enumerate(CATEGORIES, 1):
        quota = policy.file.categories[category].quota
        days = {day: count for (of, day), count in blocks.items() if of == number and count > quota}
        if days:
            worst = max(days, key=days.__getitem__)
            yield (
                f"{category}: past its quota of {quota:,} automatic blocks on {len(days)} of the"
                f" days, worst on {date.fromordinal(_EPOCH + worst)} ({days[worst]:,}): further"
                " ones would go to review."
            )


def _summary(
    name: str, log: DecisionLog, tally: ReplayTally, used_up: Iterable[str], unsure: int
) -> ReplaySummary:
    changes = list(tally.changes())
    total = _shift("all", changes)
    communities = [
        _shift(name, [change for change in changes if change.community == name])
        for name in {change.community for change in changes if change.before != change.after}
    ]
    communities.sort(key=lambda shift: (-shift.changed, shift.name))
    notes = ["Verdicts are those before quotas and shares of traffic.", *used_up]
    if unsure:
        notes.append(
            f"{unsure:,} decisions hit rules that this policy allows in their community; their"
            " stored scores still count these rules."
        )
    if len(communities) > MAX_COMMUNITIES:
        notes.append(f"{len(communities) - MAX_COMMUNITIES} more communities have changes.")
    return ReplaySummary(
        policy=name,
        since=log.window["since"],
        until=log.window["until"],
        decisions=total.contents,
        changed=total.changed,
        total=total,
        categories=[
            shift for name in CATEGORIES if (shift := _of_category(name, changes)).contents
        ],
        communities=communities[:MAX_COMMUNITIES],
        examples=_examples(log, tally, changes),
        notes=notes,
    )


def _of_category(name: str, changes: list[Change]) -> Shift:
    return _shift(name, changes, lambda verdict: verdict[1] == name)


def _shift(
    name: str, changes: Iterable[Change], counts: Callable[[Verdict], bool] = lambda _: True
) -> Shift:
    """The difference that `changes` make to the verdicts that `counts`."""
    found: Counter[str] = Counter()
    for change in changes:
        was, would = (
            verdict[0] if counts(verdict) else "" for verdict in (change.before, change.after)
        )
        if was or would:
            found["contents"] += change.contents
            found["changed"] += change.contents * (change.before != change.after)
            found[f"{was} before"] += change.contents
            found[f"{would} after"] += change.contents
            found["newly"] += change.contents * (would == "block" != change.before[0])
            found["no longer"] += change.contents * (was == "block" != change.after[0])
    return Shift(
        name=name,
        contents=found["contents"],
        changed=found["changed"],
        newly_blocked=found["newly"],
        no_longer_blocked=found["no longer"],
        blocked_before=found["block before"],
        blocked_after=found["block after"],
        reviewed_before=found["review before"],
        reviewed_after=found["review after"],
    )


def _examples(log: DecisionLog, tally: ReplayTally, changes: list[Change]) -> list[ChangeExample]:
    kinds: Counter[tuple[Verdict, Verdict]] = Counter()
    for change in changes:
        if change.before != change.after:
            kinds[change.before, change.after] += change.contents
    frequent = kinds.most_common(MAX_CHANGES)
    found = log.texts([each for kind, _ in frequent for each in tally.examples(*kind)])
    return [
        ChangeExample(
            before=" ".join(before).strip(),
            after=" ".join(after).strip(),
            contents=count,
            texts=[found[each] for each in tally.examples(before, after) if each in found],
        )
        for (before, after), count in frequent
    ]


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's standard error, nothing elsewhere."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("scoring", total=total)
        yield lambda decisions: bar.advance(task, decisions)


def _print(console: Console, summary: ReplaySummary) -> None:
    if not summary.decisions:
        console.print(Text(f"no decisions from {summary.since} to {summary.until} UTC"))
        return
    alike = 1 - summary.changed / summary.decisions
    console.print(
        Text(
            f"{summary.decisions:,} decisions from {summary.since} to {summary.until} UTC, by"
            f" policy {summary.policy} and {summary.scores}: {alike:.2%} alike,"
            f" {summary.total.newly_blocked:,} newly blocked,"
            f" {summary.total.no_longer_blocked:,} no longer blocked"
        )
    )
    for title, rows in (("category", summary.categories), ("community", summary.communities)):
        if not rows:
            continue
        table = Table(
            title, "decisions", "changed", "newly blocked", "no longer", "blocked", "reviewed",
            box=None,
        )  # fmt: skip
        for row in rows:
            counts = (row.contents, row.changed, row.newly_blocked, row.no_longer_blocked)
            table.add_row(
                Text(shown(row.name) or "(none)"),
                *(f"{count:,}" for count in counts),
                f"{row.blocked_before:,} → {row.blocked_after:,}",
                f"{row.reviewed_before:,} → {row.reviewed_after:,}",
            )
        console.print(table)
    if summary.examples:
        _print_examples(console, summary.examples)
    for note in summary.notes:
        console.print(Text(note))


def _print_examples(console: Console, examples: Iterable[ChangeExample]) -> None:
    table = Table("before", "after", "decisions", "content", "text", box=None)
    for example in examples:
        for content_id, text in example.texts:
            cells = (example.before, example.after, f"{example.contents:,}", content_id, text)
            table.add_row(*(Text(shown(cell)) for cell in cells))
    console.print(table)
