"""The fast text model and its features: what they read, what they bound, what they explain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.text.fast import FastTextModel
from models.text.features import BUCKETS, KINDS, MAX_CHARACTERS, Features, featurise, locate
from models.text.model import MAX_CONTRIBUTIONS
from policy.taxonomy import TEXT_CATEGORIES

MODEL = FastTextModel()
ANY_TEXT = st.text(alphabet=st.characters(), max_size=60)

HOSTILE = {
    "empty": "",
    "spaces alone": " \t\n ",
    "a lone surrogate": "\ud800 hello \udfff",
    "only emoji": "\U0001f600" * 50,
    "only combining marks": "\u0301" * 500,
    "a right-to-left override": "\u202eolleh\u202c",
    "64 KiB of one letter": "a" * 65536,
    "no space in 64 KiB": "ab1!" * 16384,
    "nulls": "\0" * 10,
}


def features_of(features: Features, text: int, texts: int) -> list[list[int]]:
    """The buckets of each kind of one text of a batch."""
    found = features.buckets[1:]
    segments = [kind * texts + text for kind in range(len(KINDS))]
    return [found[features.bounds[s] : features.bounds[s + 1]].tolist() for s in segments]


class TestFeatures:
    @pytest.mark.parametrize(
        ("one", "two"),
        [
            ("Hello", "hELLO"),  # case
            ("one  two", "one, two."),  # spaces and punctuation between words
            ("don't", "dont"),  # apostrophes
            ("zero\u200bwidth", "zerowidth"),  # invisible characters
            ("red\ufe0f heart", "red heart"),  # variation selectors
        ],
    )
    def test_alike(self, one: str, two: str) -> None:
        assert features_of(featurise([one]), 0, 1) == features_of(featurise([two]), 0, 1)

    @pytest.mark.parametrize(
        ("text", "counts"),
        [
            ("", [0, 0, 0, 0, 0]),
            ("a", [1, 0, 1, 0, 0]),  # " a "
            ("cat", [1, 0, 3, 2, 1]),  # " ca", "cat", "at "; " cat", "cat "; " cat "
            ("cat cat", [1, 1, 3, 2, 1]),  # a repeated word counts once, its pair stays
            ("no no no no", [1, 1, 2, 1, 0]),  # and so does a repeated pair
            ("haha" * 4, [1, 0, 4, 4, 4]),  # and what a long word repeats
            ("a b c", [3, 2, 3, 0, 0]),  # n-grams do not reach over a word
            ("hi!", [2, 1, 3, 2, 1]),  # a symbol is a word by itself
        ],
    )
    def test_counts_by_kind(self, text: str, counts: list[int]) -> None:
        assert np.diff(featurise([text]).bounds).tolist() == counts

    @settings(max_examples=60)
    @given(st.lists(ANY_TEXT, min_size=1, max_size=6))
    def test_a_texts_features_do_not_hang_on_its_batch(self, texts: list[str]) -> None:
        together = featurise(texts)
        for number, text in enumerate(texts):
            alone = features_of(featurise([text]), 0, 1)
            assert features_of(together, number, len(texts)) == alone

    @settings(max_examples=60)
    @given(ANY_TEXT)
    def test_buckets_and_spans_are_in_bounds(self, text: str) -> None:
        located = locate(["before", text, "after"])
        features, words, spans = located.features, located.words, located.spans
        assert features.buckets[0] == 0
        assert ((features.buckets >= 0) & (features.buckets < BUCKETS)).all()
        assert len(words) == len(features.buckets) - 1
        assert not len(words) or words.max() < len(spans)
        assert ((spans[:, 0] >= 0) & (spans[:, 0] < spans[:, 1])).all()
        lengths = np.array([len("before"), len(text), len("after")])
        assert (spans[:, 1] <= lengths[located.owners]).all()

    def test_spans_are_words(self) -> None:
        text = "You don't  know \U0001f642 h\u00e9!"
        spans = locate([text]).spans
        assert [text[start:end] for start, end in spans] == [
            "You",
            "don't",
            "know",
            "\U0001f642",
            "h\u00e9",
            "!",
        ]


class TestModel:
    def test_knows_the_categories_in_order(self) -> None:
        assert MODEL.categories == TEXT_CATEGORIES
        assert MODEL.name == "text-fast"
        assert MODEL.version

    @pytest.mark.parametrize("count", [0, 1, 2, 1000, 1025])
    def test_a_row_of_probabilities_for_each_text(self, count: int) -> None:
        scores = MODEL.predict(["see you tomorrow at the station"] * count)
        assert scores.shape == (count, len(TEXT_CATEGORIES))
        assert scores.dtype == np.float32
        assert ((scores >= 0) & (scores <= 1)).all()
        assert len(np.unique(scores, axis=0)) <= 1, "equal texts score equally at every place"

    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
    def test_any_string_has_a_score(self, text: str) -> None:
        alone = MODEL.predict([text])
        assert np.isfinite(alone).all()
        among = MODEL.predict(["hello there", text, "bye"])
        assert np.array_equal(among[1], alone[0])
        MODEL.attribute([text], ["spam"])

    @pytest.mark.parametrize(
        ("text", "category"),
        [
            ("you are a stupid worthless idiot", "harassment"),
            ("shut the fuck up you pathetic moron", "harassment"),
            ("i will kill you tonight", "threat"),
            ("WINNER!! You have won a free prize, call 09061701461 to claim now", "spam"),
            ("subscribe to my channel and check out my new video http://bit.ly/x", "spam"),
        ],
    )
    def test_plain_violations(self, text: str, category: str) -> None:
        scores = dict(zip(TEXT_CATEGORIES, MODEL.predict([text])[0].tolist(), strict=True))
        assert scores[category] > 0.5, scores

    @pytest.mark.parametrize(
        "text",
        [
            "see you at the station tomorrow, bring the tickets",
            "has anyone finished the reading for monday",
            "the mosque on our street has a new library",
            "thanks, that fixed my build",
            "happy birthday! hope you have a great day",
        ],
    )
    def test_everyday_talk_scores_low(self, text: str) -> None:
        assert MODEL.predict([text]).max() < 0.2

    @pytest.mark.parametrize(
        "text",
        ["?" * 10, "\U0001f602" * 25, "lol " * 25, "haha " * 60, "ha" * 200, "1" * 5000],
        ids=lambda text: f"{len(text)} of {text[:3]}",
    )
    def test_saying_it_again_makes_nothing_a_violation(self, text: str) -> None:
        assert MODEL.predict([text]).max() < 0.5

    @pytest.mark.parametrize(
        "text",
        [
            "my brother is gay and he is visiting us next week",
            "I am a proud Muslim woman",
            "we hired two disabled engineers last month",
            "lesbian couple adopts puppy",
        ],
    )
    def test_naming_a_group_is_no_violation(self, text: str) -> None:
        assert MODEL.predict([text]).max() < 0.5

    def test_of_a_long_text_the_worst_part_counts(self) -> None:
        quiet = "we walked along the river and had lunch in the garden. " * 60
        insult = "you are a stupid worthless idiot, shut up. " * 20
        buried = quiet + insult + quiet
        assert len(buried) > 3 * MAX_CHARACTERS
        column = TEXT_CATEGORIES.index("harassment")
        quiet_score, buried_score = MODEL.predict([quiet, buried])[:, column]
        assert quiet_score < 0.2
        assert buried_score > 0.5

    def test_attribution_names_the_words(self) -> None:
        text = "well I think you are an IDIOT, see you tomorrow"
        (spans,) = MODEL.attribute([text], ["harassment"])
        start, end, added = spans[0]
        assert text[start:end] == "IDIOT"
        assert added > 0
        contributions = [contribution for _, _, contribution in spans]
        assert contributions == sorted(contributions, reverse=True)

    def test_attribution_finds_its_place_in_a_long_text(self) -> None:
        quiet = "we walked along the river and had lunch in the garden. " * 60
        text = quiet + "you stupid idiot, you are an idiot, idiot. " * 10 + quiet
        start, end, _ = MODEL.attribute([text], ["harassment"])[0][0]
        assert text[start:end] == "idiot"

    def test_an_unknown_category_is_refused(self) -> None:
        with pytest.raises(ValueError, match="not in tuple"):
            MODEL.attribute(["hello"], ["csam"])

    def test_each_text_of_a_batch_is_explained_as_if_alone(self) -> None:
        texts = [
            "you are an idiot",
            "",
            "!!",
            "win a free prize now, click http://x",
            "🔪 you idiot",
        ]
        texts += ["lunch by the river. " * 100 + "you stupid idiot"]
        categories = ["harassment", "spam", "hate", "spam", "harassment", "harassment"]
        together = MODEL.attribute(texts, categories)
        for text, category, found in zip(texts, categories, together, strict=True):
            (alone,) = MODEL.attribute([text], [category])
            assert [span[:2] for span in found] == [span[:2] for span in alone]
            assert len(found) <= MAX_CONTRIBUTIONS
        assert together[1] == []

    def test_no_texts_have_no_evidence(self) -> None:
        assert MODEL.attribute([], []) == []
