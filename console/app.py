"""The console as a Dash application: two pages over one store."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import dash
from dash import ClientsideFunction, Input, Output, State, ctx, dcc, html, no_update
from flask import abort, request

from console import live_page, queue_page, security
from console.data import ConsoleStore
from console.desk import AnswerError, Desk, SubmitError
from policy.policies import Policies

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_LIVE = "/live"

_PAGE = """<!doctype html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
<link rel="icon" href="data:,">
{%css%}
</head>
<body>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>
"""


def build_app(
    store: ConsoleStore,
    desk: Desk,
    policies: Callable[[], Policies],
    *,
    reviewer: str = "local",
    password: str = "",
    hosts: Collection[str] = LOCAL_HOSTS,
) -> dash.Dash:
    """The console over `store`, with the queue that `desk` hands out.

    Args:
        store: where items and the state of the stream are read.
        desk: hands out items and sends labels on.
        policies: those in force, whose thresholds are drawn into the scores.
        reviewer: who answers when nobody signs in.
        password: what everyone signs in with, under a name of their own; "": nobody has to.
        hosts: host names that the console answers under.
    """
    app = dash.Dash(
        "console",
        title="Breakwater",
        update_title="",
        index_string=_PAGE,
        assets_folder=str(Path(__file__).parent / "assets"),
        suppress_callback_exceptions=True,
        serve_locally=True,
    )
    app.layout = _frame()
    _route(app)
    _work(app, desk, policies, reviewer)
    _watch(app, store, desk)
    security.protect(app.server, script_hashes=app.csp_hashes(), hosts=hosts, password=password)

    @app.server.before_request  # type: ignore[untyped-decorator]
    def known() -> None:
        # Dash gives its page to every path that is not its own.
        if str(request.url_rule) == "/<path:path>" and request.path != _LIVE:
            abort(404)

    return app


def _frame() -> html.Div:
    """What stands around either page."""
    links = [
        dcc.Link("Review", href="/", id="to-queue"),
        dcc.Link("Live", href=_LIVE),
    ]
    status = html.Span(id="status", className="muted push")
    return html.Div(
        [
            dcc.Location(id="where"),
            html.Header([html.H1("Breakwater"), html.Nav(links), status]),
            html.P(
                "The console does not answer: what you do now is lost.",
                className="away",
                role="alert",
            ),
            html.Main(id="page"),
        ]
    )


def _route(app: dash.Dash) -> None:
    @app.callback(Output("page", "children"), Input("where", "pathname"))
    def page(path: str) -> Any:
        return live_page.layout() if path == _LIVE else queue_page.layout()

    app.clientside_callback(  # type: ignore[no-untyped-call]
        ClientsideFunction("pages", "name"), Input("where", "pathname")
    )


def _work(
    app: dash.Dash, desk: Desk, policies: Callable[[], Policies], default_reviewer: str
) -> None:
    @app.callback(
        Output("item", "children"),
        Output("current", "data"),
        Output("category", "value"),
        Output("history", "children"),
        Output("status", "children"),
        Output("problem", "children"),
        Input("block", "n_clicks"),
        Input("allow", "n_clicks"),
        Input("skip", "n_clicks"),
        Input("undo", "n_clicks"),
        Input("refresh", "n_intervals"),
        State("current", "data"),
        State("category", "value"),
    )
    def work(*arguments: Any) -> tuple[Any, ...]:
        kept, category = arguments[-2:]
        reviewer = security.reviewer_name(default_reviewer)
        what, asked = str(ctx.triggered_id), queue_page.parse_key(kept)
        told = _act(desk, reviewer, what, asked, category) or desk.problem(reviewer)
        item = desk.current(reviewer)
        refreshed = what in ("None", "refresh")
        # An answer does not wait for a count.
        waiting = desk.waiting(recount=refreshed)
        status = f"{reviewer}: {desk.answered(reviewer)} answered, {waiting} waiting"
        key = queue_page.current_key(item)
        answers = queue_page.history(desk.history(reviewer))
        # What was told stays until the moderator does the next thing.
        notice = no_update if refreshed and not told else told
        if key == kept and key is not None:
            # The same item: what the moderator has uncovered and chosen stays as it is.
            return no_update, no_update, no_update, answers, status, notice
        category = queue_page.likely_category(item) if item else None
        return queue_page.item_card(item, policies()), key, category, answers, status, notice


def _act(desk: Desk, reviewer: str, what: str, key: Any, category: object) -> str:
    """Do what was clicked; what went wrong, in words."""
    try:
        if what == "undo":
            return "" if desk.undo(reviewer) else "There is nothing to undo."
        if key is not None and what == "skip":
            desk.skip(reviewer, key)
        elif key is not None and what in ("allow", "block"):
            desk.answer(reviewer, key, what, str(category or ""))  # type: ignore[arg-type]
    except (AnswerError, SubmitError) as error:
        return str(error)
    return ""


def _watch(app: dash.Dash, store: ConsoleStore, desk: Desk) -> None:
    @app.callback(
        Output("tiles", "children"),
        Output("volume", "figure"),
        Output("categories", "figure"),
        Output("latency", "figure"),
        Output("rules", "children"),
        Output("alerts", "children"),
        Output("period", "children"),
        Input("tick", "n_intervals"),
        Input("window", "value"),
    )
    def watch(_: int | None, window: object) -> tuple[Any, ...]:
        chosen = window if isinstance(window, str) and window in live_page.WINDOWS else "24"
        overview = store.overview(float(chosen))
        return (
            live_page.tiles(overview, desk.waiting()),
            *live_page.figures(overview, chosen),
            live_page.rule_table(overview.rules),
            live_page.alert_table(overview.alerts),
            f"{overview.since:%Y-%m-%d %H:%M} to {overview.until:%Y-%m-%d %H:%M} UTC",
        )
