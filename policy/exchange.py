"""Hash lists as the exchanges hand them out, turned into ours.

The columns are known by their names, blind to case and punctuation:

- ThreatExchange and HMA, among them GIFCT's lists: `signal_type,signal_str,collab,category,tags` of
  `threatexchange dataset --csv`, and `id,indicator,type,status,…` of its `query`
  (https://github.com/facebook/threatexchange, python-threatexchange 1.2.17);
- StopNCII: the fields of its records, `signalType,hashValue,hashStatus` (same source);
- NCMEC: a column for each fingerprint (`MD5`, `PDQ`, …), or `type` and `fingerprint`.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from io import StringIO
from typing import Final

from msgspec import Struct

from policy.errors import PolicyError
from policy.hashlist import EXPIRES, HASH_BYTES, HEADER, csv_rows

MIN_PDQ_QUALITY: Final = 50
"""PDQ's authors match nothing of a lower quality."""

_TYPES: Final = {"signaltype", "type", "hashtype", "algorithm", "fingerprinttype"}
_VALUES: Final = {"signalstr", "indicator", "hashvalue", "hash", "value", "fingerprint", "signal"}
_STATES: Final = {"status", "hashstatus", "category"}
_QUALITIES: Final = {"quality", "pdqquality"}
_NOT_MEANT: Final = {"nonmalicious", "withdrawn", "deleted", "negativeclass", "investigationseed"}
"""States of entries that are not, or no longer, to be matched."""
_ALGORITHMS: Final[Mapping[str, str]] = {
    "md5": "md5", "hashmd5": "md5", "videomd5": "md5", "hashvideomd5": "md5", "imagemd5": "md5",
    "pdq": "pdq", "hashpdq": "pdq", "imagepdq": "pdq", "pdqhash": "pdq",
    "phash": "phash",
}  # fmt: skip
"""Their names of the algorithms that we have; an MD5 is of a file, whatever is in it."""


class Imported(Struct, frozen=True):
    """Entries as (algorithm, hash in lower hex), each once, and why rows were left out."""

    entries: tuple[tuple[str, str], ...]
    left_out: Counter[str]


def read_exchange(name: str, text: str, algorithm: str = "") -> Imported:
    """The entries of the exchange's CSV `text`; `name` is for messages.

    With `algorithm` a file without these columns is taken as hashes, the first field of each line.

    Raises:
        PolicyError: no column of hashes is known, or a line is no CSV.
    """
    rows = _rows(name, text)
    header = [_plain(field) for field in next(rows, [])]
    left_out = Counter[str]()
    found: dict[tuple[str, str], None] = {}
    if not any(field in _VALUES or field in _ALGORITHMS for field in header):
        if algorithm not in HASH_BYTES:
            raise PolicyError(
                f"{name}: no column of hashes is known by its name (docs/hash-lists.md has them);"
                f" if its first fields are hashes, say which: {', '.join(HASH_BYTES)}"
            )
        header, rows = [algorithm], _rows(name, text)
    for row in rows:
        fields = dict(zip(header, row, strict=False))
        for entry in _entries(fields, algorithm, left_out):
            found[entry] = None
    return Imported(tuple(found), left_out)


def as_hash_list(
    imported: Imported, *, category: str, source: str, expires: datetime | None = None
) -> str:
    """The text of a hash list of ours; `expires` for every entry, None: they stay."""
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    tail = [] if expires is None else [expires.isoformat()]
    writer.writerow(HEADER if expires is None else [*HEADER, EXPIRES])
    writer.writerows([*entry, category, source, *tail] for entry in imported.entries)
    return file.getvalue()


def _entries(
    fields: Mapping[str, str], algorithm: str, left_out: Counter[str]
) -> Iterator[tuple[str, str]]:
    """The entries of one row, which may have several algorithms' hashes."""
    states = {_plain(value) for field, value in fields.items() if field in _STATES}
    if states & _NOT_MEANT:
        left_out[f"{min(states & _NOT_MEANT)}"] += 1
        return
    named = next((_plain(value) for field, value in fields.items() if field in _TYPES), algorithm)
    for field, value in fields.items():
        kind = named if field in _VALUES else field if field in _ALGORITHMS else ""
        digits = value.strip().lower()
        if not kind or not digits:
            continue
        known = _ALGORITHMS.get(kind)
        if known is None:
            left_out[f"of type {kind[:40]}"] += 1
        elif not re.fullmatch(rf"[0-9a-f]{{{2 * HASH_BYTES[known]}}}", digits):
            left_out[f"no {known} hash"] += 1
        elif known == "pdq" and _quality(fields) < MIN_PDQ_QUALITY:
            left_out["of low quality"] += 1
        else:
            yield known, digits


def _quality(fields: Mapping[str, str]) -> float:
    told = next((value for field, value in fields.items() if field in _QUALITIES), "")
    return float(told) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", told.strip()) else 100.0


def _plain(field: str) -> str:
    return re.sub(r"[^a-z0-9]", "", field.lower())


def _rows(name: str, text: str) -> Iterator[list[str]]:
    lines = ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())
    return (row for _, row in csv_rows(name, lines))
