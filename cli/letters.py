"""Dead letters as the commands find and name them."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from cli.errors import UsageError
from events.messages import DeadLetter, Position
from flows.settings import Settings

_STDIN = "stdin"
"""Its name here: the `-` of a position would be taken for an option."""


def position_text(source: Position) -> str:
    """A position as the commands name it: TOPIC/PARTITION/OFFSET, FILE:LINE or stdin:LINE."""
    if source.topic:
        return f"{source.topic}/{source.partition}/{source.offset}"
    return f"{producer_of(source)}:{source.line}"


def producer_of(source: Position) -> str:
    """TOPIC/PARTITION, a file, or stdin."""
    if source.topic:
        return f"{source.topic}/{source.partition}"
    return named(source.file)


def named(text: str) -> str:
    """A position or producer as a person typed it: `-` too is standard input."""
    return f"{_STDIN}{text[1:]}" if text == "-" or text.startswith("-:") else text


def identity_of(letter: DeadLetter) -> str:
    """Position and bytes: the lines of a file, or of standard input, are others in each run."""
    return f"{position_text(letter.source)} {sha256(letter.raw).hexdigest()[:16]}"


def letters(
    settings: Settings, path: Path | None, reason: str = "", producer: str = ""
) -> Iterator[DeadLetter]:
    """The letters that are asked for, each once: the topic may hold one twice."""
    seen: set[str] = set()
    for letter in _all(settings, path):
        identity = identity_of(letter)
        from_there = named(producer) in ("", producer_of(letter.source))
        if identity not in seen and from_there and reason in letter.error:
            seen.add(identity)
            yield letter


def _all(settings: Settings, path: Path | None) -> Iterator[DeadLetter]:
    # Imported here: `--help` need not wait for the clients of Kafka and ClickHouse.
    from connectors.dead_letters import read_file, read_topic
    from flows.sinks import kafka_config

    if path is None and settings.kafka_brokers:
        yield from read_topic(kafka_config(settings))
        return
    path = path or settings.output / "dead_letters.jsonl"
    try:
        yield from read_file(path)
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}: name a dead_letters.jsonl with --input, or set"
            " BREAKWATER_KAFKA_BROKERS"
        ) from None
    except ValueError as error:
        raise UsageError(str(error)) from None
