"""Hash matching of images: listed pictures are found, however changed, and nothing else is."""

import numpy as np
import pytest
from builders import decision
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from image_files import encoded
from image_items import in_batches, item
from live_workers import asked, workers
from PIL import Image, ImageEnhance

from cli.hash import hash_files
from cli.rules import push
from events.records import Judgement
from operators.image_cache import PictureCache
from operators.image_hash import ImageHashMatcher
from operators.surge import surge_events
from operators.surge_tally import SurgeEvent
from policy.hashlist import HashList, parse_hashes
from training.pictures import picture, pictures

LISTED = picture(12)
OTHER = picture(13)
HEADER = "algorithm,hash,category,source\n"

# A worker without a stream: it says what it decides on an image when asked by a line.
WORKER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from events.messages import Content, Image, Position
from flows.settings import load_settings
from flows.stages import load_stages
from operators.item import Item
stages = load_stages(load_settings(output=Path(sys.argv[1])), follow=True)
image = Image("0", data=Path(sys.argv[2]).read_bytes())
content = Content("c", datetime.now(UTC), "u", text="look", images=[image])
print("up", flush=True)
for _ in sys.stdin:
    print(stages.judge([Item(content, Position(), 0.0)])[0].decision.action, flush=True)
"""


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    file = tmp_path_factory.mktemp("listed") / "listed.png"
    LISTED.save(file)
    return next(hash_files([file]))


def hash_list(row, *algorithms: str, category: str = "violent_extremism") -> HashList:
    lines = [f"{name},{row[name]},{category},exchange\n" for name in algorithms]
    return parse_hashes({"a.csv": HEADER + "".join(lines)})


@pytest.fixture(scope="module")
def matcher(row):
    return ImageHashMatcher(hash_list(row, "pdq", "phash"), PictureCache())


def matched(matcher, *data: bytes) -> dict[str, set[str]]:
    """The algorithms that matched, by image."""
    (done,) = matcher([item(*data)])
    found: dict[str, set[str]] = {}
    for signal in done.signals:
        algorithm, source, entry, distance = signal.rule.split(":")
        assert (signal.stage, signal.score, source) == ("hash", 1.0, "exchange")
        assert signal.category == "violent_extremism"
        assert len(bytes.fromhex(entry)) == {"pdq": 32, "phash": 8}[algorithm]
        assert 0 <= int(distance) <= {"pdq": 31, "phash": 6}[algorithm]
        found.setdefault(signal.evidence[0].field, set()).add(algorithm)
    return found


def test_a_list_made_by_the_hash_command_finds_the_same_file_at_distance_nearly_0(matcher, row):
    (done,) = matcher([item(encoded(LISTED, "PNG"))])
    entry, distance = done.signals[0].rule.split(":")[2:]
    assert entry == row["pdq"]
    assert int(distance) <= 2
    assert done.signals[0].evidence[0].field == "images.0"


@pytest.mark.parametrize("turn", list(Image.Transpose), ids=lambda turn: turn.name.lower())
def test_mirrored_and_turned(matcher, turn):
    assert matched(matcher, encoded(LISTED.transpose(turn), "PNG"))["images.0"] == {"pdq", "phash"}


@pytest.mark.parametrize(
    "changed",
    [
        encoded(LISTED, "JPEG", quality=20),
        encoded(LISTED, "WEBP"),
        encoded(LISTED.resize((LISTED.width // 4, LISTED.height // 4)), "PNG"),
        encoded(LISTED.resize((3000, 2000)), "JPEG"),
        encoded(ImageEnhance.Contrast(LISTED).enhance(0.6), "PNG"),
        encoded(LISTED.convert("L"), "PNG"),
    ],
    ids=["JPEG at 20", "WebP", "a quarter", "large and stretched", "less contrast", "grey"],
)
def test_changed(matcher, changed):
    assert "images.0" in matched(matcher, changed)


def test_under_transparency(matcher):
    hidden = LISTED.convert("RGBA")
    hidden.putalpha(0)
    assert "images.0" in matched(matcher, encoded(hidden, "PNG"))


def test_in_a_later_frame(matcher):
    data = encoded(OTHER, "GIF", save_all=True, append_images=[LISTED.resize(OTHER.size)])
    assert "images.0" in matched(matcher, data)


def test_other_pictures_do_not_match(matcher):
    others = [encoded(one, "JPEG") for i, one in enumerate(pictures(24)) if i != 12]
    assert matched(matcher, *others[:10]) == matched(matcher, *others[10:20]) == {}


def test_each_image_of_an_item_by_itself(matcher):
    listed, other = encoded(LISTED, "PNG"), encoded(OTHER, "PNG")
    assert set(matched(matcher, other, listed, other, listed)) == {"images.1", "images.3"}


def test_even_pictures_match_nothing_even_if_listed(tmp_path):
    Image.new("RGB", (300, 300), "navy").save(tmp_path / "even.png")
    row = next(hash_files([tmp_path / "even.png"]))
    matcher = ImageHashMatcher(hash_list(row, "pdq", "phash"), PictureCache())
    assert matched(matcher, (tmp_path / "even.png").read_bytes()) == {}


class TestWhatIsNotDone:
    def test_without_perceptual_hashes_nothing_is_decoded(self, row):
        matcher = ImageHashMatcher(hash_list(row, "md5"), PictureCache())
        (done,) = matcher([item(b"no picture")])
        assert (done.signals, done.degraded) == ([], [])

    def test_only_listed_algorithms_are_looked_up(self, row):
        matcher = ImageHashMatcher(hash_list(row, "phash"), PictureCache())
        assert matched(matcher, encoded(LISTED, "PNG")) == {"images.0": {"phash"}}

    def test_an_image_that_cannot_be_decoded_degrades_its_item_once(self, matcher):
        bad, good = matcher([item(b"x", b"y"), item(encoded(LISTED, "PNG"))])
        assert (bad.degraded, bad.signals) == (["image_hash"], [])
        assert (good.degraded, bool(good.signals)) == ([], True)

    def test_text_passes_untouched(self, matcher):
        (done,) = matcher([item()])
        assert (done.degraded, done.signals) == ([], [])


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_batches(matcher, size):
    listed, other = encoded(LISTED, "PNG"), encoded(OTHER, "PNG")
    items = [
        item(listed) if i % 3 == 0 else item(other) if i % 3 == 1 else item() for i in range(9)
    ]
    done = in_batches(matcher, items, size)
    assert [bool(one.signals) for one in done] == [i % 3 == 0 for i in range(9)]
    assert done == items


def test_the_nearest_entry_of_each_list_and_category():
    near = np.zeros((3, 32), np.uint8)
    near[1, 0], near[2, 0] = 0b1, 0b11
    lines = [
        f"pdq,{row.tobytes().hex()},{category},{source}\n"
        for row, category, source in zip(near, ["hate", "hate", "threat"], "aab", strict=True)
    ]
    matcher = ImageHashMatcher(parse_hashes({"a.csv": HEADER + "".join(lines)}), PictureCache())
    found = matcher._lists[0].near([near[1:2]])
    assert [(number, rule, known.category) for number, rule, known in found] == [
        (0, f"pdq:a:{near[1].tobytes().hex()}:0", "hate"),
        (0, f"pdq:b:{near[2].tobytes().hex()}:1", "threat"),
    ]


class TestKeptIndexes:
    def test_the_second_process_maps_what_the_first_has_built(self, row, tmp_path):
        for _ in range(2):
            matcher = ImageHashMatcher(hash_list(row, "pdq"), PictureCache(), tmp_path)
            assert matched(matcher, encoded(LISTED, "PNG"))
        assert isinstance(matcher._lists[0]._index.hashes, np.memmap)

    def test_another_version_of_the_lists_takes_its_place_on_disk(self, row, tmp_path):
        former = ImageHashMatcher(hash_list(row, "pdq"), PictureCache(), tmp_path)
        later = ImageHashMatcher(hash_list(row, "pdq", category="hate"), PictureCache(), tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [later.version]
        assert matched(former, encoded(LISTED, "PNG"))

    def test_what_is_no_index_is_built_anew(self, row, tmp_path):
        lists = hash_list(row, "pdq")
        ImageHashMatcher(lists, PictureCache(), tmp_path)
        (tmp_path / lists.version / "pdq" / "hashes.npy").write_bytes(b"cut")
        assert matched(ImageHashMatcher(lists, PictureCache(), tmp_path), encoded(LISTED, "PNG"))


class TestLiveLists:
    def test_what_is_pushed_counts_from_the_next_batch_on(self, row):
        matcher = ImageHashMatcher(hash_list(row, "md5"), PictureCache())
        assert matched(matcher, encoded(LISTED, "PNG")) == {}
        matcher.swap(hash_list(row, "pdq"))
        assert matched(matcher, encoded(LISTED, "PNG")) == {"images.0": {"pdq"}}
        matcher.swap(hash_list(row, "md5"))
        assert matched(matcher, encoded(LISTED, "PNG")) == {}

    def test_a_batch_that_is_being_looked_up_keeps_its_lists(self, row):
        """A push in the middle of a batch: both images are read by the lists it began with."""
        cache = PictureCache()
        matcher = ImageHashMatcher(hash_list(row, "pdq"), cache)

        class Pushing:
            def open(self, image):
                matcher.swap(hash_list(row, "phash"))
                return cache.open(image)

        matcher._cache = Pushing()
        listed = encoded(LISTED, "PNG")
        assert matched(matcher, listed, listed) == {"images.0": {"pdq"}, "images.1": {"pdq"}}

    def test_a_push_reaches_the_images_of_a_running_job(
        self, row, tmp_path, valkey_url, monkeypatch
    ):
        monkeypatch.setenv("BREAKWATER_REDIS_URL", valkey_url)
        image, pushed = tmp_path / "copy.jpg", tmp_path / "a.csv"
        image.write_bytes(encoded(LISTED, "JPEG"))
        pushed.write_text(f"{HEADER}pdq,{row['pdq']},violent_extremism,exchange\n")
        with workers(WORKER, tmp_path / "out", image, count=1) as (worker,):
            assert asked(worker) == "allow"
            # Returns when every worker has it.
            push([pushed], reason="new", permanent=True, wait=60)
            assert asked(worker) == "block"


def test_a_flood_of_one_listed_picture_however_changed_is_one_surge_key(matcher):
    changed = [encoded(LISTED, "JPEG", quality=quality) for quality in (15, 40, 90)]
    changed.append(encoded(LISTED.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "PNG"))
    judged = []
    for number, data in enumerate(changed):
        (done,) = matcher([item(data)])
        made = decision(
            f"c{number}", action="block", category="violent_extremism",
            signals=tuple(done.signals),
        )  # fmt: skip
        judged.append(Judgement(done.content, made))
    keys = {
        event.key.signature
        for _, event in surge_events(judged)
        if isinstance(event, SurgeEvent) and event.key.signature.startswith("hash:")
    }
    rules = {signal.rule.rpartition(":")[0] for j in judged for signal in j.decision.signals}
    assert keys <= {f"hash:{rule}" for rule in rules}
    assert len(keys) == 1


def test_the_shell(matcher):
    out = []
    flow = Dataflow("test")
    items = op.input("in", flow, TestingSource([item(encoded(LISTED, "PNG")), item()]))
    op.output("out", op.flat_map_batch("image_hash", items, matcher), TestingSink(out))
    run_main(flow)
    assert [bool(one.signals) for one in out] == [True, False]
