"""`breakwater query`: a question of the library, on the screen or into a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.errors import UsageError
from cli.store import existing_store
from cli.terminal import printable, table_console, write_out
from connectors.clickhouse import connect
from connectors.query_library import Answer, Query, QueryError, export, list_queries, load, run
from flows.settings import load_settings

CELL_WIDTH = 120


class OutputFormat(StrEnum):
    """How an answer is written."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


_CLICKHOUSE_FORMATS = {
    OutputFormat.csv: "CSVWithNames",
    OutputFormat.json: "JSONEachRow",
    OutputFormat.parquet: "Parquet",
}


def query_command(
    name: str,
    param: Sequence[str] = (),
    output_format: OutputFormat = OutputFormat.table,
    output: Path | None = None,
) -> None:
    """Run the query called `name`; without a name, list what can be asked.

    Raises:
        UsageError: no such query, a wrong parameter, or binary output to a terminal.
        StoreError: ClickHouse does not answer.
    """
    if not name:
        _print_queries(list_queries())
        return
    params = dict(_assignment(each) for each in param)
    if output_format is OutputFormat.parquet and output is None and sys.stdout.isatty():
        raise UsageError("Parquet is binary: give --output FILE, or redirect")
    try:
        query = load(name)
        client = connect(existing_store(load_settings()))
        try:
            if output_format is OutputFormat.table:
                _print_answer(query, run(client, name, params), output)
            else:
                _write(export(client, name, params, _CLICKHOUSE_FORMATS[output_format]), output)
        finally:
            client.close()
    except QueryError as error:
        raise UsageError(str(error)) from None


def describe_query(name: str) -> str:
    """What the query called `name` answers, the parameters it takes, and a sample of its answer.

    Raises:
        UsageError: no such query.
    """
    try:
        query = load(name)
    except QueryError as error:
        raise UsageError(str(error)) from None
    lines = [query.question, "", query.description]
    if query.parameters:
        lines += ["", "Parameters (--param NAME=VALUE):"]
    for parameter in query.parameters:
        default = parameter.default or "''"
        need = "required" if parameter.default is None else f"default {default}"
        lines.append(f"  {parameter.name:16}{parameter.meaning} ({parameter.type}; {need})")
    return "\n".join([*lines, "", "Sample:", *(f"  {row}" for row in query.sample)])


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--param {text}: expected NAME=VALUE")
    return name, value


def _print_queries(queries: Sequence[Query]) -> None:
    table = Table("query", "what it answers", box=None)
    for query in queries:
        table.add_row(query.name, query.question)
    Console().print(table)


def _print_answer(query: Query, answer: Answer, output: Path | None) -> None:
    if not answer.rows and output is None:
        print("no rows")
        return
    table = Table(*answer.columns, title=query.question, box=None, title_justify="left")
    for row in answer.rows:
        table.add_row(*(Text(shown(value)) for value in row))
    if output is not None:
        with output.open("w", encoding="utf-8") as file:
            Console(file=file, width=400).print(table)
        return
    table_console().print(table)


def shown(value: Any) -> str:
    """`value` on one line; user content must not command the terminal."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    shown = printable(text)
    return shown if len(shown) <= CELL_WIDTH else shown[: CELL_WIDTH - 1] + "…"


def _write(data: bytes, output: Path | None) -> None:
    if output is not None:
        output.write_bytes(data)
    else:
        write_out(data)
