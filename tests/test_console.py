"""The console: pages that nothing can run in, in a browser and by its command."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import pytest
from browser import (
    PHONE_WIDTH,
    Seen,
    browser,
    keep_screenshot,
    phone,
    requires_chromium,
)
from clickhouse_samples import AT, blocked, judgement
from clickhouse_server import clickhouse_server, free_port
from console_samples import HOSTILE, POLICIES, POLICY, Shelf, signal_at, surge, waiting
from dash import Dash
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from connectors.clickhouse import ClickHouseWriter, connect
from console.app import build_app
from console.desk import Desk
from console.security import reviewer_name
from console.store import ClickHouseStore
from events.messages import Label, Signal
from events.records import Judgement
from policy.policies import Policies

expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with clickhouse_server(tmp_path_factory.mktemp("console") / "clickhouse") as dsn:
        ClickHouseWriter(dsn).apply_schema()
        yield dsn


@contextmanager
def served(app: Dash, port: int = 0) -> Iterator[str]:
    """`app` on `port` or one of its own; gives its address."""
    server = make_server("127.0.0.1", port, app.server, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def app_of(password: str = "", **options: Any) -> Dash:
    shelf = Shelf("c1")
    return build_app(
        shelf, Desk(shelf, lambda label: None), lambda: POLICIES, password=password, **options
    )


class TestSecurity:
    @pytest.mark.parametrize("path", ["/", "/live", "/_dash-layout", "/assets/keys.js", "/nothing"])
    def test_every_answer_carries_the_headers(self, path: str) -> None:
        answer = app_of().server.test_client().get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        script = policy.partition("script-src")[2].partition(";")[0]
        assert "unsafe" not in script
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in answer.headers

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/", 200),
            ("/live", 200),
            ("/_dash-layout", 200),
            ("/assets/keys.js", 200),
            ("/nothing", 404),
            ("/live/nothing", 404),
        ],
    )
    def test_a_path_that_is_no_page_is_not_found(self, path: str, status: int) -> None:
        assert app_of().server.test_client().get(path).status_code == status

    @pytest.mark.parametrize(
        ("host", "status"),
        [
            ("localhost:8050", 200),
            ("127.0.0.1:8050", 200),
            ("[::1]:8050", 200),
            ("console.example.org", 200),  # allowed below
            ("attacker.example", 421),  # a name that was made to point here
            ("127.0.0.1.attacker.example", 421),
            ("[::1", 421),
            ("", 421),
        ],
    )
    def test_it_answers_under_its_own_names_only(self, host: str, status: int) -> None:
        app = app_of(hosts={"localhost", "127.0.0.1", "::1", "console.example.org"})
        assert app.server.test_client().get("/", headers={"Host": host}).status_code == status

    @pytest.mark.parametrize(
        ("headers", "refused"),
        [
            ({"Origin": "https://attacker.example"}, True),
            ({"Origin": "http://localhost:9999"}, True),  # another program on this machine
            ({"Origin": "null"}, True),
            ({"Origin": "http://[::1"}, True),  # no URL at all
            ({"Sec-Fetch-Site": "cross-site"}, True),
            ({"Sec-Fetch-Site": "same-site"}, True),
            ({"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, False),
            ({}, False),
        ],
    )
    def test_other_sites_cannot_answer_for_a_moderator(
        self, headers: dict[str, str], refused: bool
    ) -> None:
        client = app_of().server.test_client()
        answer = client.post("/_dash-update-component", json={}, headers=headers)
        assert (answer.status_code == 403) == refused

    @pytest.mark.parametrize(
        ("given_name", "given_password", "status"),
        [
            ("ann", "secret", 200),
            ("ann", "wrong", 401),
            ("ann", "", 401),
            ("", "secret", 401),  # a label needs a name
            ("x" * 65, "secret", 401),
            ("ann.b_c@example.org", "secret", 200),
            ("ann b", "secret", 401),
            ("<script>", "secret", 401),
        ],
    )
    def test_a_password_is_asked_for(
        self, given_name: str, given_password: str, status: int
    ) -> None:
        client = app_of(password="secret").server.test_client()
        assert client.get("/").status_code == 401
        assert client.get("/_dash-layout").status_code == 401
        token = base64.b64encode(f"{given_name}:{given_password}".encode()).decode()
        answer = client.get("/", headers={"Authorization": f"Basic {token}"})
        assert answer.status_code == status

    @pytest.mark.parametrize(
        ("authorization", "name"),
        [
            ("Basic " + base64.b64encode(b"ann:secret").decode(), "ann"),
            ("Basic " + base64.b64encode(b":secret").decode(), "console"),
            ("Bearer ann", "console"),
            (None, "console"),
        ],
    )
    def test_who_signed_in_answers_under_that_name(
        self, authorization: str | None, name: str
    ) -> None:
        headers = {"Authorization": authorization} if authorization else {}
        with app_of().server.test_request_context(headers=headers):
            assert reviewer_name("console") == name

    def test_liveness_needs_nothing_and_tells_nothing(self) -> None:
        client = app_of(password="secret").server.test_client()
        answer = client.get("/livez", headers={"Host": "10.1.2.3:8050"})
        assert (answer.status_code, answer.text) == (200, "ok\n")

    def test_a_huge_request_is_refused(self) -> None:
        client = app_of().server.test_client()
        answer = client.post("/_dash-update-component", json={"x": "y" * 1_000_000})
        assert answer.status_code == 413


def scene() -> list[Judgement]:
    """A morning with a queue of four."""
    texts = {
        "threat": ("I know where you live and I will find you", ((7, 21), (28, 42))),
        "hate": (HOSTILE, ((0, 4),)),
        "harassment": ("nobody wants you here\u202e, just leave", ((0, 16),)),
        "spam": ("Free gift cards at claim-prize.example today only", ((19, 38),)),
    }
    made = []
    for number, (category, (text, spans)) in enumerate(texts.items()):
        signals = (
            Signal("text_score", "text-fast", category, 0.52),
            signal_at(*spans, rule=f"{category}-7"),
        )
        scores = {"hate": 0.21, "harassment": 0.34, "threat": 0.08, "sexual": 0.02, "spam": 0.11}
        made.append(
            waiting(
                f"{category}-1",
                category,
                text=text,
                signals=signals,
                scores=scores | {category: 0.52},
                created_at=AT + timedelta(minutes=number),
                community="<b>pets</b>",
            )
        )
    made += [
        judgement(f"a{n}", created_at=AT + timedelta(seconds=11 * n), latency_ms=4 + n % 7)
        for n in range(800)
    ]
    made += [blocked(f"s{n}", created_at=AT + timedelta(minutes=40 + n % 20)) for n in range(120)]
    made += [blocked(f"h{n}", "hate", created_at=AT + timedelta(minutes=7 * n)) for n in range(18)]
    return made


@requires_chromium
class TestInABrowser:
    @pytest.fixture(scope="class")
    @classmethod
    def sent(cls) -> list[Label]:
        return []

    @pytest.fixture(scope="class")
    @classmethod
    def address(cls, dsn: str, sent: list[Label]) -> Iterator[str]:
        writer = ClickHouseWriter(dsn)
        for table in ("content", "moderation_logs", "human_labels", "decisions_by_minute"):
            writer.client.command(f"TRUNCATE TABLE moderation.{table}")
        writer.insert_judgements(scene())
        writer.insert_alerts([surge("open", 40, HOSTILE), surge("resolved", 60, HOSTILE)])
        nothing_sampled = msgspec.structs.replace(
            POLICY, file=msgspec.structs.replace(POLICY.file, sample_rate=0.0)
        )
        store = ClickHouseStore(connect(dsn), lambda: Policies(nothing_sampled))

        def submit(label: Label) -> None:
            sent.append(label)
            writer.insert_labels([label])

        desk = Desk(store, submit, hold_s=600)
        with served(build_app(store, desk, lambda: POLICIES)) as address:
            yield address
        # What is held would be sent in ten minutes, when the server is gone.
        desk.close()

    @pytest.fixture
    def page(self) -> Iterator[Page]:
        with browser() as chromium:
            yield chromium.new_page(viewport={"width": 1280, "height": 900})

    def test_a_moderator_works_through_the_queue_by_keyboard(
        self, page: Page, address: str, sent: list[Label]
    ) -> None:
        seen = Seen(page)
        page.goto(address)
        text = page.locator("#text")

        # The most severe first, its text covered until asked for, evidence marked with its rule.
        expect(text).to_have_text("I know where you live and I will find you")
        expect(text).to_have_css("filter", "blur(9px)")
        # Who hears the page is not told what those who see it are spared.
        uncover = page.get_by_role("button", name="Show or cover the text")
        expect(text).to_have_attribute("aria-hidden", "true")
        expect(uncover).to_have_attribute("aria-pressed", "false")
        expect(page).to_have_title("Review · Breakwater")
        expect(page.get_by_role("heading", level=1)).to_have_text("Breakwater")
        expect(page.get_by_role("radiogroup", name="It is").get_by_role("radio")).to_have_count(8)
        expect(page.get_by_role("button", name="Block", exact=True)).to_have_attribute(
            "aria-keyshortcuts", "b"
        )
        keep_screenshot(page.screenshot(), "console-covered")
        page.keyboard.press("v")
        expect(text).to_have_css("filter", "none")
        expect(text).to_have_attribute("aria-hidden", "false")
        expect(uncover).to_have_attribute("aria-pressed", "true")
        expect(text.locator("mark").first).to_have_text("where you live")
        expect(text.locator("mark").first).to_have_attribute("title", "threat-7")
        expect(page.locator("#category input:checked")).to_have_value("threat")
        keep_screenshot(page.screenshot(), "console-queue")

        # The same item survives a refresh of the page's data, uncovered.
        with page.expect_response(lambda response: "_dash-update-component" in response.url):
            pass
        expect(text).to_have_css("filter", "none")

        page.keyboard.press("b")
        # The next one is covered again, and what it says does not run.
        expect(text).to_have_text(HOSTILE)
        expect(text).to_have_css("filter", "blur(9px)")

        page.keyboard.press("u")
        expect(text).to_have_text("I know where you live and I will find you")
        page.keyboard.press("2")
        expect(page.locator("#category input:checked")).to_have_value("harassment")
        page.keyboard.press("b")
        expect(text).to_have_text(HOSTILE)

        page.keyboard.press("s")
        expect(text).to_contain_text("nobody wants you here")
        expect(text.locator(".invisible")).to_have_text("U+202E")
        page.keyboard.press("a")

        # Spam hurts nobody's eyes: it is not covered.
        expect(text).to_have_css("filter", "none")
        page.keyboard.press("b")
        expect(page.locator("#item")).to_contain_text("Nothing waits")
        expect(page.locator("#item")).to_contain_text("What you skipped waits for others")
        expect(page.locator("#history li")).to_have_count(3)
        keep_screenshot(page.screenshot(), "console-done")

        assert [(s.content_id, s.action, s.category) for s in sent] == [
            ("threat-1", "block", "harassment"),
            ("harassment-1", "allow", ""),
        ], "the last answer is still held back"
        assert seen.errors == []
        assert page.evaluate("window.hacked") is None
        assert [url for url in seen.requests if not url.startswith((address, "data:"))] == []

    def test_a_page_whose_console_is_away_says_so(self, page: Page) -> None:
        port, notice = free_port(), page.get_by_text("The console does not answer")
        with served(app_of(), port) as address:
            page.goto(address)
            expect(page.locator("#text")).to_have_text("hello")
            expect(notice).to_be_hidden()
        page.keyboard.press("a")
        expect(notice).to_be_visible()
        with served(app_of(), port):
            expect(notice).to_be_hidden()

    def test_the_live_page_shows_the_stream(self, page: Page, address: str) -> None:
        seen = Seen(page)
        page.goto(f"{address}/live")
        expect(page.locator(".js-plotly-plot .main-svg").nth(5)).to_be_attached()
        expect(page.locator(".tile.block b")).to_have_text("138")
        expect(page.locator(".tile.surge b")).to_have_text("1")
        expect(page.locator("main")).to_contain_text("r-1")
        expect(page.locator("main")).to_contain_text("<img src=x")
        page.get_by_label("hour").check()
        expect(page.locator("#period")).to_contain_text("2026-11-17 12:27")
        expect(page).to_have_title("Live · Breakwater")
        expect(page.locator("nav [aria-current=page]")).to_have_text("Live")
        keep_screenshot(page.screenshot(full_page=True), "console-live")
        assert seen.errors == []
        assert page.evaluate("window.hacked") is None
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280

    def test_on_a_phone_nothing_hangs_out_of_the_page(self, address: str) -> None:
        with phone() as page, served(app_of()) as queue:
            for name, url in (("queue", queue), ("live", f"{address}/live")):
                page.goto(url)
                codes = page.locator("td code")
                expect(codes.first).to_be_visible()
                keep_screenshot(page.screenshot(full_page=True), f"console-phone-{name}")
                assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH
                # A name is a line, not a column of letters.
                lines = "codes => codes.map((code) => code.getClientRects().length)"
                assert set(codes.evaluate_all(lines)) == {1}
            expect(page.locator(".js-plotly-plot .main-svg").nth(5)).to_be_attached()
            expect(page.locator(".modebar").first).to_be_hidden()


class TestCommand:
    def test_it_is_not_opened_to_others_without_a_password(self) -> None:
        from cli.console import console_command
        from cli.errors import UsageError

        with pytest.raises(UsageError, match="set BREAKWATER_CONSOLE_PASSWORD first"):
            console_command(host="0.0.0.0")

    def test_who_labels_has_a_name_to_sign_in_with(self) -> None:
        from cli.console import console_command
        from cli.errors import UsageError

        with pytest.raises(UsageError, match="--reviewer 'two words': a name of letters"):
            console_command(reviewer="two words")

    def test_it_says_where_its_data_would_come_from(self, tmp_path: Path) -> None:
        from cli.console import console_command
        from cli.errors import UsageError

        with pytest.raises(UsageError, match=r"no store at .*: set BREAKWATER_CLICKHOUSE_DSN"):
            console_command(output=tmp_path)

    def test_over_the_embedded_store_of_a_run_until_it_is_told_to_stop(
        self, tmp_path: Path
    ) -> None:
        # The embedded engine belongs to one process: another one makes the store.
        made = f"""
from clickhouse_samples import blocked
from connectors.clickhouse import ClickHouseWriter
store = ClickHouseWriter("chdb://{tmp_path}/clickhouse")
store.apply_schema()
store.insert_judgements([blocked("c1", action="review")])
store.close()
"""
        root = Path(__file__).parents[1]
        environment = os.environ | {"PYTHONPATH": f"{root}:{root / 'tests'}"}
        subprocess.run([sys.executable, "-c", made], check=True, env=environment)
        port = free_port()
        command = [sys.executable, "-m", "cli.main", "console", "--output", str(tmp_path)]
        process = subprocess.Popen(
            [*command, "--port", str(port)], env=environment, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        assert f"http://127.0.0.1:{port}" in process.stderr.readline()
        with urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert b"Breakwater" in answer.read()
        # The store of another one, on the port of this one.
        subprocess.run(
            [sys.executable, "-c", made.replace(str(tmp_path), f"{tmp_path}/b")],
            check=True, env=environment,
        )  # fmt: skip
        command[-1] = f"{tmp_path}/b"
        second = subprocess.run(
            [*command, "--port", str(port)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        told = f"port {port} of 127.0.0.1 cannot be opened: try another --port"
        assert (second.returncode, second.stderr) == (2, f"breakwater: {told}\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stderr.close()
