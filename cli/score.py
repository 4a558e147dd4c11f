"""`breakwater score`: texts and images of a file in batches, without the stream around."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import typer

from cli.errors import UsageError
from cli.terminal import write_out
from events.decode import DecodeError, Decoder
from events.messages import MAX_IMAGE_BYTES, Content, Image, Position
from events.records import Judgement, ScoreRequest
from flows.settings import load_settings
from flows.stages import Stages, load_stages
from models.fusion.fusion import FusionModel
from operators.item import Item

BATCH = 256


def score_lines(file: str, *, use_rules: bool) -> None:
    """Print {id, scores, action, stage} for each line of `file`, or {id, error}, in order.

    Where a stage could not score, as with an image that does not decode, `degraded` names it.

    Raises:
        UsageError: the file cannot be read.
        typer.Exit: with 1, when a line could not be scored.
    """
    stages = load_stages(load_settings(redis_url=None), use_rules=use_rules)
    failed = False
    with _open(file) as lines:
        while batch := list(islice(lines, BATCH)):
            for answer in score_batch(batch, stages):
                failed |= "error" in answer
                write_out(msgspec.json.encode(answer) + b"\n")
            sys.stdout.flush()
    if failed:
        raise typer.Exit(1)


def score_batch(lines: Iterable[bytes], stages: Stages) -> list[dict[str, Any]]:
    """One answer a line that is not blank, in order: {id, scores, action, stage} or {id, error}."""
    decoder = Decoder(ScoreRequest)
    answers: list[dict[str, Any]] = []
    items: list[Item] = []
    rows: list[int] = []
    for line in lines:
        if not line.strip():
            continue
        answer: dict[str, Any] = {"id": None}
        answers.append(answer)
        try:
            request = decoder(line)
            answer["id"] = request.id
            items.append(_item(request))
            rows.append(len(answers) - 1)
        except (DecodeError, OSError, ValueError) as error:
            answer |= {"id": _id(line, answer["id"]), "error": str(error)}
    for row, judgement in zip(rows, stages.judge(items), strict=True):
        answers[row] |= _answer(judgement)
    return answers


def _id(line: bytes, known: int | str | None) -> int | str | None:
    """The id of a line that is no request, as far as it can be read."""
    try:
        return msgspec.json.decode(line, type=_Named).id if known is None else known
    except (ValueError, RecursionError):
        return None


class _Named(msgspec.Struct):
    id: int | str | None = None


def _item(request: ScoreRequest) -> Item:
    if request.text is None and not request.image:
        raise ValueError("has neither `text` nor `image`")
    images = []
    if request.image:
        with Path(request.image).open("rb") as file:
            data = file.read(MAX_IMAGE_BYTES + 1)
        if len(data) > MAX_IMAGE_BYTES:
            raise ValueError(f"{request.image} is larger than {MAX_IMAGE_BYTES} bytes")
        images = [Image(image_id=Path(request.image).name[:128] or "image", data=data)]
    # A content needs something: an empty text is scored as a blank.
    text = request.text or ("" if images else " ")
    content = Content("score", datetime.now(UTC), "score", text=text, images=images)
    return Item(content, Position(), time.time())


def _answer(judgement: Judgement) -> dict[str, Any]:
    decision = judgement.decision
    answer = {
        "scores": {category: round(score, 6) for category, score in decision.scores.items()},
        "action": decision.action,
        "stage": settling_stage(judgement),
    }
    return answer | ({"degraded": decision.degraded} if decision.degraded else {})


def settling_stage(judgement: Judgement) -> str:
    """The stage of the strongest signal of the decision's category, else its last model."""
    decision = judgement.decision
    found = [signal for signal in decision.signals if signal.category == decision.category]
    if decision.category and found:
        return max(found, key=lambda signal: signal.score).stage
    models = [output.model for output in judgement.outputs if output.model != FusionModel.name]
    return models[-1] if models else ""


def _open(file: str) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
