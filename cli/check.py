"""`breakwater check`: one item through the whole chain, with every signal and why."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.errors import UsageError
from cli.terminal import printable, write_out
from events.encode import encode
from events.messages import (
    MAX_IMAGE_BYTES,
    MAX_TEXT_BYTES,
    Content,
    Decision,
    Evidence,
    Image,
    Position,
)
from events.reason import failed_closed
from flows.settings import load_settings
from flows.stages import load_stages
from operators.item import Item

_ACTION_STYLE = {"allow": "green", "review": "yellow", "block": "red"}


def check_item(text: str, image: Path | None, *, as_json: bool) -> None:
    """Decide on `text` and `image` and print the decision with its evidence.

    The rules and policies are those in force: of the policy directory, with the pushed ones over
    them.

    Raises:
        UsageError: there is nothing to check, or it is too large, or the image cannot be read.
    """
    if text == "-":
        text = sys.stdin.buffer.read(MAX_TEXT_BYTES + 1).decode("utf-8", "replace")
    content = _content(text, image)
    stages = load_stages(load_settings(), thorough=True)
    decision = stages.judge([Item(content, Position(), time.time())])[0].decision
    if as_json:
        write_out(encode(decision) + b"\n")
    else:
        _show(decision, content, Console(highlight=False))


def _content(text: str, image: Path | None) -> Content:
    # An argument that is not UTF-8 comes with lone surrogates, as PEP 383 puts it.
    text = text.encode("utf-8", "replace").decode()
    try:
        images = [Image(image.name, _read(image))] if image else []
        raw = Content("check", datetime.now(UTC), "check", text=text, images=images)
        return msgspec.convert(raw, Content, from_attributes=True)
    except OSError as error:
        raise UsageError(f"{image}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{error}; give a TEXT, `-` for standard input, or --image") from None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_IMAGE_BYTES + 1)


def _show(decision: Decision, content: Content, console: Console) -> None:
    verdict = Text(decision.action.upper(), style=f"bold {_ACTION_STYLE[decision.action]}")
    if decision.category:
        verdict.append(f"  {decision.category}", style="bold")
    if failed_closed(decision):
        verdict.append("  (failed closed)")
    console.print(verdict)
    if content.text:
        spans = [at for signal in decision.signals for at in signal.evidence if at.field == "text"]
        console.print(_marked(content.text, spans))
    if decision.degraded:
        console.print(Text(f"decided without: {', '.join(decision.degraded)}", style="yellow"))
    scores = Table("category", "score", "", box=None, header_style="dim")
    for category, score in sorted(decision.scores.items(), key=lambda pair: -pair[1]):
        scores.add_row(category, f"{score:.3f}", "▇" * round(score * 30))
    console.print(scores)
    if decision.signals:
        signals = Table("stage", "rule", "category", "score", "seen", box=None, header_style="dim")
        for signal in decision.signals:
            seen = ", ".join(_quote(content.text, at) for at in signal.evidence)
            signals.add_row(
                signal.stage, Text(signal.rule), signal.category, f"{signal.score:.3f}", Text(seen)
            )
        console.print(signals)


def _marked(text: str, spans: Iterable[Evidence]) -> Text:
    shown = Text(printable(text, keep="\n"))
    for span in spans:
        shown.stylize("bold reverse", span.start, span.end)
    return shown


def _quote(text: str, at: Evidence) -> str:
    quoted = printable(text[at.start : at.end], keep="\n")
    return f"“{quoted}”" if at.field == "text" else at.field
