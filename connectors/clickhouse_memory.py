"""The twin in memory of the ClickHouse writer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from connectors import clickhouse_rows as rows
from connectors.clickhouse_rows import Row, Table
from events.messages import Alert, DeadLetter, Judgement, Label

M = TypeVar("M")


class MemoryStore:
    """A `Store` in memory, for tests.

    Unlike ClickHouse it forgets a replaced row at once rather than in a merge, keeps rows for good,
    has no aggregates, users or SQL, and is not shared between processes.
    """

    def __init__(self) -> None:
        self.tables: dict[str, dict[Row, dict[str, Any]]] = {t.name: {} for t in rows.TABLES}

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of `table` in the order of their first insert, as column name to value."""
        return list(self.tables[table].values())

    def insert_judgements(self, judgements: Sequence[Judgement]) -> None:
        """Keep contents, decisions and model outputs."""
        self._insert(rows.MODERATION_LOGS, judgements)
        self._insert(rows.MODEL_OUTPUTS, judgements)
        self._insert(rows.CONTENT, judgements)

    def insert_labels(self, labels: Sequence[Label]) -> None:
        """Keep what people say."""
        self._insert(rows.HUMAN_LABELS, labels)

    def insert_alerts(self, alerts: Sequence[Alert]) -> None:
        """Keep changes of alerts."""
        self._insert(rows.DRIFT_ALERTS, [alert for alert in alerts if alert.kind == "drift"])
        self._insert(rows.SURGE_ALERTS, [alert for alert in alerts if alert.kind != "drift"])

    def insert_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep messages that could not be used."""
        self._insert(rows.DEAD_LETTERS, letters)

    def close(self) -> None:
        """Nothing is open."""

    def _insert(self, table: Table[M], messages: Iterable[M]) -> None:
        kept = self.tables[table.name]
        for message in messages:
            for values in table.rows(message):
                row = dict(zip(table.columns, values, strict=True))
                identity = tuple(row[column] for column in table.identity)
                if row.get("version", 0) >= kept.get(identity, row).get("version", 0):
                    kept[identity] = row
