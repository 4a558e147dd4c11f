"""Appeals: the open ones as items of the queue, and the answer that closes one."""

from __future__ import annotations

from typing import Final

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


def closed(appeal: Appeal, label: Label) -> Appeal:
    """`appeal` as `label` answers it: granted when the content is allowed after all."""
    return structs.replace(
        appeal,
        state="granted" if label.action == "allow" else "denied",
        reviewer_id=label.reviewer_id,
        resolved_at=label.labeled_at,
    )
