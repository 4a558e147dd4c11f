"""`breakwater hold`: what must be kept of an author, whatever its age."""

from __future__ import annotations

from cli.store import existing_store
from connectors.clickhouse import connect
from connectors.clickhouse_hold import hold_author, release_author
from flows.settings import load_settings


def hold_command(author_id: str, *, release: bool) -> None:
    """Put `author_id` under legal hold, or end it.

    Raises:
        UsageError: no store.
        StoreError: ClickHouse does not answer.
    """
    client = connect(existing_store(load_settings()))
    try:
        if release:
            release_author(client, author_id)
            print(f"{author_id!r} is no longer held")
        else:
            count = hold_author(client, author_id)
            print(f"{count} contents of {author_id!r} are held, and all that come")
    finally:
        client.close()
