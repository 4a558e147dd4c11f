"""What the store knows of contents that users report: their text tells which campaign they are of.

Asked for at each batch of reports rather than remembered from the stream of contents: reports are
few, contents are thousands a second, and the store knows those of a month.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from connectors.clickhouse import first_line
from events.records import ReportedContent

_log = structlog.get_logger(__name__)
KEEP: Final = 10_000
"""Contents that are remembered: what many report is asked for once."""
AT_ONCE: Final = 1_000
"""Contents of one question to the store."""
PATIENCE_S: Final = 5
"""A question that takes longer is given up: reports must not wait for a busy store."""

_SQL: Final = """
SELECT content_id, community, left(text, 4000), if(empty(image_uris), '', image_uris[1]), hash_rule
FROM moderation.content FINAL
LEFT JOIN
(
    SELECT content_id, revision, JSONExtractString(
        arrayFirst(s -> JSONExtractString(s, 'stage') = 'hash', JSONExtractArrayRaw(signals)),
        'rule'
    ) AS hash_rule
    FROM moderation.moderation_logs FINAL
    WHERE content_id IN {ids:Array(String)} AND mode = 'live'
        AND position(signals, '"stage":"hash"') > 0
) AS matched USING (content_id, revision)
WHERE content_id IN {ids:Array(String)}
ORDER BY content_id, revision
SETTINGS do_not_merge_across_partitions_select_final = 1"""


class ReportedContents:
    """Looks contents up by id, and remembers the `KEEP` looked up last.

    A revision is known once its row is in the store, which may take an epoch; the newest counts.
    What is not known yet, or not any more, is left out, and all of it while the store does not
    answer.
    """

    def __init__(self, client: Client) -> None:
        """`client`: one that waits for no answer longer than `PATIENCE_S`."""
        self._client = client
        self._known: OrderedDict[str, ReportedContent] = OrderedDict()

    def __call__(self, ids: Sequence[str]) -> dict[str, ReportedContent]:
        """What is known of the contents `ids`."""
        missing = sorted(set(ids) - self._known.keys())
        found = {each: self._known[each] for each in set(ids) - set(missing)}
        for start in range(0, len(missing), AT_ONCE):
            found |= self._ask(missing[start : start + AT_ONCE])
        for content_id, content in found.items():
            self._known[content_id] = content
            self._known.move_to_end(content_id)
        while len(self._known) > KEEP:
            self._known.popitem(last=False)
        return found

    def _ask(self, ids: Sequence[str]) -> dict[str, ReportedContent]:
        try:
            rows = self._client.query(
                _SQL, {"ids": list(ids)}, settings={"max_execution_time": PATIENCE_S}
            ).result_rows
        except ClickHouseError as error:
            _log.warning(
                "reports are counted without their links and texts", error=first_line(error)
            )
            return {}
        return {content_id: ReportedContent(*known) for content_id, *known in rows}
