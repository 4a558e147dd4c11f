"""What every soak scenario needs: servers, a cluster under load, and watchers."""

from __future__ import annotations

import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from confluent_kafka import Producer

from bench.cluster import Cluster, Servers, servers
from cli.demo_traffic import day_of_traffic, yesterday
from connectors.kafka import CONTENT_TOPIC, producer_config
from events.encode import encode
from events.messages import Content

_DAY = 10_000
"""Posts of a day, with two attacks in it: alerts open and end every so many posts."""
_DAYS = 25


class Slack:
    """A webhook that remembers every message; `down` makes it answer 503."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.down = False
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if not slack.down:
                    slack.messages.append(body)
                self.send_response(503 if slack.down else 200)
                self.end_headers()
                self.wfile.write(b"down" if slack.down else b"ok")

            def log_message(self, *_: object) -> None:
                """A soak prints its own report."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


class Feed:
    """Posts of demo days, one after the other, onto the content topic at `rate` a second."""

    def __init__(self, brokers: str, rate: float) -> None:
        self.authors: Counter[str] = Counter()
        """Posts by author; an author's counter must say the same."""
        self.sent = 0
        self._producer = Producer(
            producer_config(
                {"bootstrap.servers": brokers, "log_level": 0},
                # The broker of the tests slows down with every batch that it holds.
                linger_ms=100,
                message_timeout_ms=0,
            )
        )
        self._rate = rate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        posts = _days()
        start = time.monotonic()
        while not self._stopping.is_set():
            while self.sent < (time.monotonic() - start) * self._rate:
                content = msgspec.structs.replace(next(posts), content_id=f"soak-{self.sent}")
                self._producer.produce(CONTENT_TOPIC, encode(content), content.content_id.encode())
                self.authors[content.author_id] += 1
                self.sent += 1
            self._producer.poll(0)
            self._stopping.wait(0.01)

    def stop(self) -> int:
        """End the stream; the number of posts sent."""
        self._stopping.set()
        self._thread.join()
        self._producer.flush(120)
        return self.sent


def _days() -> Iterator[Content]:
    for number in cycle(range(_DAYS)):
        day = yesterday() - timedelta(days=_DAYS - number)
        for planted in day_of_traffic(day, _DAY, seed=number):
            yield planted.content


class Watch:
    """Peak memory of the processes and what their probes say, looked at twice a second."""

    def __init__(self, cluster: Cluster) -> None:
        self.peak_memory = 0
        self.ready: list[tuple[float, list[int]]] = []
        """(monotonic seconds, status of /readyz of each process; 0: no answer)."""
        self.alive: list[tuple[float, list[int]]] = []
        self._cluster = cluster
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(0.5):
            now = time.monotonic()
            for path, seen in (("readyz", self.ready), ("livez", self.alive)):
                seen.append((now, [_status(p, path) for p in self._cluster.metrics_ports]))
            for process in self._cluster.processes:
                self.peak_memory = max(self.peak_memory, _memory(process.pid))

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join()


def _status(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _memory(pid: int) -> int:
    """Bytes of a process that are in memory; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


@dataclass
class Stage:
    """A running cluster under load."""

    directory: Path
    servers: Servers
    slack: Slack
    cluster: Cluster
    feed: Feed
    watch: Watch
    facts: list[str] = field(default_factory=list)
    """What a scenario has seen, for the report."""

    def ready(self, seconds: float = 180.0) -> float:
        """Wait until every process takes input; the seconds it took.

        Raises:
            TimeoutError: they do not.
        """
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            if all(_status(port, "readyz") == 200 for port in self.cluster.metrics_ports):
                return time.monotonic() - begin
            if any(process.poll() is not None for process in self.cluster.processes):
                raise RuntimeError(f"a process has ended:\n{self.cluster.log()[-2000:]}")
            time.sleep(0.2)
        raise TimeoutError(f"not ready after {seconds:.0f} s:\n{self.cluster.log()[-2000:]}")


@contextmanager
def stage(rate: float, processes: int = 2, *, small_disk: bool = False) -> Iterator[Stage]:
    """A cluster of `processes` under `rate` posts a second; everything ends with the context.

    `small_disk`: its recovery store and outbox are on a disk of 96 MB, which root can mount.
    """
    with TemporaryDirectory() as temporary:
        directory, slack = Path(temporary), Slack()
        state = directory / "state"
        with servers(directory) as running, disk(state, megabytes=96 if small_disk else 0):
            cluster = Cluster(
                running.settings | {"BREAKWATER_SLACK_WEBHOOK_URL": slack.url},
                state,
                processes,
                epoch_s=1,
            )
            feed, watch = Feed(running.brokers, rate), Watch(cluster)
            try:
                cluster.start()
                yield Stage(directory, running, slack, cluster, feed, watch)
            finally:
                feed.stop()
                watch.stop()
                cluster.kill()
                slack.close()


@contextmanager
def disk(directory: Path, *, megabytes: int) -> Iterator[None]:
    """`directory` made, as a disk of its own of so many `megabytes`; 0: as a folder.

    Raises:
        OSError: it cannot be mounted: that takes root.
    """
    directory.mkdir()
    if not megabytes:
        yield
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(directory)]
    if subprocess.run(mount, check=False).returncode:
        raise OSError("a small disk cannot be mounted: run it as root")
    try:
        yield
    finally:
        subprocess.run(["umount", directory], check=True)
