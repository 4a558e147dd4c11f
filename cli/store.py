"""The store that commands read: there before they start, or one line that says what to set."""

from __future__ import annotations

from pathlib import Path

from cli.errors import UsageError
from flows.settings import Settings


def existing_store(settings: Settings) -> str:
    """The DSN of the store; the embedded one must have been written by an earlier run.

    Raises:
        UsageError: there is none under the output directory.
    """
    dsn = settings.store_dsn
    if settings.clickhouse_dsn is None and not Path(dsn.removeprefix("chdb://")).is_dir():
        raise UsageError(
            f"no store at {dsn.removeprefix('chdb://')}: set BREAKWATER_CLICKHOUSE_DSN, or"
            " BREAKWATER_OUTPUT to the directory that `breakwater run` or `demo` wrote to"
        )
    return dsn
