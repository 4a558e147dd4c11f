"""`breakwater hash`: the hashes of pictures, in the form in which hash lists hold them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import typer
from PIL import Image

from cli.terminal import write_out
from models.image.decode import ImageError, Limits, decode_full

LIMITS: Final = Limits(
    max_bytes=256 * 1024 * 1024, max_pixels=64_000_000, max_memory=2**30, max_seconds=60.0
)
"""Wider than the job's: these are the operator's own files, hashed one at a time at full size."""


def hash_files(files: list[Path]) -> Iterator[dict[str, Any]]:
    """One row a file, in order: file, md5, pdq (64 hex), pdq_quality (0 to 100), phash (16 hex).

    PDQ and pHash are those of the reference libraries (`pdqhash`, `imagehash`) on the first frame
    as Pillow opens it: at full size, transparency dropped, and not turned by its EXIF orientation
    (matching looks for all eight orientations, so a turned copy is found all the same). A file that
    cannot be hashed gives file, md5 ("" where it cannot be read at all) and error.
    """
    for file in files:
        row: dict[str, Any] = {"file": str(file), "md5": ""}
        try:
            with file.open("rb") as opened:
                row["md5"] = hashlib.file_digest(opened, "md5").hexdigest()
                opened.seek(0)
                data = opened.read(LIMITS.max_bytes + 1)
            row |= _hashes(decode_full(data, LIMITS))
        except ImageError as error:
            row["error"] = str(error)
        except OSError as error:
            row["error"] = error.strerror or str(error)
        yield row


def hash_command(files: list[Path]) -> None:
    """Print MD5, PDQ and pHash of each file as JSON Lines, for hash lists.

    Raises:
        typer.Exit: with 1, when a file is not a picture; its line has an `error`.
    """
    failed = False
    for row in hash_files(files):
        write_out(msgspec.json.encode(row) + b"\n")
        failed = failed or "error" in row
    raise typer.Exit(1 if failed else 0)


def _hashes(image: Image.Image) -> dict[str, Any]:
    # Imported here: scipy takes a third of a second that `--help` need not wait for.
    import imagehash

    from models.image.hashes import pdq

    hashes, quality = pdq(image, exact=True)
    return {
        "pdq": hashes[0].tobytes().hex(),
        "pdq_quality": quality,
        "phash": str(imagehash.phash(image)),
    }
