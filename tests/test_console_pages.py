"""What a moderator sees of an item: the text, what cannot be seen in it, whose answer it was."""

from __future__ import annotations

from typing import Any

import pytest
from console_samples import HOSTILE, POLICIES, appealed_item, at, desk_of, review_item, signal_at
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from console.data import WaitingItem
from console.marked_text import MAX_PIECES, Piece, pieces
from console.queue_page import history, item_card, likely_category, parse_key
from events.messages import Signal


class TestMarkedText:
    @pytest.mark.parametrize(
        ("text", "signals", "expected"),
        [
            ("", [], []),
            ("plain", [], [Piece("plain")]),
            ("a bad c", [signal_at((2, 5))], [Piece("a "), Piece("bad", ("r",)), Piece(" c")]),
            # two rules overlap: three pieces, the middle one seen by both
            (
                "abcd",
                [signal_at((0, 3)), signal_at((2, 4), rule="q")],
                [Piece("ab", ("r",)), Piece("c", ("r", "q")), Piece("d", ("q",))],
            ),
            ("ab", [signal_at((1, 99))], [Piece("a"), Piece("b", ("r",))]),  # past the end
            ("ab", [signal_at((2, 1))], [Piece("ab")]),  # backwards
            ("ab", [signal_at((0, 1), field="image:1")], [Piece("ab")]),  # of something else
            ("a\u202eb", [], [Piece("a"), Piece("U+202E", invisible=True), Piece("b")]),
            ("a\u200db", [], [Piece("a"), Piece("U+200D", invisible=True), Piece("b")]),
            ("\U0001f469\u200d\U0001f467", [], [Piece("\U0001f469\u200d\U0001f467")]),  # emoji
            ("a\u3164", [], [Piece("a"), Piece("U+3164", invisible=True)]),  # a Hangul filler
            ("\u2800", [], [Piece("U+2800", invisible=True)]),  # Braille without a dot
            ("a\nb\tc", [], [Piece("a\nb\tc")]),
        ],
    )
    def test_pieces(self, text: str, signals: list[Signal], expected: list[Piece]) -> None:
        assert pieces(text, signals) == expected

    @given(
        st.text(max_size=60),
        st.lists(st.tuples(st.integers(-5, 80), st.integers(-5, 80)), max_size=6),
    )
    def test_nothing_of_a_text_is_lost(self, text: str, spans: list[tuple[int, int]]) -> None:
        shown = pieces(text, [signal_at(*spans)])
        restored = "".join(
            chr(int(piece.text.replace("U+", "0x"), 0)) if piece.invisible else piece.text
            for piece in shown
        )
        assert restored == text

    def test_a_browser_is_not_buried_in_pieces(self) -> None:
        shown = pieces("a\u200b" * 30_000, [])
        assert len(shown) == MAX_PIECES + 1
        assert "\u200b" not in shown[-1].text


def words(part: Any) -> str:
    """What a component of the page says."""
    children = getattr(part, "children", part)
    parts = children if isinstance(children, list | tuple) else [children]
    return " ".join(p if isinstance(p, str) else words(p) for p in parts if p is not None)


class TestItemCard:
    @pytest.mark.parametrize(
        ("item", "said"),
        [
            (review_item("c1", images=2), "images 2 (not shown)"),
            (review_item("c1", text="", images=1), "no text"),
            (review_item("c\u202e1"), "c U+202E 1 · revision 0"),
        ],
    )
    def test_what_cannot_be_seen_is_said(self, item: WaitingItem, said: str) -> None:
        assert said in words(item_card(item, POLICIES))

    def test_what_its_author_says_is_shown_as_text(self) -> None:
        said = words(item_card(appealed_item("c1", statement="\u202e" + HOSTILE), POLICIES))
        assert "Its author says" in said
        assert "U+202E" in said
        assert HOSTILE in said
        assert "Its author says" not in words(item_card(review_item("c1"), POLICIES))

    def test_a_text_without_images_says_neither(self) -> None:
        said = words(item_card(review_item("c1"), POLICIES))
        assert "not shown" not in said
        assert "no text" not in said

    @pytest.mark.parametrize(
        ("what", "changes", "category", "said"),
        [
            (
                "an image that does not decode, where csam fails closed",
                {"category": "csam", "degraded": ("image_score",), "signals": ()},
                None,
                "unchecked could not be checked (image_score missing)",
            ),
            (
                "a stage was missing, and another one saw it",
                {"degraded": ("image_score",)},
                "spam",
                "spam the policy asks for a person",
            ),
            ("nothing was missing", {}, "spam", "spam the policy asks for a person"),
            ("a sample", {"category": ""}, None, "sample the policy asks"),
        ],
    )
    def test_nothing_speaks_for_a_category_that_nothing_saw(
        self, what: str, changes: dict[str, Any], category: str | None, said: str
    ) -> None:
        item = review_item("c1")
        decision = structs.replace(item.decision, **changes)
        item = structs.replace(item, decision=decision)
        assert likely_category(item) == category, what
        assert said in words(item_card(item, POLICIES)), what

    def test_just_answered_names_what_cannot_be_seen(self) -> None:
        desk, _, _ = desk_of("c\u202e1")
        at(desk, "ann")
        desk.answer("ann", ("c\u202e1", 0), "allow", "")
        assert "c U+202E 1" in words(history(desk.history("ann")))


@pytest.mark.parametrize(
    ("kept", "key"),
    [
        (["c1", 2], ("c1", 2)),
        (None, None),
        (["c1"], None),
        ([1, "c1"], None),
        ({"content_id": "c1"}, None),
    ],
)
def test_what_the_browser_sends_as_a_key_is_checked(kept: object, key: object) -> None:
    assert parse_key(kept) == key
