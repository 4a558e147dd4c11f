"""The verdict on a video: the worst of its frames, and how many there were.

The frames of one video are contents of kind `video_frame` that share `parent_id`. Each has its own
decision; the video has one too, under its `parent_id`. It comes as soon as a frame is worse than
those before (`final` is false: more frames may follow), and for good when no frame has come for a
while; frames that come later still are counted on, and what they make worse is told at once.
"""

from __future__ import annotations

import pickle
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import bytewax.operators as op
from bytewax.dataflow import Stream, operator
from bytewax.operators import KeyedStream, StatefulBatchLogic
from msgspec import structs

from events.identity import shard_of, video_decision_id
from events.messages import Evidence, Signal
from events.records import Judgement
from operators.decide import Gravity

SHARDS: Final = tuple(f"videos-{number:02}" for number in range(16))
QUIET_S: Final = 60.0
"""Seconds without a frame after which the verdict is final."""
MAX_VIDEOS: Final = 1_000
"""Videos that a shard remembers, some kilobytes each; the one that was quiet longest goes first."""


@dataclass
class _Video:
    worst: Judgement
    created_at: datetime
    """When the first frame was posted: the same in every verdict, as it is part of the row's
    identity in the store."""
    scores: dict[str, float] = field(default_factory=dict)
    degraded: dict[str, None] = field(default_factory=dict)
    frames: int = 0
    seen_at: float = 0.0
    """When the last frame came, Unix seconds."""
    settled: bool = False
    """Whether there has been a final verdict since the last frame."""
    was_settled: bool = False
    """Whether there has ever been one."""


class Videos:
    """The videos of one shard. Times are Unix seconds of this machine's clock.

    Args:
        gravity: orders the decisions on frames; no part of the snapshot.
        saved: what `snapshot` gave.
    """

    def __init__(
        self,
        gravity: Gravity,
        saved: bytes | None = None,
        *,
        max_videos: int = MAX_VIDEOS,
    ) -> None:
        self._gravity = gravity
        self._max_videos = max_videos
        # S301: the snapshot comes from the recovery store that this job wrote itself.
        self._videos: OrderedDict[str, _Video] = (
            pickle.loads(saved) if saved else OrderedDict()  # noqa: S301
        )
        """By `parent_id`, in the order of their last frames."""

    def snapshot(self) -> bytes:
        """The state, for `saved`."""
        return pickle.dumps(self._videos)

    def observe(self, frames: Iterable[Judgement], now: float) -> list[Judgement]:
        """The verdicts on videos that these frames make worse, or that there is no room for."""
        worse: dict[str, None] = {}
        for frame in frames:
            if self._add(frame, now) and frame.decision.action != "allow":
                worse[frame.content.parent_id] = None
        verdicts = []
        for name in worse:
            video = self._videos[name]
            verdicts.append(_verdict(name, video, now, final=video.was_settled))
        while len(self._videos) > self._max_videos:
            name, video = self._videos.popitem(last=False)
            if not video.settled:
                verdicts.append(_verdict(name, video, now, final=True))
        return verdicts

    def settle(self, now: float) -> list[Judgement]:
        """The final verdicts on the videos that have been quiet."""
        return list(self._settled(now, now - QUIET_S))

    def finish(self, now: float) -> list[Judgement]:
        """The final verdicts on all videos that wait for one."""
        return list(self._settled(now, float("inf")))

    def due_at(self) -> float | None:
        """When `settle` will have something to say if no frame comes; None: never."""
        waiting = (video for video in self._videos.values() if not video.settled)
        first = next(waiting, None)
        return first.seen_at + QUIET_S if first else None

    def _add(self, frame: Judgement, now: float) -> bool:
        """Count a frame; whether its video is worse for it."""
        name, decision = frame.content.parent_id, frame.decision
        video = self._videos.pop(name, None)
        is_worse = video is None or self._gravity(decision) > self._gravity(video.worst.decision)
        video = video or _Video(frame, frame.content.created_at)
        self._videos[name] = video
        if is_worse:
            video.worst = frame
        # An edited frame is no further one.
        video.frames += decision.revision == 0
        video.seen_at, video.settled = now, False
        for category, score in decision.scores.items():
            video.scores[category] = max(score, video.scores.get(category, 0.0))
        video.degraded |= dict.fromkeys(decision.degraded)
        return is_worse

    def _settled(self, now: float, seen_until: float) -> Iterator[Judgement]:
        for name, video in self._videos.items():
            if video.seen_at > seen_until:
                return
            if not video.settled:
                video.settled = video.was_settled = True
                yield _verdict(name, video, now, final=True)


def _verdict(name: str, video: _Video, now: float, *, final: bool) -> Judgement:
    worst = video.worst.decision
    decision = structs.replace(
        worst,
        decision_id=video_decision_id(name, worst.decision_id, video.frames, final=final),
        content_id=name,
        revision=0,
        scores=dict(video.scores),
        signals=tuple(_in_frame(signal, worst.content_id) for signal in worst.signals),
        final=final,
        degraded=tuple(video.degraded),
        created_at=video.created_at,
        decided_at=datetime.fromtimestamp(now, UTC),
        frames=video.frames,
    )
    return Judgement(video.worst.content, decision)


def _in_frame(signal: Signal, frame: str) -> Signal:
    evidence = tuple(
        Evidence(f"frames.{frame}.{span.field}", span.start, span.end) for span in signal.evidence
    )
    return structs.replace(signal, evidence=evidence)


def video_frames(judgements: list[Judgement]) -> list[tuple[str, Judgement]]:
    """Final, live decisions on frames under the shard of their video, without text and images."""
    found = []
    for judgement in judgements:
        content, decision = judgement.content, judgement.decision
        if content.kind != "video_frame" or not content.parent_id:
            continue
        if decision.final and decision.mode == "live":
            bare = structs.replace(content, text="-", images=[])
            found.append((shard_of(content.parent_id, SHARDS), Judgement(bare, decision)))
    return found


class _Logic(StatefulBatchLogic[Judgement, Judgement, bytes]):
    def __init__(self, videos: Videos, finish: bool) -> None:
        self._videos = videos
        self._finish = finish

    def on_batch(self, values: list[Judgement]) -> tuple[Iterable[Judgement], bool]:
        return self._videos.observe(values, time.time()), self.RETAIN

    def on_notify(self) -> tuple[Iterable[Judgement], bool]:
        return self._videos.settle(time.time()), self.RETAIN

    def on_eof(self) -> tuple[Iterable[Judgement], bool]:
        return (self._videos.finish(time.time()) if self._finish else []), self.RETAIN

    def notify_at(self) -> datetime | None:
        due_at = self._videos.due_at()
        return None if due_at is None else datetime.fromtimestamp(due_at, UTC)

    def snapshot(self) -> bytes:
        return self._videos.snapshot()


@operator
def judge_videos(
    step_id: str, up: Stream[Judgement], gravity: Gravity, finish_at_eof: bool = True
) -> Stream[Judgement]:
    """Bytewax shell of `Videos`: of all judgements, the verdicts on videos."""

    def shim_build(resume: bytes | None) -> _Logic:
        return _Logic(Videos(gravity, resume), finish_at_eof)

    frames: KeyedStream[Judgement] = op.flat_map_batch("frames", up, video_frames)
    return op.key_rm("verdicts", op.stateful_batch("watch", frames, shim_build))
