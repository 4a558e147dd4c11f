"""Fusion: what speaks for a category counts, what is missing does not, and rules act at once."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.operators import flat_map_batch
from bytewax.operators import input as take
from bytewax.operators import output as give
from bytewax.testing import TestingSink, TestingSource, run_main
from numpy.typing import NDArray

from events.messages import Evidence, Signal
from events.records import AuthorFeatures
from models.fusion.fusion import FEATURES, FusionModel
from operators.fusion import Fuser, feature_matrix, without_fusion
from operators.item import Item
from operators.normalize import Normalizer
from policy.taxonomy import CATEGORIES, TEXT_CATEGORIES
from tests.builders import AT, item

MODEL = FusionModel()


class Broken:
    """A fusion model that fails."""

    name, version = "broken", "1"

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        raise RuntimeError("out of order")


def scored(text_scores: dict[str, float], *signals: Signal, **fields: Any) -> Item:
    made = item(text="some words", **fields)
    made.text_scores = dict.fromkeys(TEXT_CATEGORIES, 0.02) | text_scores if text_scores else {}
    made.signals += signals
    return made


def rule(category: str, score: float, stage: str = "rules") -> Signal:
    return Signal(stage, "r1", category, score, (Evidence("text", 0, 4),))


def column(name: str) -> int:
    return FEATURES.index(name)


class TestFeatures:
    def test_what_stands_where(self) -> None:
        one = scored(
            {"hate": 0.7},
            rule("spam", 0.6),
            rule("spam", 0.9),
            rule("threat", 1.0, stage="hash"),
            rule("sexual", 0.8, stage="image"),
            rule("", 0.5, stage="normalize"),
            author_created_at=AT - timedelta(days=9),
        )
        one.author = AuthorFeatures(decisions=10, violations=3)
        (row,) = feature_matrix([one])
        expected = {
            "text_hate": 0.7,
            "rule_spam": 0.9,  # the strongest of two
            "rule_hate": 0.0,
            "hash_threat": 1.0,
            "image_sexual": 0.8,
            "signals": 3,  # rules and hashes; images and normalizing count elsewhere
            "account_age": np.log1p(9),
            "decisions": np.log1p(10),
            "violations": np.log1p(3),
        }
        for name, value in expected.items():
            assert row[column(name)] == pytest.approx(value), name

    def test_the_unknown_is_nan_not_zero(self) -> None:
        (row,) = feature_matrix([scored({})])
        for name in ("text_hate", "image_sexual", "account_age"):
            assert np.isnan(row[column(name)]), name
        assert row[column("violations")] == 0

    def test_an_account_from_the_future_has_age_zero(self) -> None:
        (row,) = feature_matrix([scored({}, author_created_at=AT + timedelta(days=3))])
        assert row[column("account_age")] == 0

    def test_obfuscation_is_read_from_the_normalized_text(self) -> None:
        (one,) = Normalizer()([item(text="fr\u200bee m\u0430ney")])
        (row,) = feature_matrix([one])
        assert row[column("invisible")] > 0
        assert row[column("changed")] > 0


class TestModel:
    @pytest.mark.parametrize("count", [0, 1, 2, 1000])
    def test_a_row_for_each(self, count: int) -> None:
        fused = MODEL.predict(feature_matrix([scored({"hate": 0.5}) for _ in range(count)]))
        assert fused.shape == (count, len(TEXT_CATEGORIES))
        assert ((fused >= 0) & (fused <= 1)).all()

    @pytest.mark.parametrize("category", TEXT_CATEGORIES)
    def test_text_alone_stays_trustworthy(self, category: str) -> None:
        levels = [0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99]
        fused = MODEL.predict(feature_matrix([scored({category: level}) for level in levels]))
        assert np.abs(fused[:, TEXT_CATEGORIES.index(category)] - levels).max() < 0.25

    @pytest.mark.parametrize("category", TEXT_CATEGORIES)
    @pytest.mark.parametrize("kind", ["text", "rule", "hash"])
    def test_evidence_never_lowers_its_category(self, category: str, kind: str) -> None:
        rows = feature_matrix([scored({category: 0.3}) for _ in range(21)])
        rows[:, column(f"{kind}_{category}")] = np.linspace(0, 1, 21)
        fused = MODEL.predict(rows)[:, TEXT_CATEGORIES.index(category)]
        assert (np.diff(fused) >= -1e-6).all()

    def test_a_history_of_violations_never_lowers_a_score_and_never_condemns_alone(self) -> None:
        quiet = feature_matrix([scored({"harassment": 0.02}) for _ in range(5)])
        doubtful = feature_matrix([scored({"harassment": 0.5}) for _ in range(5)])
        for rows in (quiet, doubtful):
            rows[:, column("decisions")] = np.log1p(40)
            rows[:, column("violations")] = np.log1p([0, 2, 5, 10, 30])
        harassment = TEXT_CATEGORIES.index("harassment")
        assert (np.diff(MODEL.predict(doubtful)[:, harassment]) >= -1e-6).all()
        assert MODEL.predict(quiet)[:, harassment].max() < 0.45


class TestFuser:
    @pytest.mark.parametrize("count", [0, 1, 2, 1000])
    def test_every_category_has_a_score(self, count: int) -> None:
        items = Fuser(MODEL)([scored({"spam": 0.6}) for _ in range(count)])
        assert len(items) == count
        for one in items:
            assert tuple(one.scores) == CATEGORIES
            assert one.outputs[-1].model == "fusion"
            assert one.outputs[-1].version == MODEL.version

    @pytest.mark.parametrize(
        ("signal", "category", "score"),
        [
            (rule("spam", 0.97), "spam", 0.97),  # a category of the model
            (rule("self_harm", 0.8), "self_harm", 0.8),  # a category that only rules know
            (rule("csam", 1.0, stage="hash"), "csam", 1.0),
            (rule("sexual", 0.93, stage="image"), "sexual", 0.93),
        ],
    )
    def test_a_direct_signal_acts_at_once(
        self, signal: Signal, category: str, score: float
    ) -> None:
        (one,) = Fuser(MODEL)([scored({"spam": 0.02}, signal)])
        assert one.scores[category] >= score

    def test_signals_of_the_text_model_act_through_fusion_only(self) -> None:
        (one,) = Fuser(MODEL)([scored({}, rule("self_harm", 0.9, stage="text-fast"))])
        assert one.scores["self_harm"] == 0.0

    @pytest.mark.parametrize(
        ("missing", "text_scores", "by_the_rule"),
        [
            ([], {"hate": 0.02}, False),  # the models read the text and weigh the hint
            (["hash"], {"hate": 0.02}, False),
            (["text_score"], {}, True),  # nobody has read it
            (["text_language"], {"hate": 0.02}, True),  # nobody who knows the language
            ([], {}, True),
        ],
    )
    def test_a_hint_is_weighed_by_who_has_read_the_text(
        self, missing: list[str], text_scores: dict[str, float], by_the_rule: bool
    ) -> None:
        one = scored(text_scores, rule("hate", 0.8))
        one.hints = ("r1",)
        one.degraded += missing
        Fuser(MODEL)([one])
        assert (one.scores["hate"] >= 0.8) == by_the_rule

    def test_without_fusion_a_hint_counts_like_any_rule(self) -> None:
        one = scored({"hate": 0.02}, rule("hate", 0.8))
        one.hints = ("r1",)
        without_fusion([one])
        assert one.scores["hate"] == 0.8

    def test_a_hint_takes_nothing_from_a_verdict(self) -> None:
        verdict = Signal("rules", "r2", "hate", 0.7, (Evidence("text", 0, 4),))
        one = scored({"hate": 0.02}, rule("hate", 0.8), verdict)
        one.hints = ("r1",)
        Fuser(MODEL)([one])
        assert 0.7 <= one.scores["hate"] < 0.8

    def test_a_category_nobody_knows_is_no_score(self) -> None:
        (one,) = Fuser(MODEL)([scored({}, rule("made_up", 1.0))])
        assert tuple(one.scores) == CATEGORIES

    def test_without_text_nothing_is_suspected(self) -> None:
        (one,) = Fuser(MODEL)([scored({})])
        assert max(one.scores.values()) < 0.2

    def test_what_the_model_fails_with_is_raised(self) -> None:
        with pytest.raises(RuntimeError, match="out of order"):
            Fuser(Broken())([scored({"hate": 0.7})])

    def test_without_it_text_and_signals_decide(self) -> None:
        (one,) = without_fusion([scored({"hate": 0.7}, rule("hate", 0.6), rule("csam", 1.0))])
        assert (one.scores["hate"], one.scores["csam"]) == (0.7, 1.0)
        assert one.outputs == []

    @pytest.mark.parametrize("batch", [1, 2, 1000])
    def test_batch_edges_change_nothing(self, batch: int) -> None:
        levels = [0.1, 0.9, 0.4]
        out: list[Item] = []
        flow = Dataflow("fuses")
        source = TestingSource([scored({"hate": level}) for level in levels], batch_size=batch)
        give(
            "out", flat_map_batch("fuse", take("in", flow, source), Fuser(MODEL)), TestingSink(out)
        )
        run_main(flow)  # type: ignore[no-untyped-call]  # bytewax.testing is not typed
        together = Fuser(MODEL)([scored({"hate": level}) for level in levels])
        assert [one.scores for one in out] == [one.scores for one in together]
