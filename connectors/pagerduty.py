"""Alerts as PagerDuty events (Events API v2): triggered when they open, resolved at their end.

https://developer.pagerduty.com/docs/events-api-v2/overview/ . The dedup key is the alert's id, so
PagerDuty drops repeats and resolves the right incident. No user content is sent but a link's
domain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import httpx2
import pagerduty

from connectors.alert_text import first_command, playbook_page, sparkline
from connectors.outbox import RetryLater, refusal
from events.messages import Alert

TIMEOUT: Final = 10
"""Seconds for one request."""
URL: Final = "https://events.pagerduty.com"
_MAX_SUMMARY: Final = 1_024
_ACCEPTED: Final = 202
_TOO_MANY: Final = 429


class _Client(pagerduty.EventsApiV2Client):
    """The library's client without its sleeps: the outbox retries, and remembers over a crash."""

    timeout = TIMEOUT  # type: ignore[assignment]  # the library itself shadows httpx's property
    max_network_attempts = 0
    # With -1 it gives a 429 back at once; otherwise it would sleep and try for ever.
    max_http_attempts = -1

    def __init__(self, routing_key: str, url: str) -> None:
        super().__init__(routing_key, base_url=url)
        self.retry = {_TOO_MANY: 1}

    @property
    def url(self) -> str:
        """The base URL; `http://` too, which the library refuses, for proxies and tests."""
        return self._url or URL

    @url.setter
    def url(self, url: str) -> None:
        self._url = url


class PagerDutySender:
    """Sends alerts to the service behind `routing_key`, at the base URL `url`."""

    name = "pagerduty"

    def __init__(self, routing_key: str, url: str = URL) -> None:
        self._client = _Client(routing_key, url.rstrip("/"))

    def send(self, alert: Alert) -> None:
        """Send one alert.

        Raises:
            RetryLater: PagerDuty is unreachable, throttles, or something else that may pass.
            PermanentError: PagerDuty refuses the event.
        """
        if alert.state == "resolved":
            self._call(lambda: self._client.resolve(alert.alert_id))
        else:
            self._call(lambda: self._client.send_event("trigger", alert.alert_id, **event(alert)))

    def acknowledge(self, alert_id: str) -> None:
        """Tell PagerDuty that somebody is on it; raises as `send`."""
        self._call(lambda: self._client.acknowledge(alert_id))

    def _call(self, request: Callable[[], str]) -> None:
        # `from None`: the library's messages can hold part of the routing key.
        try:
            request()
        except httpx2.DecodingError:
            raise RetryLater("PagerDuty's answer cannot be read") from None
        except pagerduty.Error as error:
            answer = error.response
            if answer is None:
                raise RetryLater("PagerDuty is unreachable") from None
            if answer.status_code == _ACCEPTED:
                # Taken: the library only misses the dedup key in the answer. Any other success is
                # of somebody in between, such as a portal's page to log in.
                return
            reason = f"PagerDuty answered {answer.status_code}: {answer.text[:100]}"
            retry_after = answer.headers.get("retry-after")
            raise refusal(answer.status_code, reason, retry_after) from None


def event(alert: Alert) -> dict[str, Any]:
    """The event's properties but for action and keys, within the API's bounds."""
    key = alert.key
    return {
        "payload": {
            "summary": alert.summary[:_MAX_SUMMARY],
            "source": "breakwater",
            # The library's own `trigger` would make every alert critical.
            "severity": alert.severity,
            "timestamp": alert.window_start.isoformat(),
            "component": key.category,
            "group": key.community,
            "class": alert.kind,
            "custom_details": {
                "observed": alert.observed,
                "expected": alert.expected,
                "z_score": alert.z_score,
                "distinct_authors": alert.distinct_authors,
                "window_end": alert.window_end.isoformat(),
                "signature": key.signature,
                "examples": list(alert.examples),
                "last_hour": alert.last_hour,
                "last_day": alert.last_day,
                "recent": sparkline(alert.recent),
                "first": first_command(alert),
                "playbook": playbook_page(alert),
            },
        },
        "client": "Breakwater",
    }
