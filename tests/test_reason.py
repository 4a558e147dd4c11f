"""What is told of why a decision was made."""

import pytest
from clickhouse_samples import blocked, judgement

from events.messages import Signal
from events.reason import reason


@pytest.mark.parametrize(
    ("decided", "told"),
    [
        (judgement(), "nothing above the policy's thresholds"),
        (blocked(), "spam 0.97: r-1 of rules 0.97"),
        (blocked(signals=()), "spam 0.97"),
        (blocked(signals=(Signal("rules", "r-2", "hate", 1.0),)), "spam 0.97"),
        (blocked(scores={}, signals=()), "spam"),
        (blocked(signals=(), degraded=("ocr", "text_score")), "spam 0.97; without ocr, text_score"),
        (blocked(signals=(), frames=3), "spam 0.97; the worst of 3 frames"),
    ],
    ids=["allowed", "by a rule", "by the model alone", "another category's rule", "failing closed",
         "with stages missing", "a video"],
)  # fmt: skip
def test_reasons(decided, told):
    assert reason(decided.decision) == told
