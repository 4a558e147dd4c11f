"""Identities and author counters in Redis (or Valkey), shared by every worker.

One script call a batch: a command an item would cost more in the client than in the server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from connectors.redis_line import FIRST_PAUSE_S, RedisDownError, RedisLine
from events.messages import AuthorFeatures, Judgement, Position

CLAIM_TTL_S = 24 * 3600
"""How long an identity is remembered: repeats come within minutes, this bounds the memory."""

# KEYS: claims; ARGV: ttl, then a position a key. Returns 1 for each that belongs to its position.
_CLAIM = """
local owned = {}
for i, key in ipairs(KEYS) do
  local holder = redis.call('HGET', key, 'position')
  if not holder then
    redis.call('HSET', key, 'position', ARGV[i + 1])
    redis.call('EXPIRE', key, ARGV[1])
    holder = ARGV[i + 1]
  end
  owned[i] = holder == ARGV[i + 1] and 1 or 0
end
return owned
"""

# KEYS: authors. Returns three values an author.
_READ = """
local out = {}
for i, key in ipairs(KEYS) do
  out[i] = redis.call('HMGET', key, 'decisions', 'violations', 'first_seen')
end
return out
"""

# KEYS: claim, author, claim, author, ...; ARGV: ttl, now, then 0 or 1 (a violation) a pair.
_COUNT = """
for i = 1, #KEYS, 2 do
  if redis.call('HSETNX', KEYS[i], 'counted', 1) == 1 then
    redis.call('EXPIRE', KEYS[i], ARGV[1])
    redis.call('HINCRBY', KEYS[i + 1], 'decisions', 1)
    redis.call('HINCRBY', KEYS[i + 1], 'violations', ARGV[2 + (i + 1) / 2])
    redis.call('HSETNX', KEYS[i + 1], 'first_seen', ARGV[2])
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
        self._claim = self._client.register_script(_CLAIM)
        self._read = self._client.register_script(_READ)
        self._count = self._client.register_script(_COUNT)

    def ping(self) -> None:
        """Return when the server answers."""
        self._call(self._client.ping)

    def claim(self, claims: Sequence[tuple[tuple[str, int], Position]]) -> list[bool]:
        """See `operators.enrich.FeatureStore.claim`; forgotten after `CLAIM_TTL_S`."""
        keys = [_claim_key(*identity) for identity, _ in claims]
        places = [position.place for _, position in claims]
        owned = self._call(self._claim, keys=keys, args=[CLAIM_TTL_S, *places])
        return [bool(own) for own in owned]

    def read_authors(self, author_ids: Sequence[str]) -> list[AuthorFeatures]:
        """See `operators.enrich.FeatureStore.read_authors`."""
        distinct = list(dict.fromkeys(author_ids))
        rows = self._call(self._read, keys=[f"breakwater:author:{author}" for author in distinct])
        known = {
            author: AuthorFeatures(
                int(decisions or 0),
                int(violations or 0),
                float(first_seen) if first_seen else None,
            )
            for author, (decisions, violations, first_seen) in zip(distinct, rows, strict=True)
        }
        return [known[author] for author in author_ids]

    def count(self, judgements: Sequence[Judgement]) -> None:
        """See `operators.enrich.FeatureStore.count`."""
        keys: list[str] = []
        args: list[float | int] = [CLAIM_TTL_S, self._now()]
        for judgement in judgements:
            decision = judgement.decision
            keys += (
                _claim_key(decision.content_id, decision.revision),
                f"breakwater:author:{decision.author_id}",
            )
            args.append(int(decision.action == "block"))
        self._call(self._count, keys=keys, args=args)

    def _call(self, function: Callable[..., Any], **arguments: Any) -> Any:
        try:
            return self._line.ask(function, **arguments)
        except RedisDownError as error:
            raise FeatureStoreDownError(str(error)) from None


def _claim_key(content_id: str, revision: int) -> str:
    return f"breakwater:claim:{revision}:{content_id}"
