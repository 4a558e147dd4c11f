"""`breakwater dead-letters`, on files and on a real broker; fuzzed messages through the job."""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from fuzzed_input import fuzzed_messages
from hypothesis import given
from hypothesis import strategies as st
from servers import free_port, start_broker
from test_stream import lines, run_file
from typer.testing import CliRunner

from cli.dead_letters import app, hex_dump
from cli.errors import UsageError
from cli.terminal import printable
from connectors.dead_letters import (
    MAX_RAW,
    REPLAYED_FROM,
    DeadLetterWriter,
    read_topic,
    resend,
    shortened,
)
from connectors.kafka import (
    CONTENT_TOPIC,
    DEAD_LETTER_TOPIC,
    USER_REPORTS_TOPIC,
    BrokerError,
    KafkaWriter,
    create_topics,
)
from events.decode import DecodeError, Decoder
from events.encode import encode
from events.messages import Content, DeadLetter, Decision, Position

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
GOOD = b'{"content_id": "c1", "created_at": "2026-11-20T10:00:00Z", "author_id": "a", "text": "hi"}'
HOSTILE = "not \x1b[31mJSON [bold]"


def letter(number: int, raw: bytes, error: str, *, file: str = "") -> DeadLetter:
    source = Position(topic=CONTENT_TOPIC, partition=0, offset=number)
    if file:
        source = Position(file=file, line=number)
    failed_at = AT + timedelta(minutes=number)
    return DeadLetter(raw=raw, error=error, stage="decode", source=source, failed_at=failed_at)


LETTERS = [
    letter(1, b'{"cut', HOSTILE),
    letter(2, GOOD, "a fault that is mended"),
    letter(3, b"\xff\x00\n{", "not UTF-8", file="posts.jsonl"),
    letter(2, GOOD, "a fault that is mended"),  # as after a crash
]


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    written = b"".join(encode(each) + b"\n" for each in LETTERS)
    (tmp_path / "dead_letters.jsonl").write_bytes(written)
    monkeypatch.setenv("BREAKWATER_OUTPUT", str(tmp_path))
    return tmp_path


def call(*args: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def positions(listing: str) -> list[str]:
    rows = listing.splitlines()[1:-1]
    return [row.split()[0] for row in rows]


P1, P2, P3 = "content.submitted.v1/0/1", "content.submitted.v1/0/2", "posts.jsonl:3"


@pytest.mark.parametrize(
    ("what", "args", "expected"),
    [
        ("all, the newest first, each once", [], [P3, P2, P1]),
        ("by reason", ["--reason", "UTF-8"], [P3]),
        ("by topic and partition", ["--producer", "content.submitted.v1/0"], [P2, P1]),
        ("by file", ["--producer", "posts.jsonl"], [P3]),
        ("the second page", ["--limit", 2, "--page", 2], [P1]),
    ],
)
def test_list(output, what, args, expected) -> None:
    code, listing = call("list", *args)
    assert (code, positions(listing)) == (0, expected), what
    assert "\x1b" not in listing


def test_a_page_past_the_end_is_told(output) -> None:
    with pytest.raises(UsageError, match="no page 9: 3 dead letters, pages 1 to 1"):
        call("list", "--page", 9)
    assert "no dead letters" in call("list", "--reason", "x-none")[1]


def test_a_summary_counts_kinds_of_reasons(output) -> None:
    for number in (17, 250):
        one = letter(number, b"x", f"Invalid RFC3339 at byte {number}")
        with (output / "dead_letters.jsonl").open("ab") as file:
            file.write(encode(one) + b"\n")
    listing = call("list", "--summary")[1]
    assert re.search(r"Invalid RFC3339 at byte N +2 ", listing), "only whole numbers"
    assert "not UTF-8" in listing
    assert "posts.jsonl" in listing
    assert "[bold]" in listing, "what strangers wrote is no markup"
    assert "\x1b" not in listing


def test_show_tells_everything_and_escapes_it(output) -> None:
    code, shown = call("show", P3)
    assert code == 0
    assert "not UTF-8" in shown
    assert "00000000  ff 00 0a 7b" in shown
    assert shown.rstrip().endswith("...{")
    assert "\x1b" not in call("show", P1)[1]
    assert "00000000" not in call("show", P1, "--bytes", 0)[1]
    forged = msgspec.structs.replace(LETTERS[0], stage="\x1b[2J\N{RIGHT-TO-LEFT OVERRIDE}decode")
    (output / "dead_letters.jsonl").write_bytes(encode(forged) + b"\n")
    assert "in stage \N{REPLACEMENT CHARACTER}[2J" in call("show", P1)[1], "a forged letter"
    with pytest.raises(UsageError, match="no dead letter at 'x'"):
        call("show", "x")


@pytest.mark.parametrize("position", [["stdin:2"], ["--", "-:2"]], ids=" ".join)
def test_a_line_of_standard_input_has_a_name_that_is_no_option(output, position) -> None:
    (output / "dead_letters.jsonl").write_bytes(encode(letter(2, GOOD, "x", file="-")) + b"\n")
    for producer in ("stdin", "-"):
        assert positions(call("list", "--producer", producer)[1]) == ["stdin:2"]
    assert call("show", *position)[1].startswith("position  stdin:2\n")
    assert "1 would be sent" in call("replay", "--dry-run", *position)[1]


def test_raw_bytes_come_as_they_were(output) -> None:
    assert CliRunner().invoke(app, ["show", P3, "--raw"]).stdout_bytes == LETTERS[2].raw


@pytest.mark.parametrize(
    ("length", "kept", "size"),
    [(MAX_RAW, MAX_RAW, 0), (MAX_RAW + 1, MAX_RAW, MAX_RAW + 1), (15_000_000, MAX_RAW, 15_000_000)],
    ids=["the longest that is kept whole", "a byte longer", "a broken picture"],
)
def test_a_letter_on_the_topic_is_below_the_megabyte_that_brokers_take(length, kept, size) -> None:
    made = shortened(letter(1, b"\xff" * length, "x" * 1000))
    assert (len(made.raw), made.size) == (kept, size)
    assert len(encode(made)) < 1_000_000


def test_the_topic_gets_letters_shortened_in_their_order(own_broker) -> None:
    config = {"bootstrap.servers": own_broker, "group.id": "letters"}
    create_topics(config, partitions=2, replication=1)
    written = [letter(1, b"\xff" * (MAX_RAW + 1), "noise"), LETTERS[0]]
    writer = DeadLetterWriter(config)
    writer.write(written)
    writer.flush()
    writer.close()
    assert list(read_topic(config)) == [shortened(written[0]), LETTERS[0]]


def test_a_shortened_letter_says_so_and_is_not_sent_again(output) -> None:
    cut = msgspec.structs.replace(LETTERS[1], size=2_000_000)
    (output / "dead_letters.jsonl").write_bytes(encode(cut) + b"\n")
    assert "2000000" in call("list")[1]
    result = CliRunner().invoke(app, ["replay", "--all"])
    assert result.exit_code == 1
    assert f"the first {len(GOOD)} of 2000000 bytes; ClickHouse has all of them" in result.stderr
    assert not (output / "replay.jsonl").exists()


def test_replay_on_files_sends_what_decodes_and_only_once(output) -> None:
    code, said = call("replay", "--all", "--dry-run")
    assert (code, "1 would be sent to" in said) == (1, True)
    assert not (output / "replay.jsonl").exists()
    code, said = call("replay", "--all")
    assert code == 1, "two letters cannot be used, which a script should see"
    assert "1 sent to" in said
    assert "2 still cannot be used" in said
    assert f"{P1}: not JSON" in said
    assert (output / "replay.jsonl").read_bytes() == GOOD + b"\n"
    assert call("replay", P2) == (0, "1 were sent before\n")
    assert (output / "replay.jsonl").read_bytes() == GOOD + b"\n"


def test_another_letter_at_a_position_that_was_sent_is_sent(output) -> None:
    """The lines of a file, or of standard input, are others in the next run."""
    other = GOOD.replace(b"c1", b"c2")
    for raw in (GOOD, other):
        (output / "dead_letters.jsonl").write_bytes(
            encode(letter(2, raw, "mended", file="-")) + b"\n"
        )
        for told in ("1 sent to", "1 were sent before"):
            assert told in call("replay", "--all")[1]
    assert lines(output / "replay.jsonl") == [GOOD, other]


def test_corrected_bytes_go_instead(output, tmp_path) -> None:
    fixed = tmp_path / "fixed.json"
    fixed.write_bytes(json.dumps(json.loads(GOOD), indent=1).encode())
    code, said = call("replay", P1, "--with", fixed)
    assert (code, "1 sent" in said) == (0, True)
    [line] = lines(output / "replay.jsonl")
    assert json.loads(line) == json.loads(GOOD)


@pytest.mark.parametrize(
    ("what", "args", "told"),
    [
        ("nothing chosen", ["replay"], "name positions"),
        ("corrected, of which?", ["replay", "--all", "--with", "x"], "name the one position"),
        ("nowhere", ["replay", "content.submitted.v1/9/9"], "no dead letter is there"),
        ("no such file", ["list", "--input", "nowhere.jsonl"], "nowhere.jsonl: No such file"),
        ("no dead letters in it", ["list", "--input", __file__], "line 1 is no dead letter"),
    ],
)
def test_wrong_usage_is_told_in_one_line(output, what, args, told) -> None:
    with pytest.raises(UsageError, match=told):
        call(*args)


@pytest.fixture
def brokers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    port = free_port()
    broker = start_broker(port)
    named = f"127.0.0.1:{port}"
    monkeypatch.setenv("BREAKWATER_KAFKA_BROKERS", named)
    monkeypatch.setenv("BREAKWATER_OUTPUT", str(tmp_path))
    create_topics({"bootstrap.servers": named}, partitions=2, replication=1)
    yield named
    broker.kill()
    broker.wait()


def test_on_kafka_the_bytes_go_back_to_the_content_topic_once(brokers) -> None:
    assert "no dead letters" in call("list")[1]
    config = {"bootstrap.servers": brokers}
    writer = KafkaWriter[DeadLetter](config, DEAD_LETTER_TOPIC, lambda each: each.source.key)
    writer.write(LETTERS)
    writer.flush()
    assert positions(call("list")[1]) == [P3, P2, P1]
    assert "1 sent to content.submitted.v1" in call("replay", "--reason", "mended")[1]
    assert "1 were sent before" in call("replay", "--reason", "mended")[1]
    consumer = Consumer(config | {"group.id": "test"})
    consumer.assign([TopicPartition(CONTENT_TOPIC, part, 0) for part in range(2)])
    [message] = consumer.consume(1, 10)
    more = consumer.consume(1, 0.5)
    consumer.close()
    assert (message.key(), message.value()) == (b"c1", GOOD)
    assert message.headers() == [(REPLAYED_FROM, P2.encode())]
    assert more == []


SAID_AT = b'"reported_at": "2026-11-20T10:00:00Z"'
REPORT = b'{"report_id": "r", "content_id": "c", "reporter_id": "u", %b}' % SAID_AT
REPORTED = Position(topic=USER_REPORTS_TOPIC, partition=1, offset=5)
P4 = f"{USER_REPORTS_TOPIC}/1/5"


def test_what_people_said_goes_back_to_its_own_topic(brokers, tmp_path) -> None:
    odd = msgspec.structs.replace(LETTERS[0], source=REPORTED)
    config = {"bootstrap.servers": brokers}
    writer = KafkaWriter[DeadLetter](config, DEAD_LETTER_TOPIC, lambda each: each.source.key)
    writer.write([odd, LETTERS[1]])
    writer.flush()
    (tmp_path / "mended.json").write_bytes(REPORT)
    mended = ["--with", tmp_path / "mended.json"]
    assert call("replay", P4, *mended)[1] == f"1 sent to {USER_REPORTS_TOPIC}\n"
    consumer = Consumer(config | {"group.id": "test"})
    consumer.assign([TopicPartition(USER_REPORTS_TOPIC, part, 0) for part in range(2)])
    [message] = consumer.consume(1, 10)
    consumer.close()
    assert (message.key(), message.value()) == (b"c", REPORT)


def test_what_people_said_is_no_post_for_a_file(output) -> None:
    odd = msgspec.structs.replace(LETTERS[0], raw=REPORT, source=REPORTED)
    with (output / "dead_letters.jsonl").open("ab") as file:
        file.write(encode(odd) + b"\n")
    code, told = call("replay", P4)
    assert (code, "set BREAKWATER_KAFKA_BROKERS to send it" in told) == (1, True)
    assert not (output / "replay.jsonl").exists()


def test_more_messages_than_the_producer_takes_at_once_wait_for_room(brokers) -> None:
    config = {"bootstrap.servers": brokers}
    messages = [(f"c{number}", GOOD, P2) for number in range(50)]
    resend(config | {"queue.buffering.max.messages": 10}, messages)
    consumer = Consumer(config | {"group.id": "test"})
    consumer.assign([TopicPartition(CONTENT_TOPIC, part, 0) for part in range(2)])
    sent = {message.key() for message in consumer.consume(50, 10)}
    consumer.close()
    assert sent == {key.encode() for key, _, _ in messages}


def test_what_no_broker_has_acknowledged_is_not_taken_for_sent(monkeypatch) -> None:
    monkeypatch.setattr("connectors.dead_letters.SEND_TIMEOUT_S", 0.2)
    away = {"bootstrap.servers": f"127.0.0.1:{free_port()}"}
    with pytest.raises(BrokerError, match=CONTENT_TOPIC):
        resend(away, [("c1", GOOD, P2)])


@given(st.binary(max_size=200))
def test_a_hex_dump_holds_every_byte_and_only_ascii(data: bytes) -> None:
    rows = [line.split("  ", 1)[1] for line in hex_dump(data)]
    assert bytes.fromhex("".join(row[:47] for row in rows)) == data
    assert all(row.isascii() and row.isprintable() for row in rows)


@given(st.text())
def test_nothing_shown_can_command_a_terminal(text: str) -> None:
    assert len(printable(text)) == len(text)
    assert printable(text).isprintable()


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.soak)])
def test_fuzzed_messages_end_in_decisions_or_dead_letters(tmp_path: Path, count: int) -> None:
    messages, decode = fuzzed_messages(count), Decoder(Content)
    usable, broken = set(), Counter[bytes]()
    for message in messages:
        try:
            decoded = decode(message)
            usable.add((decoded.content_id, decoded.revision))
        except DecodeError:
            broken[message] += 1
    assert min(len(usable), broken.total()) > count / 5
    source, output = tmp_path / "posts.jsonl", tmp_path / "out"
    source.write_bytes(b"\n".join(messages) + b"\n")
    done = run_file(str(source), output)
    assert done.returncode == 0, done.stderr.decode()
    decisions = [
        msgspec.json.decode(line, type=Decision) for line in lines(output / "decisions.jsonl")
    ]
    assert {(d.content_id, d.revision) for d in decisions if d.final} == usable
    letters = [msgspec.json.decode(line) for line in lines(output / "dead_letters.jsonl")]
    assert Counter(base64.b64decode(each["raw"]) for each in letters) == broken
