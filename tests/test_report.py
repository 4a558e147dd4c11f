"""The demo's report: complete, self-contained, and safe whatever the posts say."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import (
    PHONE_WIDTH,
    Seen,
    browser,
    keep_screenshot,
    phone,
    requires_chromium,
)
from msgspec import structs
from playwright.sync_api import expect

from console.charts import (
    alert_numbers,
    alert_spans,
    histogram_figure,
    latency_figure,
    volume_figure,
)
from console.replay_report import ChangeExample, ReplaySummary, Shift, render_replay
from console.report import MAX_TEXT_SHOWN, DemoSummary, render_report
from events.messages import Alert, AlertKey, Decision, Signal

DAY = datetime(2026, 11, 21, tzinfo=UTC)
HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"


def decision(action: str = "block", category: str = "spam", **fields: Any) -> Decision:
    values: dict[str, Any] = {
        "decision_id": "d" * 32,
        "content_id": "c-1",
        "revision": 0,
        "author_id": "a-1",
        "community": "gardening",
        "kind": "post",
        "action": action,
        "category": category,
        "scores": {category: 0.97} if category else {},
        "signals": (
            (
                Signal("regex", "spam-free-gift", category, 0.9),
                Signal("text_score", "text-fast", category, 0.97),
            )
            if category
            else ()
        ),
        "final": True,
        "mode": "live",
        "degraded": (),
        "policy_version": "p1",
        "ruleset_version": "r1",
        "model_versions": {"text-fast": "1"},
        "created_at": DAY,
        "decided_at": DAY,
        "latency_ms": 4.2,
    }
    return Decision(**values | fields)


def alert(state: str, start: int, end: int, key: AlertKey, alert_id: str = "a") -> Alert:
    return Alert(
        alert_id=alert_id,
        kind="surge",
        state=state,  # type: ignore[arg-type]
        severity="critical",
        key=key,
        window_start=DAY + timedelta(minutes=start),
        window_end=DAY + timedelta(minutes=end),
        observed=212.0,
        expected=1.4,
        z_score=41.7,
        distinct_authors=57,
        examples=("c-1", "c-2"),
        summary=f"{key.category} {state}: 212 posts in 5 minutes where 1.4 were expected",
    )


def summary() -> DemoSummary:
    """A generated day shaped like the demo's: a link-spam attack and a brigading wave."""
    random = np.random.default_rng(7)
    minutes = np.arange(1440)
    daily = 34 + 14 * np.sin((minutes - 540) / 1440 * 2 * np.pi)
    allow, review, block = (random.poisson(daily * share) for share in (0.95, 0.012, 0.03))
    block[615:660] += random.poisson(42, 45)
    review[1115:1150] += random.poisson(12, 35)
    block[1115:1150] += random.poisson(9, 35)
    latencies = random.gamma(4.0, 3.0, 50_000)
    counts, edges = np.histogram(latencies, bins=48)
    bins = np.linspace(0, 1, 26)
    names = ("hate", "harassment", "threat", "sexual", "self_harm", "spam")
    scores = {
        name: np.histogram(
            np.concatenate([random.beta(0.5, 14, 47_000), random.beta(9, 1.5, 400 + 300 * i)]),
            bins=bins,
        )[0]
        for i, name in enumerate(names)
    }
    spam = AlertKey("spam", "claim-your-prize.example")
    wave = AlertKey("harassment", "", "local-news")
    return DemoSummary(
        started_at=DAY + timedelta(hours=16),
        finished_at=DAY + timedelta(hours=16, seconds=11.6),
        decisions={
            ("allow", ""): int(allow.sum()),
            ("review", "harassment"): 455,
            ("review", "hate"): 188,
            ("review", "self_harm"): 41,
            ("block", "spam"): 2_640,
            ("block", "harassment"): 512,
            ("block", "hate"): 390,
            ("block", "threat"): 77,
            ("block", "sexual"): 203,
        },
        items_per_second=4310.0,
        latency_p50_ms=float(np.quantile(latencies, 0.5)),
        latency_p99_ms=float(np.quantile(latencies, 0.99)),
        latency_edges_ms=edges,
        latency_counts=counts,
        minutes=[DAY + timedelta(minutes=int(m)) for m in minutes],
        volume={"allow": allow, "review": review, "block": block},
        alerts=[
            alert("open", 615, 620, spam, "a"),
            alert("resolved", 660, 665, spam, "a"),
            alert("open", 1115, 1120, wave, "b"),
            alert("update", 1130, 1135, wave, "b"),
            alert("resolved", 1150, 1155, wave, "b"),
        ],
        score_edges=bins,
        score_counts=scores,
        thresholds=dict.fromkeys(names, (0.45, 0.8)),
        examples=[
            (decision(), "Congratulations! You have been selected: claim-your-prize.example"),
            (decision("review", "harassment"), "nobody asked you, just leave this place already"),
            (decision("allow", ""), "Does anyone know when to prune roses?"),
        ],
        facts={"machine": "2 cores", "files": "demo/"},
    )


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(summary())


def body(page: str) -> str:
    """The page without its scripts: what a reader sees."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


@pytest.mark.parametrize(
    "shown",
    [
        "4,310",  # throughput
        "claim-your-prize.example",  # what the surge had in common
        "resolved",  # the last state, not the first
        "regex:spam-free-gift",  # why
        "prune roses",  # an example's text
        "2 cores",  # facts
    ],
)
def test_it_shows(page: str, shown: str) -> None:
    assert shown in body(page)


def test_an_alert_is_told_once_with_its_last_state(page: str) -> None:
    assert body(page).count("harassment resolved") == 1
    assert "harassment open" not in body(page)


def test_a_span_reaches_from_the_first_window_to_the_last() -> None:
    spans = alert_spans(summary().alerts)
    assert [(s.start, s.end) for s in spans] == [
        (DAY + timedelta(minutes=615), DAY + timedelta(minutes=665)),
        (DAY + timedelta(minutes=1115), DAY + timedelta(minutes=1155)),
    ]
    assert [s.label for s in spans] == [
        "spam · claim-your-prize.example",
        "harassment · local-news",
    ]


@pytest.mark.parametrize(("steps", "width_s"), [(0, 0), (1, 60), (2, 300), (5, 300)])
def test_the_newest_step_is_drawn_as_wide_as_the_others(steps: int, width_s: int) -> None:
    times = [DAY + timedelta(seconds=width_s * number) for number in range(steps)]
    for drawn in volume_figure(times, {"block": range(steps)}).data:
        assert list(drawn.x[:steps]) == times
        assert len(drawn.x) == len(drawn.y)
        if steps:
            assert drawn.x[-1] - drawn.x[-2] == timedelta(seconds=width_s)
            assert drawn.y[-1] == drawn.y[-2]


def test_a_latency_between_two_gaps_is_drawn() -> None:
    times = [DAY + timedelta(minutes=number) for number in range(3)]
    alone = [math.nan, 5.0, math.nan]
    assert {drawn.mode for drawn in latency_figure(times, alone, alone).data} == {"lines+markers"}


@pytest.mark.parametrize(
    ("edges", "counts", "kind", "bars"),
    [
        ([0, 10, 20, 30], [1, 2, 3], "linear", 3),
        ([0, 10, 20, 30], [0, 2, 0], "linear", 1),  # empty ends are cut off
        ([0, 10, 20, 30], [0, 0, 0], "linear", 3),  # nothing at all
        ([0, 1, 10, 100, 1000], [1, 1, 1, 1], "log", 4),  # from nothing to a second
        ([1, 2, 4, 8], [1, 1, 1], "linear", 3),
    ],
)
def test_a_histogram_fits_its_axis(
    edges: list[float], counts: list[int], kind: str, bars: int
) -> None:
    figure = histogram_figure(edges, counts, {"P50": 5.0}, "ms")
    assert figure.layout.xaxis.type == kind
    assert len(figure.data[0].x) == bars
    assert all(x > 0 for x in figure.data[0].x)


def test_it_refers_to_nothing_outside_itself(page: str) -> None:
    assert not re.search(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=""", body(page))


def test_long_texts_are_cut(page: str) -> None:
    long = replace(summary(), examples=[(decision(), "x" * 5000)])
    assert "x" * MAX_TEXT_SHOWN + "…" in render_report(long)
    assert "x" * (MAX_TEXT_SHOWN + 1) not in render_report(long)


def test_vile_texts_stay_blurred_until_pointed_at(page: str) -> None:
    assert '<div class="vile" tabindex="0">nobody asked you' in page
    assert '<td class="text">Congratulations!' in page


def test_an_empty_day_is_a_report_too() -> None:
    empty = DemoSummary(
        started_at=DAY,
        finished_at=DAY,
        decisions={},
        items_per_second=0.0,
        latency_p50_ms=0.0,
        latency_p99_ms=0.0,
        latency_edges_ms=[0.0, 1.0],
        latency_counts=[0],
        minutes=[],
        volume={},
    )
    assert "Nothing surged" in render_report(empty)


def hostile_summary() -> DemoSummary:
    key = AlertKey("spam", HOSTILE, HOSTILE)
    return replace(
        summary(),
        alerts=[alert("open", 600, 660, key)],
        examples=[(decision(category=HOSTILE), HOSTILE + "\x00\u202e")],
        score_counts={HOSTILE: [1], "spam": [2]},
        score_edges=[0.0, 1.0],
        decisions={("block", HOSTILE): 3},
        facts={HOSTILE: HOSTILE},
    )


def test_hostile_texts_stay_text() -> None:
    page = render_report(hostile_summary())
    assert "window.hacked" in page
    assert "<script>window.hacked" not in page
    assert "<img src=x" not in page


@requires_chromium
def test_in_a_browser_it_draws_every_plot_offline_and_runs_nothing_of_the_posts(
    tmp_path: Path,
) -> None:
    with browser() as chromium:
        for name, day in (("report", summary()), ("report-hostile", hostile_summary())):
            file = tmp_path / f"{name}.html"
            file.write_text(render_report(day), encoding="utf-8")
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            seen = Seen(page)
            page.goto(file.as_uri())
            page.wait_for_function(
                "document.querySelectorAll('.js-plotly-plot .main-svg').length >= 8"
            )
            keep_screenshot(page.screenshot(full_page=True), name)
            assert seen.errors == []
            assert [url for url in seen.requests if url.startswith("http")] == []
            assert page.evaluate("window.hacked") is None
            assert page.evaluate("document.documentElement.scrollWidth") <= 1280
            page.close()


@requires_chromium
def test_on_a_phone_the_report_fits_and_nothing_lies_over_its_plots(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(render_report(summary()), encoding="utf-8")
    with phone() as page:
        page.goto(file.as_uri())
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 8")
        keep_screenshot(page.screenshot(full_page=True), "report-phone")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH
        expect(page.locator(".modebar").first).to_be_hidden()
        expect(page.locator("[data-figure=scores]")).to_be_hidden()
        titles = page.locator("[data-figure=scores-narrow] .annotation").all()
        boxes = [box for title in titles if (box := title.bounding_box())]
        assert len(boxes) == len(summary().score_counts)
        for one, other in itertools.combinations(boxes, 2):
            beside = abs(one["y"] - other["y"]) < 1
            assert not beside or abs(one["x"] - other["x"]) >= max(one["width"], other["width"])


def replayed(*examples: ChangeExample) -> ReplaySummary:
    shift = Shift("spam", 100, 3, 5, 2, 0, 1, 1, 2)
    return ReplaySummary(
        policy="lower",
        since="2026-11-20",
        until="2026-11-21",
        decisions=100,
        changed=2 if examples else 0,
        total=shift,
        categories=[shift],
        communities=[shift] if examples else [],
        examples=examples,
        notes=["Verdicts are those before quotas and shares of traffic."],
    )


@pytest.mark.parametrize(
    ("before", "after", "blurred"),
    [
        ("allow", "block spam", False),
        ("review spam", "allow", False),
        ("allow", "review hate", True),
        ("block csam", "review spam", True),
    ],
)
def test_a_replay_blurs_what_the_report_blurs(before: str, after: str, blurred: bool) -> None:
    page = render_replay(replayed(ChangeExample(before, after, 1, [("c-1", "a text")])))
    assert ('class="vile"' in page) == blurred


def test_a_replay_without_changes_shows_no_empty_tables() -> None:
    page = render_replay(replayed())
    assert page.count("<table>") == 1
    assert "Examples" not in page


@requires_chromium
def test_on_a_phone_a_replay_can_be_read(tmp_path: Path) -> None:
    texts = [(f"spam-wave-2026-11-21-{number}", "Free gift cards today only") for number in (1, 2)]
    kinds = ("allow", "block spam"), ("review hate", "allow")
    file = tmp_path / "replay.html"
    file.write_text(render_replay(replayed(*(ChangeExample(*kind, 2, texts) for kind in kinds))))
    with phone() as page:
        page.goto(file.as_uri())
        keep_screenshot(page.screenshot(full_page=True), "replay-phone")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH
        lines = "codes => codes.map((code) => code.getClientRects().length)"
        assert set(page.eval_on_selector_all("td code", lines)) == {1}
        borders = "cells => cells.map((cell) => getComputedStyle(cell).borderBottomWidth)"
        last = "tbody:last-child td[rowspan], tbody:last-child tr:last-child td"
        assert set(page.eval_on_selector_all(last, borders)) == {"0px"}
        note, card = page.locator("main > .caption"), page.locator("section").first
        above, below = note.bounding_box(), card.bounding_box()
        assert above is not None
        assert below is not None
        assert below["y"] - above["y"] - above["height"] >= 8


@pytest.mark.parametrize(
    ("kind", "observed", "expected", "told"),
    [("surge", 2120.0, 1.44, ("2,120", "1.4")), ("drift", 0.2132, 0.08, ("0.213", "0.080"))],
)
def test_a_mean_below_one_is_not_rounded_to_none(kind, observed, expected, told):
    made = alert("open", 0, 5, AlertKey("spam"))
    made = structs.replace(made, kind=kind, observed=observed, expected=expected)
    assert alert_numbers(made) == told
