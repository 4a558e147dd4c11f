"""What the contents of one campaign share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.signature import link_domain, registrable_domain, signature, text_cluster


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("example.com", "example.com"),
        ("a.b.EXAMPLE.com", "example.com"),
        ("a.example.co.uk", "example.co.uk"),  # a second level under which the registry sells
        ("a.example.de", "example.de"),
        ("shop.someone.github.io", "someone.github.io"),  # the customer owns the subdomain
        ("10.0.0.1", "10.0.0.1"),
        ("localhost", "localhost"),
        ("..", ""),
    ],
)
def test_registrable_domain(host: str, domain: str) -> None:
    assert registrable_domain(host) == domain


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("see https://x.example.com/a?b=c", "example.com"),
        ("HTTP://EXAMPLE.COM", "example.com"),
        ("www.example.com", "example.com"),
        ("http://user@example.com:8080/x", "example.com"),
        ("first http://a.com then http://b.com", "a.com"),
        ("join https://t.me/someone now", "t.me/someone"),  # many owners share t.me
        ("(http://example.com)", "example.com"),
        ("no link: example dot com", ""),
        ("http://", ""),
        ("\ud800 http://example.com", "example.com"),  # a lone surrogate
        ("x" * 2_000 + " http://example.com", ""),  # beyond what is looked at
    ],
)
def test_link_domain(text: str, domain: str) -> None:
    assert link_domain(text) == domain


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("Buy cheap pills", "buy  CHEAP, pills!", True),  # case, space, punctuation
        ("win 100 dollars", "win 250 dollars", True),  # numbers
        ("ｂｕｙ cheap pills", "buy cheap pills", True),  # width
        ("hello there", "good evening", False),
        ("", "", True),
    ],
)
def test_text_cluster(a: str, b: str, same: bool) -> None:
    assert (text_cluster(a) == text_cluster(b)) is same


def test_copies_of_a_template_mostly_share_a_cluster() -> None:
    template = (
        "hello {} did you see that the new offer is open for our best members until friday night"
    )
    clusters = [text_cluster(template.format(f"name{n}")) for n in range(200)]
    most = max(clusters.count(cluster) for cluster in set(clusters))
    assert most >= 150


def test_a_picture_without_words_is_known_by_its_bytes() -> None:
    assert signature("", [b"a"]) == signature("!!", [b"a"]) != signature("", [b"b"])
    assert signature("") == ""
    assert signature("", ["s3://bucket/x"]).startswith("image:")


@given(st.text(st.characters(), max_size=3_000))  # surrogates too
def test_any_text_has_a_short_and_stable_signature(text: str) -> None:
    assert signature(text) == signature(text)
    assert len(signature(text)) <= 128
