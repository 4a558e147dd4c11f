"""The messages: every bound of the contract, and the one decode at each of them."""

import base64
import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.decode import DecodeError, Decoder
from events.encode import encode
from events.identity import alert_id, decision_id, label_id, shard_of, video_decision_id
from events.messages import (
    MAX_MESSAGE_BYTES,
    AlertKey,
    Appeal,
    Content,
    Image,
    Label,
    UserReport,
)
from events.schema import SCHEMA_DIR, TOPIC_MESSAGES, schema

GOOD: dict[str, Any] = {
    "content_id": "c1",
    "created_at": "2026-11-21T10:00:00Z",
    "author_id": "a1",
    "text": "hello",
}
IMAGE = {"image_id": "i", "data": base64.b64encode(b"x").decode()}


def decode(message: dict[str, Any] | bytes) -> Content:
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    return Decoder(Content)(raw)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("the least there is", {}),
        ("an id of one character", {"content_id": "x"}),
        ("an id of 128 characters", {"content_id": "x" * 128}),
        ("a text of 64 KiB", {"text": "x" * 65_536}),
        ("64 KiB in two-byte characters", {"text": "é" * 32_768}),
        ("an offset instead of Z", {"created_at": "2026-11-21T10:00:00.123+05:30"}),
        ("the first year", {"created_at": "1970-01-01T00:00:00Z"}),
        ("images instead of text", {"text": "", "images": [IMAGE]}),
        ("ten images", {"images": [IMAGE] * 10}),
        ("an image by uri", {"images": [{"image_id": "i", "uri": "file:///x.png"}]}),
        ("revision 0", {"revision": 0}),
        ("the highest revision", {"revision": 2**31 - 1}),
        ("a null character in the text", {"text": "a\0b"}),
    ],
)
def test_what_the_contract_allows_decodes(what: str, change: dict[str, Any]) -> None:
    message = GOOD | change
    assert decode(message).content_id == message["content_id"]


@pytest.mark.parametrize(
    ("what", "change", "reason"),
    [
        ("no id", {"content_id": None}, "content_id"),
        ("an empty id", {"content_id": ""}, "length >= 1 - at `$.content_id`"),
        ("an id of 129 characters", {"content_id": "x" * 129}, "length <= 128"),
        ("a number as id", {"content_id": 7}, "Expected `str`, got `int` - at `$.content_id`"),
        ("an empty author", {"author_id": ""}, "author_id"),
        ("a time without zone", {"created_at": "2026-11-21T10:00:00"}, "timezone"),
        ("a time that is none", {"created_at": "yesterday"}, "created_at"),
        ("a time before 1970", {"created_at": "1969-12-31T23:59:59Z"}, "1970"),
        ("a time that UTC cannot hold", {"created_at": "0001-01-01T00:00:00+14:00"}, "1970"),
        ("a time after 2105", {"author_created_at": "2106-01-01T00:00:00Z"}, "2105"),
        ("neither text nor images", {"text": ""}, "needs `text` or `images`"),
        ("70,000 characters", {"text": "x" * 70_000}, "70000 bytes long, at most 65536"),
        ("one byte more than 64 KiB", {"text": "x" * 65_537}, "65537 bytes"),
        ("64 KiB of characters but more bytes", {"text": "é" * 32_769}, "65538 bytes"),
        ("text null", {"text": None}, "`$.text`"),
        ("an unknown kind", {"kind": "poem"}, "poem"),
        ("a negative revision", {"revision": -1}, "revision"),
        ("eleven images", {"images": [IMAGE] * 11}, "length <= 10"),
        ("an image without bytes or uri", {"images": [{"image_id": "i"}]}, "`data` or `uri`"),
        ("an image with both", {"images": [IMAGE | {"uri": "file:///x"}]}, "`data` or `uri`"),
        ("an image that is no base64", {"images": [{"image_id": "i", "data": "!"}]}, "base64"),
    ],
)
def test_what_breaks_a_bound_says_which(what: str, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(DecodeError, match=r"^[^\n]+$") as error:
        decode(GOOD | change)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("what", "raw", "reason"),
    [
        ("nothing", b"", "not JSON"),
        ("cut JSON", json.dumps(GOOD).encode()[:-5], "not JSON"),
        ("null", b"null", "Expected `object`, got `null`"),
        ("a list", b"[]", "Expected `object`, got `array`"),
        ("two messages", json.dumps(GOOD).encode() * 2, "not JSON"),
        ("a byte order mark", b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "byte order mark"),
        ("invalid UTF-8", json.dumps(GOOD).encode().replace(b"hello", b"h\xffllo"), "not UTF-8"),
        ("UTF-16", json.dumps(GOOD).encode("utf-16"), "not JSON"),
        ("deep nesting", b'{"x":' * 100_000, "nested too deeply"),
        ("deep lists", b"[" * 100_000, "array"),
        (
            "NaN beside half a pair",
            rb'{"content_id": NaN, "text": "\ud83d"}',
            "not JSON: NaN is not",
        ),
        ("an escape of an escape", rb'{"x": 01, "text": "\\ud83d"}', "not JSON"),
        ("a number too large", rb'{"x": 1e999, "text": "\ud83d"}', "not JSON"),
    ],
)
def test_what_is_no_message_says_why(what: str, raw: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as error:
        decode(raw)
    assert reason in str(error.value)


def test_a_message_has_so_many_bytes_at_most() -> None:
    full = json.dumps(GOOD).encode().ljust(MAX_MESSAGE_BYTES)
    assert decode(full) == decode(GOOD)
    with pytest.raises(DecodeError, match=f"^{len(full) + 1} bytes long, at most {len(full)} are"):
        decode(full + b" ")


def test_a_short_reason_is_told_as_it_is() -> None:
    with pytest.raises(DecodeError, match=r"^Expected `object`, got `null`$"):
        decode(b"null")


def test_a_reason_is_short_and_names_the_field_whatever_the_value_is() -> None:
    with pytest.raises(DecodeError) as error:
        decode(GOOD | {"kind": "x" * 600_000})
    assert len(str(error.value)) < 500
    assert str(error.value).endswith("`$.kind`")


@pytest.mark.parametrize("half", [r"\ud83d", r"\uDE00", r"\ud83dx"])
def test_half_a_surrogate_pair_becomes_a_replacement_character(half: str) -> None:
    raw = json.dumps(GOOD).replace("hello", f"a{half}").encode()
    assert decode(raw).text.startswith("a\N{REPLACEMENT CHARACTER}")


def test_a_whole_surrogate_pair_is_its_character() -> None:
    raw = json.dumps(GOOD).replace("hello", r"\ud83d\ude00").encode()
    assert decode(raw).text == "\N{GRINNING FACE}"


def test_unknown_fields_are_left_out_and_counted() -> None:
    decoder = Decoder(Content)
    assert decoder(json.dumps(GOOD | {"mood": 1, "x": {"y": []}}).encode()) == decode(GOOD)
    assert decoder.unknown_fields == 2


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_say_why(raw: bytes) -> None:
    with contextlib.suppress(DecodeError):
        assert decode(raw).content_id


instants = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 (hypothesis adds the zone)
    max_value=datetime(2105, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
texts = st.text(min_size=1, max_size=200)
contents = st.builds(
    Content,
    content_id=st.text(min_size=1, max_size=128),
    created_at=instants,
    author_id=st.text(min_size=1, max_size=128),
    revision=st.integers(0, 2**31 - 1),
    author_created_at=st.none() | instants,
    text=texts,
    images=st.lists(
        st.builds(Image, image_id=st.just("i"), data=st.binary(min_size=1)), max_size=2
    ),
)


@given(contents)
def test_what_is_encoded_decodes_to_the_same(content: Content) -> None:
    assert decode(encode(content)) == content


def test_a_label_decodes_by_the_same_decoder() -> None:
    label = Label(
        label_id="l", content_id="c", revision=0, reviewer_id="r", action="block",
        category="spam", source="review", labeled_at=datetime.now(UTC),
    )  # fmt: skip
    assert Decoder(Label)(encode(label)) == label


LABEL = {
    "label_id": "l", "content_id": "c", "revision": 0, "reviewer_id": "m", "action": "allow",
    "category": "", "source": "review", "labeled_at": "2026-11-21T10:00:00Z",
}  # fmt: skip
REPORT = {
    "report_id": "r", "content_id": "c", "reporter_id": "u", "reported_at": "2026-11-21T10:00:00Z",
}  # fmt: skip
APPEAL = {
    "appeal_id": "a", "content_id": "c", "user_id": "u", "appealed_at": "2026-11-21T10:00:00Z",
}  # fmt: skip
ANSWER = {"state": "granted", "resolved_at": "2026-11-21T11:00:00Z"}


@pytest.mark.parametrize(
    ("message_type", "message"),
    [
        (UserReport, REPORT),
        (UserReport, REPORT | {"category": "spam", "reason": "x" * 65_536}),
        (Appeal, APPEAL),
        (Appeal, APPEAL | ANSWER),
        (Appeal, APPEAL | ANSWER | {"state": "denied", "reviewer_id": "m1"}),
    ],
    ids=["the least", "a reason of 64 KiB", "an open appeal", "a granted one", "a denied one"],
)
def test_reports_and_appeals_decode(message_type: Any, message: dict[str, Any]) -> None:
    made = Decoder(message_type)(json.dumps(message).encode())
    assert Decoder(message_type)(encode(made)) == made


@pytest.mark.parametrize(
    ("message_type", "message", "reason"),
    [
        (UserReport, REPORT | {"report_id": ""}, "report_id"),
        (UserReport, REPORT | {"reason": "x" * 65_537}, "`reason` is 65537 bytes"),
        (Appeal, APPEAL | {"statement": "é" * 32_769}, "`statement` is 65538 bytes"),
        (Appeal, APPEAL | {"state": "lost"}, "lost"),
        (Appeal, APPEAL | {"state": "granted"}, "`resolved_at` belongs to"),
        (Appeal, APPEAL | ANSWER | {"state": "open"}, "`resolved_at` belongs to"),
        (UserReport, REPORT | {"reported_at": "9999-12-31T22:30:00-12:00"}, "1970 and 2105"),
        (Appeal, APPEAL | {"appealed_at": "1969-12-31T23:59:59Z"}, "1970 and 2105"),
        (Appeal, APPEAL | ANSWER | {"resolved_at": "2106-01-01T00:00:00Z"}, "1970 and 2105"),
        (Label, LABEL | {"labeled_at": "0001-01-01T00:00:00Z"}, "1970 and 2105"),
    ],
)
def test_what_is_no_label_report_or_appeal_says_why(
    message_type: Any, message: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DecodeError, match=reason):
        Decoder(message_type)(json.dumps(message).encode())


@pytest.mark.parametrize("topic", TOPIC_MESSAGES)
def test_the_schema_files_are_those_of_the_types(topic: str) -> None:
    written = msgspec.json.decode((SCHEMA_DIR / f"{topic}.json").read_bytes())
    generated = msgspec.json.decode(msgspec.json.encode(schema(topic)))
    assert written == generated, "run `python -m events.schema`"
    jsonschema.Draft202012Validator.check_schema(written)


def test_the_schema_accepts_and_refuses_as_the_decoder_does() -> None:
    validator = jsonschema.Draft202012Validator(schema("content.submitted.v1"))
    validator.validate(GOOD)
    for change in ({"content_id": ""}, {"text": 7}, {"images": [IMAGE] * 11}, {"kind": "poem"}):
        assert not validator.is_valid(GOOD | change)


def test_decision_ids_are_the_same_for_a_repeat_and_differ_for_all_else() -> None:
    ids = [
        decision_id("c", 1),
        decision_id("c", 2),
        decision_id("c1", 1),
        decision_id("c", 1, mode="shadow"),
        decision_id("c", 1, final=False),
    ]
    assert len(set(ids)) == len(ids)
    assert decision_id("c", 1) == ids[0]


@pytest.mark.parametrize(
    ("made", "known"),
    [
        (decision_id("c", 1), "12f1ce0a0354a570bf3f171078ba3bc6"),
        (
            decision_id("é\ud83d", 12, mode="shadow", final=False),
            "77702bcd55436575094db9bc2f9d765e",
        ),
        (
            alert_id("surge", AlertKey("spam", "a", "b"), datetime(2026, 1, 1, tzinfo=UTC)),
            "cd3007a24bbfa3ec8713647b8c9f34de",
        ),
        (label_id("c", 1, "ann", "review"), "ad089b1330910bb2fff78c843d5a2cfe"),
        (video_decision_id("v", "f", 2, final=True), "3a2ffe5c8bc3fb0dd2de70496de3451d"),
        (video_decision_id("v", "f", 2, final=False), "63090aeb83f8fffe208e43e78fde659b"),
        (shard_of("c", ("x", "y", "z")), "x"),
        (shard_of("é", ("x", "y", "z")), "z"),
    ],
    ids=[
        "a decision", "two bytes a letter, a lone surrogate, no final answer", "an alert",
        "a label", "a video", "a video so far", "a shard", "a shard of a name beyond ASCII",
    ],
)  # fmt: skip
def test_ids_are_those_of_earlier_builds(made: str, known: str) -> None:
    """Else a repeat after an upgrade would be a second decision, and state would lie elsewhere."""
    assert made == known


def test_alert_ids_keep_their_parts_apart() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    first = alert_id("surge", AlertKey("spam", "a", "b"), at)
    assert first == alert_id("surge", AlertKey("spam", "a", "b"), at)
    assert first != alert_id("surge", AlertKey("spam", "ab", ""), at)
    assert first != alert_id("surge", AlertKey("spam", "a", "b"), at + timedelta(minutes=1))
