"""Drift is told from its absence, and a viral attack from drift."""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import bytewax.operators as op
import pytest
from builders import content, decision
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from events.messages import Alert, AlertKey, Signal
from events.records import Judgement, ModelOutput
from operators.drift import MAIN_LANGUAGES, drift, drift_samples
from operators.drift_monitor import DriftMonitor, DriftSample, DriftSettings
from operators.drift_series import Series

PLANTED_AT = 1_772_409_600 + 3_600 * 72
SETTINGS = DriftSettings(block=50)
HOURS = 96
PLANTED = 72
"""The hour at which something happens, where something does."""


def quiet(_: random.Random, sample: dict[str, Any]) -> dict[str, Any]:
    return sample


def stream(
    seed: int, happens: Callable[[random.Random, dict[str, Any]], dict[str, Any]] = quiet
) -> Iterator[DriftSample]:
    """Four days of 150 contents an hour, whose scores and length have a daily rhythm."""
    rng = random.Random(seed)
    for hour in range(HOURS):
        rhythm = 1 + 0.4 * math.sin(hour / 24 * 2 * math.pi)
        for n in range(150):
            sample = {
                "at": 1_772_409_600 + 3_600 * (hour + n / 150),
                "community": f"c{rng.randrange(40)}",
                "author_id": f"a{rng.randrange(3_000)}",
                "content_id": f"p{hour}-{n}",
                "cluster": f"text:{rng.randrange(2_000)}",
                "score": rng.betavariate(1, 9) * rhythm,
                "length": rng.gauss(4, 1) * rhythm,
            }
            if hour >= PLANTED:
                sample = happens(rng, sample)
            values = {"score:spam": sample.pop("score"), "text length": sample.pop("length")}
            yield DriftSample(**sample, values=values)


def model_drifts(rng: random.Random, sample: dict[str, Any]) -> dict[str, Any]:
    return sample | {"score": min(1.0, sample["score"] * 2)}


def texts_grow(rng: random.Random, sample: dict[str, Any]) -> dict[str, Any]:
    return sample | {"length": sample["length"] * 1.6}


def one_text_goes_round(rng: random.Random, sample: dict[str, Any]) -> dict[str, Any]:
    return sample | {"score": 0.95, "cluster": "text:viral"} if rng.random() < 0.15 else sample


def few_authors_flood(rng: random.Random, sample: dict[str, Any]) -> dict[str, Any]:
    flood = {"score": 0.95, "author_id": f"bot{rng.randrange(5)}"}
    return sample | flood if rng.random() < 0.15 else sample


def overall(alerts: list[Alert]) -> list[Alert]:
    return [alert for alert in alerts if alert.state == "open" and not alert.key.community]


@pytest.mark.parametrize("seed", range(3))
def test_a_daily_rhythm_is_no_drift(seed: int) -> None:
    assert DriftMonitor(SETTINGS).observe(list(stream(seed))) == []


@pytest.mark.parametrize(
    ("happens", "category", "severity", "words"),
    [
        (model_drifts, "spam", "warning", "the model or the language"),
        (texts_grow, "text length", "warning", "the model or the language"),
        (one_text_goes_round, "spam", "info", "a viral attack"),
        (few_authors_flood, "spam", "info", "a viral attack"),
    ],
)
def test_what_drifted_and_why(
    happens: Callable[[random.Random, dict[str, Any]], dict[str, Any]],
    category: str,
    severity: str,
    words: str,
) -> None:
    found = overall(DriftMonitor(SETTINGS).observe(list(stream(1, happens))))
    assert [alert.key.category for alert in found] == [category]
    assert found[0].severity == severity
    assert words in found[0].summary
    assert found[0].observed > found[0].expected
    assert abs(found[0].z_score) > 3
    planted = 1_772_409_600 + 3_600 * PLANTED
    assert 0 < found[0].window_end.timestamp() - planted < 4 * 3_600


@pytest.mark.parametrize("seed", range(4))
def test_a_change_is_measured_from_where_it_began_however_long_it_took_to_see(seed: int) -> None:
    rng, series, changed_at = random.Random(seed), Series(1e-5), 6 * 24
    changes = [
        series.add(3_600.0 * hour, rng.gauss(10, 1) + 3 * (hour >= changed_at))
        for hour in range(8 * 24)
    ]
    assert not any(c.size for c in changes[: changed_at + 15])  # it takes most of a day to be sure
    found = next(change for change in changes if change.size)
    assert found.size == pytest.approx(3, abs=1)
    assert found.began / 3_600 == pytest.approx(changed_at - 1, abs=2)


def a_new_language(rng: random.Random, sample: DriftSample) -> DriftSample:
    new = sample.at >= PLANTED_AT and rng.random() < 0.1
    mix = {"language ko": float(new), "language es": float(not new and rng.random() < 0.1)}
    return sample._replace(values=sample.values | mix)


def test_a_language_that_nobody_wrote_before_is_drift() -> None:
    rng = random.Random(1)
    monitor = DriftMonitor(SETTINGS)
    found = overall(monitor.observe([a_new_language(rng, sample) for sample in stream(1)]))
    assert [alert.key.category for alert in found] == ["language ko"]


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_a_restored_monitor_goes_on_as_if_nothing_had_happened(batch: int) -> None:
    samples = list(stream(1, model_drifts))
    whole = DriftMonitor(SETTINGS).observe(samples)
    monitor, alerts = DriftMonitor(SETTINGS), []
    half = len(samples) * 3 // 4 + 500
    for start in range(0, half, batch):
        alerts += monitor.observe(samples[start : min(half, start + batch)])
    monitor = pickle.loads(pickle.dumps(monitor))
    assert alerts + monitor.observe(samples[half:]) == whole


def test_many_communities_share_a_bounded_number_of_groups() -> None:
    settings = DriftSettings(block=2, groups=3)
    samples = [
        DriftSample(float(n), f"c{n % 50}", "a", f"p{n}", "", {"score:spam": 0.1})
        for n in range(20_000)
    ]
    monitor = DriftMonitor(settings)
    monitor.observe(samples)
    assert len(monitor._groups) == 5  # all, niche, and three


@pytest.mark.parametrize("community", ["*", "niche", "c1"])
def test_a_content_counts_once_whatever_its_community_is_called(community: str) -> None:
    monitor = DriftMonitor(SETTINGS)
    monitor.observe([sample._replace(community=community) for sample in islice(stream(1), 100)])
    assert {name: group.count for name, group in monitor._groups.items()} == {
        "*": 100,
        "niche": 100,
    }


def test_what_is_sampled_of_a_content() -> None:
    judged = Judgement(
        content(text="Buy 2 ¢heap"),
        decision(
            action="review",
            scores={"spam": 0.7},
            signals=(
                Signal("normalize", "obfuscation.leet", "", 1.0),
                Signal("language", "language.de", "", 0.9),
            ),
            ruleset_version="r2",
        ),
        (ModelOutput("text", "3", "spam", 0.6, {"spam": 0.6, "hate": 0.1}),),
    )
    ((_, sample),) = drift_samples([judged], share=1)
    assert sample.values == {
        "score:spam": 0.7,
        "sent to people": 1.0,
        "model:text:spam": 0.6,
        "model:text:hate": 0.1,
        "model:text:unsure": 1.0,
        "text length": pytest.approx(math.log(11)),
        "share of letters": pytest.approx(7 / 11),
        "share of capitals": pytest.approx(1 / 11),
        "share of digits": pytest.approx(1 / 11),
        "share beyond ASCII": pytest.approx(1 / 11),
        "tricks of spelling": 1.0,
        "other languages": 1.0,
        **{f"language {code}": float(code == "de") for code in MAIN_LANGUAGES},
    }
    assert ("rules", "r2") in sample.versions


def test_a_model_that_sees_few_contents_has_blocks_of_its_own() -> None:
    """Its mean is over what it saw, not over all that passed by."""

    def seen_by_few(factor: float) -> list[DriftSample]:
        return [
            sample._replace(
                values={"model:big:spam": min(1.0, sample.values["score:spam"] * factor)}
                if n % 4 == 0
                else {}
            )
            for n, sample in enumerate(stream(2))
        ]

    calm, doubled = seen_by_few(1), seen_by_few(3)
    half = len(calm) * 3 // 4
    settings = DriftSettings(block=12)
    alerts = overall(DriftMonitor(settings).observe(calm[:half] + doubled[half:]))
    assert [alert.key for alert in alerts] == [AlertKey("spam", "big")]
    assert overall(DriftMonitor(settings).observe(calm)) == []


def test_a_change_of_version_before_the_drift_is_named() -> None:
    # Before it began, which is hours before it is found.
    settings = replace(SETTINGS, fresh=1_800)
    samples = [
        sample._replace(versions=(("text", "2" if sample.at >= PLANTED_AT else "1"),))
        for sample in stream(1, model_drifts)
    ]
    (found,) = overall(DriftMonitor(settings).observe(samples))
    assert found.window_end.timestamp() > PLANTED_AT + settings.fresh
    assert found.window_start.timestamp() == pytest.approx(PLANTED_AT, abs=settings.fresh)
    assert "after a change: text 1 to 2 at" in found.summary


def test_only_final_live_decisions_are_sampled() -> None:
    def judged(**changed: Any) -> list[Judgement]:
        return [Judgement(content(), decision(**changed))]

    assert len(drift_samples(judged(), share=1)) == 1
    assert drift_samples(judged(mode="shadow"), share=1) == []
    ((_, sample),) = drift_samples(judged(), share=1, policy_version=lambda: "in force")
    assert dict(sample.versions)["policy"] == "in force", "whatever is on trial"
    assert drift_samples(judged(final=False), share=1) == []


def judged(count: int) -> list[Judgement]:
    return [Judgement(content(f"c{n}"), decision(f"c{n}")) for n in range(count)]


def sampled(judgements: list[Judgement], **options: int) -> list[str]:
    return [sample.content_id for _, sample in drift_samples(judgements, **options)]


def test_a_share_of_the_contents_is_sampled_whatever_the_batches() -> None:
    stream = judged(1_000)
    found = sampled(stream, most=1_000)
    assert len(found) == pytest.approx(125, abs=25)
    assert found == [one for judgement in stream for one in sampled([judgement])]


@pytest.mark.parametrize(
    ("what", "count", "samples"), [("none", 0, 0), ("fewer", 15, 15), ("more", 17, 16)]
)
def test_a_batch_has_so_many_samples_at_most(what, count, samples) -> None:
    found = sampled(judged(count), share=1, most=16)
    assert len(found) == samples
    assert found == sorted(found, key=lambda name: int(name[1:])), "in the order of time"


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_through_the_engine(batch_size: int) -> None:
    samples = [("drift", sample) for sample in stream(1, model_drifts)]
    out: list[Alert] = []
    flow = Dataflow("drift")
    up = op.input("samples", flow, TestingSource(samples, batch_size=batch_size))
    op.output("out", drift("find_drift", up, SETTINGS), TestingSink(out))
    run_main(flow)
    assert out == DriftMonitor(SETTINGS).observe([sample for _, sample in samples])


def test_the_end_of_a_file_resolves_what_is_open() -> None:
    samples = [("drift", sample) for sample in stream(1, model_drifts)]
    out: list[Alert] = []
    flow = Dataflow("drift")
    up = op.input("samples", flow, TestingSource(samples))
    op.output("out", drift("find_drift", up, SETTINGS, finish_at_eof=True), TestingSink(out))
    run_main(flow)
    opened = [alert.alert_id for alert in out if alert.state == "open"]
    assert opened
    assert sorted(opened) == sorted(alert.alert_id for alert in out if alert.state == "resolved")
