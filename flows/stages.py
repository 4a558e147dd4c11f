"""The stages of the moderation flow: models, rules, lists, policy, features."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.image_fetch import ImageFetcher
from connectors.local_features import LocalFeatureStore
from connectors.redis_features import RedisFeatureStore
from events.messages import Content, Judgement, Position
from flows.settings import BadSettingError, Settings
from models.fusion.fusion import FusionModel
from models.text.cascade import Cascade
from operators.decide import Decider, ReviewPicker
from operators.decode import ContentDecoder
from operators.enrich import AuthorCounter, Enricher, FeatureStore
from operators.fusion import Fuser
from operators.hash_match import HashMatcher
from operators.image_cache import PictureCache
from operators.image_hash import ImageHashMatcher
from operators.image_score import ImageScorer
from operators.item import Item, Stage
from operators.language import LanguageDetector
from operators.normalize import Normalizer
from operators.ocr import ImageTextReader
from operators.regex_match import RuleMatcher
from operators.text_score import TextScorer
from policy.hashlist import load_hashes
from policy.policy import load_policy
from policy.rules import load_rules

NamedStage = tuple[str, Stage]


class StageError(RuntimeError):
    """A stage that should score cannot."""


@dataclass(frozen=True)
class Stages:
    """Everything the flow is made of; `scoring` in the order in which an item meets it."""

    decoder: ContentDecoder
    enricher: Enricher
    scoring: tuple[NamedStage, ...]
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
        BadSettingError: an image prefix is none.
        FeatureStoreDownError: Redis does not answer.
        StageError: a model does not work.
    """
    policy = load_policy(settings.policy)
    rules = load_rules(settings.policy)
    hashes = load_hashes(settings.policy)
    store = feature_store(settings)
    text_model, fusion_model = Cascade.load(), FusionModel()
    pictures = PictureCache(_image_fetcher(settings))
    lists: list[NamedStage] = [("hash_match", HashMatcher(hashes))]
    picture_lists: list[NamedStage] = [("image_hash", ImageHashMatcher(hashes, pictures))]
    patterns: list[NamedStage] = [("regex_match", RuleMatcher(rules))]
    if not use_rules:
        lists, picture_lists, patterns = [], [], []
    text_way: list[NamedStage] = [
        ("normalize", Normalizer()),
        *patterns,
        ("text_score", TextScorer(text_model)),
    ]
    scoring: list[NamedStage] = [
        *lists,
        *picture_lists,
        *text_way,
        ("language", LanguageDetector()),
        ("image_score", ImageScorer(pictures)),
        ("ocr", ImageTextReader(pictures, [stage for _, stage in text_way])),
        ("fusion", Fuser(fusion_model)),
    ]
    versions = {model.name: model.version for model in text_model.models}
    stages = Stages(
        decoder=ContentDecoder(),
        enricher=Enricher(store),
        scoring=tuple(scoring),
        decider=Decider(
            policy,
            ruleset_version=rules.version,
            model_versions=versions | {fusion_model.name: fusion_model.version},
        ),
        author_counter=AuthorCounter(store),
        review_picker=ReviewPicker(policy),
    )
    _try_out(stages)
    return stages


def _try_out(stages: Stages) -> None:
    """Judge one text: what is broken shows before the first message, and the models are warm."""
    content = Content("probe", datetime.now(UTC), "probe", text="Is everything all right?")
    [judgement] = stages.judge([Item(content, Position(), time.time())])
    if judgement.decision.degraded:
        broken = ", ".join(judgement.decision.degraded)
        raise StageError(f"{broken} cannot score: the error is above; reinstall or retrain")


def _image_fetcher(settings: Settings) -> ImageFetcher | None:
    if not settings.image_uri_prefixes:
        return None
    try:
        return ImageFetcher(settings.image_uri_prefixes)
    except ValueError as error:
        raise BadSettingError(f"BREAKWATER_IMAGE_URI_PREFIXES: {error}") from None
