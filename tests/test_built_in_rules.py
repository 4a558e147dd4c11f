"""The rules that ship with Breakwater: their examples, their words and what they never do alone."""

import json
import re

import pytest

from cli.score import score_batch
from flows.settings import load_settings
from flows.stages import load_stages
from operators.normalize import normalize
from operators.normalize_words import LEXICON
from policy.compiled import CompiledRules
from policy.lint import check_examples
from policy.rules import Rule, load_rules

BUILT_IN = load_rules()
COMPILED = CompiledRules(BUILT_IN)


@pytest.mark.parametrize("rule", BUILT_IN.rules, ids=lambda rule: rule.id)
def test_every_built_in_rule_has_examples(rule) -> None:
    assert len(rule.examples.match) >= 2
    assert len(rule.examples.no_match) >= 2


def test_the_built_in_rules_keep_their_own_examples() -> None:
    assert list(check_examples(COMPILED, normalize)) == []


def own_words(rule: Rule) -> set[str]:
    """Single keywords, and plain words that a pattern has between `(?:`, `|` and `)`."""
    groups = re.findall(r"(?<![a-z])\(\?:([^()]*)\)(?![a-z?])", rule.pattern or "")
    words = [*(rule.keywords or ()), *(word for group in groups for word in group.split("|"))]
    return {word.lower() for word in words if re.fullmatch("[A-Za-z]{3,}", word)}


@pytest.mark.parametrize("rule", BUILT_IN.rules, ids=lambda rule: rule.id)
def test_words_of_the_built_in_rules_are_known_to_the_lexicon(rule) -> None:
    # Where these look spelled out, other things are meant: `b+c`, `lol...i`.
    signs = {"btc", "eth", "loli", "roi", "xyz"}
    if rule.on == "normalized":
        assert own_words(rule) - LEXICON - signs == set()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("looking for p t h c", "csam.trade-code"),
        ("looking for p-t-h-c", "csam.trade-code"),
        ("k.y.s", "harassment.kys"),
        ("k y s", "harassment.kys"),
        ("kyyyyys", "harassment.kys"),
        ("post your t h i n s p o", "self-harm.eating-disorder"),
        ("a pro-ana group", "self-harm.eating-disorder"),
    ],
)
def test_a_word_of_a_rule_is_found_spelled_out(text: str, rule: str) -> None:
    read = normalize([text])[0].text
    assert rule in {match.rule.id for match in COMPILED.match(read)}


def test_every_category_has_a_rule() -> None:
    assert {rule.category for rule in BUILT_IN.rules} >= {"hate", "threat", "self_harm", "csam"}


def test_self_harm_and_csam_always_reach_a_human() -> None:
    asked = {rule.id for rule in BUILT_IN.rules if rule.category in {"self_harm", "csam"}}
    assert asked == BUILT_IN.review_rules


def test_who_may_be_in_danger_is_not_blocked_for_it() -> None:
    """What the models take for harassment or a threat, to be blocked."""
    texts = ["I want to kill myself", "i want to fucking kill myself", "I WANT TO DIE",
             "i'm a stupid bitch and i want to die"]  # fmt: skip
    scored = score_batch(
        [json.dumps({"text": text}).encode() for text in texts], load_stages(load_settings())
    )
    assert {answer["action"] for answer in scored} == {"review"}
    assert all(answer["scores"]["self_harm"] >= 0.5 for answer in scored)


def test_a_slur_by_itself_decides_nothing() -> None:
    assert BUILT_IN.by_id["hate.slur"].score < 0.5
