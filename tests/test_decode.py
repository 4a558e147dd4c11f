"""Raw messages to items and dead letters: nothing is lost, nothing stops the job."""

import json

import pytest
from builders import content

from events.encode import encode
from events.messages import DeadLetter, Position
from events.records import Raw
from operators.decode import ContentDecoder
from operators.item import Item

BROKEN = b'{"content_id": "1"'


def raw(value: bytes, line: int = 1) -> Raw:
    return Raw(value, Position(file="f", line=line), 1000.0)


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_one_result_a_message_in_order(count: int) -> None:
    batch = [raw(encode(content(str(n))) if n % 2 else BROKEN, n + 1) for n in range(count)]
    results = ContentDecoder()(batch)
    assert [isinstance(result, Item) for result in results] == [n % 2 == 1 for n in range(count)]


def test_an_item_knows_where_and_when_it_came_from() -> None:
    [item] = ContentDecoder()([raw(encode(content("x")), 7)])
    assert isinstance(item, Item)
    assert (item.content.content_id, item.position.line, item.received_at) == ("x", 7, 1000.0)


def test_a_dead_letter_keeps_the_bytes_the_place_and_the_reason() -> None:
    [letter] = ContentDecoder()([raw(BROKEN + b"\xff", 9)])
    assert isinstance(letter, DeadLetter)
    assert letter.raw == BROKEN + b"\xff"
    assert letter.stage == "decode"
    assert letter.source == Position(file="f", line=9)
    assert json.loads(encode(letter))["source"] == {"file": "f", "line": 9}


def test_a_dead_letter_from_kafka_names_topic_partition_and_offset() -> None:
    place = Position(topic="t", partition=0, offset=0)
    [letter] = ContentDecoder()([Raw(b"", place, 0.0)])
    assert isinstance(letter, DeadLetter)
    assert json.loads(encode(letter))["source"] == {"topic": "t", "partition": 0, "offset": 0}


def test_unknown_fields_are_counted_over_batches() -> None:
    decoder = ContentDecoder()
    message = json.loads(encode(content())) | {"mood": "good"}
    for _ in range(3):
        decoder([raw(json.dumps(message).encode())])
    assert decoder.decoder.unknown_fields == 3
