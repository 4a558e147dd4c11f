"""Pictures leave a judgement before it waits for the store."""

import msgspec
import pytest
from builders import judgement
from msgspec.structs import replace

from events.messages import Image
from events.records import Judgement
from operators.picture_bytes import drop_picture_bytes

SENT = Image("i1", data=b"a picture")
NAMED = Image("i2", uri="https://example.org/cat.png")


@pytest.mark.parametrize("size", [0, 1, 2, 1000])
def test_batches_keep_their_order_and_everything_else(size: int) -> None:
    plain = [judgement(f"c{number}") for number in range(size)]
    sent = [replace(j, content=replace(j.content, images=[SENT, NAMED])) for j in plain]
    dropped = drop_picture_bytes(sent)
    assert [j.content.images for j in dropped] == [[Image("i1", data=b"\0"), NAMED]] * size
    assert [replace(j, content=replace(j.content, images=[])) for j in dropped] == plain
    assert drop_picture_bytes(plain) == plain


def test_what_is_left_can_be_held_in_the_recovery_store() -> None:
    sent = judgement()
    made = drop_picture_bytes([replace(sent, content=replace(sent.content, images=[SENT]))])
    held = msgspec.msgpack.encode(made)
    assert msgspec.msgpack.decode(held, type=list[Judgement]) == made
