"""Asking a Redis that may be down: quickly told so, and left alone for longer each time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import redis

FIRST_PAUSE_S: Final = 0.5
MAX_PAUSE_S: Final = 15.0
TIMEOUT_S: Final = 0.5


class RedisDownError(ConnectionError):
    """Redis does not answer; it is unknown whether what was asked of it was done."""


class RedisBreaker:
    """A client whose questions fail at once for a while after one was not answered.

    The stream need not wait out a timeout for every batch: the pause doubles with each failure in
    a row, up to `MAX_PAUSE_S`.
    """

    def __init__(
        self,
        url: str,
        *,
        first_pause_s: float = FIRST_PAUSE_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            health_check_interval=30,
        )
        self._first_pause_s = first_pause_s
        self._pause_s = first_pause_s
        self._now = now
        self._ask_again_at = -float("inf")

    def ask(self, command: Callable[..., Any], **arguments: Any) -> Any:
        """The answer to `command` of `client`.

        Raises:
            RedisDownError: it does not answer, or did not a moment ago.
        """
        if self._now() < self._ask_again_at:
            raise RedisDownError("Redis did not answer a moment ago")
        try:
            answer = command(**arguments)
        except redis.RedisError as error:
            self._ask_again_at = self._now() + self._pause_s
            self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)
            raise RedisDownError(why(error)) from None
        self._pause_s = self._first_pause_s
        return answer


def why(error: redis.RedisError) -> str:
    """What a user can do about `error`."""
    if "'maxmemory'" in str(error):
        return "Redis is full and takes nothing in: raise its maxmemory"
    return f"Redis does not answer ({error}): is it running, and is BREAKWATER_REDIS_URL right?"
