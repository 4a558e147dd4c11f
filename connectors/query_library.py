"""The query library: `clickhouse/queries/*.sql`, one question a file, and how to run them.

A file opens with comments: `-- NAME: QUESTION`, what the columns mean, `-- Parameters:` (one a
line: name, ClickHouse type, `= default`, meaning) and `-- Sample:` (some rows of a result). What
follows is plain ClickHouse SQL with `{name:Type}` parameters: every ClickHouse client can run it.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from connectors.clickhouse import first_line
from events.categories import CATEGORIES

_PARAMETER = re.compile(
    r"--   (?P<name>\w+)  +(?P<type>\S.*?)(?:  += (?P<default>.*?))?  +(?P<meaning>\S.*)"
)
_RELATIVE = re.compile(r"(newest|now)(?: - (\d+) days)?")
_NOT_ZERO = frozenset({"steps", "minutes", "past"})
"""Widths and counts that something is divided by."""
_PROBABILITIES = frozenset({"threshold", "sample"})
_EXPORT_SETTINGS = {
    "format_csv_null_representation": "",
    "output_format_json_array_of_rows": 1,
    "output_format_json_quote_64bit_integers": 0,
}


class QueryError(ValueError):
    """No such query, a wrong parameter, or tables that cannot answer; one line that says which."""


@dataclass(frozen=True)
class Parameter:
    """A `{name:type}` of a query; without a default (None) it must be given.

    Default `newest` is the end of the newest hour of posts in the store, `newest - N days` that
    before it; `now` is the end for what the clock dates: labels, appeals, dead letters.
    """

    name: str
    type: str
    default: str | None
    meaning: str


@dataclass(frozen=True)
class Query:
    """A question and the SQL that answers it."""

    name: str
    question: str
    description: str
    parameters: tuple[Parameter, ...]
    sample: tuple[str, ...]
    sql: str


@dataclass(frozen=True)
class Answer:
    """Column names, and rows as tuples in their order."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


def list_queries() -> list[Query]:
    """Every query of the library, by name."""
    folder = files("clickhouse").joinpath("queries")
    names = (entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [_parse(folder.joinpath(name).read_text("utf-8")) for name in sorted(names)]


def load(name: str) -> Query:
    """The query called `name`.

    Raises:
        QueryError: no query has this name; the message names those spelt alike.
    """
    queries = {query.name: query for query in list_queries()}
    if name in queries:
        return queries[name]
    if alike := difflib.get_close_matches(name, queries):
        raise QueryError(f"unknown query {name!r}; did you mean {' or '.join(alike)}?")
    raise QueryError(f"unknown query {name!r}; there are {', '.join(sorted(queries))}")


def run(client: Client, name: str, params: Mapping[str, str] | None = None) -> Answer:
    """The answer of the query called `name`; `params` holds values as one would write them.

    Raises:
        QueryError: no such query, a parameter is unknown, missing or malformed, or ClickHouse
            refuses.
    """
    query = load(name)
    values = bind(client, query, params or {})
    try:
        result = client.query(query.sql, parameters=values)
        # Native, which the driver speaks, names no columns when there are no rows.
        columns = result.column_names or _columns(client, query, values)
    except ClickHouseError as error:
        raise _refused(query, error) from None
    return Answer(tuple(columns), result.result_rows)


def export(client: Client, name: str, params: Mapping[str, str], output_format: str) -> bytes:
    """The answer of the query called `name`, written by ClickHouse.

    `output_format` is one of ClickHouse's: `CSVWithNames`, `Parquet`, `JSONEachRow` (which makes
    one array of objects here).

    Raises:
        QueryError: as `run`.
    """
    query = load(name)
    values = bind(client, query, params)
    try:
        return client.raw_query(query.sql, values, settings=_EXPORT_SETTINGS, fmt=output_format)
    except ClickHouseError as error:
        raise _refused(query, error) from None


def bind(client: Client, query: Query, params: Mapping[str, str]) -> dict[str, str]:
    """A value for every parameter of `query`: the one in `params`, or the default.

    Raises:
        QueryError: a parameter is unknown, missing or malformed, or can only find nothing: an
            unknown category, a threshold that is no probability, a window without length.
    """
    known = {parameter.name for parameter in query.parameters}
    for name in params:
        if name not in known:
            takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
            raise QueryError(f"{query.name} has no parameter {name!r}; {takes}")
    values = {}
    ends = {"now": datetime.now(UTC)}
    for parameter in query.parameters:
        value = params.get(parameter.name, parameter.default)
        if value is None:
            raise QueryError(f"{query.name} needs --param {parameter.name}=… ({parameter.meaning})")
        if parameter.type.startswith("DateTime"):
            value = _time(client, parameter, value, ends).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        _check(parameter, value)
        values[parameter.name] = value
    if {"since", "until"} <= values.keys() and values["since"] >= values["until"]:
        raise QueryError(
            f"an empty window: since {values['since']} is not before until {values['until']}"
        )
    return values


def _check(parameter: Parameter, value: str) -> None:
    """Raise a QueryError when nothing can have `value`, or ClickHouse would read another."""
    if unsigned := re.fullmatch(r"UInt(\d+)", parameter.type):
        least, most = int(parameter.name in _NOT_ZERO), 2 ** int(unsigned[1]) - 1
        if not re.fullmatch("[0-9]{1,20}", value) or not least <= int(value) <= most:
            raise QueryError(
                f"parameter {parameter.name}: {value!r} is not a whole number"
                f" from {least} to {most}"
            )
    empty = value == parameter.default == ""
    if parameter.name == "category" and value not in CATEGORIES and not empty:
        raise QueryError(f"unknown category {value!r}; expected one of {', '.join(CATEGORIES)}")
    if parameter.name in _PROBABILITIES and not 0 <= _number(value) <= 1:
        raise QueryError(f"parameter {parameter.name}: {value!r} is not between 0 and 1")
    if parameter.type.startswith("Float") and not math.isfinite(_number(value)):
        raise QueryError(f"parameter {parameter.name}: {value!r} is not a number")
    # What ClickHouse's tokens are made of: ASCII letters and digits, and all that is not ASCII.
    if parameter.name == "word" and not re.fullmatch(r"[A-Za-z0-9\x80-\U0010ffff]+", value):
        raise QueryError(f"parameter word: {value!r} is not one word of letters and digits")


def _number(value: str) -> float:
    """The number that `value` writes; nan, which compares with nothing, for other text."""
    try:
        return float(value)
    except ValueError:
        return math.nan


def _columns(client: Client, query: Query, values: dict[str, str]) -> list[str]:
    return client.raw_query(query.sql, values, fmt="TSVWithNames").decode().strip().split("\t")


def _newest(client: Client) -> datetime:
    # A clock that runs ahead somewhere must not move everybody's window.
    sql = "SELECT toUnixTimestamp(max(hour)) FROM moderation.decisions_by_hour WHERE hour <= now()"
    try:
        seconds = int(client.query(sql).result_rows[0][0])
    except ClickHouseError as error:
        raise QueryError(
            f"no tables to ask ({first_line(error)}); `breakwater schema apply` makes them"
        ) from None
    newest = datetime.fromtimestamp(seconds, UTC) if seconds else datetime.now(UTC)
    return newest + timedelta(hours=1)


def _time(client: Client, parameter: Parameter, value: str, ends: dict[str, datetime]) -> datetime:
    """The moment that `value` means; `ends` holds what `newest` and `now` are, once known."""
    relative = _RELATIVE.fullmatch(value)
    if relative and relative[1] not in ends:
        ends[relative[1]] = _newest(client)
    try:
        if relative:
            moment = ends[relative[1]] - timedelta(days=int(relative[2] or 0))
        else:
            moment = datetime.fromisoformat(value)
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        in_range = 1970 <= moment.year <= 2200
    except OverflowError:
        in_range = False
    except ValueError:
        raise QueryError(
            f"parameter {parameter.name}: {value!r} is not a time;"
            " write 2026-11-17 or 2026-11-17T10:00:00Z"
        ) from None
    if not in_range:
        raise QueryError(f"parameter {parameter.name}: {value!r} is not between 1970 and 2200")
    return moment


def _refused(query: Query, error: ClickHouseError) -> QueryError:
    return QueryError(f"{query.name}: {first_line(error)}")


def _parse(text: str) -> Query:
    head, _, sql = text.partition("\n\n")
    title, *lines = head.splitlines()
    name, _, question = title.removeprefix("-- ").partition(": ")
    sections: dict[str, list[str]] = {"": [], "Parameters": [], "Sample": []}
    section = ""
    for line in lines:
        if line in ("-- Parameters:", "-- Sample:"):
            section = line.removeprefix("-- ").rstrip(":")
        elif line != "--":
            sections[section].append(line)
    return Query(
        name,
        question,
        "\n".join(line.removeprefix("-- ") for line in sections[""]),
        tuple(_parameter(line) for line in sections["Parameters"]),
        tuple(line.removeprefix("--   ") for line in sections["Sample"]),
        sql,
    )


def _parameter(line: str) -> Parameter:
    found = _PARAMETER.fullmatch(line)
    if found is None:
        raise ValueError(f"not a parameter of a query: {line!r}")
    default = found["default"]
    return Parameter(
        found["name"], found["type"], "" if default == "''" else default, found["meaning"]
    )
