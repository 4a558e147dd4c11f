"""The policy file: what is refused, and that the refusal names the key."""

import json
import math
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from policy.errors import PolicyError
from policy.policy import (
    BUILT_IN,
    CategoryOverride,
    CategoryPolicy,
    PolicyFile,
    check_policy,
    load_policy,
    parse_policy,
    unknown_rules,
)
from policy.policy_file import SCHEMA_FILE
from policy.rules import load_rules
from policy.taxonomy import CATEGORIES

ROOT = Path(__file__).parent.parent
BOMB = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 7)
)
TEXT = (BUILT_IN / "policy.yaml").read_text()
ON = TEXT.replace("communities: {}", "communities: {on: {}}")


def changed(**change: object) -> str:
    return yaml.safe_dump(yaml.safe_load(TEXT) | change)


def community(**change: object) -> str:
    return changed(communities={"x": change})


def with_category(name: str, **change: object) -> str:
    categories = yaml.safe_load(TEXT)["categories"]
    return changed(categories=categories | {name: categories.get(name, {}) | change})


@pytest.mark.parametrize(
    ("what", "text", "reason"),
    [
        ("no YAML", "categories: [", "not YAML"),
        ("an empty file", "", "policy.yaml:1: expected keys and values, not nothing"),
        ("a list", "[1]", "expected keys and values, not a list"),
        ("a threshold over one", with_category("hate", block=1.1), "hate.block: 1.1 is above 1"),
        ("a threshold under 0", with_category("hate", block=-1), "hate.block: -1 is below 0"),
        ("no number at all", with_category("hate", review=math.nan), "hate.review: expected a num"),
        ("a word for a number", with_category("hate", review="high"), "not 'high'"),
        ("review over block", with_category("hate", review=0.95), "review (0.95) is above block"),
        ("an unknown category", with_category("spma", severity=1), "did you mean 'spam'?"),
        ("csam that fails open", with_category("csam", fail="open"), "csam always fails closed"),
        ("csam that allows", with_category("csam", fail="allow"), "csam always fails closed"),
        (
            "an unknown fail mode",
            with_category("hate", fail="maybe"),
            "'maybe' is not one of",
        ),
        ("a hold of what", with_category("hate", hold="yes"), "hate.hold: expected true or false"),
        ("severity 0", with_category("hate", severity=0), "hate.severity: 0 is below 1"),
        ("severity 6", with_category("hate", severity=6), "hate.severity: 6 is above 5"),
        ("a quota below none", with_category("hate", quota=-1), "hate.quota: -1 is below 0"),
        ("a band upside down", changed(uncertainty_band=[0.6, 0.4]), "the lower end is above"),
        ("a band of one", changed(uncertainty_band=[0.4]), "uncertainty_band: [0.4] is too short"),
        ("a sample over one", changed(sample_rate=2), "sample_rate: 2 is above 1"),
        ("all categories missing", changed(categories={}), "categories: hate, harassment"),
        ("an unknown section", changed(colours=1), "colours: unknown key"),
        ("a community's typo", community(spam={"revew": 1}), "spam.revew: unknown key, did you"),
        ("a community's category", community(rude={}), "communities.x.rude: unknown key"),
        (
            "a community over its block",
            community(spam={"review": 1}),
            "x.spam: review (1) is above",
        ),
        ("csam open there", community(csam={"fail": "open"}), "x.csam.fail: csam always"),
        ("no such parent", community(inherits="y"), "x.inherits: there is no community 'y'"),
        ("its own parent", community(inherits="x"), "x.inherits: inherits from itself"),
        ("a rule for rules", community(allows="spam.link"), "x.allows: expected a list"),
        (
            "a name that YAML reads as a word",
            TEXT.replace("communities: {}", "communities: {on: {}}"),
            "put it in quotes",
        ),
        (
            "a whole number as a fraction",
            TEXT.replace("severity: 4", "severity: 4.0"),
            "hate.severity: expected a whole number, not 4.0",
        ),
        ("the same key twice", TEXT + "\nsample_rate: 0", "sample_rate: is given twice"),
        ("aliases that blow up", BOMB, "more than 100000 values"),
        ("aliases without an end", "a: &a [*a]", "not usable as YAML"),
        ("a file too large", "#" * 2**20 + TEXT, "larger than"),
    ],
)
def test_a_bad_policy_is_refused_with_one_line_that_says_where(what, text, reason) -> None:
    with pytest.raises(PolicyError, match=r"^[^\n]+$") as error:
        parse_policy(text, "policy.yaml")
    assert reason in str(error.value), what
    assert str(error.value).startswith("policy.yaml:")


def test_a_typo_is_named_by_line_and_key_with_what_was_meant() -> None:
    text = TEXT.replace("block: 0.90, fail: allow, quota: 200000", "blok: 0.9", 1)
    line = next(n for n, each in enumerate(text.splitlines(), 1) if "blok" in each)
    assert check_policy(text, "policy.yaml") == [
        f"policy.yaml:{line}: categories.hate.blok: unknown key, did you mean 'block'?",
        f"policy.yaml:{line}: categories.hate: block missing",
    ]
    with pytest.raises(PolicyError, match=r"'block'\? \(and 1 more\)"):
        parse_policy(text, "policy.yaml")


def test_every_fault_is_found_in_the_order_of_lines() -> None:
    text = TEXT.replace("[0.45, 0.55]", "[0.45, 5]").replace("sample_rate: 0.001", "sample_rate: x")
    found = check_policy(text, "p")
    assert [each.split(": ")[1] for each in found] == ["uncertainty_band.1", "sample_rate"]


@settings(max_examples=50)
@given(st.text(max_size=80), st.integers(0, len(TEXT)))
def test_whatever_is_typed_into_it_a_policy_is_parsed_or_refused(typed: str, at: int) -> None:
    for text in (typed, TEXT[:at] + typed + TEXT[at:]):
        findings = check_policy(text, "p")
        assert all(each.startswith("p:") and "\n" not in each for each in findings)
        if not findings:
            parse_policy(text, "p")


SCHEMA = json.loads(SCHEMA_FILE.read_text())


def keys(part: str) -> set[str]:
    return set(SCHEMA["$defs"][part]["properties"])


def test_the_schema_is_one_and_has_the_keys_and_categories_of_the_code() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == set(PolicyFile.__struct_fields__)
    assert keys("treatment") == set(CategoryPolicy.__struct_fields__)
    assert keys("override") == set(CategoryOverride.__struct_fields__)
    assert keys("community") == {"inherits", "allows", *CATEGORIES}
    assert set(SCHEMA["$defs"]["category"]["enum"]) == set(CATEGORIES)
    assert set(SCHEMA["properties"]["categories"]["required"]) == set(CATEGORIES)


@pytest.mark.parametrize(
    "key", sorted({*SCHEMA["properties"], *keys("treatment"), "inherits", "allows"})
)
def test_every_key_is_in_the_docs(key: str) -> None:
    assert f"| `{key}` |" in (ROOT / "docs" / "policy.md").read_text()


def test_the_docs_example_of_communities_holds() -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/policy.md").read_text(), re.DOTALL)
    policy = parse_policy(TEXT.replace("communities: {}", example), "p")
    assert policy.allowed_rules("medical/oncology") >= {"sexual.explicit-act"}
    assert unknown_rules(TEXT.replace("communities: {}", example), "p", load_rules().by_id) == []
    assert policy.categories("medical/oncology")["sexual"].review == 0.85
    assert policy.categories("medical/oncology")["spam"].block == 0.80
    assert policy.categories("medical")["spam"].block == 0.90


def test_a_directory_without_a_policy_says_which_setting_names_it(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="BREAKWATER_POLICY"):
        load_policy(tmp_path)


def test_equal_files_have_equal_versions_and_others_do_not() -> None:
    assert parse_policy(TEXT, "a").version == parse_policy(TEXT, "b").version
    assert parse_policy(TEXT, "a").version != parse_policy(TEXT + "# more", "a").version


def test_a_community_inherits_what_it_does_not_name() -> None:
    policy = parse_policy(changed(communities={"medical": {"sexual": {"review": 0.8}}}), "p")
    here, everywhere = policy.categories("medical"), policy.categories("")
    assert here["sexual"].review == 0.8
    assert here["sexual"].block == everywhere["sexual"].block
    assert here["hate"] == everywhere["hate"]


def test_a_community_inherits_from_another_and_its_rules_do_not_apply() -> None:
    policy = parse_policy(
        changed(
            communities={
                "health": {"allows": ["a"], "sexual": {"review": 0.8}, "spam": {"hold": True}},
                "medical": {"inherits": "health", "allows": ["b"], "sexual": {"review": 0.85}},
            }
        ),
        "p",
    )
    here = policy.categories("medical")
    assert (here["sexual"].review, here["spam"].hold) == (0.85, True)
    assert policy.categories("health")["sexual"].review == 0.8
    assert policy.allowed_rules("medical") == {"a", "b"}
    assert policy.allowed_rules("health") == {"a"}
    assert policy.allowed_rules("") == set()
