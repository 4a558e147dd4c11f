"""`breakwater detect`: a row out for every row in, judged by the past alone."""

from __future__ import annotations

import contextlib
import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.detect import SeriesError, SeriesScorer, detect_command

app = typer.Typer()
app.command()(detect_command)
START = datetime(2026, 3, 2, tzinfo=UTC)


def series(values: list[float]) -> list[str]:
    times = (START + timedelta(minutes=5 * n) for n in range(len(values)))
    return [
        "timestamp,value",
        *(f"{t:%Y-%m-%d %H:%M:%S},{v}" for t, v in zip(times, values, strict=True)),
    ]


def noise(rows: int) -> list[float]:
    rng = random.Random(3)
    return [round(rng.gauss(50, 2), 3) for _ in range(rows)]


def write(file: Path, lines: list[str]) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_jump_scores_over_a_half_and_calm_rows_do_not(tmp_path: Path) -> None:
    values = noise(1_000)
    values[700:720] = [90.0] * 20
    file = write(tmp_path / "in" / "a.csv", series(values))
    result = CliRunner().invoke(app, [str(file), "--output", str(tmp_path / "out")])
    assert result.exit_code == 0
    with (tmp_path / "out" / "a.csv").open() as out:
        rows = list(csv.DictReader(out))
    assert len(rows) == 1_000
    assert list(rows[0]) == ["timestamp", "value", "z_score", "anomaly_score"]
    assert [row["value"] for row in rows] == [str(value) for value in values]
    scores = [float(row["anomaly_score"]) for row in rows]
    assert all(0 <= score <= 1 for score in scores)
    assert scores[700] > 0.5
    assert max(scores[701:720]) < 0.5  # one anomaly is said once
    assert float(rows[700]["z_score"]) > 6


def test_one_file_goes_to_standard_output(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", series([1, 2, 3]))
    result = CliRunner().invoke(app, [str(file)])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1] == "2026-03-02 00:00:00,1,0.0000,0.000000"


def test_no_row_depends_on_a_later_one() -> None:
    lines = series([*noise(300), 80.0, *noise(100)])
    whole = list(SeriesScorer("a")(lines))
    for cut in (1, 2, 250, 301):
        assert list(SeriesScorer("a")(lines[: cut + 1])) == whole[:cut]


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ([], "a.csv:1"),  # an empty file
        (["2026-01-01,5"], "a.csv:1"),  # no header
        (["timestamp,count", "2026-01-01,5"], "a.csv:1"),
        (["timestamp,value", "yesterday,5"], "a.csv:2"),
        (["timestamp,value", "2026-01-01,5", "2026-01-02,five"], "a.csv:3"),
        (["timestamp,value", "2026-01-01"], "a.csv:2"),
        (["timestamp,value", "2026-01-01,1,000"], "a.csv:2"),  # which is no 1
        (["timestamp,value", "nan,5"], "a.csv:2"),
        (["timestamp,value", "2026-01-01," + "9" * 200_000], "a.csv:2"),
    ],
)
def test_what_is_no_series_fails_with_its_place(
    tmp_path: Path, lines: list[str], place: str
) -> None:
    file = tmp_path / "a.csv"
    file.write_text("\n".join(lines))
    good = write(tmp_path / "b.csv", series([1, 2]))
    result = CliRunner().invoke(app, [str(file), str(good), "--output", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert place in result.stderr
    assert "Traceback" not in result.output
    # The other file is scored; of the bad one nothing is left behind.
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.csv"]


@pytest.mark.parametrize("gap", ["", "NaN", "null", "inf", "-inf", "NA"])
def test_a_row_without_a_number_keeps_its_place(gap: str) -> None:
    scorer = SeriesScorer("a")
    rows = list(scorer([*series([1, 2]), f"2026-03-02 00:10:00,{gap}", "2026-03-02 00:15:00,4"]))
    assert rows[2] == ("2026-03-02 00:10:00", gap, "0.0000", "0.000000")
    assert len(rows) == 4
    assert scorer.notes["rows without a number, scored 0"] == 1


@pytest.mark.parametrize("scale", [1e-310, 1e-160, 1e-150, 1e150, 1e300])
def test_values_of_any_size_are_scored(scale: float) -> None:
    values = [scale * value for value in [*noise(300), 80.0, *noise(100)]]
    scores = [float(row[3]) for row in SeriesScorer("a")(series(values))]
    assert all(0 <= score <= 1 for score in scores)
    assert len(scores) == 401


def test_times_that_go_back_are_counted_not_refused() -> None:
    scorer = SeriesScorer("a")
    lines = ["timestamp,value", "2026-01-02,1", "2026-01-01,2", "2026-01-01,3"]
    assert len(list(scorer(lines))) == 3
    assert scorer.notes["times not later than the row before"] == 2


@pytest.mark.parametrize(
    "when",
    [
        "2026-01-01 00:00:00",
        "2026-01-01T00:00:00Z",
        "2026-01-01T01:00:00+01:00",
        "1767225600",
        "1767225600000",
    ],
)
def test_forms_of_time(when: str) -> None:
    assert next(SeriesScorer("a")(["Value , Timestamp,label", f"5,{when},x"]))[:2] == (when, "5")


@pytest.mark.parametrize(
    "arguments",
    [
        ["a/x.csv", "b/y.csv"],
        ["a/x.csv", "b/x.csv", "--output", "out"],
        ["a/x.csv", "--output", "a"],
        ["a/x.csv", "--output", "b/x.csv"],
    ],
    ids=["several files to stdout", "two of one name", "onto the input", "output is a file"],
)
def test_bad_usage_is_exit_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/x.csv", "b/x.csv", "b/y.csv"):
        write(tmp_path / name, series([1]))
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_a_missing_file_is_exit_2_as_with_every_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path / "none.csv")])
    assert result.exit_code == 2
    assert result.output == f"breakwater: {tmp_path}/none.csv: No such file or directory\n"
    assert "none.csv" in result.stderr


@given(st.lists(st.floats() | st.sampled_from([0.0, 1.0, 1e308, -1e308, 5e-324]), max_size=400))
def test_any_numbers_give_scores_in_range(values: list[float]) -> None:
    lines = ["timestamp,value", *(f"{60 * n},{value!r}" for n, value in enumerate(values))]
    rows = list(SeriesScorer("a")(lines))
    assert len(rows) == len(values)
    assert all(0 <= float(row[3]) <= 1 and abs(float(row[2])) <= 1e3 for row in rows)


@given(st.lists(st.text(max_size=20), max_size=20))
def test_any_text_is_scored_or_refused(lines: list[str]) -> None:
    with contextlib.suppress(SeriesError):
        rows = list(SeriesScorer("a")(["timestamp,value", *lines]))
        assert len(rows) <= len(lines)


def test_the_first_day_that_has_a_usual_is_no_anomaly() -> None:
    """The hour's usual is known from the third day on: that it is known is no surprise."""
    rng = random.Random(3)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    lines = ["timestamp,value"]
    lines += [f"{start + timedelta(minutes=5 * n)},{rng.gauss(50, 5):.3f}" for n in range(1_000)]
    scores = [float(row[3]) for row in SeriesScorer("a")(lines)]
    assert max(scores[570:590]) < 0.5
