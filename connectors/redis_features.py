"""Identities and author counters in Redis (or Valkey), shared by every worker.

One script call a batch: a command an item would cost more in the client than in the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from connectors.redis_breaker import FIRST_PAUSE_S, RedisBreaker, RedisDownError
from events.messages import Content, Position
from events.records import AuthorCount, AuthorFeatures

CLAIM_TTL_S = 24 * 3600
"""How long an identity is remembered: repeats come within minutes, this bounds the memory."""

AT_ONCE = 2_000
"""Posts in one question: it takes some 15 ms, and all workers wait for the same server."""

AUTHOR_TTL_S = 400 * 24 * 3600
"""How long an author is remembered after the last decision on a post of theirs."""

# KEYS: claims, then authors; ARGV: ttl, the index of each claim's author as JSON, the positions.
# Returns two values an author, and for each claim 1 (new), 0 (another position has it) or the
# author's two values of when it was new, with a space between them: none for an unknown author.
# A claim keeps them in one field with its position, on a line of their own: another field would
# cost as much as the claim.
_ADMIT = """
local admitted, authors, before, author_of = {}, {}, {}, cjson.decode(ARGV[2])
local claims = #author_of
for i = claims + 1, #KEYS do
  local author = redis.call('HMGET', KEYS[i], 'decisions', 'violations')
  authors[i - claims] = author
  before[i - claims] = author[1] and '\\n' .. author[1] .. ' ' .. (author[2] or 0) or ''
end
for i = 1, claims do
  local claim, position = KEYS[i], ARGV[i + 2]
  if redis.call('HSETNX', claim, 'position', position .. before[author_of[i] + 1]) == 1 then
    redis.call('EXPIRE', claim, ARGV[1])
    admitted[i] = 1
  else
    local owner, author = redis.call('HGET', claim, 'position'):match('^([^\\n]*)(.*)')
    admitted[i] = owner == position and author or 0
  end
end
return {authors, admitted}
"""

# KEYS: claim, author, claim, author, ...; ARGV: their ttls, then 0 or 1 (a violation) a pair.
_COUNT = """
for i = 1, #KEYS, 2 do
  if redis.call('HSETNX', KEYS[i], 'counted', 1) == 1 then
    redis.call('EXPIRE', KEYS[i], ARGV[1])
    redis.call('HINCRBY', KEYS[i + 1], 'decisions', 1)
    if ARGV[2 + (i + 1) / 2] == '1' then
      redis.call('HINCRBY', KEYS[i + 1], 'violations', 1)
    end
    redis.call('EXPIRE', KEYS[i + 1], ARGV[2])
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

    def __init__(self, url: str, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._redis = RedisBreaker(url, first_pause_s=first_pause_s)
        self._client = self._redis.client
        self._admit = self._client.register_script(_ADMIT)
        self._count = self._client.register_script(_COUNT)

    def ping(self) -> None:
        """Return when the server answers."""
        self._call(self._client.ping)

    def admit(self, posts: Sequence[tuple[Content, Position]]) -> list[AuthorFeatures | None]:
        """See `operators.enrich.FeatureStore.admit`; claims are forgotten after `CLAIM_TTL_S`."""
        parts = (posts[at : at + AT_ONCE] for at in range(0, len(posts), AT_ONCE))
        return [history for part in parts for history in self._admit_part(part)]

    def _admit_part(
        self, posts: Sequence[tuple[Content, Position]]
    ) -> Iterator[AuthorFeatures | None]:
        claims = [claim_key(content.content_id, content.revision) for content, _ in posts]
        distinct = dict.fromkeys(content.author_id for content, _ in posts)
        numbers = {author: number for number, author in enumerate(distinct)}
        author_of = [numbers[content.author_id] for content, _ in posts]
        rows, admitted = self._call(
            self._admit,
            keys=[*claims, *map(_author_key, numbers)],
            args=[
                CLAIM_TTL_S,
                msgspec.json.encode(author_of),
                *(position.key for _, position in posts),
            ],
        )
        authors = [_features(*row) for row in rows]
        for answer, number in zip(admitted, author_of, strict=True):
            yield _as_admitted(answer, authors[number])

    def count(self, counts: Sequence[AuthorCount]) -> None:
        """See `operators.enrich.FeatureStore.count`; authors are forgotten after `AUTHOR_TTL_S`."""
        keys: list[str] = []
        args = [CLAIM_TTL_S, AUTHOR_TTL_S]
        for one in counts:
            keys += (claim_key(one.content_id, one.revision), _author_key(one.author_id))
            args.append(int(one.violation))
        self._call(self._count, keys=keys, args=args)

    def _call(self, function: Callable[..., Any], **arguments: Any) -> Any:
        try:
            return self._redis.ask(function, **arguments)
        except RedisDownError as error:
            raise FeatureStoreDownError(str(error)) from None


def claim_key(content_id: str, revision: int) -> str:
    """Key of what is kept for an identity, for `CLAIM_TTL_S`."""
    return f"breakwater:claim:{revision}:{content_id}"


def _author_key(author_id: str) -> str:
    return f"breakwater:author:{author_id}"


def _as_admitted(answer: int | bytes, author: AuthorFeatures) -> AuthorFeatures | None:
    """By the answer of the script to one claim: the history as it is, as it was, or none."""
    if isinstance(answer, bytes):
        # Older builds wrote a third value.
        return _features(*answer.split()[:2])
    return author if answer else None


def _features(decisions: bytes | None = None, violations: bytes | None = None) -> AuthorFeatures:
    return AuthorFeatures(int(decisions or 0), int(violations or 0))
