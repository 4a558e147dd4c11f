"""JSON Lines in and out: positions, bounds, resuming."""

import contextlib
from pathlib import Path

import msgspec
import pytest
from builders import decision

from connectors import files
from connectors.files import LinesSource, LinesWriter
from events.messages import Decision
from events.records import Raw


def read_all(path: Path, resume: files.ReadPoint | None = None) -> list[Raw]:
    part = LinesSource(str(path)).build_part("step", str(path), resume)
    batch: list[Raw] = []
    while True:
        try:
            batch += part.next_batch()
        except StopIteration:
            return batch


@pytest.mark.parametrize(
    ("what", "content", "expected"),
    [
        ("an empty file", b"", []),
        ("a last line without an end", b"a\nb", [(b"a", 1), (b"b", 2)]),
        ("blank lines keep the count", b"a\n\n  \nb\n", [(b"a", 1), (b"b", 4)]),
        ("Windows line ends", b"a\r\nb\r\n", [(b"a", 1), (b"b", 2)]),
        ("bytes that are no UTF-8", b"\xff\xfe\n", [(b"\xff\xfe", 1)]),
        ("a null character", b"a\0b\n", [(b"a\0b", 1)]),
    ],
)
def test_lines_come_with_their_numbers(tmp_path: Path, what, content, expected) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    assert [(raw.value, raw.position.line) for raw in read_all(path)] == expected


@pytest.mark.parametrize("count", [1, 2, 999, 1000, 1001, 2500])
def test_every_line_is_read_once_at_the_edges_of_batches(tmp_path: Path, count: int) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(count)))
    assert [int(raw.value) for raw in read_all(path)] == list(range(count))


@pytest.mark.parametrize(
    ("what", "limit", "sizes"),
    [
        ("just full", 8, [2, 2, 2]),
        ("the line that exceeds it belongs to it", 7, [2, 2, 2]),
        ("a line larger than it", 1, [1] * 6),
        ("far from it", 100, [6]),
    ],
)
def test_a_batch_is_bounded_in_bytes(tmp_path: Path, monkeypatch, what, limit, sizes) -> None:
    monkeypatch.setattr(files, "BATCH_BYTES", limit)
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"abc\n" * 6)
    part = LinesSource(str(path)).build_part("step", str(path), None)
    assert [len(part.next_batch()) for _ in sizes] == sizes, what
    assert part.snapshot() == (24, 6)


def test_a_thousand_blank_lines_do_not_end_the_file(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n" * 3000 + b"a\n")
    assert [raw.position.line for raw in read_all(path)] == [3001]


def test_a_line_over_the_bound_is_cut_and_the_next_one_is_whole(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(files, "MAX_MESSAGE_BYTES", 10)
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"x" * 35 + b"\nnext\n")
    batch = read_all(path)
    assert [(len(raw.value), raw.position.line) for raw in batch] == [(11, 1), (4, 2)]


def test_reading_goes_on_where_the_snapshot_was(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(1500)))
    part = LinesSource(str(path)).build_part("step", str(path), None)
    first = part.next_batch()
    rest = read_all(path, part.snapshot())
    assert [int(raw.value) for raw in first + rest] == list(range(1500))
    assert rest[0].position.line == 1001


def test_progress_is_told_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"abc\n" * 1500)
    told: list[int] = []
    part = LinesSource(str(path), progress=told.append).build_part("step", str(path), None)
    with contextlib.suppress(StopIteration):
        while True:
            part.next_batch()
    assert sum(told) == 6000


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_a_line_is_written_for_each_message(tmp_path: Path, count: int) -> None:
    path = tmp_path / "out.jsonl"
    writer = LinesWriter[Decision](path)
    made = [decision(f"c{number}\n") for number in range(count)]
    writer.write(made)
    writer.flush()
    writer.close()
    assert [msgspec.json.decode(line, type=Decision) for line in path.open("rb")] == made
