"""What the contents of one campaign share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.signature import link_domain, registrable_domain, signatures, text_cluster


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


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("win big at http://a.example/1", ["a.example", "text:"]),
        ("http://a.example/1", ["a.example"]),  # a link alone has no wording
        ("words alone", ["text:"]),
        ("", []),
    ],
)
def test_a_link_and_the_wording_around_it_each_name_a_campaign(text: str, kinds: list[str]) -> None:
    assert [name[: len(kind)] for name, kind in zip(signatures(text), kinds, strict=True)] == kinds


def test_throwaway_domains_do_not_hide_one_wording() -> None:
    texts = [f"http://x{n}.example/ is where our members win" for n in range(9)]
    assert len({signatures(text)[1] for text in texts}) == 1


def test_a_picture_without_words_is_known_by_its_bytes() -> None:
    assert signatures("", [b"a"]) == signatures("!!", [b"a"]) != signatures("", [b"b"])
    assert signatures("", ["s3://bucket/x"])[0].startswith("image:")


@given(st.text(st.characters(), max_size=3_000))  # surrogates too
def test_any_text_has_short_and_stable_signatures(text: str) -> None:
    assert signatures(text) == signatures(text)
    assert all(0 < len(name) <= 128 for name in signatures(text))
