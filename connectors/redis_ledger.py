"""The quota ledger in Redis (or Valkey), shared by every worker: one script call a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connectors.redis_line import RedisLine

_TTL_S: Final = 2 * 24 * 3600

# KEYS: the day's hash; ARGV: ttl, then name and count in turn. Returns the totals.
_ADD = """
local totals = {}
for i = 2, #ARGV, 2 do
  totals[i / 2] = redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return totals
"""


class RedisLedger:
    """`operators.quota.QuotaLedger` on a Redis or Valkey server."""

    def __init__(self, url: str) -> None:
        self._line = RedisLine(url)
        self._add = self._line.client.register_script(_ADD)

    def add(self, day: str, counts: Mapping[str, int]) -> dict[str, int]:
        """See `operators.quota.QuotaLedger.add`."""
        pairs = [part for pair in counts.items() for part in pair]
        keys = [f"breakwater:quota:{day}"]
        totals = self._line.ask(self._add, keys=keys, args=[_TTL_S, *pairs])
        return dict(zip(counts, map(int, totals), strict=True))
