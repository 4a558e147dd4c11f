"""Why a decision is what it is."""

from __future__ import annotations

from events.messages import Decision, Signal


def deciding_signal(decision: Decision) -> Signal | None:
    """The strongest signal of the category that decided; None when allowed or without any."""
    if not decision.category:
        return None
    own = (signal for signal in decision.signals if signal.category == decision.category)
    return max(own, key=lambda signal: signal.score, default=None)


def failed_closed(decision: Decision) -> bool:
    """Whether it is of a category only because a stage was missing that might have seen it."""
    return bool(decision.degraded and decision.category) and deciding_signal(decision) is None


def reason(decision: Decision) -> str:
    """Why it was decided so, in words: `spam 0.97: scam-link of rules 1.00`."""
    told = _why(decision)
    return f"{told}; the worst of {decision.frames} frames" if decision.frames else told


def _why(decision: Decision) -> str:
    if not decision.category:
        return "nothing above the policy's thresholds"
    score = decision.scores.get(decision.category)
    told = decision.category if score is None else f"{decision.category} {score:.2f}"
    signal = deciding_signal(decision)
    if signal is not None:
        told += f": {signal.rule} of {signal.stage} {signal.score:.2f}"
    if decision.degraded:
        told += f"; without {', '.join(decision.degraded)}"
    return told
