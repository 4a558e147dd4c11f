"""What the console asks ClickHouse: who waits, who answered, how the stream does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_samples import AT, blocked, judgement
from clickhouse_server import clickhouse_server
from console_samples import ONCE, POLICIES, POLICY, TWICE, appeal, signal_at, surge, waiting

from connectors.clickhouse import ClickHouseWriter, connect
from connectors.ruleset_store import LocalRulesetStore, StoredRuleset
from console.appeals import closed
from console.store import ClickHouseStore
from events.messages import Image, Label, LabelSource
from events.records import Judgement
from flows.live_policy import LivePolicy
from policy.policies import Policies
from policy.policy import BUILT_IN


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with clickhouse_server(tmp_path_factory.mktemp("console") / "clickhouse") as dsn:
        ClickHouseWriter(dsn).apply_schema()
        yield dsn


@pytest.fixture
def writer(dsn: str) -> ClickHouseWriter:
    """A writer into empty tables."""
    made = ClickHouseWriter(dsn)
    tables = (
        "content", "moderation_logs", "human_labels", "appeals", "surge_alerts",
        "decisions_by_minute",
    )  # fmt: skip
    for table in tables:
        made.client.command(f"TRUNCATE TABLE moderation.{table}")
    return made


def store_of(dsn: str) -> tuple[ClickHouseStore, Client]:
    client = connect(dsn)
    return ClickHouseStore(client, lambda: POLICIES), client


def label(content_id: str, reviewer: str = "ann", source: LabelSource = "review") -> Label:
    return Label(
        label_id=f"l-{content_id}-{reviewer}",
        content_id=content_id,
        revision=0,
        reviewer_id=reviewer,
        action="block",
        category="spam",
        source=source,
        labeled_at=AT,
    )


class TestStore:
    def test_an_empty_store_has_nothing(self, dsn: str, writer: ClickHouseWriter) -> None:
        store, _ = store_of(dsn)
        assert store.waiting(10, "bob") == []
        assert store.count_waiting() == 0
        assert store.overview(24).decisions == {}

    def test_the_queue_is_ordered_by_severity_and_score(
        self, dsn: str, writer: ClickHouseWriter
    ) -> None:
        writer.insert_judgements(
            [
                waiting("spam", "spam", 0.7),
                waiting("threat-low", "threat", 0.5),
                waiting("threat-high", "threat", 0.6),
                waiting("hate", "hate", 0.8),
                blocked("settled"),
                judgement("fine"),
                waiting("shadow", "threat", 0.9, mode="shadow"),
                waiting("quick", "threat", 0.9, final=False),
            ]
        )
        store, _ = store_of(dsn)
        order = ["threat-high", "threat-low", "hate", "spam"]
        assert [i.decision.content_id for i in store.waiting(10, "bob")] == order
        assert [i.decision.content_id for i in store.waiting(2, "bob")] == order[:2]
        assert store.count_waiting() == 4

    def test_a_pushed_policy_orders_the_queue_anew(
        self, dsn: str, writer: ClickHouseWriter
    ) -> None:
        writer.insert_judgements([waiting("mild", "spam"), waiting("bad", "hate")])
        pushed, text = LocalRulesetStore(), (BUILT_IN / "policy.yaml").read_text()
        policy = LivePolicy(BUILT_IN, pushed)
        store = ClickHouseStore(connect(dsn), lambda: policy.current)
        assert [item.decision.content_id for item in store.waiting(2, "bob")] == ["bad", "mild"]
        files = {"policy.yaml": text.replace("{severity: 1", "{severity: 5")}
        pushed.push(StoredRuleset(files=files, author="ann", reason="a wave", pushed_at=AT))
        policy.watcher.catch_up()
        assert [item.decision.content_id for item in store.waiting(2, "bob")] == ["mild", "bad"]

    def test_an_item_is_the_message_that_was_logged(
        self, dsn: str, writer: ClickHouseWriter
    ) -> None:
        signals = (signal_at((0, 4), rule="scam-link"),)
        made = waiting("c1", "spam", 0.5, text="free \u202e stuff", signals=signals, revision=3)
        writer.insert_judgements([made])
        store, _ = store_of(dsn)
        item = store.waiting(1, "bob")[0]
        assert item.text == "free \u202e stuff"
        assert item.reason == "uncertain"
        assert item.priority == 1.5
        assert msgspec.structs.replace(item.decision, scores={}) == msgspec.structs.replace(
            made.decision, scores={}
        )

    def test_an_appeal_waits_for_someone_who_has_not_looked_yet(
        self, dsn: str, writer: ClickHouseWriter
    ) -> None:
        writer.insert_judgements([blocked("wronged", "hate"), blocked("settled"), waiting("new")])
        writer.insert_labels([label("wronged", "ann")])
        writer.insert_appeals(
            [
                appeal("wronged"),
                appeal("wronged", "a2", statement="again"),  # appeals of one content are one item
                appeal("settled", "a3", state="denied", resolved_at=AT),
                appeal("unknown", "a4"),  # nothing is kept of its decision
            ]
        )
        store, _ = store_of(dsn)
        assert [i.decision.content_id for i in store.waiting(10, "ann")] == ["new"]
        first, second = store.waiting(10, "bob")
        assert (first.reason, first.decision.action, first.text) == ("appeal", "block", "hello")
        assert first.appeal == appeal("wronged")
        assert (second.decision.content_id, second.appeal) == ("new", None)

    def test_an_answered_appeal_waits_no_more(self, dsn: str, writer: ClickHouseWriter) -> None:
        writer.insert_judgements([blocked("wronged", "hate")])
        writer.insert_appeals([appeal("wronged")])
        store, _ = store_of(dsn)
        assert store.count_waiting() == 1
        (item,) = store.waiting(10, "bob")
        assert item.appeal is not None
        writer.insert_appeals([closed(item.appeal, label("wronged", "bob", "appeal"))])
        assert store.waiting(10, "eve") == []
        assert store.count_waiting() == 0

    def test_what_waits_and_is_appealed_is_one_item(
        self, dsn: str, writer: ClickHouseWriter
    ) -> None:
        writer.insert_judgements([waiting("held")])
        writer.insert_appeals([appeal("held"), appeal("held", "a2", statement="again")])
        store, _ = store_of(dsn)
        assert [item.reason for item in store.waiting(10, "bob")] == ["appeal"]
        assert store.count_waiting() == 1

    def test_images_are_counted(self, dsn: str, writer: ClickHouseWriter) -> None:
        shown = waiting("c1")
        images = [Image(image_id=str(number), data=b"x") for number in range(2)]
        content = msgspec.structs.replace(shown.content, images=images)
        writer.insert_judgements([msgspec.structs.replace(shown, content=content)])
        assert [item.images for item in store_of(dsn)[0].waiting(10, "bob")] == [2]

    @pytest.mark.parametrize(
        ("content_id", "labels", "offered_to"),
        [
            (ONCE, [], {"ann", "bob"}),
            (ONCE, [("ann", "review")], set()),
            (ONCE, [("judge", "appeal")], set()),
            (ONCE, [("trainer", "golden")], set()),
            (ONCE, [("friend", "user_report")], {"ann", "bob"}),
            (TWICE, [("ann", "review")], {"bob"}),
            (TWICE, [("ann", "review"), ("friend", "user_report")], {"bob"}),
            (TWICE, [("ann", "review"), ("bob", "review")], set()),
            (TWICE, [("trainer", "golden")], {"ann", "bob"}),
            (TWICE, [("trainer", "golden"), ("ann", "review")], set()),
        ],
    )
    def test_an_item_waits_for_as_many_answers_as_it_wants(
        self,
        dsn: str,
        writer: ClickHouseWriter,
        content_id: str,
        labels: list[tuple[str, LabelSource]],
        offered_to: set[str],
    ) -> None:
        writer.insert_judgements([waiting(content_id)])
        writer.insert_labels(label(content_id, *given) for given in labels)
        store, _ = store_of(dsn)
        assert {name for name in ("ann", "bob") if store.waiting(10, name)} == offered_to
        assert store.count_waiting() == bool(offered_to)

    def test_an_edit_waits_of_its_own(self, dsn: str, writer: ClickHouseWriter) -> None:
        writer.insert_judgements([waiting(ONCE), waiting(ONCE, revision=1)])
        writer.insert_labels([label(ONCE)])
        [item] = store_of(dsn)[0].waiting(10, "bob")
        assert item.decision.revision == 1

    def test_a_repeated_message_waits_once(self, dsn: str, writer: ClickHouseWriter) -> None:
        for _ in range(3):
            writer.insert_judgements([waiting("c1")])
        store, _ = store_of(dsn)
        assert len(store.waiting(10, "bob")) == 1

    def test_the_sample_of_allowed_contents_is_the_one_that_the_stream_chose(
        self, dsn: str, writer: ClickHouseWriter
    ) -> None:
        from operators.decide import ReviewPicker

        policy = msgspec.structs.replace(
            POLICY, file=msgspec.structs.replace(POLICY.file, sample_rate=0.1)
        )
        contents = [judgement(f"c{number}") for number in range(300)]
        writer.insert_judgements(contents)
        chosen = {item.decision.content_id for item in ReviewPicker(policy)(contents)}
        store = ClickHouseStore(connect(dsn), lambda: Policies(policy))
        assert {item.decision.content_id for item in store.waiting(300, "bob")} == chosen
        assert 10 < len(chosen) < 60

    def test_the_overview_counts_a_replay_once_and_fills_gaps(
        self, dsn: str, writer: ClickHouseWriter
    ) -> None:
        made = [
            blocked("b1"),
            blocked("b2", created_at=AT + timedelta(minutes=50)),
            judgement("a1", created_at=AT + timedelta(minutes=59)),
            judgement("long-ago", created_at=AT - timedelta(minutes=1)),
        ]
        for _ in range(2):
            writer.insert_judgements(made)
        writer.insert_alerts([surge("open", 10), surge("resolved", 30)])
        overview = store_of(dsn)[0].overview(1)
        assert (overview.since, overview.until) == (AT, AT + timedelta(hours=1))
        assert len(overview.times) == 60
        assert {m: n for m, n in enumerate(overview.volume["block"]) if n} == {0: 1, 50: 1}
        assert overview.decisions == {("block", "spam"): 2, ("allow", ""): 1}
        assert overview.latency_p50_ms[0] == 7.0
        assert [(r.rule, r.blocked, r.reviewed) for r in overview.rules] == [("r-1", 2, 0)]
        assert [alert.state for alert in overview.alerts] == ["open", "resolved"]

    def test_the_latency_is_that_of_final_answers(self, dsn: str, writer: ClickHouseWriter) -> None:
        for final, latency_ms in ((False, 1.0), (True, 90.0)):
            writer.insert_judgements([judgement("c1", latency_ms=latency_ms, final=final)])
        overview = store_of(dsn)[0].overview(1)
        assert (overview.latency_p50_ms[-1], overview.latency_p99_ms[-1]) == (90.0, 90.0)

    @pytest.mark.parametrize(
        "later",
        [
            judgement("ahead", created_at=datetime.now(UTC) + timedelta(days=200)),
            judgement("shadow", created_at=AT + timedelta(days=2), mode="shadow"),
        ],
        ids=["a clock that runs ahead", "a decision in shadow"],
    )
    def test_the_present_is_that_of_the_stream(
        self, dsn: str, writer: ClickHouseWriter, later: Judgement
    ) -> None:
        writer.insert_judgements([waiting("c1"), later])
        store, _ = store_of(dsn)
        assert store.overview(1).until == AT + timedelta(minutes=1)
        assert [item.decision.content_id for item in store.waiting(10, "bob")] == ["c1"]

    @pytest.mark.parametrize(("hours", "minutes"), [(1, 1), (24, 5), (168, 60)])
    def test_a_longer_time_has_longer_steps(
        self, dsn: str, writer: ClickHouseWriter, hours: float, minutes: int
    ) -> None:
        writer.insert_judgements([judgement("a1")])
        times = store_of(dsn)[0].overview(hours).times
        assert times[1] - times[0] == timedelta(minutes=minutes)
        assert len(times) == hours * 60 / minutes
