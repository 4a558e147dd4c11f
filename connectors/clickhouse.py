"""ClickHouse, a server or the embedded engine: connecting, the schema, and what is written."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from importlib.resources import files
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import clickhouse_connect
import stamina
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from connectors import clickhouse_rows as rows
from connectors.clickhouse_insert import DATABASE, Inserter, Redact
from connectors.clickhouse_rows import Table
from connectors.store import Store

M = TypeVar("M")

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 300
RETRY_SECONDS = 600.0
"""Meanwhile the stream waits: a restart would not bring the store back, and start over."""

# Timeouts, too many queries, network, memory, read-only replica, too many parts, Keeper: they pass.
_PASSING_CODES = frozenset({159, 202, 209, 210, 241, 242, 252, 999})


class StoreError(RuntimeError):
    """ClickHouse does not answer, refuses, or lacks the tables; one line that says what to do."""


def public_dsn(dsn: str) -> str:
    """`dsn` without user, password and parameters, fit for messages."""
    scheme, mark, rest = dsn.rpartition("://")
    return scheme + mark + rest.split("?")[0].rpartition("@")[2]


def connect(dsn: str, *, answer_timeout_s: int = ANSWER_TIMEOUT_S) -> Client:
    """A client of the server at `http://USER:PASSWORD@HOST:8123` or of the files at `chdb://PATH`.

    `https` and `clickhouses` mean TLS on any port, and so do the ports 443 and 8443. A server that
    is silent for `answer_timeout_s` after a question has failed.

    The embedded engine (`chdb://memory` keeps nothing) lets one process at a time open a path, and
    a process open one path; clients of the same process on the same path share it.

    Raises:
        StoreError: nothing answers there, or it cannot be opened.
    """
    # The driver logs what it then raises.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    scheme = urlsplit(dsn).scheme if "://" in dsn else ""
    if scheme == "chdb":
        return _open_embedded(dsn.removeprefix("chdb://"))
    if scheme not in ("http", "https", "clickhouse", "clickhouses"):
        raise StoreError(
            f"{public_dsn(dsn)!r} is no ClickHouse DSN: chdb:///PATH or"
            " http://USER:PASSWORD@HOST:8123 is expected in BREAKWATER_CLICKHOUSE_DSN"
        )
    try:
        # The tables are named with their database, which need not exist yet.
        return clickhouse_connect.get_client(
            dsn=dsn,
            # The driver takes no scheme from a DSN and goes by the port, 443 or 8443: on any other
            # it would send in clear what was meant for TLS.
            interface="https" if scheme in ("https", "clickhouses") else None,
            database="default",
            connect_timeout=CONNECT_TIMEOUT_S,
            send_receive_timeout=answer_timeout_s,
            # Concurrent inserts of one client must not be refused for sharing a session.
            autogenerate_session_id=False,
        )
    except (ClickHouseError, ValueError, TypeError) as error:  # TypeError: an odd parameter
        raise StoreError(
            f"no ClickHouse at {public_dsn(dsn)} ({first_line(error)}):"
            " is it running, and is BREAKWATER_CLICKHOUSE_DSN right?"
        ) from None


def _open_embedded(location: str) -> Client:
    if location in ("", "memory", ":memory:"):
        return clickhouse_connect.get_client(dsn="chdb://memory")
    path = Path(location).resolve()
    holder = _process_holding(path)
    if holder:
        raise StoreError(
            f"the embedded ClickHouse at {path} is open in process {holder}: end that one first,"
            " or use a ClickHouse server for several processes"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        return clickhouse_connect.get_client(dsn=f"chdb://{path}")
    except OSError as error:
        raise StoreError(f"{path} cannot hold the embedded ClickHouse: {error.strerror}") from None
    except ClickHouseError as error:
        other = re.search(r"already initialized with path '([^']*)'", str(error))
        raise StoreError(
            f"this process has the embedded ClickHouse at {other[1]} open, and can open only one"
            if other
            else f"{path} cannot be opened as an embedded ClickHouse ({first_line(error)})"
        ) from None


def _process_holding(path: Path) -> int:
    """Id of the other process that has the engine at `path` open, 0 if none has.

    The engine itself would print to stderr and not say which.
    """
    try:
        with (path / "status").open(encoding="utf-8") as status:
            holder = re.search(r"PID: (\d+)", status.read())
            fcntl.flock(status, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        # The engine's lock is not ours to take even in the process that holds it.
        process = int(holder[1]) if holder else -1
        return 0 if process == os.getpid() else process
    except OSError:
        return 0
    return 0


def first_line(error: Exception) -> str:
    """What an error of the driver says, without the code, the query and the stack around it."""
    line = str(error).splitlines()[0]
    said = re.search(r"\[Errno -?\d+\] ([^')\"]+)|DB::Exception: (.+)", line)
    return (said[1] or said[2] if said else line)[:300]


def _will_pass(error: Exception) -> bool:
    if isinstance(error, DatabaseError) and getattr(error, "code", None) is not None:
        return error.code in _PASSING_CODES
    return isinstance(error, OperationalError)


class ClickHouseWriter(Store):
    """Writes messages into the tables of `clickhouse/schema.sql`.

    An insert that fails for a passing reason is tried again for `RETRY_SECONDS`, then raises; rows
    may be sent twice then, which their tables undo. `redact` goes over the texts of users before
    they are stored, see `connectors.clickhouse_rows.Table`. `watch` is entered with the table and
    the number of rows of every insert, and left when they are taken or given up.
    """

    def __init__(
        self,
        dsn: str,
        *,
        redact: Redact | None = None,
        watch: Callable[[str, int], AbstractContextManager[None]] = lambda *_: nullcontext(),
    ) -> None:
        """Connect to `dsn`, see `connect`.

        Raises:
            StoreError: nothing answers there, or it cannot be opened.
        """
        self.client = connect(dsn)
        self._dsn = public_dsn(dsn)
        self.embedded = dsn.startswith("chdb:")
        self._inserter = Inserter(self.client, embedded=self.embedded, redact=redact)
        self._watch = watch

    def apply_schema(self) -> None:
        """Create what is missing of the database, its tables and views; migrate older tables.

        A migration is a numbered file of `clickhouse/migrations`, run once and in order, before
        `clickhouse/schema.sql`, which new tables are made from. Let one process do it.

        Raises:
            StoreError: the server refuses a statement.
        """
        folder = files("clickhouse")
        migrations = sorted(folder.joinpath("migrations").iterdir(), key=lambda file: file.name)
        try:
            applied = self._applied_migrations()
            pending = [file for file in migrations if file.name.removesuffix(".sql") not in applied]
            if self._has_table("content"):
                for file in pending:
                    self._run_script(file.read_text("utf-8"))
            self._run_script(folder.joinpath("schema.sql").read_text("utf-8"))
            names = [[file.name.removesuffix(".sql")] for file in pending]
            if names:
                self.client.insert("schema_migrations", names, ["name"], database=DATABASE)
        except ClickHouseError as error:
            raise StoreError(f"{self._dsn} refused the schema: {first_line(error)}") from None

    def _run_script(self, script: str) -> None:
        for statement in script.split(";\n"):
            self.client.command(statement)

    def _has_table(self, name: str) -> bool:
        sql = "SELECT count() FROM system.tables WHERE database = {d:String} AND name = {t:String}"
        return bool(self.client.query(sql, {"d": DATABASE, "t": name}).result_rows[0][0])

    def _applied_migrations(self) -> set[str]:
        if not self._has_table("schema_migrations"):
            return set()
        found = self.client.query("SELECT name FROM moderation.schema_migrations FINAL")
        return {name for (name,) in found.result_rows}

    def check_schema(self) -> None:
        """Return when the tables have every column that is written.

        Raises:
            StoreError: a table or a column is missing.
        """
        found = self.client.query(
            "SELECT table, groupArray(name) FROM system.columns"
            " WHERE database = {database:String} GROUP BY table",
            {"database": DATABASE},
        )
        columns = {table: set(names) for table, names in found.result_rows}
        for table in rows.TABLES:
            missing = set(table.columns) - columns.get(table.name, set())
            if missing:
                raise StoreError(
                    f"{self._dsn} lacks {DATABASE}.{table.name} ({', '.join(sorted(missing))}):"
                    " run `breakwater schema apply`"
                )

    def close(self) -> None:
        """Close the connection; the embedded engine of this process with its last client."""
        self.client.close()

    def insert(self, table: Table[M], messages: Iterable[M]) -> None:
        """Keep `messages` as rows of `table`.

        Raises:
            StoreError: they could not be kept.
        """
        made = [row for message in messages for row in table.rows(message)]
        if not made:
            return
        try:
            with self._watch(table.name, len(made)):
                for attempt in stamina.retry_context(
                    on=_will_pass, attempts=None, timeout=RETRY_SECONDS
                ):
                    with attempt:
                        self._inserter.send(table, made)
        except ClickHouseError as error:
            raise StoreError(
                f"{self._dsn} did not take {len(made)} rows of {table.name}: {first_line(error)}"
            ) from error
