"""Drift of scores and texts: contents sampled, watched, and said as alerts.

A flow wires it beside the surges, over the same Stream[Judgement]::

    samples = op.flat_map_batch("sample_drift", judgements, drift_samples)
    drifted = drift("find_drift", samples, DriftSettings())

Drift alerts go where surge alerts go; on the alerts topic, `kind` tells them apart, and a consumer
may start retraining on an open one whose severity is `warning` (`info`: a viral attack).
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Final

import bytewax.operators as op
from bytewax.dataflow import Stream, operator
from bytewax.operators import KeyedStream, StatefulBatchLogic

from events.identity import crc
from events.messages import Alert, Signal
from events.records import Judgement, ModelOutput
from operators.drift_monitor import DriftMonitor, DriftSample, DriftSettings
from operators.parcel import Parcel, opened, parcels
from operators.signature import signatures
from operators.sliding import versions_of

_SHARD: Final = "drift"
_NO_SAMPLE: Final = 2**32
"""Beyond the CRC of every content."""
MAIN_LANGUAGES: Final = (
    "ar", "de", "es", "fr", "hi", "id", "it", "ja", "ko", "nl", "pl", "pt", "ru", "tr", "zh",
)  # fmt: skip
"""Those most written on the web after English, by their ISO 639-1 codes (W3Techs, 2026)."""
_LANGUAGE_SERIES: Final = {code: f"language {code}" for code in MAIN_LANGUAGES}


def drift_samples(
    judgements: list[Judgement],
    share: int = 8,
    most: int = 64,
    policy_version: Callable[[], str] = lambda: "",
) -> list[tuple[str, DriftSample]]:
    """Samples of one final, live decision in `share`, chosen by content id; all under one key.

    A batch has at most `most`: of thousands a second a share of all would tell no more.
    `policy_version` is that of the policy in force.
    """
    drawn = [
        crc(judgement.content.content_id)
        if judgement.decision.final and judgement.decision.mode == "live"
        else _NO_SAMPLE
        for judgement in judgements
    ]
    chosen = sorted(number for number in drawn if number < _NO_SAMPLE // share)[:most]
    policy = policy_version()
    return [
        (_SHARD, _sample(judgement, policy))
        for judgement, number in zip(judgements, drawn, strict=True)
        if chosen and number <= chosen[-1]
    ]


def _sample(judgement: Judgement, policy_version: str) -> DriftSample:
    decision, content = judgement.decision, judgement.content
    values = {_named("score", name): score for name, score in decision.scores.items()}
    values["sent to people"] = float(decision.action == "review")
    values |= _of_models(judgement.outputs)
    values |= _of_text(content.text)
    values |= _of_signals(decision.signals)
    return DriftSample(
        content.created_at.timestamp(),
        decision.community,
        decision.author_id,
        decision.content_id,
        next(iter(signatures(content.text)), "") if decision.action != "allow" else "",
        values,
        versions_of(decision, policy_version),
    )


def _of_models(outputs: Sequence[ModelOutput]) -> dict[str, float]:
    """Each model's scores, and how often it is unsure: a distribution may spread on its mean."""
    values: dict[str, float] = {}
    for output in outputs:
        model = _named("model", output.model)
        for category, score in output.scores.items():
            values[_named(model, category)] = score
        values[_named(model, "unsure")] = float(0.3 <= output.confidence <= 0.7)
    return values


@cache
def _named(kind: str, name: str) -> str:
    # One string for all samples: a pickle of many has it once.
    return f"{kind}:{name}"


def _of_text(text: str) -> dict[str, float]:
    text = text[:1_000]
    if not text:
        return {}
    size = len(text)
    return {
        "text length": math.log(size),
        "share of letters": sum(map(str.isalpha, text)) / size,
        "share of capitals": sum(map(str.isupper, text)) / size,
        "share of digits": sum(map(str.isdigit, text)) / size,
        "share beyond ASCII": 0.0 if text.isascii() else sum(c > "\x7f" for c in text) / size,
    }


def _of_signals(signals: Sequence[Signal]) -> dict[str, float]:
    """Shares: of tricks of spelling; of all languages that the models do not cover; of each."""
    found = {s.rule.removeprefix("language.") for s in signals if s.stage == "language"}
    return {
        "tricks of spelling": float(any(s.rule.startswith("obfuscation.") for s in signals)),
        "other languages": float(bool(found)),
        **{name: float(code in found) for code, name in _LANGUAGE_SERIES.items()},
    }


class _DriftLogic(StatefulBatchLogic[Parcel[DriftSample], Alert, bytes]):
    def __init__(self, settings: DriftSettings, resume: bytes | None, finish: bool) -> None:
        # S301: the snapshot comes from the recovery store that this job wrote itself.
        self._monitor = pickle.loads(resume) if resume else DriftMonitor(settings)  # noqa: S301
        self._finish = finish

    def on_batch(self, received: list[Parcel[DriftSample]]) -> tuple[Iterable[Alert], bool]:
        return self._monitor.observe(opened(received)), self.RETAIN

    def on_eof(self) -> tuple[Iterable[Alert], bool]:
        return (self._monitor.finish() if self._finish else []), self.RETAIN

    def snapshot(self) -> bytes:
        return pickle.dumps(self._monitor)


@operator
def drift(
    step_id: str,
    up: KeyedStream[DriftSample],
    settings: DriftSettings,
    finish_at_eof: bool = False,
) -> Stream[Alert]:
    """Bytewax shell of `DriftMonitor`."""

    def shim_build(resume: bytes | None) -> _DriftLogic:
        return _DriftLogic(settings, resume, finish_at_eof)

    sent: KeyedStream[Parcel[DriftSample]] = op.flat_map_batch("parcels", up, parcels)
    return op.key_rm("alerts", op.stateful_batch("watch", sent, shim_build))
