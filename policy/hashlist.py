"""Hash lists: digests of known material, as hash exchanges hand them out."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, cast

import msgspec
from msgspec import Meta, Struct

from policy.errors import PolicyError
from policy.files import digest_of, list_files, read_file, version_of
from policy.policy import BUILT_IN
from policy.taxonomy import CATEGORIES

Algorithm = Literal["md5", "pdq", "phash"]

HASH_BYTES: Final[Mapping[str, int]] = {"md5": 16, "pdq": 32, "phash": 8}
"""Length of each algorithm's hash; in the files two hex digits a byte."""
HEADER: Final = ["algorithm", "hash", "category", "source"]
EXPIRES: Final = "expires"
"""A fifth column that a list may have: RFC 3339 with a zone, empty for an entry that stays."""
MAX_FILE_BYTES: Final = 2 * 1024**3
MAX_HASHES: Final = 20_000_000


class Known(Struct, frozen=True):
    """What a list says of a hash; after `expires` the entry no longer counts."""

    category: str
    source: str
    expires: datetime | None = None

    def expired(self, at: float) -> bool:
        """Whether the entry has expired at `at` (Unix seconds)."""
        return self.expires is not None and at >= self.expires.timestamp()

    def outlasts(self, other: Known) -> bool:
        """Whether this entry stays in force for longer than `other`."""
        return other.expires is not None and (self.expires is None or self.expires > other.expires)


Entries = dict[bytes, Known]
_Instant: Any = Annotated[datetime, Meta(tz=True)]


class HashFile(Struct, frozen=True):
    """The checked entries of one file by algorithm. `digest` names its content."""

    name: str
    digest: str
    entries: dict[str, Entries]


class HashList(Struct, frozen=True):
    """Hashes by algorithm, and the `version`: a digest of the files they came from.

    Of several entries of one hash the one that lasts longest counts, among equals the first.
    """

    md5: Entries
    pdq: Entries
    phash: Entries
    version: str
    files: tuple[HashFile, ...] = ()

    def by_algorithm(self) -> dict[str, Entries]:
        """The entries of each algorithm."""
        return {"md5": self.md5, "pdq": self.pdq, "phash": self.phash}


def load_hashes(directory: Path = BUILT_IN) -> HashList:
    """The hashes of `directory`/hashes/*.csv.

    Raises:
        PolicyError: a file cannot be read or breaks the format; file and line are named.
    """
    return parse_hashes(read_hash_files(directory))


def read_hash_files(directory: Path) -> dict[str, str]:
    """The texts of `directory`/hashes/*.csv by file name.

    Raises:
        PolicyError: there is no such directory, or a file in it cannot be read.
    """
    return {path.name: read_hash_file(path) for path in list_files(directory / "hashes", "*.csv")}


def read_hash_file(path: Path) -> str:
    """The text of one hash list.

    Raises:
        PolicyError: it cannot be read, is too large or is no UTF-8.
    """
    return read_file(path, MAX_FILE_BYTES, "utf-8-sig")


def parse_hashes(texts: Mapping[str, str], previous: HashList | None = None) -> HashList:
    """The hash list of CSV files given as text by file name. Lines that start with `#` are remarks.

    Files that are unchanged since `previous` are taken over from it.

    Raises:
        PolicyError: as `load_hashes`.
    """
    known = {(file.name, file.digest): file for file in previous.files} if previous else {}
    files = []
    for name, text in sorted(texts.items()):
        digest = digest_of(text)
        files.append(known.get((name, digest)) or _parse_file(name, digest, text))
        if sum(len(entries) for file in files for entries in file.entries.values()) > MAX_HASHES:
            raise PolicyError(f"{name}: more than {MAX_HASHES} hashes")
    merged = {name: _merged([file.entries[name] for file in files]) for name in HASH_BYTES}
    version = version_of((file.name, file.digest) for file in files)
    return HashList(**merged, version=version, files=tuple(files))


def _parse_file(name: str, digest: str, text: str) -> HashFile:
    entries: dict[str, Entries] = {algorithm: {} for algorithm in HASH_BYTES}
    # Lists repeat few (category, source, expires) millions of times: one object for each.
    shared: dict[Known, Known] = {}
    for row in _rows(name, text):
        known = shared.setdefault(row.known, row.known)
        _keep(entries[row.algorithm], row.value, known)
    return HashFile(name, digest, entries)


def _merged(parts: Sequence[Entries]) -> Entries:
    """All entries of `parts`; the one part with any itself, since it may be large."""
    first, *others = [part for part in parts if part] or [{}]
    if not others:
        return first
    merged = dict(first)
    for part in others:
        for value, known in part.items():
            _keep(merged, value, known)
    return merged


def _keep(entries: Entries, value: bytes, known: Known) -> None:
    present = entries.setdefault(value, known)
    if present is not known and known.outlasts(present):
        entries[value] = known


class _Row(NamedTuple):
    algorithm: Algorithm
    value: bytes
    known: Known


def _rows(name: str, text: str) -> Iterator[_Row]:
    """The checked rows of one file."""
    lines = ((number, line) for number, line in enumerate(text.splitlines(), 1))
    kept = [(number, line) for number, line in lines if line.strip() and not line.startswith("#")]
    header = next(csv.reader([kept[0][1]])) if kept else []
    if header not in (HEADER, [*HEADER, EXPIRES]):
        raise PolicyError(f"{name}: the first line must be {','.join(HEADER)}[,{EXPIRES}]")
    for number, row in csv_rows(name, kept[1:]):
        where = f"{name}: line {number}"
        if len(row) != len(header):
            raise PolicyError(f"{where}: {len(row)} fields, expected {','.join(header)}")
        algorithm, hexadecimal, category, source, *last = (field.strip() for field in row)
        if algorithm not in HASH_BYTES:
            known = ", ".join(HASH_BYTES)
            raise PolicyError(f"{where}: algorithm {algorithm[:40]!r} is not one of {known}")
        if category not in CATEGORIES:
            known = ", ".join(CATEGORIES)
            raise PolicyError(f"{where}: category {category[:40]!r} is not one of {known}")
        if not source or len(source) > 100:
            raise PolicyError(f"{where}: source must have 1 to 100 characters")
        expires = _instant(where, last[0]) if last and last[0] else None
        value = _digest(where, algorithm, hexadecimal)
        yield _Row(cast("Algorithm", algorithm), value, Known(category, source, expires))


def csv_rows(name: str, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    """The fields of numbered `lines` of the file `name`, with their numbers.

    Raises:
        PolicyError: a line is no CSV.
    """
    for number, line in lines:
        try:
            # Line by line, so that an unclosed quote cannot swallow the rest of the file.
            yield number, next(csv.reader([line], strict=True))
        except csv.Error as error:
            raise PolicyError(f"{name}: line {number}: {error}") from None


def _instant(where: str, text: str) -> datetime:
    try:
        instant: datetime = msgspec.convert(text, _Instant)
    except msgspec.ValidationError:
        raise PolicyError(f"{where}: expires: {text[:40]!r} is no time with a zone") from None
    return instant


def _digest(where: str, algorithm: str, hexadecimal: str) -> bytes:
    digits = 2 * HASH_BYTES[algorithm]
    try:
        if len(hexadecimal) == digits:
            return bytes.fromhex(hexadecimal)
    except ValueError:
        pass
    raise PolicyError(f"{where}: hash: {algorithm} has {digits} hex digits")
