"""What the store knows of reported contents: enough to count reports by link, wording and hash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_samples import judgement
from clickhouse_server import clickhouse_server
from msgspec.structs import replace

from connectors import reported_content
from connectors.clickhouse import ClickHouseWriter
from connectors.reported_content import ReportedContents
from events.messages import Image, Signal
from events.records import Judgement, ReportedContent


def with_image(made: Judgement, image: Image) -> Judgement:
    return replace(made, content=replace(made.content, images=[image]))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseWriter]:
    writer = ClickHouseWriter(f"chdb://{tmp_path_factory.mktemp('store')}/clickhouse")
    writer.apply_schema()
    listed = (
        Signal("text-fast", "text-fast", "spam", 0.2),
        Signal("hash", "pdq:list:17:3", "spam", 1.0),
    )
    writer.insert_judgements(
        [
            judgement("plain", text="buy at http://a.com"),
            judgement("edited", text="first", revision=0),
            judgement("edited", text="second", revision=1),
            judgement("listed", signals=listed, action="review"),
            with_image(judgement("linked"), Image("i", uri="s3://b/i.png")),
            with_image(judgement("inline"), Image("i", data=b"1")),
            judgement("long", text="x" * 9_000),
            *(judgement(f"c{n}", text=f"text {n}") for n in range(50)),
        ]
    )
    yield writer
    writer.close()


@pytest.mark.parametrize(
    ("content_id", "known"),
    [
        ("plain", ReportedContent("pets", "buy at http://a.com")),
        ("edited", ReportedContent("pets", "second")),  # the newest revision
        ("listed", ReportedContent("pets", "hello", "", "pdq:list:17:3")),
        ("linked", ReportedContent("pets", "hello", "s3://b/i.png")),
        ("inline", ReportedContent("pets", "hello")),  # bytes are not stored
        ("long", ReportedContent("pets", "x" * 4_000)),
        ("never seen", None),
        ("'; DROP TABLE moderation.content", None),
    ],
)
def test_what_is_known(
    store: ClickHouseWriter, content_id: str, known: ReportedContent | None
) -> None:
    expected = {content_id: known} if known else {}
    assert ReportedContents(store.client)([content_id]) == expected


def test_no_reports_ask_nothing(store: ClickHouseWriter) -> None:
    assert ReportedContents(store.client)([]) == {}


@pytest.mark.parametrize("at_once", [1, 2, 1000])
def test_many_are_asked_for_in_parts_and_a_bounded_number_is_remembered(
    store: ClickHouseWriter, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(reported_content, "AT_ONCE", at_once)
    monkeypatch.setattr(reported_content, "KEEP", 10)
    lookup = ReportedContents(store.client)
    ids = [f"c{n}" for n in range(50)]
    assert {name: found.text for name, found in lookup([*ids, *ids]).items()} == {
        f"c{n}": f"text {n}" for n in range(50)
    }
    assert len(lookup._known) == 10


def test_while_the_store_is_away_only_what_was_looked_up_before_is_known(tmp_path: Path) -> None:
    with clickhouse_server(tmp_path / "store") as dsn:
        writer = ClickHouseWriter(dsn)
        writer.apply_schema()
        writer.insert_judgements([judgement("old"), judgement("new")])
        lookup = ReportedContents(writer.client)
        assert lookup(["old", "unknown yet"]).keys() == {"old"}
        writer.insert_judgements([judgement("unknown yet")])
        assert lookup(["unknown yet"]).keys() == {"unknown yet"}
    assert lookup(["old", "new"]).keys() == {"old"}
    writer.close()
