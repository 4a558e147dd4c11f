"""The quota ledger in Redis (or Valkey), shared by every worker: one script call a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from connectors.redis_breaker import RedisBreaker
from connectors.redis_features import CLAIM_TTL_S, claim_key
from events.block_count import BlockCount, Rank

_DAY_TTL_S: Final = 2 * 24 * 3600

# KEYS: the day's hash, then the claim of each block; ARGV: the day, ttls of the day and of a claim,
# then {blocks: [[final, [counter]]], traffic: [[name, count]]} as JSON. Returns "DAY NUMBER" for
# each counter of each block, and the totals of the traffic.
_COUNT = """
local day, asked, ranks, totals = ARGV[1], cjson.decode(ARGV[4]), {}, {}
for i, block in ipairs(asked.blocks) do
  local claim, final = KEYS[i + 1], block[1]
  ranks[i] = {}
  for j, name in ipairs(block[2]) do
    local rank = redis.call('HGET', claim, 'quota:' .. name)
    if not rank and final then
      rank = day .. ' ' .. redis.call('HINCRBY', KEYS[1], name, 1)
      redis.call('HSET', claim, 'quota:' .. name, rank)
      redis.call('EXPIRE', claim, ARGV[3])
    elseif not rank then
      rank = day .. ' ' .. (redis.call('HGET', KEYS[1], name) or 0) + 1
    end
    ranks[i][j] = rank
  end
end
for i, pair in ipairs(asked.traffic) do
  totals[i] = redis.call('HINCRBY', KEYS[1], pair[1], pair[2])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {ranks, totals}
"""


class RedisLedger:
    """`operators.quota.QuotaLedger` on a Redis or Valkey server.

    Ranks are kept with the claim of the identity (`connectors.redis_features`), and as long.
    """

    def __init__(self, url: str) -> None:
        self._redis = RedisBreaker(url)
        self._count = self._redis.client.register_script(_COUNT)

    def count(
        self, day: str, blocks: Sequence[BlockCount], traffic: Mapping[str, int]
    ) -> tuple[list[dict[str, Rank]], dict[str, int]]:
        """See `operators.quota.QuotaLedger.count`."""
        asked = {
            "blocks": [(block.final, block.counters) for block in blocks],
            "traffic": list(traffic.items()),
        }
        claims = [claim_key(block.content_id, block.revision) for block in blocks]
        ranks, totals = self._redis.ask(
            self._count,
            keys=[f"breakwater:quota:{day}", *claims],
            args=[day, _DAY_TTL_S, CLAIM_TTL_S, msgspec.json.encode(asked)],
        )
        return [
            dict(zip(block.counters, map(_rank, given), strict=True))
            for block, given in zip(blocks, ranks, strict=True)
        ], dict(zip(traffic, map(int, totals), strict=True))


def _rank(given: bytes) -> Rank:
    day, number = given.decode().split()
    return Rank(day, int(number))
