"""`breakwater rules`, against a real server and real worker processes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from live_workers import Workers, asked, call_of, write
from live_workers import workers as running_workers
from typer.testing import CliRunner

from cli import main
from cli.errors import UsageError
from cli.rules import app
from connectors.ruleset_store import RedisRulesetStore
from events.records import RuleFileChange
from policy.lint import Finding, lint
from policy.policy import BUILT_IN

call = call_of(app)

URGENT = (
    "rules: [{id: urgent, category: spam, score: 0.9, pattern: zebra, "
    "expires: 2099-01-01T00:00:00Z}]"
)

EXPIRED = URGENT.replace("2099", "2020")
HASHES = "algorithm,hash,category,source,expires\n"
OLD_HASH = f"md5,{'0' * 32},spam,s,2020-01-01T00:00:00Z\n"
LATER = f"{'0' * 32},spam,s,2020", f"{'1' * 32},spam,s,2099"

# A worker without a stream: it says what version it runs when asked by a line.
WORKER = """
import sys
from pathlib import Path
from connectors.ruleset_store import RedisRulesetStore
from flows.live_rules import LiveRulebook
book = LiveRulebook(Path(sys.argv[1]), RedisRulesetStore(sys.argv[2]))
book.watcher.start()
print("up", flush=True)
for _ in sys.stdin:
    print([rule.id for rule in book.rule_matcher.current.rules.rules], flush=True)
"""


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "policy"
    for folder in ("rules", "hashes"):
        (directory / folder).mkdir(parents=True)
    (directory / "rules" / "base.yaml").write_text(
        "rules: [{id: base, category: spam, score: 0.9, pattern: free zebra, "
        "examples: {match: [a free zebra], no_match: [zebra]}}]"
    )
    monkeypatch.setenv("BREAKWATER_POLICY", str(directory))
    return directory


@pytest.fixture
def server(policy: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("BREAKWATER_REDIS_URL", valkey_url)
    return valkey_url


@pytest.fixture
def workers(server: str, policy: Path) -> Iterator[Workers]:
    with running_workers(WORKER, policy, server) as processes:
        yield processes


def test_a_push_and_a_rollback_are_up_on_every_worker(workers, tmp_path) -> None:
    urgent = write(tmp_path / "urgent.yaml", URGENT)
    code, output = call("push", urgent, "--reason", "wave", "--wait", 60)
    assert code == 0
    assert "active on 2 of 2 workers in" in output
    assert [asked(worker) for worker in workers] == ["['base', 'urgent']"] * 2
    code, output = call("rollback", "--wait", 60)
    assert code == 0
    assert "active on 2 of 2 workers in" in output
    assert [asked(worker) for worker in workers] == ["['base']"] * 2


@pytest.mark.parametrize(
    ("what", "text", "reason"),
    [
        ("catastrophic", URGENT.replace("zebra", "'(z+)+y'"), "catastrophic"),
        ("invalid", URGENT.replace("zebra", "'(z'"), "does not compile"),
        ("matches everything", URGENT.replace("zebra", "'[a-z]'"), "of everyday sentences"),
        ("a typo", URGENT.replace("score", "scroe"), "unknown field"),
        ("an id that is taken", URGENT.replace("urgent", "base"), "rule with the same id"),
    ],
)
def test_a_bad_push_is_refused_and_nothing_changes(server, tmp_path, what, text, reason) -> None:
    path = write(tmp_path / "bad.yaml", text)
    code, output = call("push", path, "--reason", "r", "--permanent")
    assert code == 1, what
    assert reason in output
    assert RedisRulesetStore(server).active_number() == 0


def test_a_push_takes_away_nothing_that_came_while_it_was_checked(
    server, tmp_path, monkeypatch
) -> None:
    ours = write(tmp_path / "ours.yaml", URGENT)
    theirs = write(tmp_path / "theirs.yaml", URGENT.replace("urgent", "theirs"))

    def meanwhile(*_: object, **__: object) -> list[Finding]:
        monkeypatch.setattr("cli.rules.lint", lint)
        assert call("push", theirs, "--reason", "wave")[0] == 0
        return []

    monkeypatch.setattr("cli.rules.lint", meanwhile)
    code, output = call("push", ours, "--reason", "wave")
    assert (code, "somebody else stored push 1 meanwhile" in output) == (1, True)
    assert call("push", ours, "--reason", "wave")[0] == 0
    assert set(RedisRulesetStore(server).load(2).files) == {"rules/ours.yaml", "rules/theirs.yaml"}


def test_an_emergency_rule_needs_an_expiry_and_a_reason(server, tmp_path) -> None:
    text = URGENT.replace(", expires: 2099-01-01T00:00:00Z", "")
    path = write(tmp_path / "urgent.yaml", text)
    with pytest.raises(UsageError, match="expires: 20"):
        call("push", path, "--reason", "wave")
    with pytest.raises(UsageError, match="--reason"):
        call("push", path, "--reason", " ")
    assert call("push", path, "--reason", "wave", "--permanent")[0] == 0


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [("t.yaml", EXPIRED, "rule 'urgent' expired on 2020"), ("t.csv", HASHES + OLD_HASH, "all md5")],
)
@pytest.mark.parametrize("flags", [[], ["--permanent"]])
def test_what_has_expired_is_not_pushed(server, tmp_path, name, text, told, flags) -> None:
    with pytest.raises(UsageError, match=told):
        call("push", write(tmp_path / name, text), "--reason", "wave", *flags)
    assert RedisRulesetStore(server).active_number() == 0


def test_a_list_names_what_has_expired_and_leaves_out_what_nothing_has(policy) -> None:
    pattern = "free zebra or anything else that nobody would ever write twice"
    rules = policy / "rules" / "base.yaml"
    rules.write_text(EXPIRED.replace("pattern: zebra", f"pattern: {pattern}"))
    output = call("list")[1]
    assert "expired 2020-01-01T00:00+00:00" in output
    assert pattern in output, "nothing is cut in a pipe"
    assert "description" not in output
    assert "no rules" in call("list", "--category", "hate")[1]
    with pytest.raises(UsageError, match="unknown category 'spma'; expected one of hate"):
        call("list", "--category", "spma")


def test_the_history_says_who_and_why(server, tmp_path) -> None:
    path = write(tmp_path / "urgent.yaml", URGENT)
    call("push", path, "--reason", "wave", "--author", "ann")
    call("rollback", "--author", "bob", "--reason", "too broad")
    store = RedisRulesetStore(server)
    assert [(store.load(n).author, store.load(n).reason) for n in (1, 2)] == [
        ("ann", "wave"),
        ("bob", "back to 0: too broad"),
    ]
    assert call("rollback", "--to", 1)[0] == 0
    assert store.load(3).files == {"rules/urgent.yaml": URGENT}
    with pytest.raises(UsageError, match="no such push"):
        call("rollback", "--to", 9)


@pytest.mark.parametrize(
    ("what", "history", "in_force", "told"),
    [
        ("one goes back by one", "okapi quagga back", "okapi", "going back to push 1\n"),
        ("two by two", "okapi quagga back back", "", "going back to the policy directory alone\n"),
        ("not to what an earlier one left", "okapi quagga back tapir back", "okapi", "to push 1\n"),
        ("further back from there", "okapi quagga back tapir back back", "", "directory alone\n"),
        ("a rollback by its number", "okapi quagga back=1 back=3", "okapi", "to push 1\n"),
        ("forth again", "okapi quagga back back=2", "quagga", "going back to push 2\n"),
        ("undone as it says", "okapi quagga back", "okapi", "breakwater rules rollback --to 2"),
    ],
)  # fmt: skip
def test_rollbacks_step_over_rollbacks(server, tmp_path, what, history, in_force, told) -> None:
    for step in history.split():
        name, _, number = step.partition("=")
        if name == "back":
            code, output = call("rollback", *(("--to", number) if number else ()))
        else:
            path = write(tmp_path / "urgent.yaml", URGENT.replace("zebra", name))
            code, output = call("push", path, "--reason", name)
        assert code == 0, what
    store = RedisRulesetStore(server)
    files = {"rules/urgent.yaml": URGENT.replace("zebra", in_force)} if in_force else {}
    assert store.load(store.active_number()).files == files, what
    assert told in output, what


def test_a_rollback_needs_a_reason(server, tmp_path) -> None:
    call("push", write(tmp_path / "u.yaml", URGENT), "--reason", "wave")
    with pytest.raises(UsageError, match="--reason: say why"):
        call("rollback", "--reason", " ")
    assert RedisRulesetStore(server).active_number() == 1


def test_nothing_is_before_the_directory_alone(server, tmp_path) -> None:
    call("push", write(tmp_path / "urgent.yaml", URGENT), "--reason", "wave")
    call("rollback")
    with pytest.raises(UsageError, match="name a push with --to"):
        call("rollback")


def test_every_change_is_logged_with_what_it_changed(workers, server, tmp_path) -> None:
    path = write(tmp_path / "urgent.yaml", URGENT)
    call("push", path, "--reason", "wave", "--author", "ann", "--wait", 60)
    store = RedisRulesetStore(server)
    versions = {report.ruleset_version for report in store.workers().values()}
    call("push", path, "--reason", "over", "--remove", "--author", "bob", "--wait", 60)
    call("rollback", "--reason", "not over", "--author", "cid", "--wait", 60)
    changes = store.changes()
    assert [(c.push, c.action, c.author, c.reason) for c in changes] == [
        (1, "push", "ann", "wave"),
        (2, "remove", "bob", "over"),
        (3, "rollback", "cid", "back to 1: not over"),
    ]
    expires = datetime(2099, 1, 1, tzinfo=UTC)
    urgent = RuleFileChange(file="rules/urgent.yaml", entries=1, rules=("urgent",), expires=expires)
    gone = RuleFileChange(file="rules/urgent.yaml", entries=0, rules=("urgent",))
    assert [change.files for change in changes] == [(urgent,), (gone,), (urgent,)]
    assert {changes[0].ruleset_version, changes[2].ruleset_version} == versions


def test_a_pushed_file_can_be_taken_away(server, tmp_path) -> None:
    path = write(tmp_path / "urgent.yaml", URGENT)
    call("push", path, "--reason", "wave")
    assert call("push", path, "--reason", "over", "--remove")[0] == 0
    store = RedisRulesetStore(server)
    assert store.load(store.active_number()).files == {}
    with pytest.raises(UsageError, match="no pushed file"):
        call("push", path, "--reason", "over", "--remove")


def test_a_list_of_an_exchange_is_imported_pushed_and_rolled_back(server, tmp_path) -> None:
    theirs = write(
        tmp_path / "theirs.csv",
        f"signalType,hashValue,hashStatus\nImagePDQ,{'0' * 64},Active\nVideoTMK,x,Active\n",
    )
    ours = tmp_path / "stopncii.csv"
    named = ("--category", "sexual", "--source", "stopncii", "--output", ours)
    code, output = call("import", theirs, *named)
    assert (code, output) == (0, "1 pdq\n1 of type videotmk: left out\n")
    with pytest.raises(UsageError, match="pdq hashes without expiry"):
        call("push", ours, "--reason", "list")
    assert call("push", ours, "--reason", "list", "--permanent")[0] == 0
    assert "1 rules, 1 hashes" in call("list")[1]
    assert call("rollback", "--reason", "wrong list")[0] == 0
    assert "1 rules, 0 hashes" in call("list")[1]
    changed = [change.files[0] for change in RedisRulesetStore(server).changes()]
    assert [(file.file, file.entries) for file in changed] == [
        ("hashes/stopncii.csv", 1),
        ("hashes/stopncii.csv", 0),
    ]
    assert call("import", theirs, *named, "--expires", "2026-12-01")[0] == 0
    assert "2026-12-01T00:00:00+00:00" in ours.read_text()
    assert call("push", ours, "--reason", "list")[0] == 0


def test_a_list_without_a_usable_hash_is_refused(policy, tmp_path) -> None:
    theirs = write(tmp_path / "theirs.csv", "md5\nzz\n")
    code, output = call("import", theirs, "--category", "csam", "--source", "s")
    assert code == 1
    assert "1 no md5 hash: left out" in output
    write(theirs, "md5\n" + "0" * 32 + "\n")
    with pytest.raises(UsageError, match="unknown category 'x'; expected one of hate,"):
        call("import", theirs, "--category", "x", "--source", "s")


def test_the_rules_in_force_are_listed(server, tmp_path) -> None:
    call("push", write(tmp_path / "urgent.yaml", URGENT), "--reason", "wave", "--author", "ann")
    code, output = call("list")
    assert code == 0
    assert "base" in output
    assert "urgent" in output
    assert "2 rules, 0 hashes" in output
    assert "push 1 by ann: wave" in output
    assert "base" not in call("list", "--category", "hate")[1].splitlines()[-2]


def test_check_judges_by_what_was_pushed(server, policy, tmp_path) -> None:
    (policy / "policy.yaml").symlink_to(BUILT_IN / "policy.yaml")
    call("push", write(tmp_path / "urgent.yaml", URGENT), "--reason", "wave")
    result = CliRunner().invoke(main.app, ["check", "a zebra"])
    assert result.exit_code == 0
    assert "urgent" in result.output


def test_without_a_server_rules_are_listed_and_not_pushed(policy, tmp_path) -> None:
    assert "no push" in call("list")[1]
    with pytest.raises(UsageError, match="BREAKWATER_REDIS_URL"):
        call("push", write(tmp_path / "urgent.yaml", URGENT), "--reason", "r")


def test_lint_and_examples(policy, tmp_path) -> None:
    assert call("lint") == (0, "1 file is fine\n")
    assert call("test") == (0, "2 examples of 1 rules hold\n")
    broken = write(tmp_path / "t.yaml", URGENT.replace("zebra", "lion, examples: {match: [zebra]}"))
    for command in ("lint", "test"):
        code, output = call(command, broken)
        assert code == 1
        assert "rule 'urgent' does not match its example 'zebra'" in output


@pytest.mark.parametrize("command", [["lint"], ["test"], ["push", "--reason", "r"]])
def test_two_files_of_one_name_are_refused(server, tmp_path, command: list[str]) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    paths = [write(tmp_path / folder / "t.yaml", URGENT) for folder in ("a", "b")]
    with pytest.raises(UsageError, match=r"b/t\.yaml: two files are called t\.yaml"):
        call(*command, *paths)


@pytest.mark.parametrize(
    ("what", "name", "text", "warning"),
    [
        ("with an expiry", "t.yaml", URGENT, ""),
        ("a rule without", "t.yaml", URGENT.replace(", expires: 2099-01-01T00:00:00Z", ""),
         "breakwater: warning: rule 'urgent' has no expiry: add `expires: 20"),
        ("a hash without", "t.csv",
         f"algorithm,hash,category,source,expires\nmd5,{'0' * 32},spam,s,\n",
         "breakwater: warning: md5 hashes without expiry: add a column `expires` (20"),
        ("a rule that has expired", "t.yaml", EXPIRED,
         "breakwater: warning: rule 'urgent' expired on 2020-01-01 00:00 UTC: give it a later"),
        ("a list that has", "t.csv", f"{HASHES}{OLD_HASH}",
         "breakwater: warning: all md5 hashes have expired: give them a later `expires`"),
        ("a list of which a part has", "t.csv",
         f"{HASHES}{OLD_HASH}{OLD_HASH.replace(*LATER)}", ""),
    ],
)  # fmt: skip
def test_lint_warns_of_what_a_push_wants_an_expiry_for(
    policy, tmp_path, what, name, text, warning
) -> None:
    code, output = call("lint", write(tmp_path / name, text))
    assert code == 0, what
    *warnings, last = output.splitlines()
    assert last == "1 file is fine"
    assert [line[: len(warning)] for line in warnings] == ([warning] if warning else [])


@pytest.mark.parametrize("command", ["list", "lint", "test", "push", "rollback"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    code, output = call(command, "--help")
    assert code == 0
    assert "Example: breakwater rules" in output
