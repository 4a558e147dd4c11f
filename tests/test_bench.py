"""The benches run on what the stages are today; what they measure is not judged here."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from bench.capacity import POSTS_A_DAY, arrivals, simulate
from bench.chain import PEAK
from bench.stages import measure_stages
from bench.svg import Curve, plot
from cli.load import demo_mix


def test_every_stage_is_measured_beside_its_library() -> None:
    costs = {cost.stage: cost for cost in measure_stages(demo_mix()[:300])}
    assert {"decode", "enrich", "normalize", "decide", "store"} <= costs.keys()
    beside = {name for name, cost in costs.items() if cost.bare is not None}
    assert beside == {
        "decode", "enrich", "hash_match", "normalize", "regex_match", "text_score", "language",
        "fusion", "count_authors", "encode", "store",
    }  # fmt: skip


def test_the_simulated_day_has_its_posts_and_its_peak() -> None:
    posts = arrivals()
    assert len(posts) == 86_400
    assert posts.sum() == pytest.approx(POSTS_A_DAY, rel=0.001)
    assert posts[20 * 3600 + 60 : 20 * 3600 + 120].mean() == pytest.approx(PEAK, rel=0.01)


def test_a_simulated_day_is_late_only_where_work_is_left_over() -> None:
    calm = np.full(86_400, 100.0)
    enough, short = simulate(calm, 2, 1_000.0), simulate(calm, 2, 49.0)
    assert enough.p99 < 0.2 < short.p99
    # Twenty seconds of a day, and the one in which the rest is done.
    assert 20 / 86_400 < enough.late < 30 / 86_400
    assert enough.recovered < 10 < short.recovered


def test_a_plot_is_xml_whatever_its_labels_are() -> None:
    drawn = plot([Curve("<&>", "a & b", "µs", [(10, 0.5), (1e7, 300.0)])], "a <b>")
    assert ET.fromstring(drawn).tag.endswith("svg")
