"""Files of rules and hashes as texts, and the digests that name what is in them."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from policy.errors import PolicyError


def read_file(path: Path, max_bytes: int, encoding: str = "utf-8") -> str:
    """The text of one file.

    Raises:
        PolicyError: it cannot be read, is larger than `max_bytes` or is no UTF-8.
    """
    try:
        if path.stat().st_size > max_bytes:
            raise PolicyError(f"{path}: larger than {max_bytes} bytes; split the file")
        return path.read_text(encoding=encoding)
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: cannot be read ({error})") from None


def list_files(folder: Path, pattern: str) -> list[Path]:
    """The files of `folder`, a part of a policy directory, that match `pattern`, by name.

    Raises:
        PolicyError: there is no such directory.
    """
    if not folder.is_dir():
        raise PolicyError(
            f"{folder}: no such directory; BREAKWATER_POLICY names a directory with {folder.name}/,"
            " which may be empty"
        )
    return sorted(folder.glob(pattern))


def digest_of(text: str) -> str:
    """Names a text: 32 hex digits, equal for equal texts."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def version_of(digests: Iterable[tuple[str, str]]) -> str:
    """The version of files given as (name, digest) in their order: 12 hex digits."""
    version = blake2b(digest_size=6)
    for name, digest in digests:
        version.update(f"{name}\0{digest}\0".encode())
    return version.hexdigest()
