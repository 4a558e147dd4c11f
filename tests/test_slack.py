"""What Slack is sent, and what its answers mean."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from alert_samples import OPEN, UNREADABLE, answering
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from connectors.alert_text import first_command
from connectors.outbox import PermanentError, RetryLater
from connectors.slack import SlackSender, blocks, escape, fallback
from events.messages import AlertKey


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("<!channel>", "&lt;!channel&gt;"),
        (
            "<@U123> <https://evil.example|click>",
            "&lt;@U123&gt; &lt;https://evil.example|click&gt;",
        ),
        ("a & b", "a &amp; b"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_escape(raw: str, shown: str) -> None:
    assert escape(raw) == shown


def test_the_message_says_what_how_much_since_when_and_what_to_do() -> None:
    text = json.dumps(blocks(OPEN), ensure_ascii=False)
    for part in (
        "spam", "evil[.]example", "music", "40 / 2.5", "9.1", "about 31", "2026-03-02 12:00",
        "44 / 51", "▁▁▂█", "c1, c2", "“win <big> at http://evil[.]example”",
        first_command(OPEN), "docs/playbook/surge.md", OPEN.alert_id,
    ):  # fmt: skip
        assert part in text
    assert "evil.example" not in text  # nothing that can be clicked


def texts(part: Any, kind: str = "") -> list[str]:
    """All texts in a message; `kind`: mrkdwn or plain_text alone."""
    if isinstance(part, dict):
        is_one = isinstance(part.get("text"), str) and kind in ("", part["type"])
        found = [part["text"]] if is_one else []
        return found + [text for value in part.values() for text in texts(value, kind)]
    return [text for value in part for text in texts(value, kind)] if isinstance(part, list) else []


@given(st.text(max_size=2_000), st.lists(st.text(max_size=128), max_size=5))
def test_no_user_text_can_mention_anybody_or_break_slacks_bounds(text: str, ids: list[str]) -> None:
    hostile = msgspec.structs.replace(
        OPEN,
        summary=text,
        key=AlertKey("spam", text[:128], text[:256]),
        examples=tuple(ids),
        texts=(text,) * 4,
    )
    made = blocks(hostile)
    assert len(made) <= 50
    assert all(0 < len(shown) <= 2_000 for shown in texts(made))
    # Slack acts on nothing in a plain text.
    marked = [shown for shown in texts(made, "mrkdwn") if "<" in shown or ">" in shown]
    assert marked == []
    assert len(fallback(hostile)) <= 3_000


def test_success_is_200_with_ok(httpserver: HTTPServer) -> None:
    httpserver.expect_oneshot_request("/hook", method="POST").respond_with_data("ok")
    SlackSender(httpserver.url_for("/hook")).send(OPEN)
    body = httpserver.log[0][0].get_json()
    assert body["text"] == fallback(OPEN)
    assert body["blocks"] == blocks(OPEN)


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"Retry-After": "30"}, 30.0),
        (429, {"Retry-After": "soon"}, None),
        (429, {"Retry-After": "1e9"}, 3_600.0),
        (429, {}, None),
        (403, {}, None),
        (408, {}, None),
        (500, {}, None),
        (503, {"Retry-After": "5"}, 5.0),
    ],
)
def test_what_may_pass_is_tried_again(
    httpserver: HTTPServer, status: int, headers: dict[str, str], seconds: float | None
) -> None:
    httpserver.expect_request("/hook").respond_with_data("busy", status=status, headers=headers)
    with pytest.raises(RetryLater) as error:
        SlackSender(httpserver.url_for("/hook")).send(OPEN)
    assert error.value.seconds == seconds


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, "invalid_blocks"), (404, "no_service"), (410, "channel_is_archived"), (413, "too much")],
)
def test_what_is_refused_for_good(httpserver: HTTPServer, status: int, body: str) -> None:
    httpserver.expect_request("/hook").respond_with_data(body, status=status)
    with pytest.raises(PermanentError, match=body):
        SlackSender(httpserver.url_for("/hook")).send(OPEN)


def test_what_is_no_answer_of_slacks_is_tried_again(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("<html>Sign in to the guest network")
    with pytest.raises(RetryLater, match="Sign in"):
        SlackSender(httpserver.url_for("/hook")).send(OPEN)


def test_slack_makes_no_links_of_what_looks_like_a_domain() -> None:
    marked = [part for part in blocks(OPEN) if part["type"] == "section" and "text" in part]
    assert marked
    for part in marked:
        assert part["text"].get("verbatim", part["text"]["type"] == "plain_text")


def test_an_unreachable_slack_is_tried_again() -> None:
    with pytest.raises(RetryLater):
        SlackSender("http://127.0.0.1:1/hook").send(OPEN)


@pytest.mark.parametrize("what", UNREADABLE)
def test_an_answer_that_cannot_be_read_is_tried_again(what: str) -> None:
    with answering(UNREADABLE[what]) as url, pytest.raises(RetryLater):
        SlackSender(url).send(OPEN)
