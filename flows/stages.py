"""The stages of the moderation flow, loaded from settings: models, rules, lists, policy, features."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.local_features import LocalFeatureStore
from connectors.redis_features import RedisFeatureStore
from flows.settings import Settings
from models.fusion.fusion import FusionModel
from models.text.fast import FastTextModel
from operators.decide import Decider, ReviewPicker
from operators.decode import ContentDecoder
from operators.enrich import AuthorCounter, Enricher, FeatureStore
from operators.fusion import Fuser
from operators.hash_match import HashMatcher
from operators.normalize import Normalizer
from operators.regex_match import RuleMatcher
from operators.text_score import TextScorer
from policy.hashlist import load_hashes
from policy.policy import load_policy
from policy.rules import load_rules


@dataclass(frozen=True)
class Stages:
    """One of each, in the order a message meets them."""

    decoder: ContentDecoder
    enricher: Enricher
    hash_matcher: HashMatcher
    normalizer: Normalizer
    rule_matcher: RuleMatcher
    text_scorer: TextScorer
    fuser: Fuser
    decider: Decider
    author_counter: AuthorCounter
    review_picker: ReviewPicker


def feature_store(settings: Settings) -> FeatureStore:
    """Redis where it is set, else memory."""
    if settings.redis_url is None:
        return LocalFeatureStore()
    return RedisFeatureStore(settings.redis_url.get_secret_value())


def load_stages(settings: Settings, *, use_rules: bool = True) -> Stages:
    """Everything read and compiled; with `use_rules` false, models alone speak.

    Raises:
        PolicyError: a policy, rule or hash file cannot be used.
    """
    policy = load_policy(settings.policy)
    rules = load_rules(settings.policy / "rules")
    hashes = load_hashes(settings.policy / "hashes")
    store = feature_store(settings)
    text_model, fusion_model = FastTextModel(), FusionModel()
    return Stages(
        decoder=ContentDecoder(),
        enricher=Enricher(store),
        hash_matcher=HashMatcher(hashes),
        normalizer=Normalizer(),
        rule_matcher=RuleMatcher(rules),
        text_scorer=TextScorer(text_model),
        fuser=Fuser(fusion_model),
        decider=Decider(
            policy,
            ruleset_version=rules.version,
            model_versions={
                text_model.name: text_model.version,
                fusion_model.name: fusion_model.version,
            },
            review_rules=frozenset(rule.id for rule in rules.rules if rule.action == "review"),
        ),
        author_counter=AuthorCounter(store),
        review_picker=ReviewPicker(policy),
    )
