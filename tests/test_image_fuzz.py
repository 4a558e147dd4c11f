"""Broken pictures by the hundred: every one is decoded or refused, and memory stays where it is.

IMAGE_FUZZ_FILES=1000 makes a thousand of them (in the test suite fewer, to be quick).
"""

import os
import random
import resource
from pathlib import Path

import pytest
from image_files import FORMATS
from image_items import item

from models.image.classifier import ImageClassifier
from models.image.decode import DecodedImage, ImageError, Limits, decode
from models.image.ocr import may_hold_text
from operators.image_cache import PictureCache
from operators.image_hash import ImageHashMatcher
from operators.image_score import ImageScorer
from policy.hashlist import parse_hashes

COUNT = int(os.environ.get("IMAGE_FUZZ_FILES", "120"))
KINDS = ("JPEG", "progressive JPEG", "PNG", "GIF", "animated GIF", "WebP", "animated WebP", "AVIF")
LIMITS = Limits(max_seconds=1.0)


def flipped(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 3, 30))):
        data[chance.randrange(len(data))] = chance.randrange(256)


def header_flipped(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2, 5))):
        data[chance.randrange(min(64, len(data)))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def repeated(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    data[start:start] = data[start : start + chance.randrange(1, 4000)] * chance.choice((1, 5))


def left_out(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randrange(1, 400)]


def spliced(data: bytearray, chance: random.Random) -> None:
    other = FORMATS[chance.choice(KINDS)]
    start = chance.randrange(len(data))
    data[start:] = other[min(start, len(other) - 1) :]


MUTATIONS = (flipped, header_flipped, cut, repeated, left_out, spliced)


def mutated(number: int) -> bytes:
    chance = random.Random(number)
    data = bytearray(FORMATS[KINDS[number % len(KINDS)]])
    MUTATIONS[number // len(KINDS) % len(MUTATIONS)](data, chance)
    return bytes(data)


def test_decoding_gives_a_picture_or_a_reason_and_keeps_its_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    decoded = 0
    for number in range(COUNT):
        try:
            found = decode(mutated(number), LIMITS)
        except ImageError:
            continue
        assert isinstance(found, DecodedImage)
        assert all(view.mode == "RGB" for view in found.views)
        assert all(may_hold_text(view) in (True, False) for view in found.views)
        decoded += 1
    assert 0 < decoded < COUNT
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700 * 1024


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_the_stages_take_them_all(batch):
    cache = PictureCache(limits=LIMITS)
    listed = f"algorithm,hash,category,source\npdq,{'0' * 64},hate,a\nphash,{'0' * 16},hate,a\n"
    card = Path(__file__).parent / "image_model" / "card.json"
    stages = (
        ImageHashMatcher(parse_hashes({"a.csv": listed}), cache),
        ImageScorer(cache, lambda: ImageClassifier(card)),
    )
    items = [item(mutated(number) or b"x") for number in range(48)]
    for first in range(0, len(items), batch):
        for stage in stages:
            stage(items[first : first + batch])
    for one in items:
        undecodable = any(signal.rule.startswith("image.undecodable:") for signal in one.signals)
        assert undecodable == ("image_score" in one.degraded) == ("image_hash" in one.degraded)
        assert undecodable != bool(one.image_scores)
