"""Commands as people type them: output, exit codes, hostile input."""

import json
import os
import pty
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alert_samples import OPEN
from image_files import png
from msgspec.structs import replace

from cli.doctor import doubts, examine
from cli.errors import exit_code, in_a_line
from cli.query import _print_answer
from cli.score import score_batch
from connectors.clickhouse import ClickHouseWriter
from connectors.outbox_store import OutboxStore
from connectors.query_library import Answer, load
from flows.settings import load_settings
from flows.stages import Stages, load_stages
from policy.taxonomy import CATEGORIES

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def stages() -> Stages:
    return load_stages(load_settings(redis_url=None))


def breakwater(
    *arguments: str, text: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BREAKWATER_")} | settings
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        input=text, capture_output=True, text=True, cwd=ROOT, env=kept, timeout=120, check=False,
    )  # fmt: skip


def line(text: str, number: int = 1) -> bytes:
    return json.dumps({"id": number, "text": text}).encode()


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_scores_come_in_order(stages, count: int) -> None:
    answers = score_batch([line(f"hello {n}", n) for n in range(count)], stages)
    assert [answer["id"] for answer in answers] == list(range(count))
    assert all(set(answer["scores"]) == set(CATEGORIES) for answer in answers)


HOSTILE = {
    "empty": "",
    "blank": " \n\t",
    "64 KiB of one letter": "a" * 65_536,
    "64 KiB of one emoji": "\N{PILE OF POO}" * 16_384,
    "only combining marks": "\N{COMBINING ACUTE ACCENT}" * 5000,
    "right-to-left overrides": "\N{RIGHT-TO-LEFT OVERRIDE}abc" * 1000,
    "zero width": "\N{ZERO WIDTH SPACE}" * 5000,
    "nulls": "\0" * 1000,
    "markup": "<script>alert(1)</script>" * 100,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_any_text_gets_a_score(stages, what: str) -> None:
    [answer] = score_batch([line(HOSTILE[what])], stages)
    assert all(0 <= score <= 1 for score in answer["scores"].values())


def test_half_a_surrogate_pair_gets_a_score(stages) -> None:
    [answer] = score_batch([rb'{"id": "x", "text": "a\ud83d b"}'], stages)
    assert answer["id"] == "x"
    assert answer["action"] == "allow"


@pytest.mark.parametrize(
    ("what", "bad"),
    [
        ("no JSON", b"{"),
        ("a list", b"[]"),
        ("a text that is none", b'{"id": 1, "text": 7}'),
        ("over 64 KiB", json.dumps({"id": 1, "text": "a" * 65_537}).encode()),
        ("an image that is not there", b'{"id": 1, "image": "/nowhere.png"}'),
    ],
)
def test_a_bad_line_has_an_error_in_its_place(stages, what: str, bad: bytes) -> None:
    first, second, third = score_batch([line("hi", 0), bad, line("hi", 2)], stages)
    assert (first["id"], third["id"]) == (0, 2)
    assert second["error"]
    assert "scores" not in second


@pytest.mark.parametrize(
    ("bad", "id", "error"),
    [
        (b'{"id": "x", "txt": "I will kill you"}', "x", "has neither `text` nor `image`"),
        (b'{"id": "a", "text": 5}', "a", "Expected `str"),
        (b'{"id": 7, "image": "/nowhere.png"}', 7, "nowhere"),
        (b'{"id": [1], "text": "hi"}', None, "Expected `int"),
        (b'{"id": "cut', None, "not JSON"),
    ],
)
def test_a_bad_line_keeps_its_id_where_that_can_be_read(stages, bad, id, error) -> None:  # noqa: A002
    [answer] = score_batch([bad], stages)
    assert answer["id"] == id
    assert error in answer["error"]


def test_what_is_plainly_a_threat_is_not_allowed_and_says_which_stage(stages) -> None:
    [answer] = score_batch([line("I will find you and kill you and your family")], stages)
    assert answer["action"] != "allow"
    assert answer["stage"] in {"rules", "text-fast", "text-student", "text", "fusion"}


def test_everyday_talk_is_allowed(stages) -> None:
    [answer] = score_batch([line("Thanks for the recipe, the soup was lovely!")], stages)
    assert (answer["action"], answer["stage"]) == ("allow", "text-fast")


def test_score_from_standard_input_with_and_without_rules() -> None:
    text = '{"id": "a", "text": "hello"}\n\n{"id": "b", "text": "bye"}\n'
    for arguments in (["score", "-"], ["score", "-", "--no-rules"]):
        done = breakwater(*arguments, text=text)
        assert done.returncode == 0, done.stderr
        assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["a", "b"]


def test_score_exits_with_1_when_a_line_could_not_be_scored() -> None:
    assert breakwater("score", "-", text="{\n").returncode == 1


def test_score_of_a_file_that_is_not_there_is_bad_usage() -> None:
    done = breakwater("score", "nowhere.jsonl")
    assert done.returncode == 2
    assert done.stderr == "breakwater: nowhere.jsonl: No such file or directory\n"


def test_check_shows_what_and_why() -> None:
    done = breakwater("check", "Earn $5000 a week, message me on telegram @cash_now")
    assert done.returncode == 0, done.stderr
    assert "spam" in done.stdout
    assert "telegram" in done.stdout


def test_check_as_json_is_a_decision() -> None:
    done = breakwater("check", "-", "--json", text="hello there")
    decision = json.loads(done.stdout)
    assert (decision["action"], decision["final"]) == ("allow", True)


def test_check_of_a_broken_image_says_that_nothing_was_seen() -> None:
    done = breakwater("check", "hi", "--image", "README.md")
    assert done.stdout.startswith("REVIEW  csam  (failed closed)\n")
    assert "decided without: image_score" in done.stdout


def test_score_says_what_could_not_score(stages) -> None:
    requests = [b'{"id": 1, "image": "README.md"}', line("hello", 2)]
    broken, fine = score_batch(requests, stages)
    assert (broken["action"], broken["degraded"]) == ("review", ("image_score",))
    assert "degraded" not in fine


def test_check_does_not_let_text_steer_the_terminal() -> None:
    done = breakwater("check", "\x1b[2J\x1b]0;owned\x07 kill yourself [red]now[/red]")
    assert "\x1b" not in done.stdout
    assert "[red]now[/red]" in done.stdout


def test_check_of_nothing_is_bad_usage() -> None:
    done = breakwater("check")
    assert done.returncode == 2
    assert "standard input" in done.stderr


def test_doctor_says_what_is_set_and_exits_with_0() -> None:
    done = breakwater("doctor")
    assert done.returncode == 0, done.stdout
    assert "policy" in done.stdout


@pytest.mark.parametrize(
    ("what", "made", "variables", "told"),
    [
        ("nothing set", [], [], []),
        ("a model was promoted", ["text/history.json"], [], []),
        ("no model yet", ["."], [], ["has no promoted model, the built-in models score"]),
        ("no such directory", [], ["BREAKWATER_MODELS"], ["is no directory, the built-in"]),
        ("a misspelt variable", [], ["BREAKWATER_KAFKA_BROKER"], ["unknown setting BREAK"]),
        ("known ones, in any case", [], ["BREAKWATER_OCR", "breakwater_ocr", "BREAKWATERS"], []),
    ],
)
def test_doctor_doubts_what_changes_nothing(tmp_path, what, made, variables, told) -> None:
    models = tmp_path / "models"
    for name in made:
        (models / name).mkdir(parents=True)
    used = models if made or "BREAKWATER_MODELS" in variables else None
    found = list(doubts(load_settings(models=used), variables))
    assert len(found) == len(told), what
    assert all(each in doubt for each, (_, doubt) in zip(told, found, strict=True)), what


def test_doctor_shows_its_doubts_and_exits_with_0(monkeypatch, capsys) -> None:
    monkeypatch.setenv("BREAKWATER_MODELS", "/nowhere/models")
    monkeypatch.setenv("BREAKWATER_KAFKA_BROKER", "hunter2")
    assert examine()
    shown = capsys.readouterr().out
    assert "CHECK   BREAKWATER_MODELS: /nowhere/models" in shown
    assert "unknown setting BREAKWATER_KAFKA_BROKER" in shown
    assert "hunter2" not in shown


def test_doctor_tells_which_kafka_setting_is_refused(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "kafka.toml").write_text("'ssl.ca' = 'x'")
    monkeypatch.setenv("BREAKWATER_KAFKA_BROKERS", "127.0.0.1:1")
    monkeypatch.setenv("BREAKWATER_KAFKA_CONFIG", f"{tmp_path}/kafka.toml")
    assert not examine()
    assert "kafka       FAILED  BREAKWATER_KAFKA_CONFIG: No such" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("what", "arguments", "told"),
    [
        ("no directory above the file", ["demo", "--output", "/proc/x"], "/proc/x: "),
        (
            "a page that cannot be written",
            ["replay", "--policy", "policy/policy.yaml", "--html", "/nowhere/x.html"],
            "/nowhere/x.html: No such file or directory",
        ),
        (
            "a directory for a page",
            ["replay", "--policy", "policy/policy.yaml", "--html", "/"],
            "/: Is a directory",
        ),
        (
            "no corrected bytes",
            ["dead-letters", "replay", "x:1", "--with", "nowhere"],
            "nowhere: No such file or directory",
        ),
        ("no policy", ["policy", "lint", "nowhere"], "nowhere: No such file or directory\n"),
        ("no data to train on", ["models", "train", "fusion", "--data", "docs"], "docs is not a"),
        ("nor to evaluate on", ["models", "evaluate", "text", "--data", "docs"], "docs is not a"),
    ],
)
def test_a_path_that_cannot_be_used_is_named_in_one_line(
    what: str, arguments: list[str], told: str
) -> None:
    done = breakwater(*arguments)
    assert done.returncode == 2, what
    assert done.stderr.startswith(f"breakwater: {told}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["frobnicate"], ["run", "--inptu", "x"], ["score"], ["demo", "--posts", "no"]]
)
def test_bad_usage_exits_with_2(arguments: list[str]) -> None:
    assert breakwater(*arguments).returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [["hold", "\udcff"], ["forget", "\udcff", "--yes"], ["alerts", "ack", "\udcff"]],
    ids=" ".join,
)
def test_an_argument_that_is_not_utf_8_is_told_in_one_line(tmp_path, arguments) -> None:
    writer = ClickHouseWriter(f"chdb://{tmp_path}/clickhouse")
    writer.apply_schema()
    writer.close()
    OutboxStore(tmp_path / "outbox.sqlite").close()
    done = breakwater(*arguments, BREAKWATER_OUTPUT=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("breakwater: an argument is not UTF-8")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("what", "command"),
    [
        ("while it writes", ["score", "posts.jsonl"]),
        ("what it held back to the end", ["rules", "--help"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_full_disk_is_told_in_a_line(tmp_path, what: str, command: list[str]) -> None:
    (tmp_path / "posts.jsonl").write_text('{"id": 1, "text": "x"}')
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *command],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, timeout=120, check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    assert done.returncode == 1, what
    assert done.stderr == (
        "breakwater: No space left on device: free some and run it again, or write elsewhere\n"
    )


@pytest.mark.parametrize(
    ("statement", "code"),
    [("CREATE TABLE t AS SELECT zeroblob(9999)", 1), ("SELECT nonsense", None)],
    ids=["the disk is full", "a fault of ours"],
)
def test_what_sqlite_says_of_a_full_disk(statement: str, code: int | None) -> None:
    db = sqlite3.connect("")
    db.execute("PRAGMA max_page_count=1")
    with pytest.raises(sqlite3.OperationalError) as caught:
        db.execute(statement)
    assert exit_code(caught.value) == code
    told = "database or disk is full: free some and run it again, or write elsewhere"
    assert (in_a_line(caught.value) == told) == (code == 1)


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("text_search", 0, "word            letters and digits, without spaces (String; required)"),
        ("cohort_audit", 0, "since           accounts made from here on"),
        ("cohort", 2, "unknown query 'cohort'; did you mean cohort_audit?"),
        ("", 0, "Example: breakwater query"),
    ],
    ids=["a parameter that must be given", "a default", "no such query", "of the command itself"],
)
def test_help_tells_of_the_query_that_is_named(name: str, code: int, told: str) -> None:
    done = breakwater("query", *([name] if name else []), "--help")
    assert done.returncode == code
    assert told in done.stdout + done.stderr


def on_a_terminal(*arguments: str) -> str:
    """What a command shows where its standard output is a terminal."""
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-m", "cli.main", *arguments]
    with subprocess.Popen(command, stdout=theirs, cwd=ROOT) as running:
        os.close(theirs)
        shown = b""
        try:
            while some := os.read(terminal, 65_536):
                shown += some
        except OSError:  # Linux's way to say that the other side is closed
            os.close(terminal)
        assert running.wait(120) == 0
    return shown.decode()


def test_an_export_commands_no_terminal_and_stays_whole_in_a_pipe(tmp_path, monkeypatch) -> None:
    text = "owned \x1b[2J \N{RIGHT-TO-LEFT OVERRIDE}txt"
    post = {"content_id": "c", "created_at": "2026-11-20T10:00:00Z", "author_id": "a", "text": text}
    (tmp_path / "posts.jsonl").write_text(json.dumps(post) + "\n")
    done = breakwater("run", "--input", f"{tmp_path}/posts.jsonl", "--output", f"{tmp_path}/out")
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("BREAKWATER_OUTPUT", f"{tmp_path}/out")
    query = ("query", "text_search", "--param", "word=owned", "--format")
    for form in ("csv", "json"):
        shown = on_a_terminal(*query, form)
        assert "owned" in shown
        assert all(c.isprintable() for c in shown.replace("\r\n", "")), form
    piped = subprocess.run(
        [sys.executable, "-m", "cli.main", *query, "csv"],
        cwd=ROOT, capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    assert text in piped.stdout.decode()


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (["alerts", "list", "--json", "--output"], ""),
        (["hash"], "\N{RIGHT-TO-LEFT OVERRIDE}.png"),
        (["score"], "posts.jsonl"),
    ],
    ids=["alerts", "hash", "score"],
)
def test_lines_of_json_command_no_terminal_and_are_exact_in_a_pipe(tmp_path, command, file) -> None:
    mark = "\N{RIGHT-TO-LEFT OVERRIDE}"
    OutboxStore(tmp_path / "outbox.sqlite").put(["slack"], [replace(OPEN, summary=f"a {mark}b")])
    (tmp_path / f"{mark}.png").write_bytes(png(64, 64))
    (tmp_path / "posts.jsonl").write_text(json.dumps({"id": mark, "text": "x"}))
    shown = on_a_terminal(*command, f"{tmp_path}/{file}")
    assert all(c.isprintable() for c in shown.replace("\r\n", ""))
    piped = breakwater(*command, f"{tmp_path}/{file}").stdout
    assert mark in piped
    assert json.loads(piped)


def test_an_answer_without_rows_says_so(capsys) -> None:
    _print_answer(load("author_history"), Answer(("created_at",), []), None)
    assert capsys.readouterr().out == "no rows\n"
