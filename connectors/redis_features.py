"""Identities and author counters in Redis (or Valkey), shared by every worker.

One script call a batch: a command an item would cost more in the client than in the server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from connectors.redis_line import FIRST_PAUSE_S, RedisDownError, RedisLine
from events.messages import AuthorCount, AuthorFeatures, Content, Position

CLAIM_TTL_S = 24 * 3600
"""How long an identity is remembered: repeats come within minutes, this bounds the memory."""

# KEYS: claims, then authors; ARGV: ttl, then a position a claim. Returns 1 for each claim that
# belongs to its position, and three values an author.
_ADMIT = """
local owned, authors = {}, {}
local claims = #ARGV - 1
for i = 1, claims do
  if redis.call('HSETNX', KEYS[i], 'position', ARGV[i + 1]) == 1 then
    redis.call('EXPIRE', KEYS[i], ARGV[1])
    owned[i] = 1
  else
    owned[i] = redis.call('HGET', KEYS[i], 'position') == ARGV[i + 1] and 1 or 0
  end
end
for i = claims + 1, #KEYS do
  authors[i - claims] = redis.call('HMGET', KEYS[i], 'decisions', 'violations', 'first_seen')
end
return {owned, authors}
"""

# KEYS: claim, author, claim, author, ...; ARGV: ttl, now, then 0 or 1 (a violation) a pair.
_COUNT = """
for i = 1, #KEYS, 2 do
  if redis.call('HSETNX', KEYS[i], 'counted', 1) == 1 then
    redis.call('EXPIRE', KEYS[i], ARGV[1])
    if redis.call('HINCRBY', KEYS[i + 1], 'decisions', 1) == 1 then
      redis.call('HSETNX', KEYS[i + 1], 'first_seen', ARGV[2])
    end
    if ARGV[2 + (i + 1) / 2] == '1' then
      redis.call('HINCRBY', KEYS[i + 1], 'violations', 1)
    end
  end
end
"""


class FeatureStoreDownError(ConnectionError):
    """Redis does not answer; what was asked of it was not done."""


class RedisFeatureStore:
    """`operators.enrich.FeatureStore` on a Redis or Valkey server.

    Raises, in every method:
        FeatureStoreDownError: the server does not answer.
    """

    def __init__(
        self,
        url: str,
        now: Callable[[], float] = time.time,
        *,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._now = now
        self._line = RedisLine(url, first_pause_s=first_pause_s)
        self._client = self._line.client
        self._admit = self._client.register_script(_ADMIT)
        self._count = self._client.register_script(_COUNT)

    def ping(self) -> None:
        """Return when the server answers."""
        self._call(self._client.ping)

    def admit(self, posts: Sequence[tuple[Content, Position]]) -> list[AuthorFeatures | None]:
        """See `operators.enrich.FeatureStore.admit`; claims are forgotten after `CLAIM_TTL_S`."""
        claims = [claim_key(content.content_id, content.revision) for content, _ in posts]
        distinct = list(dict.fromkeys(content.author_id for content, _ in posts))
        owned, rows = self._call(
            self._admit,
            keys=[*claims, *map(_author_key, distinct)],
            args=[CLAIM_TTL_S, *(position.place for _, position in posts)],
        )
        known = {
            author: AuthorFeatures(
                int(decisions or 0),
                int(violations or 0),
                float(first_seen) if first_seen else None,
            )
            for author, (decisions, violations, first_seen) in zip(distinct, rows, strict=True)
        }
        return [
            known[content.author_id] if own else None
            for (content, _), own in zip(posts, owned, strict=True)
        ]

    def count(self, counts: Sequence[AuthorCount]) -> None:
        """See `operators.enrich.FeatureStore.count`."""
        keys: list[str] = []
        args: list[float | int] = [CLAIM_TTL_S, self._now()]
        for one in counts:
            keys += (claim_key(one.content_id, one.revision), _author_key(one.author_id))
            args.append(int(one.violation))
        self._call(self._count, keys=keys, args=args)

    def _call(self, function: Callable[..., Any], **arguments: Any) -> Any:
        try:
            return self._line.ask(function, **arguments)
        except RedisDownError as error:
            raise FeatureStoreDownError(str(error)) from None


def claim_key(content_id: str, revision: int) -> str:
    """Key of what is kept for an identity, for `CLAIM_TTL_S`."""
    return f"breakwater:claim:{revision}:{content_id}"


def _author_key(author_id: str) -> str:
    return f"breakwater:author:{author_id}"
