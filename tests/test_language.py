"""Which language a text is in, and what is said when the text models do not cover it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from bytewax.dataflow import Dataflow
from bytewax.operators import flat_map_batch as op_flat_map_batch
from bytewax.operators import input as op_input
from bytewax.operators import output as op_output
from bytewax.testing import TestingSink, TestingSource, run_main
from hypothesis import given
from hypothesis import strategies as st

from events.messages import Content, Position
from operators.item import Item
from operators.language import LanguageDetector

DETECTOR = LanguageDetector()

CASES = [
    ("This is what I would have said about the game", "", "en"),
    ("Die Muslime in meiner Straße haben einen Laden eröffnet", "", "de"),
    ("tous les voisins sont venus à la fête hier soir", "", "fr"),
    ("вчера вечером все соседи пришли к нам на день рождения", "", "ru"),
    ("我们昨天去了公园", "", "zh"),  # few letters, but of another script
    ("Polacy to bardzo mili ludzie i sąsiedzi", "", "pl"),  # words that look English
    ("hola", "es", "es"),  # too short to tell: as declared
    ("hola", "es-MX", "es"),
    ("hola", "", ""),  # too short, and nothing declared
    ("hola", "es_MX", "es"),
    ("hola", "spa", "es"),
    ("lol", "en_US", "en"),
    ("lol", "ENG", "en"),
    ("lol", "pcm-NG", "pcm"),
    ("lol", "English", ""),  # no code
    ("lol", "und", ""),  # a code that says nothing
    ("lol", "x-klingon", ""),
    ("this is an English sentence that you would know", "fr", "en"),  # the writing decides
    ("", "", ""),
    ("😀😀 123 !!", "", ""),  # no letters
]


def _item(text: str, language: str = "") -> Item:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return Item(Content("c", now, "a", text=text or "-", language=language), Position(), 0.0)


@pytest.mark.parametrize(("text", "declared", "code"), CASES)
def test_the_language_is_detected_from_the_writing(text: str, declared: str, code: str) -> None:
    assert DETECTOR.detect(text, declared)[0] == code


def test_an_uncovered_language_is_told_by_a_signal_and_as_degraded() -> None:
    (item,) = DETECTOR([_item("tous les voisins sont venus à la fête hier soir")])
    (signal,) = item.signals
    assert (signal.stage, signal.rule, signal.category) == ("language", "language.fr", "")
    assert item.degraded == ["text_language"]


def test_english_and_unknown_texts_pass_untouched() -> None:
    for item in DETECTOR([_item("you know that they are here"), _item("lol"), _item("-")]):
        assert not item.signals
        assert not item.degraded


@given(st.text(st.characters(codec=None), max_size=200), st.text(max_size=5))
def test_any_string_gets_an_answer(text: str, declared: str) -> None:
    _, score = DETECTOR.detect(text, declared)
    assert 0 <= score <= 1


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_the_stage_runs_in_a_flow(batch_size: int) -> None:
    items = [_item(text) for text, _, _ in CASES] * 20
    seen: list[Item] = []
    flow = Dataflow("test")
    stream = op_input("in", flow, TestingSource(items, batch_size=batch_size))
    op_output("out", op_flat_map_batch("language", stream, DETECTOR), TestingSink(seen))
    run_main(flow)
    assert len(seen) == len(items)
    assert sum("text_language" in item.degraded for item in seen) == 5 * 20
