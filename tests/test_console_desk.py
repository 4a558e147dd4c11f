"""Who gets what from the queue, and answers that arrive once."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from console_samples import (
    ONCE,
    TWICE,
    Clock,
    Shelf,
    appealed_item,
    at,
    desk_of,
    review_item,
)

from console.data import SECOND_ANSWERS, answers_wanted
from console.desk import FRESH_S, LEASE_S, AnswerError, Desk, SubmitError
from events.messages import Appeal, Label


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

    def test_what_was_undone_and_left_alone_comes_to_another(self) -> None:
        desk, _, clock = desk_of(ONCE)
        at(desk, "ann")
        desk.answer("ann", (ONCE, 0), "allow", "")
        desk.undo("ann")
        clock.now += LEASE_S
        assert at(desk, "bob") == ONCE

    def test_what_waits_is_counted_again_when_asked_and_after_a_while(self) -> None:
        shelf, clock = Shelf("c1", "c2"), Clock()
        desk = Desk(shelf, lambda label: None, clock, hold_s=0)
        assert desk.waiting() == 2
        del shelf.items[0]
        assert desk.waiting() == 2
        clock.now += FRESH_S
        assert [desk.waiting(recount=False), desk.waiting()] == [2, 1]

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

    @pytest.mark.parametrize(("later", "then"), [(FRESH_S - 1, "c2"), (FRESH_S, "worse")])
    def test_what_is_worse_and_came_meanwhile_is_next(self, later: float, then: str) -> None:
        shelf, clock = Shelf("c1", "c2"), Clock()
        desk = Desk(shelf, lambda label: None, clock, hold_s=0)
        assert at(desk, "ann") == "c1"
        shelf.items.insert(0, review_item("worse"))
        clock.now += later
        desk.answer("ann", ("c1", 0), "allow", "")
        assert at(desk, "ann") == then

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

    def test_an_appeal_goes_to_other_eyes_also_when_those_that_answered_are_away(self) -> None:
        shelf, clock = Shelf(ONCE), Clock()
        desk = Desk(shelf, lambda label: None, clock, hold_s=0)
        at(desk, "ann")
        desk.answer("ann", (ONCE, 0), "block", "spam")
        for appeal_id, reviewer in (("a1", "bob"), ("a2", "cleo")):
            shelf.items = [appealed_item(ONCE, appeal_id=appeal_id)]
            clock.now += FRESH_S
            assert [at(desk, "ann"), at(desk, reviewer)] == ["", ONCE]
            desk.answer(reviewer, (ONCE, 0), "block", "spam")
            assert at(desk, "dan") == ""

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

    def test_undo_brings_back_what_was_skipped_since_the_last_answer_then_the_answer(self) -> None:
        desk, _, _ = desk_of("c1", "c2", "c3")
        at(desk, "ann")
        desk.answer("ann", ("c1", 0), "allow", "")
        for content_id in ("c2", "c3"):
            assert at(desk, "ann") == content_id
            desk.skip("ann", (content_id, 0))
        assert at(desk, "ann") == ""
        for content_id in ("c3", "c2", "c1"):
            assert desk.undo("ann")
            assert at(desk, "ann") == content_id
        assert not desk.undo("ann")

    def test_what_another_took_after_it_was_skipped_is_not_brought_back(self) -> None:
        desk, _, _ = desk_of("c1", "c2")
        at(desk, "ann")
        desk.skip("ann", ("c1", 0))
        assert at(desk, "bob") == "c1"
        assert not desk.undo("ann")
        assert at(desk, "ann") == "c2"

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
