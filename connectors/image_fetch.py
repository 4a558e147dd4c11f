"""Images that come as a URI: files and S3 objects under allowed prefixes, read within a bound.

Nothing else is ever fetched: no http, so no redirects and no private addresses. A URI is allowed
when, after its path is resolved, it lies under one of `BREAKWATER_IMAGE_URI_PREFIXES`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

from events.messages import MAX_IMAGE_BYTES

ReadObject = Callable[[str, str, int], bytes]
"""Reads at most so many bytes of an object (bucket, key, bytes); raises OSError."""


class ImageFetcher:
    """Reads image URIs; call it with one.

    Args:
        prefixes: `file:///DIRECTORY` or `s3://BUCKET/PREFIX`; none allows nothing. A prefix ends at
            a slash: `file:///srv/images` does not allow `/srv/images-private`.
        max_bytes: an image may be as large as this; no more is read.
        read_object: how S3 objects are read; by default with boto3, if it is installed.

    Raises:
        ValueError: a prefix is of another scheme or has no directory.
    """

    def __init__(
        self,
        prefixes: Sequence[str],
        max_bytes: int = MAX_IMAGE_BYTES,
        read_object: ReadObject | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._read_object = read_object or _read_with_boto3
        self._directories: list[Path] = []
        self._buckets: list[tuple[str, str]] = []
        for prefix in prefixes:
            scheme, host, path = _split(prefix)
            if scheme == "file" and path.strip("/") and not host:
                self._directories.append(Path(path).resolve())
            elif scheme == "s3" and host:
                self._buckets.append((host, path.strip("/")))
            else:
                raise ValueError(
                    f"image prefix {prefix!r}: expected file:///DIRECTORY or s3://BUCKET/PREFIX"
                )

    def __call__(self, uri: str) -> bytes:
        """The bytes behind `uri`.

        Raises:
            PermissionError: it lies under no allowed prefix.
            OSError: it cannot be read, is no regular file, or is larger than `max_bytes`.
        """
        scheme, host, path = _split(uri)
        if scheme == "file" and not host:
            data = self._file(path)
        elif scheme == "s3":
            data = self._object(host, path.lstrip("/"))
        else:
            raise PermissionError("only file:// and s3:// images are fetched")
        if len(data) > self._max_bytes:
            raise OSError(f"larger than {self._max_bytes} bytes")
        return data

    def _file(self, path: str) -> bytes:
        if "\0" in path:
            raise PermissionError("under no allowed prefix")
        # Resolved first, so that neither `..` nor a link leads out of the directory.
        resolved = Path(path).resolve()
        if not any(resolved.is_relative_to(directory) for directory in self._directories):
            raise PermissionError("under no allowed prefix")
        # Without blocking, so that a pipe of that name cannot stop the stream.
        descriptor = os.open(resolved, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError("not a regular file")
            return file.read(self._max_bytes + 1)

    def _object(self, bucket: str, key: str) -> bytes:
        allowed = any(
            bucket == name and (not under or key.startswith(under + "/"))
            for name, under in self._buckets
        )
        if not allowed or not key:
            raise PermissionError("under no allowed prefix")
        return self._read_object(bucket, key, self._max_bytes + 1)


def _split(uri: str) -> tuple[str, str, str]:
    """Scheme, host and path; the scheme is "" where `uri` cannot be read."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "", "", ""
    if parts.query or parts.fragment:
        return "", "", ""
    return parts.scheme, parts.netloc, unquote(parts.path) if parts.scheme == "file" else parts.path


def _read_with_boto3(bucket: str, key: str, size: int) -> bytes:
    try:
        # Only deployments with S3 images install it.
        boto3 = import_module("boto3")
    except ImportError as error:
        raise OSError("s3:// images need boto3: pip install boto3") from error
    try:
        data: bytes = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read(size)
    except Exception as error:
        # botocore makes its exceptions at run time; to the caller each means: not there.
        raise OSError(f"s3://{bucket}/{key}: {type(error).__name__}") from error
    return data
