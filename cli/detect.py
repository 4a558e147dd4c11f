"""`breakwater detect`: the job's surge detector over series in CSV files."""

from __future__ import annotations

import csv
import math
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

import typer

from cli.errors import exit_code, say
from operators.surge_detector import Reading, SurgeDetector

HEADER: Final = ("timestamp", "value", "z_score", "anomaly_score")
_GAPS: Final = frozenset({"", "na", "n/a", "nan", "null", "none", "inf", "-inf", "+inf"})
_NOTHING: Final = Reading(0.0, 0.0, 0.0)


class SeriesError(ValueError):
    """A file that is not a series; the message names file and line."""


@dataclass
class SeriesScorer:
    """Scores the rows of one CSV series in one pass, each from itself and the rows before it.

    A row without a number (empty, NaN, infinite) keeps its place with scores of 0 and teaches
    nothing; times may repeat or go back, as they do when clocks are set. Both are counted in
    `notes`.
    """

    name: str
    notes: Counter[str] = field(default_factory=Counter)

    def __call__(self, lines: Iterable[str]) -> Iterator[tuple[str, str, str, str]]:
        """Rows (timestamp, value, z_score, anomaly_score), the first two as they were written.

        Raises:
            SeriesError: no header with `timestamp` and `value`, or a row without readable ones.
        """
        rows = csv.reader(lines)
        detector = SurgeDetector(counts=False, memory=8, novelty=True)
        try:
            header = [name.strip().lower() for name in next(rows, [])]
            if "timestamp" not in header or "value" not in header:
                raise SeriesError(f"{self.name}:1: the first line must be `timestamp,value`")
            columns = header.index("timestamp"), header.index("value")
            before = -math.inf
            for row in rows:
                if not row:
                    self.notes["blank lines left out"] += 1
                    continue
                where = f"{self.name}:{rows.line_num}"
                if not max(columns) < len(row) <= len(header):
                    raise SeriesError(f"{where}: {len(header)} fields expected, {len(row)} found")
                when, written = row[columns[0]], row[columns[1]]
                at, value = _time(when, where), _number(written, where)
                self.notes["times not later than the row before"] += at <= before
                before = at
                reading = _NOTHING
                if value is None:
                    self.notes["rows without a number, scored 0"] += 1
                else:
                    reading = detector.update(at, value)
                yield when, written, f"{reading.z_score:.4f}", f"{reading.anomaly_score:.6f}"
        except csv.Error as error:
            raise SeriesError(f"{self.name}:{rows.line_num}: {error}") from error


def _time(text: str, where: str) -> float:
    text = text.strip()
    try:
        try:
            number = float(text)
        except ValueError:
            at = datetime.fromisoformat(text)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        # Unix times beyond the year 5000 are milliseconds; int() refuses infinities and NaN.
        return number / 1_000 if abs(int(number)) > 1e11 else number
    except (ValueError, OverflowError):
        raise SeriesError(
            f"{where}: {text[:40]!r} is not a time; ISO 8601 or Unix seconds are"
        ) from None


def _number(text: str, where: str) -> float | None:
    text = text.strip()
    if text.lower() in _GAPS:
        return None
    try:
        value = float(text)
    except ValueError:
        raise SeriesError(f"{where}: {text[:40]!r} is not a number") from None
    return value if math.isfinite(value) else None


def _score(file: Path, out: TextIO) -> None:
    scorer = SeriesScorer(str(file))
    writer = csv.writer(out, lineterminator="\n")
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        rows = scorer(lines)
        first = next(rows, None)
        writer.writerow(HEADER)
        if first is not None:
            writer.writerow(first)
        writer.writerows(rows)
    for note, count in scorer.notes.items():
        if count:
            typer.echo(f"{file}: {count} {note}", err=True)


def _score_to(file: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as out:
            _score(file, out)
        os.replace(part, target)  # noqa: PTH105  the same as Path.replace, and says so
    finally:
        part.unlink(missing_ok=True)


def _check_usage(files: list[Path], output: Path | None) -> None:
    if output is None:
        if len(files) > 1:
            raise typer.BadParameter("several files need --output DIR")
        return
    if output.exists() and not output.is_dir():
        raise typer.BadParameter(f"--output {output} is a file: name a directory")
    names = Counter(file.name for file in files)
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        raise typer.BadParameter(f"two files are called {twice[0]}: they would share one output")
    if any(file.resolve().parent == output.resolve() for file in files):
        raise typer.BadParameter("--output is where the input is: it would be overwritten")


def detect_command(files: list[Path], output: Path | None = None) -> None:
    """Write `timestamp,value,z_score,anomaly_score` for every row of `files` into `output`.

    Without `output`, one file goes to standard output. A file that is not a series does not keep
    the others from being scored.

    Raises:
        typer.BadParameter: the files and `output` do not go together.
        typer.Exit: with 2, when a file cannot be read or written; with 1, when one is not a series.
    """
    _check_usage(files, output)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    code = 0
    for file in files:
        try:
            if output is None:
                _score(file, sys.stdout)
            else:
                _score_to(file, output / file.name)
        except SeriesError as error:
            say(str(error))
            code = max(code, 1)
        except OSError as error:
            say(f"{error.filename or file}: {error.strerror}")
            code = max(code, exit_code(error) or 1)
    if code:
        raise typer.Exit(code)
