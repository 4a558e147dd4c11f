"""What each stage of the chain costs, beside the bare loop over the same library and inputs.

The bare loop calls the library that does the stage's work, with its inputs already in the form that
the library takes, and throws the results away: no items, no signals, no positions. A stage that is
only our own Python has none. Seconds are of the processor, so that a busy machine counts less.
"""

from __future__ import annotations

import hashlib
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from unittest.mock import patch

import msgspec
from clickhouse_connect.driver.client import Client

from connectors.clickhouse import ClickHouseWriter
from connectors.clickhouse_rows import CONTENT, MODEL_OUTPUTS, MODERATION_LOGS, Row, Table
from connectors.local_features import LocalFeatureStore
from connectors.writers import ROWS
from events.encode import encode
from events.messages import Content, Judgement, Position, Raw
from flows.job import tune_interpreter
from flows.settings import load_settings
from flows.stages import load_stages
from models.text.features import featurise
from operators.breaker import Breaker
from operators.enrich import AuthorCounter
from operators.fusion import feature_matrix
from operators.item import Item
from operators.language import LanguageDetector
from operators.regex_match import LiveRuleMatcher

X = TypeVar("X")

Steps = list[tuple[str, Callable[[list[Any]], list[Any]]]]

BATCH = 1000
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
        batch = [result for part in _parts(batch) for result in stage(part)]
    return batch


def _add_stages(seconds: dict[str, float], steps: Steps, block: list[Raw]) -> None:
    for part in _parts(block):
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


def _parts(batch: Sequence[X]) -> Iterator[list[X]]:
    for start in range(0, len(batch), BATCH):
        yield list(batch[start : start + BATCH])


def _bare_seconds(name: str, stage: Any, batch: list[Any]) -> float | None:
    """Seconds of the bare loop of the stage called `name` over the inputs it is about to get."""
    prepare = _BARE.get(name)
    if prepare is None:
        return None
    guarded = isinstance(stage, Breaker)
    loop = prepare(stage._stage if guarded else stage, batch)  # noqa: SLF001 (what it guards)
    start = time.process_time()
    loop()
    return time.process_time() - start


def _drain(results: Iterable[object]) -> None:
    deque(results, maxlen=0)


def _decode(_: object, batch: list[Raw]) -> Callable[[], object]:
    decode, values = msgspec.json.Decoder(Content).decode, [raw.value for raw in batch]
    return lambda: _drain(map(decode, values))


def _sqlite_of_enrich(_: object, batch: list[Item]) -> Callable[[], object]:
    def admit(store: LocalFeatureStore) -> None:
        for part in _parts(batch):
            store.admit([(item.content, item.position) for item in part])

    return _sqlite(LocalFeatureStore(), LocalFeatureStore(), admit)


def _sqlite_of_count(_: object, batch: list[Judgement]) -> Callable[[], object]:
    def count(store: LocalFeatureStore) -> None:
        counter = AuthorCounter(store)
        for part in _parts(batch):
            counter.write(part)

    stores = LocalFeatureStore(), LocalFeatureStore()
    for store in stores:
        store.admit([(judgement.content, Position()) for judgement in batch])
    return _sqlite(*stores, count)


def _sqlite(
    seen: LocalFeatureStore, twin: LocalFeatureStore, work: Callable[[LocalFeatureStore], None]
) -> Callable[[], object]:
    """The statements that `work` gives to SQLite in `seen`, with their values, again in `twin`."""
    with patch.object(seen, "_db", wraps=seen._db) as db:  # noqa: SLF001 (the library beneath)
        work(seen)
    statements = [call.args for call in db.execute.call_args_list]
    execute = twin._db.execute  # noqa: SLF001 (the library beneath the stage)
    return lambda: _drain(execute(*statement).fetchone() for statement in statements)


def _md5(_: object, batch: list[Item]) -> Callable[[], object]:
    texts = [item.content.text.encode() for item in batch]
    return lambda: _drain(hashlib.md5(text, usedforsecurity=False).digest() for text in texts)


def _nfkc(_: object, batch: list[Item]) -> Callable[[], object]:
    texts = [item.content.text for item in batch]
    return lambda: _drain(unicodedata.normalize("NFKC", text) for text in texts)


def _hyperscan(matcher: LiveRuleMatcher, batch: list[Item]) -> Callable[[], object]:
    texts = [_normalized(item).encode("utf-8", "replace") for item in batch]
    scans = [
        layer._database.scan  # noqa: SLF001 (the library beneath the stage)
        for layers in matcher.current.compiled._databases.values()  # noqa: SLF001
        for layer in layers
    ]
    return lambda: _drain(
        scan(text, match_event_handler=_ignore) for scan in scans for text in texts
    )


def _ignore(*_: object) -> None:
    """A match that nobody asks about."""


def _langid(detector: LanguageDetector, batch: list[Item]) -> Callable[[], object]:
    """The detection library on the texts in which English does not show at once."""
    identifier = detector._identifier  # noqa: SLF001 (the library beneath the stage)
    with patch.object(detector, "_identifier", wraps=identifier) as seen:
        for item in batch:
            detector.detect(_normalized(item), item.content.language)
    texts = [call.args[0] for call in seen.classify.call_args_list]
    return lambda: _drain(map(identifier.classify, texts))


def _onnxruntime(scorer: Any, batch: list[Item]) -> Callable[[], object]:
    """The fast model's session on ready features, the others on the texts that go on to them."""
    cascade = scorer._model  # noqa: SLF001 (the models beneath the stage)
    fast, *others = cascade.models
    calls: list[Callable[[], object]] = []
    for part in _parts(batch):
        texts = [_normalized(item) for item in part]
        ready = featurise(texts)
        inputs = {"buckets": ready.buckets, "bounds": ready.bounds}
        calls.append(partial(fast._session.run, ["probabilities"], inputs))  # noqa: SLF001
        settled_by = cascade.settle(texts).settled_by
        for number, model in enumerate(others, 1):
            sent_on = [texts[row] for row in (settled_by >= number).nonzero()[0]]
            calls.append(partial(model.predict, sent_on))
    return lambda: _drain(call() for call in calls)


def _lightgbm(fuser: Any, batch: list[Item]) -> Callable[[], object]:
    matrices = [feature_matrix(part) for part in _parts(batch)]
    boosters = fuser._model._boosters  # noqa: SLF001 (the library beneath the stage)
    return lambda: _drain(
        booster.predict(matrix, raw_score=True, num_threads=1)
        for matrix in matrices
        for booster in boosters
    )


def _encode(_: object, batch: list[Judgement]) -> Callable[[], object]:
    encoder, decisions = msgspec.json.Encoder(), [judgement.decision for judgement in batch]
    return lambda: _drain(map(encoder.encode, decisions))


def _normalized(item: Item) -> str:
    return item.content.text if item.normalized is None else item.normalized.text


_BARE: dict[str, Callable[[Any, list[Any]], Callable[[], object]]] = {
    "decode": _decode,
    "enrich": _sqlite_of_enrich,
    "hash_match": _md5,
    "normalize": _nfkc,
    "language": _langid,
    "regex_match": _hyperscan,
    "text_score": _onnxruntime,
    "fusion": _lightgbm,
    "count_authors": _sqlite_of_count,
    "encode": _encode,
}


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
