"""Policies in force together, and how they change while the job runs."""

from pathlib import Path

import pytest
from builders import AT, content, item, items, judgement

from connectors.ruleset_store import LocalRulesetStore, RedisRulesetStore, StoredRuleset
from flows.live_policy import LivePolicy
from operators.decide import Decider, ReviewPicker
from policy.errors import PolicyError
from policy.policies import bucket, parse_policies, read_policies
from policy.policy import BUILT_IN, parse_policy

TEXT = (BUILT_IN / "policy.yaml").read_text()
STRICT = TEXT.replace(
    "{severity: 1, review: 0.60, block: 0.90", "{severity: 1, review: 0.2, block: 0.5"
)
TRIAL = STRICT + "share: 0.25\nname: stricter on spam\n"
TYPO = TEXT.replace("block: 0.90", "blok: 0.90", 1)
AUTHORS = [f"author-{n}" for n in range(4000)]


def version(**files: str) -> StoredRuleset:
    named = {f"{role}.yaml": text for role, text in files.items()}
    return StoredRuleset(files=named, author="ann", reason="spam", pushed_at=AT)


@pytest.fixture(params=["local", "redis"])
def store(request: pytest.FixtureRequest):
    if request.param == "local":
        return LocalRulesetStore()
    return RedisRulesetStore(request.getfixturevalue("valkey_url"), "policy")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(TEXT)
    return tmp_path


# Files


def test_a_directory_may_have_a_trial_and_a_shadow(directory) -> None:
    assert set(read_policies(directory)) == {"policy.yaml"}
    (directory / "trial.yaml").write_text(TRIAL)
    (directory / "shadow.yaml").write_text(STRICT)
    policies = parse_policies(read_policies(directory))
    assert policies.live == parse_policy(TEXT, "p")
    assert policies.trial == parse_policy(TRIAL, "p")
    assert policies.shadow == parse_policy(STRICT, "p")
    assert policies.version == "/".join(
        each.version for each in (policies.live, policies.trial, policies.shadow)
    )


@pytest.mark.parametrize(
    ("what", "texts", "reason"),
    [
        ("a trial for nobody", {"trial.yaml": TEXT}, "trial.yaml:1: share missing"),
        ("a share of everybody", {"policy.yaml": TRIAL}, "policy.yaml:1: share: belongs"),
        ("a share of nobody", {"shadow.yaml": TRIAL}, "shadow.yaml:1: share: belongs"),
        ("a typo in a shadow", {"shadow.yaml": TYPO}, "did you mean 'block'?"),
    ],
)
def test_what_does_not_go_together_is_refused(what: str, texts, reason: str) -> None:
    with pytest.raises(PolicyError) as error:
        parse_policies({"policy.yaml": TEXT} | texts)
    assert reason in str(error.value), what


# The share of authors


def on_trial(share: float, name: str = "a") -> set[str]:
    trial = f"{STRICT}share: {share}\nname: {name}\n"
    policies = parse_policies({"policy.yaml": TEXT, "trial.yaml": trial})
    return {author for author in AUTHORS if policies.for_author(author) is policies.trial}


@pytest.mark.parametrize(
    ("what", "share", "low", "high"),
    [("nobody", 0, 0, 0), ("a quarter", 0.25, 900, 1100), ("everybody", 1, 4000, 4000)],
)
def test_a_trial_is_for_its_share_of_authors(what: str, share: float, low: int, high: int) -> None:
    assert low <= len(on_trial(share)) <= high, what


def test_authors_stay_in_a_trial_as_it_grows_and_another_trial_deals_anew() -> None:
    assert on_trial(0.1) < on_trial(0.2)
    assert on_trial(0.25) == on_trial(0.25)
    both = on_trial(0.25, "a") & on_trial(0.25, "b")
    assert 180 <= len(both) <= 320  # a sixteenth: the two know nothing of each other


def test_a_place_is_the_same_on_every_machine() -> None:
    assert bucket("author-1", "a") == pytest.approx(0.5473, abs=1e-4)


def test_the_policy_on_trial_decides_on_its_authors_and_says_so() -> None:
    policies = parse_policies({"policy.yaml": TEXT, "trial.yaml": TRIAL})
    decider = Decider(policies.live)
    decider.swap(policies)
    judged = decider([item(author_id=author, scores={"spam": 0.55}) for author in AUTHORS[:200]])
    for one in judged:
        tried = policies.for_author(one.content.author_id) is policies.trial
        expected = (policies.trial if tried else policies.live).version
        assert one.decision.action == ("block" if tried else "review")
        assert one.decision.policy_version == expected
    assert 20 < sum(one.decision.action == "block" for one in judged) < 80


# Live


def test_a_pushed_policy_is_in_force_everywhere_and_a_rollback_undoes_it(store, directory) -> None:
    live = LivePolicy(directory, store, "w1")
    decider, heard = Decider(live.current.live), []
    live.hand_to(decider.swap)
    live.hand_to(lambda policies: heard.append(policies.version))
    before = live.current.version
    actions = []
    for pushed in (version(policy=STRICT), version(trial=TRIAL), version()):
        actions.append(decider([item(scores={"spam": 0.55})])[0].decision.action)
        store.push(pushed)
        live.watcher.catch_up()
    assert actions == ["review", "block", "review"]
    assert live.current.version == before
    assert len(heard) == 4


def test_a_policy_with_a_typo_leaves_the_old_one_running_and_the_report_says_why(
    store, directory
) -> None:
    live = LivePolicy(directory, store, "w1")
    store.push(version(policy=STRICT))
    live.watcher.catch_up()
    running = live.current
    store.push(version(policy=TYPO))
    live.follow()
    live.watcher.stop()
    assert live.current is running
    report = store.workers()["w1"]
    assert (report.number, report.ruleset_version) == (1, running.version)
    assert "categories.hate.blok: unknown key, did you mean 'block'?" in report.error


def test_a_worker_that_starts_late_runs_what_was_pushed(store, directory) -> None:
    store.push(version(policy=STRICT))
    assert LivePolicy(directory, store, "w2").current.live == parse_policy(STRICT, "p")


def test_policies_and_rules_have_a_history_each(valkey_url) -> None:
    RedisRulesetStore(valkey_url, "policy").push(version(policy=STRICT))
    assert RedisRulesetStore(valkey_url, "rules").active_number() == 0


def test_no_item_is_lost_or_decided_by_two_policies_across_a_hundred_pushes(directory) -> None:
    store = LocalRulesetStore()
    live = LivePolicy(directory, store, "w1")
    decider = Decider(live.current.live)
    live.hand_to(decider.swap)
    known = {parse_policy(text, "p").version: text for text in (TEXT, STRICT)}
    live.follow()
    judged = []
    for number in range(100):
        store.push(version(policy=(TEXT, STRICT)[number % 2]))
        judged += decider(items(20, scores={"spam": 0.55}))
    live.watcher.stop()
    assert len(judged) == 2000
    actions = {TEXT: "review", STRICT: "block"}
    for one in judged:
        assert one.decision.action == actions[known[one.decision.policy_version]]


def test_reviews_are_picked_and_ordered_by_the_policy_in_force() -> None:
    severe = parse_policies({"policy.yaml": TEXT.replace("{severity: 1", "{severity: 5")})
    picker = ReviewPicker(parse_policy(TEXT, "p"))
    reviewed = [judgement(action="review", category="spam", scores={"spam": 0.7})]
    before = picker(reviewed)[0].priority
    picker.swap(severe)
    assert picker(reviewed)[0].priority == before + 4


def test_rules_that_the_author_s_policy_allows(directory) -> None:
    allows = "communities: {medical: {allows: [sexual.words]}}"
    (directory / "trial.yaml").write_text(TRIAL.replace("communities: {}", allows))
    live = LivePolicy(directory, LocalRulesetStore(), "w1")
    allowed = [
        live.allowed_rules(content(author_id=author, community="medical")) for author in AUTHORS
    ]
    assert 900 <= sum("sexual.words" in each for each in allowed) <= 1100
    assert not live.allowed_rules(content(community="elsewhere"))
