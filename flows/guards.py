"""The stages that may fail: how long each may take, and what is done without it.

What is lacking then, by category, is `operators.decide`'s business.
"""

from __future__ import annotations

from typing import Any, Final

from flows.health import ALIVE_S
from flows.metrics import STAGE_BROKEN
from operators.breaker import Breaker, Deadline
from operators.fusion import without_fusion
from operators.item import Item, Stage


def _has_text(item: Item) -> bool:
    return item.content.text != ""


def _has_images(item: Item) -> bool:
    return bool(item.content.images)


_GUARDS: Final[dict[str, dict[str, Any]]] = {
    # Some ten times what a batch takes: what is slower than that hangs or starves. A worker that
    # waited for longer would be taken for one that hangs, restarted, and meet the same batch.
    "text_score": {"deadline": Deadline(5.0, 0.02, most_s=ALIVE_S * 0.75), "sees": _has_text},
    # A hundred small trees over numbers: nothing to wait for.
    "fusion": {"deadline": None, "without": without_fusion},
    # Models of images are loaded with the first one; ten images of 10 MiB take seconds to open.
    "image_hash": {"deadline": Deadline(10.0, 3.0), "sees": _has_images},
    "image_score": {"deadline": Deadline(15.0, 3.0), "sees": _has_images},
    # Stops reading after half a minute by itself.
    "ocr": {"deadline": Deadline(60.0, 0.5), "sees": _has_images},
}


def observe(breaker: Breaker) -> None:
    """Tell Prometheus whether the stage works, for a job."""
    STAGE_BROKEN.labels(breaker.name).set_function(lambda: breaker.broken)


def guarded(name: str, stage: Stage) -> tuple[str, Breaker]:
    """`stage` with its name, within the deadline of its kind, left alone while it is broken."""
    return name, Breaker(name, stage, **_GUARDS[name])
