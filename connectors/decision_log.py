"""Logged decisions as columns: what a replay decides again, and what it was decided from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from numpy.typing import NDArray

from connectors.clickhouse import first_line
from connectors.clickhouse_rows import UNKNOWN_TIME, in_utc
from connectors.query_library import Parameter, Query, QueryError, bind
from events.messages import Content, ContentKind, Signal
from events.records import AuthorFeatures

CHUNK_ROWS: Final = 65_536
_CONTENT_ROWS: Final = 2_048
"""At a time where texts come along, of up to 64 KiB."""
_MEMORY: Final = 1 << 29
"""Bytes that sorting and joining may take each before they go on on disk."""

_WINDOW: Final = """
WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}"""
_LOGGED: Final = f"""
FROM moderation.moderation_logs FINAL
{_WINDOW} AND final AND mode = 'live'
SETTINGS do_not_merge_across_partitions_select_final = 1"""
_NAMES: Final = f"""
SELECT count(),
    groupUniqArray((cityHash64(community), community)),
    groupUniqArray((cityHash64(degraded), degraded))
{_LOGGED}"""
_TEXTS: Final = f"""
SELECT cityHash64(content_id, revision) AS hash, content_id, text
FROM moderation.content FINAL
{_WINDOW} AND hash IN {{hashes:Array(UInt64)}}
SETTINGS do_not_merge_across_partitions_select_final = 1"""  # noqa: S608 (no value is in it)

# The author's history is what was decided before: as the stream had it, give or take a batch.
_CONTENTS: Final = f"""
FROM (
    SELECT *,
        row_number() OVER history - 1 AS decisions,
        countIf(action = 'block') OVER history - (action = 'block') AS violations
    FROM moderation.moderation_logs FINAL
    WHERE created_at < {{until:DateTime64(3, 'UTC')}} AND final AND mode = 'live'
    WINDOW history AS (
        PARTITION BY user_id ORDER BY timestamp, content_id, revision ROWS UNBOUNDED PRECEDING
    )
) AS logged
LEFT JOIN (
    SELECT content_id, revision, text, image_ids FROM moderation.content FINAL {_WINDOW}
) AS kept USING (content_id, revision)
WHERE created_at >= {{since:DateTime64(3, 'UTC')}}
SETTINGS do_not_merge_across_partitions_select_final = 1, join_algorithm = 'grace_hash',
    max_bytes_in_join = {_MEMORY}, max_bytes_before_external_sort = {_MEMORY},
    max_block_size = {_CONTENT_ROWS}"""  # noqa: S608 (no value is in it)
_CONTENT_COLUMNS: Final = """
    content_id, revision, user_id, created_at, author_created_at, kind, community, language, text,
    notEmpty(image_ids), toUInt32(decisions), toUInt32(violations), signals"""

_MOMENT: Final = "DateTime64(3, 'UTC')"
_QUERY: Final = Query(
    name="replay",
    question="What would another policy have decided?",
    description="",
    parameters=(
        Parameter("since", _MOMENT, "newest - 7 days", "first moment, UTC"),
        Parameter("until", _MOMENT, "newest", "end, not included"),
    ),
    sample=(),
    sql="",
)


@dataclass(frozen=True)
class Chunk:
    """n logged decisions by column. Numbers of categories: 0 is none, i + 1 is the i-th."""

    content: NDArray[np.uint64]
    """(n,): what `DecisionLog.texts` knows the content by."""
    community: NDArray[np.int64]
    """(n,): indexes of `DecisionLog.communities`."""
    degraded: NDArray[np.int64]
    """(n,): indexes of `DecisionLog.degraded`."""
    action: NDArray[np.int8]
    """(n,): 0 allow, 1 review, 2 block."""
    category: NDArray[np.uint8]
    """(n,): the category that led to it."""
    asked_review: NDArray[np.uint8]
    """(n,): category of a rule that fired and always wants a human."""
    hit: NDArray[np.bool_]
    """(n,): whether one of `watched` rules fired."""
    day: NDArray[np.uint16]
    """(n,): when it was posted, in days since 1970 (UTC)."""
    scores: NDArray[np.float32]
    """(n, categories): probabilities."""


@dataclass(frozen=True)
class Logged:
    """What a logged decision was made from, as far as it is kept."""

    content: Content | None
    """With its text as stored; None where that is not kept, or not all that was judged."""
    has_images: bool
    """Of which neither bytes nor what is written in them is stored."""
    author: AuthorFeatures
    """Their history before."""
    signals: tuple[Signal, ...]


class DecisionLog:
    """The final live decisions on content posted from `since` until before `until`.

    Moments are as `breakwater query` takes them; "" is the last seven days of the store.

    Raises:
        QueryError: a moment is malformed, or there are no tables.
    """

    def __init__(
        self, client: Client, categories: Sequence[str], since: str = "", until: str = ""
    ) -> None:
        self._client = client
        self._categories = tuple(categories)
        given = {name: at for name, at in (("since", since), ("until", until)) if at}
        self.window = bind(client, _QUERY, given)
        """`since` and `until` as they are asked for."""
        [[self.decisions, communities, degraded]] = self._ask(_NAMES)
        self._community_hashes, self.communities = _sorted(communities)
        """The names that `Chunk.community` numbers."""
        self._degraded_hashes, self.degraded = _sorted(degraded)
        """The missing stages that `Chunk.degraded` numbers."""

    def chunks(self, review_rules: Mapping[str, str], watched: Collection[str]) -> Iterator[Chunk]:
        """Every decision, `CHUNK_ROWS` at a time.

        `review_rules`: category of each rule whose matches always go to a human. `watched`: rules
        to be told of.
        """
        row, sql = self._row(), f"SELECT {self._columns()} {_LOGGED}"
        parameters = self._parameters(review_rules, watched)
        with self._client.raw_stream(sql, parameters, fmt="RowBinary") as stream:
            while data := stream.read(CHUNK_ROWS * row.itemsize):
                yield self._chunk(np.frombuffer(data, row))

    def contents(
        self, review_rules: Mapping[str, str], watched: Collection[str]
    ) -> Iterator[tuple[Chunk, list[Logged]]]:
        """As `chunks`, some thousands at a time, with what each was decided from."""
        row, sql = self._row(), f"SELECT {self._columns()}, {_CONTENT_COLUMNS} {_CONTENTS}"
        parameters = self._parameters(review_rules, watched)
        numbers = len(row.names or ()) - 1
        end = numbers + len(self._categories)
        with self._client.query_row_block_stream(sql, parameters) as stream:
            for rows in stream:
                read = np.array([(*each[:numbers], each[numbers:end]) for each in rows], row)
                yield self._chunk(read), [_logged(*each[end:]) for each in rows]

    def texts(self, contents: Collection[int]) -> dict[int, tuple[str, str]]:
        """Id and text of the contents that are still kept, by their number in `Chunk.content`."""
        found = self._ask(_TEXTS, hashes=[int(each) for each in contents])
        return {hash_: (content_id, text) for hash_, content_id, text in found}

    def _number(self, category: str) -> int:
        return self._categories.index(category) + 1

    def _parameters(
        self, review_rules: Mapping[str, str], watched: Collection[str]
    ) -> dict[str, Any]:
        return self.window | {
            "categories": list(self._categories),
            "rules": list(review_rules),
            "rule_categories": [self._number(each) for each in review_rules.values()],
            "watched": sorted(watched),
        }

    def _chunk(self, read: NDArray[np.void]) -> Chunk:
        return Chunk(
            read["content"],
            np.searchsorted(self._community_hashes, read["community"]),
            np.searchsorted(self._degraded_hashes, read["degraded"]),
            read["action"].astype(np.int8),
            read["category"],
            read["asked_review"],
            read["hit"].astype(bool),
            read["day"],
            read["scores"],
        )

    def _row(self) -> np.dtype[np.void]:
        # Every column has a fixed width: RowBinary puts nothing between them.
        return np.dtype(
            [
                *((name, "<u8") for name in ("content", "community", "degraded")),
                *((name, "u1") for name in ("action", "category", "asked_review", "hit")),
                ("day", "<u2"),
                ("scores", "<f4", len(self._categories)),
            ]
        )

    def _columns(self) -> str:
        """The columns of `_row`."""
        scores = ", ".join(f"scores['{name}']" for name in self._categories)
        return f"""
    cityHash64(content_id, revision),
    cityHash64(community),
    cityHash64(degraded),
    toUInt8(toInt8(action) - 1),
    toUInt8(indexOf({{categories:Array(String)}}, category)),
    toUInt8({{rule_categories:Array(UInt8)}}[
        indexOf({{rules:Array(String)}}, arrayFirst(r -> has({{rules:Array(String)}}, r), rules))
    ]),
    toUInt8(hasAny(rules, {{watched:Array(String)}})),
    toUInt16(toDate(created_at, 'UTC')),
    {scores}"""

    def _ask(self, sql: str, **more: Any) -> Sequence[Sequence[Any]]:
        try:
            return self._client.query(sql, self.window | more).result_rows
        except ClickHouseError as error:
            raise QueryError(f"the decisions cannot be read: {first_line(error)}") from None


def _logged(
    content_id: str,
    revision: int,
    author_id: str,
    created_at: datetime,
    author_created_at: datetime,
    kind: ContentKind,
    community: str,
    language: str,
    text: str,
    has_images: bool,
    decisions: int,
    violations: int,
    signals: str,
) -> Logged:
    content = None
    if text and not has_images:
        content = Content(
            content_id,
            in_utc(created_at),
            author_id,
            revision,
            in_utc(author_created_at) if author_created_at.year > UNKNOWN_TIME.year else None,
            kind,
            community,
            text,
            language=language,
        )
    return Logged(
        content,
        bool(has_images),
        AuthorFeatures(decisions, violations),
        msgspec.json.decode(signals or "[]", type=tuple[Signal, ...]),
    )


def _sorted(named: Collection[tuple[int, Any]]) -> tuple[NDArray[np.uint64], list[Any]]:
    """Hashes in order and what each is of."""
    ordered = sorted(named)
    return np.array([hash_ for hash_, _ in ordered], np.uint64), [name for _, name in ordered]
