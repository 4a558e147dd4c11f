"""Hash lists and the hash stage."""

from datetime import UTC, datetime
from hashlib import md5

import pytest
from builders import item, items

from events.messages import Evidence, Image, Signal
from operators.hash_match import HashMatcher, canonical
from policy.errors import PolicyError
from policy.hashlist import load_hashes, parse_hashes

HEADER = "algorithm,hash,category,source\n"
EXPIRING = "algorithm,hash,category,source,expires\n"


def row(data: bytes, category: str = "spam", source: str = "s") -> str:
    return f"md5,{md5(data).hexdigest()},{category},{source}\n"


MATCHER = HashMatcher(
    parse_hashes({
        "t.csv": HEADER
        + row(b"Known Text")
        + row(canonical("Other  Known\nText").encode(), "hate", "exchange")
        + row(b"\x89PNG", "csam", "vault")
    })
)  # fmt: skip


def signals(**fields) -> list[Signal]:
    one = item(**fields)
    MATCHER([one])
    return one.signals


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_a_batch_of_any_size_comes_back_in_order(count: int) -> None:
    batch = items(count, text="Known Text")
    assert MATCHER(batch) is batch
    assert all(len(one.signals) == 1 for one in batch)


@pytest.mark.parametrize(
    ("what", "text", "source"),
    [
        ("as it is", "Known Text", "s"),
        ("a list's original in other case", "known text", None),
        ("a canonical entry, other case and blanks", " OTHER known   text ", "exchange"),
        ("one letter more", "Known Texts", None),
        ("a lone surrogate", "\ud800", None),
    ],
)
def test_texts(what: str, text: str, source: str | None) -> None:
    found = signals(text=text)
    assert len(found) == (source is not None), what
    for signal in found:
        listed = {"s": text, "exchange": canonical(text)}[source].encode()
        assert signal.rule == f"md5:{source}:{md5(listed).hexdigest()}:0"
        assert signal.evidence == (Evidence("text", 0, len(text)),)
        assert signal.score == 1.0


def test_every_image_is_looked_up_by_its_bytes() -> None:
    listed = b"\x89PNG"
    images = [Image("a", data=b"other"), Image("b", data=listed), Image("c", uri="s3://x/y")]
    rule = f"md5:vault:{md5(listed).hexdigest()}:0"
    assert signals(images=images) == [
        Signal("hash", rule, "csam", 1.0, (Evidence("images.b", 0, 0),))
    ]


def test_the_test_strings_of_the_built_in_list_are_found() -> None:
    one = item(text="BREAKWATER-HASH-LIST-TEST-CSAM")
    HashMatcher(load_hashes())([one])
    assert [(signal.rule, signal.category) for signal in one.signals] == [
        (f"md5:breakwater-test:{md5(one.content.text.encode()).hexdigest()}:0", "csam")
    ]


@pytest.mark.parametrize(
    ("what", "text", "reason"),
    [
        ("empty", "", "t.csv: the first line must be algorithm,hash,category,source"),
        ("no header", row(b"x"), "the first line must be"),
        ("a field less", HEADER + "md5,00,spam\n", "line 2: 3 fields"),
        ("no such algorithm", HEADER + "sha1,00,spam,s\n", "line 2: algorithm 'sha1' is not"),
        ("too short", HEADER + "md5,00ff,spam,s\n", "line 2: hash: md5 has 32 hex digits"),
        ("no hex", HEADER + f"md5,{'zz' * 16},spam,s\n", "line 2: hash: md5 has 32 hex digits"),
        ("pdq", HEADER + f"pdq,{'0' * 63},spam,s\n", "line 2: hash: pdq has 64 hex digits"),
        ("no category", HEADER + row(b"x", "spma"), "line 2: category 'spma' is not one of"),
        ("no source", HEADER + row(b"x", source=""), "line 2: source must have"),
        ("after a remark", "# list\n" + HEADER + "\n" + "md5\n", "line 4: 1 fields"),
        ("no time", EXPIRING + row(b"x").strip() + ",soon\n", "line 2: expires: 'soon' is no time"),
        ("no zone", EXPIRING + row(b"x").strip() + ",2026-11-21T00:00:00\n", "with a zone"),
        ("a quote left open", HEADER + 'md5,"00,spam,s\n' + row(b"x"), "t.csv: line 2:"),
    ],
)
def test_a_broken_list_is_refused_with_its_line(what: str, text: str, reason: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_hashes({"t.csv": text})
    assert reason in str(refused.value), what


def test_all_algorithms_are_read_and_the_first_entry_counts() -> None:
    lists = parse_hashes({
        "a.csv": HEADER + f"pdq,{'0f' * 32},csam,x\nphash,{'AB' * 8},spam,y\n" + row(b"k", "hate"),
        "b.csv": HEADER + row(b"k", "spam"),
    })  # fmt: skip
    assert lists.pdq[bytes.fromhex("0f" * 32)].category == "csam"
    assert lists.phash[bytes.fromhex("ab" * 8)].source == "y"
    assert lists.md5[md5(b"k").digest()].category == "hate"
    assert lists.version != parse_hashes({"a.csv": HEADER}).version


LATER, NOW, SOONER = (f"2026-11-2{day}T00:00:00Z" for day in (2, 1, 0))


@pytest.mark.parametrize(
    ("what", "column", "found"),
    [
        ("no expiry", "", True),
        ("still awake", LATER, True),
        ("its very moment", NOW, False),
        ("past", SOONER, False),
    ],
)
def test_an_entry_past_its_expiry_is_ignored(what: str, column: str, found: bool) -> None:
    lists = parse_hashes({"a.csv": EXPIRING + row(b"hello").strip() + f",{column}\n"})
    one = item(text="hello")
    one.received_at = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
    assert bool(HashMatcher(lists)([one])[0].signals) == found, what


@pytest.mark.parametrize(
    ("what", "first", "second", "counts"),
    [
        ("the first of two that stay", "", "", "first"),
        ("the one that stays", LATER, "", "second"),
        ("the later", SOONER, LATER, "second"),
        ("the later, which is first", LATER, SOONER, "first"),
    ],
)
def test_of_two_entries_the_one_that_lasts_longer_counts(what, first, second, counts) -> None:
    texts = {
        f"{name}.csv": EXPIRING + row(b"k", source=name).strip() + f",{column}\n"
        for name, column in (("first", first), ("second", second))
    }
    assert parse_hashes(texts).md5[md5(b"k").digest()].source == counts, what


def test_unchanged_files_are_taken_over() -> None:
    old = parse_hashes({"a.csv": HEADER + row(b"x"), "b.csv": HEADER + row(b"y")})
    new = parse_hashes({"a.csv": HEADER + row(b"x"), "b.csv": HEADER + row(b"z")}, old)
    assert new.files[0] is old.files[0]
    assert set(new.md5) == {md5(b"x").digest(), md5(b"z").digest()}


def test_a_directory_without_hashes_says_what_to_do(tmp_path) -> None:
    with pytest.raises(PolicyError, match="BREAKWATER_POLICY names a directory with hashes/"):
        load_hashes(tmp_path)
