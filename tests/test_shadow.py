"""What is in shadow: it decides, it is logged, and nothing acts on it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from builders import item, items
from clickhouse_server import clickhouse_server
from next_model import all_is_spam

from connectors.clickhouse import connect
from connectors.query_library import run
from events.messages import Image, Signal
from events.records import ModelOutput
from flows.shadow import text_scorer
from models.fusion.fusion import FusionModel
from models.text.cascade import Cascade
from operators.decide import Decider
from operators.fusion import Fuser
from operators.regex_match import LiveRuleMatcher
from operators.shadow import ShadowJudge
from policy.policies import Policies
from policy.policy import BUILT_IN, load_policy, parse_policy
from policy.rules import RuleSet, parse_rules

ROOT = Path(__file__).parent.parent
TEXT = (BUILT_IN / "policy.yaml").read_text()
LIVE = load_policy()
STRICT = parse_policy(
    TEXT.replace("1, review: 0.60, block: 0.90", "1, review: 0.2, block: 0.5"), "p"
)
FUSE = Fuser(FusionModel())


RULE = "{{id: {0}, category: spam, score: 0.95, pattern: {0}, mode: {1}}}"
NONE = parse_rules({"r.yaml": "rules: []"})
ZEBRA = parse_rules({"r.yaml": f"rules: [{RULE.format('zebra', 'shadow')}]"})


ALL_LIVE = Policies(LIVE)


def judge(*, rules: RuleSet = NONE, score=None, policies: Policies = ALL_LIVE) -> ShadowJudge:
    decider = Decider(LIVE, mode="shadow")
    return ShadowJudge(decider, policies, FUSE, lambda: rules, score, ["text-fast"])


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_while_nothing_is_in_shadow_nothing_is_decided(count: int) -> None:
    assert judge()(items(count, scores={"spam": 0.6})) == []


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_a_policy_in_shadow_decides_on_every_item_in_order(count: int) -> None:
    batch = items(count, scores={"spam": 0.6})
    made = judge(policies=Policies(LIVE, shadow=STRICT))(batch)
    assert [one.content for one in made] == [one.content for one in batch]
    assert {one.decision.mode for one in made} <= {"shadow"}
    assert {one.decision.action for one in made} <= {"block"}
    assert {one.decision.policy_version for one in made} <= {STRICT.version}


def test_a_shadow_decision_has_an_id_of_its_own_and_no_outputs_of_live_models() -> None:
    one = item(scores={"spam": 0.6})
    one.outputs.append(ModelOutput("text-fast", "1", "", 0.1, {}))
    [shadow] = judge(policies=Policies(LIVE, shadow=STRICT))([one])
    [live] = Decider(LIVE)([one])
    assert shadow.decision.decision_id != live.decision.decision_id
    assert (len(live.outputs), len(shadow.outputs)) == (1, 0)


def with_rule(score: float):
    one = item(text="zebra")
    one.text_scores = {"spam": 0.1}
    one.shadow_signals.append(Signal("rules", "zebra", "spam", score))
    FUSE([one])
    return one


def test_a_rule_in_shadow_counts_in_the_shadow_decision_alone() -> None:
    one = with_rule(0.95)
    [live] = Decider(LIVE)([one])
    [shadow] = judge(rules=ZEBRA)([one])
    assert (live.decision.action, live.decision.signals) == ("allow", ())
    assert (shadow.decision.action, shadow.decision.category) == ("block", "spam")
    assert [signal.rule for signal in shadow.decision.signals] == ["zebra"]
    assert shadow.decision.scores["spam"] >= 0.95 > live.decision.scores["spam"]


def test_the_live_item_is_not_touched() -> None:
    one, before = with_rule(0.95), with_rule(0.95)
    judge(rules=ZEBRA)([one])
    assert one == before


def test_items_in_which_it_finds_nothing_are_decided_as_they_are() -> None:
    judged = judge(rules=ZEBRA)([item("a", scores={"spam": 0.95}), with_rule(0.95), item("b")])
    assert [one.decision.action for one in judged] == ["block", "block", "allow"]


def test_the_matcher_keeps_rules_in_shadow_apart_and_says_whether_there_are_any() -> None:
    both = f"rules: [{RULE.format('zebra', 'shadow')}, {RULE.format('llama', 'live')}]"
    matcher = LiveRuleMatcher(parse_rules({"r.yaml": both}), "v")
    one = item(text="a zebra and a llama")
    matcher([one])
    assert [signal.rule for signal in one.signals] == ["llama"]
    assert [signal.rule for signal in one.shadow_signals] == ["zebra"]
    assert matcher.current.rules.in_shadow
    matcher.swap(parse_rules({"r.yaml": f"rules: [{RULE.format('llama', 'live')}]"}), "v2")
    assert not matcher.current.rules.in_shadow


@pytest.mark.parametrize(
    ("what", "live", "shadow", "expected"),
    [
        ("a rule in shadow that wants a human", "", "", ("allow", "review")),
        ("one that the live policy allows", "zebra", "", ("allow", "allow")),
    ],
)
def test_a_rule_in_shadow_may_want_a_human(what, live, shadow, expected) -> None:
    rules = RULE.format("zebra", "shadow").replace("0.95", "0.1, action: review")
    assert told(rules, live, shadow) == expected, what


@pytest.mark.parametrize(
    ("what", "live", "shadow", "expected"),
    [
        ("both hold to the rule", "llama", "llama", ("block", "block")),
        ("the policy in shadow allows it", "llama", "zebra", ("block", "allow")),
        ("the live policy alone allows it", "zebra", "llama", ("allow", "block")),
        ("both allow it", "zebra", "zebra", ("allow", "allow")),
    ],
)  # fmt: skip
def test_a_policy_in_shadow_has_its_own_list_of_rules_that_it_allows(
    what, live, shadow, expected
) -> None:
    assert told(RULE.format("zebra", "live"), live, shadow) == expected, what


def test_a_rule_that_wants_a_human_does_not_where_the_policy_in_shadow_allows_it() -> None:
    rules = RULE.format("zebra", "live").replace("0.95", "0.1, action: review")
    assert told(rules, "llama", "zebra") == ("review", "allow")


def test_a_hint_in_shadow_is_weighed_by_fusion_and_blocks_nothing_alone() -> None:
    rules = RULE.format("zebra", "shadow")
    assert told(rules, "", "") == ("allow", "block")
    assert told(rules.replace("0.95", "0.95, role: hint"), "", "") == ("allow", "allow")


def told(rule: str, allowed_live: str, allowed_in_shadow: str) -> tuple[str, str]:
    """The live and the shadow action on a zebra by one rule; "" allows: no policy in shadow."""
    rules = parse_rules({"r.yaml": f"rules: [{rule}]"})
    live, shadow = (
        parse_policy(
            TEXT.replace("communities: {}", f"communities: {{zoo: {{allows: {on}}}}}"), "p"
        )
        for on in (f"[{allowed_live}]", f"[{allowed_in_shadow}]")
    )
    policies = Policies(live, shadow=shadow if allowed_in_shadow else None)
    matcher = LiveRuleMatcher(
        rules, "v", allowed=lambda content: policies.live.allowed_rules(content.community)
    )
    one = item(text="look at that zebra", community="zoo")
    one.text_scores = {"spam": 0.01}
    FUSE(matcher([one]))
    [was] = Decider(policies.live)([one])
    [would] = judge(rules=rules, policies=policies)([one])
    return was.decision.action, would.decision.action


def test_a_text_model_in_shadow_takes_the_place_of_the_live_one() -> None:
    def score(batch):
        for one in batch:
            one.text_scores = {"spam": 0.99}
            one.outputs.append(ModelOutput("text-fast", "next", "spam", 0.99, {"spam": 0.99}))
            one.signals.append(Signal("text-fast", "text-fast", "spam", 0.99))
        return batch

    one = item(text="zebra")
    one.text_scores = {"spam": 0.01}
    one.signals += [Signal("text-fast", "text-fast", "hate", 0.5), Signal("hash", "h", "spam", 0.3)]
    FUSE([one])
    [shadow] = judge(score=score)([one])
    assert [output.version for output in shadow.outputs] == ["next"]
    assert shadow.decision.scores["spam"] > 0.9
    assert [signal.score for signal in shadow.decision.signals] == [0.3, 0.99]


@pytest.fixture(scope="module")
def next_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return all_is_spam(tmp_path_factory.mktemp("models"))


def test_a_text_model_in_shadow_scores_what_images_say_too(next_model: Path) -> None:
    scorer = text_scorer(Cascade.load(next_model))
    one = item(images=[Image("i", data=b"x")])
    one.image_texts = {"i": ["hello"]}
    one.text_scores = {"spam": 0.01}
    one.signals.append(Signal("text-fast", "text-fast", "hate", 0.5))
    FUSE([one])
    [live] = Decider(LIVE)([one])
    [shadow] = judge(score=scorer)([one, item("b", text="hello")])[:1]
    assert (live.decision.action, shadow.decision.action) == ("allow", "block")
    assert [output.version for output in shadow.outputs] == ["next"]
    [signal] = shadow.decision.signals
    assert (signal.category, signal.evidence[0].field) == ("spam", "images.i")


def test_what_the_live_text_model_could_not_do_the_one_in_shadow_can(next_model: Path) -> None:
    one = item(text="hello")
    one.degraded += ["ocr", "text_score"]
    [shadow] = judge(score=text_scorer(Cascade.load(next_model)))([one])
    assert (shadow.decision.degraded, shadow.decision.category) == (("ocr",), "spam")


# The whole job


def posts() -> list[dict[str, str]]:
    return [
        {"content_id": f"c{n}", "created_at": f"2026-11-20T00:00:{n:02}Z", "author_id": f"a{n % 3}",
         "text": "look at that zebra" if n % 2 else "a quiet day at the lake"}
        for n in range(40)
    ]  # fmt: skip


def run_job(home: Path, **settings: object) -> Path:
    (home / "posts.jsonl").write_text("\n".join(map(json.dumps, posts())))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BREAKWATER_")}
    environment |= {f"BREAKWATER_{name.upper()}": str(value) for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "run", "--input", home / "posts.jsonl",
         "--output", home / "out"],
        cwd=ROOT, env=environment, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return home / "out"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a policy and a rule in shadow, on posts that only they would stop."""
    home = tmp_path_factory.mktemp("shadow")
    policy = home / "policy"
    (policy / "rules").mkdir(parents=True)
    (policy / "hashes").symlink_to(BUILT_IN / "hashes")
    (policy / "policy.yaml").write_text(TEXT)
    (policy / "shadow.yaml").write_text(TEXT.replace("5, review: 0.40", "5, review: 0.20"))
    (policy / "rules" / "r.yaml").write_text(
        "rules: [{id: zebra, category: spam, score: 0.97, pattern: zebra, mode: shadow}]"
    )
    return run_job(home, policy=policy)


def test_nothing_acts_on_what_is_in_shadow(output: Path) -> None:
    decisions = [json.loads(line) for line in (output / "decisions.jsonl").open()]
    assert len(decisions) == 40
    assert {(made["mode"], made["action"]) for made in decisions} == {("live", "allow")}
    assert all("zebra" not in json.dumps(made["signals"]) for made in decisions)


def test_the_store_knows_both_and_the_queries_compare_them(output: Path) -> None:
    with clickhouse_server(output / "clickhouse") as dsn:
        client = connect(dsn)
        pairs = run(client, "shadow_against_live")
        assert sorted((row[0], row[2], row[4]) for row in pairs.rows) == [
            ("allow", "allow", 20), ("allow", "block", 20),
        ]  # fmt: skip
        assert {row[6] for row in pairs.rows} == {0.5}
        blocked = run(client, "shadow_newly_blocked").rows
        client.close()
    assert [row[:4] for row in blocked] == [
        ("a0", 7, 0, ["spam"]), ("a1", 7, 0, ["spam"]), ("a2", 6, 0, ["spam"]),
    ]  # fmt: skip
    assert {(row[5], row[7]) for row in blocked} == {("zebra", "look at that zebra")}


def test_a_text_model_in_shadow_is_compared_with_the_live_one(
    next_model: Path, tmp_path: Path
) -> None:
    output = run_job(tmp_path, shadow_model=next_model)
    decisions = [json.loads(line) for line in (output / "decisions.jsonl").open()]
    assert {(made["mode"], made["action"]) for made in decisions} == {("live", "allow")}
    with clickhouse_server(output / "clickhouse") as dsn:
        client = connect(dsn)
        pairs = run(client, "shadow_against_live").rows
        assert [(row[0], row[2], row[4]) for row in pairs] == [("allow", "block", 40)]
        assert sum(row[1] for row in run(client, "shadow_newly_blocked").rows) == 40
        said = "SELECT model_prediction, count() FROM moderation.model_outputs FINAL"
        found = client.query(f"{said} WHERE model_version = 'next' GROUP BY 1").result_rows
        client.close()
    assert found == [("spam", 40)]
