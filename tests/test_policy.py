"""The policy file: what is refused, and that the refusal names the key."""

from pathlib import Path

import pytest
import yaml

from policy.errors import PolicyError
from policy.policy import BUILT_IN, load_policy, parse_policy

TEXT = (BUILT_IN / "policy.yaml").read_text()


def changed(**change: object) -> str:
    return yaml.safe_dump(yaml.safe_load(TEXT) | change)


def with_category(name: str, **change: object) -> str:
    categories = yaml.safe_load(TEXT)["categories"]
    return changed(categories=categories | {name: categories.get(name, {}) | change})


@pytest.mark.parametrize(
    ("what", "text", "reason"),
    [
        ("no YAML", "categories: [", "not YAML"),
        ("an empty file", "", "Expected `object`, got `null`"),
        ("a typo in a key", with_category("hate", reveiw=0.5), "unknown field `reveiw`"),
        ("a threshold over one", with_category("hate", block=1.1), "$.categories[...].block"),
        ("a word for a number", with_category("hate", review="high"), "Expected `float`"),
        ("review over block", with_category("hate", review=0.95), "categories.hate: review is"),
        ("an unknown category", with_category("rude", severity=1, review=0, block=1), "'rude'"),
        ("csam that fails open", with_category("csam", fail="open"), "csam always fails closed"),
        ("an unknown fail mode", with_category("hate", fail="maybe"), "maybe"),
        ("severity 0", with_category("hate", severity=0), "severity"),
        ("severity 6", with_category("hate", severity=6), "severity"),
        ("a band upside down", changed(uncertainty_band=[0.6, 0.4]), "uncertainty_band"),
        ("a band of one", changed(uncertainty_band=[0.4]), "uncertainty_band"),
        ("a sample over one", changed(sample_rate=2), "sample_rate"),
        ("a category missing", changed(categories={}), "hate, harassment"),
        ("a community's typo", changed(communities={"x": {"rude": {}}}), "communities.x"),
        ("an unknown section", changed(colours=1), "colours"),
    ],
)
def test_a_bad_policy_is_refused_with_one_line_that_says_where(what, text, reason) -> None:
    with pytest.raises(PolicyError, match=r"^[^\n]+$") as error:
        parse_policy(text, "policy.yaml")
    assert reason in str(error.value)
    assert "policy.yaml" in str(error.value)


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
