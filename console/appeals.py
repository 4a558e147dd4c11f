"""Appeals: the open ones as items of the queue, and the answer that closes one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final

from msgspec import structs

from events.messages import Appeal, Label

OPEN: Final = """
    FROM moderation.appeals FINAL
    WHERE state = 'open' AND appealed_at >= {since:DateTime64(3, 'UTC')}
        AND (content_id, revision) NOT IN
        (
            SELECT content_id, revision FROM moderation.human_labels FINAL
            WHERE reviewer_id = {reviewer:String} AND source != 'user_report'
        )
"""
"""An appeal is for other eyes than those that have looked already."""
OLDEST: Final = (
    "SELECT *"
    + OPEN
    + "ORDER BY appealed_at, appeal_id LIMIT 1 BY content_id, revision LIMIT {limit:UInt32}"
)
DECISIONS: Final = """
    SELECT * FROM moderation.moderation_logs FINAL
    WHERE mode = 'live' AND final AND content_id IN {ids:Array(String)}
"""


def appeal_of(row: Mapping[str, Any]) -> Appeal:
    """The open appeal that a row of `OLDEST` tells of."""
    known = {name: row[name] for name in Appeal.__struct_fields__ if name != "resolved_at"}
    appealed_at = known["appealed_at"]
    # The driver gives times of the zone UTC without their zone.
    return Appeal(**known | {"appealed_at": appealed_at.replace(tzinfo=UTC)})


def closed(appeal: Appeal, label: Label) -> Appeal:
    """`appeal` as `label` answers it: granted when the content is allowed after all."""
    return structs.replace(
        appeal,
        state="granted" if label.action == "allow" else "denied",
        reviewer_id=label.reviewer_id,
        resolved_at=label.labeled_at,
    )
