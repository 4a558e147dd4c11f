"""What keeps the job from starting is said in one line with what to do, and exits with 2."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from servers import free_port, start_broker

from flows.settings import BadSettingError, load_settings
from flows.sinks import kafka_config
from policy.policy import BUILT_IN

ROOT = Path(__file__).parent.parent
RUN = [sys.executable, "-m", "cli.main", "run"]
TOPICS = [sys.executable, "-m", "cli.main", "topics", "create"]
UNREADABLE = "/proc/sys/vm/compact_memory"
"""A file that even root can only write to."""
ENGINE = [sys.executable, "-m", "bytewax.run", "flows.moderation:build_from_env"]


def start(command: list[str], directory: Path, **settings: str) -> str:
    """The one line that `command` says on its way out."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BREAKWATER_")}
    named = {f"BREAKWATER_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=120, check=False,
        env=kept | named | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("breakwater: ")
    return line


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    copied = tmp_path / "policy"
    shutil.copytree(BUILT_IN, copied, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return copied


def file_run(tmp_path: Path) -> list[str]:
    (tmp_path / "in.jsonl").write_text("")
    return [*RUN, "--input", "in.jsonl", "--output", "out"]


def test_no_input_and_no_brokers(tmp_path: Path) -> None:
    assert "BREAKWATER_KAFKA_BROKERS is not set" in start(RUN, tmp_path)


def test_an_input_that_is_not_there(tmp_path: Path) -> None:
    line = start([*RUN, "--input", "nowhere.jsonl"], tmp_path)
    assert "nowhere.jsonl is not a file" in line


@pytest.mark.parametrize(
    ("what", "option", "settings", "name", "told"),
    [
        ("an input that cannot be read", ["--overwrite", "--input", UNREADABLE], {}, "decisions",
         f"--input: {UNREADABLE} cannot be read: Permission denied"),
        ("a server that is away", ["--overwrite"], {"redis_url": "redis://127.0.0.1:1"},
         "decisions", "BREAKWATER_REDIS_URL"),
        ("nobody said that decisions are to be replaced", [], {}, "decisions", "--overwrite"),
        ("nor dead letters", [], {}, "dead_letters", "--overwrite"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_start_leaves_the_results_of_another(
    tmp_path, what, option, settings, name, told
) -> None:
    earlier = tmp_path / "out" / f"{name}.jsonl"
    earlier.parent.mkdir()
    earlier.write_text("of an earlier run\n")
    assert told in start([*file_run(tmp_path), *option], tmp_path, **settings), what
    assert earlier.read_text() == "of an earlier run\n", what


def test_an_outbox_that_is_none(tmp_path: Path) -> None:
    outbox = tmp_path / "out" / "outbox.sqlite"
    outbox.parent.mkdir()
    outbox.write_text("not a database, and longer than the head of one: " * 3)
    line = start(file_run(tmp_path), tmp_path, slack_webhook_url="http://127.0.0.1:1/hook")
    assert "outbox.sqlite cannot be used as an outbox: file is not a database; move it" in line


@pytest.mark.parametrize("command", [RUN, ENGINE], ids=["breakwater run", "bytewax.run"])
def test_brokers_that_do_not_answer(tmp_path: Path, command: list[str]) -> None:
    where = f"127.0.0.1:{free_port()}"
    line = start(command, tmp_path, kafka_brokers=where)
    assert f"no Kafka broker answers at {where}" in line


@pytest.mark.parametrize(
    ("what", "text", "told"),
    [
        ("no such property", "'ssl.ca' = 'x'", 'No such configuration property: "ssl.ca"'),
        ("a table", "[sasl]\nusername = 'x'", 'No such configuration property: "sasl"'),
        ("a value that it does not know", "'security.protocol' = 'x'", 'Invalid value "x"'),
        ("a number beyond its bounds", "'socket.timeout.ms' = 1", "outside allowed range"),
        ("a text for a function", "'error_cb' = 'x'", "expected error_cb property as a callable"),
        ("a file that is not there", "'security.protocol' = 'ssl'\n'ssl.ca.location' = '/no'",
         "ssl.ca.location failed"),
        ("what only producers refuse", "'queue.buffering.backpressure.threshold' = 2",
         "must be set to 1 when `enable.idempotence` is true"),
        ("what only consumers refuse", "'max.poll.interval.ms' = 1", "`max.poll.interval.ms`must"),
        ("no TOML", "security.protocol", "Expected '=' after a key"),
    ],
)  # fmt: skip
def test_a_setting_that_librdkafka_refuses(tmp_path: Path, what: str, text: str, told: str) -> None:
    path = tmp_path / "kafka.toml"
    path.write_text(text)
    with pytest.raises(BadSettingError, match=r"^BREAKWATER_KAFKA_CONFIG: [^\n]*$") as error:
        kafka_config(load_settings(kafka_brokers="127.0.0.1:1", kafka_config=path))
    assert told in str(error.value), what


@pytest.mark.parametrize("command", [RUN, ENGINE, TOPICS], ids=["run", "bytewax.run", "topics"])
def test_kafka_settings_that_cannot_be_used(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "kafka.toml"
    path.write_text("'ssl.ca' = 'x'")
    line = start(command, tmp_path, kafka_brokers="127.0.0.1:1", kafka_config=str(path))
    assert line.startswith("breakwater: BREAKWATER_KAFKA_CONFIG: ")


def test_a_missing_topic_names_the_command_that_makes_it(tmp_path: Path) -> None:
    port = free_port()
    broker = start_broker(port)
    try:
        line = start(RUN, tmp_path, kafka_brokers=f"127.0.0.1:{port}")
    finally:
        broker.kill()
        broker.wait()
    assert "run `breakwater topics create`" in line


@pytest.mark.parametrize(
    ("what", "dsn", "expected"),
    [
        ("no URL", "localhost:8123", "BREAKWATER_CLICKHOUSE_DSN: expected a URL"),
        ("nobody there", "http://user:hunter2@127.0.0.1:1", "no ClickHouse at http://127.0.0.1:1"),
    ],
)
def test_a_wrong_dsn(tmp_path: Path, what: str, dsn: str, expected: str) -> None:
    line = start(file_run(tmp_path), tmp_path, clickhouse_dsn=dsn)
    assert expected in line
    assert "hunter2" not in line


def test_a_redis_that_does_not_answer(tmp_path: Path) -> None:
    where = f"redis://127.0.0.1:{free_port()}"
    line = start(file_run(tmp_path), tmp_path, redis_url=where)
    assert "BREAKWATER_REDIS_URL" in line


def test_a_policy_that_is_not_there(tmp_path: Path) -> None:
    line = start(file_run(tmp_path), tmp_path, policy=str(tmp_path / "nowhere"))
    assert "BREAKWATER_POLICY" in line
    assert "BREAKWATER_TOKEN_KEY" not in line


def test_a_policy_with_a_typo(tmp_path: Path, policy: Path) -> None:
    text = (policy / "policy.yaml").read_text()
    (policy / "policy.yaml").write_text(text.replace("review: 0.55", "reveiw: 0.55"))
    assert "reveiw" in start(file_run(tmp_path), tmp_path, policy=str(policy))


@pytest.mark.parametrize(
    ("what", "pattern"),
    [("no regular expression", "(unclosed"), ("a back reference: not linear", r"(a)\\1")],
)
def test_a_rule_that_does_not_compile_is_named(tmp_path, policy, what, pattern) -> None:
    (policy / "rules" / "broken.yaml").write_text(
        "rules:\n  - id: spam.broken\n    category: spam\n    score: 0.5\n"
        f'    pattern: "{pattern}"\n    description: it is broken\n'
        "    examples: {match: [a, b], no_match: [c, d]}\n"
    )
    line = start(file_run(tmp_path), tmp_path, policy=str(policy))
    assert "spam.broken" in line


def test_a_hash_list_with_a_bad_line_is_named_with_its_line(tmp_path: Path, policy: Path) -> None:
    (policy / "hashes" / "broken.csv").write_text(
        "algorithm,hash,category,source\nmd5,xyz,spam,test\n"
    )
    assert "broken.csv: line 2" in start(file_run(tmp_path), tmp_path, policy=str(policy))


def test_a_bad_setting(tmp_path: Path) -> None:
    line = start(file_run(tmp_path), tmp_path, metrics_port="no")
    assert "BREAKWATER_METRICS_PORT" in line


def test_a_file_of_settings_with_a_typo(tmp_path: Path) -> None:
    (tmp_path / "breakwater.toml").write_text('kafka_broker = "x"\n')
    assert "unknown setting `kafka_broker`" in start(file_run(tmp_path), tmp_path)


def test_an_output_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    (tmp_path / "in.jsonl").write_text("")
    line = start([*RUN, "--input", "in.jsonl", "--output", "taken"], tmp_path)
    assert "taken cannot be made" in line
