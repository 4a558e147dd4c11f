"""Rows on their way into a table of ClickHouse.

A server gets lines of JSON, which are made sooner than columns: meanwhile the stages wait for the
interpreter. The embedded engine, which reads what it gets in this process, is given columns; so is
a table with bytes in it, which JSON cannot say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import lz4.frame
import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.insert import InsertContext

from connectors.clickhouse_rows import Row, Table

Redact: TypeAlias = Callable[[Sequence[str]], list[str]]

DATABASE: Final = "moderation"
SMALL_INSERT_ROWS: Final = 1000
"""Below this a server gathers the rows of several inserts into one part (async_insert)."""
_LINES: Final = 250
"""Encoded at a time: meanwhile no other thread has the interpreter."""

_encode_lines = msgspec.json.Encoder().encode_lines


class Inserter:
    """Sends rows to one server, or to the embedded engine.

    `redact` goes over the texts of users before they are sent, see `Table.texts`.
    """

    def __init__(self, client: Client, *, embedded: bool, redact: Redact | None) -> None:
        self._client = client
        self._embedded = embedded
        self._redact = redact
        self._contexts: dict[str, InsertContext] = {}

    def send(self, table: Table[Any], made: list[Row]) -> None:
        """Insert `made`, at least one row.

        Raises:
            ClickHouseError: the engine refuses them, or no server answers.
        """
        if self._redact is not None:
            for name in table.texts:
                made = self._redacted(made, table.columns.index(name))
        if self._embedded or table.binary:
            self._send_columns(table, made)
        else:
            self._send_lines(table, made)

    def _redacted(self, made: list[Row], at: int) -> list[Row]:
        assert self._redact is not None
        column = [row[at] for row in made]
        if isinstance(column[0], str):
            clean: Sequence[Any] = self._redact(column)
        else:
            # Raw bytes of any encoding: a character a byte, and back.
            texts = self._redact([raw.decode("latin-1") for raw in column])
            clean = [text.encode("latin-1") for text in texts]
        return [(*row[:at], value, *row[at + 1 :]) for row, value in zip(made, clean, strict=True)]

    def _send_lines(self, table: Table[Any], made: list[Row]) -> None:
        lines = [_encode_lines(made[at : at + _LINES]) for at in range(0, len(made), _LINES)]
        self._client.raw_insert(
            f"{DATABASE}.{table.name}",
            table.columns,
            lz4.frame.compress(b"".join(lines)),
            # RFC 3339, as JSON has times.
            self._settings(len(made)) | {"date_time_input_format": "best_effort"},
            "JSONCompactEachRow",
            "lz4",
        )

    def _send_columns(self, table: Table[Any], made: list[Row]) -> None:
        context = self._contexts.get(table.name)
        if context is None:
            context = self._contexts[table.name] = self._client.create_insert_context(
                table.name, table.columns, database=DATABASE, column_oriented=True
            )
        context.settings = self._settings(len(made))
        try:
            context.data = list(zip(*made, strict=True))
            self._client.insert(context=context)
        finally:
            context.data = None

    def _settings(self, count: int) -> dict[str, Any]:
        # An import of old contents may touch more months than the default of 100.
        settings: dict[str, Any] = {"max_partitions_per_insert_block": 0}
        if not self._embedded:
            settings |= {
                "async_insert": int(count < SMALL_INSERT_ROWS),
                "wait_for_async_insert": 1,
            }
        return settings
