"""Logged decisions as columns: what a replay decides again, and the texts of what it changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from numpy.typing import NDArray

from connectors.query_library import Parameter, Query, QueryError, bind

CHUNK_ROWS: Final = 65_536

_WINDOW: Final = """
WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}"""
_LOGGED: Final = f"""
FROM moderation.moderation_logs FINAL
{_WINDOW} AND final AND mode = 'live'
SETTINGS do_not_merge_across_partitions_select_final = 1"""
_NAMES: Final = f"""
SELECT groupUniqArray((cityHash64(community), community)),
    groupUniqArray((cityHash64(degraded), degraded))
{_LOGGED}"""
_TEXTS: Final = f"""
SELECT cityHash64(content_id, revision) AS hash, content_id, text
FROM moderation.content FINAL
{_WINDOW} AND hash IN {{hashes:Array(UInt64)}}
SETTINGS do_not_merge_across_partitions_select_final = 1"""  # noqa: S608 (no value is in it)

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
    scores: NDArray[np.float32]
    """(n, categories): probabilities."""


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
        [[communities, degraded]] = self._ask(_NAMES)
        self._community_hashes, self.communities = _sorted(communities)
        """The names that `Chunk.community` numbers."""
        self._degraded_hashes, self.degraded = _sorted(degraded)
        """The missing stages that `Chunk.degraded` numbers."""

    def chunks(self, review_rules: Mapping[str, str], watched: Collection[str]) -> Iterator[Chunk]:
        """Every decision, `CHUNK_ROWS` at a time.

        `review_rules`: category of each rule whose matches always go to a human. `watched`: rules
        to be told of.
        """
        row = np.dtype(
            [
                *((name, "<u8") for name in ("content", "community", "degraded")),
                *((name, "u1") for name in ("action", "category", "asked_review", "hit")),
                ("scores", "<f4", len(self._categories)),
            ]
        )
        parameters = self.window | {
            "categories": list(self._categories),
            "rules": list(review_rules),
            "rule_categories": [self._number(each) for each in review_rules.values()],
            "watched": sorted(watched),
        }
        with self._client.raw_stream(self._rows(), parameters, fmt="RowBinary") as stream:
            while data := stream.read(CHUNK_ROWS * row.itemsize):
                read = np.frombuffer(data, row)
                yield Chunk(
                    read["content"],
                    np.searchsorted(self._community_hashes, read["community"]),
                    np.searchsorted(self._degraded_hashes, read["degraded"]),
                    read["action"].astype(np.int8),
                    read["category"],
                    read["asked_review"],
                    read["hit"].astype(bool),
                    read["scores"],
                )

    def texts(self, contents: Collection[int]) -> dict[int, tuple[str, str]]:
        """Id and text by what `Chunk.content` has for a content; some are kept no more."""
        found = self._ask(_TEXTS, hashes=[int(each) for each in contents])
        return {hash_: (content_id, text) for hash_, content_id, text in found}

    def _number(self, category: str) -> int:
        return self._categories.index(category) + 1

    def _rows(self) -> str:
        scores = ", ".join(f"scores['{name}']" for name in self._categories)
        # Every column has a fixed width: RowBinary puts nothing between them.
        return f"""
SELECT
    cityHash64(content_id, revision),
    cityHash64(community),
    cityHash64(degraded),
    toUInt8(toInt8(action) - 1),
    toUInt8(indexOf({{categories:Array(String)}}, category)),
    toUInt8({{rule_categories:Array(UInt8)}}[
        indexOf({{rules:Array(String)}}, arrayFirst(r -> has({{rules:Array(String)}}, r), rules))
    ]),
    toUInt8(hasAny(rules, {{watched:Array(String)}})),
    {scores}
{_LOGGED}"""

    def _ask(self, sql: str, **more: Any) -> Sequence[Sequence[Any]]:
        try:
            return self._client.query(sql, self.window | more).result_rows
        except ClickHouseError as error:
            message = str(error).splitlines()[0][:300]
            raise QueryError(f"the decisions cannot be read: {message}") from None


def _sorted(named: Collection[tuple[int, Any]]) -> tuple[NDArray[np.uint64], list[Any]]:
    """Hashes in order and what each is of."""
    ordered = sorted(named)
    return np.array([hash_ for hash_, _ in ordered], np.uint64), [name for _, name in ordered]
