"""Alerts as Slack messages, through an incoming webhook.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/ : about one message a
second; 50 blocks, 150 characters in a header, 3,000 in a section, 10 fields of 2,000.
"""

from __future__ import annotations

from http.client import HTTPException
from typing import Any, Final

from slack_sdk.webhook import WebhookClient

from connectors.alert_text import first_command, playbook_page, sparkline
from connectors.outbox import RetryLater, refusal
from events.messages import Alert

TIMEOUT: Final = 10
"""Seconds for one request."""
_MARKS: Final = {"open": ":rotating_light:", "update": ":chart_with_upwards_trend:"}
_DONE: Final = ":white_check_mark:"


class SlackSender:
    """Posts alerts to the webhook at `url`."""

    name = "slack"

    def __init__(self, url: str) -> None:
        # No retry handlers: the outbox retries, and remembers over a crash.
        self._client = WebhookClient(url, timeout=TIMEOUT, retry_handlers=[])

    def send(self, alert: Alert) -> None:
        """Post one alert.

        Raises:
            RetryLater: Slack is unreachable, throttles, or something else that may pass.
            PermanentError: Slack refuses the message, or the webhook is gone.
        """
        try:
            answer = self._client.send(text=fallback(alert), blocks=blocks(alert))
        # What is no HTTP, ends too early or is in no charset comes from a proxy that is in trouble.
        except (OSError, HTTPException, ValueError, LookupError) as error:
            raise RetryLater(f"Slack is unreachable: {type(error).__name__}") from error
        if answer.status_code == 200 and answer.body == "ok":
            return
        headers = {name.lower(): value for name, value in answer.headers.items()}
        reason = f"Slack answered {answer.status_code}: {answer.body[:100]}"
        raise refusal(answer.status_code, reason, headers.get("retry-after"))


def escape(text: str) -> str:
    """`text` so that Slack shows it and acts on none of it: no mention, no link, no channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fallback(alert: Alert) -> str:
    """The line shown in notifications, where blocks are not; links in it can't be clicked."""
    return escape(f"[{alert.state}] {_defanged(alert.summary[:500])}")[:3_000]


def blocks(alert: Alert) -> list[dict[str, Any]]:
    """The message in Block Kit: what, how much against what was expected, who, and what to do."""
    key = alert.key
    mark = _MARKS.get(alert.state, _DONE)
    title = f"{alert.state.capitalize()}: {alert.kind} of {key.category or 'decisions'}"
    fields = {
        "Severity": alert.severity,
        "Category": key.category,
        "Link or cluster": _defanged(key.signature),
        "Community": key.community,
        "Observed / expected": f"{alert.observed:,.5g} / {alert.expected:,.3g}",
        "z-score": f"{alert.z_score:.1f}",
        "Authors": f"about {alert.distinct_authors:,}",
        "Last hour / day": f"{alert.last_hour:,} / {alert.last_day:,}" if alert.last_day else "",
        "Since": f"{alert.window_start:%Y-%m-%d %H:%M} UTC",
    }
    found: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(f"{mark} {title}"[:150])},
        {"type": "section", "text": _markdown(_defanged(alert.summary))},
        {
            "type": "section",
            "fields": [_markdown(f"*{name}*\n", value) for name, value in fields.items() if value],
        },
    ]
    plot = sparkline(alert.recent)
    if plot:
        title = f"*Last {len(alert.recent)} minutes*, at most {max(alert.recent):,} in one\n"
        found.append({"type": "section", "text": _markdown(title, plot)})
    if alert.examples:
        ids = ", ".join(alert.examples[:5])
        found.append({"type": "section", "text": _markdown("*Examples* ", ids)})
    found += [{"type": "section", "text": _quoted(text)} for text in alert.texts[:3]]
    first = f"First: `{first_command(alert)}`".replace("``", "` `")
    found.append({"type": "context", "elements": [_markdown(first)]})
    page = f"Playbook: {playbook_page(alert)} · alert {alert.alert_id}"
    found.append({"type": "context", "elements": [_markdown(page)]})
    return found


def _markdown(text: str, value: str = "") -> dict[str, Any]:
    # Escaping may lengthen a text fivefold: cut before it, and cut again below Slack's limit.
    shown = (escape(text[:900]) + escape(value[:300]) or "-")[:2_000]
    # Verbatim: Slack would make links of ids that look like a domain.
    return {"type": "mrkdwn", "text": shown, "verbatim": True}


def _quoted(text: str) -> dict[str, Any]:
    """What a user wrote, to be read and not acted on: no link, no mention, no formatting."""
    shown = _defanged(" ".join(text.split())[:200])
    return {"type": "plain_text", "text": f"“{shown}”", "emoji": False}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": True}


def _defanged(text: str) -> str:
    """Every dot as [.]: Slack makes links of anything that looks like a domain."""
    return text.replace(".", "[.]")
