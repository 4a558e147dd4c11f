"""The stages of the moderation flow: models, rules, lists, policy, features."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.local_features import LocalFeatureStore
from connectors.redis_features import RedisFeatureStore
from events.messages import Judgement
from flows.settings import Settings
from models.fusion.fusion import FusionModel
from models.text.fast import FastTextModel
from operators.decide import Decider, ReviewPicker
from operators.decode import ContentDecoder
from operators.enrich import AuthorCounter, Enricher, FeatureStore
from operators.fusion import Fuser
from operators.hash_match import HashMatcher
from operators.item import Item, Stage
from operators.normalize import Normalizer
from operators.regex_match import RuleMatcher
from operators.text_score import TextScorer
from policy.hashlist import load_hashes
from policy.policy import load_policy
from policy.rules import load_rules


@dataclass(frozen=True)
class Stages:
    """Everything the flow is made of; `scoring` in the order in which an item meets it."""

    decoder: ContentDecoder
    enricher: Enricher
    scoring: tuple[tuple[str, Stage], ...]
    decider: Decider
    author_counter: AuthorCounter
    review_picker: ReviewPicker

    def judge(self, items: list[Item]) -> list[Judgement]:
        """Score and decide `items` here and now, without repeats dropped or authors counted."""
        for _, stage in self.scoring:
            items = stage(items)
        return self.decider(items)


def feature_store(settings: Settings) -> FeatureStore:
    """Redis where it is set, else memory.

    Raises:
        FeatureStoreDownError: Redis does not answer.
    """
    if settings.redis_url is None:
        return LocalFeatureStore()
    store = RedisFeatureStore(settings.redis_url.get_secret_value())
    store.ping()
    return store


def load_stages(settings: Settings, *, use_rules: bool = True) -> Stages:
    """Everything read and compiled; with `use_rules` false, models alone speak.

    Raises:
        PolicyError: a policy, rule or hash file cannot be used.
        FeatureStoreDownError: Redis does not answer.
    """
    policy = load_policy(settings.policy)
    rules = load_rules(settings.policy)
    hashes = load_hashes(settings.policy)
    store = feature_store(settings)
    text_model, fusion_model = FastTextModel(), FusionModel()
    scoring: list[tuple[str, Stage]] = [
        ("hash_match", HashMatcher(hashes)),
        ("normalize", Normalizer()),
        ("regex_match", RuleMatcher(rules)),
        ("text_score", TextScorer(text_model)),
        ("fusion", Fuser(fusion_model)),
    ]
    if not use_rules:
        scoring = [stage for stage in scoring if stage[0] not in ("hash_match", "regex_match")]
    return Stages(
        decoder=ContentDecoder(),
        enricher=Enricher(store),
        scoring=tuple(scoring),
        decider=Decider(
            policy,
            ruleset_version=rules.version,
            model_versions={
                text_model.name: text_model.version,
                fusion_model.name: fusion_model.version,
            },
        ),
        author_counter=AuthorCounter(store),
        review_picker=ReviewPicker(policy),
    )
