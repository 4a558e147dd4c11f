"""The page that shows how the stream does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from dash import dcc, html

from console import charts
from console.data import Overview, RuleCount
from events.messages import ACTIONS, Alert

WINDOWS = {"1": "hour", "24": "day", "168": "week"}
GRAPH: Any = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d"]}


def layout() -> html.Div:
    """The page with nothing in it yet; its plots stay in place, so that a zoom outlives updates."""
    return html.Div(
        [
            dcc.Interval(id="tick", interval=10_000),
            html.Div(
                className="line",
                children=[
                    html.H2("The last"),
                    dcc.RadioItems(
                        id="window",
                        className="windows",
                        value="24",
                        inline=True,
                        options=[
                            {"label": name, "value": hours} for hours, name in WINDOWS.items()
                        ],
                    ),
                    html.Span(id="period", className="muted push"),
                ],
            ),
            html.Div(id="tiles", className="tiles"),
            _plot(
                "volume",
                "Volume and surges",
                "Decisions by the time of the post; shaded while an alert was open.",
            ),
            html.Div(
                className="pair",
                children=[
                    _plot(
                        "categories",
                        "What was found",
                        "Contents sent to review or blocked, by the category that decided.",
                    ),
                    _plot(
                        "latency",
                        "Latency",
                        "From received to decided, median and 99th percentile of each step.",
                    ),
                ],
            ),
            html.Div(
                className="pair",
                children=[
                    _section(
                        "rules",
                        "Top rules",
                        "What decided most often: rules, hash entries and models.",
                    ),
                    _section("alerts", "Alerts", "The last word on each, newest first."),
                ],
            ),
        ]
    )


def tiles(overview: Overview, waiting: int) -> list[html.Div]:
    """The counts at the top."""
    totals = {
        action: sum(count for (what, _), count in overview.decisions.items() if what == action)
        for action in ACTIONS
    }
    return [
        _tile("allowed", totals["allow"], "allow"),
        _tile("sent to review", totals["review"], "review"),
        _tile("blocked", totals["block"], "block"),
        _tile("alerts", len({alert.alert_id for alert in overview.alerts}), "surge"),
        _tile("waiting for a person", waiting, ""),
    ]


def figures(overview: Overview, window: str) -> tuple[go.Figure, go.Figure, go.Figure]:
    """Volume, categories and latency; a zoom is kept while `window` stays the same."""
    spans = charts.alert_spans(overview.alerts)
    made = (
        charts.volume_figure(overview.times, overview.volume, spans),
        charts.category_figure(overview.decisions),
        charts.latency_figure(overview.times, overview.latency_p50_ms, overview.latency_p99_ms),
    )
    for figure in made:
        figure.update_layout(uirevision=window)
    return made


def rule_table(rules: Sequence[RuleCount]) -> Any:
    """What decided most often."""
    return _table(
        ("rule", "stage", "category", "reviewed", "blocked"),
        [
            [html.Code(r.rule), r.stage, r.category, f"{r.reviewed:,}", f"{r.blocked:,}"]
            for r in rules
        ],
    )


def alert_table(alerts: Sequence[Alert]) -> Any:
    """The last word on each alert, newest first."""
    last = {alert.alert_id: alert for alert in alerts}
    return _table(
        ("what", "state", "severity", "until", "observed", "expected"),
        [
            [
                charts.alert_label(alert),
                html.Span(alert.state, className="badge"),
                html.Span(alert.severity, className=f"badge {alert.severity}"),
                f"{alert.window_end:%m-%d %H:%M}",
                *charts.alert_numbers(alert),
            ]
            for alert in list(reversed(last.values()))[:20]
        ],
    )


def _tile(name: str, count: int, kind: str) -> html.Div:
    return html.Div([html.B(f"{count:,}"), html.Span(name)], className=f"tile {kind}")


def _plot(name: str, title: str, caption: str) -> html.Section:
    return html.Section(
        [html.H2(title), html.P(caption, className="muted"), dcc.Graph(id=name, config=GRAPH)],
        className="card",
    )


def _section(name: str, title: str, caption: str) -> html.Section:
    return html.Section(
        [html.H2(title), html.P(caption, className="muted"), html.Div(id=name)], className="card"
    )


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    if not rows:
        return html.P("None.")
    numbers = {"reviewed", "blocked", "observed", "expected"}
    head = html.Thead(html.Tr([html.Th(name) for name in names]))
    body = html.Tbody(
        [
            html.Tr(
                [
                    html.Td(value, className="number" if name in numbers else "")
                    for name, value in zip(names, row, strict=True)
                ]
            )
            for row in rows
        ]
    )
    return html.Div(html.Table([head, body]), className="table")
