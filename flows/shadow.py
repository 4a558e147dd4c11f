"""What is in shadow beside the live stages: a policy and rules, as pushed, and a text model."""

from __future__ import annotations

from flows.guards import guarded
from flows.live_policy import LivePolicy
from flows.live_rules import LiveRulebook
from flows.settings import Settings
from models.registry import verify
from models.text.cascade import PARTS, Cascade
from operators.decide import Decider
from operators.item import Stage
from operators.normalize import Normalizer
from operators.ocr import ImageTextJudge
from operators.shadow import ShadowJudge
from operators.text_score import TextScorer


def load_shadow(
    settings: Settings,
    policy: LivePolicy,
    rulebook: LiveRulebook,
    fuse: Stage,
    live: Cascade,
    model_versions: dict[str, str],
) -> ShadowJudge:
    """The judge of what is in shadow now and later.

    `fuse` is live fusion, `live` the live text models, `model_versions` those of all live models.

    Raises:
        RegistryError, ModelError: the text model in shadow is not what its card says.
    """
    scorer: Stage | None = None
    live_names = [model.name for model in live.models]
    if settings.shadow_model is not None:
        verify(settings.shadow_model, parts=PARTS)
        shadow = Cascade.load(settings.shadow_model)
        scorer = text_scorer(shadow)
        model_versions = model_versions | {model.name: model.version for model in shadow.models}
    decider = Decider(
        policy.current.live,
        ruleset_version=rulebook.rule_matcher.version,
        model_versions=model_versions,
        mode="shadow",
    )
    judge = ShadowJudge(
        decider,
        policy.current,
        fuse,
        lambda: rulebook.rule_matcher.current.rules,
        scorer,
        live_names,
    )
    policy.hand_to(judge.swap)
    return judge


def text_scorer(model: Cascade) -> Stage:
    """The stage that scores contents, and what is written in their images, by `model`."""
    _, score = guarded("text_score", TextScorer(model))
    images = ImageTextJudge([Normalizer(), score])
    return lambda items: images(score(items))
