"""Image files for tests: ordinary ones in every format, and those that an attacker would send."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image

from training.pictures import picture


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """`image` as a file of format `kind` (Pillow's names)."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(width: int, height: int, *, claimed: tuple[int, int] | None = None) -> bytes:
    """A black 1-bit PNG made without its pixels in memory; its header may claim another size."""
    row = bytes(1 + (width + 7) // 8)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", *(claimed or (width, height)), 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def animation(kind: str, frames: int) -> bytes:
    """An animation whose frames differ in brightness: frame i is grey of 10 * i."""
    greys = [Image.new("RGB", (64, 48), (10 * i, 10 * i, 10 * i)) for i in range(frames)]
    return encoded(greys[0], kind, save_all=True, append_images=greys[1:], lossless=True)


PHOTO = picture(7 + 8 * 21).resize((640, 400))
FORMATS = {
    "JPEG": encoded(PHOTO, "JPEG"),
    "progressive JPEG": encoded(PHOTO, "JPEG", progressive=True),
    "PNG": encoded(PHOTO, "PNG"),
    "palette PNG": encoded(PHOTO.quantize(64), "PNG"),
    "GIF": encoded(PHOTO.quantize(64), "GIF"),
    "WebP": encoded(PHOTO, "WEBP"),
    "AVIF": encoded(PHOTO, "AVIF"),
    "BMP": encoded(PHOTO, "BMP"),
    "CMYK JPEG": encoded(PHOTO.convert("CMYK"), "JPEG"),
    "grey JPEG": encoded(PHOTO.convert("L"), "JPEG"),
    "animated GIF": animation("GIF", 6),
    "animated WebP": animation("WEBP", 6),
}
"""A small file of each kind that the decoder takes, by a word on it."""
