"""Alerts to test with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from events.messages import Alert, AlertKey, AlertState

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

OPEN = Alert(
    alert_id="a" * 32,
    kind="surge",
    state="open",
    severity="error",
    key=AlertKey("spam", "evil.example", "music"),
    window_start=START,
    window_end=START + timedelta(minutes=1),
    observed=40.0,
    expected=2.5,
    z_score=9.1,
    distinct_authors=31,
    examples=("c1", "c2"),
    texts=("win <big> at http://evil.example",),
    recent=(0, 1, 3, 40),
    last_hour=44,
    last_day=51,
    summary="Surge of spam sharing evil.example in music: 40 in 1 min where 2.5 were expected",
)


def alert(number: int, state: AlertState = "open", minute: int = 1) -> Alert:
    """The alert `number` in a state, `minute` minutes after it began."""
    return msgspec.structs.replace(
        OPEN,
        alert_id=f"{number:032}",
        state=state,
        window_end=START + timedelta(minutes=minute),
    )
