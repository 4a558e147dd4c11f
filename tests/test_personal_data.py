"""Personal data: what is found, what is left alone, and that offsets into the text stay right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import PolicyError
from policy.personal_data import has_check_digit, redactor
from policy.policy import BUILT_IN, load_policy, parse_policy

ALL = ("email", "card", "ip", "phone")


def stripped(text: str, *kinds: str) -> str:
    redact = redactor(dict.fromkeys(kinds or ALL, "strip"))
    assert redact is not None
    return redact([text])[0]


FOUND = {
    "email": [
        ("mail ", "a.b+c@example.co.uk", " now"), ("", "x@y.zz", ", x"), ("é ", "ü@bücher.de", "."),
    ],
    "card": [
        ("", "4111111111111111", ""), ("order 12 ", "4111 1111 1111 1111", " x"),
        ("(", "5500-0000-0000-0004", ")"), ("amex ", "378282246310005", ""),
        ("", "3782 822463 10005", "."),
    ],
    "ip": [("from ", "192.168.0.1", ","), ("[", "2001:db8::7", "]"), ("", "fe80::1", " x")],
    "phone": [
        ("call ", "+49 (0) 30 1234567", "!"), ("", "00 33 1 23 45 67 89", ""),
        ("", "(415) 555-2671", " or"), ("", "415-555-2671", ""), ("", "1 415 555 2671", ""),
        ("", "4155552671", ""), ("tel. ", "0171/1234567", ""), ("", "030 1234567", ""),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "before", "value", "after"),
    [(kind, *case) for kind, cases in FOUND.items() for case in cases],
)
def test_is_found_and_nothing_around_it(kind, before, value, after):
    assert stripped(f"{before}{value}{after}", kind) == f"{before}{'*' * len(value)}{after}"


@pytest.mark.parametrize(
    "text",
    [
        "no data at all", "meet @home at 7", "a@b", "2026-11-21 10:00", "05.11.2026", "5/11/2026",
        "price 1,000,000", "1700000000", "12:30:45", "std::vector a::b", "999.1.1.1",
        "version 1.2.3.4.5", "4111-1111-1111-1112", "room 0815", "x4155552671", "100%", "3.14159",
    ],
)  # fmt: skip
def test_is_left_alone(text):
    assert stripped(text) == text


@pytest.mark.parametrize("kind", ALL)
def test_only_what_the_policy_names_is_touched(kind):
    others = [value for other in ALL if other != kind for _, value, _ in FOUND[other][:2]]
    text = " | ".join(others)
    assert stripped(text, kind) == text


@pytest.mark.parametrize(
    ("digits", "right"),
    [("0", True), ("18", True), ("17", False), ("79927398713", True), ("79927398710", False)],
)
def test_luhn(digits, right):
    assert has_check_digit(digits) is right


def test_a_token_is_the_same_for_the_same_value_however_it_is_written():
    redact = redactor(dict.fromkeys(ALL, "token"), b"key")
    other = redactor(dict.fromkeys(ALL, "token"), b"another key")
    assert redact is not None
    assert other is not None
    one, two, three = redact(["Ann@example.com", "ann@EXAMPLE.com", "bob@example.com"])
    assert one == two != three
    assert other(["Ann@example.com"]) != [one]
    spaced, plain = redact(["+49 30 1234567", "+49301234567"])
    assert spaced[:11] == plain[:11]
    assert "1234567" not in spaced


def test_a_token_needs_a_key():
    with pytest.raises(ValueError, match="need a key"):
        redactor({"email": "token"})


@pytest.mark.parametrize("treatments", [{}, {"email": "keep", "phone": "keep"}])
def test_keeping_everything_needs_no_pass_over_the_texts(treatments):
    assert redactor(treatments) is None


pieces = st.sampled_from(["@", ".", "a", "é", "1", "0", "4111", " ", "-", ":", "+", "(", "x@y.zz"])


@given(st.lists(pieces, max_size=60).map("".join), st.sampled_from(["strip", "token"]))
def test_lengths_stay_so_that_evidence_stays_right(text, treatment):
    redact = redactor(dict.fromkeys(ALL, treatment), b"key")
    assert redact is not None
    [made] = redact([text])
    assert len(made) == len(text)


@pytest.mark.parametrize(
    "piece", ["1", "1 ", "1.", "1-", "a@", "a.", ":", "f:", "(0", "4111 ", "00", "+1"]
)
def test_a_hostile_text_of_64_kib_passes(piece):
    text = (piece * 65_536)[:65_536]
    assert len(stripped(text)) == len(text)


def test_the_built_in_policy_stores_none():
    assert load_policy().file.personal_data == dict.fromkeys(ALL, "strip")


@pytest.mark.parametrize("line", ["{email: hide}", "{iban: strip}", "yes"])
def test_a_policy_names_known_kinds_and_treatments(line):
    text = (BUILT_IN / "policy.yaml").read_text()
    start = text.index("personal_data: {")
    changed = text[:start] + f"personal_data: {line}" + text[text.index("\n", start) :]
    with pytest.raises(PolicyError, match="personal_data"):
        parse_policy(changed, "policy.yaml")
