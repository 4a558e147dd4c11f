"""Small ones of `make soak`: nothing lost, nothing with two effects, whatever dies."""

import pytest

from bench.soak.reckoning import reckon
from bench.soak.scenarios import SCENARIOS, Scale
from bench.soak.stage import stage


@pytest.mark.parametrize("name", ["one-of-two"])
def test_what_dies_on_its_way_has_one_effect(name: str) -> None:
    with stage(rate=100) as at:
        SCENARIOS[name](at, Scale(kills=1, outage_s=1.0, settle_s=2.0))
        found = reckon(at)
    assert found.fine, found
    assert found.sent > 100
    assert any("the other ended by itself" in fact for fact in at.facts), at.facts
