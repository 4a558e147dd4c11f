"""Hash lists: digests of known material, as hash exchanges hand them out."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal, cast

from msgspec import Struct

from policy.errors import PolicyError
from policy.policy import BUILT_IN
from policy.taxonomy import CATEGORIES

Algorithm = Literal["md5", "pdq", "phash"]

HASH_BYTES: Final[Mapping[str, int]] = {"md5": 16, "pdq": 32, "phash": 8}
"""Length of each algorithm's hash; in the files two hex digits a byte."""
HEADER: Final = ["algorithm", "hash", "category", "source"]
MAX_FILE_BYTES: Final = 2 * 1024**3
MAX_HASHES: Final = 20_000_000


class Known(Struct, frozen=True):
    """What a list says of a hash."""

    category: str
    source: str


class HashList(Struct, frozen=True):
    """Hashes by algorithm, and the `version`: a digest of the files they came from."""

    md5: dict[bytes, Known]
    pdq: dict[bytes, Known]
    phash: dict[bytes, Known]
    version: str


def load_hashes(directory: Path = BUILT_IN) -> HashList:
    """The hashes of `directory`/hashes/*.csv. The first entry of a hash counts.

    Raises:
        PolicyError: a file cannot be read or breaks the format; file and line are named.
    """
    return parse_hashes(read_hash_files(directory))


def read_hash_files(directory: Path = BUILT_IN) -> dict[str, str]:
    """The texts of `directory`/hashes/*.csv by file name.

    Raises:
        PolicyError: there is no such directory, or a file in it cannot be read.
    """
    folder = directory / "hashes"
    if not folder.is_dir():
        raise PolicyError(
            f"{folder}: no such directory; BREAKWATER_POLICY names a directory with hashes/, "
            "which may be empty"
        )
    return {path.name: read_hash_file(path) for path in sorted(folder.glob("*.csv"))}


def read_hash_file(path: Path) -> str:
    """The text of one hash list.

    Raises:
        PolicyError: it cannot be read, is too large or is no UTF-8.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PolicyError(f"{path}: larger than {MAX_FILE_BYTES} bytes; split the file")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: cannot be read ({error})") from None


def parse_hashes(texts: Mapping[str, str]) -> HashList:
    """The hash list of CSV files given as text by file name. Lines that start with `#` are remarks.

    Raises:
        PolicyError: as `load_hashes`.
    """
    digest = blake2b(digest_size=6)
    found: dict[str, dict[bytes, Known]] = {algorithm: {} for algorithm in HASH_BYTES}
    # Lists repeat few (category, source) pairs millions of times: one object for each pair.
    shared: dict[tuple[str, str], Known] = {}
    for name, text in sorted(texts.items()):
        digest.update(f"{name}\0{text}\0".encode())
        for algorithm, value, category, source in _rows(name, text):
            known = shared.setdefault((category, source), Known(category, source))
            found[algorithm].setdefault(value, known)
        if sum(map(len, found.values())) > MAX_HASHES:
            raise PolicyError(f"{name}: more than {MAX_HASHES} hashes")
    return HashList(**found, version=digest.hexdigest())


def _rows(name: str, text: str) -> Iterator[tuple[Algorithm, bytes, str, str]]:
    """The checked rows of one file."""
    lines = ((number, line) for number, line in enumerate(text.splitlines(), 1))
    kept = [(number, line) for number, line in lines if line.strip() and not line.startswith("#")]
    if not kept or next(csv.reader([kept[0][1]])) != HEADER:
        raise PolicyError(f"{name}: the first line must be {','.join(HEADER)}")
    for number, row in _read(name, kept[1:]):
        where = f"{name}: line {number}"
        if len(row) != len(HEADER):
            raise PolicyError(f"{where}: {len(row)} fields, expected {','.join(HEADER)}")
        algorithm, hexadecimal, category, source = (field.strip() for field in row)
        if algorithm not in HASH_BYTES:
            known = ", ".join(HASH_BYTES)
            raise PolicyError(f"{where}: algorithm {algorithm[:40]!r} is not one of {known}")
        if category not in CATEGORIES:
            known = ", ".join(CATEGORIES)
            raise PolicyError(f"{where}: category {category[:40]!r} is not one of {known}")
        if not source or len(source) > 100:
            raise PolicyError(f"{where}: source must have 1 to 100 characters")
        yield cast("Algorithm", algorithm), _digest(where, algorithm, hexadecimal), category, source


def _read(name: str, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines:
        try:
            # Line by line, so that an unclosed quote cannot swallow the rest of the file.
            yield number, next(csv.reader([line], strict=True))
        except csv.Error as error:
            raise PolicyError(f"{name}: line {number}: {error}") from None


def _digest(where: str, algorithm: str, hexadecimal: str) -> bytes:
    digits = 2 * HASH_BYTES[algorithm]
    try:
        if len(hexadecimal) == digits:
            return bytes.fromhex(hexadecimal)
    except ValueError:
        pass
    raise PolicyError(f"{where}: hash: {algorithm} has {digits} hex digits")
