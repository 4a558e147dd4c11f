"""`breakwater dead-letters`: what could not be used, why, and sending it once more."""

from __future__ import annotations

import heapq
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.table import Table
from rich.text import Text

from cli.errors import UsageError
from cli.letters import identity_of, letters, named, position_text, producer_of
from cli.terminal import printable, table_console
from events.decode import DecodeError
from events.messages import DeadLetter
from flows.settings import Settings, load_settings

app = typer.Typer(
    help="Messages that could not be used: list, show, send again.", no_args_is_help=True
)

_NUMBER = re.compile(r"(^|[^\w-])[0-9]+\b")
REPLAYED = "replayed.txt"
"""In the output directory: identities of the letters that were sent again, a line each."""
BATCH_BYTES = 64 * 1024 * 1024
"""Messages are sent again, and remembered as sent, so many bytes at a time."""

Input = Annotated[
    Path | None,
    typer.Option(help="A dead_letters.jsonl; without it Kafka, or else the output directory's."),
]
Reason = Annotated[str, typer.Option(help="Only letters whose reason contains this.")]
Producer = Annotated[
    str, typer.Option(help="Only letters from this TOPIC/PARTITION, file or stdin.")
]


@dataclass(frozen=True, order=True)
class _Listed:
    """What a list shows of a letter; the bytes themselves may be many."""

    failed_at: datetime
    position: str
    stage: str
    error: str
    size: int


class _Message(NamedTuple):
    """What is sent again for a letter."""

    key: str
    value: bytes
    position: str
    letter: str
    """The letter's identity."""
    topic: str


@app.command("list", epilog="Example: breakwater dead-letters list --reason 'not JSON' --page 2")
def list_letters(
    reason: Reason = "",
    producer: Producer = "",
    summary: Annotated[
        bool, typer.Option("--summary", help="How many of each producer and kind of reason.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Letters a page.")] = 50,
    page: Annotated[int, typer.Option(min=1, max=1_000, help="The first has the newest.")] = 1,
    input: Input = None,  # noqa: A002 (the option's name)
) -> None:
    """Show dead letters, the newest first: position, stage, reason, size."""
    found = letters(load_settings(), input, reason, producer)
    if summary:
        _print_summary(found)
        return
    count = 0

    def listed() -> Iterator[_Listed]:
        nonlocal count
        for letter in found:
            count += 1
            yield _Listed(
                letter.failed_at,
                position_text(letter.source),
                letter.stage,
                letter.error,
                letter.size or len(letter.raw),
            )

    newest = heapq.nlargest(page * limit, listed())[(page - 1) * limit :]
    pages = max(1, -(-count // limit))
    if page > pages:
        raise UsageError(f"there is no page {page}: {count} dead letters, pages 1 to {pages}")
    table = Table("position", "failed", "stage", "bytes", "reason", box=None)
    for each in newest:
        cells = (each.position, f"{each.failed_at:%Y-%m-%d %H:%M:%S}", each.stage, str(each.size))
        table.add_row(*(Text(printable(cell)) for cell in (*cells, each.error[:200])))
    table_console().print(table)
    typer.echo(f"{count} dead letters, page {page} of {pages}" if count else "no dead letters")


@app.command(epilog="Example: breakwater dead-letters show content.submitted.v1/3/1207")
def show(
    position: Annotated[str, typer.Argument(help="As `breakwater dead-letters list` names it.")],
    limit: Annotated[int, typer.Option("--bytes", min=0, help="How many bytes to show.")] = 1024,
    raw: Annotated[
        bool, typer.Option("--raw", help="Only the bytes as they came, for a file or a pipe.")
    ] = False,
    input: Input = None,  # noqa: A002 (the option's name)
) -> None:
    """Show one dead letter: where it stood, why it was refused, its bytes in hex and as text."""
    found = letters(load_settings(), input)
    letter = next((each for each in found if position_text(each.source) == named(position)), None)
    if letter is None:
        raise UsageError(f"no dead letter at {position!r}: see `breakwater dead-letters list`")
    if raw:
        if sys.stdout.isatty():
            raise UsageError(
                "--raw: refusing to print untrusted bytes to a terminal: redirect the output"
            )
        sys.stdout.buffer.write(letter.raw)
        return
    typer.echo(f"position  {printable(position_text(letter.source))}")
    stage = printable(letter.stage)
    typer.echo(f"failed    {letter.failed_at:%Y-%m-%d %H:%M:%S} UTC, in stage {stage}")
    typer.echo(f"reason    {printable(letter.error)}")
    typer.echo(f"bytes     {letter.size or len(letter.raw)}")
    for line in hex_dump(letter.raw[:limit]):
        typer.echo(line)


@app.command(epilog="Example: breakwater dead-letters replay --reason 'not UTF-8' --dry-run")
def replay(
    positions: Annotated[
        list[str] | None, typer.Argument(help="As `breakwater dead-letters list` names them.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every letter that the other options match.")
    ] = False,
    reason: Reason = "",
    producer: Producer = "",
    corrected: Annotated[
        Path | None, typer.Option("--with", help="A file with the corrected bytes of the one.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = (
        False
    ),
    input: Input = None,  # noqa: A002 (the option's name)
) -> None:
    """Send the bytes of dead letters back to their topic, each letter once.

    What would be refused again is not sent. Those of a file go to the content topic; without Kafka,
    contents go into `replay.jsonl` in the output directory, for `breakwater run --input` with
    another --output.
    """
    if not (positions or every or reason or producer):
        raise UsageError("name positions, --reason, --producer or --all")
    if corrected is not None and len(positions or ()) != 1:
        raise UsageError("--with: name the one position that the file is the corrected bytes of")
    settings = load_settings()
    told = Counter[str]()
    wanted = _Replay(settings, corrected.read_bytes() if corrected is not None else None, told)
    asked = {named(position) for position in positions or ()}
    chosen = (
        letter
        for letter in letters(settings, input, reason, producer)
        if not asked or position_text(letter.source) in asked
    )
    for batch in _batches(wanted.usable(chosen)):
        if not dry_run:
            wanted.send(batch)
        for message in batch:
            where = message.topic if settings.kafka_brokers else wanted.file
            told[f"{'would be sent' if dry_run else 'sent'} to {where}"] += 1
    for what, count in sorted(told.items()):
        typer.echo(f"{count} {what}")
    if not told:
        raise UsageError("no dead letter is there: see `breakwater dead-letters list`")
    if {"still cannot be used", "not sent"} & told.keys():
        raise typer.Exit(1)


class _Replay:
    """What of some letters can be sent again now, and the sending."""

    def __init__(self, settings: Settings, corrected: bytes | None, told: Counter[str]) -> None:
        from flows.sinks import kafka_config

        self.file = settings.output / "replay.jsonl"
        self._config = kafka_config(settings) if settings.kafka_brokers else None
        self._ledger = settings.output / REPLAYED
        self._done = (
            set(self._ledger.read_text().splitlines()) if self._ledger.is_file() else set[str]()
        )
        self._corrected = corrected
        self._told = told

    def usable(self, letters: Iterable[DeadLetter]) -> Iterator[_Message]:
        """What each letter that decodes now, and was not sent yet, is sent again as."""
        from connectors.dead_letters import DECODERS
        from connectors.kafka import CONTENT_TOPIC

        for letter in letters:
            position, identity = position_text(letter.source), identity_of(letter)
            if identity in self._done:
                self._told["were sent before"] += 1
                continue
            value = self._corrected if self._corrected is not None else letter.raw
            if letter.size and self._corrected is None:
                self._told["still cannot be used"] += 1
                typer.echo(
                    f"{printable(position)}: the letter has the first {len(letter.raw)} of"
                    f" {letter.size} bytes; ClickHouse has all of them (moderation.dead_letters)",
                    err=True,
                )
                continue
            topic = letter.source.topic if letter.source.topic in DECODERS else CONTENT_TOPIC
            try:
                message = DECODERS[topic](value)
            except DecodeError as error:
                self._told["still cannot be used"] += 1
                typer.echo(f"{printable(position)}: {printable(str(error))}", err=True)
                continue
            if topic != CONTENT_TOPIC and self._config is None:
                self._told["not sent"] += 1
                typer.echo(f"{position}: set BREAKWATER_KAFKA_BROKERS to send it", err=True)
                continue
            self._done.add(identity)
            yield _Message(message.content_id, value, position, identity, topic)

    def send(self, batch: list[_Message]) -> None:
        """Send and remember; a crash between the two sends contents twice, which has one effect."""
        self._ledger.parent.mkdir(parents=True, exist_ok=True)
        if self._config is not None:
            from connectors.dead_letters import resend

            for topic in dict.fromkeys(message.topic for message in batch):
                resend(self._config, [sent[:3] for sent in batch if sent.topic == topic], topic)
        else:
            with self.file.open("ab") as file:
                # What decodes has newlines only between tokens.
                file.writelines(sent.value.replace(b"\n", b" ") + b"\n" for sent in batch)
        with self._ledger.open("a") as ledger:
            ledger.writelines(f"{sent.letter}\n" for sent in batch)


def hex_dump(data: bytes) -> Iterator[str]:
    """Lines of 16 bytes: offset, hex, and the printable ASCII of them."""
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{start:08x}  {row.hex(' '):<47}  {text}"


def _print_summary(letters: Iterable[DeadLetter]) -> None:
    counts = Counter(
        (producer_of(letter.source), letter.stage, _NUMBER.sub(r"\1N", letter.error)[:200])
        for letter in letters
    )
    table = Table("producer", "stage", "kind of reason", "letters", box=None)
    for row, count in counts.most_common(200):
        table.add_row(*(Text(printable(cell)) for cell in (*row, str(count))))
    table_console().print(table)


def _batches(messages: Iterable[_Message]) -> Iterator[list[_Message]]:
    batch: list[_Message] = []
    size = 0
    for message in messages:
        batch.append(message)
        size += len(message.value)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
