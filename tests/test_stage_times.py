"""What each content waited for each stage, from the stage's clock to the judgement."""

import pytest
from builders import items

from flows.metrics import timed_stage
from operators.decide import Decider
from policy.policy import load_policy


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_every_item_of_a_batch_waited_as_long_as_the_batch_took(count: int) -> None:
    made = timed_stage("second", timed_stage("first", lambda batch: batch))(items(count))
    assert len(made) == count
    assert all(item.stage_ms.keys() == {"first", "second"} for item in made)
    assert len({tuple(item.stage_ms.items()) for item in made}) == min(count, 1)
    assert all(each >= 0 for item in made for each in item.stage_ms.values())


def test_a_quick_answer_does_not_get_the_times_of_later_stages() -> None:
    made = timed_stage("first", lambda batch: batch)(items(1))
    [judgement] = Decider(load_policy())(made)
    timed_stage("second", lambda batch: batch)(made)
    assert judgement.stage_ms.keys() == {"first"}
