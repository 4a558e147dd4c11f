"""The pictures that the stages share: opened once, kept within a bound, never an exception."""

import pytest
from image_files import FORMATS, encoded
from image_items import item

from operators import image_cache
from operators.image_cache import PictureCache
from training.pictures import picture

PNG, JPEG = FORMATS["PNG"], FORMATS["JPEG"]


def images(*given):
    return item(*given).content.images


def test_the_same_bytes_are_opened_once():
    cache = PictureCache()
    first, second = images(PNG, PNG)
    assert cache.open(first) is cache.open(second)


@pytest.mark.parametrize(("kept", "again"), [(10**9, True), (1, False)], ids=["room", "no room"])
def test_the_bound_is_on_pixels(kept, again):
    cache = PictureCache(max_bytes=kept)
    png, jpeg = images(PNG, JPEG)
    opened = cache.open(png)
    cache.open(jpeg)
    assert (cache.open(png) is opened) == again


def test_what_a_stage_left_behind_opens_meanwhile_counts_once(monkeypatch):
    png, jpeg = images(PNG, JPEG)
    room = PictureCache().open(png).nbytes + PictureCache().open(jpeg).nbytes
    cache, decode = PictureCache(max_bytes=room), image_cache.decode

    def decode_twice(data, limits):
        monkeypatch.setattr(image_cache, "decode", decode)
        cache.open(png)
        return decode(data, limits)

    monkeypatch.setattr(image_cache, "decode", decode_twice)
    opened = cache.open(png)
    cache.open(jpeg)
    assert cache.open(png) is opened


def test_what_was_used_last_is_kept():
    cache = PictureCache(max_bytes=640 * 400 * 4 * 2 + 10_000)
    png, jpeg, webp = images(PNG, JPEG, FORMATS["WebP"])
    first, second = cache.open(png), cache.open(jpeg)
    cache.open(png)
    cache.open(webp)
    assert cache.open(png) is first
    assert cache.open(jpeg) is not second


def test_what_cannot_be_decoded_says_why_and_is_remembered_too():
    cache = PictureCache()
    (broken,) = images(b"no picture")
    opened = cache.open(broken)
    assert (opened.decoded, opened.error.reason) == (None, "unknown_format")
    assert (opened.pdq, opened.phash) == ([], [])
    assert cache.open(broken) is opened


def test_every_view_is_hashed():
    opened = PictureCache().open(images(FORMATS["animated GIF"])[0])
    assert len(opened.pdq) == len(opened.phash) == len(opened.decoded.views) == 3


class TestUris:
    def fetching(self, answers):
        calls = []

        def fetch(uri):
            calls.append(uri)
            answer = answers[uri]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return fetch, calls

    def test_without_a_fetcher_they_cannot_be_used(self):
        assert PictureCache().open(images("file:///a")[0]).error.reason == "not_fetched"

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (PermissionError("no"), "not_allowed"),
            (FileNotFoundError("gone"), "not_fetched"),
            (b"", "empty"),
            (b"text", "unknown_format"),
        ],
        ids=["forbidden", "missing", "empty", "no picture"],
    )
    def test_what_goes_wrong_is_a_reason(self, answer, reason):
        fetch, _ = self.fetching({"file:///a": answer})
        assert PictureCache(fetch).open(images("file:///a")[0]).error.reason == reason

    def test_fetched_once_for_the_stages_of_a_batch(self):
        fetch, calls = self.fetching({"file:///a": PNG})
        cache = PictureCache(fetch)
        (image,) = images("file:///a")
        assert cache.open(image).md5 == cache.open(image).md5
        assert calls == ["file:///a"]

    def test_fetched_again_later_as_it_may_have_changed(self, monkeypatch):
        answers = {"file:///a": PNG}
        fetch, calls = self.fetching(answers)
        cache = PictureCache(fetch)
        (image,) = images("file:///a")
        before = cache.open(image).md5
        monkeypatch.setattr(image_cache, "_URI_SECONDS", -1.0)
        answers["file:///a"] = encoded(picture(0), "PNG")
        assert cache.open(image).md5 != before
        assert len(calls) == 2
