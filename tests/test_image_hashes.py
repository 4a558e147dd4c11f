"""PDQ and pHash: equal to the references, in all eight orientations, through changes of picture."""

import hashlib
import json
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from models.image.hashes import md5_hex, pdq, phash
from training.pictures import KINDS, picture

# Made with pdqhash 0.2.8, which has no wheel: nothing here may need a compiler.
REFERENCE = json.loads((Path(__file__).parent / "pdq_reference.json").read_text())
PICTURES = {kind: picture(number + 8) for number, kind in enumerate(KINDS)}


def bits_apart(left: np.ndarray, right: np.ndarray) -> int:
    return int(np.bitwise_count(left ^ right).sum())


def from_hex(text: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(text), np.uint8)


@pytest.mark.parametrize("name", PICTURES)
class TestAgainstTheReferences:
    def test_pdq(self, name):
        hashes, quality = pdq(PICTURES[name])
        expected = REFERENCE["pictures"][name]
        assert bits_apart(hashes[0], from_hex(expected["pdq"])) <= 4
        assert abs(quality - expected["quality"]) <= 1

    def test_exact_pdq_is_equal(self, name):
        hashes, quality = pdq(PICTURES[name], exact=True)
        expected = REFERENCE["pictures"][name]
        assert (hashes[0].tobytes().hex(), quality) == (expected["pdq"], expected["quality"])

    def test_pdq_of_the_eight_orientations(self, name):
        hashes, _ = pdq(PICTURES[name])
        for expected in REFERENCE["pictures"][name]["dihedral"]:
            assert min(bits_apart(from_hex(expected), found) for found in hashes) <= 6

    def test_phash_is_equal(self, name):
        assert phash(PICTURES[name])[0].tobytes().hex() == str(imagehash.phash(PICTURES[name]))

    @pytest.mark.parametrize("turn", list(Image.Transpose))
    def test_phash_of_the_turned_picture_is_among_the_eight(self, name, turn):
        turned = np.packbits(imagehash.phash(PICTURES[name].transpose(turn)).hash)
        assert min(bits_apart(turned, found) for found in phash(PICTURES[name])) <= 4


@pytest.mark.parametrize(
    "size",
    [(1, 1), (4, 100), (100, 4), (20_000, 1)],
    ids=["a pixel", "4 wide", "4 high", "a line"],
)
def test_pictures_too_small_for_pdq_have_no_quality(size):
    hashes, quality = pdq(Image.new("RGB", size, "red"))
    assert quality == 0
    assert not hashes.any()


@pytest.mark.parametrize("size", [(5, 5), (64, 64), (127, 129), (1, 20_000), (960, 5)])
def test_any_size_is_hashed(size):
    picture = PICTURES["photo"].resize(size)
    hashes, _ = pdq(picture)
    assert hashes.shape == (8, 32)
    assert phash(picture).shape == (8, 8)
    if expected := REFERENCE["sizes"].get("x".join(map(str, size))):
        assert bits_apart(hashes[0], from_hex(expected["pdq"])) <= 4
        assert pdq(picture, exact=True)[0][0].tobytes().hex() == expected["pdq"]


def test_an_even_picture_has_no_quality():
    assert pdq(Image.new("RGB", (200, 200), "grey"))[1] == 0


def test_md5_is_that_of_the_bytes():
    assert md5_hex(b"abc") == hashlib.md5(b"abc").hexdigest() == "900150983cd24fb0d6963f7d28e17f72"
