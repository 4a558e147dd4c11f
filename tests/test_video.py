"""The verdict on a video: its worst frame's, with how many frames, at once and then for good."""

import random
from datetime import timedelta

import msgspec
import pytest
from builders import AT, decision
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main

from events.messages import Content, Evidence, Image, Signal
from events.records import Judgement
from operators.decide import gravity_by
from operators.video import MAX_VIDEOS, QUIET_S, Videos, judge_videos, video_frames
from policy.policy import load_policy

POLICY = load_policy()
GRAVITY = gravity_by(lambda: POLICY)
NOW = AT.timestamp()


def frame(number: int, action: str = "allow", category: str = "", *, video: str = "v", **fields):
    """A judged frame; its only score is `score`."""
    score = fields.pop("score", {"allow": 0.1, "review": 0.7, "block": 0.95}[action])
    content = Content(
        f"{video}-{number}", AT + timedelta(seconds=number), "a1", kind="video_frame",
        parent_id=video, images=[Image("i", data=b"pixels")],
    )  # fmt: skip
    made = decision(
        content.content_id, kind="video_frame", action=action, category=category,
        scores={category or "spam": score}, created_at=content.created_at, **fields,
    )  # fmt: skip
    return Judgement(content, made)


def fed(videos: Videos, *frames: Judgement, now: float = NOW) -> list[Judgement]:
    return videos.observe([bare for _, bare in video_frames(list(frames))], now)


def told(verdicts: list[Judgement]) -> list[tuple[str, str, str, bool, int]]:
    made = [verdict.decision for verdict in verdicts]
    return [(d.content_id, d.action, d.category, d.final, d.frames) for d in made]


@pytest.mark.parametrize(
    ("what", "frames", "expected"),
    [
        ("all allowed", [("allow", "")] * 3, ("allow", "")),
        ("one is reviewed", [("allow", ""), ("review", "spam"), ("allow", "")], ("review", "spam")),
        ("a block beats a review", [("review", "csam"), ("block", "spam")], ("block", "spam")),
        ("among blocks the severer", [("block", "spam"), ("block", "threat")], ("block", "threat")),
        ("whatever the order", [("block", "threat"), ("block", "spam")], ("block", "threat")),
    ],
)
def test_the_worst_frame_is_the_verdict(what, frames, expected) -> None:
    videos = Videos(GRAVITY)
    fed(videos, *(frame(number, *one) for number, one in enumerate(frames)))
    assert told(videos.finish(NOW)) == [("v", *expected, True, len(frames))], what


def test_a_verdict_says_what_was_found_and_in_which_frame() -> None:
    signal = Signal("image", "m", "sexual", 0.95, (Evidence("images.i", 0, 0),))
    videos = Videos(GRAVITY)
    fed(
        videos,
        frame(0, "review", "spam", degraded=("ocr",)),
        frame(1, "block", "sexual", signals=(signal,)),
    )
    [verdict] = videos.finish(NOW)
    made = verdict.decision
    assert made.signals[0].evidence == (Evidence("frames.v-1.images.i", 0, 0),)
    assert made.scores == {"spam": 0.7, "sexual": 0.95}
    assert made.degraded == ("ocr",)
    assert (made.kind, made.revision, made.created_at) == ("video_frame", 0, AT)
    held = msgspec.msgpack.encode(verdict)
    assert msgspec.msgpack.decode(held, type=Judgement) == verdict, "it may wait for the store"


class TestWhenItIsTold:
    def test_at_once_when_a_frame_makes_it_worse_and_for_good_when_it_is_quiet(self) -> None:
        videos = Videos(GRAVITY)
        assert told(fed(videos, frame(0))) == []
        assert told(fed(videos, frame(1, "review", "spam"))) == [("v", "review", "spam", False, 2)]
        assert told(fed(videos, frame(2, "review", "spam"))) == []
        assert told(fed(videos, frame(3, "block", "spam"))) == [("v", "block", "spam", False, 4)]
        assert videos.settle(NOW + QUIET_S - 1) == []
        assert videos.due_at() == NOW + QUIET_S
        assert told(videos.settle(NOW + QUIET_S)) == [("v", "block", "spam", True, 4)]
        assert videos.due_at() is None
        assert videos.finish(NOW) == []

    def test_every_verdict_has_an_id_of_its_own_that_a_replay_repeats(self) -> None:
        def ids() -> list[str]:
            videos = Videos(GRAVITY)
            out = fed(videos, frame(0, "review", "spam")) + fed(videos, frame(1, "block", "spam"))
            return [verdict.decision.decision_id for verdict in out + videos.finish(NOW)]

        assert ids() == ids()
        assert len(set(ids())) == 3

    def test_a_late_frame_is_counted_on_and_what_it_makes_worse_is_final_at_once(self) -> None:
        videos = Videos(GRAVITY)
        fed(videos, frame(0), frame(1))
        videos.settle(NOW + QUIET_S)
        late = fed(videos, frame(2, "block", "spam"), now=NOW + 2 * QUIET_S)
        assert told(late) == [("v", "block", "spam", True, 3)]
        assert told(videos.settle(NOW + 3 * QUIET_S)) == [("v", "block", "spam", True, 3)]

    def test_an_edit_of_a_frame_is_no_further_frame(self) -> None:
        videos = Videos(GRAVITY)
        fed(videos, frame(0), frame(0, "block", "spam", revision=1))
        assert told(videos.finish(NOW)) == [("v", "block", "spam", True, 1)]

    def test_what_there_is_no_room_for_gets_its_final_verdict(self) -> None:
        videos = Videos(GRAVITY, max_videos=2)
        out = [told(fed(videos, frame(0, video=name))) for name in ("a", "b", "a", "c")]
        assert out == [[], [], [], [("b", "allow", "", True, 1)]]
        assert sorted(told(videos.finish(NOW))) == [
            ("a", "allow", "", True, 2),
            ("c", "allow", "", True, 1),
        ]


@pytest.mark.parametrize(
    "fields", [{"kind": "post"}, {"parent_id": ""}], ids=["a comment's parent", "no parent"]
)
def test_what_is_no_frame_of_a_video(fields) -> None:
    one = frame(0)
    content = Content("x", AT, "a1", text="x", **{"kind": "video_frame", "parent_id": "v"} | fields)
    assert video_frames([Judgement(content, one.decision)]) == []


@pytest.mark.parametrize("fields", [{"mode": "shadow"}, {"final": False}])
def test_only_final_live_decisions_count(fields) -> None:
    assert video_frames([frame(0, "block", "spam", **fields)]) == []


def test_pictures_do_not_become_state() -> None:
    videos = Videos(GRAVITY)
    fed(videos, frame(0, "block", "spam"))
    assert b"pixels" not in videos.snapshot()


def test_state_is_bounded_and_small() -> None:
    videos = Videos(GRAVITY)
    for number in range(3 * MAX_VIDEOS):
        fed(videos, frame(0, "block", "spam", video=f"v{number}"))
    assert len(videos.finish(NOW)) == MAX_VIDEOS
    assert len(videos.snapshot()) < MAX_VIDEOS * 4096


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_batches_and_a_snapshot_anywhere_make_no_difference(batch) -> None:
    random_ = random.Random(1)
    frames = [
        frame(number, *random_.choice([("allow", ""), ("review", "spam"), ("block", "threat")]),
              video=f"v{number % 7}")
        for number in range(100)
    ]  # fmt: skip
    plain, saved = Videos(GRAVITY), Videos(GRAVITY)
    fed(plain, *frames)
    for first in range(0, len(frames), batch):
        fed(saved, *frames[first : first + batch])
        saved = Videos(GRAVITY, saved.snapshot())
    assert plain.finish(NOW) == saved.finish(NOW)


def flow(source, out, *, finish=True) -> Dataflow:
    made = Dataflow("test")
    judged = op.input("in", made, source)
    op.output("out", judge_videos("videos", judged, GRAVITY, finish), TestingSink(out))
    return made


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_the_shell(batch) -> None:
    out: list[Judgement] = []
    frames = [frame(number, video=f"v{number % 3}") for number in range(30)]
    run_main(flow(TestingSource(frames, batch), out))
    assert sorted(told(out)) == [(f"v{n}", "allow", "", True, 10) for n in range(3)]


def test_a_stop_is_not_the_end_of_a_video(tmp_path) -> None:
    init_db_dir(tmp_path, 1)
    frames = [frame(0), TestingSource.EOF(), frame(1, "block", "spam")]
    source, out = TestingSource(frames), []
    for finish in (False, True):
        recovery = RecoveryConfig(str(tmp_path))
        run_main(flow(source, out, finish=finish), recovery_config=recovery)
    assert told(out) == [("v", "block", "spam", False, 2), ("v", "block", "spam", True, 2)]
