"""The console: the right item to the right person, answers that arrive, and nothing that runs."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import pytest
from browser import Seen, browser, keep_screenshot, requires_chromium
from clickhouse_connect.driver.client import Client
from clickhouse_samples import AT, blocked, judgement
from clickhouse_server import clickhouse_server, free_port
from dash import Dash
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from connectors.clickhouse import ClickHouseWriter, connect
from connectors.ruleset_store import LocalRulesetStore, StoredRuleset
from console.app import build_app
from console.appeals import closed
from console.data import SECOND_ANSWERS, Overview, WaitingItem, answers_wanted
from console.desk import FRESH_S, LEASE_S, AnswerError, Desk, SubmitError
from console.marked_text import MAX_PIECES, Piece, pieces
from console.queue_page import history, item_card, parse_key
from console.store import ClickHouseStore
from events.messages import (
    Alert,
    AlertKey,
    Appeal,
    Evidence,
    Image,
    Judgement,
    Label,
    LabelSource,
    Signal,
)
from flows.live_policy import LivePolicy
from policy.policies import Policies
from policy.policy import BUILT_IN, load_policy

POLICY = load_policy()
POLICIES = Policies(POLICY)
expect.set_options(timeout=60_000)
ONCE, TWICE = (
    next(f"c{n}" for n in range(100) if answers_wanted((f"c{n}", 0)) == wanted) for wanted in (1, 2)
)
HOSTILE = "</p><script>window.hacked=1</script><img src=x onerror='window.hacked=2'>"


def waiting(
    content_id: str, category: str = "spam", score: float = 0.5, **changes: Any
) -> Judgement:
    """A decision that a person should look at."""
    made: dict[str, Any] = {
        "action": "review",
        "scores": {category: score, "spam": 0.2} | {category: score},
        "signals": (Signal("text_score", "text-fast", category, score),),
    }
    return blocked(content_id, category, **(made | changes))


def review_item(content_id: str, text: str = "hello", images: int = 0) -> WaitingItem:
    decision = waiting(content_id).decision
    return WaitingItem(decision=decision, text=text, priority=1.0, reason="policy", images=images)


def appeal(content_id: str, appeal_id: str = "a1", **changes: Any) -> Appeal:
    """What the author of a content says against the decision on it."""
    made: dict[str, Any] = {"user_id": "author", "statement": "it was a joke", "appealed_at": AT}
    return Appeal(appeal_id=appeal_id, content_id=content_id, **(made | changes))


def appealed_item(content_id: str, **changes: Any) -> WaitingItem:
    return structs.replace(
        review_item(content_id), reason="appeal", appeal=appeal(content_id, **changes)
    )


class Shelf:
    """A store of given items, in order; what is labelled is taken off by the test."""

    def __init__(self, *ids: str) -> None:
        self.items = [review_item(content_id) for content_id in ids]

    def waiting(self, limit: int, reviewer: str) -> list[WaitingItem]:
        return self.items[:limit]

    def count_waiting(self) -> int:
        return len(self.items)

    def overview(self, hours: float) -> Overview:
        return Overview(since=AT, until=AT)


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def desk_of(*ids: str, hold_s: float = 0.0) -> tuple[Desk, list[Label], Clock]:
    sent: list[Label] = []
    clock = Clock()
    return Desk(Shelf(*ids), sent.append, clock, hold_s), sent, clock


def at(desk: Desk, reviewer: str) -> str:
    item = desk.current(reviewer)
    return item.decision.content_id if item else ""


class TestDesk:
    def test_an_item_stays_until_it_is_answered(self) -> None:
        desk, sent, _ = desk_of("c1", "c2")
        assert [at(desk, "ann"), at(desk, "ann")] == ["c1", "c1"]
        desk.answer("ann", ("c1", 0), "block", "spam")
        assert at(desk, "ann") == "c2"
        assert [(s.content_id, s.action, s.category, s.reviewer_id) for s in sent] == [
            ("c1", "block", "spam", "ann")
        ]

    def test_two_reviewers_never_hold_the_same_item(self) -> None:
        desk, _, _ = desk_of("c1", "c2")
        assert [at(desk, "ann"), at(desk, "bob"), at(desk, "cleo")] == ["c1", "c2", ""]

    def test_an_item_whose_reviewer_went_away_comes_to_another(self) -> None:
        desk, _, clock = desk_of("c1")
        assert at(desk, "ann") == "c1"
        clock.now += LEASE_S + 1
        assert at(desk, "bob") == "c1"

    def test_a_skipped_item_goes_to_others(self) -> None:
        desk, sent, _ = desk_of("c1", "c2")
        at(desk, "ann")
        desk.skip("ann", ("c1", 0))
        assert [at(desk, "ann"), at(desk, "bob")] == ["c2", "c1"]
        assert sent == []

    def test_a_double_click_answers_once_and_spares_the_next_item(self) -> None:
        desk, sent, _ = desk_of("c1", "c2")
        at(desk, "ann")
        for _ in range(2):
            desk.answer("ann", ("c1", 0), "allow", "")
            at(desk, "ann")
        assert [label.content_id for label in sent] == ["c1"]

    @pytest.mark.parametrize(
        ("action", "category"),
        [
            ("block", ""),  # of what kind?
            ("block", "boring"),  # no category of the taxonomy
            ("review", "spam"),  # a person is the last resort
            ("delete", "spam"),
        ],
    )
    def test_an_answer_that_is_none_is_refused(self, action: Any, category: str) -> None:
        desk, sent, _ = desk_of("c1")
        at(desk, "ann")
        with pytest.raises(AnswerError):
            desk.answer("ann", ("c1", 0), action, category)
        assert (at(desk, "ann"), sent) == ("c1", [])

    def test_what_is_allowed_has_no_category(self) -> None:
        desk, sent, _ = desk_of("c1")
        at(desk, "ann")
        desk.answer("ann", ("c1", 0), "allow", "spam")
        assert sent[0].category == ""

    def test_an_undone_answer_that_was_held_back_leaves_no_trace(self) -> None:
        desk, sent, _ = desk_of("c1", "c2", hold_s=60)
        at(desk, "ann")
        desk.answer("ann", ("c1", 0), "block", "spam")
        assert at(desk, "ann") == "c2"
        assert desk.undo("ann")
        assert at(desk, "ann") == "c1"
        desk.close()
        assert (sent, desk.answered("ann")) == ([], 0)

    def test_the_next_answer_sends_the_one_before(self) -> None:
        desk, sent, _ = desk_of("c1", "c2", hold_s=60)
        for content_id in ("c1", "c2"):
            at(desk, "ann")
            desk.answer("ann", (content_id, 0), "block", "spam")
        assert [label.content_id for label in sent] == ["c1"]
        desk.close()
        assert [label.content_id for label in sent] == ["c1", "c2"]

    def test_answering_again_what_was_sent_replaces_it(self) -> None:
        desk, sent, _ = desk_of("c1", "c2")
        at(desk, "ann")
        desk.answer("ann", ("c1", 0), "block", "spam")
        desk.undo("ann")
        desk.answer("ann", ("c1", 0), "allow", "")
        assert [label.action for label in sent] == ["block", "allow"]
        assert len({label.label_id for label in sent}) == 1

    def test_a_page_that_stays_open_keeps_no_item_for_good(self) -> None:
        desk, sent, clock = desk_of("c1", "c2")
        for _ in range(3):
            assert at(desk, "ann") == "c1"
            clock.now += LEASE_S / 2
        assert at(desk, "bob") == "c1"
        with pytest.raises(AnswerError, match="has gone to another"):
            desk.answer("ann", ("c1", 0), "allow", "")
        assert (at(desk, "ann"), sent) == ("c2", [])

    def test_an_item_that_nobody_else_asked_for_is_still_its_reviewers(self) -> None:
        desk, sent, clock = desk_of("c1")
        at(desk, "ann")
        clock.now += LEASE_S * 2
        desk.answer("ann", ("c1", 0), "allow", "")
        assert len(sent) == 1

    def test_an_answer_to_an_item_that_was_never_handed_out_is_told(self) -> None:
        desk, sent, _ = desk_of("c1")
        with pytest.raises(AnswerError, match="or the console was restarted"):
            desk.answer("ann", ("c1", 0), "allow", "")
        assert sent == []

    def test_some_items_are_answered_by_two_people_and_by_nobody_twice(self) -> None:
        desk, sent, _ = desk_of(TWICE, ONCE)
        for reviewer, item in (("ann", TWICE), ("ann", ONCE), ("ann", ""), ("bob", TWICE)):
            assert at(desk, reviewer) == item
            if item:
                desk.answer(reviewer, (item, 0), "allow", "")
        assert [at(desk, "bob"), at(desk, "cleo")] == ["", ""]
        assert len({label.label_id for label in sent}) == 3

    def test_one_item_in_so_many_is_answered_by_two_people(self) -> None:
        wanted = [answers_wanted((f"c{number}", 0)) for number in range(10_000)]
        assert wanted.count(2) == pytest.approx(len(wanted) / SECOND_ANSWERS, rel=0.1)
        assert set(wanted) == {1, 2}

    def test_what_is_worse_and_came_meanwhile_is_next(self) -> None:
        shelf, clock = Shelf("c1", "c2"), Clock()
        desk = Desk(shelf, lambda label: None, clock, hold_s=0)
        assert at(desk, "ann") == "c1"
        shelf.items.insert(0, review_item("worse"))
        clock.now += FRESH_S
        desk.answer("ann", ("c1", 0), "allow", "")
        assert at(desk, "ann") == "worse"

    def test_what_was_forgotten_meanwhile_is_not_shown(self) -> None:
        shelf, clock = Shelf("c1", "c2", "c3"), Clock()
        desk = Desk(shelf, lambda label: None, clock, hold_s=0)
        at(desk, "ann")
        del shelf.items[1]
        clock.now += FRESH_S
        desk.answer("ann", ("c1", 0), "allow", "")
        assert at(desk, "ann") == "c3"

    @pytest.mark.parametrize(("action", "state"), [("allow", "granted"), ("block", "denied")])
    def test_an_appeal_is_closed_by_its_first_answer(self, action: Any, state: str) -> None:
        sent: list[Label | Appeal] = []
        shelf, clock = Shelf(), Clock()
        shelf.items = [appealed_item(TWICE)]
        desk = Desk(shelf, sent.append, clock, hold_s=0)
        assert at(desk, "ann") == TWICE
        desk.answer("ann", (TWICE, 0), action, "spam")
        answer, closing = sent
        assert isinstance(answer, Label)
        assert (answer.source, answer.action) == ("appeal", action)
        assert isinstance(closing, Appeal)
        assert (closing.appeal_id, closing.state, closing.reviewer_id) == ("a1", state, "ann")
        assert closing.resolved_at == answer.labeled_at
        assert at(desk, "bob") == ""

    def test_an_appeal_whose_answer_cannot_be_sent_waits_again(self) -> None:
        def broken(answer: Label | Appeal) -> None:
            if isinstance(answer, Appeal):
                raise OSError("no broker")

        shelf = Shelf()
        shelf.items = [appealed_item("c1")]
        desk = Desk(shelf, broken, Clock(), hold_s=0)
        at(desk, "ann")
        with pytest.raises(SubmitError, match="no broker"):
            desk.answer("ann", ("c1", 0), "allow", "")
        assert at(desk, "ann") == "c1"

    def test_with_nothing_answered_there_is_nothing_to_undo(self) -> None:
        desk, _, _ = desk_of("c1")
        assert not desk.undo("ann")

    def test_when_a_label_cannot_be_sent_its_item_waits_again(self) -> None:
        def broken(label: Label) -> None:
            raise OSError("disk full")

        desk = Desk(Shelf("c1"), broken, Clock(), hold_s=0)
        at(desk, "ann")
        with pytest.raises(SubmitError, match="disk full"):
            desk.answer("ann", ("c1", 0), "allow", "")
        assert (at(desk, "ann"), desk.answered("ann"), desk.history("ann")) == ("c1", 0, [])

    def test_a_moderator_is_told_once_of_an_answer_that_was_lost_later(self) -> None:
        tried = threading.Event()

        def broken(label: Label) -> None:
            tried.set()
            raise OSError("disk full")

        desk = Desk(Shelf("c1", "c2"), broken, Clock(), hold_s=0.01)
        at(desk, "ann")
        desk.answer("ann", ("c1", 0), "allow", "")
        assert tried.wait(60)
        assert "the answer on c1 was not taken (disk full)" in desk.problem("ann")
        assert [desk.problem("ann"), desk.problem("bob")] == ["", ""]

    def test_at_the_end_every_answer_is_tried(self) -> None:
        sent: list[str] = []

        def broken_for_ann(label: Label) -> None:
            if label.reviewer_id == "ann":
                raise OSError("too slow")
            sent.append(label.reviewer_id)

        desk = Desk(Shelf("c1", "c2"), broken_for_ann, Clock(), hold_s=600)
        for reviewer, content_id in (("ann", "c1"), ("bob", "c2")):
            at(desk, reviewer)
            desk.answer(reviewer, (content_id, 0), "allow", "")
        with pytest.raises(SubmitError, match="the answer on c1 was not taken"):
            desk.close()
        assert sent == ["bob"]

    def test_what_was_answered_is_not_offered_again_while_its_label_is_on_the_way(self) -> None:
        desk, _, _ = desk_of("c1", "c2")
        for content_id in ("c1", "c2"):
            at(desk, "ann")
            desk.answer("ann", (content_id, 0), "allow", "")
        assert at(desk, "ann") == ""


def signal_at(*spans: tuple[int, int], rule: str = "r", field: str = "text") -> Signal:
    return Signal("regex", rule, "spam", 0.9, tuple(Evidence(field, s, e) for s, e in spans))


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


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with clickhouse_server(tmp_path_factory.mktemp("console") / "clickhouse") as dsn:
        ClickHouseWriter(dsn).apply_schema()
        yield dsn


@pytest.fixture
def writer(dsn: str) -> ClickHouseWriter:
    """A writer into empty tables."""
    made = ClickHouseWriter(dsn)
    tables = (
        "content", "moderation_logs", "human_labels", "appeals", "surge_alerts",
        "decisions_by_minute",
    )  # fmt: skip
    for table in tables:
        made.client.command(f"TRUNCATE TABLE moderation.{table}")
    return made


def store_of(dsn: str) -> tuple[ClickHouseStore, Client]:
    client = connect(dsn)
    return ClickHouseStore(client, lambda: POLICIES), client


def label(content_id: str, reviewer: str = "ann", source: LabelSource = "review") -> Label:
    return Label(
        label_id=f"l-{content_id}-{reviewer}",
        content_id=content_id,
        revision=0,
        reviewer_id=reviewer,
        action="block",
        category="spam",
        source=source,
        labeled_at=AT,
    )


class TestStore:
    def test_an_empty_store_has_nothing(self, dsn: str, writer: ClickHouseWriter) -> None:
        store, _ = store_of(dsn)
        assert store.waiting(10, "bob") == []
        assert store.count_waiting() == 0
        assert store.overview(24).decisions == {}

    def test_the_queue_is_ordered_by_severity_and_score(
        self, dsn: str, writer: ClickHouseWriter
    ) -> None:
        writer.insert_judgements(
            [
                waiting("spam", "spam", 0.7),
                waiting("threat-low", "threat", 0.5),
                waiting("threat-high", "threat", 0.6),
                waiting("hate", "hate", 0.8),
                blocked("settled"),
                judgement("fine"),
                waiting("shadow", "threat", 0.9, mode="shadow"),
                waiting("quick", "threat", 0.9, final=False),
            ]
        )
        store, _ = store_of(dsn)
        order = ["threat-high", "threat-low", "hate", "spam"]
        assert [i.decision.content_id for i in store.waiting(10, "bob")] == order
        assert [i.decision.content_id for i in store.waiting(2, "bob")] == order[:2]
        assert store.count_waiting() == 4

    def test_a_pushed_policy_orders_the_queue_anew(
        self, dsn: str, writer: ClickHouseWriter
    ) -> None:
        writer.insert_judgements([waiting("mild", "spam"), waiting("bad", "hate")])
        pushed, text = LocalRulesetStore(), (BUILT_IN / "policy.yaml").read_text()
        policy = LivePolicy(BUILT_IN, pushed)
        store = ClickHouseStore(connect(dsn), lambda: policy.current)
        assert [item.decision.content_id for item in store.waiting(2, "bob")] == ["bad", "mild"]
        files = {"policy.yaml": text.replace("{severity: 1", "{severity: 5")}
        pushed.push(StoredRuleset(files=files, author="ann", reason="a wave", pushed_at=AT))
        policy.watcher.catch_up()
        assert [item.decision.content_id for item in store.waiting(2, "bob")] == ["mild", "bad"]

    def test_an_item_is_the_message_that_was_logged(
        self, dsn: str, writer: ClickHouseWriter
    ) -> None:
        signals = (signal_at((0, 4), rule="scam-link"),)
        made = waiting("c1", "spam", 0.5, text="free \u202e stuff", signals=signals, revision=3)
        writer.insert_judgements([made])
        store, _ = store_of(dsn)
        item = store.waiting(1, "bob")[0]
        assert item.text == "free \u202e stuff"
        assert item.reason == "uncertain"
        assert item.priority == 1.5
        assert msgspec.structs.replace(item.decision, scores={}) == msgspec.structs.replace(
            made.decision, scores={}
        )

    def test_an_appeal_waits_for_someone_who_has_not_looked_yet(
        self, dsn: str, writer: ClickHouseWriter
    ) -> None:
        writer.insert_judgements([blocked("wronged", "hate"), blocked("settled"), waiting("new")])
        writer.insert_labels([label("wronged", "ann")])
        writer.insert_appeals(
            [
                appeal("wronged"),
                appeal("wronged", "a2", statement="again"),  # appeals of one content are one item
                appeal("settled", "a3", state="denied", resolved_at=AT),
                appeal("unknown", "a4"),  # nothing is kept of its decision
            ]
        )
        store, _ = store_of(dsn)
        assert [i.decision.content_id for i in store.waiting(10, "ann")] == ["new"]
        first, second = store.waiting(10, "bob")
        assert (first.reason, first.decision.action, first.text) == ("appeal", "block", "hello")
        assert first.appeal == appeal("wronged")
        assert (second.decision.content_id, second.appeal) == ("new", None)

    def test_an_answered_appeal_waits_no_more(self, dsn: str, writer: ClickHouseWriter) -> None:
        writer.insert_judgements([blocked("wronged", "hate")])
        writer.insert_appeals([appeal("wronged")])
        store, _ = store_of(dsn)
        assert store.count_waiting() == 1
        (item,) = store.waiting(10, "bob")
        assert item.appeal is not None
        writer.insert_appeals([closed(item.appeal, label("wronged", "bob", "appeal"))])
        assert store.waiting(10, "eve") == []
        assert store.count_waiting() == 0

    def test_what_waits_and_is_appealed_is_one_item(
        self, dsn: str, writer: ClickHouseWriter
    ) -> None:
        writer.insert_judgements([waiting("held")])
        writer.insert_appeals([appeal("held")])
        store, _ = store_of(dsn)
        assert [item.reason for item in store.waiting(10, "bob")] == ["appeal"]

    def test_images_are_counted(self, dsn: str, writer: ClickHouseWriter) -> None:
        shown = waiting("c1")
        images = [Image(image_id=str(number), data=b"x") for number in range(2)]
        content = msgspec.structs.replace(shown.content, images=images)
        writer.insert_judgements([msgspec.structs.replace(shown, content=content)])
        assert [item.images for item in store_of(dsn)[0].waiting(10, "bob")] == [2]

    @pytest.mark.parametrize(
        ("content_id", "labels", "offered_to"),
        [
            (ONCE, [], {"ann", "bob"}),
            (ONCE, [("ann", "review")], set()),
            (ONCE, [("judge", "appeal")], set()),
            (ONCE, [("trainer", "golden")], set()),
            (ONCE, [("friend", "user_report")], {"ann", "bob"}),
            (TWICE, [("ann", "review")], {"bob"}),
            (TWICE, [("ann", "review"), ("friend", "user_report")], {"bob"}),
            (TWICE, [("ann", "review"), ("bob", "review")], set()),
            (TWICE, [("trainer", "golden")], {"ann", "bob"}),
            (TWICE, [("trainer", "golden"), ("ann", "review")], set()),
        ],
    )
    def test_an_item_waits_for_as_many_answers_as_it_wants(
        self,
        dsn: str,
        writer: ClickHouseWriter,
        content_id: str,
        labels: list[tuple[str, LabelSource]],
        offered_to: set[str],
    ) -> None:
        writer.insert_judgements([waiting(content_id)])
        writer.insert_labels(label(content_id, *given) for given in labels)
        store, _ = store_of(dsn)
        assert {name for name in ("ann", "bob") if store.waiting(10, name)} == offered_to
        assert store.count_waiting() == bool(offered_to)

    def test_an_edit_waits_of_its_own(self, dsn: str, writer: ClickHouseWriter) -> None:
        writer.insert_judgements([waiting(ONCE), waiting(ONCE, revision=1)])
        writer.insert_labels([label(ONCE)])
        [item] = store_of(dsn)[0].waiting(10, "bob")
        assert item.decision.revision == 1

    def test_a_repeated_message_waits_once(self, dsn: str, writer: ClickHouseWriter) -> None:
        for _ in range(3):
            writer.insert_judgements([waiting("c1")])
        store, _ = store_of(dsn)
        assert len(store.waiting(10, "bob")) == 1

    def test_the_sample_of_allowed_contents_is_the_one_that_the_stream_chose(
        self, dsn: str, writer: ClickHouseWriter
    ) -> None:
        from operators.decide import ReviewPicker

        policy = msgspec.structs.replace(
            POLICY, file=msgspec.structs.replace(POLICY.file, sample_rate=0.1)
        )
        contents = [judgement(f"c{number}") for number in range(300)]
        writer.insert_judgements(contents)
        chosen = {item.decision.content_id for item in ReviewPicker(policy)(contents)}
        store = ClickHouseStore(connect(dsn), lambda: Policies(policy))
        assert {item.decision.content_id for item in store.waiting(300, "bob")} == chosen
        assert 10 < len(chosen) < 60

    def test_the_overview_counts_a_replay_once_and_fills_gaps(
        self, dsn: str, writer: ClickHouseWriter
    ) -> None:
        made = [
            blocked("b1"),
            blocked("b2", created_at=AT + timedelta(minutes=50)),
            judgement("a1", created_at=AT + timedelta(minutes=59)),
            judgement("long-ago", created_at=AT - timedelta(minutes=1)),
        ]
        for _ in range(2):
            writer.insert_judgements(made)
        writer.insert_alerts([surge("open", 10), surge("resolved", 30)])
        overview = store_of(dsn)[0].overview(1)
        assert (overview.since, overview.until) == (AT, AT + timedelta(hours=1))
        assert len(overview.times) == 60
        assert {m: n for m, n in enumerate(overview.volume["block"]) if n} == {0: 1, 50: 1}
        assert overview.decisions == {("block", "spam"): 2, ("allow", ""): 1}
        assert overview.latency_p50_ms[0] == 7.0
        assert [(r.rule, r.blocked, r.reviewed) for r in overview.rules] == [("r-1", 2, 0)]
        assert [alert.state for alert in overview.alerts] == ["open", "resolved"]

    @pytest.mark.parametrize(
        "later",
        [
            judgement("ahead", created_at=datetime.now(UTC) + timedelta(days=200)),
            judgement("shadow", created_at=AT + timedelta(days=2), mode="shadow"),
        ],
        ids=["a clock that runs ahead", "a decision in shadow"],
    )
    def test_the_present_is_that_of_the_stream(
        self, dsn: str, writer: ClickHouseWriter, later: Judgement
    ) -> None:
        writer.insert_judgements([waiting("c1"), later])
        store, _ = store_of(dsn)
        assert store.overview(1).until == AT + timedelta(minutes=1)
        assert [item.decision.content_id for item in store.waiting(10, "bob")] == ["c1"]

    @pytest.mark.parametrize(("hours", "minutes"), [(1, 1), (24, 5), (168, 60)])
    def test_a_longer_time_has_longer_steps(
        self, dsn: str, writer: ClickHouseWriter, hours: float, minutes: int
    ) -> None:
        writer.insert_judgements([judgement("a1")])
        times = store_of(dsn)[0].overview(hours).times
        assert times[1] - times[0] == timedelta(minutes=minutes)
        assert len(times) == hours * 60 / minutes


def surge(state: str, minute: int, signature: str = "claim-prize.example") -> Alert:
    return Alert(
        alert_id="alert-1",
        kind="surge",
        state=state,  # type: ignore[arg-type]
        severity="critical",
        key=AlertKey("spam", signature, "pets"),
        window_start=AT + timedelta(minutes=minute),
        window_end=AT + timedelta(minutes=minute + 5),
        observed=90,
        expected=2.5,
        z_score=20,
        distinct_authors=40,
        examples=("b1",),
        summary="spam surged",
    )


@contextmanager
def served(app: Dash, port: int = 0) -> Iterator[str]:
    """`app` on `port` or one of its own; gives its address."""
    server = make_server("127.0.0.1", port, app.server, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def app_of(password: str = "", **options: Any) -> Dash:
    shelf = Shelf("c1")
    return build_app(
        shelf, Desk(shelf, lambda label: None), lambda: POLICIES, password=password, **options
    )


class TestSecurity:
    @pytest.mark.parametrize("path", ["/", "/live", "/_dash-layout", "/assets/keys.js", "/nothing"])
    def test_every_answer_carries_the_headers(self, path: str) -> None:
        answer = app_of().server.test_client().get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        script = policy.partition("script-src")[2].partition(";")[0]
        assert "unsafe" not in script
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in answer.headers

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/", 200),
            ("/live", 200),
            ("/_dash-layout", 200),
            ("/assets/keys.js", 200),
            ("/nothing", 404),
            ("/live/nothing", 404),
        ],
    )
    def test_a_path_that_is_no_page_is_not_found(self, path: str, status: int) -> None:
        assert app_of().server.test_client().get(path).status_code == status

    @pytest.mark.parametrize(
        ("host", "status"),
        [
            ("localhost:8050", 200),
            ("127.0.0.1:8050", 200),
            ("[::1]:8050", 200),
            ("console.example.org", 200),  # allowed below
            ("attacker.example", 421),  # a name that was made to point here
            ("127.0.0.1.attacker.example", 421),
            ("", 421),
        ],
    )
    def test_it_answers_under_its_own_names_only(self, host: str, status: int) -> None:
        app = app_of(hosts={"localhost", "127.0.0.1", "::1", "console.example.org"})
        assert app.server.test_client().get("/", headers={"Host": host}).status_code == status

    @pytest.mark.parametrize(
        ("headers", "refused"),
        [
            ({"Origin": "https://attacker.example"}, True),
            ({"Origin": "http://localhost:9999"}, True),  # another program on this machine
            ({"Origin": "null"}, True),
            ({"Sec-Fetch-Site": "cross-site"}, True),
            ({"Sec-Fetch-Site": "same-site"}, True),
            ({"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, False),
            ({}, False),
        ],
    )
    def test_other_sites_cannot_answer_for_a_moderator(
        self, headers: dict[str, str], refused: bool
    ) -> None:
        client = app_of().server.test_client()
        answer = client.post("/_dash-update-component", json={}, headers=headers)
        assert (answer.status_code == 403) == refused

    @pytest.mark.parametrize(
        ("given_name", "given_password", "status"),
        [
            ("ann", "secret", 200),
            ("ann", "wrong", 401),
            ("ann", "", 401),
            ("", "secret", 401),  # a label needs a name
            ("x" * 65, "secret", 401),
            ("ann.b_c@example.org", "secret", 200),
            ("ann b", "secret", 401),
            ("<script>", "secret", 401),
        ],
    )
    def test_a_password_is_asked_for(
        self, given_name: str, given_password: str, status: int
    ) -> None:
        client = app_of(password="secret").server.test_client()
        assert client.get("/").status_code == 401
        assert client.get("/_dash-layout").status_code == 401
        token = base64.b64encode(f"{given_name}:{given_password}".encode()).decode()
        answer = client.get("/", headers={"Authorization": f"Basic {token}"})
        assert answer.status_code == status

    def test_liveness_needs_nothing_and_tells_nothing(self) -> None:
        client = app_of(password="secret").server.test_client()
        answer = client.get("/livez", headers={"Host": "10.1.2.3:8050"})
        assert (answer.status_code, answer.text) == (200, "ok\n")

    def test_a_huge_request_is_refused(self) -> None:
        client = app_of().server.test_client()
        answer = client.post("/_dash-update-component", json={"x": "y" * 1_000_000})
        assert answer.status_code == 413


def scene() -> list[Judgement]:
    """A morning with a queue of four."""
    texts = {
        "threat": ("I know where you live and I will find you", ((7, 21), (28, 42))),
        "hate": (HOSTILE, ((0, 4),)),
        "harassment": ("nobody wants you here\u202e, just leave", ((0, 16),)),
        "spam": ("Free gift cards at claim-prize.example today only", ((19, 38),)),
    }
    made = []
    for number, (category, (text, spans)) in enumerate(texts.items()):
        signals = (
            Signal("text_score", "text-fast", category, 0.52),
            signal_at(*spans, rule=f"{category}-7"),
        )
        scores = {"hate": 0.21, "harassment": 0.34, "threat": 0.08, "sexual": 0.02, "spam": 0.11}
        made.append(
            waiting(
                f"{category}-1",
                category,
                text=text,
                signals=signals,
                scores=scores | {category: 0.52},
                created_at=AT + timedelta(minutes=number),
                community="<b>pets</b>",
            )
        )
    made += [
        judgement(f"a{n}", created_at=AT + timedelta(seconds=11 * n), latency_ms=4 + n % 7)
        for n in range(800)
    ]
    made += [blocked(f"s{n}", created_at=AT + timedelta(minutes=40 + n % 20)) for n in range(120)]
    made += [blocked(f"h{n}", "hate", created_at=AT + timedelta(minutes=7 * n)) for n in range(18)]
    return made


@requires_chromium
class TestInABrowser:
    @pytest.fixture(scope="class")
    @classmethod
    def sent(cls) -> list[Label]:
        return []

    @pytest.fixture(scope="class")
    @classmethod
    def address(cls, dsn: str, sent: list[Label]) -> Iterator[str]:
        writer = ClickHouseWriter(dsn)
        for table in ("content", "moderation_logs", "human_labels", "decisions_by_minute"):
            writer.client.command(f"TRUNCATE TABLE moderation.{table}")
        writer.insert_judgements(scene())
        writer.insert_alerts([surge("open", 40, HOSTILE), surge("resolved", 60, HOSTILE)])
        nothing_sampled = msgspec.structs.replace(
            POLICY, file=msgspec.structs.replace(POLICY.file, sample_rate=0.0)
        )
        store = ClickHouseStore(connect(dsn), lambda: Policies(nothing_sampled))

        def submit(label: Label) -> None:
            sent.append(label)
            writer.insert_labels([label])

        with served(build_app(store, Desk(store, submit, hold_s=600), lambda: POLICIES)) as address:
            yield address

    @pytest.fixture
    def page(self) -> Iterator[Page]:
        with browser() as chromium:
            yield chromium.new_page(viewport={"width": 1280, "height": 900})

    def test_a_moderator_works_through_the_queue_by_keyboard(
        self, page: Page, address: str, sent: list[Label]
    ) -> None:
        seen = Seen(page)
        page.goto(address)
        text = page.locator("#text")

        # The most severe first, its text covered until asked for, evidence marked with its rule.
        expect(text).to_have_text("I know where you live and I will find you")
        expect(text).to_have_css("filter", "blur(9px)")
        keep_screenshot(page.screenshot(), "console-covered")
        page.keyboard.press("v")
        expect(text).to_have_css("filter", "none")
        expect(text.locator("mark").first).to_have_text("where you live")
        expect(text.locator("mark").first).to_have_attribute("title", "threat-7")
        expect(page.locator("#category input:checked")).to_have_value("threat")
        keep_screenshot(page.screenshot(), "console-queue")

        # The same item survives a refresh of the page's data, uncovered.
        with page.expect_response(lambda response: "_dash-update-component" in response.url):
            pass
        expect(text).to_have_css("filter", "none")

        page.keyboard.press("b")
        # The next one is covered again, and what it says does not run.
        expect(text).to_have_text(HOSTILE)
        expect(text).to_have_css("filter", "blur(9px)")

        page.keyboard.press("u")
        expect(text).to_have_text("I know where you live and I will find you")
        page.keyboard.press("2")
        expect(page.locator("#category input:checked")).to_have_value("harassment")
        page.keyboard.press("b")
        expect(text).to_have_text(HOSTILE)

        page.keyboard.press("s")
        expect(text).to_contain_text("nobody wants you here")
        expect(text.locator(".invisible")).to_have_text("U+202E")
        page.keyboard.press("a")

        # Spam hurts nobody's eyes: it is not covered.
        expect(text).to_have_css("filter", "none")
        page.keyboard.press("b")
        expect(page.locator("#item")).to_contain_text("Nothing waits")
        expect(page.locator("#history li")).to_have_count(3)
        keep_screenshot(page.screenshot(), "console-done")

        assert [(s.content_id, s.action, s.category) for s in sent] == [
            ("threat-1", "block", "harassment"),
            ("harassment-1", "allow", ""),
        ], "the last answer is still held back"
        assert seen.errors == []
        assert page.evaluate("window.hacked") is None
        assert [url for url in seen.requests if not url.startswith((address, "data:"))] == []

    def test_a_page_whose_console_is_away_says_so(self, page: Page) -> None:
        port, notice = free_port(), page.get_by_text("The console does not answer")
        with served(app_of(), port) as address:
            page.goto(address)
            expect(page.locator("#text")).to_have_text("hello")
            expect(notice).to_be_hidden()
        page.keyboard.press("a")
        expect(notice).to_be_visible()
        with served(app_of(), port):
            expect(notice).to_be_hidden()

    def test_the_live_page_shows_the_stream(self, page: Page, address: str) -> None:
        seen = Seen(page)
        page.goto(f"{address}/live")
        expect(page.locator(".js-plotly-plot .main-svg").nth(5)).to_be_attached()
        expect(page.locator(".tile.block b")).to_have_text("138")
        expect(page.locator(".tile.surge b")).to_have_text("1")
        expect(page.locator("main")).to_contain_text("r-1")
        expect(page.locator("main")).to_contain_text("<img src=x")
        page.get_by_label("hour").check()
        expect(page.locator("#period")).to_contain_text("2026-11-17 12:27")
        keep_screenshot(page.screenshot(full_page=True), "console-live")
        assert seen.errors == []
        assert page.evaluate("window.hacked") is None
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280


class TestCommand:
    def test_it_is_not_opened_to_others_without_a_password(self) -> None:
        from cli.console import console_command
        from cli.errors import UsageError

        with pytest.raises(UsageError, match="set BREAKWATER_CONSOLE_PASSWORD first"):
            console_command(host="0.0.0.0")

    def test_it_says_where_its_data_would_come_from(self, tmp_path: Path) -> None:
        from cli.console import console_command
        from cli.errors import UsageError

        with pytest.raises(UsageError, match=r"no store at .*: set BREAKWATER_CLICKHOUSE_DSN"):
            console_command(output=tmp_path)

    def test_over_the_embedded_store_of_a_run_until_it_is_told_to_stop(
        self, tmp_path: Path
    ) -> None:
        # The embedded engine belongs to one process: another one makes the store.
        made = f"""
from clickhouse_samples import blocked
from connectors.clickhouse import ClickHouseWriter
store = ClickHouseWriter("chdb://{tmp_path}/clickhouse")
store.apply_schema()
store.insert_judgements([blocked("c1", action="review")])
store.close()
"""
        root = Path(__file__).parents[1]
        environment = os.environ | {"PYTHONPATH": f"{root}:{root / 'tests'}"}
        subprocess.run([sys.executable, "-c", made], check=True, env=environment)
        port = free_port()
        command = [sys.executable, "-m", "cli.main", "console", "--output", str(tmp_path)]
        process = subprocess.Popen(
            [*command, "--port", str(port)], env=environment, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        assert f"http://127.0.0.1:{port}" in process.stderr.readline()
        with urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert b"Breakwater" in answer.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stderr.close()
