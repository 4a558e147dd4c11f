"""What every store of the tables does alike: which message is kept in which table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TypeVar

from connectors import clickhouse_rows as rows
from connectors.clickhouse_rows import Table
from events.messages import Alert, Appeal, DeadLetter, Label, UserReport
from events.records import Judgement, RuleChange

M = TypeVar("M")


class Store(ABC):
    """Where everything that happened is kept; the same row twice has one effect."""

    def insert_judgements(self, judgements: Sequence[Judgement]) -> None:
        """Keep contents, decisions and model outputs; 10,000 at a time is a good size."""
        self.insert(rows.MODERATION_LOGS, judgements)
        self.insert(rows.MODEL_OUTPUTS, judgements)
        self.insert(rows.CONTENT, judgements)

    def insert_labels(self, labels: Sequence[Label]) -> None:
        """Keep what people say."""
        self.insert(rows.HUMAN_LABELS, labels)

    def insert_user_reports(self, reports: Sequence[UserReport]) -> None:
        """Keep what users report."""
        self.insert(rows.USER_REPORTS, reports)

    def insert_appeals(self, appeals: Sequence[Appeal]) -> None:
        """Keep appeals and their answers: an answer replaces the open row."""
        self.insert(rows.APPEALS, appeals)

    def insert_alerts(self, alerts: Sequence[Alert]) -> None:
        """Keep changes of alerts: drift in a table of its own."""
        self.insert(rows.DRIFT_ALERTS, [alert for alert in alerts if alert.kind == "drift"])
        self.insert(rows.SURGE_ALERTS, [alert for alert in alerts if alert.kind != "drift"])

    def insert_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep messages that could not be used."""
        self.insert(rows.DEAD_LETTERS, letters)

    def insert_rule_changes(self, changes: Sequence[RuleChange]) -> None:
        """Keep who changed the rules and hash lists, file by file."""
        self.insert(rows.RULE_CHANGES, changes)

    @abstractmethod
    def insert(self, table: Table[M], messages: Iterable[M]) -> None:
        """Keep `messages` as rows of `table`."""

    @abstractmethod
    def close(self) -> None:
        """Release the connection."""
