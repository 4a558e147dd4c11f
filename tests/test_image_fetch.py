"""Image URIs: only files and objects under allowed prefixes, and no more than the bound."""

import os

import pytest

from connectors.image_fetch import ImageFetcher


@pytest.fixture
def folder(tmp_path):
    allowed = tmp_path / "allowed"
    (allowed / "deep").mkdir(parents=True)
    (tmp_path / "allowed-not").mkdir()
    for file in (allowed / "a.png", allowed / "deep" / "b c.png", tmp_path / "secret"):
        file.write_bytes(b"pixels")
    (tmp_path / "allowed-not" / "c.png").write_bytes(b"pixels")
    (allowed / "link").symlink_to(tmp_path / "secret")
    (allowed / "inner").symlink_to(allowed / "a.png")
    os.mkfifo(allowed / "pipe")
    return tmp_path


@pytest.fixture
def fetch(folder):
    return ImageFetcher([f"file://{folder}/allowed"], max_bytes=10)


@pytest.mark.parametrize("path", ["a.png", "deep/b%20c.png", "deep/../a.png", "inner"])
def test_files_under_the_prefix(fetch, folder, path):
    assert fetch(f"file://{folder}/allowed/{path}") == b"pixels"


@pytest.mark.parametrize(
    "uri",
    [
        "file://{0}/secret",
        "file://{0}/allowed-not/c.png",
        "file://{0}/allowed/../secret",
        "file://{0}/allowed/%2e%2e/secret",
        "file://{0}/allowed/link",
        "file://{0}/allowed/a.png%00.jpg",
        "file://localhost{0}/allowed/a.png",
        "file://{0}/allowed/a.png?x=1",
        "FTP://{0}/allowed/a.png",
        "http://127.0.0.1/a.png",
        "https://169.254.169.254/latest/meta-data",
        "s3://bucket/key",
        "{0}/allowed/a.png",
        "file://[bad",
        "",
    ],
    ids=[
        "elsewhere", "a longer name", "dots", "dots in disguise", "a link outwards", "a zero byte",
        "another host", "a query", "another scheme", "http", "a private address", "no bucket",
        "a bare path", "a broken host", "nothing",
    ],
)  # fmt: skip
def test_everything_else_is_forbidden(fetch, folder, uri):
    with pytest.raises(PermissionError):
        fetch(uri.format(folder))


@pytest.mark.parametrize("name", ["missing", "deep", "pipe", "", "x" * 300])
def test_what_is_no_file_is_an_error_and_never_waits(fetch, folder, name):
    with pytest.raises(OSError):
        fetch(f"file://{folder}/allowed/{name}")


@pytest.mark.parametrize(("size", "fits"), [(9, True), (10, True), (11, False)])
def test_the_size_is_bounded(fetch, folder, size, fits):
    (folder / "allowed" / "a.png").write_bytes(bytes(size))
    uri = f"file://{folder}/allowed/a.png"
    if fits:
        assert len(fetch(uri)) == size
    else:
        with pytest.raises(OSError, match="larger than 10"):
            fetch(uri)


def test_without_prefixes_nothing_is_allowed(folder):
    with pytest.raises(PermissionError):
        ImageFetcher([])(f"file://{folder}/allowed/a.png")


@pytest.mark.parametrize(
    "prefix",
    ["http://x/", "file:///", "file://", "file://host/x", "s3://", "/srv", "", "s3:///key"],
)
def test_bad_prefixes_are_named(prefix):
    with pytest.raises(ValueError, match="expected file:///DIRECTORY or s3://BUCKET/PREFIX"):
        ImageFetcher([prefix])


class TestObjects:
    @pytest.fixture
    def fetch(self):
        def read(bucket, key, size):
            return f"{bucket} {key}".encode().ljust(12, b".")[:size]

        prefixes = ["s3://open", "s3://mixed/public/"]
        return ImageFetcher(prefixes, max_bytes=40, read_object=read)

    @pytest.mark.parametrize(
        ("uri", "expected"),
        [("s3://open/a/b.png", b"open a/b.png"), ("s3://mixed/public/b", b"mixed public/b")],
    )
    def test_under_the_prefix(self, fetch, uri, expected):
        assert fetch(uri) == expected

    @pytest.mark.parametrize(
        "uri",
        ["s3://other/a", "s3://mixed/private/b", "s3://mixed/publicity", "s3://open/", "s3://open"],
    )
    def test_elsewhere(self, fetch, uri):
        with pytest.raises(PermissionError):
            fetch(uri)

    def test_too_large(self, fetch):
        with pytest.raises(OSError, match="larger"):
            fetch("s3://open/" + "x" * 60)
