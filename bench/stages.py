"""What each stage of the chain costs, beside the bare loop over the same library and inputs.

Seconds are of the processor, so that a busy machine counts less.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clickhouse_connect.driver.client import Client

from bench.bare_loops import BARE_LOOPS, BATCH, parts
from connectors.clickhouse import ClickHouseWriter
from connectors.clickhouse_rows import CONTENT, MODEL_OUTPUTS, MODERATION_LOGS, Row, Table
from connectors.writers import ROWS
from events.encode import encode
from events.messages import Content, Position
from events.records import Judgement, Raw
from flows.job import tune_interpreter
from flows.settings import load_settings
from flows.stages import load_stages
from operators.breaker import Breaker

Steps = list[tuple[str, Callable[[list[Any]], list[Any]]]]

_TURN = 2 * BATCH


@dataclass(frozen=True)
class StageCost:
    """Seconds of a stage for all texts, and of the bare loop (None: the stage calls no library)."""

    stage: str
    seconds: float
    bare: float | None


def measure_stages(contents: Sequence[Content]) -> list[StageCost]:
    """The cost of each stage for `contents`, in batches of `BATCH`, on one thread, in its order.

    A batch goes through all stages before the next one comes, as in the job. Bare loops and stages
    take turns, `_TURN` texts at a time: the speed of a shared machine changes within seconds.
    """
    raw = [Raw(encode(c), Position(file="bench", line=n), 0.0) for n, c in enumerate(contents)]
    first, steps = _steps(), _steps()
    seconds = {name: 0.0 for name, _ in steps}
    bare: dict[str, float] = {}
    judgements: list[Judgement] = []
    for start in range(0, len(raw), _TURN):
        block = raw[start : start + _TURN]
        # What is kept is not looked through for cycles again, as it is not in the job.
        tune_interpreter()
        judgements += _add_bare(bare, first, block)
        tune_interpreter()
        _add_stages(seconds, steps, block)
    costs = [StageCost(name, spent, bare.get(name)) for name, spent in seconds.items()]
    return [*costs, _store_cost(judgements)]


def _add_bare(bare: dict[str, float], steps: Steps, block: list[Raw]) -> list[Judgement]:
    """Add the seconds of the bare loops over all that each stage will get of `block`."""
    batch: list[Any] = block
    for name, stage in steps:
        spent = _bare_seconds(name, stage, batch)
        if spent is not None:
            bare[name] = bare.get(name, 0.0) + spent
        batch = [result for part in parts(batch) for result in stage(part)]
    return batch


def _add_stages(seconds: dict[str, float], steps: Steps, block: list[Raw]) -> None:
    for part in parts(block):
        results: list[Any] = part
        for name, stage in steps:
            start = time.process_time()
            results = stage(results)
            seconds[name] += time.process_time() - start


def _steps() -> Steps:
    """The stages in their order, from messages to judgements; they have seen nothing yet."""
    stages = load_stages(load_settings(redis_url=None))

    def count_authors(part: list[Judgement]) -> list[Judgement]:
        stages.author_counter.write(part)
        return part

    def encode_decisions(part: list[Judgement]) -> list[Judgement]:
        for judgement in part:
            encode(judgement.decision)
        return part

    return [
        ("decode", stages.decoder),
        ("enrich", stages.enricher),
        *stages.scoring,
        ("decide", stages.decider),
        ("count_authors", count_authors),
        ("encode", encode_decisions),
    ]


def _bare_seconds(name: str, stage: Any, batch: list[Any]) -> float | None:
    """Seconds of the bare loop of the stage called `name` over the inputs it is about to get."""
    prepare = BARE_LOOPS.get(name)
    if prepare is None:
        return None
    guarded = isinstance(stage, Breaker)
    loop = prepare(stage._stage if guarded else stage, batch)  # noqa: SLF001 (what it guards)
    start = time.process_time()
    loop()
    return time.process_time() - start


def _store_cost(judgements: list[Judgement]) -> StageCost:
    """Inserting into the embedded engine beside the bare client with the columns ready made."""
    tables = (MODERATION_LOGS, MODEL_OUTPUTS, CONTENT)
    inserts = [judgements[at : at + ROWS] for at in range(0, len(judgements), ROWS)]
    with TemporaryDirectory() as directory:
        store = ClickHouseWriter(f"chdb://{Path(directory) / 'store'}")
        store.apply_schema()
        # The first time all caches are empty.
        for part in inserts:
            store.insert_judgements(part)
        seconds = bare = 0.0
        for part in inserts:
            seconds += _thread_seconds(partial(store.insert_judgements, part))
            made = [
                (table, [list(c) for c in zip(*_rows(table, part), strict=True)])
                for table in tables
            ]
            bare += _thread_seconds(partial(_insert_columns, store.client, made))
        store.close()
    return StageCost("store", seconds, bare)


def _thread_seconds(work: Callable[[], object]) -> float:
    """Of this thread: the engine merges older inserts in its own, whenever it likes."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def _insert_columns(client: Client, made: list[tuple[Table[Judgement], list[list[Any]]]]) -> None:
    for table, columns in made:
        client.insert(
            table.name, columns, table.columns, database="moderation", column_oriented=True
        )


def _rows(table: Table[Judgement], judgements: list[Judgement]) -> Iterator[Row]:
    for judgement in judgements:
        yield from table.rows(judgement)
