"""`breakwater forget`: an author's request to be deleted."""

from __future__ import annotations

from cli.errors import UsageError
from cli.store import existing_store
from connectors.clickhouse import connect
from connectors.clickhouse_forget import forget_author
from flows.settings import load_settings


def forget_command(author_id: str, *, confirmed: bool) -> None:
    """Delete everything the store holds of `author_id`, and say how many rows that was.

    Raises:
        UsageError: not confirmed, or no store.
        StoreError: ClickHouse does not answer, or the author is held or nobody.
    """
    if not confirmed:
        raise UsageError(f"this deletes everything of {author_id!r} for good: add --yes")
    client = connect(existing_store(load_settings()))
    try:
        deleted = forget_author(client, author_id)
    finally:
        client.close()
    for table, rows in deleted.items():
        print(f"{table:<16} {rows:>9} rows deleted")
    print(
        "not reached: files that `run`, `demo` and `console` wrote (*.jsonl, report.html), Kafka"
        " topics, backups"
    )
