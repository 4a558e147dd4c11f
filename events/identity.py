"""Deterministic ids, so that consumers can drop repeats; deterministic choices by them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from zlib import crc32

from events.messages import AlertKey, LabelSource, Mode


def _digest(*parts: str) -> str:
    # The length before each part keeps ("ab", "c") and ("a", "bc") apart.
    return _hash("".join([f"{len(part)}:{part}" for part in parts]))


def _hash(joined: str) -> str:
    return blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def crc(name: str) -> int:
    """A number of 32 bits of `name`, the same in every process and every run."""
    return crc32(name.encode("utf-8", "replace"))


def shard_of(name: str, shards: Sequence[str]) -> str:
    """The one of `shards` that `name` belongs to, the same in every process and every run."""
    return shards[crc(name) % len(shards)]


def decision_id(content_id: str, revision: int, *, mode: Mode = "live", final: bool = True) -> str:
    """Id of the decision on a content: 32 hex digits, equal for every repeat of the message."""
    number, answer = str(revision), "final" if final else "quick"
    # `_digest` of these, for every content: its loop would take as long as the hash.
    return _hash(
        f"8:decision{len(content_id)}:{content_id}{len(number)}:{number}{len(mode)}:{mode}5:{answer}"
    )


def video_decision_id(parent_id: str, worst_frame: str, frames: int, *, final: bool) -> str:
    """Id of a verdict on a video: 32 hex digits, other ones for another worst decision or count."""
    return _digest("video", parent_id, worst_frame, str(frames), "final" if final else "quick")


def alert_id(kind: str, key: AlertKey, opened_at: datetime) -> str:
    """Id of an alert from its opening to its end: 32 hex digits."""
    return _digest("alert", kind, key.category, key.signature, key.community, opened_at.isoformat())


def label_id(content_id: str, revision: int, reviewer_id: str, source: LabelSource) -> str:
    """Id of a reviewer's label of a content: answering again replaces the first answer."""
    return _digest("label", content_id, str(revision), reviewer_id, source)
