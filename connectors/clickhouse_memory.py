"""The twin in memory of the ClickHouse writer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from connectors import clickhouse_rows as rows
from connectors.clickhouse_rows import Row, Table
from connectors.store import Store

M = TypeVar("M")


class MemoryStore(Store):
    """A `Store` in memory, for tests.

    Unlike ClickHouse it forgets a replaced row at once rather than in a merge, keeps rows for good,
    has no aggregates, users or SQL, and is not shared between processes.
    """

    def __init__(self) -> None:
        self.tables: dict[str, dict[Row, dict[str, Any]]] = {t.name: {} for t in rows.TABLES}

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of `table` in the order of their first insert, as column name to value."""
        return list(self.tables[table].values())

    def insert(self, table: Table[M], messages: Iterable[M]) -> None:
        """Keep the rows of `messages`, the one with the highest version of each identity."""
        kept = self.tables[table.name]
        for message in messages:
            for values in table.rows(message):
                row = dict(zip(table.columns, values, strict=True))
                identity = tuple(row[column] for column in table.identity)
                known = kept.get(identity, row)
                if row.get(table.version, 0) >= known.get(table.version, 0):
                    kept[identity] = row

    def close(self) -> None:
        """Nothing is open."""
