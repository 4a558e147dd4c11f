"""`breakwater policy`, against a real server and real worker processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from live_workers import Workers, asked, call_of, write
from live_workers import workers as running_workers

from cli.errors import UsageError
from cli.policy import app
from connectors.ruleset_store import RedisRulesetStore
from policy.policies import Policies, parse_policies
from policy.policy import BUILT_IN, parse_policy

call = call_of(app)

TEXT = (BUILT_IN / "policy.yaml").read_text()
STRICT = TEXT.replace("1, review: 0.60, block: 0.90", "1, review: 0.20, block: 0.50")
TYPO = TEXT.replace("block: 0.90", "blok: 0.90", 1)

# A worker without a stream: it says what decides when asked by a line.
WORKER = """
import sys
from pathlib import Path
from connectors.ruleset_store import RedisRulesetStore
from flows.live_policy import LivePolicy
live = LivePolicy(Path(sys.argv[1]), RedisRulesetStore(sys.argv[2], "policy"))
live.follow()
print("up", flush=True)
for _ in sys.stdin:
    print(live.current.live.version, flush=True)
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "policy"
    directory.mkdir()
    (directory / "policy.yaml").write_text(TEXT)
    monkeypatch.setenv("BREAKWATER_POLICY", str(directory))
    return directory


@pytest.fixture
def server(directory: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("BREAKWATER_REDIS_URL", valkey_url)
    return valkey_url


@pytest.fixture
def workers(server: str, directory: Path) -> Iterator[Workers]:
    with running_workers(WORKER, directory, server) as processes:
        yield processes


def running(processes: Workers) -> set[str]:
    """The versions that decide in the workers."""
    return {asked(process) for process in processes}


def test_push_typo_and_rollback_with_two_workers(workers, tmp_path) -> None:
    old, strict = (parse_policy(text, "p").version for text in (TEXT, STRICT))
    assert running(workers) == {old}
    code, output = call("push", write(tmp_path / "strict.yaml", STRICT), "--reason", "a wave")
    assert code == 0
    assert "active on 2 of 2 workers in" in output
    assert running(workers) == {strict}
    typo = write(tmp_path / "typo.yaml", TYPO)
    code, output = call("push", typo, "--reason", "a wave")
    line = 1 + TYPO[: TYPO.index("blok")].count("\n")
    assert code == 1
    assert f"{typo}:{line}: categories.hate.blok: unknown key, did you mean 'block'?" in output
    assert running(workers) == {strict}
    code, output = call("rollback")
    assert (code, "active on 2 of 2 workers" in output) == (0, True)
    assert running(workers) == {old}


def test_a_trial_and_a_shadow_are_pushed_listed_and_removed(server, tmp_path) -> None:
    trial = write(tmp_path / "t.yaml", STRICT + "share: 0.25\nname: '[red]less spam'\n")
    shadow = write(tmp_path / "s.yaml", STRICT)
    assert call("push", trial, "--as", "trial", "--reason", "does it help?")[0] == 0
    assert call("push", shadow, "--as", "shadow", "--reason", "what if", "--author", "ann")[0] == 0
    output = call("list")[1]
    for told in ("[red]less spam", "25% of authors", "75% of authors", "push 2", "by ann: what if"):
        assert told in output
    assert call("remove", "trial", "--reason", "it did not")[0] == 0
    output = call("list")[1]
    assert "25% of authors" not in output
    assert "nobody, is only logged" in output
    assert set(RedisRulesetStore(server, "policy").load(3).files) == {"shadow.yaml"}
    with pytest.raises(UsageError, match="trial: no such policy was pushed"):
        call("remove", "trial", "--reason", "again")


def test_every_change_is_logged(server, tmp_path) -> None:
    strict = write(tmp_path / "strict.yaml", STRICT)
    call("push", strict, "--reason", "wave", "--author", "ann")
    call("rollback", "--reason", "over", "--author", "bob")
    changes = RedisRulesetStore(server, "policy").changes()
    assert [(c.push, c.action, c.author, c.reason) for c in changes] == [
        (1, "push", "ann", "wave"),
        (2, "rollback", "bob", "back to 0: over"),
    ]
    assert [(c.files[0].file, c.files[0].entries) for c in changes] == [
        ("policy.yaml", 1),
        ("policy.yaml", 0),
    ]
    assert changes[0].ruleset_version == parse_policy(STRICT, "policy.yaml").version
    assert changes[1].ruleset_version == parse_policy(TEXT, "policy.yaml").version


def test_a_second_rollback_goes_further_back(server, tmp_path) -> None:
    for text in (TEXT + "name: first\n", STRICT):
        assert call("push", write(tmp_path / "p.yaml", text), "--reason", "x")[0] == 0
    assert "going back to push 1\n" in call("rollback")[1]
    assert "going back to the policy directory alone\n" in call("rollback")[1]
    assert RedisRulesetStore(server, "policy").load(4).files == {}


def test_a_push_takes_away_nothing_that_came_while_it_was_checked(
    server, tmp_path, monkeypatch
) -> None:
    file = write(tmp_path / "p.yaml", STRICT)

    def meanwhile(texts: dict[str, str]) -> Policies:
        monkeypatch.setattr("cli.policy.parse_policies", parse_policies)
        assert call("push", file, "--as", "shadow", "--reason", "first")[0] == 0
        return parse_policies(texts)

    monkeypatch.setattr("cli.policy.parse_policies", meanwhile)
    assert call("push", file, "--reason", "second")[0] == 1
    assert set(RedisRulesetStore(server, "policy").load(1).files) == {"shadow.yaml"}


def test_lint_and_push_warn_of_a_rule_that_is_allowed_and_not_in_force(
    server, directory, tmp_path
) -> None:
    for folder in ("rules", "hashes"):
        (directory / folder).mkdir()
    (directory / "rules" / "r.yaml").write_text(
        "rules: [{id: self-harm.method, category: self_harm, score: 0.5, pattern: zebra}]"
    )
    allows = "{allows: [self-harm.method, self_harm.methods, zzz]}"
    text = TEXT.replace("communities: {}", f"communities:\n  ward: {allows}")
    file = write(tmp_path / "p.yaml", text)
    line = text[: text.index(allows)].count("\n") + 1
    where = f"breakwater: warning: {file}:{line}: communities.ward.allows: no rule is"
    for code, output in (call("lint", file), call("push", file, "--reason", "ward")):
        assert code == 0
        assert f"{where} 'self_harm.methods', did you mean 'self-harm.method'?\n" in output
        assert f"{where} 'zzz'; `breakwater rules list` has them\n" in output
        assert output.count("warning") == 2


def test_a_trial_without_a_share_is_refused(server, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"/t\.yaml:1: share missing"):
        call("push", write(tmp_path / "t.yaml", STRICT), "--as", "trial", "--reason", "x")
    assert RedisRulesetStore(server, "policy").active_number() == 0


def test_a_push_needs_a_reason_and_a_server(directory, tmp_path) -> None:
    file = write(tmp_path / "p.yaml", STRICT)
    with pytest.raises(UsageError, match="BREAKWATER_REDIS_URL"):
        call("push", file, "--reason", "x")


def test_an_empty_reason_is_none(server, tmp_path) -> None:
    with pytest.raises(UsageError, match="--reason"):
        call("push", write(tmp_path / "p.yaml", STRICT), "--reason", " ")


@pytest.mark.parametrize(
    ("what", "args", "reason"),
    [
        ("before anything was pushed", ("rollback",), "nothing was pushed"),
        ("to what is no push", ("rollback", "--to", "7"), "no such push"),
    ],
)
def test_a_rollback_to_nowhere_is_refused(server, tmp_path, what, args, reason) -> None:
    if "--to" in args:
        assert call("push", write(tmp_path / "p.yaml", STRICT), "--reason", "x")[0] == 0
    with pytest.raises(UsageError, match=reason):
        call(*args)


def test_lint_names_every_fault_and_passes_the_built_in(directory, tmp_path) -> None:
    assert call("lint") == (0, "policy.yaml: fine\n")
    bad = TYPO.replace("sample_rate: 0.001", "sample_rate: 3")
    code, output = call("lint", write(tmp_path / "bad.yaml", bad))
    assert code == 1
    assert output.count("bad.yaml:") == 3
