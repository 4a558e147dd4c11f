"""What of a decision people should see first, and why."""

from __future__ import annotations

from events.messages import Decision, ReviewReason
from policy.policy import Policy


def priority(decision: Decision, policy: Policy) -> float:
    """How urgent it is, higher first: the category's severity, and its score within that."""
    treatment = policy.categories(decision.community).get(decision.category)
    if treatment is None:
        return 0.0
    return round(treatment.severity + decision.scores.get(decision.category, 0.0), 4)


def reason(decision: Decision, policy: Policy) -> ReviewReason:
    """Why a person sees a decision: it is unsure, the policy asks for it, or it is a sample."""
    if decision.action == "allow":
        return "sample"
    low, high = policy.file.uncertainty_band
    uncertain = low <= decision.scores.get(decision.category, 0.0) <= high
    return "uncertain" if uncertain else "policy"
