"""The exchanges' hash lists: what is read, what is left out and why."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import PolicyError
from policy.exchange import as_hash_list, read_exchange
from policy.hashlist import parse_hashes

MD5, PDQ, PHASH, SHA1 = "0f" * 16, "a1" * 32, "b2" * 8, "c3" * 20


@pytest.mark.parametrize(
    ("what", "text", "entries", "left_out"),
    [
        (
            "threatexchange dataset --csv",
            (
                "signal_type,signal_str,collab,category,tags\n"
                f"pdq,{PDQ},GIFCT,POSITIVE_CLASS,media_type_photo\n"
                f"video_md5,{MD5},GIFCT,POSITIVE_CLASS,\n"
                f"pdq,{'0' * 64},GIFCT,NEGATIVE_CLASS,\n"
                f"pdq,{'1' * 64},GIFCT,INVESTIGATION_SEED,\n"
            ),
            [("pdq", PDQ), ("md5", MD5)],
            {"negativeclass": 1, "investigationseed": 1},
        ),
        (
            "threatexchange query",
            (
                "id,indicator,type,status,tags,owner_id\n"
                f'1,{PDQ},HASH_PDQ,MALICIOUS,"a, b",7\n'
                f"2,{'0' * 64},HASH_PDQ,NON_MALICIOUS,,7\n"
                f"3,{MD5.upper()},HASH_MD5,MALICIOUS,,7\n"
                f"4,https://bad.example,URI,MALICIOUS,,7\n"
            ),
            [("pdq", PDQ), ("md5", MD5)],
            {"nonmalicious": 1, "of type uri": 1},
        ),
        (
            "StopNCII",
            (
                "lastModtimestamp,signalType,hashValue,hashStatus\n"
                f"1,ImagePDQ,{PDQ},Active\n2,VideoMD5,{MD5},Received\n"
                f"3,ImagePDQ,{'0' * 64},Withdrawn\n"
                f"4,VideoMD5,{'0' * 32},Deleted\n5,VideoTMK,xx,Active\n"
            ),
            [("pdq", PDQ), ("md5", MD5)],
            {"withdrawn": 1, "deleted": 1, "of type videotmk": 1},
        ),
        (
            "NCMEC, a column a fingerprint",
            f"id,MD5,SHA1,PDQ,classification\nx1,{MD5},{SHA1},{PDQ},A1\nx2,,{SHA1},,B2\n",
            [("md5", MD5), ("pdq", PDQ)],
            {},
        ),
        (
            "NCMEC, a row a fingerprint",
            f"id,type,fingerprint\nx1,MD5,{MD5}\nx1,SHA1,{SHA1}\nx1,PDNA,abc\n",
            [("md5", MD5)],
            {"of type pdna": 1, "of type sha1": 1},
        ),
        (
            "quality",
            f"pdq,quality\n{PDQ},50\n{'0' * 64},49\n{'1' * 64},\n",
            [("pdq", PDQ), ("pdq", "1" * 64)],
            {"of low quality": 1},
        ),
        ("each once", f"md5\n{MD5}\n{MD5.upper()}\n\n", [("md5", MD5)], {}),
        ("no such hash", f"md5,phash\nzz,{PHASH}\n", [("phash", PHASH)], {"no md5 hash": 1}),
        ("a short row", f"type,hash\nmd5\nmd5,{MD5}\n", [("md5", MD5)], {}),
        ("nothing in it", "md5\n", [], {}),
    ],
)
def test_forms(what, text, entries, left_out) -> None:
    imported = read_exchange("t.csv", text)
    assert (list(imported.entries), dict(imported.left_out)) == (entries, left_out), what


@pytest.mark.parametrize("text", [f"{PDQ}\n{'0' * 64}\n", f"{PDQ},x\n{'0' * 64},y\n"])
def test_a_bare_list_needs_its_algorithm(text: str) -> None:
    assert read_exchange("t.csv", text, "pdq").entries == (("pdq", PDQ), ("pdq", "0" * 64))
    with pytest.raises(PolicyError, match=r"t\.csv: no column of hashes is known"):
        read_exchange("t.csv", text)


def test_a_column_of_hashes_without_a_type_takes_the_algorithm_that_is_named() -> None:
    assert read_exchange("t.csv", f"hash,x\n{PDQ},1\n", "pdq").entries == (("pdq", PDQ),)


def test_a_line_that_is_no_csv_is_named() -> None:
    with pytest.raises(PolicyError, match=r"t\.csv: line 3:"):
        read_exchange("t.csv", f'md5\n{MD5}\n"{MD5}\n')


@pytest.mark.parametrize("expires", [None, datetime(2026, 12, 1, tzinfo=UTC)])
def test_what_is_written_is_a_hash_list(expires) -> None:
    imported = read_exchange("t.csv", f"md5,pdq\n{MD5},{PDQ}\n")
    text = as_hash_list(imported, category="csam", source="a, b", expires=expires)
    known = parse_hashes({"t.csv": text}).md5[bytes.fromhex(MD5)]
    assert (known.category, known.source, known.expires) == ("csam", "a, b", expires)


@given(st.text(max_size=300), st.sampled_from(["", "pdq", "md5"]))
def test_any_text_is_read_or_refused(text: str, algorithm: str) -> None:
    try:
        imported = read_exchange("t.csv", text, algorithm)
    except PolicyError:
        return
    parse_hashes({"t.csv": as_hash_list(imported, category="csam", source="s")})
