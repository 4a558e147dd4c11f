"""The main job: from a post to a decision, a log row and an alert.

    source -> decode -> enrich -> hash match -> normalize -> rules -> text model -> fusion -> decide
                 |                                                                             |
            dead letters                            decisions, reviews, store, surges -> alerts

`build` is pure; `build_from_env` connects it to Kafka, ClickHouse and Redis as the settings say, for
`python -m bytewax.run flows.moderation:build_from_env`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.inputs import Source

from connectors.local_sink import Place, Writer, write
from events.messages import Alert, DeadLetter, Decision, Judgement, Raw, ReviewItem
from flows import metrics
from flows.metrics import timed
from flows.settings import Settings
from flows.stages import load_stages
from operators.surge import surge, surge_events


@dataclass(frozen=True)
class Sinks:
    """What builds the writer of each output, called in the worker that writes."""

    decisions: Callable[[], Writer[Decision]]
    reviews: Callable[[], Writer[ReviewItem]]
    alerts: Callable[[], Writer[Alert]]
    dead_letters: Callable[[], Writer[DeadLetter]]
    judgements: Callable[[], Writer[Judgement]]


def build(
    source: Source[Raw], sinks: Sinks, settings: Settings, place: Place = Place()
) -> Dataflow:
    """The moderation dataflow of one process of a cluster.

    Raises:
        PolicyError: a policy, rule or hash file cannot be used.
    """
    stages = load_stages(settings)
    flow = Dataflow("moderation")
    raw = op.flat_map_batch("count_batch", op.input("read", flow, source), metrics.count_batch)
    decoded = decode("decode", raw, timed("decode", stages.decoder))
    judgements = judge("judge", decoded.items, stages)
    alerts = surge("surge", op.flat_map_batch("surge_events", judgements, surge_events))

    letters = op.flat_map_batch("count_letters", decoded.dead_letters, metrics.count_dead_letters)
    reviews = pick_reviews("review", judgements, stages.review_picker)
    decisions = op.flat_map_batch("decision", judgements, lambda js: [j.decision for j in js])
    write("write_judgements", judgements, sinks.judgements, place)
    write("write_decisions", decisions, sinks.decisions, place)
    write("write_reviews", reviews, sinks.reviews, place)
    write("write_dead_letters", letters, sinks.dead_letters, place)
    counted = op.flat_map_batch("count_alerts", alerts, metrics.count_alerts)
    write("write_alerts", counted, sinks.alerts, place)
    return flow


@operator
def judge(step_id: str, up: Stream[Item], stages: Stages) -> Stream[Judgement]:
    """Every stage between decoding and the outputs."""
    items = enrich("enrich", up, timed("enrich", stages.enricher))
    items = hash_match("hash_match", items, timed("hash_match", stages.hash_matcher))
    items = normalize_text("normalize", items, timed("normalize", stages.normalizer))
    items = regex_match("regex_match", items, timed("regex_match", stages.rule_matcher))
    items = text_score("text_score", items, timed("text_score", stages.text_scorer))
    items = fuse("fusion", items, timed("fusion", stages.fuser))
    judgements = decide("decide", items, timed("decide", stages.decider))
    judgements = count_authors("count_authors", judgements, stages.author_counter)
    return op.flat_map_batch("count", judgements, metrics.count_judgements)
