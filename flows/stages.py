"""The stages of the moderation flow: models, rules, lists, policy, features."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from connectors.image_fetch import ImageFetcher
from connectors.local_features import LocalFeatureStore
from connectors.redis_features import RedisFeatureStore
from connectors.redis_ledger import RedisLedger
from connectors.ruleset_store import (
    LocalRulesetStore,
    RedisRulesetStore,
    RulesetKind,
    RulesetStore,
)
from events.messages import Content, Position
from events.records import Judgement
from flows.guards import guarded, observe
from flows.live_policy import LivePolicy
from flows.live_rules import LiveRulebook
from flows.metrics import UNDECODABLE
from flows.settings import BadSettingError, Settings
from flows.shadow import load_shadow
from models.fusion.fusion import FusionModel
from models.image.classifier import ImageClassifier
from models.registry import Registry
from models.text.cascade import Cascade
from operators.breaker import Breaker
from operators.decide import Decider, Gravity, ReviewPicker, gravity_by
from operators.decode import ContentDecoder
from operators.enrich import AuthorCounter, Enricher, FeatureStore
from operators.fusion import Fuser
from operators.image_cache import PictureCache
from operators.image_hash import ImageHashMatcher
from operators.image_score import ImageScorer
from operators.item import Item, Stage
from operators.language import LanguageDetector
from operators.normalize import Normalizer
from operators.ocr import ImageTextJudge, ImageTextReader
from operators.quota import BlockQuota, LocalLedger
from operators.shadow import ShadowJudge
from operators.text_score import TextScorer
from policy.policies import Policies
from policy.policy import OcrMode, Policy

NamedStage = tuple[str, Stage]

_LISTS: Final = frozenset({"hash_match", "regex_match", "image_hash"})
"""The stages that go by rules and hash lists and not by models."""


class StageError(RuntimeError):
    """A stage that should score cannot."""


@dataclass(frozen=True)
class Stages:
    """Everything the flow is made of, in the order in which an item meets it."""

    policy: Callable[[], Policy]
    """The live one, now."""
    decoder: ContentDecoder
    enricher: Enricher
    reading: tuple[NamedStage, ...]
    """What goes by text and bytes."""
    seeing: tuple[NamedStage, ...]
    """What looks at images: slow, called in one thread only, and for items with images alone."""
    concluding: tuple[NamedStage, ...]
    decider: Decider
    shadow: ShadowJudge
    block_quota: BlockQuota
    author_counter: AuthorCounter
    review_picker: ReviewPicker
    gravity: Gravity

    @property
    def scoring(self) -> tuple[NamedStage, ...]:
        """The stages between enriching and deciding."""
        return (*self.reading, *self.seeing, *self.concluding)

    def judge(self, items: list[Item]) -> list[Judgement]:
        """Score and decide `items` here and now, without repeats dropped or authors counted."""
        for _, stage in self.scoring:
            items = stage(items)
        return self.decider(items)

    def at_once(self, items: list[Item]) -> list[Judgement]:
        """The quick answer on items that have been read and whose images have not been seen."""
        for _, stage in self.concluding:
            items = stage(items)
        return self.decider.at_once(items)


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


def live_store(settings: Settings, kind: RulesetKind) -> RulesetStore:
    """Where pushed versions are: Redis where it is set, else nowhere."""
    if settings.redis_url is None:
        return LocalRulesetStore()
    return RedisRulesetStore(settings.redis_url.get_secret_value(), kind)


def block_quota(settings: Settings, policy: LivePolicy, rulebook: LiveRulebook) -> BlockQuota:
    """The guardrails on automatic blocks, counted in Redis where it is set, else in memory."""
    url = settings.redis_url
    ledger = LocalLedger() if url is None else RedisLedger(url.get_secret_value())
    quota = BlockQuota({}, ledger, rule_quota=rulebook.rule_matcher.quota)

    def limit(policies: Policies) -> None:
        file = policies.live.file
        quotas = {name: category.quota for name, category in file.categories.items()}
        # The share of a stream's traffic tells of a fault; a file may be all violations.
        quota.limit(quotas, file.max_block_share if settings.kafka_brokers else 1.0)

    policy.hand_to(limit)
    return quota


def load_stages(
    settings: Settings, *, use_rules: bool = True, follow: bool = False, thorough: bool = False
) -> Stages:
    """Everything read and compiled; with `use_rules` false, models alone speak.

    `follow`: pushed rules and policies are taken over while the process runs, and pushes wait for
    it. `thorough`: evidence by the more expensive models too, for one content and not a stream.

    Raises:
        PolicyError: a policy, rule or hash file cannot be used.
        BadSettingError: an image prefix cannot be used.
        FeatureStoreDownError, RulesetStoreDownError: Redis does not answer.
        RegistryError, ModelError: a promoted model is not what its card says.
        StageError: a model does not work.
    """
    policy = LivePolicy(settings.policy, live_store(settings, "policy"))

    def live() -> Policy:
        return policy.current.live

    rulebook = LiveRulebook(
        settings.policy, live_store(settings, "rules"), allowed=policy.allowed_rules
    )
    store = feature_store(settings)
    registry = Registry(settings.models)
    text_model = Cascade.load(registry.current("text"))
    fusion_model = FusionModel(registry.current("fusion"))
    versions = {model.name: model.version for model in text_model.models}
    versions |= {fusion_model.name: fusion_model.version}

    def used(*stages: NamedStage) -> tuple[NamedStage, ...]:
        return tuple(stage for stage in stages if use_rules or stage[0] not in _LISTS)

    text_way = used(
        ("normalize", Normalizer()),
        ("regex_match", rulebook.rule_matcher),
        guarded("text_score", TextScorer(text_model, thorough=thorough)),
    )
    image_way = _image_way(settings, policy, rulebook, registry, keep_indexes=follow)
    fusion = guarded("fusion", Fuser(fusion_model))
    stages = Stages(
        policy=live,
        decoder=ContentDecoder(),
        enricher=Enricher(store),
        reading=(
            *used(("hash_match", rulebook.hash_matcher)),
            *text_way,
            ("language", LanguageDetector()),
        ),
        seeing=used(*image_way),
        concluding=(("image_text", ImageTextJudge([stage for _, stage in text_way])), fusion),
        decider=Decider(
            live(), ruleset_version=rulebook.rule_matcher.version, model_versions=versions
        ),
        shadow=load_shadow(settings, policy, rulebook, fusion[1], text_model, versions),
        block_quota=block_quota(settings, policy, rulebook),
        author_counter=AuthorCounter(store),
        review_picker=ReviewPicker(live()),
        gravity=gravity_by(live),
    )
    policy.hand_to(stages.decider.swap)
    policy.hand_to(stages.review_picker.swap)
    _try_out(stages)
    if follow:
        for breaker in (stage for _, stage in stages.scoring if isinstance(stage, Breaker)):
            observe(breaker)
    if follow and settings.redis_url is not None:
        rulebook.follow()
        policy.follow()
    return stages


def _image_way(
    settings: Settings,
    policy: LivePolicy,
    rulebook: LiveRulebook,
    registry: Registry,
    *,
    keep_indexes: bool,
) -> tuple[NamedStage, ...]:
    """The stages of images, which share their pictures.

    `keep_indexes`: on disk for all processes of a job; a command that judges one content leaves no
    files behind.
    """
    pictures = PictureCache(_image_fetcher(settings))
    indexes = settings.output / "hash_indexes" if keep_indexes else None
    known_pictures = ImageHashMatcher(rulebook.hashes, pictures, indexes)
    rulebook.on_hashes(known_pictures.swap)
    scorer = ImageScorer(
        pictures,
        partial(ImageClassifier, registry.current("image") / "card.json"),
        lambda reason: UNDECODABLE.labels(reason).inc(),
    )

    def ocr_mode(content: Content) -> OcrMode:
        return settings.ocr or policy.current.for_author(content.author_id).ocr

    return (
        guarded("image_hash", known_pictures),
        guarded("image_score", scorer),
        guarded("ocr", ImageTextReader(pictures, ocr_mode)),
    )


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
