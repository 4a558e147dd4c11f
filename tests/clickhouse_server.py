"""ClickHouse's engine (chdb) behind its HTTP interface, for tests without a ClickHouse server.

    python tests/clickhouse_server.py --port 8123 --path DIR

It runs as a process of its own, because the embedded engine belongs to one process, and prints
`ready http://127.0.0.1:PORT` once it answers. It speaks what clients need of
https://clickhouse.com/docs/interfaces/http: queries in the URL or the body, `param_x`, settings,
inserts in any format, compressed bodies, `/ping`, exceptions with their code. Unlike a server it
knows no users, no sessions and no quotas, compresses no answer, and sends one when it is complete.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame

# What the HTTP layer of a server consumes itself, as opposed to settings of the query.
TRANSPORT = frozenset({
    "query", "database", "default_format", "query_id", "session_id", "session_timeout",
    "session_check", "user", "password", "compress", "decompress", "buffer_size", "quota_key",
    "wait_end_of_query", "client_protocol_version", "role", "send_progress_in_http_headers",
    "http_headers_progress_interval_ms", "enable_http_compression", "stacktrace",
})  # fmt: skip
INSERT = re.compile(
    rb"\s*INSERT\s+INTO\s+(?P<target>.+?)\s+FORMAT\s+(?P<format>\w+)\s*?\n?",
    re.IGNORECASE | re.DOTALL,
)
FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
IDENTIFIER = re.compile(r"\w+")


class Engine:
    """The engine at a path; every request has a handle, so settings and a database, of its own."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._keep_open = chdb.connect(path)  # type: ignore[no-untyped-call]
        self._lock = threading.Lock()

    def run(self, statement: bytes, arguments: dict[str, str]) -> tuple[bytes, str]:
        """The answer to a query or insert and its format, "" when it has no result set."""
        params = {k[6:]: v for k, v in arguments.items() if k.startswith("param_")}
        settings = {
            k: v
            for k, v in arguments.items()
            if k not in TRANSPORT and not k.startswith("param_") and IDENTIFIER.fullmatch(k)
        }
        with self._lock:
            handle = chdb.connect(self._path)  # type: ignore[no-untyped-call]
            try:
                for name, value in settings.items():
                    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
                    handle.query(f"SET {name} = '{quoted}'")
                if database := arguments.get("database"):
                    handle.query(f"USE `{database}`")
                return self._answer(handle, statement, params, arguments)
            finally:
                handle.close()

    def _answer(
        self, handle: Any, statement: bytes, params: dict[str, str], arguments: dict[str, str]
    ) -> tuple[bytes, str]:
        if (insert := INSERT.match(statement)) and insert["format"].upper() != b"VALUES":
            into = f"INSERT INTO {insert['target'].decode()}"
            with handle.send_insert(into, insert["format"].decode()) as stream:
                stream.append(statement[insert.end() :])
                stream.finish()
            return b"", ""
        query = statement.decode()
        named = FORMAT.search(query)
        wanted = named[1] if named else arguments.get("default_format", "TabSeparated")
        if named:
            body = handle.query(query, wanted, params=params).bytes() or b""
            return body, wanted
        # A statement without a result set gives not even the line of names.
        with_names = handle.query(query, f"{wanted}WithNames", params=params).bytes() or b""
        return with_names.partition(b"\n")[2], wanted if with_names else ""


class Handler(BaseHTTPRequestHandler):
    """One connection; `engine` is set by `serve`."""

    protocol_version = "HTTP/1.1"
    # An answer in one packet: of two, the second waits 40 ms for the first one's acknowledgement.
    wbufsize = -1
    engine: Engine

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/ping":
            self._send(200, b"Ok.\n")
        else:
            self._query()

    def do_POST(self) -> None:
        self._query()

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""

    def _query(self) -> None:
        arguments = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self._body()
        query = arguments.get("query", "").encode()
        statement = query + b"\n" + body if query and body else query or body
        try:
            answer, made_format = self.engine.run(statement, arguments)
        except Exception as error:  # noqa: BLE001 - every error of the engine is an answer
            message = str(error)[max(0, str(error).find("Code: ")) :]
            code = re.match(r"Code: (\d+)", message)
            self._send(
                500, message.encode(), {"X-ClickHouse-Exception-Code": code[1] if code else "1000"}
            )
            return
        headers = {"X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Summary": "{}"}
        if made_format:
            headers["X-ClickHouse-Format"] = made_format
        self._send(200, answer, headers | {"X-ClickHouse-Query-Id": arguments.get("query_id", "")})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return decompress(body, self.headers.get("Content-Encoding", ""))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # A client that was killed meanwhile misses its answer; the insert stands.
        with suppress(ConnectionError):
            self.wfile.write(body)


def decompress(body: bytes, encoding: str) -> bytes:
    """`body` as it was before the client applied `encoding`, "" for none."""
    if encoding == "lz4":
        return bytes(lz4.frame.decompress(body))
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "deflate":
        return zlib.decompress(body)
    if encoding == "zstd":
        from backports import zstd

        return zstd.decompress(body)
    return body


class Server(ThreadingHTTPServer):
    """Says nothing of clients that were killed."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Every other error is told with its traceback."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def serve(port: int, path: str) -> None:
    """Answer on 127.0.0.1:`port` until SIGTERM or Ctrl-C."""
    Handler.engine = Engine(path)
    server = Server(("127.0.0.1", port), Handler)
    # What was answered is on disk; the engine's own shutdown would wait for merges.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"ready http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201 (who started it waits for this line)
    server.serve_forever()


@contextmanager
def clickhouse_server(path: Path, port: int = 0) -> Iterator[str]:
    """Run the server in a process of its own; gives its DSN."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--port", str(port), "--path", str(path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready.startswith("ready "), "the server did not start"
        yield ready.split()[1]
    finally:
        process.terminate()
        process.wait(10)


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--path", required=True)
    options = parser.parse_args()
    serve(options.port, options.path)
