"""`breakwater schema apply`: the tables of the store."""

from __future__ import annotations

from connectors.clickhouse import ClickHouseWriter, public_dsn
from flows.settings import load_settings


def schema_apply() -> None:
    """Make what is missing of the database and its tables, and say where.

    Raises:
        StoreError: ClickHouse does not answer or refuses.
    """
    settings = load_settings()
    store = ClickHouseWriter(settings.store_dsn)
    try:
        store.apply_schema()
        store.check_schema()
    finally:
        store.close()
    print(f"the tables are at {public_dsn(settings.store_dsn)}")
