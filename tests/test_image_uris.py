"""Images that come as a URI: hash lists know their bytes as those of images that are sent along."""

from hashlib import md5

import pytest
from image_files import FORMATS
from image_items import item

from events.messages import Evidence
from flows.settings import load_settings
from flows.stages import load_stages
from operators.image_cache import PictureCache
from operators.image_hash import ImageHashMatcher
from operators.item import Item
from policy.hashlist import parse_hashes
from policy.policy import BUILT_IN

HEADER = "algorithm,hash,category,source\n"
FILES = {"file:///a": b"no picture", "file:///empty": b""}


def matched(uri: str, *lines: str) -> Item:
    listed = [f"{line},exchange\n" for line in lines]
    lists = parse_hashes({"a.csv": HEADER + "".join(listed)})
    (done,) = ImageHashMatcher(lists, PictureCache(FILES.__getitem__))([item(uri)])
    return done


@pytest.mark.parametrize("pdq", [[], [f"pdq,{'0f' * 32},spam"]], ids=["md5", "md5 and pdq"])
def test_listed_bytes_are_found_whether_they_are_a_picture_or_not(pdq):
    digest = md5(b"no picture").hexdigest()
    done = matched("file:///a", f"md5,{digest},csam", *pdq)
    (signal,) = done.signals
    assert (signal.stage, signal.rule) == ("hash", f"md5:exchange:{digest}:0")
    assert (signal.category, signal.evidence) == ("csam", (Evidence("images.0", 0, 0),))
    assert done.degraded == (["image_hash"] if pdq else [])


def test_bytes_that_are_not_there_are_not_taken_for_the_empty_file():
    done = matched("file:///empty", f"md5,{md5(b'').hexdigest()},csam")
    assert (done.signals, done.degraded) == ([], ["image_hash"])


def test_bytes_sent_along_are_left_to_the_stage_that_reads_no_pictures():
    lists = parse_hashes({"a.csv": f"{HEADER}md5,{md5(b'sent').hexdigest()},csam,exchange\n"})
    (done,) = ImageHashMatcher(lists, PictureCache())([item(b"sent")])
    assert (done.signals, done.degraded) == ([], [])


def test_the_lists_are_those_that_were_pushed_last():
    cache = PictureCache(lambda _: FORMATS["PNG"])
    matcher = ImageHashMatcher(parse_hashes({"a.csv": HEADER}), cache)
    digest = md5(FORMATS["PNG"]).hexdigest()
    matcher.swap(parse_hashes({"a.csv": f"{HEADER}md5,{digest},csam,exchange\n"}))
    (done,) = matcher([item("file:///a")])
    assert [signal.category for signal in done.signals] == ["csam"]


def test_a_listed_file_is_blocked_however_it_was_sent(tmp_path):
    (tmp_path / "a.png").write_bytes(b"listed")
    policy = tmp_path / "policy"
    (policy / "hashes").mkdir(parents=True)
    for name in ("policy.yaml", "rules"):
        (policy / name).symlink_to(BUILT_IN / name)
    listed = f"{HEADER}md5,{md5(b'listed').hexdigest()},csam,exchange\n"
    (policy / "hashes" / "a.csv").write_text(listed)
    uri = (tmp_path / "a.png").as_uri()
    stages = load_stages(
        load_settings(policy=policy, output=tmp_path, image_uri_prefixes=[tmp_path.as_uri() + "/"])
    )
    for sent in (b"listed", uri):
        [judged] = stages.judge([item(sent)])
        assert (judged.decision.action, judged.decision.category) == ("block", "csam"), sent
