"""The guardrails' alerts: each opens once, whichever workers say so, and ends with its window."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream, operator
from bytewax.operators import KeyedStream, StatefulBatchLogic

from events.messages import Alert

LINGER: Final = timedelta(minutes=1)
"""How long after its window an alert is resolved: clocks of workers differ."""

_decoder = msgspec.msgpack.Decoder(list[Alert])


class QuotaAlerts:
    """The alerts that are open.

    Args:
        saved: a snapshot to go on from.
    """

    def __init__(self, saved: bytes | None = None) -> None:
        self._open = {alert.alert_id: alert for alert in _decoder.decode(saved)} if saved else {}

    def snapshot(self) -> bytes:
        """The state, for `saved`."""
        return msgspec.msgpack.encode(list(self._open.values()))

    def open(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Those of `alerts` that were not open."""
        new = {alert.alert_id: alert for alert in alerts if alert.alert_id not in self._open}
        self._open |= new
        return list(new.values())

    def resolve(self, now: datetime) -> list[Alert]:
        """The ends of those whose window has been over for `LINGER`."""
        over = [alert for alert in self._open.values() if alert.window_end + LINGER <= now]
        for alert in over:
            del self._open[alert.alert_id]
        return [msgspec.structs.replace(alert, state="resolved") for alert in over]

    def finish(self) -> list[Alert]:
        """The ends of all: the stream is over, and nobody would say them later."""
        return self.resolve(datetime.max.replace(tzinfo=UTC))

    def due_at(self) -> datetime | None:
        """When `resolve` will have something to say; None: never."""
        ends = [alert.window_end for alert in self._open.values()]
        return min(ends) + LINGER if ends else None


class _Logic(StatefulBatchLogic[Alert, Alert, bytes]):
    def __init__(self, resume: bytes | None, finish: bool) -> None:
        self._alerts = QuotaAlerts(resume)
        self._finish = finish

    def on_batch(self, values: Sequence[Alert]) -> tuple[Iterable[Alert], bool]:
        return self._alerts.open(values), self.RETAIN

    def on_notify(self) -> tuple[Iterable[Alert], bool]:
        return self._alerts.resolve(datetime.fromtimestamp(time.time(), UTC)), self.RETAIN

    def on_eof(self) -> tuple[Iterable[Alert], bool]:
        return (self._alerts.finish() if self._finish else []), self.RETAIN

    def notify_at(self) -> datetime | None:
        return self._alerts.due_at()

    def snapshot(self) -> bytes:
        return self._alerts.snapshot()


@operator
def once(step_id: str, up: Stream[Alert], finish_at_eof: bool = False) -> Stream[Alert]:
    """Bytewax shell of `QuotaAlerts`: one worker has them all, for they are few."""

    def shim_build(resume: bytes | None) -> _Logic:
        return _Logic(resume, finish_at_eof)

    keyed: KeyedStream[Alert] = op.key_on("key", up, lambda _: "quota")
    return op.key_rm("alerts", op.stateful_batch("watch", keyed, shim_build))
