"""The rules stage: signals with evidence in the original text."""

from datetime import timedelta

import pytest
from builders import AT, item, items

from events.messages import Evidence, Signal
from operators.normalize import Normalized, normalize
from operators.regex_match import LiveRuleMatcher, RuleMatcher
from policy.compiled import MAX_KEYWORD_HITS
from policy.rules import parse_rules

SOON = (AT + timedelta(hours=1)).isoformat()
PAST = (AT - timedelta(seconds=1)).isoformat()
RULES = f"""
rules:
  - {{id: money, category: spam, score: 0.8, pattern: 'free money'}}
  - {{id: word, category: hate, score: 0.4, keywords: [vermin]}}
  - {{id: raw, category: spam, score: 0.9, on: original, pattern: 'fr33'}}
  - {{id: soon, category: spam, score: 0.7, pattern: urgent, expires: {SOON}}}
  - {{id: past, category: spam, score: 0.7, pattern: urgent, expires: {PAST}}}
  - {{id: now, category: spam, score: 0.7, pattern: urgent, expires: {AT.isoformat()}}}
"""
MATCHER = RuleMatcher(parse_rules({"t.yaml": RULES}))


def signals(text: str, normalized: Normalized | None = None) -> list[Signal]:
    one = item(text=text)
    one.normalized = normalized
    MATCHER([one])
    return one.signals


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_a_batch_of_any_size_comes_back_in_order(count: int) -> None:
    batch = items(count, text="Free money, vermin!")
    assert MATCHER(batch) is batch
    assert all([signal.rule for signal in one.signals] == ["money", "word"] for one in batch)


def test_a_signal_says_what_and_where() -> None:
    assert signals("get FREE MONEY") == [
        Signal("rules", "money", "spam", 0.8, (Evidence("text", 4, 14),))
    ]


def test_a_text_without_a_match_gets_nothing() -> None:
    assert signals("an honest day") == []


def test_a_rule_that_a_community_allows_does_not_apply_there() -> None:
    allowed = {"medical": {"word", "vague"}}
    text = "rules: [{id: vague, category: hate, score: 0.4, pattern: vermin, action: review}]"
    rules = parse_rules({"a.yaml": RULES, "b.yaml": text})
    matcher = LiveRuleMatcher(
        rules, "v", allowed=lambda content: allowed.get(content.community, ())
    )
    for _ in range(2):  # as it is made, and after a swap
        here, there = (item(text="free money, vermin!", community=c) for c in ("medical", ""))
        matcher([here, there])
        assert [signal.rule for signal in here.signals] == ["money"]
        assert [signal.rule for signal in there.signals] == ["money", "word", "vague"]
        assert (here.asked_review, there.asked_review) == ("", "hate")
        matcher.swap(rules, "v2")


@pytest.mark.parametrize(
    ("keys", "hints", "asked_review"),
    [
        ("role: hint", ("one",), ""),
        ("role: verdict", (), ""),
        ("on: original", (), ""),  # a verdict when left out
        ("role: hint, action: review", ("one",), "hate"),  # a hint weakens no action
        ("role: hint, mode: shadow", (), ""),
    ],
)
def test_a_hint_is_told_to_the_models(keys: str, hints: tuple[str, ...], asked_review: str) -> None:
    rules = f"rules: [{{id: one, category: hate, score: 0.7, pattern: vermin, {keys}}}]"
    matched = item(text="vermin")
    RuleMatcher(parse_rules({"t.yaml": rules}))([matched])
    assert (matched.hints, matched.asked_review) == (hints, asked_review)


def test_evidence_is_in_the_original_text() -> None:
    # `f r e e   money`: blanks between letters are undone by the normalizer.
    normalized = Normalized("free money", (0, 2, 4, 6, 9, 10, 11, 12, 13, 14, 15))
    assert signals("f r e e   money", normalized)[0].evidence == (Evidence("text", 0, 15),)


@pytest.mark.parametrize("text", ["get free  money", "get free\nmoney", "\tget fr33 \r\n money"])
def test_blanks_hide_no_phrase_and_stay_in_the_evidence(text: str) -> None:
    (found,) = [s for s in signals(text, normalize([text])[0]) if s.rule == "money"]
    (where,) = found.evidence
    assert text[where.start : where.end] == text[text.index("fr") :]


def test_a_rule_on_the_original_does_not_see_the_normalized_text() -> None:
    found = signals("fr33 money", Normalized("free money"))
    assert [signal.rule for signal in found] == ["money", "raw"]
    assert found[1].evidence == (Evidence("text", 0, 4),)


def test_an_item_of_images_alone_is_left_as_it_is() -> None:
    from events.messages import Image

    one = item(images=[Image("i", data=b"x")])
    MATCHER([one])
    assert one.signals == []
    assert one.degraded == []


def test_a_rule_sleeps_from_its_expiry_on() -> None:
    assert [signal.rule for signal in signals("urgent")] == ["soon"]


def test_a_flood_of_keywords_degrades_the_item_and_not_the_batch() -> None:
    matcher = RuleMatcher(parse_rules({"t.yaml": RULES.replace("[vermin]", "[xx]")}))
    batch = [item("a", text="x" * (2 * MAX_KEYWORD_HITS)), item("b", text="free money")]
    matcher(batch)
    assert [one.degraded for one in batch] == [["rules"], []]
    assert [signal.rule for signal in batch[1].signals] == ["money"]


def test_a_flood_in_both_forms_of_a_text_degrades_it_once() -> None:
    both = "rules: [" + ", ".join(
        f"{{id: {form}, category: spam, score: 1, on: {form}, keywords: [xx]}}"
        for form in ("original", "normalized")
    )
    [flooded] = RuleMatcher(parse_rules({"t.yaml": f"{both}]"}))(
        [item(text="x" * (2 * MAX_KEYWORD_HITS))]
    )
    assert flooded.degraded == ["rules"]


@pytest.mark.parametrize(
    "text",
    ["\x00", "\ud83d", "a" * 65536, "\u202e" * 100, "free" + " " * 65000 + "money", "\n" * 9],
)
def test_hostile_texts_pass(text: str) -> None:
    assert [s for s in signals(text) if s.rule != "money"] == []


def test_threads_may_share_a_matcher() -> None:
    from concurrent.futures import ThreadPoolExecutor

    batches = [items(500, text="get free money") for _ in range(8)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(MATCHER, batches))
    assert all(len(one.signals) == 1 for batch in done for one in batch)


def test_the_version_is_the_rule_sets() -> None:
    assert MATCHER.version == MATCHER.rules.version


def test_a_rule_says_its_quota() -> None:
    live = LiveRuleMatcher(
        parse_rules({
            "t.yaml": "rules: [{id: a, category: spam, score: 1, pattern: xyz, quota: 5},"
            " {id: b, category: spam, score: 1, pattern: xyz}]"
        }),
        "v",
    )  # fmt: skip
    assert [live.quota(rule) for rule in ("a", "b", "none")] == [5, None, None]


def test_a_rule_that_wants_a_human_says_its_category() -> None:
    matcher = RuleMatcher(
        parse_rules(
            {"t.yaml": RULES.replace("pattern: 'free money'", "pattern: xyz, action: review")}
        )
    )
    batch = matcher([item(text="xyz"), item(text="vermin")])
    assert [one.asked_review for one in batch] == ["spam", ""]
