"""Scores and policy to an action: a word on each boundary, and on what a human sees."""

import pytest
from builders import AT, content, decision, item, items
from msgspec import structs

from events.messages import Signal
from events.records import Judgement, ModelOutput
from operators.decide import Decider, ReviewPicker, verdict
from policy.policy import BUILT_IN, load_policy, parse_policy
from policy.taxonomy import CATEGORIES

BAND = (0.45, 0.55)
TREATMENTS = {
    "hate": "{severity: 4, review: 0.6, block: 0.9}",
    "spam": "{severity: 1, review: 0.6, block: 0.9}",
    "csam": "{severity: 5, review: 0.1, block: 0.9, fail: closed}",
}
OTHERS = "{severity: 2, review: 0.6, block: 0.9}"
POLICY = parse_policy(
    "uncertainty_band: [0.45, 0.55]\n"
    "categories:\n"
    + "".join(f"  {name}: {TREATMENTS.get(name, OTHERS)}\n" for name in CATEGORIES)
    + "communities:\n  medical:\n    spam: {review: 0.8}\n  children:\n    csam: {review: 0.05}\n",
    "policy.yaml",
)


@pytest.mark.parametrize(
    ("what", "scores", "expected"),
    [
        ("no scores at all", {}, ("allow", "")),
        ("just under the band", {"hate": 0.4499}, ("allow", "")),
        ("the lower end of the band", {"hate": 0.45}, ("review", "hate")),
        ("the upper end of the band", {"hate": 0.55}, ("review", "hate")),
        ("between band and review", {"hate": 0.5501}, ("allow", "")),
        ("just under review", {"hate": 0.5999}, ("allow", "")),
        ("review", {"hate": 0.6}, ("review", "hate")),
        ("just under block", {"hate": 0.8999}, ("review", "hate")),
        ("block", {"hate": 0.9}, ("block", "hate")),
        ("certain", {"hate": 1.0}, ("block", "hate")),
        ("a block beats a severer review", {"hate": 0.7, "spam": 0.95}, ("block", "spam")),
        ("among blocks the severer", {"hate": 0.9, "spam": 0.99}, ("block", "hate")),
        ("as severe: the higher", {"threat": 0.91, "sexual": 0.92}, ("block", "sexual")),
        ("a low threshold of its own", {"csam": 0.1}, ("review", "csam")),
        ("a category nobody knows", {"mood": 1.0}, ("allow", "")),
    ],
)
def test_verdict(what: str, scores: dict[str, float], expected: tuple[str, str]) -> None:
    categories = POLICY.categories("")
    assert verdict(scores, blind=(), categories=categories, band=BAND) == expected
    [judged] = Decider(POLICY)([item(scores=scores)])
    assert (judged.decision.action, judged.decision.category) == expected


@pytest.mark.parametrize(
    ("what", "degraded", "scores", "expected"),
    [
        ("the rules are missing, and csam fails closed", "rules", {}, ("review", "csam")),
        ("a block stays a block", "rules", {"spam": 0.95}, ("block", "spam")),
        ("the text model does not know csam", "text_score", {}, ("allow", "")),
        ("an image was not seen", "image_score", {}, ("review", "csam")),
        ("author history sees no category", "enrich", {}, ("allow", "")),
        ("a stage that nobody has named", "new_stage", {}, ("review", "csam")),
    ],
)
def test_a_missing_stage_sends_what_fails_closed_to_a_human(what, degraded, scores, expected):
    one = item(scores=scores)
    one.degraded.append(degraded)
    made = Decider(POLICY)([one])[0].decision
    assert (made.action, made.category) == expected


@pytest.mark.parametrize(
    ("what", "fail", "scores", "expected"),
    [
        ("allow decides on what is left", "allow", {}, ("allow", "")),
        ("open is another word for it", "open", {}, ("allow", "")),
        ("allow leaves a review a review", "allow", {"spam": 0.7}, ("review", "spam")),
        ("review sends it to a human", "review", {}, ("review", "spam")),
        ("closed is another word for it", "closed", {}, ("review", "spam")),
        ("review leaves a block a block", "review", {"spam": 0.95}, ("block", "spam")),
        ("block blocks", "block", {}, ("block", "spam")),
        ("block blocks what would be reviewed", "block", {"spam": 0.7}, ("block", "spam")),
        ("a severer block decides", "block", {"hate": 0.95}, ("block", "hate")),
    ],
)
def test_fail_modes(what: str, fail: str, scores: dict[str, float], expected) -> None:
    categories = dict(POLICY.categories(""))
    categories["spam"] = structs.replace(categories["spam"], fail=fail)
    blind = {"spam", "harassment"}
    assert verdict(scores, blind=blind, categories=categories, band=BAND) == expected, what
    seen = verdict(scores, blind={"harassment"}, categories=categories, band=BAND)
    assert seen == verdict(scores, blind=(), categories=categories, band=BAND), what


@pytest.mark.parametrize(
    ("what", "category", "score", "hold"),
    [
        ("allowed", "csam", 0.0, False),
        ("to a human", "csam", 0.2, True),
        ("blocked", "csam", 0.95, True),
        ("of a category that the policy does not hold", "spam", 0.99, False),
    ],
)
def test_what_the_policy_holds_is_hidden_until_a_human_has_decided(
    what, category, score, hold
) -> None:
    text = (BUILT_IN / "policy.yaml").read_text()
    made = Decider(parse_policy(text, "p"))([item(scores={category: score})])[0].decision
    assert made.hold == hold, what


HOLDING = parse_policy(
    "categories:\n"
    + "".join(
        f"  {name}: {{severity: 2, review: 0.6, block: 0.9, fail: review"
        f"{', hold: true' if name in ('sexual', 'csam') else ''}}}\n"
        for name in CATEGORIES
    )
    + "communities:\n  open: {sexual: {hold: false}, csam: {hold: false}}\n",
    "policy.yaml",
)


@pytest.mark.parametrize(
    ("what", "policy", "fields", "expected"),
    [
        ("a policy that does not hold", POLICY, {}, ("allow", "")),
        ("held until the images are seen", HOLDING, {}, ("review", "sexual")),
        ("a community that does not hold", HOLDING, {"community": "open"}, ("allow", "")),
        ("what text says is not softened", HOLDING, {"scores": {"spam": 0.9}}, ("block", "spam")),
        ("nor hidden", HOLDING, {"scores": {"spam": 0.7}}, ("review", "spam")),
    ],
)
def test_the_quick_answer_holds_where_policy_says_so(what, policy, fields, expected) -> None:
    one = item(**fields)
    [quick], [final] = Decider(policy).at_once([one]), Decider(policy)([one])
    assert (quick.decision.action, quick.decision.category) == expected
    assert (quick.decision.final, final.decision.final) == (False, True)
    assert quick.decision.decision_id != final.decision.decision_id
    if not fields.get("scores"):
        assert final.decision.action == "allow"


def test_the_outputs_of_models_come_with_the_final_answer() -> None:
    one = item()
    one.outputs.append(ModelOutput("m", "1", "", 0.1, {}))
    assert Decider(POLICY).at_once([one])[0].outputs == ()
    assert Decider(POLICY)([one])[0].outputs == tuple(one.outputs)


def test_a_quick_answer_is_not_reviewed() -> None:
    made = decision(action="review", category="hate", scores={"hate": 0.7}, final=False)
    assert ReviewPicker(POLICY)([Judgement(content(), made)]) == []


@pytest.mark.parametrize(
    ("community", "scores", "action"),
    [
        ("", {"spam": 0.7}, "review"),
        ("medical", {"spam": 0.7}, "allow"),
        ("", {"csam": 0.05}, "allow"),
        ("children", {"csam": 0.05}, "review"),
        ("children", {"csam": 0.0499}, "allow"),
    ],
)
def test_a_community_overrides_what_it_names(community, scores, action) -> None:
    judged = Decider(POLICY)([item(community=community, scores=scores)])
    assert judged[0].decision.action == action


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_one_judgement_an_item_in_order(count: int) -> None:
    batch = items(count, scores={"spam": 0.95})
    judged = Decider(POLICY)(batch)
    assert [j.content for j in judged] == [i.content for i in batch]
    assert {j.decision.action for j in judged} <= {"block"}


def test_a_decision_says_all_that_led_to_it() -> None:
    one = item(scores={"hate": 0.95})
    one.signals.append(Signal("rules", "hate.x", "hate", 0.95))
    one.degraded.append("ocr")
    decider = Decider(
        POLICY, ruleset_version="r1", model_versions={"m": "1"},
        now=lambda: one.received_at + 0.25,
    )  # fmt: skip
    made = decider([one])[0].decision
    assert (made.action, made.category, made.final, made.mode) == ("block", "hate", True, "live")
    assert (made.latency_ms, made.created_at) == (250.0, AT)
    assert (made.degraded, made.signals) == (("ocr",), tuple(one.signals))
    assert made.policy_version == POLICY.version
    assert (made.ruleset_version, made.model_versions) == ("r1", {"m": "1"})


def test_a_clock_that_steps_back_makes_no_negative_latency() -> None:
    decider = Decider(POLICY, now=lambda: AT.timestamp() - 60)
    assert decider([item()])[0].decision.latency_ms == 0


def test_the_same_content_gets_the_same_decision_id() -> None:
    first, second = Decider(POLICY)([item("x"), item("x")])
    assert first.decision.decision_id == second.decision.decision_id


def test_the_rules_that_read_an_item_are_named_where_they_change_while_the_job_runs() -> None:
    one = item()
    one.ruleset_version = "r2"
    assert Decider(POLICY, ruleset_version="r1")([one])[0].decision.ruleset_version == "r2"


def test_a_review_rule_reaches_a_human_whatever_the_score() -> None:
    one = item()
    one.asked_review = "self_harm"
    made = Decider(POLICY)([one])[0].decision
    assert (made.action, made.category) == ("review", "self_harm")


@pytest.mark.parametrize(
    ("asked", "category", "expected"),
    [
        ("self_harm", "harassment", ("review", "self_harm")),
        ("self_harm", "threat", ("review", "self_harm")),
        ("self_harm", "hate", ("review", "self_harm")),
        ("self_harm", "spam", ("block", "spam")),
        ("self_harm", "sexual", ("block", "sexual")),
        ("self_harm", "csam", ("block", "csam")),
        ("csam", "hate", ("block", "hate")),
    ],
)
def test_despair_that_reads_like_abuse_is_not_blocked(
    asked: str, category: str, expected: tuple[str, str]
) -> None:
    one = item(scores={category: 0.99, "self_harm": 0.6})
    one.asked_review = asked
    made = Decider(POLICY)([one])[0].decision
    assert (made.action, made.category) == expected


@pytest.mark.parametrize(
    ("what", "score", "reason"),
    [
        ("just under the band: a rule asked for it", 0.4499, "policy"),
        ("the lower end of the band", 0.45, "uncertain"),
        ("the upper end of the band", 0.55, "uncertain"),
        ("over the band", 0.5501, "policy"),
        ("over the review threshold", 0.7, "policy"),
    ],
)
def test_reviews_say_why(what: str, score: float, reason: str) -> None:
    made = decision(action="review", category="hate", scores={"hate": score})
    [review] = ReviewPicker(POLICY)([Judgement(content(text="the text"), made)])
    assert (review.reason, review.text) == (reason, "the text")
    assert review.priority == pytest.approx(4 + score)


def test_blocked_and_allowed_are_not_reviewed_without_a_sample_rate() -> None:
    judgements = [
        Judgement(content(str(number)), decision(str(number), action=action))
        for number, action in enumerate(["allow", "block"] * 500)
    ]
    assert ReviewPicker(POLICY)(judgements) == []


def test_a_sample_of_the_allowed_is_reviewed_and_is_the_same_each_time() -> None:
    policy = parse_policy(
        "sample_rate: 0.1\ncategories:\n"
        + "".join(f"  {name}: {TREATMENTS.get(name, OTHERS)}\n" for name in CATEGORIES),
        "policy.yaml",
    )
    judgements = [Judgement(content(str(n)), decision(str(n))) for n in range(1000)]
    reviews = ReviewPicker(policy)(judgements)
    assert {(review.reason, review.priority) for review in reviews} == {("sample", 0.0)}
    picked = [review.decision.content_id for review in reviews]
    assert 60 <= len(picked) <= 140
    assert picked == [r.decision.content_id for r in ReviewPicker(policy)(judgements)]


def test_the_built_in_policy_knows_every_category() -> None:
    assert set(load_policy().file.categories) == set(CATEGORIES)


@pytest.mark.parametrize(
    ("chosen", "degraded", "scores", "expected"),
    [
        ("rules", ["text_language"], {"hate": 0.3}, ("allow", "")),
        ("review", ["text_language"], {"hate": 0.3, "spam": 0.2}, ("review", "hate")),
        ("review", ["text_language"], {"spam": 0.95}, ("block", "spam")),
        ("review", [], {"hate": 0.3}, ("allow", "")),
    ],
    ids=["rules alone decide", "a human decides", "a block stays a block", "a covered language"],
)
def test_policy_chooses_for_languages_that_no_model_covers(
    chosen: str, degraded: list[str], scores: dict[str, float], expected: tuple[str, str]
) -> None:
    file = structs.replace(POLICY.file, uncovered_language=chosen)
    one = item(scores=scores)
    one.degraded.extend(degraded)
    [judgement] = Decider(structs.replace(POLICY, file=file))([one])
    assert (judgement.decision.action, judgement.decision.category) == expected
    assert list(judgement.decision.degraded) == degraded
