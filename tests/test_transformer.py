"""The transformer's runtime: any string has scores, long texts are read in bounded pieces."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.model import MAX_CONTRIBUTIONS
from models.text.transformer import BUILT_IN, MAX_CHUNKS, ModelError, TransformerModel, readable
from operators.normalize import normalize
from policy.taxonomy import TEXT_CATEGORIES

INSULT = "you are a worthless idiot and a liar"
KIND = "thank you so much, this was a lovely evening"


@pytest.fixture(scope="module")
def model() -> TransformerModel:
    return TransformerModel()


@cache
def _student() -> TransformerModel:
    return TransformerModel(BUILT_IN.with_name("student"))


def test_it_scores_the_categories_of_text(model: TransformerModel) -> None:
    assert model.categories == TEXT_CATEGORIES
    assert model.version


def test_an_insult_scores_above_a_kindness(model: TransformerModel) -> None:
    insult, kind = model.predict([INSULT, KIND])[:, TEXT_CATEGORIES.index("harassment")]
    assert insult > 0.5 > kind


@pytest.mark.parametrize(
    "text",
    ["", " ", "\ud800 lone", "😀" * 50, "\u0301" * 50, "\u202etxet", "a" * 65536, "a b " * 16384],
)
def test_any_string_has_scores(model: TransformerModel, text: str) -> None:
    for variant in (text, normalize([text])[0].text):
        scores = model.predict([variant])
        assert scores.shape == (1, len(TEXT_CATEGORIES))
        assert ((scores >= 0) & (scores <= 1)).all()


def test_no_texts_have_no_scores(model: TransformerModel) -> None:
    assert model.predict([]).shape == (0, len(TEXT_CATEGORIES))


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_order_is_kept_in_batches_of_any_size(model: TransformerModel, size: int) -> None:
    texts = [INSULT, KIND, "hm", KIND + " " + KIND] * 8
    parts = [model.predict(texts[at : at + size]) for at in range(0, len(texts), size)]
    np.testing.assert_allclose(np.concatenate(parts), model.predict(texts), atol=1e-5)


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_plain_ascii_is_read_as_by_the_tokenizers_own_normalizer(text: str) -> None:
    # The end of a line sends a text the long way, where it counts for nothing.
    short_way, long_way = _student().predict([text, text + "\n"])
    np.testing.assert_array_equal(short_way, long_way)


@pytest.mark.parametrize("token", ["[SEP]", "[PAD]", "[MASK]", "[CLS]", "[UNK]"])
def test_nobody_writes_a_special_token(token: str) -> None:
    written, apart = _student().predict([f"{INSULT} {token}", f"{INSULT} [ {token[1:-1]} ]"])
    np.testing.assert_array_equal(written, apart)


@pytest.mark.parametrize("part", ["student", "minilm"])
def test_a_score_does_not_hang_on_the_neighbours(part: str) -> None:
    model = TransformerModel(BUILT_IN.with_name(part))
    shouted = "!!! WTF " * 40
    texts = [INSULT, KIND, shouted, "hm", "日本語", KIND + " " + INSULT]
    alone = np.concatenate([model.predict([text]) for text in texts])
    np.testing.assert_allclose(model.predict(texts), alone, atol=1e-5)


def test_the_worst_piece_of_a_long_text_counts(model: TransformerModel) -> None:
    column = TEXT_CATEGORIES.index("harassment")
    long = " ".join([KIND] * 12 + [INSULT] * 3 + [KIND] * 12)
    assert model.predict([long])[0, column] > 0.5


@pytest.mark.parametrize("words", [1, 60, 66, 67, 500, 20000])
def test_a_text_is_read_in_a_bounded_number_of_pieces(model: TransformerModel, words: int) -> None:
    ids = list(range(1000, 1000 + words))
    pieces = model._pieces(ids)
    assert 1 <= len(pieces) <= MAX_CHUNKS
    assert pieces[0][1] == ids[0]
    assert pieces[-1][-2] == ids[-1]


def test_evidence_names_the_words_that_count(model: TransformerModel) -> None:
    text = "the weather is nice and " + INSULT
    (spans,) = model.attribute([text], ["harassment"])
    assert 0 < sum(share for _, _, share in spans) <= 1 + 1e-6
    assert text[slice(*spans[0][:2])] in INSULT.split()


def test_evidence_of_a_long_text_is_bounded(model: TransformerModel) -> None:
    text = " ".join([INSULT] * 200)
    (spans,) = model.attribute([text], ["harassment"])
    assert len(spans) <= MAX_CONTRIBUTIONS
    assert all(0 <= start < end <= len(text) for start, end, _ in spans)


def test_emoji_are_spelled_out() -> None:
    assert readable("a 🔪 b") == "a  hocho  b"
    assert readable("plain") == "plain"


def test_a_missing_artefact_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=str(tmp_path)):
        TransformerModel(tmp_path)
