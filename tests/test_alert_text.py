"""What every channel says of an alert."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from alert_samples import OPEN

from connectors.alert_text import first_command, playbook_page, sparkline
from events.messages import AlertKey, AlertKind

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("counts", "plot"),
    [
        ((), ""),
        ((0, 0), ""),
        ((0, 1, 2, 4, 8), "▁▂▃▅█"),
        ((5,), "█"),
        ((-1, 7), "▁█"),
    ],
)
def test_sparkline(counts: tuple[int, ...], plot: str) -> None:
    assert sparkline(counts) == plot


@pytest.mark.parametrize("kind", ["surge", "drift", "health"])
def test_every_kind_of_alert_has_a_page_that_begins_with_its_first_command(kind: AlertKind) -> None:
    alert = msgspec.structs.replace(OPEN, kind=kind)
    page = (ROOT / playbook_page(alert)).read_text()
    words = first_command(alert).split()
    assert f"1. `{' '.join(words[:3] if words[1] == 'query' else words)}" in page
    if words[1] == "query":
        query = ROOT / "clickhouse" / "queries" / f"{words[2]}.sql"
        parameters = [word.split("=")[0] for word in words if "=" in word]
        assert all(f"{{{name}:" in query.read_text() for name in parameters)


@pytest.mark.parametrize(
    ("key", "command"),
    [
        (AlertKey("report:spam", community="x"), "spike_investigation"),
        (AlertKey("report:of another list"), "spike_investigation"),
        (AlertKey("report:spam", "content:c 1"), "content_history --param content_id='c 1'"),
    ],
)
def test_reports_are_looked_up_by_category_or_content(key: AlertKey, command: str) -> None:
    first = first_command(msgspec.structs.replace(OPEN, key=key))
    assert first.startswith(f"breakwater query {command}")
    assert "report:" not in first


def test_a_category_from_outside_cannot_add_a_command() -> None:
    alert = msgspec.structs.replace(OPEN, key=AlertKey("x; rm -rf ~ `id`"))
    assert "rm" not in first_command(alert)
