"""Bare loops: the library beneath each stage on that stage's inputs, and nothing else.

The inputs are in the form that the library takes before the clock starts, and results are thrown
away: no items, no signals, no positions. A stage that is only our own Python has none.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Final, TypeVar
from unittest.mock import patch

import msgspec
import numpy as np

from connectors.local_features import LocalFeatureStore
from events.messages import Content, Position
from events.records import Judgement, Raw
from operators.enrich import AuthorCounter
from operators.fusion import feature_matrix
from operators.item import Item
from operators.language import LanguageDetector
from operators.regex_match import LiveRuleMatcher

X = TypeVar("X")

Loop = Callable[[], object]

BATCH: Final = 1000
"""Texts of a call, of stages and bare loops alike."""


def parts(batch: Sequence[X]) -> Iterator[list[X]]:
    """`batch` in pieces of BATCH."""
    for start in range(0, len(batch), BATCH):
        yield list(batch[start : start + BATCH])


def _drain(results: Iterable[object]) -> None:
    deque(results, maxlen=0)


def _decode(_: object, batch: list[Raw]) -> Loop:
    decode, values = msgspec.json.Decoder(Content).decode, [raw.value for raw in batch]
    return lambda: _drain(map(decode, values))


def _sqlite_of_enrich(_: object, batch: list[Item]) -> Loop:
    def admit(store: LocalFeatureStore) -> None:
        for part in parts(batch):
            store.admit([(item.content, item.position) for item in part])

    return _sqlite(LocalFeatureStore(), LocalFeatureStore(), admit)


def _sqlite_of_count(_: object, batch: list[Judgement]) -> Loop:
    def count(store: LocalFeatureStore) -> None:
        counter = AuthorCounter(store)
        for part in parts(batch):
            counter.write(part)

    stores = LocalFeatureStore(), LocalFeatureStore()
    for store in stores:
        store.admit([(judgement.content, Position()) for judgement in batch])
    return _sqlite(*stores, count)


def _sqlite(
    seen: LocalFeatureStore, twin: LocalFeatureStore, work: Callable[[LocalFeatureStore], None]
) -> Loop:
    """The statements that `work` gives to SQLite in `seen`, with their values, again in `twin`."""
    with patch.object(seen, "_db", wraps=seen._db) as db:  # noqa: SLF001 (the library beneath)
        work(seen)
    statements = [call.args for call in db.execute.call_args_list]
    execute = twin._db.execute  # noqa: SLF001 (the library beneath the stage)
    return lambda: _drain(execute(*statement).fetchone() for statement in statements)


def _md5(_: object, batch: list[Item]) -> Loop:
    texts = [item.content.text.encode() for item in batch]
    return lambda: _drain(hashlib.md5(text, usedforsecurity=False).digest() for text in texts)


def _nfkc(_: object, batch: list[Item]) -> Loop:
    texts = [item.content.text for item in batch]
    return lambda: _drain(unicodedata.normalize("NFKC", text) for text in texts)


def _hyperscan(matcher: LiveRuleMatcher, batch: list[Item]) -> Loop:
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


def _langid(detector: LanguageDetector, batch: list[Item]) -> Loop:
    """The detection library on the texts in which English does not show at once."""
    identifier = detector._identifier  # noqa: SLF001 (the library beneath the stage)
    with patch.object(detector, "_identifier", wraps=identifier) as seen:
        for item in batch:
            detector.detect(_normalized(item), item.content.language)
    texts = [call.args[0] for call in seen.classify.call_args_list]
    return lambda: _drain(map(identifier.classify, texts))


def _onnxruntime(scorer: Any, batch: list[Item]) -> Loop:
    """The fast model's session and the other models, on what the cascade gives to each of them."""
    cascade = scorer._model  # noqa: SLF001 (the models beneath the stage)
    fast, *others = cascade.models
    with ExitStack() as recording:
        session = recording.enter_context(
            patch.object(fast, "_session", wraps=fast._session)  # noqa: SLF001
        )
        predicts = [
            recording.enter_context(patch.object(model, "predict", wraps=model.predict))
            for model in others
        ]
        for part in parts(batch):
            doubted = np.array([item.hints != () for item in part])
            cascade.settle([_normalized(item) for item in part], doubted)
    calls = [partial(fast._session.run, *call.args) for call in session.run.call_args_list]  # noqa: SLF001
    for model, predict in zip(others, predicts, strict=True):
        calls += [partial(model.predict, *call.args) for call in predict.call_args_list]
    return lambda: _drain(call() for call in calls)


def _lightgbm(fuser: Any, batch: list[Item]) -> Loop:
    matrices = [feature_matrix(part) for part in parts(batch)]
    boosters = fuser._model._boosters  # noqa: SLF001 (the library beneath the stage)
    return lambda: _drain(
        booster.predict(matrix, raw_score=True, num_threads=1)
        for matrix in matrices
        for booster in boosters
    )


def _encode(_: object, batch: list[Judgement]) -> Loop:
    encoder, decisions = msgspec.json.Encoder(), [judgement.decision for judgement in batch]
    return lambda: _drain(map(encoder.encode, decisions))


def _normalized(item: Item) -> str:
    return item.content.text if item.normalized is None else item.normalized.text


BARE_LOOPS: Final[dict[str, Callable[[Any, list[Any]], Loop]]] = {
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
"""By stage: the stage and the batch it is about to get, to the loop over the library beneath it."""
