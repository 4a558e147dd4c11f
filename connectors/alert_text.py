"""What every channel says of an alert: the first thing to ask, the page to follow, a small plot."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from events.categories import CATEGORIES
from events.messages import Alert

_BARS: Final = "▁▂▃▄▅▆▇█"
_USUAL: Final = timedelta(days=7)
"""How long before a surge its question begins: what is usual has to be in the answer."""


def first_command(alert: Alert) -> str:
    """What on-call asks first: a query of the library, or whether everything answers."""
    content = alert.key.signature.removeprefix("content:")
    if alert.kind == "surge" and content != alert.key.signature:
        return f"breakwater query content_history --param content_id={shlex.quote(content)}"
    if alert.kind == "surge":
        since = shlex.quote(f"{alert.window_start - _USUAL:%Y-%m-%d %H:%M:%S}")
        category = alert.key.category.removeprefix("report:")
        # Those who report may choose from other categories than the job's.
        of = f" --param category={category}" if category in CATEGORIES else ""
        return f"breakwater query spike_investigation --param since={since}{of}"
    if alert.kind == "drift":
        return "breakwater query version_changes"
    return "breakwater doctor"


def playbook_page(alert: Alert) -> str:
    """The page of the playbook for alerts of this kind."""
    return f"docs/playbook/{alert.kind}.md"


def sparkline(counts: Sequence[int]) -> str:
    """One character a count, as high as it is beside the largest; "" for nothing."""
    most = max(counts, default=0)
    if most <= 0:
        return ""
    return "".join(_BARS[round((len(_BARS) - 1) * max(0, count) / most)] for count in counts)
